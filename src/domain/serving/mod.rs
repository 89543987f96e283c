//! How the webhook comes to a certificate that API servers believe, and stays with one.
//!
//! [`replica::Replica`] is one replica's whole conduct as a state machine: it says what to ask of the API server next,
//! is told what came of it, and has no clock, key or socket. Its parts: [`ca`], which CA signs; [`bundle`], what
//! belongs into the `caBundle`; [`trust`], what was seen there; [`election`], who may write; [`pace`], when to
//! try again.

pub mod bundle;
pub mod ca;
pub mod election;
pub mod objects;
pub mod pace;
pub mod replica;
pub mod trust;

use std::time::Duration;

use crate::base::time::Mono;

/// The present on both clocks: one for waits, one for certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For waits.
    pub mono: Mono,
    /// Seconds since the epoch.
    pub wall: u64,
}

/// Why something asked of the API server was not done, as far as decisions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Somebody else was faster.
    Conflict,
    /// RBAC does not allow it.
    Forbidden,
    /// There is no such object.
    NotFound,
    /// It may work later.
    Failed {
        /// The least the server wants us to wait.
        retry_after: Option<Duration>,
    },
}

impl Trouble {
    /// How long the API server wants to be left alone.
    pub const fn retry_after(self) -> Option<Duration> {
        if let Self::Failed { retry_after } = self { retry_after } else { None }
    }
}
