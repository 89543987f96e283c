//! Vault over HTTP: requests of [`crate::domain::vault`] out, replies in.

mod prints;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};

use super::clock::Clock;
use super::files;
use super::http_client::{
    HttpClient, HttpError, HttpReply, HttpRequest, HttpSettings, LINE_BYTES_MAX, TlsHints,
};
use super::tls_client::{Identity, Trust, certificates, client_config, private_key};
use super::trust::{Authorities, public_authorities};
use crate::base::address::{Address, AddressError, shown};
use crate::base::hidden::hide;
use crate::base::secret::Secret;
use crate::base::time::Wall;
use crate::domain::agent_config::Connection;
use crate::domain::vault::{Bucket, Reply, Request, VaultError};
use crate::domain::x509::Flaw;
use prints::Prints;

/// Bounds of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientLimits {
    /// Bytes of one answer.
    pub(crate) reply_bytes_max: usize,
    /// Bytes that the values of one answer may take in memory.
    pub(crate) reply_memory_max: usize,
    /// Bytes of one file of certificates or keys.
    pub(crate) file_bytes_max: usize,
}

/// Why there is no client. All of these are mistakes of configuration or missing files.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// Not an address of Vault.
    Address {
        /// As configured, without what may be a password.
        address: String,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// A certificate authority that cannot be used.
    CaUnusable {
        /// The setting or the path.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The client certificate or its key cannot be used.
    ClientPair {
        /// What is wrong with it.
        reason: String,
    },
    /// A file that cannot be read.
    File {
        /// The setting that names it.
        setting: &'static str,
        /// Names the path.
        source: io::Error,
    },
    /// The proxy cannot be used.
    Proxy {
        /// What is wrong with it.
        reason: String,
    },
    /// `tls_server_name` is no name.
    ServerName {
        /// As configured.
        name: String,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, reason } => write!(f, "Vault address \"{address}\": {reason}"),
            Self::CaUnusable { place, reason } => write!(f, "{place}: {reason}"),
            Self::ClientPair { reason } => write!(f, "client_cert and client_key: {reason}"),
            Self::File { setting, .. } => f.write_str(setting),
            Self::Proxy { reason } => write!(f, "proxy: {reason}"),
            Self::ServerName { name } => {
                write!(f, "tls_server_name \"{name}\" is neither a DNS name nor an IP address")
            }
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::File { source, .. } = self { Some(source) } else { None }
    }
}

/// Where distributions keep the authorities that they trust.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What Vault's own client waits for one request.
const TIMEOUT: Duration = Duration::from_secs(60);

const TLS_HINTS: TlsHints = TlsHints {
    untrusted: "; is its CA the one of ca_cert (VAULT_CACERT, VAULT_CACERT_BYTES)?",
    misnamed: "; set tls_server_name (VAULT_TLS_SERVER_NAME) to a name that the certificate has",
    identity: "; the server wants a client certificate: client_cert and client_key",
};

/// When nobody named an authority.
const TLS_HINTS_PUBLIC: TlsHints = TlsHints {
    untrusted: "; no CA is configured, so that only public ones are believed: name Vault's own by the annotations \
                tls-secret and ca-cert, or for all pods by AGENT_INJECT_VAULT_CACERT_BYTES of the webhook \
                (vault.caCert of the chart); without an injector by VAULT_CACERT",
    ..TLS_HINTS
};

/// Files of `ca_path` that are looked at.
const CA_FILES_MAX: usize = 1000;

/// A client of one Vault. Any number of threads may use it at once.
pub(crate) struct VaultClient {
    http: HttpClient,
    /// In normal form.
    address: String,
    /// Configured certificates that were not believed when they were last read.
    left_out: Mutex<Vec<Flaw>>,
    /// What the certificates were read from, and how it was found.
    connection: Connection,
    limits: ClientLimits,
    prints: Mutex<Prints>,
    /// The turns of requests, where they are limited.
    turns: Option<Mutex<Bucket>>,
    /// The last credentials that were sent.
    sent: Mutex<VecDeque<Secret>>,
    clock: Clock,
}

/// Credentials that are remembered: those of some logins.
const SENT_MAX: usize = 16;

impl VaultClient {
    /// Reads certificates and keys; nothing is sent yet.
    pub(crate) fn connect(
        connection: &Connection,
        limits: ClientLimits,
        clock: Clock,
    ) -> Result<Self, ConnectError> {
        let address = Address::parse(&connection.address).map_err(|reason| {
            ConnectError::Address { address: shown(&connection.address), reason }
        })?;
        // Before they are read: what is replaced meanwhile is read again.
        let prints = Prints::take(connection, SYSTEM_BUNDLES, CA_FILES_MAX);
        let (tls, source) = tls(connection, &address, limits.file_bytes_max, clock.wall())?;
        let server_name = connection.tls_server_name.as_deref().filter(|name| !name.is_empty());
        let server_name = server_name.map(|name| {
            ServerName::try_from(name.to_owned())
                .map_err(|_invalid| ConnectError::ServerName { name: name.to_owned() })
        });
        let settings = HttpSettings {
            tls,
            server_name: server_name.transpose()?,
            proxy: connection.proxy.clone(),
            no_proxy: connection.no_proxy.clone().unwrap_or_default(),
            timeout: connection.timeout.filter(|t| !t.is_zero()).unwrap_or(TIMEOUT),
            reply_bytes_max: limits.reply_bytes_max,
            tls_hints: if source.is_public { &TLS_HINTS_PUBLIC } else { &TLS_HINTS },
        };
        let http = HttpClient::new(settings, clock);
        let http = http.map_err(|reason| ConnectError::Proxy { reason })?;
        Ok(Self {
            http,
            address: address.to_string(),
            left_out: Mutex::new(source.left_out),
            connection: connection.clone(),
            limits,
            prints: Mutex::new(prints),
            turns: connection.rate_limit.map(|limit| Mutex::new(Bucket::new(limit, clock.now()))),
            sent: Mutex::default(),
            clock,
        })
    }

    /// Configured certificates that are not believed now, for a warning.
    pub(crate) fn left_out(&self) -> Vec<Flaw> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads certificates and keys again, for connections that are still to be made. What cannot be read
    /// changes nothing.
    pub(crate) fn reload(&self) -> Result<(), ConnectError> {
        let prints = Prints::take(&self.connection, SYSTEM_BUNDLES, CA_FILES_MAX);
        let address = Address::parse(&self.address)
            .map_err(|reason| ConnectError::Address { address: self.address.clone(), reason })?;
        let now = self.clock.wall();
        let (tls, source) = tls(&self.connection, &address, self.limits.file_bytes_max, now)?;
        self.http.believe(tls);
        *self.left_out.lock().unwrap_or_else(PoisonError::into_inner) = source.left_out;
        *self.prints.lock().unwrap_or_else(PoisonError::into_inner) = prints;
        Ok(())
    }

    /// Follows certificates that were replaced on disk. A look at a few files costs nothing beside a request.
    fn follow_files(&self) {
        let found = Prints::take(&self.connection, SYSTEM_BUNDLES, CA_FILES_MAX);
        let is_new = *self.prints.lock().unwrap_or_else(PoisonError::into_inner) != found;
        if is_new {
            // Half of a pair is there, or half a file: with the next request all of it.
            let _as_before = self.reload();
        }
    }

    /// Waits for the turn of one request.
    fn await_turn(&self) {
        let Some(turns) = &self.turns else { return };
        let now = self.clock.now();
        let end = now + turns.lock().unwrap_or_else(PoisonError::into_inner).take(now);
        loop {
            let left = end.since(self.clock.now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }

    /// Sends a request, follows one redirect (a standby node names the active one) and returns whatever
    /// Vault answered. Retries nothing.
    pub(crate) fn send(&self, request: &Request) -> Result<Reply, VaultError> {
        let token = request.token.as_ref().map(Secret::expose);
        if token.is_some_and(|token| !token.bytes().all(|byte| (0x20..0x7f).contains(&byte))) {
            return Err(VaultError::TokenUnprintable);
        }
        let wrap_ttl = request.wrap_ttl.map(|ttl| format!("{}s", ttl.as_secs()));
        let mut headers = vec![("X-Vault-Request", "true")];
        headers.extend(token.map(|token| ("X-Vault-Token", token)));
        headers.extend(request.namespace.as_deref().map(|ns| ("X-Vault-Namespace", ns)));
        headers.extend(wrap_ttl.as_deref().map(|ttl| ("X-Vault-Wrap-TTL", ttl)));
        if request.body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        self.await_turn();
        self.follow_files();
        let more = self.connection.headers.iter();
        headers.extend(more.map(|(name, value)| (name.as_str(), value.expose())));
        let query = if request.query.is_empty() { "" } else { "?" };
        let url = format!("{}/v1/{}{query}{}", self.address, request.path, request.query);
        let lines = headers.iter().map(|(name, value)| (*name, name.len() + value.len()));
        let mut lines = lines.chain([("path", request.path.len() + request.query.len())]);
        if let Some((what, bytes)) = lines.find(|(_, bytes)| *bytes > LINE_BYTES_MAX) {
            let (what, bytes_max) = (what.to_owned(), LINE_BYTES_MAX);
            return Err(VaultError::TooLong { what, bytes, bytes_max });
        }
        let sent = self.sent(request);
        let first = self.exchange(&url, &headers, request, &sent)?;
        if !matches!(first.status, 301 | 302 | 307 | 308) {
            return Ok(self.reply(first, sent));
        }
        let refused = |why: String| VaultError::Refused {
            method: request.method.word(),
            path: request.path.clone(),
            status: first.status,
            errors: vec![hide(&why, &sent)],
            missing_capabilities: Vec::new(),
            retry_after: None,
        };
        let target = first.location.as_deref().unwrap_or_default();
        if self.connection.refuses_redirects {
            let target = redirect_target(&url, target).map(|target| origin(&target));
            let target = target.unwrap_or("elsewhere".to_owned());
            return Err(refused(format!(
                "redirected to {target}, which VAULT_DISABLE_REDIRECTS forbids: is that the address to use?"
            )));
        }
        let target = redirect_target(&url, target).map_err(|why| refused(why.to_owned()))?;
        let second = self.exchange(&target, &headers, request, &sent)?;
        if matches!(second.status, 301 | 302 | 307 | 308) {
            return Err(refused(format!("redirected a second time, by {}", origin(&target))));
        }
        Ok(self.reply(second, sent))
    }

    fn reply(&self, http: HttpReply, credentials: Vec<Secret>) -> Reply {
        let HttpReply { status, body, retry_after, .. } = http;
        Reply { status, body, memory_max: self.limits.reply_memory_max, credentials, retry_after }
    }

    /// What was sent by now and must not come out of foreign words: this request's, and what logins and requests
    /// before it sent, as a server may repeat what it remembers.
    fn sent(&self, request: &Request) -> Vec<Secret> {
        let own = request.credentials();
        let is_login = request.path.starts_with("auth/");
        let kept = if is_login { own.as_slice() } else { request.token.as_slice() };
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        for credential in kept {
            if !sent.contains(credential) {
                sent.push_back(credential.clone());
            }
        }
        while sent.len() > SENT_MAX {
            sent.pop_front();
        }
        let of_proxy = self.http.proxy_credentials();
        sent.iter().chain(&own).cloned().chain(of_proxy).collect()
    }

    /// Closes connections that nobody uses; worth it when nothing is under way or due for a while.
    pub(crate) fn close_idle(&self) {
        self.http.close_idle();
    }

    fn exchange(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        request: &Request,
        sent: &[Secret],
    ) -> Result<HttpReply, VaultError> {
        let http = HttpRequest {
            method: request.method.word(),
            url,
            headers,
            body: request.body.as_ref().map(Secret::expose),
        };
        self.http.exchange(&http).map_err(|error| match error {
            HttpError::NoAnswer(reason) => {
                let address = hide(&origin(url), sent);
                VaultError::Unreachable { address, reason: hide(&reason, sent) }
            }
            HttpError::Malformed(_) | HttpError::TooLarge(_) => VaultError::Garbled {
                method: request.method.word(),
                path: request.path.clone(),
                reason: error.to_string(),
            },
        })
    }
}

/// Whom to believe and who we are, where the address or the proxy speaks TLS.
fn tls(
    connection: &Connection,
    address: &Address,
    file_bytes_max: usize,
    now: Wall,
) -> Result<(Option<Arc<ClientConfig>>, Source), ConnectError> {
    let has_https_proxy =
        connection.proxy.as_ref().is_some_and(|proxy| proxy.expose().starts_with("https:"));
    let mut source = Source { left_out: Vec::new(), is_public: false };
    if !address.is_https() && !has_https_proxy {
        return Ok((None, source));
    }
    let trust = trust(connection, file_bytes_max, now, &mut source)?;
    let identity = identity(connection, file_bytes_max)?;
    let has_identity = identity.is_some();
    let config = client_config(trust, identity).map_err(|reason| match has_identity {
        true => ConnectError::ClientPair { reason },
        false => ConnectError::CaUnusable { place: "certificate authority".into(), reason },
    });
    Ok((Some(config?), source))
}

/// The address in front of a URL's query.
fn address_of(url: &str) -> Result<Address, AddressError> {
    Address::parse(url.split(['?', '#']).next().unwrap_or_default())
}

/// Scheme, host and port of a URL that was built or checked here.
fn origin(url: &str) -> String {
    address_of(url).map(|address| address.origin()).unwrap_or_default()
}

/// The absolute form of `location`; a step down from HTTPS is refused, as in Vault's client.
fn redirect_target(from: &str, location: &str) -> Result<String, &'static str> {
    let unusable = |_none| "a redirect without a usable Location";
    let from = address_of(from).map_err(unusable)?;
    let target = if location.starts_with('/') && !location.starts_with("//") {
        format!("{}{location}", from.origin())
    } else {
        location.to_owned()
    };
    let is_https = address_of(&target).map_err(unusable)?.is_https();
    if from.is_https() && !is_https {
        return Err("a redirect from https to http, which would show the token");
    }
    Ok(target)
}

/// What there is to say of where the authorities come from.
struct Source {
    left_out: Vec<Flaw>,
    /// Nobody named an authority of Vault's own.
    is_public: bool,
}

/// Vault's order: `ca_cert`, then the PEM text, then `ca_path`, then the system. Where none of them is, as in our own
/// image, the public authorities that the executable brings.
fn trust(
    connection: &Connection,
    bytes_max: usize,
    now: Wall,
    source: &mut Source,
) -> Result<Trust, ConnectError> {
    if connection.tls_skip_verify {
        return Ok(Trust::Anyone);
    }
    let (place, found) = authorities(connection, bytes_max, SYSTEM_BUNDLES, source)?;
    let (authorities, left_out) = match found {
        Ok(found) if found.is_empty() => Err("holds no PEM certificate".to_owned()),
        Ok(found) => Authorities::new(found, now),
        Err(reason) => Err(reason),
    }
    .map_err(|reason| ConnectError::CaUnusable { place, reason })?;
    source.left_out = left_out;
    Ok(Trust::Roots(authorities))
}

/// A name for the place, and the certificates in it.
type Found = (String, Result<Vec<CertificateDer<'static>>, String>);

fn authorities(
    connection: &Connection,
    bytes_max: usize,
    bundles: &[&str],
    source: &mut Source,
) -> Result<Found, ConnectError> {
    let is_set = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    if let Some(path) = is_set(&connection.ca_cert) {
        return of_file("ca_cert", &path, bytes_max);
    }
    if let Some(pem) = is_set(&connection.ca_cert_bytes) {
        return Ok(("VAULT_CACERT_BYTES".to_owned(), certificates(pem.as_bytes())));
    }
    if let Some(path) = is_set(&connection.ca_path) {
        return of_folder(&path, bytes_max);
    }
    source.is_public = true;
    if let Some(path) = is_set(&connection.system_ca_file) {
        return of_file("SSL_CERT_FILE", &path, bytes_max);
    }
    match bundles.iter().find(|path| Path::new(path).is_file()) {
        Some(path) => of_file("the system's certificates", path, bytes_max),
        None => Ok(("the public authorities".to_owned(), Ok(public_authorities()))),
    }
}

fn of_file(setting: &'static str, path: &str, bytes_max: usize) -> Result<Found, ConnectError> {
    let pem = read(setting, path, bytes_max)?;
    Ok((format!("{setting} {path}"), certificates(&pem)))
}

/// All files of a folder that hold certificates; others, such as keys, are passed over.
fn of_folder(path: &str, bytes_max: usize) -> Result<Found, ConnectError> {
    let unreadable = |e: io::Error| ConnectError::File {
        setting: "ca_path",
        source: io::Error::new(e.kind(), format!("{path}: {e}")),
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)?.take(CA_FILES_MAX) {
        let file = entry.map_err(unreadable)?.path();
        if file.is_file() {
            let pem = files::read_bounded(&file, bytes_max)
                .map_err(|source| ConnectError::File { setting: "ca_path", source })?;
            found.extend(certificates(&pem).unwrap_or_default());
        }
    }
    Ok((format!("ca_path {path}"), Ok(found)))
}

fn identity(connection: &Connection, bytes_max: usize) -> Result<Option<Identity>, ConnectError> {
    let wrong = |reason: String| ConnectError::ClientPair { reason };
    let is_set = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    match (is_set(&connection.client_cert), is_set(&connection.client_key)) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => {
            let chain = certificates(&read("client_cert", &cert, bytes_max)?)
                .map_err(|reason| wrong(format!("{cert}: {reason}")))?;
            if chain.is_empty() {
                return Err(wrong(format!("{cert} holds no PEM certificate")));
            }
            let pem = zeroize::Zeroizing::new(read("client_key", &key, bytes_max)?);
            let key = private_key(&pem).map_err(|reason| wrong(format!("{key} {reason}")))?;
            Ok(Some(Identity { chain, key }))
        }
        (Some(_), None) | (None, Some(_)) => Err(wrong("both are needed, or none".to_owned())),
    }
}

fn read(setting: &'static str, path: &str, bytes_max: usize) -> Result<Vec<u8>, ConnectError> {
    files::read_bounded(Path::new(path), bytes_max)
        .map_err(|source| ConnectError::File { setting, source })
}

#[cfg(test)]
mod tests;
