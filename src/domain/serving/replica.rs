//! One replica of the webhook and its certificate: what to do next, given what has been seen.
//!
//! It serves first and asks later: there is a leaf from the start, and nothing that fails takes it away.

mod facts;

use std::time::Duration;

pub use self::facts::{Action, BundleState, Duty, Outcome, Readiness};
use super::bundle::{Entry, merge};
use super::ca::{Authority, Change, LOOK, Leaf, Shelf, is_due};
use super::election::{Ask, Elector, Kind, Role};
use super::pace::Pace;
use super::trust::Trust;
use super::{Now, Trouble};
use crate::base::time::{Mono, Spread};

/// So long the start waits for the API server before it goes on without: below the minute after which the startup
/// probe of vault-k8s' chart lets the kubelet kill the container, which would only make the way back longer.
pub const GRACE: Duration = Duration::from_secs(30);

/// How often everything is looked at though nothing was heard of it.
const HOUR: Duration = Duration::from_hours(1);

/// How often the bundle is looked at while it lacks something that another must add.
const LACKING: Duration = Duration::from_secs(10);

/// No two looks that others cause are closer than this.
const LOOKS_APART: Duration = Duration::from_millis(200);

/// Without a patch for so long, whoever undoes ours counts as gone.
const QUIET: Duration = Duration::from_mins(10);

/// Patches in a row that make a fight.
const FIGHT: u32 = 4;

/// How often the leaf of a replica of vault-k8s is read; it looks itself that often.
const SHARED_LOOK: Duration = Duration::from_secs(5);

/// What RBAC forbids is tried again that often: it can be granted at any time.
const FORBIDDEN_LOOK: Duration = Duration::from_mins(10);

#[derive(Clone, Copy, Debug, Default)]
struct Task {
    due: Mono,
    pace: Pace,
}

impl Task {
    fn succeed(&mut self, due: Mono) {
        self.pace.succeed();
        self.due = due;
    }

    fn fail(&mut self, trouble: Trouble, now: Mono, spread: Spread) {
        let wait = self.pace.fail(trouble.retry_after(), spread);
        let wait = if trouble == Trouble::Forbidden { FORBIDDEN_LOOK } else { wait };
        self.due = now + wait;
    }
}

/// The shared CAs, as far as we know.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Store {
    Absent,
    Forbidden,
    Present(Shelf),
    Unread,
}

/// One replica.
#[derive(Clone, Debug)]
pub struct Replica {
    started: Mono,
    is_file_mode: bool,
    elector: Option<Box<Elector>>,
    /// CAs of this process, or those of the file.
    own: Shelf,
    own_due: Mono,
    store: Store,
    /// When there were shared CAs that can be used, for the last time.
    unshared: Mono,
    read_ca: Task,
    ca_read: Option<Mono>,
    write_ca: Task,
    served: Option<Leaf>,
    is_served_shared: bool,
    leaf_due: Mono,
    shared: Option<Leaf>,
    share: Task,
    /// Fingerprint of the leaf that was last shared.
    written: Option<String>,
    trust: Trust,
    /// Our entries, when nothing has made them doubtful.
    live: Option<Vec<Entry>>,
    bundle: Task,
    bundle_read: Option<Mono>,
    is_bundle_forbidden: bool,
    /// For failures of a patch; of reads there is `bundle`.
    patch: Task,
    /// For patches that somebody undoes.
    patches: Task,
    patched: Option<Mono>,
    is_proven: bool,
}

impl Replica {
    /// A replica that starts now.
    pub fn new(duty: Duty, now: Mono) -> Self {
        let (own, served, elector, is_file_mode) = match duty {
            Duty::Bundle(past) => (Shelf { past, ..Shelf::default() }, None, None, true),
            Duty::Everything { own, leaf, elector } => (own, Some(leaf), elector, false),
        };
        let task = Task { due: now, pace: Pace::new() };
        Self {
            started: now,
            is_file_mode,
            elector,
            own,
            own_due: now,
            store: Store::Unread,
            unshared: now,
            read_ca: task,
            ca_read: None,
            write_ca: task,
            served,
            is_served_shared: false,
            leaf_due: now,
            shared: None,
            share: task,
            written: None,
            trust: Trust::default(),
            live: None,
            bundle: task,
            bundle_read: None,
            is_bundle_forbidden: false,
            patch: task,
            patches: task,
            patched: None,
            is_proven: false,
        }
    }

    /// The webhook configuration has changed, or may have.
    pub fn wake(&mut self, now: Mono) {
        let soonest = self.bundle_read.map_or(now, |read| read + LOOKS_APART);
        self.bundle.due = self.bundle.due.min(soonest.max(now));
    }

    /// The file has other CAs now.
    pub fn replace_file(&mut self, authorities: Vec<Authority>) {
        self.own.past = authorities;
    }

    /// Gives leadership back at the end of the process.
    pub fn release(&mut self, now: Now) -> Option<Ask> {
        self.elector.as_mut().and_then(|elector| elector.release(now))
    }

    /// What we are now.
    pub fn role(&self, now: Mono) -> Role {
        self.elector.as_ref().map_or(Role::Leader, |elector| elector.role(now))
    }

    /// The CA that signs, or would.
    pub fn signer(&self, now: Now) -> Option<&Authority> {
        self.target(now)
    }

    /// What is served.
    pub const fn served(&self) -> Option<&Leaf> {
        self.served.as_ref()
    }

    /// Whether the CA is that of this process alone.
    pub fn is_alone(&self, now: Now) -> bool {
        if self.is_file_mode
            || self.role(now.mono) == Role::OldFollower
            || self.usable(now).is_some()
        {
            return false;
        }
        let patience = match self.store {
            Store::Forbidden => Duration::ZERO,
            Store::Absent | Store::Unread => GRACE,
            // The leader replaces what is of no use, when it looks and if it can.
            Store::Present(_) => LOOK + GRACE,
        };
        now.mono.since(self.unshared) >= patience
    }

    /// The shared CAs, if leaves can be signed with them.
    fn usable(&self, now: Now) -> Option<&Shelf> {
        let Store::Present(shelf) = &self.store else { return None };
        Some(shelf).filter(|shelf| shelf.current.as_ref().is_some_and(|ca| ca.outlasts(now)))
    }

    /// Whether somebody takes our CA out of the bundle again and again.
    pub const fn is_fought(&self) -> bool {
        self.patches.pace.failures() >= FIGHT
    }

    /// Whether the bundle has what it should.
    pub fn bundle_state(&self, now: Now) -> BundleState {
        if !self.trust.is_read() {
            return BundleState::Unknown;
        }
        let is_there = match &self.served {
            Some(leaf) => self.trust.has(&leaf.ca),
            // Nothing was read from the file yet.
            None if self.wanted(now).next().is_none() => return BundleState::Unknown,
            None => self.wanted(now).all(|ca| self.trust.has(&ca.fingerprint)),
        };
        if is_there { BundleState::Present } else { BundleState::Absent }
    }

    /// Whether requests should come.
    ///
    /// Once they did they do: a bundle that somebody broke later is broken for all replicas alike, and a kubelet that
    /// kills them for it (in vault-k8s' chart one path is readiness and liveness) mends nothing. A rolling
    /// update would stop at a replica that waits for a leader that waits to be replaced.
    pub fn readiness(&mut self, now: Now) -> Readiness {
        let is_unshared =
            self.role(now.mono) == Role::OldFollower && !self.is_served_shared && !self.is_proven;
        let is_seen = self.bundle_state(now) == BundleState::Present;
        if self.is_proven || self.is_file_mode || is_seen || self.is_bundle_forbidden {
            self.is_proven = true;
            Readiness::Ready
        } else if is_unshared {
            Readiness::Unshared
        } else if now.mono.since(self.started) >= GRACE {
            self.is_proven = true;
            Readiness::ReadyUnproven
        } else {
            Readiness::Untrusted
        }
    }

    /// The next thing to do.
    pub fn next(&self, now: Now) -> Action {
        self.next_leaf(now)
            .or_else(|| self.next_lock(now))
            .or_else(|| self.next_ca(now))
            .or_else(|| self.next_bundle(now))
            .or_else(|| self.next_shared(now))
            .unwrap_or_else(|| Action::Wait(self.rest(now)))
    }

    /// When there is something to do, if nothing happens before.
    fn rest(&self, now: Now) -> Mono {
        let mut moments = vec![self.bundle_due(now), now.mono + LOOK];
        if !self.is_proven && !self.is_file_mode {
            moments.push(self.started + GRACE);
        }
        if self.live.is_some() && self.may_patch(now) {
            moments.extend([self.patch.due, self.patches.due]);
        }
        if !self.is_file_mode {
            moments.push(self.read_ca.due);
            moments.extend(self.elector.as_ref().map(|elector| elector.due()));
            moments.extend([self.leaf_due, self.own_due, self.write_ca.due, self.share.due]);
        }
        let later = moments.into_iter().filter(|moment| *moment > now.mono);
        later.min().unwrap_or(now.mono + LOOK)
    }

    fn next_lock(&self, now: Now) -> Option<Action> {
        let elector = self.elector.as_ref().filter(|elector| elector.due() <= now.mono)?;
        Some(Action::Lock(elector.ask(now)))
    }

    /// The CA that is to sign.
    fn target(&self, now: Now) -> Option<&Authority> {
        if self.role(now.mono) == Role::OldFollower {
            return None;
        }
        let own = self.is_alone(now).then_some(&self.own);
        self.usable(now).or(own)?.current.as_ref().filter(|ca| ca.outlasts(now))
    }

    fn next_leaf(&self, now: Now) -> Option<Action> {
        if self.is_file_mode || now.mono < self.leaf_due {
            return None;
        }
        let served = self.served.as_ref();
        if let Some(target) = self.target(now) {
            let is_due = is_due(served, &target.fingerprint, &self.trust, now);
            return is_due.then(|| Action::Sign(target.fingerprint.clone()));
        }
        let is_trusted = served.is_some_and(|leaf| self.trust.has(&leaf.ca));
        let is_ending = served.is_none_or(|leaf| leaf.is_near_end(now, 10));
        if let Some(shared) = self.shared.as_ref().filter(|leaf| leaf.not_after > now.wall) {
            let is_other = served.is_none_or(|leaf| leaf.fingerprint != shared.fingerprint);
            let is_newer = self.is_served_shared && self.trust.has(&shared.ca);
            if self.role(now.mono) == Role::OldFollower
                && is_other
                && (is_newer || !is_trusted || is_ending)
            {
                return Some(Action::ServeShared);
            }
        }
        // Nobody's CA but ours: better than an expired certificate.
        let own = self.own.current.as_ref().filter(|ca| !ca.is_expired(now) && is_ending)?;
        Some(Action::Sign(own.fingerprint.clone()))
    }

    fn next_ca(&self, now: Now) -> Option<Action> {
        if self.is_file_mode {
            return None;
        }
        let is_shared = self.usable(now).is_some();
        let own_change = self.own.change(&self.trust, now);
        if let Some(change) = own_change.filter(|_| !is_shared && now.mono >= self.own_due) {
            return Some(Action::ChangeOwn(change));
        }
        if now.mono >= self.read_ca.due && self.role(now.mono) != Role::OldFollower {
            return Some(Action::ReadCa);
        }
        if self.role(now.mono) != Role::Leader || now.mono < self.write_ca.due {
            return None;
        }
        let change = match &self.store {
            Store::Absent => Some(Change::Create),
            Store::Present(shelf) => shelf.change(&self.trust, now),
            Store::Forbidden | Store::Unread => None,
        };
        change.map(Action::WriteCa)
    }

    /// What must be in the bundle for our sake.
    fn wanted(&self, now: Now) -> impl Iterator<Item = &Authority> {
        let shared = if let Store::Present(shelf) = &self.store { Some(shelf) } else { None };
        let own = (self.is_file_mode || self.is_alone(now)).then_some(&self.own);
        shared.into_iter().chain(own).flat_map(Shelf::all)
    }

    fn may_patch(&self, now: Now) -> bool {
        self.role(now.mono) == Role::Leader || self.is_alone(now)
    }

    /// When to look at the bundle: also when a new CA has been there for long enough to sign.
    fn bundle_due(&self, now: Now) -> Mono {
        let settles = |ca: &Authority| self.trust.settles_at(&ca.fingerprint);
        let settles = self.wanted(now).filter_map(settles).min();
        let is_well = self.bundle.pace.failures() == 0;
        settles.filter(|_| is_well).map_or(self.bundle.due, |settles| settles.min(self.bundle.due))
    }

    fn next_bundle(&self, now: Now) -> Option<Action> {
        if now.mono >= self.bundle_due(now) {
            return Some(Action::ReadBundle);
        }
        let live = self.live.as_ref()?;
        let is_quiet = self.patched.is_none_or(|at| now.mono.since(at) >= QUIET);
        let is_undone = now.mono < self.patches.due && !is_quiet;
        if !self.may_patch(now) || now.mono < self.patch.due || is_undone {
            return None;
        }
        let wanted: Vec<&Authority> = self.wanted(now).collect();
        let fix = |entry: &Entry| Some((entry.place, merge(&entry.bundle, &wanted, now)?));
        let fixes: Vec<_> = live.iter().filter_map(fix).collect();
        (!fixes.is_empty()).then_some(Action::Patch(fixes))
    }

    fn next_shared(&self, now: Now) -> Option<Action> {
        if self.is_file_mode || now.mono < self.share.due {
            return None;
        }
        match self.role(now.mono) {
            Role::OldFollower => Some(Action::ReadShared),
            Role::Follower => None,
            Role::Leader => {
                let is_old_lock = self.elector.as_ref()?.kind() == Kind::ConfigMap;
                let leaf =
                    self.served.as_ref().filter(|_| is_old_lock && !self.is_served_shared)?;
                let is_new = self.written.as_ref() != Some(&leaf.fingerprint);
                (is_new && self.trust.has(&leaf.ca)).then_some(Action::WriteShared)
            }
        }
    }

    /// Takes in what came of `action`, which began at `began`.
    pub fn hear(
        &mut self,
        action: &Action,
        outcome: Outcome,
        began: Mono,
        now: Now,
        spread: Spread,
    ) {
        let role = self.role(now.mono);
        match (action, outcome) {
            (Action::Lock(ask), Outcome::Lock(heard)) => {
                if let Some(elector) = &mut self.elector {
                    elector.hear(ask, heard, began, now.mono, spread);
                }
            }
            (Action::WriteCa(_), Outcome::Ca(result)) => self.hear_written_ca(result, now, spread),
            (_, Outcome::Ca(result)) => self.hear_ca(result, now, spread),
            (_, Outcome::Own(own)) => {
                self.own_due = now.mono + if own.is_none() { LOOK } else { Duration::ZERO };
                self.own = own.unwrap_or_else(|| std::mem::take(&mut self.own));
            }
            (_, Outcome::Leaf(None)) => self.leaf_due = now.mono + LOOK,
            (_, Outcome::Leaf(leaf)) => {
                self.served = leaf;
                self.is_served_shared = *action == Action::ServeShared;
            }
            (Action::Patch(_), Outcome::Bundle(Ok(entries))) => {
                if self.patched.is_some_and(|at| now.mono.since(at) >= QUIET) {
                    self.patches.pace.succeed();
                }
                self.patched = Some(now.mono);
                self.patches.due = now.mono + self.patches.pace.fail(None, spread);
                self.patch.succeed(now.mono);
                self.hear_bundle(entries, now);
            }
            (Action::Patch(_), Outcome::Bundle(Err(trouble))) => {
                // What was read may be old.
                self.live = None;
                self.patch.fail(trouble, now.mono, spread);
                self.bundle.due = self.patch.due;
            }
            (_, Outcome::Bundle(Ok(entries))) => self.hear_bundle(entries, now),
            (_, Outcome::Bundle(Err(trouble))) => {
                self.live = None;
                self.is_bundle_forbidden = trouble == Trouble::Forbidden;
                self.bundle.fail(trouble, now.mono, spread);
            }
            (_, Outcome::Shared(Ok(leaf))) => self.hear_shared(leaf, now.mono),
            (_, Outcome::SharedWritten(Ok(()))) => {
                self.written = self.served.as_ref().map(|leaf| leaf.fingerprint.clone());
                self.share.succeed(now.mono);
            }
            (_, Outcome::Shared(Err(trouble)) | Outcome::SharedWritten(Err(trouble))) => {
                self.share.fail(trouble, now.mono, spread);
            }
            (_, Outcome::Lock(_)) => {}
        }
        if self.role(now.mono) != role {
            // A new leader looks at what it leads.
            self.written = None;
            let soon = [&mut self.read_ca.due, &mut self.bundle.due, &mut self.share.due];
            soon.into_iter().for_each(|due| *due = now.mono);
        }
    }

    fn hear_ca(&mut self, result: Result<Shelf, Trouble>, now: Now, spread: Spread) {
        let was_usable = self.usable(now).is_some();
        let mono = now.mono;
        self.ca_read = Some(mono);
        match result {
            Ok(shelf) => {
                self.store = Store::Present(shelf);
                let is_usable = self.usable(now).is_some();
                self.read_ca.succeed(mono + if is_usable { LOOK } else { SHARED_LOOK });
            }
            Err(Trouble::NotFound) => {
                self.store = Store::Absent;
                self.read_ca.fail(Trouble::NotFound, mono, spread);
                // The leader makes it as soon as there is one.
                self.read_ca.due = self.read_ca.due.min(mono + SHARED_LOOK);
            }
            Err(trouble) => {
                if trouble == Trouble::Forbidden && !matches!(self.store, Store::Present(_)) {
                    self.store = Store::Forbidden;
                }
                self.read_ca.fail(trouble, mono, spread);
            }
        }
        if was_usable || self.usable(now).is_some() {
            self.unshared = mono;
        }
    }

    fn hear_written_ca(&mut self, result: Result<Shelf, Trouble>, now: Now, spread: Spread) {
        match result {
            Ok(shelf) => {
                self.write_ca.succeed(now.mono);
                self.hear_ca(Ok(shelf), now, spread);
            }
            Err(trouble) => {
                self.write_ca.fail(trouble, now.mono, spread);
                if trouble == Trouble::Forbidden && self.store == Store::Absent {
                    self.store = Store::Forbidden;
                    self.read_ca.due = self.write_ca.due;
                } else {
                    self.read_ca.due = now.mono;
                }
            }
        }
    }

    fn hear_bundle(&mut self, entries: Vec<Entry>, now: Now) {
        let names = |entry: &Entry| -> Vec<String> {
            entry.bundle.iter().map(|listed| listed.authority.fingerprint.clone()).collect()
        };
        let bundles: Vec<Vec<String>> = entries.iter().map(names).collect();
        self.trust.read(&bundles, now.mono);
        self.live = Some(entries);
        self.is_bundle_forbidden = false;
        self.bundle_read = Some(now.mono);
        let is_lacking = self.bundle_state(now) == BundleState::Absent;
        let lacking = is_lacking.then_some(now.mono + LACKING);
        if is_lacking {
            // Perhaps the CA is another by now.
            let soonest = self.ca_read.map_or(now.mono, |read| read + LOOKS_APART);
            self.read_ca.due = self.read_ca.due.min(soonest.max(now.mono));
        }
        self.bundle.succeed(lacking.unwrap_or(now.mono + HOUR));
    }

    fn hear_shared(&mut self, leaf: Option<Leaf>, now: Mono) {
        let same = |served: &&mut Leaf| {
            leaf.as_ref().is_some_and(|leaf| leaf.fingerprint == served.fingerprint)
        };
        if let Some((served, leaf)) = self.served.as_mut().filter(same).zip(leaf.as_ref()) {
            served.ca.clone_from(&leaf.ca);
        }
        self.shared = leaf;
        self.share.succeed(now + SHARED_LOOK);
    }
}

#[cfg(test)]
mod tests;
