//! Certificates that we make, and what can be told of those that others made.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use ring::digest::SHA256;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring as provider;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};
use time::OffsetDateTime;
use zeroize::{Zeroize as _, Zeroizing};

use super::tls::{Material, TlsError};
use crate::base::secret::Secret;
use crate::domain::serving::bundle::Listed;
use crate::domain::serving::ca::{Authority, Leaf};

/// Subject of our CAs, and of vault-k8s'.
const CA_NAME: &str = "Agent Inject CA";

/// For clients whose clock is behind ours.
const BACKDATED_SECONDS: u64 = 60;

/// A certificate.
pub(crate) type Der = CertificateDer<'static>;

/// A CA of ours: its certificate and its key, which is wiped.
pub(crate) struct Ca {
    certificate: CertificateDer<'static>,
    key: Zeroizing<Vec<u8>>,
    /// What decisions need to know of it.
    pub(crate) facts: Authority,
}

/// A certificate that we signed, ready to be served and ready to be handed on.
pub(crate) struct Signed {
    /// To serve.
    pub(crate) material: Material,
    /// What decisions need to know of it.
    pub(crate) facts: Leaf,
    /// PEM
    pub(crate) certificate: String,
    /// PEM (PKCS#8)
    pub(crate) key: Secret,
}

impl Ca {
    /// A new one. `now` is seconds since the epoch.
    pub(crate) fn make(now: u64, seconds: u64) -> Result<Self, TlsError> {
        let mut pair = new_key()?;
        let params = ca_params(now, seconds)?;
        let certificate = params.self_signed(&pair).map_err(TlsError::Generate)?.der().clone();
        let key = Zeroizing::new(pair.serialize_der());
        pair.zeroize();
        let facts = authority(&certificate);
        Ok(Self { certificate, key, facts })
    }

    /// One that was made here before, or by another replica. The error is a clause that quotes nothing.
    pub(crate) fn load(certificate: &[u8], key: &[u8], now: u64) -> Result<Self, &'static str> {
        let certificate = CertificateDer::from_pem_slice(certificate)
            .map_err(|_may_quote| "no PEM certificate")?
            .into_owned();
        let key = PrivatePkcs8KeyDer::from_pem_slice(key).map_err(|_may_quote| "no PEM key")?;
        let key = Zeroizing::new(key.secret_pkcs8_der().to_vec());
        let facts = authority(&certificate);
        let ca = Self { certificate, key, facts };
        // What the signature proves: that it is a certificate, that the key is its key, that both are of our kind.
        let probe = ca.sign(&["localhost".to_owned()], now, BACKDATED_SECONDS);
        let probe = probe.map_err(|_why| "the key cannot sign")?;
        let issuer = issuer_of(probe.material.leaf(), [&ca.certificate], now);
        issuer.ok_or("the certificate is not that of the key, or not one of ours")?;
        Ok(ca)
    }

    /// A leaf for `hosts`, names or addresses, that does not outlive the CA. `now` is seconds since the epoch.
    pub(crate) fn sign(
        &self,
        hosts: &[String],
        now: u64,
        seconds: u64,
    ) -> Result<Signed, TlsError> {
        let ca_key = PrivatePkcs8KeyDer::from(self.key.as_slice());
        let mut ca_key = KeyPair::try_from(&ca_key).map_err(TlsError::Generate)?;
        let ca_params = ca_params(now, seconds)?;
        let seconds = seconds.min(self.facts.not_after.saturating_sub(now));
        let mut params = params("Agent Inject Service", hosts.to_vec(), now, seconds)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.use_authority_key_identifier_extension = true;
        let mut pair = new_key()?;
        let leaf = params.signed_by(&pair, &Issuer::from_params(&ca_params, &ca_key));
        ca_key.zeroize();
        let leaf = leaf.map_err(TlsError::Generate)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let pem = Secret::new(pair.serialize_pem());
        pair.zeroize();
        let material = Material::new(vec![leaf.der().clone()], key).map_err(TlsError::Use)?;
        let facts = material.facts(&self.facts.fingerprint);
        Ok(Signed { material, facts, certificate: leaf.pem(), key: pem })
    }

    /// Its certificate.
    pub(crate) const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its key, PEM (PKCS#8).
    pub(crate) fn key_pem(&self) -> Result<Secret, TlsError> {
        let key = PrivatePkcs8KeyDer::from(self.key.as_slice());
        let mut pair = KeyPair::try_from(&key).map_err(TlsError::Generate)?;
        let pem = Secret::new(pair.serialize_pem());
        pair.zeroize();
        Ok(pem)
    }
}

fn new_key() -> Result<KeyPair, TlsError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(TlsError::Generate)
}

fn ca_params(now: u64, seconds: u64) -> Result<CertificateParams, TlsError> {
    let mut params = params(CA_NAME, Vec::new(), now, seconds)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

fn params(
    name: &str,
    hosts: Vec<String>,
    now: u64,
    seconds: u64,
) -> Result<CertificateParams, TlsError> {
    let moment = |seconds: u64| {
        let seconds = i64::try_from(seconds).unwrap_or_default();
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    };
    let mut params = CertificateParams::new(hosts).map_err(TlsError::Generate)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = moment(now.saturating_sub(BACKDATED_SECONDS));
    params.not_after = moment(now.saturating_add(seconds));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// SHA-256, lower-case hex.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    let digest = ring::digest::digest(&SHA256, der);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What decisions need to know of a CA's certificate.
pub(crate) fn authority(certificate: &CertificateDer<'_>) -> Authority {
    Authority {
        fingerprint: fingerprint(certificate),
        not_before: not_before(certificate).unwrap_or_default(),
        not_after: not_after(certificate).unwrap_or(u64::MAX),
    }
}

/// When a certificate expires, seconds since the epoch.
pub(crate) fn not_after(certificate: &CertificateDer<'_>) -> Option<u64> {
    match verdict_at(certificate, u64::MAX)? {
        CertificateError::ExpiredContext { not_after, .. } => Some(not_after.as_secs()),
        _ => None,
    }
}

/// When a certificate begins to count, seconds since the epoch.
pub(crate) fn not_before(certificate: &CertificateDer<'_>) -> Option<u64> {
    match verdict_at(certificate, 0)? {
        CertificateError::NotValidYetContext { not_before, .. } => Some(not_before.as_secs()),
        _ => None,
    }
}

/// The verifier knows the moments and tells them when it is asked about one before or after all time.
fn verdict_at(certificate: &CertificateDer<'_>, seconds: u64) -> Option<CertificateError> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let algorithms = provider::default_provider().signature_verification_algorithms.all;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let verdict = verify_server_cert_signed_by_trust_anchor(
        &parsed,
        &RootCertStore::empty(),
        &[],
        at,
        algorithms,
    );
    match verdict {
        Err(rustls::Error::InvalidCertificate(error)) => Some(error),
        _ => None,
    }
}

/// Which of these CAs signed a leaf.
pub(crate) fn issuer_of<'a>(
    leaf: &CertificateDer<'_>,
    authorities: impl IntoIterator<Item = &'a CertificateDer<'static>>,
    now: u64,
) -> Option<&'a CertificateDer<'static>> {
    let parsed = ParsedCertificate::try_from(leaf).ok()?;
    let algorithms = provider::default_provider().signature_verification_algorithms.all;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(now));
    authorities.into_iter().find(|authority| {
        let mut roots = RootCertStore::empty();
        roots.add((*authority).clone()).is_ok()
            && verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], at, algorithms)
                .is_ok()
    })
}

/// The certificates of a bundle, with what decisions need to know of them, and whether there was something else.
pub(crate) fn read_bundle(pem: &[u8]) -> (Vec<(Listed, CertificateDer<'static>)>, bool) {
    let mut certificates = Vec::new();
    let mut is_clean = true;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        let certificate = match section {
            Ok((SectionKind::Certificate, der)) => CertificateDer::from(der),
            Ok(_) | Err(_) => {
                is_clean = false;
                continue;
            }
        };
        match is_ours(&certificate) {
            Some(is_ours) => {
                let listed = Listed { authority: authority(&certificate), is_ours };
                certificates.push((listed, certificate));
            }
            None => is_clean = false,
        }
    }
    // Text without any PEM is no error to the reader.
    is_clean &= !certificates.is_empty() || pem.trim_ascii().is_empty();
    (certificates, !is_clean)
}

/// Whether the subject is our CAs' common name and nothing else; `None` for what cannot vouch for anything.
fn is_ours(certificate: &CertificateDer<'static>) -> Option<bool> {
    /// `SET { SEQUENCE { commonName, … } }`: four lengths and types, the identifier, and those of the text.
    const BEFORE_NAME: usize = 4 + 5 + 2;
    let mut store = RootCertStore::empty();
    store.add(certificate.clone()).ok()?;
    let subject = store.roots.first()?.subject.as_ref();
    Some(subject.len() == BEFORE_NAME + CA_NAME.len() && subject.ends_with(CA_NAME.as_bytes()))
}

/// PEM of certificates, one after the other.
pub(crate) fn to_pem<C: AsRef<[u8]>>(certificates: impl IntoIterator<Item = C>) -> String {
    use base64::Engine as _;
    const LINE: usize = 64;
    let mut out = String::new();
    for certificate in certificates {
        let text = base64::prelude::BASE64_STANDARD.encode(certificate);
        out.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(LINE) {
            out.push_str(&String::from_utf8_lossy(line));
            out.push('\n');
        }
        out.push_str("-----END CERTIFICATE-----\n");
    }
    out
}

#[cfg(test)]
mod tests;
