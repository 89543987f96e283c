//! A certificate with what belongs to it, as `pkiCert` hands it out.

use std::fmt;

use rcgen::PublicKeyData as _;

use super::{Block, Certificate, PrivateKey};
use crate::base::json::Json;
use crate::base::secret::Secret;
use crate::base::time::Wall;

/// A certificate, its key and the CAs above it, as PEM. `Debug` shows no content.
#[derive(Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The certificate; never that of a CA.
    pub certificate: String,
    /// Its key; empty when there was none.
    pub key: Secret,
    /// The CA that issued it; empty when there was none.
    pub ca: String,
    /// All CAs, each once.
    pub ca_chain: Vec<String>,
    /// When a new one is asked for: after nine tenths of its life.
    pub renew_at: Wall,
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bundle(..)")
    }
}

impl Bundle {
    /// Of what stands in a file, if a certificate does.
    pub fn of_text(text: &[u8]) -> Option<Self> {
        Self::of_blocks(Block::all(text))
    }

    /// Of the data of a response of the PKI engine. The issuing CA comes first, whatever the chain says.
    pub fn of_data(data: &Json) -> Option<Self> {
        let members = data.as_object()?;
        let issuing = members.get("issuing_ca");
        let chain = members.get("ca_chain").and_then(Json::as_array).unwrap_or_default();
        let texts = issuing.into_iter().chain(members.values()).chain(chain);
        let texts = texts.filter_map(Json::as_str);
        Self::of_blocks(texts.flat_map(|text| Block::all(text.as_bytes())))
    }

    /// Whether the key is the certificate's; `None` when there is none, or one of a kind that is not known
    /// here.
    pub fn has_its_key(&self) -> Option<bool> {
        let key = PrivateKey::of_pem(self.key.expose().as_bytes()).ok()?;
        let block = Block::all(self.certificate.as_bytes()).into_iter().next()?;
        let certificate = Certificate::of_der(&block.der)?;
        Some(certificate.public_key() == Some(key.der_bytes()))
    }

    /// Whether it is still good at `now`.
    pub fn is_good(&self, now: Wall) -> bool {
        now < self.renew_at
    }

    fn of_blocks(blocks: impl IntoIterator<Item = Block>) -> Option<Self> {
        let (mut leaf, mut key) = (None, Secret::new(""));
        let mut ca_chain: Vec<String> = Vec::new();
        for block in blocks {
            if block.is_key() {
                key = Secret::new(block.to_text().as_str());
            } else if block.is_certificate()
                && let Some(certificate) = Certificate::of_der(&block.der)
            {
                let text = block.to_text().as_str().to_owned();
                if !certificate.is_ca() {
                    leaf = Some((text, certificate.renew_at()));
                } else if !ca_chain.contains(&text) {
                    ca_chain.push(text);
                }
            }
        }
        let (certificate, renew_at) = leaf?;
        let ca = ca_chain.first().cloned().unwrap_or_default();
        Some(Self { certificate, key, ca, ca_chain, renew_at })
    }
}
