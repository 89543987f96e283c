//! Private keys: made from drawn bytes, read from PEM, written as Go writes them, and what they sign.

use p256::ecdsa::signature::Signer as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::pkcs8::der::asn1::{ObjectIdentifier, OctetStringRef};
use p256::pkcs8::der::{Decode as _, Encode as _};
use p256::pkcs8::spki::AlgorithmIdentifierRef;
use p256::pkcs8::{DecodePrivateKey as _, PrivateKeyInfoRef};
use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm,
    SigningKey,
};
use ring::digest;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rsa::pkcs1::{DecodeRsaPrivateKey as _, EncodeRsaPrivateKey as _, EncodeRsaPublicKey as _};
use rsa::rand_core::CryptoRng;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use zeroize::Zeroizing;

use super::Block;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What PKCS#1 puts before a SHA-256 (RFC 8017, 9.2, note 1).
const SHA256_PREFIX: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// Bytes of an RSA key of 4096 bits, and some for unusual exponents.
const RSA_DER_MAX: usize = 2500;

/// What can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ec,
    Ed25519,
    /// With so many bits.
    Rsa(usize),
}

/// A key that certificates are made for and signed with.
pub(crate) struct PrivateKey {
    secret: Secret,
    /// As it stands in a certificate.
    public: Vec<u8>,
}

enum Secret {
    Ec(p256::SecretKey),
    Ed25519(Zeroizing<[u8; 32]>, Ed25519KeyPair),
    Rsa(Box<RsaPrivateKey>),
}

type Result<T> = std::result::Result<T, String>;

impl PrivateKey {
    /// A new key of what `chance` draws.
    pub(crate) fn draw(kind: Kind, chance: &mut impl CryptoRng) -> Result<Self> {
        match kind {
            Kind::Ec => {
                let mut bytes = Zeroizing::new([0; 32]);
                // One draw in four thousand million is no key.
                for _ in 0..8 {
                    chance.fill_bytes(&mut *bytes);
                    if let Ok(key) = p256::SecretKey::from_slice(&*bytes) {
                        return Ok(Self::of_ec(key));
                    }
                }
                Err("no key could be drawn".to_owned())
            }
            Kind::Ed25519 => {
                let mut seed = Zeroizing::new([0; 32]);
                chance.fill_bytes(&mut *seed);
                Self::of_ed25519(seed)
            }
            Kind::Rsa(bits) => {
                let key = RsaPrivateKey::new(chance, bits);
                Self::of_rsa(key.map_err(|e| format!("error generating rsa key: {e}"))?)
            }
        }
    }

    /// Of the first block of a PEM text. Errors hold nothing of the key.
    pub(crate) fn of_pem(text: &[u8]) -> Result<Self> {
        let blocks = Block::all(text);
        let block = blocks.first().ok_or("no PEM data in input")?;
        let der = block.der.as_slice();
        match block.label.as_str() {
            "PRIVATE KEY" => Self::of_pkcs8(der),
            "RSA PRIVATE KEY" => Self::of_pkcs1(der),
            "EC PRIVATE KEY" => {
                let key = p256::SecretKey::from_sec1_der(der);
                let key = key.map_err(|_quotes| "want an EC private key of the curve P-256")?;
                Ok(Self::of_ec(key))
            }
            _ if block.is_key() => {
                Err("want an unencrypted RSA, P-256 or Ed25519 private key".to_owned())
            }
            _ => Err("no private key data in PEM block".to_owned()),
        }
    }

    fn of_pkcs8(der: &[u8]) -> Result<Self> {
        let info = PrivateKeyInfoRef::try_from(der);
        let info = info.map_err(|_quotes| "decoding PEM as PKCS#8: not well-formed")?;
        match info.algorithm.oid {
            RSA => Self::of_pkcs1(info.private_key.as_bytes()),
            EC => {
                let key = p256::SecretKey::from_pkcs8_der(der);
                let key = key.map_err(|_quotes| "want an EC private key of the curve P-256")?;
                Ok(Self::of_ec(key))
            }
            ED25519 => {
                let seed = <&OctetStringRef>::from_der(info.private_key.as_bytes()).ok();
                let seed = seed.and_then(|seed| seed.as_bytes().try_into().ok());
                let seed: [u8; 32] = seed.ok_or("parsing Ed25519 private key: not well-formed")?;
                Self::of_ed25519(Zeroizing::new(seed))
            }
            _ => Err("want an RSA, P-256 or Ed25519 private key".to_owned()),
        }
    }

    fn of_pkcs1(der: &[u8]) -> Result<Self> {
        if der.len() > RSA_DER_MAX {
            return Err("want an RSA private key of 4096 bits at most".to_owned());
        }
        let key = RsaPrivateKey::from_pkcs1_der(der);
        Self::of_rsa(key.map_err(|_quotes| "parsing RSA private key from PEM: not a valid key")?)
    }

    fn of_rsa(key: RsaPrivateKey) -> Result<Self> {
        let public = key.to_public_key().to_pkcs1_der();
        let public = public.map_err(|e| format!("encoding the public key: {e}"))?.into_vec();
        Ok(Self { secret: Secret::Rsa(Box::new(key)), public })
    }

    fn of_ec(key: p256::SecretKey) -> Self {
        let public = key.public_key().to_sec1_point(false).as_bytes().to_vec();
        Self { secret: Secret::Ec(key), public }
    }

    fn of_ed25519(seed: Zeroizing<[u8; 32]>) -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|e| e.to_string())?;
        let public = pair.public_key().as_ref().to_vec();
        Ok(Self { secret: Secret::Ed25519(seed, pair), public })
    }

    /// PKCS#1, SEC1 or PKCS#8, whichever Go prefers for the kind.
    pub(crate) fn to_pem(&self) -> Result<Zeroizing<String>> {
        let failed = |e: p256::pkcs8::der::Error| format!("encoding the private key: {e}");
        let (label, der) = match &self.secret {
            Secret::Rsa(key) => {
                let der = key.to_pkcs1_der().map_err(|e| format!("encoding the key: {e}"))?;
                ("RSA PRIVATE KEY", der.to_bytes())
            }
            Secret::Ec(key) => ("EC PRIVATE KEY", key.to_sec1_der().map_err(failed)?),
            Secret::Ed25519(seed, _) => {
                let seed = OctetStringRef::new(&**seed).map_err(failed)?;
                let wrapped = Zeroizing::new(seed.to_der().map_err(failed)?);
                let algorithm = AlgorithmIdentifierRef { oid: ED25519, parameters: None };
                let key = OctetStringRef::new(&wrapped).map_err(failed)?;
                let der = PrivateKeyInfoRef::new(algorithm, key).to_der().map_err(failed)?;
                ("PRIVATE KEY", Zeroizing::new(der))
            }
        };
        Ok(Block { label: label.to_owned(), der }.to_text())
    }
}

impl PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.secret {
            Secret::Ec(_) => &PKCS_ECDSA_P256_SHA256,
            Secret::Ed25519(..) => &PKCS_ED25519,
            Secret::Rsa(_) => &PKCS_RSA_SHA256,
        }
    }
}

/// All three kinds of signature follow from key and message alone (ECDSA by RFC 6979).
impl SigningKey for PrivateKey {
    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, rcgen::Error> {
        Ok(match &self.secret {
            Secret::Ec(key) => {
                let signature: p256::ecdsa::DerSignature =
                    p256::ecdsa::SigningKey::from(key).sign(message);
                signature.as_bytes().to_vec()
            }
            Secret::Ed25519(_, pair) => pair.sign(message).as_ref().to_vec(),
            Secret::Rsa(key) => {
                let digest = digest::digest(&digest::SHA256, message);
                let padding = Pkcs1v15Sign { hash_len: Some(32), prefix: SHA256_PREFIX.into() };
                let signed = key.sign(padding, digest.as_ref());
                signed.map_err(|_unspecified| rcgen::Error::RemoteKeyError)?
            }
        })
    }
}
