//! What Vault answers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::error::{Gone, VaultError};
use super::request::Request;
use crate::base::json::Json;
use crate::base::secret::Secret;

/// A response as it came over the wire. `Debug` shows no content.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// At most `limits::VAULT_REPLY_BYTES_MAX` bytes.
    pub body: Zeroizing<Vec<u8>>,
    /// The header `Retry-After`, when it is a number of seconds.
    pub retry_after: Option<Duration>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply(HTTP {}, {} bytes)", self.status, self.body.len())
    }
}

impl Reply {
    /// What the reply says, as Vault's client takes it. `request` is what was asked, for the errors.
    ///
    /// A 404 without a reason, an empty body and a body of `errors` alone are [`VaultError::Missing`]; a
    /// version of a KV 2 secret that was deleted or destroyed is [`VaultError::Gone`], whatever the status.
    pub fn reading(&self, request: &Request) -> Result<Reading, VaultError> {
        let is_blank = self.body.iter().all(u8::is_ascii_whitespace);
        let missing = || VaultError::Missing { path: request.path.clone() };
        match self.status {
            200..=299 if is_blank => Err(missing()),
            200..=299 => {
                let garbled = |reason: String| VaultError::Garbled {
                    method: request.method.word(),
                    path: request.path.clone(),
                    reason,
                };
                let is_page = self.body.trim_ascii_start().starts_with(b"<");
                let envelope = Json::parse(&self.body).map_err(|e| {
                    garbled(if is_page { WEB_PAGE.to_owned() } else { e.to_string() })
                })?;
                let reading = match Reading::decode_answer(&envelope) {
                    Ok(Some(reading)) => reading,
                    Ok(None) => return Err(missing()),
                    Err(reason) => return Err(garbled(reason.to_owned())),
                };
                match reading.gone() {
                    Some(how) => Err(VaultError::Gone { path: request.path.clone(), how }),
                    None => Ok(reading),
                }
            }
            404 if is_blank => Err(missing()),
            404 => {
                // Without an envelope it is the page of a proxy, and no secret.
                let reading = Json::parse(&self.body).ok().and_then(|e| Reading::decode(&e).ok());
                let how = reading.as_ref().and_then(Reading::gone_by_status);
                match reading {
                    _ if let Some(how) = how => {
                        Err(VaultError::Gone { path: request.path.clone(), how })
                    }
                    Some(reading) if reading.has_data() => Ok(reading),
                    // Vault's client takes a 404 with nothing but warnings for an answer, and `<no value>`
                    // would take the place of a secret whose engine was upgraded to KV version 2.
                    Some(_) if self.errors().is_empty() => Err(missing()),
                    _ => Err(self.refusal(request)),
                }
            }
            _ => Err(self.refusal(request)),
        }
    }

    /// Whether what was asked was done, whatever the body says.
    pub fn done(&self, request: &Request) -> Result<(), VaultError> {
        if matches!(self.status, 200..=299) { Ok(()) } else { Err(self.refusal(request)) }
    }

    /// The `auth` of a login or a renewal; a success without a token is an error.
    pub fn auth(&self, request: &Request) -> Result<Auth, VaultError> {
        let reading = self.reading(request)?;
        let auth = reading.auth.filter(|auth| !auth.client_token.is_empty());
        auth.ok_or_else(|| VaultError::Garbled {
            method: request.method.word(),
            path: request.path.clone(),
            reason: "no auth.client_token in it".to_owned(),
        })
    }

    fn refusal(&self, request: &Request) -> VaultError {
        let mut errors = self.errors();
        if let Some(namespace) = &request.namespace {
            for error in errors.iter_mut().filter(|e| e.to_lowercase().contains(NO_NAMESPACE)) {
                error.push_str(&format!(
                    ": {:?} (want a namespace of Vault, which is none of Kubernetes)",
                    namespace.trim_matches('/')
                ));
            }
        }
        VaultError::Refused {
            method: request.method.word(),
            path: request.path.clone(),
            status: self.status,
            errors,
            missing_capabilities: Vec::new(),
            retry_after: self.retry_after,
        }
    }

    /// Vault's words, or the start of what a proxy in between said. Never called for a success.
    fn errors(&self) -> Vec<String> {
        let envelope = Json::parse(&self.body).ok();
        let list = |key| envelope.as_ref().and_then(|e| e.get(key)).and_then(Json::as_array);
        if let Some(errors) = list("errors").or_else(|| list("warnings")) {
            let words = errors.iter().filter_map(Json::as_str).take(ERRORS_MAX);
            return words.map(|text| printable_start(text, ERROR_CHARS_MAX)).collect();
        }
        // A JSON object without `errors` may be a secret all the same.
        if envelope.is_some_and(|e| e.as_object().is_some()) {
            return Vec::new();
        }
        let start = printable_start(&String::from_utf8_lossy(&self.body), FOREIGN_CHARS_MAX);
        if start.is_empty() { Vec::new() } else { vec![start] }
    }
}

/// What Vault says of a namespace that it does not have.
const NO_NAMESPACE: &str = "namespace not found";
/// A success that is none of Vault's.
const WEB_PAGE: &str =
    "a web page: is this the address of Vault, or does a proxy or a log-in page answer for it?";
/// Errors of one answer that are shown; Vault sends one, rarely two.
const ERRORS_MAX: usize = 8;
/// Characters of one of Vault's errors: the longest are nested ones of plugins.
const ERROR_CHARS_MAX: usize = 1000;
/// Characters of a body that is not Vault's: enough to know whose it is.
const FOREIGN_CHARS_MAX: usize = 120;

/// The first characters on one line, runs of blanks and control characters as one blank.
fn printable_start(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty())
    {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
        if let Some((cut, _)) = out.char_indices().nth(chars_max) {
            out.truncate(cut);
            out.push('\u{2026}');
            break;
        }
    }
    out
}

/// The envelope of a response (`api.Secret` of Vault's client). `Debug` shows no content.
#[derive(Clone)]
pub struct Reading {
    /// `request_id`
    pub request_id: String,
    /// `lease_id`, empty without a lease.
    pub lease_id: String,
    /// `lease_duration` in seconds.
    pub lease_duration: u64,
    /// Whether the lease can be renewed.
    pub renewable: bool,
    /// `data`: an object, or `Null` when there is none.
    pub data: Json,
    /// `warnings`
    pub warnings: Vec<String>,
    /// `auth`, of a login or a token creation.
    pub auth: Option<Auth>,
    /// `wrap_info`, of a wrapped response.
    pub wrap_info: Option<WrapInfo>,
}

impl Reading {
    /// Decodes the body of a success as Go's client does: an object in which no member of the envelope says
    /// anything is data as a whole, such as the answers of `sys/health` and of the keys of OIDC; one of
    /// `errors` alone is nothing.
    fn decode_answer(body: &Json) -> Result<Option<Self>, &'static str> {
        let reading = Self::decode(body)?;
        let members = body.as_object().into_iter().flatten();
        let said = members.clone().any(|(key, value)| {
            ENVELOPE.iter().any(|name| name.eq_ignore_ascii_case(key)) && !is_zero(value)
        });
        if said {
            return Ok(Some(reading));
        }
        match (body.get("errors"), members.count()) {
            (Some(_), 1) => Ok(None),
            (Some(_), _) => Err("errors beside data"),
            (None, 0) => Ok(Some(reading)),
            (None, _) => Ok(Some(Self { data: body.clone(), ..reading })),
        }
    }

    /// Decodes the envelope. The error says what is wrong without showing content.
    pub fn decode(envelope: &Json) -> Result<Self, &'static str> {
        if envelope.as_object().is_none() {
            return Err("not a JSON object");
        }
        let data = envelope.get("data").unwrap_or(&Json::Null);
        if !matches!(data, Json::Object(_) | Json::Null) {
            return Err("its data is not an object");
        }
        Ok(Self {
            request_id: string(envelope, "request_id"),
            lease_id: string(envelope, "lease_id"),
            lease_duration: seconds(envelope, "lease_duration"),
            renewable: truth(envelope, "renewable"),
            data: data.clone(),
            warnings: strings(envelope, "warnings"),
            auth: envelope.get("auth").filter(|auth| auth.as_object().is_some()).map(Auth::decode),
            wrap_info: envelope
                .get("wrap_info")
                .filter(|info| info.as_object().is_some())
                .map(WrapInfo::decode),
        })
    }

    /// The names of a list, sorted.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = strings(&self.data, "keys");
        keys.sort();
        keys
    }

    /// What a look-up of `token` tells about it, in the form of a login.
    pub fn looked_up(&self, token: Secret) -> Auth {
        Auth {
            client_token: token,
            lease_duration: seconds(&self.data, "ttl"),
            ..Auth::decode(&self.data)
        }
    }

    /// A 404 with data is an answer.
    fn has_data(&self) -> bool {
        self.data.as_object().is_some_and(|data| !data.is_empty())
    }

    /// What became of a version whose data, or keys, are null. One that is to be deleted later has its
    /// time of deletion already, and its data still.
    fn gone(&self) -> Option<Gone> {
        let is_null = |key| self.data.get(key).is_some_and(|value| *value == Json::Null);
        if is_null("data") || is_null("subkeys") { self.gone_by_status() } else { None }
    }

    /// The same where the status says already that there is nothing.
    fn gone_by_status(&self) -> Option<Gone> {
        let metadata = self.data.get("metadata")?;
        let deleted = metadata.get("deletion_time").and_then(Json::as_str).unwrap_or_default();
        if truth(metadata, "destroyed") {
            Some(Gone::Destroyed)
        } else {
            Some(Gone::Deleted).filter(|_| !deleted.is_empty())
        }
    }
}

/// The members of Go's `api.Secret`.
const ENVELOPE: [&str; 9] = [
    "request_id",
    "lease_id",
    "lease_duration",
    "renewable",
    "data",
    "warnings",
    "auth",
    "wrap_info",
    "mount_type",
];

/// Whether Go's decoder leaves a member as if it had not been there. An empty list or object is something.
fn is_zero(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Number(_) => value.as_i64() == Some(0),
        Json::String(text) => text.is_empty(),
        Json::Array(_) | Json::Bool(true) | Json::Object(_) => false,
    }
}

fn string(object: &Json, key: &str) -> String {
    object.get(key).and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn strings(object: &Json, key: &str) -> Vec<String> {
    let items = object.get(key).and_then(Json::as_array).unwrap_or_default();
    items.iter().filter_map(Json::as_str).map(str::to_owned).collect()
}

/// Seconds; negative or missing ones are none.
fn seconds(object: &Json, key: &str) -> u64 {
    object.get(key).and_then(Json::as_u64).unwrap_or_default()
}

fn truth(object: &Json, key: &str) -> bool {
    object.get(key).and_then(Json::as_bool).unwrap_or_default()
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Reading(lease {:?} for {} s, data {:?})",
            self.lease_id, self.lease_duration, self.data
        )
    }
}

/// `auth` of a response.
#[derive(Clone, Debug)]
pub struct Auth {
    /// `client_token`
    pub client_token: Secret,
    /// `accessor`: safe to log.
    pub accessor: String,
    /// `policies`
    pub policies: Vec<String>,
    /// `metadata`
    pub metadata: BTreeMap<String, String>,
    /// `lease_duration` in seconds; 0 never expires.
    pub lease_duration: u64,
    /// Whether the token can be renewed.
    pub renewable: bool,
}

impl Auth {
    fn decode(auth: &Json) -> Self {
        let metadata = auth.get("metadata").and_then(Json::as_object).into_iter().flatten();
        Self {
            client_token: Secret::new(string(auth, "client_token")),
            accessor: string(auth, "accessor"),
            policies: strings(auth, "policies"),
            metadata: metadata
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
            lease_duration: seconds(auth, "lease_duration"),
            renewable: truth(auth, "renewable"),
        }
    }
}

/// `wrap_info` of a response.
#[derive(Clone, Debug)]
pub struct WrapInfo {
    /// The wrapping token.
    pub token: Secret,
    /// Seconds.
    pub ttl: u64,
    /// RFC 3339.
    pub creation_time: String,
    /// The path that was asked, with `auth/` or the mount: whoever unwraps checks it.
    pub creation_path: String,
    /// `wrapped_accessor`
    pub wrapped_accessor: String,
}

impl WrapInfo {
    fn decode(info: &Json) -> Self {
        Self {
            token: Secret::new(string(info, "token")),
            ttl: seconds(info, "ttl"),
            creation_time: string(info, "creation_time"),
            creation_path: string(info, "creation_path"),
            wrapped_accessor: string(info, "wrapped_accessor"),
        }
    }
}

/// What was tried on a path that answered 403.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// List names.
    List,
    /// Read a secret.
    Read,
    /// Write; either of two capabilities is enough.
    Write,
}

/// The capabilities, one of which the token would need for `operation`; none when it has
/// one. `reading` is the answer to [`Request::capabilities_self`].
pub fn missing_capabilities(reading: &Reading, operation: Operation) -> Vec<String> {
    let held = strings(&reading.data, "capabilities");
    let wanted: &[&str] = match operation {
        Operation::List => &["list"],
        Operation::Read => &["read"],
        Operation::Write => &["update", "create"],
    };
    let has_it = held.iter().any(|have| have == "root" || wanted.contains(&have.as_str()));
    if has_it { Vec::new() } else { wanted.iter().map(|&word| word.to_owned()).collect() }
}

#[cfg(test)]
mod tests;
