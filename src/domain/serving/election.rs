//! Which replica makes and replaces the CA, changes the `caBundle` and writes Secrets.
//!
//! A lock with an end, as client-go's leader election has it: the leader renews it, and who has not seen it change for
//! its whole length takes it over. Clocks of others are not believed, only that something changed. Two leaders
//! for a moment do no harm: every write is refused when somebody else wrote meanwhile.
//!
//! The lock is a Lease. Where RBAC is that of vault-k8s' chart it is the ConfigMap of vault-k8s, with the same record in
//! an annotation. Without that record it belongs to a replica of vault-k8s, which leads for as long as its pod lives.

use std::time::Duration;

use super::pace::Pace;
use super::{Now, Trouble};
use crate::base::time::{Mono, Spread};

/// Where the lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Lease of our own.
    Lease,
    /// The ConfigMap that replicas of vault-k8s respect.
    ConfigMap,
}

/// What a lock says. client-go's record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Empty when it was given back.
    pub holder: String,
    /// Length in seconds.
    pub seconds: u32,
    /// When it was taken, microseconds since the epoch by the holder's clock.
    pub acquired: i64,
    /// When it was last renewed, the same.
    pub renewed: i64,
    /// How often it changed hands.
    pub transitions: u32,
}

/// A lock as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lock {
    /// There is none.
    Absent,
    /// It has a record, perhaps without a holder.
    Held(Record),
    /// It belongs to this pod, a replica of vault-k8s.
    Old(Owner),
    /// It is there and belongs to nobody.
    Free,
}

/// A pod that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub pod: String,
    /// A new pod of the same name has another.
    pub uid: String,
}

/// Whether an owner can still do what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// It runs, or nobody can tell.
    Alive,
    /// It has ended, or its node is lost.
    Gone,
}

/// What the elector wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Which pod are we?
    Oneself,
    /// How is this owner?
    Owner(Owner),
    /// What does the lock say?
    Read(Kind),
    /// Create the lock, or update it as it was last read or written.
    Write(Kind, Record),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Our pod is known, or why not.
    Oneself(Result<(), Trouble>),
    /// Of the owner.
    Owner(Result<Owned, Trouble>),
    /// Of the lock.
    Read(Result<Lock, Trouble>),
    /// It is written.
    Written(Result<(), Trouble>),
}

/// What a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Keeps what all share.
    Leader,
    /// Takes what the leader keeps.
    Follower,
    /// Takes what a replica of vault-k8s keeps.
    OldFollower,
}

/// Lengths of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// After so long without a change others take the lock.
    pub length: Duration,
    /// After so long without a renewal the leader no longer believes that it is one.
    pub deadline: Duration,
    /// From one renewal to the next.
    pub renew: Duration,
    /// From one look at the lock of another to the next, and from a failed renewal to the next try.
    pub retry: Duration,
}

impl Timing {
    /// client-go's, but for the renewals, of which every other one is enough.
    pub const USUAL: Self = Self {
        length: Duration::from_secs(15),
        deadline: Duration::from_secs(10),
        renew: Duration::from_secs(5),
        retry: Duration::from_secs(2),
    };
}

/// One replica's part in the election.
#[derive(Clone, Debug)]
pub struct Elector {
    identity: String,
    timing: Timing,
    kind: Kind,
    is_pod_known: bool,
    /// As just read; `None` when it is time to read it again.
    lock: Option<Lock>,
    /// How the owner of an old lock is, as just asked.
    owner: Option<Owned>,
    /// The record of another, and since when we have seen it so.
    observed: Option<(Record, Mono)>,
    /// When the last renewal that went well began.
    renewed: Option<Mono>,
    is_old: bool,
    due: Mono,
    pace: Pace,
}

impl Elector {
    /// `identity` is told from all others: the pod's name.
    pub const fn new(identity: String, timing: Timing) -> Self {
        Self {
            identity,
            timing,
            kind: Kind::Lease,
            is_pod_known: false,
            lock: None,
            owner: None,
            observed: None,
            renewed: None,
            is_old: false,
            due: Mono::at(Duration::ZERO),
            pace: Pace::new(),
        }
    }

    /// When [`Elector::ask`] is to be called.
    pub const fn due(&self) -> Mono {
        self.due
    }

    /// Where the lock is, as far as we know.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What we are now.
    pub fn role(&self, now: Mono) -> Role {
        if self.renewed.is_some_and(|at| now.since(at) < self.timing.deadline) {
            Role::Leader
        } else if self.is_old {
            Role::OldFollower
        } else {
            Role::Follower
        }
    }

    /// When leadership ends unless it is renewed.
    pub fn ends(&self) -> Option<Mono> {
        self.renewed.map(|at| at + self.timing.deadline)
    }

    /// The next thing to do.
    pub fn ask(&self, now: Now) -> Ask {
        if self.kind == Kind::ConfigMap && !self.is_pod_known {
            return Ask::Oneself;
        }
        let read = Ask::Read(self.kind);
        match &self.lock {
            None => read,
            Some(Lock::Old(owner)) => match self.owner {
                None => Ask::Owner(owner.clone()),
                Some(Owned::Alive) => read,
                Some(Owned::Gone) => self.claim(None, now),
            },
            Some(Lock::Absent | Lock::Free) => self.claim(None, now),
            Some(Lock::Held(record)) if self.may_take(record, now.mono) => {
                self.claim(Some(record), now)
            }
            Some(Lock::Held(_)) => read,
        }
    }

    fn may_take(&self, record: &Record, now: Mono) -> bool {
        let is_stale = || match &self.observed {
            Some((seen, since)) => seen == record && now.since(*since) >= self.timing.length,
            None => false,
        };
        record.holder.is_empty() || record.holder == self.identity || is_stale()
    }

    fn claim(&self, before: Option<&Record>, now: Now) -> Ask {
        let micros = i64::try_from(now.wall).unwrap_or_default().saturating_mul(1_000_000);
        let is_ours = before.is_some_and(|record| record.holder == self.identity);
        let transitions = before.map_or(0, |record| record.transitions);
        let record = Record {
            holder: self.identity.clone(),
            seconds: u32::try_from(self.timing.length.as_secs()).unwrap_or(u32::MAX),
            acquired: before.filter(|_| is_ours).map_or(micros, |record| record.acquired),
            renewed: micros,
            transitions: if is_ours { transitions } else { transitions.saturating_add(1) },
        };
        Ask::Write(self.kind, record)
    }

    /// Gives the lock back at the end of the process, when there is one to give.
    pub fn release(&mut self, now: Now) -> Option<Ask> {
        let is_leader = self.role(now.mono) == Role::Leader;
        self.renewed = None;
        let Some(Lock::Held(record)) = self.lock.take().filter(|_| is_leader) else { return None };
        let record = Record { holder: String::new(), seconds: 1, ..record };
        Some(Ask::Write(self.kind, record))
    }

    /// Takes in what became of `ask`, which began at `began`.
    pub fn hear(&mut self, ask: &Ask, heard: Heard, began: Mono, now: Mono, spread: Spread) {
        match heard {
            Heard::Oneself(Ok(())) => {
                self.is_pod_known = true;
                self.due = now;
            }
            Heard::Read(Ok(lock)) => self.read(lock, now, spread),
            Heard::Owner(Ok(owned)) => {
                self.owner = Some(owned);
                self.is_old = owned == Owned::Alive;
                self.due = now;
                if self.is_old {
                    self.rest(now, spread);
                }
            }
            Heard::Written(Ok(())) => {
                let Ask::Write(_, record) = ask else { return };
                self.pace.succeed();
                self.is_old = false;
                self.renewed = Some(began);
                self.lock = Some(Lock::Held(record.clone()));
                // Counted from when it began, so that a slow API server does not cost the leadership.
                self.due = (began + self.timing.renew).max(now + self.timing.retry);
            }
            Heard::Oneself(Err(trouble))
            | Heard::Owner(Err(trouble))
            | Heard::Read(Err(trouble))
            | Heard::Written(Err(trouble)) => self.fail(ask, trouble, now, spread),
        }
    }

    fn read(&mut self, lock: Lock, now: Mono, spread: Spread) {
        self.owner = None;
        self.is_old &= matches!(lock, Lock::Old(_));
        let Lock::Held(record) = &lock else {
            self.observed = None;
            self.renewed = None;
            self.lock = Some(lock);
            self.due = now;
            return;
        };
        if self.observed.as_ref().is_none_or(|(seen, _)| seen != record) {
            self.observed = Some((record.clone(), now));
        }
        let is_free = self.may_take(record, now);
        if record.holder != self.identity {
            self.renewed = None;
        }
        self.lock = Some(lock);
        self.due = now;
        if !is_free {
            self.rest(now, spread);
        }
    }

    /// The lock is another's: look again soon.
    fn rest(&mut self, now: Mono, spread: Spread) {
        self.pace.succeed();
        self.lock = None;
        self.due = now + self.timing.retry + spread.of(self.timing.retry / 4);
    }

    fn fail(&mut self, ask: &Ask, trouble: Trouble, now: Mono, spread: Spread) {
        self.lock = None;
        let mut wait = self.pace.fail(trouble.retry_after(), spread);
        let is_first = self.pace.failures() == 1;
        match (ask, trouble) {
            // Who may not use one lock tries the other; RBAC can change any time. A Lease that cannot be
            // created because there is nothing to create it in is a Lease that the API server lacks.
            (Ask::Read(Kind::Lease) | Ask::Write(Kind::Lease, _), Trouble::Forbidden)
            | (Ask::Write(Kind::Lease, _), Trouble::NotFound) => {
                self.kind = Kind::ConfigMap;
                if is_first {
                    wait = Duration::ZERO;
                }
            }
            (Ask::Read(_) | Ask::Write(..) | Ask::Oneself, Trouble::Forbidden) => {
                self.kind = Kind::Lease;
            }
            // It was alive when it was last seen, and nothing says otherwise.
            (Ask::Owner(_), _) => self.is_old = true,
            // What was updated is gone by now: it can be created.
            (Ask::Write(..), Trouble::NotFound) if is_first => wait = Duration::ZERO,
            _ => {}
        }
        self.renewed = self.renewed.filter(|at| now.since(*at) < self.timing.deadline);
        if self.renewed.is_some() && trouble.retry_after().is_none() {
            wait = wait.min(self.timing.retry);
        }
        self.due = now + wait;
    }
}

#[cfg(test)]
mod tests;
