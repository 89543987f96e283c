//! What Vault answers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::error::{Gone, VaultError};
use super::request::Request;
use crate::base::hidden::hide;
use crate::base::json::{Json, lists_of_texts};
use crate::base::secret::Secret;

/// A response as it came over the wire. `Debug` shows no content.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// At most `limits::VAULT_REPLY_BYTES_MAX` bytes.
    pub body: Zeroizing<Vec<u8>>,
    /// Bytes that the values of the body may take in memory.
    pub memory_max: usize,
    /// What was sent and must not come out of the words of whoever answered.
    pub credentials: Vec<Secret>,
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
                let envelope = Json::parse_within(&self.body, self.memory_max).map_err(|e| {
                    garbled(if is_page { WEB_PAGE.to_owned() } else { e.to_string() })
                })?;
                let reading = match Reading::decode_answer(envelope) {
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
                let envelope = Json::parse_within(&self.body, self.memory_max).ok();
                let reading = envelope.and_then(|e| Reading::of_envelope(e).ok());
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
        let auth = auth.map(|auth| auth.without(&self.credentials));
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
        // Not as values: who is asked only for words can be given millions of them.
        let names = ["errors", "warnings"];
        let lists = lists_of_texts(&self.body, &names, ERRORS_MAX, ERROR_BYTES_MAX);
        if let Ok(Some(lists)) = lists {
            // A JSON object without `errors` may be a secret all the same.
            let words = lists.into_iter().flatten().next().unwrap_or_default();
            // Hidden before anything is cut off.
            let words = words.iter().map(|text| hide(text, &self.credentials));
            return words.map(|text| printable_start(&text, ERROR_CHARS_MAX)).collect();
        }
        let body = self.body.get(..FOREIGN_BYTES_MAX).unwrap_or(&self.body);
        let body = hide(&String::from_utf8_lossy(body), &self.credentials);
        let start = printable_start(&body, FOREIGN_CHARS_MAX);
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
/// Characters of it that are looked at, before blanks become fewer.
const ERROR_BYTES_MAX: usize = 4 * ERROR_CHARS_MAX;
/// Characters of a body that is not Vault's: enough to know whose it is.
const FOREIGN_CHARS_MAX: usize = 120;
/// Bytes of it that are looked at.
const FOREIGN_BYTES_MAX: usize = 4 * 1024;
/// Warnings of one answer that are kept; Vault sends one or two.
const WARNINGS_MAX: usize = 64;

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
    fn decode_answer(body: Json) -> Result<Option<Self>, &'static str> {
        let members = body.as_object().into_iter().flatten();
        let says = members.clone().any(|(key, value)| {
            ENVELOPE.iter().any(|name| name.eq_ignore_ascii_case(key)) && !is_zero(value)
        });
        match (says, body.get("errors"), members.count()) {
            (true, ..) | (false, None, 0) => Self::of_envelope(body).map(Some),
            (false, Some(_), 1) => Ok(None),
            (false, Some(_), _) => Err("errors beside data"),
            (false, None, _) => {
                let blank = Self::of_envelope(Json::Object(BTreeMap::new()))?;
                Ok(Some(Self { data: body, ..blank }))
            }
        }
    }

    /// Decodes the envelope. The error says what is wrong without showing content.
    pub fn decode(envelope: &Json) -> Result<Self, &'static str> {
        Self::of_envelope(envelope.clone())
    }

    /// The same, and `data` is not copied.
    pub fn of_envelope(mut envelope: Json) -> Result<Self, &'static str> {
        let Json::Object(members) = &mut envelope else { return Err("not a JSON object") };
        let data = members.remove("data").unwrap_or(Json::Null);
        if !matches!(data, Json::Object(_) | Json::Null) {
            return Err("its data is not an object");
        }
        let warnings = envelope.get("warnings").and_then(Json::as_array).unwrap_or_default();
        let warnings = warnings.iter().take(WARNINGS_MAX).filter_map(Json::as_str);
        let warnings = warnings.map(|text| text.chars().take(ERROR_CHARS_MAX).collect()).collect();
        Ok(Self {
            request_id: string(&envelope, "request_id"),
            lease_id: string(&envelope, "lease_id"),
            lease_duration: seconds(&envelope, "lease_duration"),
            renewable: truth(&envelope, "renewable"),
            data,
            warnings,
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
    /// Who answers may have put a credential where an accessor is expected, which is logged.
    fn without(mut self, credentials: &[Secret]) -> Self {
        let mut all = credentials.to_vec();
        all.push(self.client_token.clone());
        self.accessor = hide(&self.accessor, &all);
        self
    }

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
