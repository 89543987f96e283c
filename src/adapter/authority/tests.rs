//! Tests of certificates. Whether clients believe them is tested with the whole program.

use super::*;

const NOW: u64 = 1_800_000_000;

fn hosts(text: &str) -> Vec<String> {
    text.split(',').map(String::from).collect()
}

#[test]
fn leaves_are_signed_by_the_ca_for_their_hosts_and_do_not_outlive_it() {
    let ca = Ca::make(NOW, 1000).unwrap();
    assert_eq!((ca.facts.not_before, ca.facts.not_after), (NOW - 60, NOW + 1000));
    let leaf = ca.sign(&hosts("localhost,127.0.0.1"), NOW + 100, 86_400).unwrap();
    assert_eq!((leaf.facts.not_before, leaf.facts.not_after), (NOW + 40, NOW + 1000));
    assert_eq!(leaf.facts.ca, ca.facts.fingerprint);
    let other = Ca::make(NOW, 1000).unwrap();
    let all = [other.certificate(), ca.certificate()];
    let der = leaf.material.leaf();
    assert_eq!(issuer_of(der, all, NOW + 100), Some(ca.certificate()));
    assert_eq!(issuer_of(der, [other.certificate()], NOW + 100), None);
    let parsed = ParsedCertificate::try_from(der).unwrap();
    for (host, fits) in [("localhost", true), ("127.0.0.1", true), ("other", false)] {
        let name = host.try_into().unwrap();
        assert_eq!(rustls::client::verify_server_name(&parsed, &name).is_ok(), fits, "{host}");
    }
}

#[test]
fn a_ca_comes_back_from_its_pem_and_nothing_else_does() {
    let ca = Ca::make(NOW, 1000).unwrap();
    let pem = to_pem([ca.certificate()]);
    let key = ca.key_pem().unwrap();
    let key = key.expose().as_bytes();
    let again = Ca::load(pem.as_bytes(), key, NOW).unwrap();
    assert_eq!(again.facts, ca.facts);
    let leaf = again.sign(&hosts("x"), NOW, 100).unwrap();
    assert!(issuer_of(leaf.material.leaf(), [ca.certificate()], NOW).is_some());
    let other = Ca::make(NOW, 1000).unwrap().key_pem().unwrap();
    let foreign = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
    let foreign_key = foreign.signing_key.serialize_pem();
    for (certificate, key) in [
        (pem.as_bytes(), other.expose().as_bytes()),
        (foreign.cert.pem().as_bytes(), foreign_key.as_bytes()),
        (b"".as_slice(), key),
        (pem.as_bytes(), b"hunter2".as_slice()),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key),
    ] {
        let error = Ca::load(certificate, key, NOW).err().unwrap();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn bundles_are_told_apart_from_what_is_none() {
    let ca = Ca::make(NOW, 1000).unwrap();
    let foreign = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap().cert.pem();
    let ours = to_pem([ca.certificate()]);
    let key = ca.key_pem().unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (text, count, has_other) in [
        (String::new(), 0, false),
        ("\n".to_owned(), 0, false),
        ("garbage".to_owned(), 0, true),
        (format!("# a comment\n{ours}{foreign}"), 2, false),
        (format!("{ours}{}{foreign}", key.expose()), 2, true),
        (format!("{broken}{ours}"), 1, true),
    ] {
        let (found, other) = read_bundle(text.as_bytes());
        assert_eq!((found.len(), other), (count, has_other), "{count}");
        for (listed, der) in found {
            assert_eq!(listed.is_ours, der == *ca.certificate());
        }
    }
}

#[test]
fn moments_are_read_from_any_certificate() {
    let foreign = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
    let facts = authority(foreign.cert.der());
    // rcgen's own: 1975 to 4096.
    assert_eq!((facts.not_before, facts.not_after), (157_766_400, 67_090_118_400));
    assert_eq!(authority(&CertificateDer::from(vec![1, 2, 3])).not_after, u64::MAX);
}
