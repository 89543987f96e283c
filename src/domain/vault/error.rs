//! Why Vault did not do what was asked, in words an operator can act on.

use std::fmt;
use std::time::Duration;

/// What an error means for whoever retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The token is dead: log in again.
    LogInAgain,
    /// Nothing there, or not allowed, or malformed: somebody must change something. Retried slowly.
    Refused,
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

impl VaultError {
    /// What it means for whoever retries. The only place that looks at status numbers.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Refused { status: 403, errors, .. }
                if errors.iter().any(|e| e.contains("invalid token")) =>
            {
                Verdict::LogInAgain
            }
            Self::Refused { status: 412 | 429 | 472 | 473 | 500..=599, retry_after, .. } => {
                Verdict::TryLater(*retry_after)
            }
            Self::Unreachable { .. } => Verdict::TryLater(None),
            Self::TokenUnprintable => Verdict::LogInAgain,
            Self::Garbled { .. } | Self::Missing { .. } | Self::Refused { .. } => Verdict::Refused,
        }
    }
}

impl fmt::Display for VaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Garbled { method, path, reason } => {
                write!(f, "{method} /v1/{path}: unexpected answer, {reason}")
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
            (403, "permission denied", Verdict::Refused),
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
    }
}
