//! Each secret, list and file by itself: fetched, kept fresh, retried alone.

use std::time::Duration;

use super::facts::{Cadence, Facts};
use super::pace::{self, Backoff, Dice, REPEAT_MIN};
use super::token::Generation;
use crate::base::reason::Reason;
use crate::base::time::Mono;
use crate::domain::template::Want;
use crate::domain::vault::{Mount, MountTable, Request, SecretPath, Verdict};

/// One name for all spellings of a secret: `secret/app` and `secret/data/app` are the same in a KV version
/// 2 engine. Known once the mount is; before that a spelling is a name of its own.
pub fn canonical(want: &Want, mounts: &MountTable) -> Want {
    let parsed = match want {
        // The engine of certificates has no versions, so the path is what it is.
        Want::Certificate { path, fields } => {
            let Ok(clean) = SecretPath::literal(path) else { return want.clone() };
            return Want::Certificate { path: clean.path().to_owned(), fields: fields.clone() };
        }
        Want::File { .. } => return want.clone(),
        Want::List { path } | Want::Write { path, .. } => SecretPath::literal(path),
        Want::Read { path } => SecretPath::parse(path),
    };
    let Ok(parsed) = parsed else { return want.clone() };
    let Some(mount) = mounts.of(parsed.path()) else { return want.clone() };
    // Its name as a path of the API would be read as that of the key `data`.
    let verbatim = Mount { path: String::new(), is_kv2: false };
    let mount = if parsed.is_mount(mount) && !is_list(want) { &verbatim } else { mount };
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

const fn is_list(want: &Want) -> bool {
    matches!(want, Want::List { .. })
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
    /// Its value comes from an earlier process and was not read again since, or is as old.
    origin: Origin,
    pub(super) is_leased: bool,
    /// How long its lease or token lives as a whole.
    life: Duration,
    /// The length of the lease and when it ends.
    lease: Option<(Duration, Mono)>,
    check: Check,
    /// Failures in a row.
    failed: u32,
    /// Of those that failed, the ones that do not count.
    excused: u32,
    failed_renewals: u32,
    pub(super) trouble: Trouble,
    /// Whether its mount is looked up again before the next try.
    pub(super) doubt: Doubt,
    /// Its mount turned out to be of another version, so that its name may be nobody's any more.
    pub(super) is_misnamed: bool,
}

/// What is known of failures since the last success.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    /// Why the last one was.
    pub(super) reason: Option<Reason>,
    /// Capabilities were asked for.
    pub(super) is_explained: bool,
    /// The token is known to live, though it was denied something.
    pub(super) is_token_good: bool,
    /// A new login was tried.
    pub(super) has_logged_in: bool,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Another process had it so long before this time.
    Kept(Duration, Mono),
    /// This process, or there is none.
    Own,
    /// It is being had anew: it ended, or something failed with one that was kept.
    Retaking,
}

/// Whether a lease is known to be there: an operator may have revoked it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Asked(Ticket),
    /// Of a lease that comes from another process: nothing is over before its answer.
    AskedFirst(Ticket),
    At(Mono),
    First,
    Never,
}

/// Whether a failure may be the fault of a mount that is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It is to be looked up.
    Mount,
    /// Not as far as is known.
    None,
    /// It was looked up, and the try after that is under way. Without a success or a wait between them there is
    /// no second look-up, or the two would take turns without end.
    Settled,
}

/// What a look-up of a lease told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// It is there.
    Lives,
    /// It is gone, and what it was for.
    Lost,
    /// There was no telling.
    Unknown(Verdict),
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
            origin: Origin::Own,
            is_leased: false,
            life: Duration::ZERO,
            lease: None,
            check: Check::Never,
            failed: 0,
            excused: 0,
            failed_renewals: 0,
            trouble: Trouble {
                reason: None,
                is_explained: false,
                is_token_good: false,
                has_logged_in: false,
            },
            doubt: Doubt::None,
            is_misnamed: false,
        }
    }

    /// What another process had, `age` ago.
    pub(super) fn kept(
        facts: Facts,
        generation: Generation,
        age: Duration,
        fetching: &Fetching,
        (now, dice): (Mono, &mut Dice),
    ) -> Self {
        let mut entry = Self::new();
        entry.had(facts, generation, age, fetching, (now, dice));
        entry.origin = Origin::Kept(age, now);
        if entry.check != Check::Never {
            entry.check = Check::First;
        }
        entry
    }

    /// A request leaves.
    pub(super) fn ask(&mut self, stage: Stage) -> Ticket {
        self.stage = stage;
        // Whatever it tells will be newer.
        self.check = Check::Never;
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
        self.origin = Origin::Own;
        self.doubt = Doubt::None;
        self.trouble = Trouble::default();
        self.lease = None;
        let left = |wait: Duration| now + wait.saturating_sub(age);
        let threshold = fetching.threshold;
        self.check =
            if facts.has_lease_id { next_check(fetching, now, dice) } else { Check::Never };
        self.life = match facts.cadence {
            Cadence::Renewable(lease) | Cadence::Until(lease) => lease,
            Cadence::Exact(_) | Cadence::Static | Cadence::Steady => Duration::ZERO,
        };
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

    /// Whether it is to be had anew, as something failed with what another process had. What has no lease is
    /// the first suspect; what has one is healthy for all that is known as long as there are others
    /// (`is_alone` is false), unless it is older than those.
    pub(super) fn retake(&mut self, is_alone: bool, fetching: &Fetching, now: Mono) -> bool {
        let Origin::Kept(age, since) = self.origin else { return false };
        let is_old = age + now.since(since) >= fetching.static_interval;
        if self.is_leased && !is_alone && !is_old {
            return false;
        }
        self.origin = Origin::Retaking;
        if matches!(self.stage, Stage::Fresh(_) | Stage::FreshLease(_)) {
            self.stage = Stage::Ready;
        }
        true
    }

    /// What there is ends, or has ended: nothing is over before it is had anew.
    pub(super) fn replace(&mut self) {
        self.origin = Origin::Retaking;
        self.stage = Stage::Ready;
    }

    pub(super) fn is_retaking(&self) -> bool {
        self.origin == Origin::Retaking && self.stage != Stage::GivenUp
    }

    /// Whether its lease is to be looked up now.
    pub(super) fn starts_check(&mut self, now: Mono) -> Option<Ticket> {
        let is_fresh = matches!(self.stage, Stage::Fresh(_) | Stage::FreshLease(_));
        let is_first = self.check == Check::First;
        if !is_fresh || !is_first && !matches!(self.check, Check::At(at) if at <= now) {
            return None;
        }
        self.ticket = self.ticket.wrapping_add(1);
        self.check =
            if is_first { Check::AskedFirst(self.ticket) } else { Check::Asked(self.ticket) };
        Some(self.ticket)
    }

    /// Whether the look-up with this ticket is under way.
    pub(super) fn awaits_check(&self, ticket: Ticket) -> bool {
        [Check::Asked(ticket), Check::AskedFirst(ticket)].contains(&self.check)
    }

    /// Whether it is not known yet that a lease of another process is there.
    pub(super) fn is_unchecked(&self) -> bool {
        matches!(self.check, Check::First | Check::AskedFirst(_))
    }

    pub(super) fn checked(
        &mut self,
        state: &LeaseState,
        fetching: &Fetching,
        (now, dice): (Mono, &mut Dice),
    ) {
        self.check = match state {
            LeaseState::Lives | LeaseState::Unknown(Verdict::TryLater(_)) => {
                next_check(fetching, now, dice)
            }
            LeaseState::Lost => {
                self.replace();
                Check::Never
            }
            // It will not be told later either.
            LeaseState::Unknown(_) => Check::Never,
        };
    }

    /// Whether a lease had anew from a token that ends then would be shorter than the one it has: it ends with
    /// the token, and a new one is better had from the token's successor.
    pub(super) fn is_capped_by(&self, token_ends: Mono, now: Mono) -> bool {
        self.is_leased && self.had_with.is_some() && token_ends.since(now) < self.life
    }

    /// A file was looked at and is there.
    pub(super) fn file_seen(&mut self, now: Mono) {
        self.had_with = Some(0);
        self.failed = 0;
        self.excused = 0;
        self.trouble.reason = None;
        self.stage = Stage::Fresh(now + FILE_INTERVAL);
    }

    /// The lease was renewed for `granted`.
    pub(super) fn lease_renewed(
        &mut self,
        granted: Duration,
        is_renewable: bool,
        fetching: &Fetching,
        (now, dice): (Mono, &mut Dice),
    ) {
        self.check = next_check(fetching, now, dice);
        self.trouble.reason = None;
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
        self.doubt = Doubt::None;
        self.failed = self.failed.saturating_add(1);
        let retry_after = match verdict {
            Verdict::TryLater(after) => {
                self.excused = self.excused.saturating_add(1).min(fetching.excused);
                after
            }
            Verdict::Denied { .. } | Verdict::LogInAgain | Verdict::Refused | Verdict::Spent => {
                None
            }
        };
        let is_spent = verdict == Verdict::Spent;
        if fetching.gives_up && (is_spent || self.failed - self.excused > fetching.retries) {
            self.stage = Stage::GivenUp;
            return Failure::GivenUp { attempts: self.failed };
        }
        let mut wait = fetching.backoff.wait(self.failed, retry_after, dice);
        if is_spent {
            // Each try leaves something behind in Vault.
            wait = wait.max(fetching.static_interval);
        }
        self.stage = Stage::Waiting(now + wait);
        Failure::Retry { attempt: self.failed, wait }
    }

    /// Whether a try may still bring a value that was never had, or one that takes the place of a kept one.
    pub(super) fn is_awaited(&self) -> bool {
        self.stage != Stage::GivenUp
            && (self.had_with.is_none() || self.is_retaking() || self.is_unchecked())
    }

    /// Whether something is about to come of it.
    pub(super) fn is_under_way(&self) -> bool {
        self.is_unchecked() || matches!(self.stage, Stage::Asked | Stage::MountAsked | Stage::Ready)
    }

    /// When it wants attention by itself.
    pub(super) fn wakes_at(&self) -> Option<Mono> {
        match (self.stage, self.check) {
            (Stage::Fresh(at) | Stage::FreshLease(at), Check::At(check)) => Some(at.min(check)),
            (Stage::Fresh(at) | Stage::FreshLease(at) | Stage::Waiting(at), _) => Some(at),
            (Stage::Asked | Stage::GivenUp | Stage::MountAsked | Stage::Ready, _) => None,
        }
    }
}

/// A lease is looked up as often as a secret without one is read.
fn next_check(fetching: &Fetching, now: Mono, dice: &mut Dice) -> Check {
    Check::At(now + pace::reread_after(fetching.static_interval, fetching.threshold, dice))
}
