//! What Vault is asked, and what became of it: one function from question to answer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::login::{self, LoginError, Remembered};
use crate::adapter::clock::Clock;
use crate::adapter::process::{self, Commands};
use crate::base::reason::Reason;
use crate::base::report::OneLine;
use crate::base::secret::Secret;
use crate::domain::agent_config::{AuthMethod, Command, Environment};
use crate::domain::schedule::{Generation, LeaseState, Ticket};
use crate::domain::template::{Found, Want};
use crate::domain::vault::{Auth, Mount, Request, TokenState, VaultError};
use crate::run::fetching::{Circumstances, Failure, Fetcher};
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
        /// The files made of it, in which a certificate may stand.
        files: Vec<String>,
    },
    CheckLease {
        want: Want,
        ticket: Ticket,
        lease_id: String,
    },
    CheckToken,
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
    /// The token is known to be dead, or not.
    Dead(bool),
    Found(Found),
    Lease {
        granted: Duration,
        is_renewable: bool,
    },
    LeaseState(LeaseState),
    Mount(Mount),
    Token(Auth),
}

/// What answers need besides the question.
pub(super) struct Context {
    pub(super) fetcher: Fetcher,
    pub(super) method: AuthMethod,
    pub(super) remembered: Mutex<Remembered>,
    /// For commands.
    pub(super) env: Environment,
    pub(super) commands: Commands,
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
                self.fetcher.client.send(&request)?.done(&request)?;
                Ok(Got::Done)
            }
            Ask::CheckLease { lease_id, .. } => {
                let state = self.fetcher.lease_state(question.token.as_ref(), lease_id);
                Ok(Got::LeaseState(state))
            }
            Ask::CheckToken => {
                let state = self.fetcher.token_state(question.token.as_ref());
                Ok(Got::Dead(state == TokenState::Dead))
            }
            Ask::Fetch { want, mount, explain, was_had, files, .. } => {
                let token = question.token.as_ref();
                let known = Circumstances { explain: *explain, was_had: *was_had, files };
                self.fetcher.fetch(token, want, mount, known).map(Got::Found)
            }
            Ask::LogIn => {
                let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
                let auth =
                    login::log_in(&self.fetcher.client, &self.method, &mut remembered, self.log);
                auth.map(Got::Token).map_err(|error| Failure {
                    reason: login_reason(&error, &self.method.mount_path),
                    verdict: error.verdict(),
                    is_explained: false,
                })
            }
            Ask::LookUpMount { want, .. } => {
                self.fetcher.look_up_mount(question.token.as_ref(), want).map(Got::Mount)
            }
            Ask::RenewLease { lease_id, .. } => {
                let request = self.signed(Request::renew_lease(lease_id), question);
                let reading = self.fetcher.client.send(&request)?.reading(&request)?;
                let granted = Duration::from_secs(reading.lease_duration);
                Ok(Got::Lease { granted, is_renewable: reading.renewable })
            }
            Ask::RenewToken => {
                let request = self.signed(Request::renew_self(), question);
                Ok(Got::Token(self.fetcher.client.send(&request)?.auth(&request)?))
            }
        }
    }

    fn signed(&self, request: Request, question: &Question) -> Request {
        self.fetcher.signed(request, question.token.as_ref())
    }

    fn run(&self, commands: &[Command]) -> Vec<String> {
        let failed = commands.iter().filter_map(|command| {
            let Command { words, timeout } = command;
            let ended = process::run(&self.commands, words, &self.env, *timeout, self.clock);
            let error = ended.err()?;
            Some(format!("command {:?}: {}", command.words.join(" "), OneLine(&error)))
        });
        failed.collect()
    }
}

/// Why there is no token. A login method is mounted below `auth/`; elsewhere Vault has nothing, or nothing that
/// it tells of.
fn login_reason(error: &LoginError, mount_path: &str) -> Reason {
    let words = OneLine(error);
    let mount = mount_path.trim_matches('/');
    let is_below_auth = mount.split('/').any(|part| part == "auth");
    match error {
        LoginError::Vault(VaultError::Refused { status: 400..=499, .. }) if !is_below_auth => {
            Reason::new(format!("{words}; the login goes to {mount}, want auth/{mount}"))
        }
        _ => Reason::new(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_outside_of_auth_is_told_where_it_belongs() {
        let refused = |status| {
            LoginError::Vault(VaultError::Refused {
                method: "PUT",
                path: "kubernetes/login".to_owned(),
                status,
                errors: vec!["permission denied".to_owned()],
                missing_capabilities: Vec::new(),
                retry_after: None,
            })
        };
        for status in [400, 403, 404, 405] {
            for mount in ["kubernetes", "/cloud/dev/"] {
                let told = login_reason(&refused(status), mount).to_string();
                let want = format!("want auth/{}", mount.trim_matches('/'));
                assert!(told.contains(&want), "{status} {mount}: {told}");
            }
        }
        for (status, mount) in
            [(403, "auth/kubernetes"), (403, "team/auth/kubernetes"), (503, "kubernetes")]
        {
            let told = login_reason(&refused(status), mount).to_string();
            assert!(!told.contains("want"), "{status} {mount}: {told}");
        }
    }
}
