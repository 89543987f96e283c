//! The server's side of TLS: what is offered, which certificate is served and where it comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use ring::digest::{Context, SHA256};
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
pub(crate) use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, InconsistentKeys, ServerConfig};
use zeroize::Zeroizing;

use crate::adapter::authority::{Ca, fingerprint, not_after, not_before};
use crate::adapter::files::read_bounded;
use crate::domain::serving::ca::{LEAF_SECONDS, Leaf};

/// Why there is no certificate to serve, or no TLS at all.
#[derive(Debug)]
pub(crate) enum TlsError {
    /// The cipher suites leave nothing for the versions.
    Agree(rustls::Error),
    /// None of these cipher suites exists here.
    Cipher(Vec<String>),
    /// Something in this file is not what it should be. Holds no content: it may be a key.
    Content {
        /// The file.
        path: String,
        /// What is missing.
        lacks: &'static str,
    },
    /// The key belongs to another certificate, or one of the two is of a kind that cannot be used.
    Fit {
        /// The file of the certificate.
        certificate: String,
        /// The file of the key.
        key: String,
        /// What rustls says.
        source: rustls::Error,
    },
    /// No certificate could be made.
    Generate(rcgen::Error),
    /// A file cannot be read; the cause names it.
    Read(io::Error),
    /// The certificate that was just made cannot be used.
    Use(rustls::Error),
}

/// What rustls says of a key that is not the certificate's.
const MISMATCH: rustls::Error = rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agree(_) => f.write_str("no TLS version is left to offer"),
            Self::Cipher(names) => {
                write!(
                    f,
                    "none of the cipher suites {} is known, want some of ",
                    names.join(", ")
                )?;
                f.write_str(&suite_names().into_keys().collect::<Vec<_>>().join(", "))
            }
            Self::Content { path, lacks } => write!(f, "no {lacks} in {path}"),
            Self::Fit { certificate, key, source } if *source == MISMATCH => {
                write!(f, "certificate and key do not fit: {key} is not the key of {certificate}")
            }
            Self::Fit { certificate, key, .. } => {
                write!(f, "cannot use the certificate {certificate} with the key {key}")
            }
            Self::Generate(_) => f.write_str("cannot make a certificate"),
            Self::Read(_) => f.write_str("cannot read certificate and key"),
            Self::Use(_) => f.write_str("cannot use the certificate just made"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Fit { source, .. } if *source == MISMATCH => None,
            Self::Agree(source) | Self::Fit { source, .. } | Self::Use(source) => Some(source),
            Self::Generate(source) => Some(source),
            Self::Read(source) => Some(source),
            Self::Cipher(_) | Self::Content { .. } => None,
        }
    }
}

/// What is offered to clients.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    provider: CryptoProvider,
    tls13_only: bool,
}

impl Offer {
    /// TLS 1.3, and 1.2 unless `tls13_only`. A non-empty list of suites chooses among those of 1.2; the
    /// names of 1.3 are accepted and change nothing, as in Go. Of the others those that are not known are left out:
    /// lists of a company's policy name some with CBC or RSA key exchange.
    pub(crate) fn new(tls13_only: bool, suites: &[String]) -> Result<Self, TlsError> {
        let mut provider = provider::default_provider();
        let names = suite_names();
        if !suites.is_empty() {
            let wanted: Vec<CipherSuite> =
                suites.iter().filter_map(|name| names.get(name)).copied().collect();
            if wanted.is_empty() {
                return Err(TlsError::Cipher(suites.to_vec()));
            }
            provider
                .cipher_suites
                .retain(|suite| suite.tls13().is_some() || wanted.contains(&suite.suite()));
        }
        Ok(Self { provider, tls13_only })
    }

    /// Those of a list that are left out, since they are not known.
    pub(crate) fn unknown_suites(suites: &[String]) -> Vec<&str> {
        let names = suite_names();
        suites.iter().filter(|name| !names.contains_key(*name)).map(String::as_str).collect()
    }

    /// The server's configuration. Nothing is kept of a session: API servers do not resume any.
    pub(crate) fn server_config(self, served: Arc<Served>) -> Result<ServerConfig, TlsError> {
        let versions: &[_] = if self.tls13_only { &[&TLS13] } else { &[&TLS13, &TLS12] };
        let mut config = ServerConfig::builder_with_provider(Arc::new(self.provider))
            .with_protocol_versions(versions)
            .map_err(TlsError::Agree)?
            .with_no_client_auth()
            .with_cert_resolver(served);
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

/// What may be asked for: IANA's names, and Go's short ones of the ChaCha20 suites.
fn suite_names() -> BTreeMap<String, CipherSuite> {
    let mut names = BTreeMap::new();
    for suite in provider::default_provider().cipher_suites {
        // rustls prefixes those of TLS 1.3 with `TLS13_`.
        let name = suite.suite().as_str().unwrap_or_default().replace("TLS13_", "TLS_");
        if let Some(short) = name.strip_suffix("_POLY1305_SHA256").filter(|n| n.contains("_WITH_"))
        {
            let _first = names.insert(format!("{short}_POLY1305"), suite.suite());
        }
        let _first = names.insert(name, suite.suite());
    }
    names
}

/// The certificate that is served now, whatever name the client asks for. Replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct Served(RwLock<Option<Arc<CertifiedKey>>>);

impl Served {
    /// Serves `material` from the next handshake on.
    pub(crate) fn replace(&self, material: &Material) {
        let mut slot = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(Arc::clone(&material.key));
    }

    /// What is served now. Two that are the same are at the same place in memory.
    pub(crate) fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

/// A certificate with its key.
pub(crate) struct Material {
    key: Arc<CertifiedKey>,
    /// When it expires, seconds since the epoch; `None` when that cannot be told.
    pub(crate) not_after: Option<u64>,
    /// SHA-256 of the certificate, lower-case hex.
    pub(crate) fingerprint: String,
}

impl Material {
    /// A chain, leaf first, and the leaf's key.
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, rustls::Error> {
        let not_after = chain.first().and_then(not_after);
        let fingerprint = chain.first().map(|leaf| fingerprint(leaf)).unwrap_or_default();
        let key = CertifiedKey::from_der(chain, key, &provider::default_provider())?;
        Ok(Self { key: Arc::new(key), not_after, fingerprint })
    }

    /// The certificate itself.
    pub(crate) fn leaf(&self) -> &CertificateDer<'static> {
        const NONE: &CertificateDer<'static> = &CertificateDer::from_slice(&[]);
        self.key.cert.first().unwrap_or(NONE)
    }

    /// What decisions need to know of it; `ca` is the fingerprint of who signed it.
    pub(crate) fn facts(&self, ca: &str) -> Leaf {
        Leaf {
            fingerprint: self.fingerprint.clone(),
            ca: ca.to_owned(),
            not_before: not_before(self.leaf()).unwrap_or_default(),
            not_after: self.not_after.unwrap_or(u64::MAX),
        }
    }
}

/// Where certificates come from.
pub(crate) enum Source {
    /// Two PEM files that somebody else keeps.
    Files(Files),
    /// Our own CA, which lives as long as the process.
    SelfSigned(Box<SelfSigned>),
}

impl Source {
    /// A new certificate, or `None` when the last one is still right. `now` is seconds since the epoch.
    pub(crate) fn poll(&mut self, now: u64) -> Result<Option<Material>, TlsError> {
        match self {
            Self::Files(files) => files.poll(),
            Self::SelfSigned(own) => own.poll(now),
        }
    }

    /// SHA-256 of our own CA, lower-case hex.
    pub(crate) fn ca_fingerprint(&self) -> Option<String> {
        match self {
            Self::Files(_) => None,
            Self::SelfSigned(own) => Some(own.ca.facts.fingerprint.clone()),
        }
    }
}

/// Two PEM files that somebody else keeps.
pub(crate) struct Files {
    certificate: String,
    key: String,
    bytes_max: usize,
    /// Of both files as last handed out.
    seen: Option<Vec<u8>>,
}

impl Files {
    /// Neither file may be longer than `bytes_max`.
    pub(crate) const fn new(certificate: String, key: String, bytes_max: usize) -> Self {
        Self { certificate, key, bytes_max, seen: None }
    }

    fn poll(&mut self) -> Result<Option<Material>, TlsError> {
        let read =
            |path: &String| read_bounded(Path::new(path), self.bytes_max).map_err(TlsError::Read);
        let certificate = read(&self.certificate)?;
        let key = Zeroizing::new(read(&self.key)?);
        let mut digest = Context::new(&SHA256);
        digest.update(&certificate);
        digest.update(b"\0");
        digest.update(&key);
        let digest = digest.finish().as_ref().to_vec();
        if self.seen.as_ref() == Some(&digest) {
            return Ok(None);
        }
        let material = Self::material((&self.certificate, &self.key), &certificate, &key)?;
        self.seen = Some(digest);
        Ok(Some(material))
    }

    /// Of a chain and its key, both PEM. Errors name them by `names`.
    pub(crate) fn material(
        names: (&str, &str),
        certificate: &[u8],
        key: &[u8],
    ) -> Result<Material, TlsError> {
        let lacks = |path: &str, lacks| TlsError::Content { path: path.to_owned(), lacks };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|_quotes_content| lacks(names.0, "well-formed PEM certificates"))?;
        if chain.is_empty() {
            return Err(lacks(names.0, "PEM certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_quotes_content| lacks(names.1, "unencrypted PEM private key"))?;
        Material::new(chain, key).map_err(|source| TlsError::Fit {
            certificate: names.0.to_owned(),
            key: names.1.to_owned(),
            source,
        })
    }
}

/// Our own CA and the leaf certificates it signs.
pub(crate) struct SelfSigned {
    ca: Ca,
    hosts: Vec<String>,
    /// When the present leaf is right; before that, a clock ran ahead when it was made.
    fresh: Range<u64>,
}

/// Life of a CA that somebody copies by hand from the handshake, as vault-k8s has it.
const CA_SECONDS: u64 = 3650 * 24 * 3600;

impl SelfSigned {
    /// A new CA, and leaves for `hosts`: names or addresses. `now` is seconds since the epoch.
    pub(crate) fn new(hosts: Vec<String>, now: u64) -> Result<Self, TlsError> {
        Ok(Self { ca: Ca::make(now, CA_SECONDS)?, hosts, fresh: 0..0 })
    }

    fn poll(&mut self, now: u64) -> Result<Option<Material>, TlsError> {
        if self.fresh.contains(&now) {
            return Ok(None);
        }
        let signed = self.ca.sign(&self.hosts, now, LEAF_SECONDS)?;
        self.fresh = signed.facts.not_before..now + LEAF_SECONDS / 3 * 2;
        Ok(Some(signed.material))
    }
}

#[cfg(test)]
mod tests;
