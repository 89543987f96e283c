//! When to log in, renew, read again, render and give up: a pure machine.
//!
//! [`Machine::step`] takes what happened and the time, and returns what to do. It knows no clock, no
//! request and no file; a week of renewals runs in a test in a millisecond. Invariants: one login at a
//! time; one request per secret at a time; one look-up per mount; nothing is repeated sooner than after
//! [`pace::REPEAT_MIN`] unless it failed; what fails, fails alone.

mod facts;
mod machine;
pub mod pace;
mod quiet;
mod token;
mod want;

use std::collections::BTreeSet;
use std::time::Duration;

pub use facts::{Cadence, Facts, Rotating};
pub use machine::Machine;
pub use pace::{Backoff, Dice};
pub use quiet::QuietTimer;
pub use token::{Generation, Grant};
pub use want::{Fetching, LeaseState, Ticket, canonical};

use crate::base::reason::Reason;
use crate::domain::template::Want;
use crate::domain::vault::{Mount, MountTable, Verdict};

/// What the configuration says about all this.
#[derive(Clone, Debug)]
pub struct Plan {
    /// End once everything is on disk: the init container.
    pub ends_when_rendered: bool,
    /// Waits between failed logins.
    pub login: Backoff,
    /// Whether a failed login ends the process.
    pub exits_on_failed_login: bool,
    /// Whether tokens are ours to revoke once they have a successor: not those of `token_file`.
    pub owns_tokens: bool,
    /// How secrets are fetched. `gives_up` also says whether files that cannot be had end the process.
    pub fetching: Fetching,
    /// Revoke the token at the end, after this wait.
    pub revoke_after: Option<Duration>,
}

/// Why something was not had, and what to make of it.
#[derive(Clone, Debug)]
pub struct Setback {
    /// What to make of it.
    pub verdict: Verdict,
    /// For the log, at the latest when it is given up.
    pub reason: Reason,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// All commands of a pass have ended.
    CommandsEnded {
        /// One of them failed.
        has_failed: bool,
    },
    /// A secret, list or file was fetched.
    Fetched {
        /// Which.
        want: Want,
        /// Of the request.
        ticket: Ticket,
        /// Of the token it was fetched with.
        generation: Generation,
        /// What it says about itself.
        facts: Facts,
        /// It differs from what was had before, so files are rendered next.
        is_changed: bool,
    },
    /// It could not be fetched.
    FetchFailed {
        /// Which.
        want: Want,
        /// Of the request.
        ticket: Ticket,
        /// Of the token it was tried with.
        generation: Generation,
        /// Why.
        setback: Setback,
        /// Capabilities were asked for.
        is_explained: bool,
    },
    /// A lease was looked up.
    LeaseChecked {
        /// Whose.
        want: Want,
        /// Of the request.
        ticket: Ticket,
        /// Of the token it was asked with.
        generation: Generation,
        /// What was told.
        state: LeaseState,
    },
    /// A lease was renewed.
    LeaseRenewed {
        /// Which.
        want: Want,
        /// Of the request.
        ticket: Ticket,
        /// From now.
        granted: Duration,
        /// Whether it can be renewed again.
        is_renewable: bool,
    },
    /// A lease was not renewed.
    LeaseNotRenewed {
        /// Which.
        want: Want,
        /// Of the request.
        ticket: Ticket,
        /// Of the token it was tried with.
        generation: Generation,
        /// Why.
        setback: Setback,
    },
    /// A login brought a token.
    LoggedIn {
        /// What was granted.
        grant: Grant,
        /// It is the token we have already (`token_file`).
        is_same: bool,
        /// It has the same policies as the one we have.
        is_no_stronger: bool,
    },
    /// A login failed.
    LoginFailed(Setback),
    /// A mount was found.
    MountFound {
        /// For which entry it was asked.
        want: Want,
        /// Of the request.
        ticket: Ticket,
        /// The mount.
        mount: Mount,
    },
    /// A mount could not be looked up.
    MountNotFound {
        /// For which entry it was asked.
        want: Want,
        /// Of the request.
        ticket: Ticket,
        /// Of the token it was tried with.
        generation: Generation,
        /// Why.
        setback: Setback,
    },
    /// Templates were rendered, files and commands included.
    Rendered(Pass),
    /// Another process handed its token and readings over.
    Restored {
        /// Of its token.
        grant: Grant,
        /// What it knew of mounts.
        mounts: MountTable,
        /// What it had, and how long ago it got it.
        had: Vec<(Want, Facts, Duration)>,
    },
    /// Tokens were revoked at the end, or could not be.
    Revoked,
    /// Sinks were written.
    SinksWritten {
        /// All of them.
        is_done: bool,
    },
    /// A signal asks for the end.
    Stop,
    /// It was asked whether a token lives.
    TokenChecked {
        /// Which token.
        generation: Generation,
        /// It is known to be dead.
        is_dead: bool,
    },
    /// The token was renewed.
    TokenRenewed {
        /// Which token.
        generation: Generation,
        /// What was granted.
        grant: Grant,
    },
    /// The token was not renewed.
    TokenNotRenewed {
        /// Which token.
        generation: Generation,
        /// Why.
        setback: Setback,
    },
    /// Time passed.
    Woke,
}

/// What came of rendering.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// All that templates asked for, found or not, as they spell it. Events and actions name secrets by
    /// their [`canonical`] spelling.
    pub wanted: BTreeSet<Want>,
    /// Every file is on disk with its content.
    pub is_complete: bool,
    /// For each file that could not be rendered, all that it asked for; nothing for each that could not be
    /// written.
    pub failed: Vec<BTreeSet<Want>>,
    /// All that failed may fail: it is tried again, but ends nothing (`error_fatal = false`).
    pub is_tolerated: bool,
    /// Commands were started; [`Event::CommandsEnded`] follows.
    pub has_started_commands: bool,
}

/// What to do. Those with a wait are for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look at a file.
    CheckFile(Want, Ticket),
    /// Ask whether the lease of a reading is there.
    CheckLease(Want, Ticket),
    /// Ask whether the token lives.
    CheckToken,
    /// Revoke a token that has a successor.
    EndToken(Generation),
    /// End the process.
    Exit(Ending),
    /// Fetch something.
    Fetch {
        /// What.
        want: Want,
        /// To be returned.
        ticket: Ticket,
        /// If it is denied, ask which capability is missing.
        explain: bool,
    },
    /// A token that has a successor is not needed any more and has expired.
    ForgetToken(Generation),
    /// The retries of a secret are used up.
    GaveUp(Want, u32, Reason),
    /// Log in, or look the given token up.
    LogIn,
    /// Find the mount of a path.
    LookUpMount(Want, Ticket),
    /// Render every file.
    Render,
    /// Renew the lease of a reading.
    RenewLease(Want, Ticket),
    /// Renew the token.
    RenewToken,
    /// Something will be tried again.
    Retry(Tried, u32, Duration, Reason),
    /// Revoke every token and report, within a few seconds.
    RevokeAll,
    /// Write the token to the sinks.
    WriteSinks,
}

/// What failed and will be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Fetching, or finding the mount.
    Fetch(Want),
    /// Renewing its lease.
    Lease(Want),
    /// Logging in.
    Login,
    /// Renewing the token.
    Token,
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All is well.
    Done,
    /// A restart may help.
    Failed,
}

#[cfg(test)]
mod tests;
