//! The machine: state, what events do to it, and what is due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::pace::{Backoff, Dice};
use super::token::{Generation, Grant, Login, OldToken, Token};
use super::want::{Entry, Failure, Stage, Ticket, canonical};
use super::{Action, Ending, Event, Facts, Pass, Plan, Tried};
use crate::base::time::Mono;
use crate::domain::template::Want;
use crate::domain::vault::{Mount, MountTable, Verdict};

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
    /// First path segments with a look-up under way.
    lookups: BTreeSet<String>,
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
            lookups: BTreeSet::new(),
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

    /// Whether there is a token that works, as far as is known.
    pub fn has_token(&self) -> bool {
        self.token.as_ref().is_some_and(Token::is_alive)
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
                self.fetched(&want, ticket, generation, facts, is_changed, now);
            }
            Event::FetchFailed { want, ticket, generation, verdict, is_explained } => {
                self.fetch_failed(&want, ticket, generation, (verdict, is_explained), now, out);
            }
            Event::LeaseRenewed { want, ticket, granted, is_renewable } => {
                if let Some(entry) = asked(&mut self.wants, &want, ticket) {
                    entry.lease_renewed(granted, is_renewable, now, &mut self.dice);
                    self.login.proven();
                }
            }
            Event::LeaseNotRenewed { want, ticket, generation, verdict } => {
                self.lease_not_renewed(want, ticket, generation, verdict, now, out);
            }
            Event::LoggedIn { grant, is_same } => self.logged_in(grant, is_same, now, out),
            Event::LoginFailed(verdict) => self.login_failed(verdict, now, out),
            Event::MountFound { want, ticket, mount } => {
                self.mount_found(&want, ticket, mount, now, out);
            }
            Event::MountNotFound { want, ticket, generation, verdict } => {
                let was_asked = self.lookups.remove(first_segment(&want));
                self.fetch_failed(&want, ticket, generation, (verdict, false), now, out);
                if was_asked && let Verdict::TryLater(_) = verdict {
                    self.share_lookup_failure(&want, verdict, now, out);
                }
            }
            Event::Rendered(pass) => self.rendered(&pass, now, out),
            Event::Restored { grant, mounts, had } => self.restored(grant, mounts, had, now, out),
            Event::Revoked => self.end(Ending::Done, out),
            Event::SinksWritten { is_done } => self.sinks_written(is_done, now, out),
            Event::Stop => self.stop(now, out),
            Event::TokenRenewed { generation, grant } => {
                if let Some(token) = self.token.as_mut().filter(|t| t.generation == generation) {
                    token.renewed(grant, now, &mut self.dice);
                    self.login.proven();
                }
            }
            Event::TokenNotRenewed { generation, verdict } => {
                if let Some(token) = self.token.as_mut().filter(|t| t.generation == generation)
                    && let Some((attempt, wait)) =
                        token.renewal_failed(verdict, now, &mut self.dice)
                {
                    out.push(Action::Retry(Tried::Token, attempt, wait));
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
        for (want, entry) in &mut self.wants {
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
            if entry.stage != Stage::Ready {
                continue;
            }
            if is_file(want) {
                out.push(Action::CheckFile(want.clone(), entry.ask(Stage::Asked)));
            } else if is_alive && is_placed(want, &self.mounts) {
                let ticket = entry.ask(Stage::Asked);
                let explain = !entry.is_explained;
                out.push(Action::Fetch { want: want.clone(), ticket, explain });
            } else if is_alive && self.lookups.insert(first_segment(want).to_owned()) {
                let ticket = entry.ask(Stage::MountAsked);
                out.push(Action::LookUpMount(want.clone(), ticket));
            }
        }
    }

    /// The old token goes once no file names a lease of it.
    fn advance_old_token(&mut self, now: Mono, out: &mut Out) {
        let Some(old) = &mut self.old else { return };
        let current = self.token.as_ref().map(|token| token.generation);
        let is_named =
            self.wants.values().any(|entry| entry.is_leased && entry.had_with != current);
        let files_are_new = self.files.is_complete && !self.files.is_stale;
        if !is_named && files_are_new && self.files.sinks_done && self.files.commands == 0 {
            old.release(now);
        }
        if old.is_over(now) {
            let old = old.clone();
            out.push(self.let_go(&old, now));
            self.old = None;
        }
    }

    fn let_go(&self, old: &OldToken, now: Mono) -> Action {
        if old.is_expired(now) || !self.plan.owns_tokens {
            Action::ForgetToken(old.generation)
        } else {
            Action::EndToken(old.generation)
        }
    }

    /// Ends the init container: with success when all is on disk, without when nothing can change that.
    fn finish(&mut self, out: &mut Out) {
        if !self.plan.ends_when_rendered || self.files.is_stale || self.files.commands > 0 {
            return;
        }
        let has_token = self.has_token();
        if has_token && self.files.is_complete && self.files.sinks_done {
            return self.end(Ending::Done, out);
        }
        let is_awaited = self.wants.values().any(Entry::is_awaited);
        let is_lost = (self.files.has_failed && !self.files.is_tolerated)
            || self.wants.values().any(|entry| entry.stage == Stage::GivenUp);
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

    fn logged_in(&mut self, grant: Grant, is_same: bool, now: Mono, out: &mut Out) {
        self.login.succeeded(now);
        let generation = match &self.token {
            Some(token) if is_same => token.generation,
            Some(token) => token.generation.wrapping_add(1),
            None => 1,
        };
        let fresh = Token::new(generation, grant, now, &mut self.dice);
        let before = self.token.replace(fresh).filter(|_| !is_same);
        if let Some(before) = before {
            if let Some(older) = self.old.take() {
                out.push(self.let_go(&older, now));
            }
            if before.is_alive() {
                self.old = Some(before.retire());
            } else {
                out.push(Action::ForgetToken(before.generation));
            }
        }
        if !is_same {
            self.files.sinks_done = false;
            out.push(Action::WriteSinks);
            for entry in self.wants.values_mut().filter(|entry| entry.is_leased) {
                entry.stage = Stage::Ready;
            }
        }
        if !self.files.is_complete {
            self.files.is_stale = true;
            out.push(Action::Render);
        }
    }

    fn login_failed(&mut self, verdict: Verdict, now: Mono, out: &mut Out) {
        let has_token = self.has_token();
        if self.plan.exits_on_failed_login && !has_token {
            return self.end(Ending::Failed, out);
        }
        let after = retry_after(verdict);
        let (attempt, wait) = self.login.failed(after, now, &mut self.dice);
        out.push(Action::Retry(Tried::Login, attempt, wait));
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
        self.logged_in(grant, false, now, out);
        let generation = self.generation();
        for (want, facts, age) in had {
            let mut entry = Entry::new();
            let chance = (now, &mut self.dice);
            entry.had(facts, generation, age, &self.plan.fetching, chance);
            self.wants.insert(want, entry);
        }
    }

    fn fetched(
        &mut self,
        want: &Want,
        ticket: Ticket,
        generation: Generation,
        facts: Facts,
        is_changed: bool,
        now: Mono,
    ) {
        let current = self.generation();
        let Some(entry) = asked(&mut self.wants, want, ticket) else { return };
        self.files.is_stale |= is_changed;
        if is_file(want) {
            return entry.file_seen(now);
        }
        let chance = (now, &mut self.dice);
        entry.had(facts, generation, Duration::ZERO, &self.plan.fetching, chance);
        if facts.is_leased && generation != current {
            // Its lease ends with a token that has a successor already.
            entry.stage = Stage::Ready;
        }
        self.login.proven();
    }

    fn fetch_failed(
        &mut self,
        want: &Want,
        ticket: Ticket,
        generation: Generation,
        (verdict, is_explained): (Verdict, bool),
        now: Mono,
        out: &mut Out,
    ) {
        let current = self.generation();
        let Some(entry) = asked(&mut self.wants, want, ticket) else { return };
        entry.is_explained |= is_explained;
        if verdict == Verdict::LogInAgain && (generation != current || !entry.has_logged_in) {
            entry.has_logged_in |= generation == current;
            entry.stage = Stage::Ready;
        } else {
            self.fail(want, verdict, now, out);
        }
        if verdict == Verdict::LogInAgain && generation == current {
            self.token.iter_mut().for_each(Token::bury);
        }
    }

    /// Those who waited for a look-up that got no answer fail with it and wait as long, instead of
    /// asking one by one.
    fn share_lookup_failure(&mut self, leader: &Want, verdict: Verdict, now: Mono, out: &mut Out) {
        let segment = first_segment(leader);
        let waiting = self.wants.iter().filter(|(want, entry)| {
            entry.stage == Stage::Ready
                && !is_file(want)
                && first_segment(want) == segment
                && !is_placed(want, &self.mounts)
        });
        let waiting: Vec<Want> = waiting.map(|(want, _)| want.clone()).collect();
        let together = self.wants.get(leader).map(|entry| entry.stage);
        for want in waiting {
            self.fail(&want, verdict, now, out);
            if let (Some(entry), Some(stage @ Stage::Waiting(_))) =
                (self.wants.get_mut(&want), together)
                && entry.stage != Stage::GivenUp
            {
                entry.stage = stage;
            }
        }
    }

    fn fail(&mut self, want: &Want, verdict: Verdict, now: Mono, out: &mut Out) {
        let Some(entry) = self.wants.get_mut(want) else { return };
        let chance = (now, &mut self.dice);
        match entry.fail(verdict, &self.plan.fetching, chance) {
            Failure::Retry { attempt, wait } => {
                out.push(Action::Retry(Tried::Fetch(want.clone()), attempt, wait));
            }
            Failure::GivenUp { attempts } => {
                out.push(Action::GaveUp(want.clone(), attempts));
                if !self.plan.ends_when_rendered {
                    self.end(Ending::Failed, out);
                }
            }
        }
    }

    fn lease_not_renewed(
        &mut self,
        want: Want,
        ticket: Ticket,
        generation: Generation,
        verdict: Verdict,
        now: Mono,
        out: &mut Out,
    ) {
        let current = self.generation();
        let Some(entry) = asked(&mut self.wants, &want, ticket) else { return };
        if let Some((attempt, wait)) = entry.lease_not_renewed(verdict, now, &mut self.dice) {
            out.push(Action::Retry(Tried::Lease(want), attempt, wait));
        }
        if verdict == Verdict::LogInAgain && generation == current {
            self.token.iter_mut().for_each(Token::bury);
        }
    }

    fn mount_found(&mut self, want: &Want, ticket: Ticket, mount: Mount, now: Mono, out: &mut Out) {
        self.lookups.remove(first_segment(want));
        self.mounts.insert(mount);
        if let Some(entry) = asked(&mut self.wants, want, ticket) {
            entry.stage = Stage::Ready;
            if self.mounts.of(path_of(want)).is_none() {
                // An answer about some other mount: asking again at once would not end.
                return self.fail(want, Verdict::Refused, now, out);
            }
        }
        // What turns out to be another spelling of a secret joins it.
        let (named, spelled): (Vec<_>, Vec<_>) = std::mem::take(&mut self.wants)
            .into_iter()
            .partition(|(want, _)| canonical(want, &self.mounts) == *want);
        self.wants = named.into_iter().collect();
        for (want, entry) in spelled {
            self.wants.entry(canonical(&want, &self.mounts)).or_insert(entry);
        }
    }

    fn rendered(&mut self, pass: &Pass, now: Mono, out: &mut Out) {
        self.files.is_stale = false;
        self.files.is_complete = pass.is_complete;
        self.files.has_failed = pass.has_failed;
        self.files.is_tolerated = pass.is_tolerated;
        self.files.commands += u32::from(pass.has_started_commands);
        let wanted = pass.wanted.iter().map(|want| canonical(want, &self.mounts));
        let wanted: BTreeSet<Want> = wanted.collect();
        self.wants.retain(|want, _| wanted.contains(want));
        for want in wanted {
            self.wants.entry(want).or_insert_with(Entry::new);
        }
        self.files.retry = None;
        if !pass.has_failed {
            self.files.failed = 0;
        } else if !self.plan.fetching.gives_up || pass.is_tolerated {
            self.files.failed = self.files.failed.saturating_add(1);
            let wait = FILES_RETRY.wait_at_least_min(self.files.failed, None, &mut self.dice);
            self.files.retry = Some(now + wait);
        } else if !self.plan.ends_when_rendered {
            self.end(Ending::Failed, out);
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
        Verdict::LogInAgain | Verdict::Refused => None,
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
