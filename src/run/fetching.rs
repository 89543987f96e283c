//! One secret from Vault: in which mount it lies, which request gets it, what the answer means.

use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::adapter::clock::Clock;
use crate::adapter::files;
use crate::adapter::vault::VaultClient;
use crate::base::secret::{Secret, SecretBytes};
use crate::domain::template::{Found, Want};
use crate::domain::vault::{
    Mount, Operation, Request, SecretPath, VaultError, Verdict, missing_capabilities,
};
use crate::domain::x509::Bundle;
use crate::run::limits::FILE_BYTES_MAX;
use crate::telemetry::log::Log;

/// Asks for secrets in one namespace.
pub(crate) struct Fetcher {
    /// The connection.
    pub(crate) client: VaultClient,
    /// Of all requests.
    pub(crate) namespace: Option<String>,
    /// Says whether a certificate is still good.
    pub(crate) clock: Clock,
}

/// Where certificates come from: never a KV engine.
pub(crate) const ANY_MOUNT: Mount = Mount { path: String::new(), is_kv2: false };

/// Why there is nothing.
pub(crate) struct Failure {
    /// One line.
    pub(crate) error: String,
    /// What to make of it.
    pub(crate) verdict: Verdict,
    /// Capabilities were asked for.
    pub(crate) is_explained: bool,
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        let verdict = error.verdict();
        Self { error: error.to_string(), verdict, is_explained: false }
    }
}

impl Fetcher {
    /// A line for each configured authority that is not believed.
    pub(crate) fn warn_of_authorities(&self, log: Log) {
        for flaw in self.client.left_out() {
            log.warn("certificate authority not believed", &[("reason", &flaw)]);
        }
    }

    /// The request with what every request carries.
    pub(crate) fn signed(&self, request: Request, token: Option<&Secret>) -> Request {
        let request = request.in_namespace(self.namespace.as_deref());
        match token {
            Some(token) => request.with_token(token.clone()),
            None => request,
        }
    }

    /// Reads, lists or writes what `want` names.
    pub(crate) fn fetch(
        &self,
        token: Option<&Secret>,
        want: &Want,
        mount: &Mount,
        (explain, was_had): (bool, bool),
    ) -> Result<Found, Failure> {
        let (request, operation) = match want {
            Want::Certificate { path, fields, destination } => {
                if let Some(bundle) = self.standing_certificate(destination) {
                    return Ok(Found::Certificate(Arc::new(bundle)));
                }
                let path = SecretPath::literal(path).map_err(|e| unusable(want, e))?;
                (Request::write(&path, mount, fields), Operation::Write)
            }
            Want::File { .. } => return Err(unusable(want, "not a path of Vault")),
            Want::List { path } => {
                let path = SecretPath::literal(path).map_err(|e| unusable(want, e))?;
                (Request::list(&path, mount), Operation::List)
            }
            Want::Read { path } => {
                let path = SecretPath::parse(path).map_err(|e| unusable(want, e))?;
                (Request::read(&path, mount), Operation::Read)
            }
            Want::Write { path, fields } => {
                let path = SecretPath::literal(path).map_err(|e| unusable(want, e))?;
                (Request::write(&path, mount, fields), Operation::Write)
            }
        };
        let request = self.signed(request, token);
        match self.client.send(&request)?.reading(&request) {
            Ok(reading) if operation == Operation::List => Ok(Found::List(reading.keys())),
            Ok(reading) if matches!(want, Want::Certificate { .. }) => {
                let bundle = Bundle::of_data(&reading.data).map(Arc::new);
                let none = "no certificate in the answer but those of CAs; want PEM, which is the default \
                            format";
                bundle.map(Found::Certificate).ok_or_else(|| unusable(want, none))
            }
            Ok(reading) => Ok(Found::Reading(Arc::new(reading))),
            Err(VaultError::Missing { .. }) if operation == Operation::List => {
                Ok(Found::List(Vec::new()))
            }
            // A write that gives nothing back did what it was for.
            Err(VaultError::Missing { .. })
                if matches!(want, Want::Write { .. }) && !mount.is_kv2 =>
            {
                Ok(Found::Absent)
            }
            Err(error) if explain => Err(self.explained(token, error, operation, was_had)),
            Err(error) => Err(error.into()),
        }
    }

    /// The certificate in a file, as long as it is good: no request is made for it.
    fn standing_certificate(&self, destination: &str) -> Option<Bundle> {
        let text = files::read_bounded(Path::new(destination), FILE_BYTES_MAX).ok()?;
        let bundle = Bundle::of_text(&Zeroizing::new(text))?;
        Some(bundle).filter(|bundle| bundle.is_good(self.clock.wall()))
    }

    /// Adds to a plain refusal which capability the token lacks. A token that may not even ask that is
    /// dead, if it could read the same secret before.
    fn explained(
        &self,
        token: Option<&Secret>,
        mut error: VaultError,
        operation: Operation,
        was_had: bool,
    ) -> Failure {
        let is_plain = error.verdict() == Verdict::Refused;
        let VaultError::Refused { path, status: 403, missing_capabilities: missing, .. } =
            &mut error
        else {
            return error.into();
        };
        if !is_plain {
            return error.into();
        }
        let request = self.signed(Request::capabilities_self(path), token);
        let told = self.client.send(&request).and_then(|reply| reply.reading(&request));
        let is_refused = matches!(told, Err(VaultError::Refused { status: 403, .. }));
        if let Ok(reading) = told {
            *missing = missing_capabilities(&reading, operation);
        }
        let failure = Failure { is_explained: true, ..error.into() };
        if is_refused && was_had {
            return Failure { verdict: Verdict::LogInAgain, ..failure };
        }
        failure
    }

    /// Finds the mount that the path of `want` lies in. Never guesses.
    pub(crate) fn look_up_mount(
        &self,
        token: Option<&Secret>,
        want: &Want,
    ) -> Result<Mount, Failure> {
        let path = match want {
            Want::Read { path } => SecretPath::parse(path),
            Want::Certificate { path, .. }
            | Want::File { path, .. }
            | Want::List { path }
            | Want::Write { path, .. } => SecretPath::literal(path),
        };
        let path = path.map_err(|e| unusable(want, e))?;
        let request = self.signed(Request::mount_of(&path), token);
        match self.client.send(&request)?.reading(&request) {
            Ok(reading) => {
                let mount = Mount::of_reading(&reading, self.namespace.as_deref());
                let mount = mount.ok_or_else(|| VaultError::Garbled {
                    method: "GET",
                    path: request.path.clone(),
                    reason: "no data.path in it".to_owned(),
                })?;
                Ok(mount)
            }
            // A server that is too old to tell has no KV version 2.
            Err(VaultError::Missing { .. } | VaultError::Refused { status: 404, .. }) => {
                Ok(Mount { path: format!("{}/", path.path()), is_kv2: false })
            }
            Err(error @ VaultError::Refused { status: 403, .. }) => {
                let hint = mount_hint(&path);
                let failure = Failure::from(error);
                Err(Failure { error: format!("{}; {hint}", failure.error), ..failure })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The content of a file that a template names, which must lie in the sandbox, if there is one. The error
/// names the file.
pub(crate) fn read_file(path: &str, sandbox: Option<&str>) -> Result<Found, String> {
    let path = Path::new(path);
    files::check_sandbox(path, sandbox).map_err(|e| e.to_string())?;
    let metadata =
        std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    // Opening a pipe would wait for a writer, and signals with it.
    if !metadata.is_file() {
        return Err(format!("{}: not a regular file", path.display()));
    }
    let bytes = files::read_bounded(path, FILE_BYTES_MAX).map_err(|e| e.to_string())?;
    Ok(Found::File(SecretBytes::new(bytes)))
}

/// Vault answers so when a policy allows nothing at all there, or nothing is mounted.
fn mount_hint(path: &SecretPath) -> String {
    let path = path.path();
    let (mount, rest) = path.split_once('/').unwrap_or((path, ""));
    format!(
        "either nothing is mounted there, or no policy of the token allows anything in it: it needs read \
         on {path}, in a KV version 2 engine on {mount}/data/{rest}"
    )
}

fn unusable(want: &Want, reason: impl std::fmt::Display) -> Failure {
    let error = format!("{}: {reason}", Path::new(want.path()).display());
    Failure { error, verdict: Verdict::Refused, is_explained: false }
}
