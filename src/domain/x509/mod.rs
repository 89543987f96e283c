//! Certificates and keys as values: what stands in their PEM blocks.

use std::time::Duration;

use x509_cert::TbsCertificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::{BasicConstraints, SubjectKeyIdentifier};
use zeroize::Zeroizing;

use crate::base::time::Wall;

mod anchor;
mod bundle;
mod issue;
mod key;

pub(crate) use anchor::{Anchor, Flaw};
pub use bundle::Bundle;
pub(crate) use issue::{Issuer, Wish};
pub(crate) use key::{Kind, PrivateKey};

/// A block of a PEM text.
pub(crate) struct Block {
    /// `CERTIFICATE`, `RSA PRIVATE KEY` and the like.
    pub(crate) label: String,
    pub(crate) der: Zeroizing<Vec<u8>>,
}

impl Block {
    /// All blocks of a text; none when one of them is broken.
    pub(crate) fn all(text: &[u8]) -> Vec<Self> {
        let parsed = pem::parse_many(text).unwrap_or_default().into_iter();
        parsed
            .map(|block| {
                let label = block.tag().to_owned();
                Self { label, der: Zeroizing::new(block.into_contents()) }
            })
            .collect()
    }

    pub(crate) fn is_certificate(&self) -> bool {
        self.label == "CERTIFICATE"
    }

    pub(crate) fn is_key(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }

    /// As Go writes it: lines of 64 characters, a newline behind the last.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        let block = pem::Pem::new(&self.label, self.der.as_slice());
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Zeroizing::new(pem::encode_config(&block, config))
    }
}

/// A certificate that was read.
pub(crate) struct Certificate(x509_cert::Certificate);

impl Certificate {
    /// `None` for what is no certificate.
    pub(crate) fn of_der(der: &[u8]) -> Option<Self> {
        x509_cert::Certificate::from_der(der).ok().map(Self)
    }

    fn tbs(&self) -> &TbsCertificate {
        self.0.tbs_certificate()
    }

    pub(crate) fn is_ca(&self) -> bool {
        let found = self.tbs().get_extension::<BasicConstraints>();
        found.is_ok_and(|found| found.is_some_and(|(_, constraints)| constraints.ca))
    }

    /// From when until when it is valid, in seconds since the epoch.
    pub(crate) fn validity(&self) -> (i64, i64) {
        let validity = self.tbs().validity();
        let seconds = |since: Duration| i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let (from, to) = (validity.not_before, validity.not_after);
        (seconds(from.to_unix_duration()), seconds(to.to_unix_duration()))
    }

    /// When its successor is asked for: after nine tenths of its life.
    pub(crate) fn renew_at(&self) -> Wall {
        let (from, to) = self.validity();
        let life = to.saturating_sub(from).max(0);
        let at = from.saturating_mul(1000).saturating_add(life.saturating_mul(900));
        Wall(at)
    }

    /// The bits of its public key.
    fn public_key(&self) -> Option<&[u8]> {
        self.tbs().subject_public_key_info().subject_public_key.as_bytes()
    }

    fn key_id(&self) -> Option<Vec<u8>> {
        let (_, id) = self.tbs().get_extension::<SubjectKeyIdentifier>().ok()??;
        Some(id.0.as_bytes().to_vec())
    }
}
