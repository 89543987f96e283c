//! The machine: state, what events do to it, and what is due.

mod answers;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::pace::{Backoff, Dice};
use super::token::{Generation, Grant, Login, OldToken, Token};
use super::want::{Doubt, Entry, Stage, Ticket, canonical};
use super::{Action, Ending, Event, Facts, Pass, Plan, Tried};
use crate::base::reason::Reason;
use crate::base::time::Mono;
use crate::domain::template::Want;
use crate::domain::vault::{MountTable, Verdict};

/// A sink that could not be written is written again after 1 to 3 s.
const SINK_RETRY: Backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_secs(3) };

/// Files that could not be written are rendered again, when that is not the end of the process.
const FILES_RETRY: Backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_mins(5) };

/// How long a revocation at the end may take.
const REVOCATION_MAX: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Draining(Mono),
    Over,
    Revoking(Mono),
    Running,
}

/// What is known of the files and sinks.
#[derive(Clone, Copy, Debug, Default)]
struct Files {
    /// Something changed that was not rendered yet.
    is_stale: bool,
    is_complete: bool,
    has_failed: bool,
    is_tolerated: bool,
    /// Something was given up that the process does not go on without, once the rest is settled.
    is_lost: bool,
    commands: u32,
    failed: u32,
    retry: Option<Mono>,
    sinks_done: bool,
    sinks_ever_done: bool,
    sinks_retry: Option<Mono>,
}

/// The whole state.
#[derive(Clone, Debug)]
pub struct Machine {
    plan: Plan,
    dice: Dice,
    phase: Phase,
    login: Login,
    token: Option<Token>,
    old: Option<OldToken>,
    wants: BTreeMap<Want, Entry>,
    mounts: MountTable,
    /// When each mount was found; those of another process are not in here.
    found_at: BTreeMap<String, Mono>,
    /// First path segments with a look-up under way.
    lookups: BTreeSet<String>,
    /// The token of another process, until it is known whether it lives.
    unchecked: Option<Generation>,
    files: Files,
}

type Out = Vec<Action>;

impl Machine {
    /// Before anything happened. The first [`Event::Woke`] or [`Event::Restored`] starts it.
    pub fn new(plan: Plan, seed: u64) -> Self {
        let login = Login::new(plan.login);
        Self {
            plan,
            dice: Dice::new(seed),
            phase: Phase::Running,
            login,
            token: None,
            old: None,
            wants: BTreeMap::new(),
            mounts: MountTable::default(),
            found_at: BTreeMap::new(),
            lookups: BTreeSet::new(),
            unchecked: None,
            files: Files { is_stale: true, ..Files::default() },
        }
    }

    /// Takes in what happened and says what to do, in this order.
    pub fn step(&mut self, event: Event, now: Mono) -> Vec<Action> {
        let mut out = Out::new();
        if self.phase != Phase::Over {
            self.take_in(event, now, &mut out);
        }
        if self.phase != Phase::Over {
            self.advance(now, &mut out);
        }
        out
    }

    /// When to send [`Event::Woke`], if nothing else happens before.
    pub fn wakes_at(&self, now: Mono) -> Option<Mono> {
        let phase = match self.phase {
            Phase::Over => return None,
            Phase::Revoking(at) => return Some(at),
            Phase::Draining(at) => Some(at),
            Phase::Running => None,
        };
        let is_alive = self.has_token();
        let wants = self.wants.iter().filter(|(want, _)| is_alive || is_file(want));
        let wants = wants.filter_map(|(_, entry)| entry.wakes_at()).min();
        let token = self.token.as_ref().and_then(|token| token.wakes_at(now));
        let old = self.old.as_ref().and_then(OldToken::wakes_at);
        [phase, wants, token, old, self.login.wakes_at(), self.files.retry, self.files.sinks_retry]
            .into_iter()
            .flatten()
            .min()
    }

    /// The mounts known so far: how paths of templates become paths of the API.
    pub const fn mounts(&self) -> &MountTable {
        &self.mounts
    }

    /// Whether the answer to this request is still wanted. One that comes late, after another was asked
    /// for with a newer token, would put a credential back that is about to end.
    pub fn awaits(&self, want: &Want, ticket: Ticket) -> bool {
        self.wants.get(want).is_some_and(|entry| entry.awaits(ticket))
    }

    /// The same for the look-up of a lease.
    pub fn awaits_check(&self, want: &Want, ticket: Ticket) -> bool {
        self.wants.get(want).is_some_and(|entry| entry.awaits_check(ticket))
    }

    /// Why a secret could not be had when it was last tried.
    pub fn reason(&self, want: &Want) -> Option<&Reason> {
        self.wants.get(want)?.trouble.reason.as_ref()
    }

    /// Whether a reading of another process is used. The init container reads anew what has no lease: it was
    /// started to have present values. One lease, one certificate or one answer to a write is enough for a
    /// pod.
    pub fn takes_over(&self, want: &Want, facts: &Facts) -> bool {
        let is_had_for_good = matches!(want, Want::Certificate { .. } | Want::Write { .. });
        !self.plan.ends_when_rendered || facts.is_leased || is_had_for_good
    }

    /// Whether there is a token that works, as far as is known.
    pub fn has_token(&self) -> bool {
        self.token.as_ref().is_some_and(Token::is_trusted)
    }

    /// The token in use; 0 before the first.
    pub fn generation(&self) -> Generation {
        self.token.as_ref().map_or(0, |token| token.generation)
    }

    fn take_in(&mut self, event: Event, now: Mono, out: &mut Out) {
        match event {
            Event::CommandsEnded { has_failed } => {
                self.files.commands = self.files.commands.saturating_sub(1);
                // The init container has done its work once the files are there, as in Vault Agent: what
                // its commands are for, such as a signal to the app, is often not there yet.
                if has_failed && self.plan.fetching.gives_up && !self.plan.ends_when_rendered {
                    self.end(Ending::Failed, out);
                }
            }
            Event::Fetched { want, ticket, generation, facts, is_changed } => {
                self.fetched(&want, ticket, generation, (facts, is_changed), now, out);
            }
            Event::FetchFailed { want, ticket, generation, setback, is_explained } => {
                self.fetch_failed(&want, ticket, generation, (setback, is_explained), now, out);
            }
            Event::LeaseChecked { want, ticket, generation, state } => {
                self.lease_checked(&want, ticket, generation, &state, now);
            }
            Event::LeaseRenewed { want, ticket, granted, is_renewable } => {
                if let Some(entry) = asked(&mut self.wants, &want, ticket) {
                    let chance = (now, &mut self.dice);
                    entry.lease_renewed(granted, is_renewable, &self.plan.fetching, chance);
                    self.login.proven();
                }
            }
            Event::LeaseNotRenewed { want, ticket, generation, setback } => {
                self.lease_not_renewed(want, ticket, generation, setback, now, out);
            }
            Event::LoggedIn { grant, is_same, is_no_stronger } => {
                self.logged_in(grant, is_same, is_no_stronger, now, out);
            }
            Event::LoginFailed(setback) => self.login_failed(setback, now, out),
            Event::MountFound { want, ticket, mount } => {
                self.mount_found(&want, ticket, mount, now, out);
            }
            Event::MountNotFound { want, ticket, generation, setback } => {
                let was_asked = self.lookups.remove(first_segment(&want));
                self.fetch_failed(&want, ticket, generation, (setback.clone(), false), now, out);
                if was_asked && let Verdict::TryLater(_) = setback.verdict {
                    self.share_lookup_failure(&want, &setback, now, out);
                }
            }
            Event::Rendered(pass) => self.rendered(&pass, now),
            Event::Restored { grant, mounts, had } => self.restored(grant, mounts, had, now, out),
            Event::Revoked => self.end(Ending::Done, out),
            Event::SinksWritten { is_done } => self.sinks_written(is_done, now, out),
            Event::Stop => self.stop(now, out),
            Event::TokenChecked { generation, is_dead } => self.token_checked(generation, is_dead),
            Event::TokenRenewed { generation, grant } => {
                if let Some(token) = self.token.as_mut().filter(|t| t.generation == generation) {
                    token.renewed(grant, now, &mut self.dice);
                    self.login.proven();
                }
            }
            Event::TokenNotRenewed { generation, setback } => {
                if let Some(token) = self.token.as_mut().filter(|t| t.generation == generation)
                    && let Some((attempt, wait)) =
                        token.renewal_failed(setback.verdict, now, &mut self.dice)
                {
                    out.push(Action::Retry(Tried::Token, attempt, wait, setback.reason));
                }
            }
            Event::Woke => {}
        }
    }

    /// Does what is due.
    fn advance(&mut self, now: Mono, out: &mut Out) {
        match self.phase {
            Phase::Draining(at) if at <= now => {
                self.phase = Phase::Revoking(now + REVOCATION_MAX);
                out.push(Action::RevokeAll);
            }
            Phase::Revoking(at) if at <= now => self.end(Ending::Done, out),
            Phase::Draining(_) | Phase::Over | Phase::Revoking(_) | Phase::Running => {}
        }
        if matches!(self.phase, Phase::Over | Phase::Revoking(_)) {
            return;
        }
        if let Some(token) = &mut self.token {
            token.grow_old(now);
            if token.starts_renewal(now) {
                out.push(Action::RenewToken);
            }
        }
        let wants_login = self.token.as_ref().is_none_or(|token| token.wants_successor(now));
        if wants_login {
            if self.has_token() {
                // It lived as long as it should.
                self.login.proven();
            }
            if self.login.starts(now, &mut self.dice) {
                out.push(Action::LogIn);
            }
        }
        if due(&mut self.files.sinks_retry, now) {
            out.push(Action::WriteSinks);
        }
        if due(&mut self.files.retry, now) {
            self.files.is_stale = true;
            out.push(Action::Render);
        }
        self.advance_wants(now, out);
        self.advance_old_token(now, out);
        self.finish(out);
    }

    fn advance_wants(&mut self, now: Mono, out: &mut Out) {
        let is_alive = self.has_token();
        self.hurry_successor(now, out);
        let token_ends = self.token_ends();
        for (want, entry) in &mut self.wants {
            if is_alive && let Some(ticket) = entry.starts_check(now) {
                out.push(Action::CheckLease(want.clone(), ticket));
            }
            match entry.stage {
                Stage::Fresh(at) | Stage::Waiting(at) if at <= now => entry.stage = Stage::Ready,
                Stage::FreshLease(at) if at <= now && is_alive => {
                    let ticket = entry.ask(Stage::Asked);
                    out.push(Action::RenewLease(want.clone(), ticket));
                }
                Stage::Asked
                | Stage::Fresh(_)
                | Stage::FreshLease(_)
                | Stage::GivenUp
                | Stage::MountAsked
                | Stage::Ready
                | Stage::Waiting(_) => {}
            }
            if entry.stage != Stage::Ready || entry.is_misnamed {
                continue;
            }
            if is_file(want) {
                out.push(Action::CheckFile(want.clone(), entry.ask(Stage::Asked)));
            } else if token_ends.is_some_and(|end| entry.is_capped_by(end, now)) {
                // It is had with the token that comes.
            } else if is_alive && entry.doubt != Doubt::Mount && is_placed(want, &self.mounts) {
                let ticket = entry.ask(Stage::Asked);
                let explain = !entry.trouble.is_explained;
                out.push(Action::Fetch { want: want.clone(), ticket, explain });
            } else if is_alive && self.lookups.insert(first_segment(want).to_owned()) {
                let ticket = entry.ask(Stage::MountAsked);
                out.push(Action::LookUpMount(want.clone(), ticket));
            }
        }
    }

    /// When the leases of the token end at the latest, as long as logins bring its successor in time.
    fn token_ends(&self) -> Option<Mono> {
        let token = self.token.as_ref().filter(|_| !self.login.has_failed())?;
        token.caps_leases_at()
    }

    /// A lease that is about to be had anew, from a token that ends sooner than the lease would, is had from
    /// the token's successor instead, and not from both.
    fn hurry_successor(&mut self, now: Mono, out: &mut Out) {
        let Some(end) = self.token_ends() else { return };
        let Some(token) = self.token.as_mut().filter(|token| token.is_trusted()) else { return };
        let is_due = |entry: &Entry| match entry.stage {
            Stage::Ready => true,
            Stage::Fresh(at) | Stage::Waiting(at) => at <= now,
            Stage::Asked | Stage::FreshLease(_) | Stage::GivenUp | Stage::MountAsked => false,
        };
        if !token.wants_successor(now)
            && self.wants.values().any(|entry| is_due(entry) && entry.is_capped_by(end, now))
        {
            token.hurry(now);
            self.login.proven();
            if self.login.starts(now, &mut self.dice) {
                out.push(Action::LogIn);
            }
        }
    }

    /// Ends what is at its end: with success when all is on disk, without when nothing can change that.
    fn finish(&mut self, out: &mut Out) {
        if self.files.is_stale || self.files.commands > 0 {
            return;
        }
        let has_token = self.has_token();
        if !self.plan.ends_when_rendered {
            // The credentials beside what is broken would die, renewed or replaced and never written.
            let is_busy = has_token && self.wants.values().any(Entry::is_under_way);
            if self.files.is_lost && self.plan.fetching.gives_up && !is_busy {
                self.end(Ending::Failed, out);
            }
            return;
        }
        let is_awaited = self.wants.values().any(Entry::is_awaited) || self.unchecked.is_some();
        let is_whole = self.files.is_complete && self.files.sinks_done;
        if has_token && is_whole && !is_awaited {
            return self.end(Ending::Done, out);
        }
        let is_lost = self.files.is_lost || (self.files.has_failed && !self.files.is_tolerated);
        if self.plan.fetching.gives_up && has_token && is_lost && !is_awaited {
            self.end(Ending::Failed, out);
        }
    }

    fn end(&mut self, ending: Ending, out: &mut Out) {
        self.phase = Phase::Over;
        out.push(Action::Exit(ending));
    }

    fn stop(&mut self, now: Mono, out: &mut Out) {
        let has_token = self.has_token();
        match (self.phase, self.plan.revoke_after) {
            (Phase::Running, Some(wait)) if has_token && !self.plan.ends_when_rendered => {
                self.phase = Phase::Draining(now + wait);
            }
            (Phase::Draining(_), _) => self.phase = Phase::Draining(now),
            (Phase::Running, _) if self.plan.ends_when_rendered => self.end(Ending::Failed, out),
            (Phase::Running | Phase::Revoking(_) | Phase::Over, _) => self.end(Ending::Done, out),
        }
    }

    fn restored(
        &mut self,
        grant: Grant,
        mounts: MountTable,
        had: Vec<(Want, Facts, Duration)>,
        now: Mono,
        out: &mut Out,
    ) {
        self.mounts = mounts;
        self.logged_in(grant, false, false, now, out);
        // It was no login of this process.
        self.login = Login::new(self.plan.login);
        let generation = self.generation();
        self.token = Some(Token::kept(generation, grant, now, &mut self.dice));
        for (want, facts, age) in had {
            let chance = (now, &mut self.dice);
            let entry = Entry::kept(facts, generation, age, &self.plan.fetching, chance);
            self.wants.insert(want, entry);
        }
        // The look-up of a lease tells the same.
        if !self.wants.values().any(Entry::is_unchecked) {
            self.unchecked = Some(generation);
            out.push(Action::CheckToken);
        }
    }

    fn rendered(&mut self, pass: &Pass, now: Mono) {
        self.files.is_stale = false;
        self.files.is_complete = pass.is_complete;
        self.files.has_failed = !pass.failed.is_empty();
        self.files.is_tolerated = pass.is_tolerated;
        self.files.commands += u32::from(pass.has_started_commands);
        let wanted = pass.wanted.iter().map(|want| canonical(want, &self.mounts));
        let wanted: BTreeSet<Want> = wanted.collect();
        // A file that failed may not have come to all that it wants.
        let has_failed = self.files.has_failed;
        self.wants.retain(|want, entry| {
            let is_misnamed = std::mem::take(&mut entry.is_misnamed);
            wanted.contains(want) || has_failed && !is_misnamed
        });
        for want in wanted {
            self.wants.entry(want).or_insert_with(Entry::new);
        }
        self.files.retry = None;
        let is_given_up = |entry: &Entry| entry.stage == Stage::GivenUp;
        self.files.is_lost = self.wants.values().any(is_given_up);
        if !self.files.has_failed {
            self.files.failed = 0;
        } else if self.retakes(&pass.failed, now) {
            // Not before that is had.
        } else if !self.plan.fetching.gives_up || pass.is_tolerated {
            self.files.failed = self.files.failed.saturating_add(1);
            let wait = FILES_RETRY.wait_at_least_min(self.files.failed, None, &mut self.dice);
            self.files.retry = Some(now + wait);
        } else {
            self.files.is_lost = true;
        }
    }

    fn sinks_written(&mut self, is_done: bool, now: Mono, out: &mut Out) {
        self.files.sinks_done = is_done;
        if is_done {
            self.files.sinks_ever_done = true;
        } else if self.files.sinks_ever_done {
            let wait = SINK_RETRY.wait_at_least_min(1, None, &mut self.dice);
            self.files.sinks_retry = Some(now + wait);
        } else {
            // A folder that does not exist or cannot be written to: no retry will make it so.
            self.end(Ending::Failed, out);
        }
    }
}

/// The entry that waits for this very answer.
fn asked<'a>(
    wants: &'a mut BTreeMap<Want, Entry>,
    want: &Want,
    ticket: Ticket,
) -> Option<&'a mut Entry> {
    wants.get_mut(want).filter(|entry| entry.awaits(ticket))
}

fn retry_after(verdict: Verdict) -> Option<Duration> {
    match verdict {
        Verdict::TryLater(after) => after,
        Verdict::Denied { .. } | Verdict::LogInAgain | Verdict::Refused | Verdict::Spent => None,
    }
}

/// Takes a time that has come.
fn due(at: &mut Option<Mono>, now: Mono) -> bool {
    let is_due = at.is_some_and(|at| at <= now);
    if is_due {
        *at = None;
    }
    is_due
}

const fn is_file(want: &Want) -> bool {
    matches!(want, Want::File { .. })
}

/// Whether it is known how to ask for it. For certificates the kind of the engine makes no difference.
fn is_placed(want: &Want, mounts: &MountTable) -> bool {
    matches!(want, Want::Certificate { .. }) || mounts.of(path_of(want)).is_some()
}

/// The path without a query.
fn path_of(want: &Want) -> &str {
    let path = want.path();
    path.split_once('?').map_or(path, |(path, _)| path)
}

fn first_segment(want: &Want) -> &str {
    let path = path_of(want);
    path.split_once('/').map_or(path, |(first, _)| first)
}
