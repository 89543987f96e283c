//! Logging in: the files of each method, and the requests made of them.

use std::fmt;
use std::io;
use std::path::Path;

use crate::adapter::files;
use crate::adapter::vault::VaultClient;
use crate::base::hidden::hide;
use crate::base::secret::Secret;
use crate::domain::agent_config::{AuthKind, AuthMethod};
use crate::domain::vault::{Auth, Request, VaultError, Verdict};
use crate::run::limits::FILE_BYTES_MAX;
use crate::telemetry::log::Log;

/// Why there is no token.
#[derive(Debug)]
pub(super) enum LoginError {
    /// A file with a credential is empty.
    Empty {
        /// The setting that names it.
        setting: &'static str,
        /// Its path.
        path: String,
    },
    /// A file with a credential cannot be read.
    File {
        /// The setting that names it.
        setting: &'static str,
        /// Names the path.
        source: io::Error,
    },
    /// Vault said no, or nothing.
    Vault(VaultError),
    /// The wrapping token was not made where it should have been: someone may have unwrapped the real
    /// secret id and wrapped another.
    WrappedElsewhere {
        /// Where it was made.
        path: String,
        /// Where it should have been.
        wanted: String,
    },
}

impl LoginError {
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Vault(error) => error.verdict(),
            Self::Empty { .. } | Self::File { .. } | Self::WrappedElsewhere { .. } => {
                Verdict::Refused
            }
        }
    }
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { setting, path } => write!(f, "{setting}: {path} is empty"),
            Self::File { setting, .. } => f.write_str(setting),
            Self::Vault(error) => fmt::Display::fmt(error, f),
            Self::WrappedElsewhere { path, wanted } => write!(
                f,
                "the secret id was wrapped at {path} and not at {wanted} \
                 (secret_id_response_wrapping_path): it may have been intercepted"
            ),
        }
    }
}

impl std::error::Error for LoginError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::File { source, .. } = self { Some(source) } else { None }
    }
}

/// What earlier logins read from files that may be gone since.
#[derive(Default)]
pub(super) struct Remembered {
    role_id: Option<Secret>,
    secret_id: Option<Secret>,
    /// What `secret_id` was wrapped in: a token that works once, though its file may stay.
    wrapping: Option<Secret>,
    jwt: Option<Secret>,
    token: Option<Secret>,
}

/// Logs in, or looks up the token of a file.
pub(super) fn log_in(
    client: &VaultClient,
    method: &AuthMethod,
    remembered: &mut Remembered,
    log: Log,
) -> Result<Auth, LoginError> {
    let namespace = method.namespace.as_deref();
    let send = |request: Request| {
        let request = request.in_namespace(namespace);
        client.send(&request).map(|reply| (reply, request)).map_err(LoginError::Vault)
    };
    let mount = &method.mount_path;
    let request = match &method.kind {
        AuthKind::Approle { .. } => approle(client, method, remembered, log)?,
        AuthKind::Jwt { role, .. } => {
            let jwt = jwt(&method.kind, remembered, log)?;
            Request::log_in_with_jwt(mount, role, &jwt)
        }
        AuthKind::Kubernetes { role, token_path } => {
            let jwt = credential("token_path", token_path, &mut None)?;
            Request::log_in_with_jwt(mount, role, &jwt)
        }
        AuthKind::TokenFile { token_file_path } => {
            let token = credential("token_file_path", token_file_path, &mut remembered.token)?;
            let (reply, request) = send(Request::look_up_self().with_token(token.clone()))?;
            let reading = reply.reading(&request).map_err(LoginError::Vault)?;
            return Ok(reading.looked_up(token));
        }
    };
    let (reply, request) = send(request)?;
    reply.auth(&request).map_err(LoginError::Vault)
}

/// The token of a file, which is removed then unless it is to stay.
fn jwt(kind: &AuthKind, remembered: &mut Remembered, log: Log) -> Result<Secret, LoginError> {
    let AuthKind::Jwt { path, remove_jwt_after_reading, remove_jwt_follows_symlinks, .. } = kind
    else {
        return credential("jwt path", "", &mut remembered.jwt);
    };
    // Before it is read: a link may lead elsewhere afterwards.
    let real = if *remove_jwt_follows_symlinks { std::fs::canonicalize(path).ok() } else { None };
    let jwt = credential("jwt path", path, &mut remembered.jwt)?;
    if *remove_jwt_after_reading {
        remove("jwt path", real.as_deref().unwrap_or(Path::new(path)), log);
    }
    Ok(jwt)
}

/// After a login, takes a new token from its file, which must not lie there until the next login. Says
/// nothing of a file that is not there.
pub(super) fn take_jwt(kind: &AuthKind, remembered: &mut Remembered, log: Log) {
    let AuthKind::Jwt { path, .. } = kind else { return };
    if remembered.jwt.is_some() && Path::new(path).is_file() {
        // A file that cannot be read is told at the next login.
        drop(jwt(kind, remembered, log));
    }
}

fn approle(
    client: &VaultClient,
    method: &AuthMethod,
    remembered: &mut Remembered,
    log: Log,
) -> Result<Request, LoginError> {
    let AuthKind::Approle {
        role_id_file_path,
        secret_id_file_path,
        remove_secret_id_file_after_reading,
        secret_id_response_wrapping_path,
    } = &method.kind
    else {
        return Ok(Request::look_up_self());
    };
    let role_id = credential("role_id_file_path", role_id_file_path, &mut remembered.role_id)?;
    if let Some(path) = secret_id_file_path {
        let setting = "secret_id_file_path";
        let is_new = files::read_bounded(Path::new(path), FILE_BYTES_MAX)
            .is_ok_and(|content| !content.iter().all(u8::is_ascii_whitespace));
        if is_new || remembered.secret_id.is_none() {
            let read = credential(setting, path, &mut None)?;
            match secret_id_response_wrapping_path {
                Some(_) if remembered.wrapping.as_ref() == Some(&read) => {}
                Some(wanted) => {
                    remembered.secret_id = Some(unwrap(client, method, read.clone(), wanted)?);
                    remembered.wrapping = Some(read);
                }
                None => remembered.secret_id = Some(read),
            }
            // Not before it is unwrapped: a Vault that does not answer yet is asked again.
            if *remove_secret_id_file_after_reading {
                remove(setting, Path::new(path), log);
            }
        }
    }
    let secret_id = remembered.secret_id.as_ref();
    Ok(Request::log_in_with_approle(&method.mount_path, &role_id, secret_id))
}

/// Takes the secret id out of its wrapping, which must have been made at the path `wanted`.
fn unwrap(
    client: &VaultClient,
    method: &AuthMethod,
    wrapping: Secret,
    wanted: &str,
) -> Result<Secret, LoginError> {
    let ask = |request: Request| {
        let request = request.in_namespace(method.namespace.as_deref());
        client.send(&request).and_then(|reply| reply.reading(&request))
    };
    let told = ask(Request::look_up_wrapping(&wrapping)).map_err(LoginError::Vault)?;
    let path = told.data.get("creation_path").and_then(|path| path.as_str()).unwrap_or_default();
    if path != wanted {
        let (path, wanted) = (hide(path, &[wrapping]), wanted.to_owned());
        return Err(LoginError::WrappedElsewhere { path, wanted });
    }
    let unwrapped = ask(Request::unwrap_with(wrapping)).map_err(LoginError::Vault)?;
    let secret_id = unwrapped.data.get("secret_id").and_then(|id| id.as_str());
    secret_id.map(Secret::new).ok_or_else(|| {
        LoginError::Vault(VaultError::Garbled {
            method: "PUT",
            path: "sys/wrapping/unwrap".to_owned(),
            reason: "no data.secret_id in it".to_owned(),
        })
    })
}

/// The trimmed text of a file; what was read before when the file is gone or empty.
fn credential(
    setting: &'static str,
    path: &str,
    before: &mut Option<Secret>,
) -> Result<Secret, LoginError> {
    let read = files::read_bounded(Path::new(path), FILE_BYTES_MAX);
    let text = read.map(zeroize::Zeroizing::new).and_then(|bytes| {
        let text = std::str::from_utf8(&bytes)
            .map_err(|_e| io::Error::other(format!("{path}: not UTF-8")))?;
        Ok(Secret::new(text.trim()))
    });
    match (text, &before) {
        (Ok(text), _) if !text.is_empty() => {
            *before = Some(text.clone());
            Ok(text)
        }
        (_, Some(before)) => Ok(before.clone()),
        (Ok(_), None) => Err(LoginError::Empty { setting, path: path.to_owned() }),
        (Err(source), None) => Err(LoginError::File { setting, source }),
    }
}

/// A file that stays, such as one on a read-only mount, is no reason not to log in.
fn remove(setting: &str, path: &Path, log: Log) {
    if let Err(error) = files::remove(path) {
        log.warn("file not removed after reading", &[("setting", &setting), ("error", &error)]);
    }
}
