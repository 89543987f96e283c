//! Why Vault did not do what was asked, in words an operator can act on.

use std::fmt;
use std::time::Duration;

/// What an error means for whoever retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not allowed: somebody must change a policy, or the token is not what it was.
    Denied {
        /// Vault answered another question of the same token, so that it lives.
        is_token_good: bool,
    },
    /// The token is dead: log in again.
    LogInAgain,
    /// Nothing there, or malformed: somebody must change something. Retried slowly.
    Refused,
    /// Vault did what was asked, and its answer is of no use: to ask again would do it again.
    Spent,
    /// Sealed, standby, overloaded or unreachable: retried, not before the given time if there is one.
    TryLater(Option<Duration>),
}

/// Why a request failed. Holds no token, no body and no response data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultError {
    /// A 200 that is not what the API promises.
    Garbled {
        /// `GET` or `PUT`.
        method: &'static str,
        /// Below `/v1/`.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The version of a KV 2 secret is no more; its metadata is.
    Gone {
        /// Below `/v1/`.
        path: String,
        /// How it went.
        how: Gone,
    },
    /// There is no such secret.
    Missing {
        /// Below `/v1/`.
        path: String,
    },
    /// Vault answered with an error.
    Refused {
        /// `GET` or `PUT`.
        method: &'static str,
        /// Below `/v1/`.
        path: String,
        /// HTTP status.
        status: u16,
        /// Vault's own words (`errors`), or the start of a body that is not Vault's.
        errors: Vec<String>,
        /// On 403: the capabilities that the token lacks on that path, once they were asked for.
        missing_capabilities: Vec<String>,
        /// `Retry-After`
        retry_after: Option<Duration>,
    },
    /// A line before the body would be longer than can be sent, so nothing was.
    TooLong {
        /// `path` or the name of the header.
        what: String,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// The token cannot stand in a header, so it was not sent.
    TokenUnprintable,
    /// No answer came.
    Unreachable {
        /// Scheme, host and port.
        address: String,
        /// Why: refused, timed out, not trusted, name unknown.
        reason: String,
    },
}

/// What is known of a token that was denied something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// Vault does not know it: wrong, expired or revoked.
    Dead,
    /// Vault knows it.
    Lives,
    /// There is no telling.
    Unknown,
}

impl TokenState {
    /// Of what came of [`super::Request::probe_token`]. A token that lives and may do nothing is told so in
    /// other words than one that is not known.
    pub fn of<T>(outcome: &Result<T, VaultError>) -> Self {
        match outcome {
            Ok(_) => Self::Lives,
            Err(VaultError::Refused { status: 403, errors, .. }) => {
                let says = |words: &str| errors.iter().any(|error| error.contains(words));
                if says("preflight capability check") {
                    Self::Lives
                } else if says("permission denied") || says("invalid token") {
                    Self::Dead
                } else {
                    Self::Unknown
                }
            }
            Err(_) => Self::Unknown,
        }
    }
}

/// How a version of a KV 2 secret went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It can be undeleted.
    Deleted,
    /// For good.
    Destroyed,
}

impl VaultError {
    /// What it means for whoever retries. The only place that looks at status numbers.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Refused { status: 403, errors, .. }
                if errors.iter().any(|e| e.contains("invalid token")) =>
            {
                Verdict::LogInAgain
            }
            Self::Refused { status: 403, missing_capabilities, .. } => {
                // Only a token that lives was told what it lacks.
                Verdict::Denied { is_token_good: !missing_capabilities.is_empty() }
            }
            Self::Refused { status: 412 | 429 | 472 | 473 | 500..=599, retry_after, .. } => {
                Verdict::TryLater(*retry_after)
            }
            Self::Unreachable { .. } => Verdict::TryLater(None),
            Self::TokenUnprintable => Verdict::LogInAgain,
            Self::Garbled { .. }
            | Self::Gone { .. }
            | Self::Missing { .. }
            | Self::Refused { .. }
            | Self::TooLong { .. } => Verdict::Refused,
        }
    }
}

impl fmt::Display for VaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Garbled { method, path, reason } => {
                write!(f, "{method} /v1/{path}: unexpected answer, {reason}")
            }
            Self::Gone { path, how: Gone::Deleted } => write!(
                f,
                "no secret exists at {path}: this version is deleted, undelete it or write a new one"
            ),
            Self::Gone { path, how: Gone::Destroyed } => {
                write!(f, "no secret exists at {path}: this version is destroyed, write a new one")
            }
            Self::Missing { path } => write!(f, "no secret exists at {path}"),
            Self::Refused { method, path, status, errors, missing_capabilities, .. } => {
                write!(f, "{method} /v1/{path}: HTTP {status}")?;
                if !errors.is_empty() {
                    write!(f, ": {}", errors.join("; "))?;
                }
                if !missing_capabilities.is_empty() {
                    write!(f, "; the token lacks {} on {path}", missing_capabilities.join(" or "))?;
                }
                Ok(())
            }
            Self::TooLong { what, bytes, bytes_max } => write!(
                f,
                "the {what} of the request would take {bytes} bytes, more than the {bytes_max} that can be \
                 sent: was something else written there than was meant?"
            ),
            Self::TokenUnprintable => f.write_str(
                "the token holds a line break or another unprintable character: write it without one",
            ),
            Self::Unreachable { address, reason } => {
                write!(f, "cannot reach Vault at {address}: {reason}")
            }
        }
    }
}

impl std::error::Error for VaultError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, errors: &[&str]) -> VaultError {
        VaultError::Refused {
            method: "GET",
            path: "secret/data/app".to_owned(),
            status,
            errors: errors.iter().map(|&e| e.to_owned()).collect(),
            missing_capabilities: Vec::new(),
            retry_after: (status == 429).then_some(Duration::from_secs(7)),
        }
    }

    #[test]
    fn a_status_decides_how_to_go_on() {
        for (status, words, want) in [
            (400, "invalid role name", Verdict::Refused),
            (403, "permission denied", Verdict::Denied { is_token_good: false }),
            (403, "2 errors occurred: * permission denied * invalid token", Verdict::LogInAgain),
            (412, "", Verdict::TryLater(None)),
            (429, "quota exceeded", Verdict::TryLater(Some(Duration::from_secs(7)))),
            (473, "", Verdict::TryLater(None)),
            (503, "Vault is sealed", Verdict::TryLater(None)),
        ] {
            assert_eq!(refused(status, &[words]).verdict(), want, "{status} {words}");
        }
    }

    #[test]
    fn a_token_that_may_nothing_is_told_from_one_that_is_not_known() {
        let state = |status, words: &str| TokenState::of::<()>(&Err(refused(status, &[words])));
        assert_eq!(TokenState::of(&Ok(())), TokenState::Lives);
        let preflight = "preflight capability check returned 403, please ensure client's policies grant \
                         access to path \"cubbyhole/\"";
        assert_eq!(state(403, preflight), TokenState::Lives);
        assert_eq!(state(403, "permission denied"), TokenState::Dead);
        assert_eq!(state(403, "2 errors: permission denied, invalid token"), TokenState::Dead);
        assert_eq!(state(403, "blocked by the gateway"), TokenState::Unknown);
        assert_eq!(state(404, "permission denied"), TokenState::Unknown);
        assert_eq!(state(503, "Vault is sealed"), TokenState::Unknown);
    }

    #[test]
    fn names_what_the_token_lacks() {
        let mut error = refused(403, &["permission denied"]);
        if let VaultError::Refused { missing_capabilities, .. } = &mut error {
            missing_capabilities.extend(["update".to_owned(), "create".to_owned()]);
        }
        assert_eq!(
            error.to_string(),
            "GET /v1/secret/data/app: HTTP 403: permission denied; \
             the token lacks update or create on secret/data/app"
        );
        assert_eq!(error.verdict(), Verdict::Denied { is_token_good: true });
    }
}
