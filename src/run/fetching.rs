//! One secret from Vault: in which mount it lies, which request gets it, what the answer means.

use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::adapter::clock::Clock;
use crate::adapter::files;
use crate::adapter::vault::VaultClient;
use crate::base::reason::Reason;
use crate::base::secret::{Secret, SecretBytes};
use crate::domain::schedule::LeaseState;
use crate::domain::template::{Found, Want};
use crate::domain::vault::{
    Mount, Operation, Request, SecretPath, TokenState, VaultError, Verdict, missing_capabilities,
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

/// The formats of certificates that can be used.
const PEM_FORMATS: [&str; 3] = ["", "pem", "pem_bundle"];

/// What Vault says of a lease that it does not have.
const NO_LEASE: &str = "invalid lease";

/// Where certificates come from: never a KV engine.
pub(crate) const ANY_MOUNT: Mount = Mount { path: String::new(), is_kv2: false };

/// What is known beside the want.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Circumstances<'c> {
    /// If it is denied, ask which capability is missing.
    pub(crate) explain: bool,
    /// It was had before, so that a plain refusal may mean a dead token.
    pub(crate) was_had: bool,
    /// The files made of it, in which a certificate may stand.
    pub(crate) files: &'c [String],
}

/// Why there is nothing.
pub(crate) struct Failure {
    /// One line.
    pub(crate) reason: Reason,
    /// What to make of it.
    pub(crate) verdict: Verdict,
    /// Capabilities were asked for.
    pub(crate) is_explained: bool,
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        let verdict = error.verdict();
        Self { reason: Reason::new(error), verdict, is_explained: false }
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
        known: Circumstances<'_>,
    ) -> Result<Found, Failure> {
        let (request, operation) = match want {
            Want::Certificate { path, fields } => {
                if let Some(bundle) = self.standing_certificate(known.files) {
                    return Ok(Found::Certificate(Arc::new(bundle)));
                }
                // Vault would issue one all the same.
                if let Some(format) =
                    fields.get("format").filter(|f| !PEM_FORMATS.contains(&f.as_str()))
                {
                    return Err(unusable(
                        want,
                        format!(
                            "format={format}: a certificate is had as PEM, leave the format out"
                        ),
                    ));
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
                let spent = || Failure { verdict: Verdict::Spent, ..unusable(want, none) };
                bundle.map(Found::Certificate).ok_or_else(spent)
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
            // It was written, and would be again.
            Err(error @ VaultError::Garbled { .. }) if operation == Operation::Write => {
                Err(Failure { verdict: Verdict::Spent, ..error.into() })
            }
            Err(error) if known.explain => {
                Err(self.explained(token, error, operation, known.was_had))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The certificate that stands in the files with its key, as long as it is good: no request is made for
    /// it. Certificate and key of two files are taken for a pair only when they are one.
    fn standing_certificate(&self, destinations: &[String]) -> Option<Bundle> {
        let now = self.clock.wall();
        let texts: Vec<Zeroizing<Vec<u8>>> = destinations
            .iter()
            .filter_map(|path| files::read_bounded(Path::new(path), FILE_BYTES_MAX).ok())
            .map(Zeroizing::new)
            .collect();
        let is_whole =
            |bundle: &Bundle| !bundle.key.is_empty() && bundle.has_its_key() != Some(false);
        let single = texts.iter().filter_map(|text| Bundle::of_text(text)).find(is_whole);
        let bundle = single.or_else(|| {
            let length = texts.iter().map(|text| text.len() + 1).sum();
            let mut joined = Zeroizing::new(Vec::with_capacity(length));
            for text in &texts {
                joined.extend_from_slice(text);
                joined.push(b'\n');
            }
            Bundle::of_text(&joined).filter(|bundle| bundle.has_its_key() == Some(true))
        });
        bundle.filter(|bundle| bundle.is_good(now))
    }

    /// Adds to a plain refusal which capability the token lacks, or that the token is dead. One that may not
    /// even ask that, nor be told that it lives, is dead if it could read the same secret before.
    fn explained(
        &self,
        token: Option<&Secret>,
        mut error: VaultError,
        operation: Operation,
        was_had: bool,
    ) -> Failure {
        let is_plain = matches!(error.verdict(), Verdict::Denied { .. });
        let VaultError::Refused { path, missing_capabilities: missing, .. } = &mut error else {
            return error.into();
        };
        if !is_plain {
            return self.doubted(token, error, "");
        }
        let request = self.signed(Request::capabilities_self(path), token);
        match self.client.send(&request).and_then(|reply| reply.reading(&request)) {
            Ok(reading) => {
                *missing = missing_capabilities(&reading, operation);
                let verdict = Verdict::Denied { is_token_good: true };
                Failure { is_explained: true, verdict, ..error.into() }
            }
            Err(VaultError::Refused { status: 403, .. }) => {
                let failure = self.doubted(token, error, "");
                let is_unknown = failure.verdict == Verdict::Denied { is_token_good: false };
                let verdict =
                    if is_unknown && was_had { Verdict::LogInAgain } else { failure.verdict };
                Failure { is_explained: true, verdict, ..failure }
            }
            Err(_) => Failure { is_explained: true, ..error.into() },
        }
    }

    /// A refusal, with what is known of the token. Some Vaults say the same of a token that is denied
    /// something and of one that they do not know.
    fn doubted(&self, token: Option<&Secret>, error: VaultError, hint: &str) -> Failure {
        let Failure { reason, verdict, is_explained } = Failure::from(error);
        let (Verdict::Denied { .. } | Verdict::LogInAgain) = verdict else {
            return Failure { reason, verdict, is_explained };
        };
        let is_said = verdict == Verdict::LogInAgain;
        let state = if is_said { TokenState::Dead } else { self.token_state(token) };
        let mark = if hint.is_empty() { "" } else { "; " };
        let (words, verdict) = match state {
            TokenState::Dead => {
                let words = "the token itself is wrong, expired or revoked: Vault does not know it";
                (format!("{reason}; {words}"), Verdict::LogInAgain)
            }
            TokenState::Lives => {
                (format!("{reason}{mark}{hint}"), Verdict::Denied { is_token_good: true })
            }
            TokenState::Unknown => (
                format!("{reason}; the token itself may be wrong, expired or revoked{mark}{hint}"),
                verdict,
            ),
        };
        Failure { reason: Reason::new(words), verdict, is_explained }
    }

    /// Whether Vault knows a token. A gateway may forbid the first question, a policy the second.
    pub(crate) fn token_state(&self, token: Option<&Secret>) -> TokenState {
        let state = |request: Request| {
            let request = self.signed(request, token);
            TokenState::of(&self.client.send(&request).and_then(|reply| reply.reading(&request)))
        };
        match state(Request::probe_token()) {
            TokenState::Dead => state(Request::look_up_self()),
            known => known,
        }
    }

    /// Whether a lease is there.
    pub(crate) fn lease_state(&self, token: Option<&Secret>, lease_id: &str) -> LeaseState {
        let request = self.signed(Request::look_up_lease(lease_id), token);
        let told = self.client.send(&request).and_then(|reply| reply.reading(&request));
        let Err(error) = told else { return LeaseState::Lives };
        match &error {
            VaultError::Refused { status: 400, errors, .. }
                if errors.iter().any(|words| words.contains(NO_LEASE)) =>
            {
                LeaseState::Lost
            }
            VaultError::Refused { status: 403, .. } => {
                let is_dead = self.token_state(token) == TokenState::Dead;
                LeaseState::Unknown(if is_dead { Verdict::LogInAgain } else { error.verdict() })
            }
            _ => LeaseState::Unknown(error.verdict()),
        }
    }

    /// Finds the mount that the path of `want` lies in. Never guesses: a path whose mount cannot be had is
    /// asked for as it is only when it says `data/` or the like itself.
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
                let mount = Mount::of_reading(&reading, &path, self.namespace.as_deref());
                let garbled = |reason| VaultError::Garbled {
                    method: "GET",
                    path: request.path.clone(),
                    reason,
                };
                Ok(mount.map_err(garbled)?)
            }
            // A server that is too old to tell has no KV version 2.
            Err(VaultError::Missing { .. } | VaultError::Refused { status: 404, .. }) => {
                Ok(Mount::verbatim(&path))
            }
            Err(VaultError::Refused { status: 400..=499, .. }) if says_its_folder(want, &path) => {
                Ok(Mount::verbatim(&path))
            }
            Err(error @ VaultError::Refused { status: 403, .. }) => {
                Err(self.doubted(token, error, &mount_hint(&path)))
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

fn says_its_folder(want: &Want, path: &SecretPath) -> bool {
    match want {
        Want::List { .. } => path.lists_verbatim(),
        Want::Read { .. } => path.reads_verbatim(),
        // What is sent depends on the version of the engine.
        Want::Certificate { .. } | Want::File { .. } | Want::Write { .. } => false,
    }
}

fn unusable(want: &Want, reason: impl std::fmt::Display) -> Failure {
    let reason = Reason::new(format!("{}: {reason}", Path::new(want.path()).display()));
    Failure { reason, verdict: Verdict::Refused, is_explained: false }
}
