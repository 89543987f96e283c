//! The agent's own token: log in, renew, replace in time, let the old one go.

use std::time::Duration;

use super::pace::{self, Backoff, Dice, REPEAT_MIN};
use crate::base::time::Mono;
use crate::domain::vault::Verdict;

/// Waits between renewals that failed for reasons that pass.
const RENEWAL_BACKOFF: Backoff =
    Backoff { min: Duration::from_secs(5), max: Duration::from_mins(5) };

/// How long a replaced token and its leases outlive the files that no longer name them, so that
/// what read the old files can finish.
const OLD_TOKEN_LINGERS: Duration = Duration::from_secs(10);

/// What Vault says of a token at login, look-up or renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What was granted; zero never expires.
    pub ttl: Duration,
    /// How long ago that was: not zero for a token taken over from another process.
    pub age: Duration,
    /// Whether it can be renewed.
    pub is_renewable: bool,
}

/// Which token of this process: counted up at each login that brings a different one.
pub type Generation = u32;

/// What the token needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// It no longer works.
    Burial,
    /// It lasts for ever.
    Nothing,
    /// Renewal at that time.
    Renewal(Mono),
    /// The answer to a renewal.
    RenewalAnswer,
    /// A new login at that time; it works until then and after.
    Successor(Mono),
}

/// The token in use.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) generation: Generation,
    full: Duration,
    expires: Option<Mono>,
    need: Need,
    failed_renewals: u32,
}

impl Token {
    pub(super) fn new(generation: Generation, grant: Grant, now: Mono, dice: &mut Dice) -> Self {
        let mut token = Self {
            generation,
            full: grant.ttl,
            expires: None,
            need: Need::Nothing,
            failed_renewals: 0,
        };
        token.plan(grant, now, dice);
        token
    }

    fn plan(&mut self, grant: Grant, now: Mono, dice: &mut Dice) {
        self.failed_renewals = 0;
        if grant.ttl.is_zero() {
            self.expires = None;
            self.need = Need::Nothing;
            return;
        }
        self.expires = Some(now + grant.ttl.saturating_sub(grant.age));
        let wait = pace::renew_after(grant.ttl, dice).saturating_sub(grant.age).max(REPEAT_MIN);
        self.need = if grant.is_renewable {
            Need::Renewal(now + wait)
        } else {
            Need::Successor(now + wait)
        };
    }

    /// Whether requests can be made with it.
    pub(super) fn is_alive(&self) -> bool {
        self.need != Need::Burial
    }

    pub(super) fn bury(&mut self) {
        self.need = Need::Burial;
    }

    /// Notices that it expired.
    pub(super) fn grow_old(&mut self, now: Mono) {
        if self.expires.is_some_and(|at| at <= now) {
            self.bury();
        }
    }

    /// Whether a new login is wanted now.
    pub(super) fn wants_successor(&self, now: Mono) -> bool {
        match self.need {
            Need::Burial => true,
            Need::Successor(at) => at <= now,
            Need::Nothing | Need::Renewal(_) | Need::RenewalAnswer => false,
        }
    }

    /// Whether to renew now; then an answer is awaited.
    pub(super) fn starts_renewal(&mut self, now: Mono) -> bool {
        let is_due = matches!(self.need, Need::Renewal(at) if at <= now);
        if is_due {
            self.need = Need::RenewalAnswer;
        }
        is_due
    }

    pub(super) fn renewed(&mut self, grant: Grant, now: Mono, dice: &mut Dice) {
        if self.need != Need::RenewalAnswer {
            return;
        }
        let is_running_out = pace::is_running_out(self.full, grant.ttl) && !grant.ttl.is_zero();
        self.full = self.full.max(grant.ttl);
        self.plan(grant, now, dice);
        if is_running_out {
            self.need = Need::Successor(now);
        }
    }

    /// Returns the number of the failed try and the wait before the next, if there is one: else a new
    /// login is due.
    pub(super) fn renewal_failed(
        &mut self,
        verdict: Verdict,
        now: Mono,
        dice: &mut Dice,
    ) -> Option<(u32, Duration)> {
        if self.need != Need::RenewalAnswer {
            return None;
        }
        match verdict {
            Verdict::LogInAgain => self.bury(),
            // Not allowed or not possible; the token itself may be good until it expires.
            Verdict::Refused => self.need = Need::Successor(now),
            Verdict::TryLater(after) => {
                self.failed_renewals = self.failed_renewals.saturating_add(1);
                let wait = RENEWAL_BACKOFF.wait(self.failed_renewals, after, dice).max(REPEAT_MIN);
                let latest = self.expires.map(|at| at.since(now).saturating_sub(self.full / 10));
                if latest.is_none_or(|latest| wait < latest) {
                    self.need = Need::Renewal(now + wait);
                    return Some((self.failed_renewals, wait));
                }
                self.need = Need::Successor(now);
            }
        }
        None
    }

    /// When something is due next, apart from logins that are under way.
    pub(super) fn wakes_at(&self, now: Mono) -> Option<Mono> {
        let due = match self.need {
            Need::Burial | Need::Nothing | Need::RenewalAnswer => None,
            Need::Renewal(at) => Some(at),
            Need::Successor(at) => Some(at).filter(|at| *at > now),
        };
        let expires = if self.is_alive() { self.expires } else { None };
        due.into_iter().chain(expires).min()
    }

    /// It has a successor.
    pub(super) fn retire(&self) -> OldToken {
        OldToken { generation: self.generation, expires: self.expires, ends: None }
    }
}

/// A token with a successor, kept until no file names its leases.
#[derive(Clone, Debug)]
pub(super) struct OldToken {
    pub(super) generation: Generation,
    expires: Option<Mono>,
    ends: Option<Mono>,
}

impl OldToken {
    /// Nothing on disk depends on it any more.
    pub(super) fn release(&mut self, now: Mono) {
        self.ends.get_or_insert(now + OLD_TOKEN_LINGERS);
    }

    pub(super) fn is_over(&self, now: Mono) -> bool {
        self.wakes_at().is_some_and(|at| at <= now)
    }

    /// Whether there is something left to revoke.
    pub(super) fn is_expired(&self, now: Mono) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    pub(super) fn wakes_at(&self) -> Option<Mono> {
        self.expires.into_iter().chain(self.ends).min()
    }
}

/// What the login is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Asked,
    Idle,
    Waiting(Mono),
}

/// The logins of this process: one at a time, never in a tight loop.
#[derive(Clone, Debug)]
pub(super) struct Login {
    backoff: Backoff,
    progress: Progress,
    failed: u32,
    /// Logins in a row whose tokens never did anything: a Vault that hands out dead tokens is asked
    /// ever more slowly.
    unproven: u32,
    last: Option<Mono>,
}

impl Login {
    pub(super) const fn new(backoff: Backoff) -> Self {
        Self { backoff, progress: Progress::Idle, failed: 0, unproven: 0, last: None }
    }

    /// Called while a login is wanted; says whether to send it now.
    pub(super) fn starts(&mut self, now: Mono, dice: &mut Dice) -> bool {
        if self.progress == Progress::Idle {
            let pause = match self.unproven {
                0 => REPEAT_MIN,
                n => self.backoff.wait_at_least_min(n, None, dice).max(REPEAT_MIN),
            };
            self.progress = Progress::Waiting(self.last.map_or(now, |last| last + pause));
        }
        let is_due = matches!(self.progress, Progress::Waiting(at) if at <= now);
        if is_due {
            self.progress = Progress::Asked;
        }
        is_due
    }

    pub(super) fn succeeded(&mut self, now: Mono) {
        self.progress = Progress::Idle;
        self.failed = 0;
        self.unproven = self.unproven.saturating_add(1);
        self.last = Some(now);
    }

    /// Returns the number of the failed try, from 1, and the wait before the next.
    pub(super) fn failed(
        &mut self,
        retry_after: Option<Duration>,
        now: Mono,
        dice: &mut Dice,
    ) -> (u32, Duration) {
        self.failed = self.failed.saturating_add(1);
        let wait = self.backoff.wait_at_least_min(self.failed, retry_after, dice);
        self.progress = Progress::Waiting(now + wait);
        (self.failed, wait)
    }

    /// The token did what a token is for.
    pub(super) fn proven(&mut self) {
        self.unproven = 0;
    }

    pub(super) fn wakes_at(&self) -> Option<Mono> {
        if let Progress::Waiting(at) = self.progress { Some(at) } else { None }
    }
}
