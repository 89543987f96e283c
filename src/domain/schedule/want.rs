//! Each secret, list and file by itself: fetched, kept fresh, retried alone.

use std::time::Duration;

use super::facts::{Cadence, Facts};
use super::pace::{self, Backoff, Dice, REPEAT_MIN};
use super::token::Generation;
use crate::base::time::Mono;
use crate::domain::template::Want;
use crate::domain::vault::{MountTable, Request, SecretPath, Verdict};

/// One name for all spellings of a secret: `secret/app` and `secret/data/app` are the same in a KV version
/// 2 engine. Known once the mount is; before that a spelling is a name of its own.
pub fn canonical(want: &Want, mounts: &MountTable) -> Want {
    let parsed = match want {
        // The engine of certificates has no versions, so the path is what it is.
        Want::Certificate { .. } | Want::File { .. } => return want.clone(),
        Want::List { path } | Want::Write { path, .. } => SecretPath::literal(path),
        Want::Read { path } => SecretPath::parse(path),
    };
    let Ok(parsed) = parsed else { return want.clone() };
    let Some(mount) = mounts.of(parsed.path()) else { return want.clone() };
    match want {
        Want::Certificate { .. } | Want::File { .. } => want.clone(),
        Want::List { .. } => Want::List { path: parsed.in_metadata(mount) },
        Want::Read { .. } => {
            let Request { path, query, .. } = Request::read(&parsed, mount);
            let mark = if query.is_empty() { "" } else { "?" };
            Want::Read { path: format!("{path}{mark}{query}") }
        }
        Want::Write { fields, .. } => {
            Want::Write { path: parsed.in_data(mount), fields: fields.clone() }
        }
    }
}

/// How often a file beside the agent is looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(2);

/// Waits between renewals of a lease that failed for reasons that pass.
const LEASE_BACKOFF: Backoff = Backoff { min: Duration::from_secs(2), max: Duration::from_mins(5) };

/// Numbers each request for an entry, so that a late answer to an older one is known as such.
pub type Ticket = u32;

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A request is under way.
    Asked,
    /// It is good until then.
    Fresh(Mono),
    /// Its lease is good until it is renewed then.
    FreshLease(Mono),
    /// Its retries are used up.
    GivenUp,
    /// The mount it lies in is being looked up on its behalf.
    MountAsked,
    /// It is fetched as soon as there is a token and its mount is known.
    Ready,
    /// The last try failed; the next is then.
    Waiting(Mono),
}

/// One thing that templates want.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) stage: Stage,
    pub(super) ticket: Ticket,
    /// There is a value, of this token.
    pub(super) had_with: Option<Generation>,
    pub(super) is_leased: bool,
    /// The length of the lease and when it ends.
    lease: Option<(Duration, Mono)>,
    /// Failures in a row.
    failed: u32,
    /// Of those that failed, the ones that do not count.
    excused: u32,
    failed_renewals: u32,
    /// Capabilities were asked for since the last success.
    pub(super) is_explained: bool,
    /// A new login was tried on its behalf since the last success.
    pub(super) has_logged_in: bool,
}

/// What a failure led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    GivenUp { attempts: u32 },
    Retry { attempt: u32, wait: Duration },
}

/// How fetches are paced, from the configuration.
#[derive(Clone, Debug)]
pub struct Fetching {
    /// Waits between tries of one secret.
    pub backoff: Backoff,
    /// Tries after the first; then the secret is given up if `gives_up`.
    pub retries: u32,
    /// Tries that do not count as those, where Vault could not be asked or was overloaded
    /// (`VAULT_MAX_RETRIES`): another moment is all that it takes.
    pub excused: u32,
    /// Whether to give up at all.
    pub gives_up: bool,
    /// `static_secret_render_interval`
    pub static_interval: Duration,
    /// `lease_renewal_threshold`
    pub threshold: f64,
}

impl Entry {
    pub(super) const fn new() -> Self {
        Self {
            stage: Stage::Ready,
            ticket: 0,
            had_with: None,
            is_leased: false,
            lease: None,
            failed: 0,
            excused: 0,
            failed_renewals: 0,
            is_explained: false,
            has_logged_in: false,
        }
    }

    /// A request leaves.
    pub(super) fn ask(&mut self, stage: Stage) -> Ticket {
        self.stage = stage;
        self.ticket = self.ticket.wrapping_add(1);
        self.ticket
    }

    /// Whether the request with this ticket is under way, and no later one was made.
    pub(super) fn awaits(&self, ticket: Ticket) -> bool {
        matches!(self.stage, Stage::Asked | Stage::MountAsked) && self.ticket == ticket
    }

    /// A value came, `age` ago.
    pub(super) fn had(
        &mut self,
        facts: Facts,
        generation: Generation,
        age: Duration,
        fetching: &Fetching,
        (now, dice): (Mono, &mut Dice),
    ) {
        self.had_with = Some(generation);
        self.is_leased = facts.is_leased;
        self.failed = 0;
        self.excused = 0;
        self.failed_renewals = 0;
        self.is_explained = false;
        self.has_logged_in = false;
        self.lease = None;
        let left = |wait: Duration| now + wait.saturating_sub(age);
        let threshold = fetching.threshold;
        self.stage = match facts.cadence {
            Cadence::Exact(wait) => Stage::Fresh(left(wait.max(REPEAT_MIN))),
            Cadence::Renewable(lease) => {
                self.lease = Some((lease, now + lease.saturating_sub(age)));
                Stage::FreshLease(left(pace::renew_after(lease, dice)))
            }
            Cadence::Static => {
                Stage::Fresh(left(pace::reread_after(fetching.static_interval, threshold, dice)))
            }
            Cadence::Steady => Stage::Fresh(left(fetching.static_interval.max(REPEAT_MIN))),
            Cadence::Until(end) => Stage::Fresh(left(pace::reread_after(end, threshold, dice))),
        };
    }

    /// A file was looked at and is there.
    pub(super) fn file_seen(&mut self, now: Mono) {
        self.had_with = Some(0);
        self.failed = 0;
        self.excused = 0;
        self.stage = Stage::Fresh(now + FILE_INTERVAL);
    }

    /// The lease was renewed for `granted`.
    pub(super) fn lease_renewed(
        &mut self,
        granted: Duration,
        is_renewable: bool,
        now: Mono,
        dice: &mut Dice,
    ) {
        let full = self.lease.map_or(granted, |(full, _)| full);
        self.failed_renewals = 0;
        self.lease = Some((full.max(granted), now + granted));
        self.stage = if !is_renewable || granted.is_zero() || pace::is_running_out(full, granted) {
            Stage::Ready
        } else {
            Stage::FreshLease(now + pace::renew_after(granted, dice))
        };
    }

    /// The lease could not be renewed. Returns the wait before the next try; else a new one is due.
    pub(super) fn lease_not_renewed(
        &mut self,
        verdict: Verdict,
        now: Mono,
        dice: &mut Dice,
    ) -> Option<(u32, Duration)> {
        let Verdict::TryLater(after) = verdict else {
            self.stage = Stage::Ready;
            return None;
        };
        self.failed_renewals = self.failed_renewals.saturating_add(1);
        let wait = LEASE_BACKOFF.wait(self.failed_renewals, after, dice).max(REPEAT_MIN);
        let left = self.lease.map(|(full, ends)| ends.since(now).saturating_sub(full / 10));
        if left.is_some_and(|left| wait < left) {
            self.stage = Stage::FreshLease(now + wait);
            return Some((self.failed_renewals, wait));
        }
        self.stage = Stage::Ready;
        None
    }

    /// A fetch failed.
    pub(super) fn fail(
        &mut self,
        verdict: Verdict,
        fetching: &Fetching,
        (now, dice): (Mono, &mut Dice),
    ) -> Failure {
        self.failed = self.failed.saturating_add(1);
        let retry_after = match verdict {
            Verdict::TryLater(after) => {
                self.excused = self.excused.saturating_add(1).min(fetching.excused);
                after
            }
            Verdict::LogInAgain | Verdict::Refused => None,
        };
        if fetching.gives_up && self.failed - self.excused > fetching.retries {
            self.stage = Stage::GivenUp;
            return Failure::GivenUp { attempts: self.failed };
        }
        let wait = fetching.backoff.wait(self.failed, retry_after, dice);
        self.stage = Stage::Waiting(now + wait);
        Failure::Retry { attempt: self.failed, wait }
    }

    /// Whether a try may still bring a value that was never had.
    pub(super) fn is_awaited(&self) -> bool {
        self.had_with.is_none() && self.stage != Stage::GivenUp
    }

    /// When it wants attention by itself.
    pub(super) const fn wakes_at(&self) -> Option<Mono> {
        match self.stage {
            Stage::Fresh(at) | Stage::FreshLease(at) | Stage::Waiting(at) => Some(at),
            Stage::Asked | Stage::GivenUp | Stage::MountAsked | Stage::Ready => None,
        }
    }
}
