//! Which certificates are believed, when, and in which words they are not.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::ring;
use time::OffsetDateTime;

use super::*;

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;

fn wall(seconds: i64) -> Wall {
    Wall(seconds * 1000)
}

struct Made {
    der: CertificateDer<'static>,
    params: CertificateParams,
    key: KeyPair,
}

/// Valid for ten days around now, unless `change` says otherwise.
fn params(name: &str, change: impl Fn(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::new(["vault".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = OffsetDateTime::from_unix_timestamp(NOW - 5 * DAY).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(NOW + 5 * DAY).unwrap();
    change(&mut params);
    params
}

fn own(name: &str, change: impl Fn(&mut CertificateParams)) -> Made {
    let key = KeyPair::generate().unwrap();
    let params = params(name, change);
    let der = params.self_signed(&key).unwrap().der().clone();
    Made { der, params, key }
}

fn ca(name: &str, change: impl Fn(&mut CertificateParams)) -> Made {
    own(name, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(params);
    })
}

fn signed(by: &Made) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::from_params(&by.params, &by.key);
    params("leaf", |_| {}).signed_by(&key, &issuer).unwrap().der().clone()
}

fn during(from: i64, to: i64) -> impl Fn(&mut CertificateParams) {
    move |params| {
        params.not_before = OffsetDateTime::from_unix_timestamp(NOW + from * DAY).unwrap();
        params.not_after = OffsetDateTime::from_unix_timestamp(NOW + to * DAY).unwrap();
    }
}

/// Whether a server that shows `leaf` is believed at a moment, or in which words it is not.
fn verdict(
    trusted: &[&Made],
    leaf: &CertificateDer<'static>,
    built_at: i64,
    at: i64,
) -> Result<(), String> {
    let trusted = trusted.iter().map(|made| made.der.clone()).collect();
    let (authorities, _flaws) = Authorities::new(trusted, wall(built_at))?;
    let verified = Verified::new(authorities, &Arc::new(ring::default_provider()));
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.try_into().unwrap()));
    let name = "vault".try_into().unwrap();
    match verified.verify_server_cert(leaf, &[], &name, &[], at) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InvalidCertificate(CertificateError::Other(why))) => {
            Err(why.0.to_string())
        }
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn an_authority_counts_within_its_time_and_for_its_purpose() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, ServerAuth};
    let for_usage = |usage: &[ExtendedKeyUsagePurpose]| {
        let usage = usage.to_vec();
        move |params: &mut CertificateParams| params.extended_key_usages.clone_from(&usage)
    };
    let for_keys = |usage: &[KeyUsagePurpose]| {
        let usage = usage.to_vec();
        move |params: &mut CertificateParams| params.key_usages.clone_from(&usage)
    };
    for good in [
        ca("plain", |_| {}),
        ca("server", for_usage(&[ServerAuth])),
        ca("both", for_usage(&[ClientAuth, ServerAuth])),
        ca("any", for_usage(&[Any])),
        ca("signs", for_keys(&[KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign])),
    ] {
        assert_eq!(verdict(&[&good], &signed(&good), NOW, NOW), Ok(()));
    }
    for (bad, word) in [
        (ca("old", during(-5, -1)), "CN=old expired at 2027-01-14T08:00:00Z"),
        (ca("soon", during(1, 5)), "CN=soon is not valid before 2027-01-16T08:00:00Z"),
        (ca("client", for_usage(&[ClientAuth])), "CN=client is not for servers"),
        (ca("code", for_usage(&[CodeSigning, ClientAuth])), "CN=code is not for servers"),
    ] {
        let leaf = signed(&bad);
        // Alone it is refused when it is read, beside a good one it is left out.
        let error = verdict(&[&bad], &leaf, NOW, NOW).unwrap_err();
        assert!(
            error.contains("no certificate that can be believed") && error.contains(word),
            "{error}"
        );
        let good = ca("good", |_| {});
        let error = verdict(&[&good, &bad], &leaf, NOW, NOW).unwrap_err();
        assert!(error.contains(word), "{error}");
        assert_eq!(verdict(&[&bad, &good], &signed(&good), NOW, NOW), Ok(()));
        let both = vec![good.der.clone(), bad.der.clone()];
        let (_, flaws) = Authorities::new(both, wall(NOW)).unwrap();
        assert_eq!(flaws.len(), 1);
        assert!(flaws[0].to_string().contains(word), "{}", flaws[0]);
    }
}

#[test]
fn what_may_not_sign_vouches_for_nobody_but_itself() {
    for (signer, is_told) in [
        (ca("ca", |p| p.key_usages = vec![KeyUsagePurpose::DigitalSignature]), true),
        (own("leaf", |p| p.is_ca = IsCa::ExplicitNoCa), false),
        (own("says nothing", |p| p.is_ca = IsCa::NoCa), false),
    ] {
        assert!(verdict(&[&signer], &signed(&signer), NOW, NOW).is_err());
        assert_eq!(verdict(&[&signer], &signer.der, NOW, NOW), Ok(()));
        let (_, flaws) = Authorities::new(vec![signer.der], wall(NOW)).unwrap();
        assert_eq!(flaws.len(), usize::from(is_told), "{flaws:?}");
    }
}

#[test]
fn a_servers_own_certificate_counts_within_its_time_and_for_servers() {
    let good = ca("good", |_| {});
    for constraints in [IsCa::NoCa, IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let with = |change: &dyn Fn(&mut CertificateParams)| {
            own("own", |params| {
                params.is_ca = constraints;
                change(params);
            })
        };
        let fine = with(&|_| {});
        assert_eq!(verdict(&[&good, &fine], &fine.der, NOW, NOW), Ok(()));
        for bad in [
            with(&during(-5, -1)),
            with(&during(1, 5)),
            with(&|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
        ] {
            assert!(verdict(&[&good, &bad], &bad.der, NOW, NOW).is_err());
        }
    }
}

#[test]
fn what_expires_while_the_process_runs_counts_no_more() {
    let (old, new) = (ca("old", during(-5, 1)), ca("new", during(-5, 5)));
    let both = [&old, &new];
    // The leaf is valid for as long as the new CA.
    assert_eq!(verdict(&both, &signed(&old), NOW, NOW), Ok(()));
    let error = verdict(&both, &signed(&old), NOW, NOW + 2 * DAY).unwrap_err();
    assert_eq!(error, "the certificate authority CN=old expired at 2027-01-16T08:00:00Z");
    assert_eq!(verdict(&both, &signed(&new), NOW, NOW + 2 * DAY), Ok(()));
    let next = ca("next", during(1, 5));
    assert!(verdict(&[&old, &next], &signed(&next), NOW, NOW).is_err());
    assert_eq!(verdict(&[&old, &next], &signed(&next), NOW, NOW + 2 * DAY), Ok(()));
}

#[test]
fn what_cannot_be_read_is_told_and_never_believed() {
    let good = ca("good", |_| {});
    let broken = CertificateDer::from(vec![0x30, 0x00]);
    assert!(Authorities::new(vec![broken.clone()], wall(NOW)).is_err());
    let (_, flaws) = Authorities::new(vec![broken, good.der], wall(NOW)).unwrap();
    assert_eq!(flaws[0].to_string(), "a certificate cannot be read");
}

#[test]
fn the_public_authorities_are_authorities() {
    let all = public_authorities();
    assert!(all.len() > 100, "{}", all.len());
    // When they were gathered.
    let (authorities, flaws) = Authorities::new(all.clone(), wall(1_780_000_000)).unwrap();
    assert_eq!(authorities.signers.len(), all.len());
    assert!(flaws.is_empty(), "{flaws:?}");
}
