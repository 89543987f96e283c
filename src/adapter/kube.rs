//! The API server of Kubernetes: one object at a time read, created, replaced, patched, watched.
//!
//! Blocking and for plain threads; any number of them may share a client. Retries nothing but what a rotated
//! token or CA makes fail.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::clock::Clock;
use super::files;
use super::http_client::{
    HttpClient, HttpError, HttpReply, HttpRequest, HttpSettings, HttpStream, TlsHints,
};
use super::tls_client::{Trust, certificates, client_config};
use super::trust::Authorities;
use crate::base::address::{Address, AddressError};
use crate::base::hidden::hide;
use crate::base::secret::Secret;
use crate::base::time::Mono;
use crate::domain::serving::objects::{
    Cluster, KubeError, Object, Owned, Patch, Stored, Target, encode_new,
};

mod watch;

pub(crate) use watch::{Watch, Watched};

/// Bounds of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KubeLimits {
    /// Bytes of one answer, or of one event of a watch.
    pub(crate) reply_bytes_max: usize,
    /// Bytes of one file of the service account.
    pub(crate) file_bytes_max: usize,
    /// Of one request, its connection included.
    pub(crate) timeout: Duration,
    /// After which the API server ends a watch; whole seconds.
    pub(crate) watch: Duration,
    /// After which a watch that the API server did not end counts as broken, behind `watch`.
    pub(crate) watch_grace: Duration,
}

/// Why there is no client.
#[derive(Debug)]
pub(crate) enum ClusterError {
    /// Host and port are none.
    Address {
        /// As configured.
        address: String,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// The certificate authority of the cluster cannot be used.
    CaUnusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the service account cannot be read.
    File {
        /// Names the path.
        source: io::Error,
    },
    /// The namespace is none.
    Namespace {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, reason } => write!(
                f,
                "API server {address:?} of KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: {reason}"
            ),
            Self::CaUnusable { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::File { .. } => f.write_str("service account"),
            Self::Namespace { path } => write!(f, "{}: not a namespace", path.display()),
        }
    }
}

impl std::error::Error for ClusterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::File { source } = self { Some(source) } else { None }
    }
}

/// A token is read again at this age: kubelet replaces the file long before the old token ends.
const TOKEN_AGE_MAX: Duration = Duration::from_secs(50);

/// Characters of the API server's words that an error quotes.
const MESSAGE_CHARS_MAX: usize = 400;

/// Characters in which credentials are looked for.
const MESSAGE_CHARS_LOOKED_AT: usize = 4 * 1024;

const TLS_HINTS: TlsHints = TlsHints {
    untrusted: "; is ca.crt of the service account the API server's?",
    misnamed: "; KUBERNETES_SERVICE_HOST must be a name or address that the certificate has",
    identity: "; the API server wants a client certificate, which service accounts do not have",
};

/// A client of one API server.
pub(crate) struct KubeClient {
    /// Scheme, host and port.
    address: String,
    clock: Clock,
    folder: PathBuf,
    limits: KubeLimits,
    links: Mutex<Arc<Links>>,
    namespace: String,
    token: Mutex<Option<(Arc<Secret>, Mono)>>,
}

/// Connections that trust one CA file.
struct Links {
    ca: Vec<u8>,
    calls: HttpClient,
    watches: HttpClient,
}

/// One request.
struct Ask<'a> {
    target: Target,
    method: &'static str,
    /// With its query.
    path: &'a str,
    /// Content type and body.
    body: Option<(&'static str, &'a str)>,
    is_watch: bool,
}

impl KubeClient {
    /// Reads the service account's files; nothing is sent yet.
    pub(crate) fn connect(
        cluster: &Cluster,
        limits: KubeLimits,
        clock: Clock,
    ) -> Result<Self, ClusterError> {
        let Cluster { host, port, service_account_dir } = cluster;
        let address = Address::of_https(host, port).map_err(|reason| ClusterError::Address {
            address: format!("{host}:{port}"),
            reason,
        })?;
        let folder = PathBuf::from(service_account_dir);
        let path = folder.join("namespace");
        let text = files::read_bounded(&path, limits.file_bytes_max)
            .map_err(|source| ClusterError::File { source })?;
        let namespace = String::from_utf8_lossy(&text).trim().to_owned();
        if !is_name(&namespace) {
            return Err(ClusterError::Namespace { path });
        }
        let links = Links::of(&read_ca(&folder, limits)?, &folder, limits, clock)?;
        Ok(Self {
            address: address.origin(),
            clock,
            folder,
            limits,
            links: Mutex::new(Arc::new(links)),
            namespace,
            token: Mutex::default(),
        })
    }

    /// The service account's own namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Reads an object. Kinds without namespaces take any.
    pub(crate) fn get<T: Object>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Stored<T>, KubeError> {
        self.call(target::<T>("get", namespace, name), "GET", None)
    }

    /// Creates an object.
    pub(crate) fn create<T: Owned>(&self, object: &T) -> Result<Stored<T>, KubeError> {
        let target = target_of("create", object);
        let text = encode_new(object).map_err(|message| invalid(&target, message))?;
        self.call(target, "POST", Some((JSON, text.expose())))
    }

    /// Replaces an object by the changed one; a conflict when it was changed since it was read.
    pub(crate) fn update<T: Owned>(&self, changed: &Stored<T>) -> Result<Stored<T>, KubeError> {
        let target = target_of("update", &changed.object);
        let text = changed.encode().map_err(|message| invalid(&target, message))?;
        self.call(target, "PUT", Some((JSON, text.expose())))
    }

    /// Changes parts of an object; a conflict when one of the patch's tests says no.
    pub(crate) fn patch<T: Object>(
        &self,
        namespace: &str,
        name: &str,
        patch: &Patch,
    ) -> Result<Stored<T>, KubeError> {
        self.call(target::<T>("patch", namespace, name), "PATCH", Some((JSON_PATCH, &patch.0)))
    }

    /// One request and the object that answers it.
    fn call<T: Object>(
        &self,
        target: Target,
        method: &'static str,
        body: Option<(&'static str, &str)>,
    ) -> Result<Stored<T>, KubeError> {
        let mut path = target.kind.path(&target.namespace);
        if method != "POST" {
            path = format!("{path}/{}", target.name);
        }
        let ask = Ask { target, method, path: &path, body, is_watch: false };
        let reply = self.read(&ask.target, self.open(&ask)?)?;
        Stored::decode(reply.body)
            .map_err(|reason| KubeError::Malformed { target: ask.target, reason })
    }

    /// The head of a good answer. A token that was replaced in the meantime, or a CA, gets a second try.
    fn open(&self, ask: &Ask<'_>) -> Result<HttpStream, KubeError> {
        let Target { namespace, name, .. } = &ask.target;
        if !is_name(name) || (ask.target.kind.is_namespaced && !is_name(namespace)) {
            return Err(invalid(&ask.target, "not a name that Kubernetes allows".to_owned()));
        }
        let links = Arc::clone(&self.links.lock().unwrap_or_else(PoisonError::into_inner));
        let token = self.token_at(self.clock.now(), false)?;
        let stream = match self.send(&links, ask, &token) {
            Err(HttpError::NoAnswer(reason)) => match self.renewed_links(&links) {
                Some(links) => self.send(&links, ask, &token),
                None => Err(HttpError::NoAnswer(reason)),
            },
            Ok(stream) if stream.status == 401 => {
                let fresh = self.token_at(self.clock.now(), true)?;
                if fresh == token { Ok(stream) } else { self.send(&links, ask, &fresh) }
            }
            settled => settled,
        };
        let stream = stream.map_err(|error| self.no_answer(&ask.target, error))?;
        match stream.status {
            200..=299 => Ok(stream),
            _ => Err(refusal(&ask.target, &self.read(&ask.target, stream)?, &self.sent(ask.body))),
        }
    }

    fn send(&self, links: &Links, ask: &Ask<'_>, token: &Secret) -> Result<HttpStream, HttpError> {
        let bearer = Zeroizing::new(format!("Bearer {}", token.expose()));
        let mut headers = vec![("Accept", JSON), ("Authorization", bearer.as_str())];
        headers.extend(ask.body.map(|(content_type, _)| ("Content-Type", content_type)));
        let url = format!("{}{}", self.address, ask.path);
        let body = ask.body.map(|(_, text)| text);
        let request = HttpRequest { method: ask.method, url: &url, headers: &headers, body };
        if ask.is_watch { &links.watches } else { &links.calls }.open(&request)
    }

    /// What must not come out of foreign words: the token, and the bodies of Secrets.
    fn sent(&self, body: Option<(&str, &str)>) -> Vec<Secret> {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let token = token.iter().map(|(token, _)| token.expose());
        token.chain(body.map(|(_, text)| text)).map(Secret::new).collect()
    }

    fn read(&self, target: &Target, stream: HttpStream) -> Result<HttpReply, KubeError> {
        stream.read().map_err(|error| self.no_answer(target, error))
    }

    fn no_answer(&self, target: &Target, error: HttpError) -> KubeError {
        match error {
            HttpError::NoAnswer(reason) => {
                KubeError::Unreachable { address: self.address.clone(), reason }
            }
            HttpError::Malformed(_) | HttpError::TooLarge(_) => {
                KubeError::Malformed { target: target.clone(), reason: error.to_string() }
            }
        }
    }

    /// The token, read again when it is old or `is_refused`. A file that cannot be read leaves the old one
    /// in use.
    fn token_at(&self, now: Mono, is_refused: bool) -> Result<Arc<Secret>, KubeError> {
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((token, read_at)) = kept.as_ref()
            && !is_refused
            && now.since(*read_at) < TOKEN_AGE_MAX
        {
            return Ok(Arc::clone(token));
        }
        let token = match (read_token(&self.folder, self.limits), kept.as_ref()) {
            (Ok(token), _) => Arc::new(token),
            (Err(_), Some((old, _))) => Arc::clone(old),
            (Err(reason), None) => return Err(KubeError::TokenUnreadable { reason }),
        };
        *kept = Some((Arc::clone(&token), now));
        Ok(token)
    }

    /// New connections, when the CA file is no longer the one that `failed` trusts.
    fn renewed_links(&self, failed: &Arc<Links>) -> Option<Arc<Links>> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&links, failed) {
            let ca = read_ca(&self.folder, self.limits).ok().filter(|ca| *ca != failed.ca)?;
            *links = Arc::new(Links::of(&ca, &self.folder, self.limits, self.clock).ok()?);
        }
        Some(Arc::clone(&links))
    }
}

const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";

impl Links {
    fn of(
        ca: &[u8],
        folder: &Path,
        limits: KubeLimits,
        clock: Clock,
    ) -> Result<Self, ClusterError> {
        let unusable = |reason| ClusterError::CaUnusable { path: folder.join("ca.crt"), reason };
        let roots = certificates(ca).map_err(unusable)?;
        let (roots, _told_when_none_is_left) =
            Authorities::new(roots, clock.wall()).map_err(unusable)?;
        let tls = client_config(Trust::Roots(roots), None).map_err(unusable)?;
        let client = |timeout| {
            let settings = HttpSettings {
                tls: Some(Arc::clone(&tls)),
                server_name: None,
                proxy: None,
                no_proxy: String::new(),
                timeout,
                reply_bytes_max: limits.reply_bytes_max,
                tls_hints: &TLS_HINTS,
            };
            HttpClient::new(settings, clock).map_err(unusable)
        };
        Ok(Self {
            ca: ca.to_vec(),
            calls: client(limits.timeout)?,
            watches: client(limits.watch + limits.watch_grace)?,
        })
    }
}

fn read_ca(folder: &Path, limits: KubeLimits) -> Result<Vec<u8>, ClusterError> {
    files::read_bounded(&folder.join("ca.crt"), limits.file_bytes_max)
        .map_err(|source| ClusterError::File { source })
}

/// The error names the path.
fn read_token(folder: &Path, limits: KubeLimits) -> Result<Secret, String> {
    let path = folder.join("token");
    let bytes = files::read_bounded(&path, limits.file_bytes_max).map_err(|e| e.to_string())?;
    let bytes = Zeroizing::new(bytes);
    let text = bytes.trim_ascii();
    match std::str::from_utf8(text) {
        Ok(token) if !text.is_empty() && text.iter().all(u8::is_ascii_graphic) => {
            Ok(Secret::new(token))
        }
        _ => Err(format!("{}: holds no token", path.display())),
    }
}

/// Whether a text can stand in a path: names of objects and namespaces are DNS names (RFC 1123).
fn is_name(text: &str) -> bool {
    let is_inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    (1..=253).contains(&text.len()) && text.bytes().all(is_inner) && !text.starts_with('.')
}

fn target<T: Object>(verb: &'static str, namespace: &str, name: &str) -> Target {
    let namespace = if T::KIND.is_namespaced { namespace.to_owned() } else { String::new() };
    Target { verb, kind: T::KIND, namespace, name: name.to_owned() }
}

fn target_of<T: Object>(verb: &'static str, object: &T) -> Target {
    target::<T>(verb, &object.metadata().namespace, &object.metadata().name)
}

fn invalid(target: &Target, message: String) -> KubeError {
    KubeError::Invalid { target: target.clone(), message }
}

/// What the API server says when it refuses.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
    details: Option<StatusDetails>,
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StatusDetails {
    causes: Option<Vec<serde::de::IgnoredAny>>,
    retry_after_seconds: u64,
}

/// The error of an answer that is not a good one.
fn refusal(target: &Target, reply: &HttpReply, sent: &[Secret]) -> KubeError {
    // Something in between, such as a load balancer, answers otherwise.
    let status = serde_json::from_slice(&reply.body).unwrap_or_else(|_foreign| Status {
        message: String::from_utf8_lossy(&reply.body).into_owned(),
        ..Status::default()
    });
    refusal_of(target, reply.status, reply.retry_after, &status, sent)
}

fn refusal_of(
    target: &Target,
    code: u16,
    retry_after: Option<Duration>,
    status: &Status,
    sent: &[Secret],
) -> KubeError {
    let target = target.clone();
    // Hidden before it is cut off.
    let looked_at: String = status.message.chars().take(MESSAGE_CHARS_LOOKED_AT).collect();
    let shown = hide(&looked_at, sent);
    let printable = shown.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut message: String = printable.take(MESSAGE_CHARS_MAX).collect();
    if message.trim().is_empty() {
        message = format!("HTTP {code}");
    }
    let details = status.details.as_ref();
    let asked = details.map(|details| details.retry_after_seconds).filter(|&seconds| seconds > 0);
    let retry_after = retry_after.or(asked.map(Duration::from_secs));
    let is_explained = details.is_some_and(|details| details.causes.is_some());
    match code {
        401 => KubeError::Unauthorized { target, message },
        403 => KubeError::Forbidden { target, message },
        404 => KubeError::NotFound { target },
        409 => KubeError::Conflict { target, message },
        410 => KubeError::Expired { target },
        // So the API server reports a `test` that fails; what is wrong with an object, it explains.
        422 if target.verb == "patch" && !is_explained => KubeError::Conflict { target, message },
        429 | 500..=599 => KubeError::Unavailable { target, status: code, retry_after, message },
        400..=499 => KubeError::Invalid { target, message },
        _ => KubeError::Malformed { target, reason: format!("HTTP {code}: {message}") },
    }
}

#[cfg(test)]
mod tests;
