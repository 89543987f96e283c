//! Whose certificates are believed, and when.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

use crate::base::time::Wall;
use crate::domain::x509::{Anchor, Flaw};

/// The public authorities of Mozilla's list, as the crate brings them.
pub(crate) fn public_authorities() -> Vec<CertificateDer<'static>> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec()
}

/// Certificates that somebody trusts: authorities, whose signature counts, and servers' own. Which of them are
/// valid is asked at each handshake, since a process outlives certificates.
#[derive(Debug)]
pub(crate) struct Authorities {
    /// Those that may sign, in the order of `roots`.
    signers: Vec<Anchor>,
    roots: Arc<RootCertStore>,
    /// Those that a server may show as its own.
    own: Vec<(Anchor, CertificateDer<'static>)>,
}

impl Authorities {
    /// Sorts `certificates`, and tells those that are not believed at `now`, if they ever are. When none is
    /// left, the error says why.
    pub(crate) fn new(
        certificates: Vec<CertificateDer<'static>>,
        now: Wall,
    ) -> Result<(Self, Vec<Flaw>), String> {
        let (mut signers, mut roots, mut own) = (Vec::new(), RootCertStore::empty(), Vec::new());
        let mut flaws = Vec::new();
        let mut is_any_good = false;
        for der in certificates {
            let anchor = match Anchor::of_der(&der) {
                Ok(anchor) => anchor,
                Err(flaw) => {
                    flaws.push(flaw);
                    continue;
                }
            };
            let flaw = anchor.flaw(now);
            is_any_good |= flaw.is_none();
            flaws.extend(flaw.or_else(|| anchor.flaw_of_ca()));
            if anchor.can_sign && roots.add(der.clone()).is_ok() {
                signers.push(anchor.clone());
            }
            own.push((anchor, der));
        }
        if !is_any_good {
            let flaws: Vec<_> = flaws.iter().take(FLAWS_SHOWN).map(ToString::to_string).collect();
            return Err(format!("no certificate that can be believed: {}", flaws.join(", ")));
        }
        Ok((Self { signers, roots: Arc::new(roots), own }, flaws))
    }

    /// Those whose signature counts at `now`.
    fn signers_at(&self, now: Wall) -> Arc<RootCertStore> {
        if self.signers.iter().all(|signer| signer.flaw(now).is_none()) {
            return Arc::clone(&self.roots);
        }
        let pairs = self.signers.iter().zip(&self.roots.roots);
        let valid = pairs.filter(|(signer, _)| signer.flaw(now).is_none());
        Arc::new(RootCertStore { roots: valid.map(|(_, root)| root.clone()).collect() })
    }

    /// Why an authority that signed a server's certificate does not count at `now`.
    fn flaw_of_signer(
        &self,
        now: Wall,
        is_signed_by: impl Fn(&RootCertStore) -> bool,
    ) -> Option<Flaw> {
        let pairs = self.signers.iter().zip(&self.roots.roots);
        pairs.into_iter().find_map(|(signer, root)| {
            let flaw = signer.flaw(now)?;
            is_signed_by(&RootCertStore { roots: vec![root.clone()] }).then_some(flaw)
        })
    }

    fn is_own(&self, shown: &CertificateDer<'_>, now: Wall) -> bool {
        self.own.iter().any(|(anchor, own)| own == shown && anchor.flaw(now).is_none())
    }
}

/// Certificates that an error names.
const FLAWS_SHOWN: usize = 3;

/// The usual check of a chain, and two things more that Go's clients do: an authority counts within its time and for
/// what it is made for, and a server may show a certificate that is itself configured as trusted, even one that could
/// sign others, as self-signed ones often can.
#[derive(Debug)]
pub(crate) struct Verified {
    authorities: Authorities,
    provider: Arc<CryptoProvider>,
}

impl Verified {
    pub(crate) fn new(authorities: Authorities, provider: &Arc<CryptoProvider>) -> Self {
        Self { authorities, provider: Arc::clone(provider) }
    }

    fn check_chain(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        at: UnixTime,
    ) -> Result<(), rustls::Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let signed_by = |roots: &RootCertStore| {
            verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, at, algorithms)
        };
        let now = Wall(i64::try_from(at.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000));
        match signed_by(&self.authorities.signers_at(now)) {
            Err(rustls::Error::InvalidCertificate(
                reason @ (CertificateError::UnknownIssuer | CertificateError::Other(_)),
            )) => {
                if self.authorities.is_own(end_entity, now) {
                    return Ok(());
                }
                let flaw = self
                    .authorities
                    .flaw_of_signer(now, |roots| signed_by(roots).is_ok())
                    .map(|flaw| CertificateError::Other(OtherError(Arc::new(NotBelieved(flaw)))));
                Err(rustls::Error::InvalidCertificate(flaw.unwrap_or(reason)))
            }
            settled => settled,
        }
    }
}

/// Why a chain that is otherwise right is not believed.
#[derive(Debug)]
struct NotBelieved(Flaw);

impl std::fmt::Display for NotBelieved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the certificate authority {}", self.0)
    }
}

impl std::error::Error for NotBelieved {}

impl ServerCertVerifier for Verified {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check_chain(end_entity, intermediates, now)?;
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
