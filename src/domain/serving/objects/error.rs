//! Why the API server refuses, in words an operator can act on.

use std::fmt;
use std::time::Duration;

use super::Kind;

/// What was asked of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`: the words of RBAC.
    pub verb: &'static str,
    /// Plural and group, as RBAC counts them.
    pub kind: &'static Kind,
    /// Empty for kinds without.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, kind, namespace, name } = self;
        let dot = if kind.group.is_empty() { "" } else { "." };
        write!(f, "{verb} {}{dot}{} {name}", kind.plural, kind.group)?;
        if kind.is_namespaced { write!(f, " in namespace {namespace}") } else { Ok(()) }
    }
}

/// Why the API server did not do what was asked. Holds no value of a Secret and no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubeError {
    /// Somebody else was faster: it exists already, or was changed since it was read.
    Conflict {
        /// What was asked.
        target: Target,
        /// The API server's words.
        message: String,
    },
    /// A watch from a version that the API server has forgotten: list again.
    Expired {
        /// What was asked.
        target: Target,
    },
    /// RBAC does not allow it.
    Forbidden {
        /// What was asked.
        target: Target,
        /// The API server's words.
        message: String,
    },
    /// The API server does not accept the object, the patch or the request.
    Invalid {
        /// What was asked.
        target: Target,
        /// The API server's words, or ours about a request that was not sent.
        message: String,
    },
    /// An answer that is not what the API promises.
    Malformed {
        /// What was asked.
        target: Target,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such object.
    NotFound {
        /// What was asked.
        target: Target,
    },
    /// The service account's token cannot be read.
    TokenUnreadable {
        /// Names the path.
        reason: String,
    },
    /// The API server does not know our token.
    Unauthorized {
        /// What was asked.
        target: Target,
        /// The API server's words.
        message: String,
    },
    /// Overloaded, starting or ending.
    Unavailable {
        /// What was asked.
        target: Target,
        /// HTTP status.
        status: u16,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
        /// The API server's words.
        message: String,
    },
    /// No answer came, or it broke off.
    Unreachable {
        /// Host and port.
        address: String,
        /// Why: refused, timed out, not trusted, name unknown.
        reason: String,
    },
}

impl KubeError {
    /// How long the API server wants to be left alone.
    pub const fn retry_after(&self) -> Option<Duration> {
        if let Self::Unavailable { retry_after, .. } = self { *retry_after } else { None }
    }
}

impl fmt::Display for KubeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { target, message } => write!(f, "{target}: conflict: {message}"),
            Self::Expired { target } => write!(f, "{target}: the version is too old"),
            Self::Forbidden { target, message } => {
                write!(f, "may not {target}: grant it to the service account in RBAC ({message})")
            }
            Self::Invalid { target, message } => {
                write!(f, "{target}: refused as invalid: {message}")
            }
            Self::Malformed { target, reason } => {
                write!(f, "{target}: unexpected answer, {reason}")
            }
            Self::NotFound { target } => write!(f, "{target}: there is none"),
            Self::TokenUnreadable { reason } => write!(f, "service account token: {reason}"),
            Self::Unauthorized { target, message } => {
                write!(f, "{target}: the service account's token is refused ({message})")
            }
            Self::Unavailable { target, status, message, .. } => {
                write!(f, "{target}: HTTP {status}: {message}")
            }
            Self::Unreachable { address, reason } => {
                write!(f, "cannot reach the API server at {address}: {reason}")
            }
        }
    }
}

impl std::error::Error for KubeError {}
