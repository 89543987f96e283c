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
    suspicion: Suspicion,
    /// Another process logged in with it.
    is_kept: bool,
    /// How long it is above suspicion after it was found to be as good as a new one.
    trust: Duration,
}

/// Whether a new login could be allowed what this token was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suspicion {
    /// Not before that time.
    From(Mono),
    /// A login will tell.
    Raised {
        /// It is known to live.
        is_good: bool,
    },
}

/// A role that was changed is found out within so long by those who stay.
const TRUST_MIN: Duration = Duration::from_mins(5);
/// What stays forbidden costs no more than a login in so long.
const TRUST_MAX: Duration = Duration::from_hours(1);

impl Token {
    /// One of this process' own logins.
    pub(super) fn new(generation: Generation, grant: Grant, now: Mono, dice: &mut Dice) -> Self {
        let mut token = Self {
            generation,
            full: grant.ttl,
            expires: None,
            need: Need::Nothing,
            failed_renewals: 0,
            suspicion: Suspicion::From(now + TRUST_MIN),
            is_kept: false,
            trust: TRUST_MIN,
        };
        token.plan(grant, now, dice);
        token
    }

    /// One that another process had: it may be of a role that was changed since.
    pub(super) fn kept(generation: Generation, grant: Grant, now: Mono, dice: &mut Dice) -> Self {
        let suspicion = Suspicion::From(now);
        Self { suspicion, is_kept: true, ..Self::new(generation, grant, now, dice) }
    }

    /// It was denied something. Says whether a login is to tell if another one would be, too. What this
    /// process logged in with is suspected only when a new one costs nothing, as it is known to live: then
    /// its leases stay.
    pub(super) fn suspected(&mut self, is_good: bool, now: Mono) -> bool {
        match self.suspicion {
            Suspicion::Raised { .. } => true,
            Suspicion::From(at) if at <= now && self.is_alive() && (is_good || self.is_kept) => {
                self.suspicion = Suspicion::Raised { is_good };
                true
            }
            Suspicion::From(_) => false,
        }
    }

    /// A login was tried and told nothing, or that a new token may do no more.
    pub(super) fn cleared(&mut self, now: Mono) {
        if !self.is_suspected() {
            return;
        }
        self.suspicion = Suspicion::From(now + self.trust);
        self.is_kept = false;
        self.trust = self.trust.saturating_mul(2).min(TRUST_MAX);
    }

    /// It was suspected and is known to live.
    pub(super) fn is_suspected_but_good(&self) -> bool {
        self.suspicion == Suspicion::Raised { is_good: true }
    }

    fn is_suspected(&self) -> bool {
        matches!(self.suspicion, Suspicion::Raised { .. })
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

    /// Whether they should be made: not while a login is to tell if it is any good.
    pub(super) fn is_trusted(&self) -> bool {
        self.is_alive() && !self.is_suspected()
    }

    /// When a lease that is had now ends at the latest, if the token cannot be prolonged.
    pub(super) fn caps_leases_at(&self) -> Option<Mono> {
        self.expires.filter(|_| matches!(self.need, Need::Successor(_)))
    }

    /// A successor is wanted now rather than at its time.
    pub(super) fn hurry(&mut self, now: Mono) {
        if let Need::Successor(at) = &mut self.need {
            *at = (*at).min(now);
        }
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
            _ if self.is_suspected() => true,
            Need::Burial => true,
            Need::Successor(at) => at <= now,
            Need::Nothing | Need::Renewal(_) | Need::RenewalAnswer => false,
        }
    }

    /// Whether to renew now; then an answer is awaited.
    pub(super) fn starts_renewal(&mut self, now: Mono) -> bool {
        let is_due = self.is_trusted() && matches!(self.need, Need::Renewal(at) if at <= now);
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
            Verdict::Denied { .. } | Verdict::Refused | Verdict::Spent => {
                self.need = Need::Successor(now)
            }
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
            Need::Renewal(at) => Some(at).filter(|_| self.is_trusted()),
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

    /// It is not to be tried again by itself.
    pub(super) fn rest(&mut self) {
        self.progress = Progress::Idle;
    }

    /// The token did what a token is for.
    pub(super) fn proven(&mut self) {
        self.unproven = 0;
    }

    /// Whether the last one failed.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed > 0
    }

    pub(super) fn wakes_at(&self) -> Option<Mono> {
        if let Progress::Waiting(at) = self.progress { Some(at) } else { None }
    }
}
