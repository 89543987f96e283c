//! What Vault is asked, and what became of it: one function from question to answer.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::login::{self, Remembered};
use crate::adapter::clock::Clock;
use crate::adapter::process;
use crate::adapter::vault::VaultClient;
use crate::base::report::OneLine;
use crate::base::secret::Secret;
use crate::domain::agent_config::{AuthMethod, Command, Environment};
use crate::domain::schedule::{Generation, Ticket};
use crate::domain::template::{Found, Want};
use crate::domain::vault::{
    Auth, Mount, Operation, Request, SecretPath, VaultError, Verdict, missing_capabilities,
};
use crate::telemetry::log::Log;

/// A question and the token to ask it with.
pub(super) struct Question {
    pub(super) ask: Ask,
    pub(super) generation: Generation,
    pub(super) token: Option<Secret>,
}

/// What is asked for.
pub(super) enum Ask {
    /// Not of Vault: commands, run one after the other.
    Commands(Vec<Command>),
    EndToken {
        /// At the end of the process, which waits for it.
        is_last: bool,
    },
    Fetch {
        want: Want,
        ticket: Ticket,
        mount: Mount,
        /// If it is denied, ask which capability is missing.
        explain: bool,
        /// It was had before, so that a plain refusal may mean a dead token.
        was_had: bool,
    },
    LogIn,
    LookUpMount {
        want: Want,
        ticket: Ticket,
    },
    RenewLease {
        want: Want,
        ticket: Ticket,
        lease_id: String,
    },
    RenewToken,
}

/// What came of it.
pub(super) struct Answer {
    pub(super) ask: Ask,
    pub(super) generation: Generation,
    pub(super) outcome: Result<Got, Failure>,
}

/// What Vault gave.
pub(super) enum Got {
    /// The failures of commands, one line each.
    Commands(Vec<String>),
    Done,
    Found(Found),
    Lease {
        granted: Duration,
        is_renewable: bool,
    },
    Mount(Mount),
    Token(Auth),
}

/// Why it gave nothing.
pub(super) struct Failure {
    pub(super) error: String,
    pub(super) verdict: Verdict,
    /// Capabilities were asked for.
    pub(super) is_explained: bool,
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        let verdict = error.verdict();
        Self { error: error.to_string(), verdict, is_explained: false }
    }
}

/// What answers need besides the question.
pub(super) struct Context {
    pub(super) client: VaultClient,
    pub(super) method: AuthMethod,
    pub(super) remembered: Mutex<Remembered>,
    /// For commands.
    pub(super) env: Environment,
    pub(super) clock: Clock,
    pub(super) log: Log,
}

impl Context {
    /// Answers one question; may take as long as one or two requests to Vault.
    pub(super) fn answer(&self, question: &Question) -> Result<Got, Failure> {
        match &question.ask {
            Ask::Commands(commands) => Ok(Got::Commands(self.run(commands))),
            Ask::EndToken { .. } => {
                let request = self.signed(Request::revoke_self(), question);
                self.client.send(&request)?.done(&request)?;
                Ok(Got::Done)
            }
            Ask::Fetch { want, mount, explain, was_had, .. } => {
                self.fetch(question, want, mount, (*explain, *was_had))
            }
            Ask::LogIn => {
                let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
                let auth = login::log_in(&self.client, &self.method, &mut remembered, self.log);
                auth.map(Got::Token).map_err(|error| Failure {
                    error: OneLine(&error).to_string(),
                    verdict: error.verdict(),
                    is_explained: false,
                })
            }
            Ask::LookUpMount { want, .. } => self.look_up_mount(question, want),
            Ask::RenewLease { lease_id, .. } => {
                let request = self.signed(Request::renew_lease(lease_id), question);
                let reading = self.client.send(&request)?.reading(&request)?;
                let granted = Duration::from_secs(reading.lease_duration);
                Ok(Got::Lease { granted, is_renewable: reading.renewable })
            }
            Ask::RenewToken => {
                let request = self.signed(Request::renew_self(), question);
                Ok(Got::Token(self.client.send(&request)?.auth(&request)?))
            }
        }
    }

    fn signed(&self, request: Request, question: &Question) -> Request {
        let request = request.in_namespace(self.method.namespace.as_deref());
        match &question.token {
            Some(token) => request.with_token(token.clone()),
            None => request,
        }
    }

    fn fetch(
        &self,
        question: &Question,
        want: &Want,
        mount: &Mount,
        (explain, was_had): (bool, bool),
    ) -> Result<Got, Failure> {
        let (request, operation) = match want {
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
        let request = self.signed(request, question);
        match self.client.send(&request)?.reading(&request) {
            Ok(reading) if operation == Operation::List => {
                Ok(Got::Found(Found::List(reading.keys())))
            }
            Ok(reading) => Ok(Got::Found(Found::Reading(Arc::new(reading)))),
            Err(VaultError::Missing { .. }) if operation == Operation::List => {
                Ok(Got::Found(Found::List(Vec::new())))
            }
            // A write that gives nothing back did what it was for.
            Err(VaultError::Missing { .. }) if operation == Operation::Write && !mount.is_kv2 => {
                Ok(Got::Found(Found::Absent))
            }
            Err(error) if explain => Err(self.explained(question, error, operation, was_had)),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds to a plain refusal which capability the token lacks. A token that may not even ask that is
    /// dead, if it could read the same secret before.
    fn explained(
        &self,
        question: &Question,
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
        let request = self.signed(Request::capabilities_self(path), question);
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

    fn look_up_mount(&self, question: &Question, want: &Want) -> Result<Got, Failure> {
        let path = match want {
            Want::Read { path } => SecretPath::parse(path),
            Want::File { path } | Want::List { path } | Want::Write { path, .. } => {
                SecretPath::literal(path)
            }
        };
        let path = path.map_err(|e| unusable(want, e))?;
        let request = self.signed(Request::mount_of(&path), question);
        match self.client.send(&request)?.reading(&request) {
            Ok(reading) => {
                let mount = Mount::of_reading(&reading, self.method.namespace.as_deref());
                let mount = mount.ok_or_else(|| VaultError::Garbled {
                    method: "GET",
                    path: request.path.clone(),
                    reason: "no data.path in it".to_owned(),
                })?;
                Ok(Got::Mount(mount))
            }
            // A server that is too old to tell has no KV version 2.
            Err(VaultError::Missing { .. } | VaultError::Refused { status: 404, .. }) => {
                Ok(Got::Mount(Mount { path: format!("{}/", path.path()), is_kv2: false }))
            }
            Err(error @ VaultError::Refused { status: 403, .. }) => {
                let hint = mount_hint(&path);
                let failure = Failure::from(error);
                Err(Failure { error: format!("{}; {hint}", failure.error), ..failure })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn run(&self, commands: &[Command]) -> Vec<String> {
        let failed = commands.iter().filter_map(|command| {
            let ended = process::run(&command.words, &self.env, command.timeout, self.clock);
            let error = ended.err()?;
            Some(format!("command {:?}: {}", command.words.join(" "), OneLine(&error)))
        });
        failed.collect()
    }
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
