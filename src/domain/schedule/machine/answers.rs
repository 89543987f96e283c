//! What answers about secrets, leases and mounts do to the state, and what is suspected when they are bad.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Machine, Out, asked, first_segment, is_file, is_placed, path_of};
use crate::base::reason::Reason;
use crate::base::time::Mono;
use crate::domain::schedule::token::{Generation, Token};
use crate::domain::schedule::want::{Doubt, Failure, LeaseState, Stage, Ticket, canonical};
use crate::domain::schedule::{Action, Facts, Setback, Tried};
use crate::domain::template::Want;
use crate::domain::vault::{Mount, Verdict};

/// How often a mount is looked up again at most because of failures in it. Engines are seldom replaced.
const MOUNT_INTERVAL: Duration = Duration::from_secs(10);

impl Machine {
    pub(super) fn fetched(
        &mut self,
        want: &Want,
        ticket: Ticket,
        generation: Generation,
        (facts, is_changed): (Facts, bool),
        now: Mono,
        out: &mut Out,
    ) {
        let current = self.generation();
        let Some(entry) = asked(&mut self.wants, want, ticket) else { return };
        self.files.is_stale |= is_changed;
        let was_retaking = entry.is_retaking();
        if is_file(want) {
            return entry.file_seen(now);
        }
        let chance = (now, &mut self.dice);
        entry.had(facts, generation, Duration::ZERO, &self.plan.fetching, chance);
        if facts.is_leased && generation != current {
            // Its lease ends with a token that has a successor already.
            entry.replace();
        }
        self.login.proven();
        if was_retaking && !self.files.is_stale {
            // The same again: what failed with it is tried once more all the same, and then given up.
            self.files.is_stale = true;
            out.push(Action::Render);
        }
    }

    pub(super) fn fetch_failed(
        &mut self,
        want: &Want,
        ticket: Ticket,
        generation: Generation,
        (setback, is_explained): (Setback, bool),
        now: Mono,
        out: &mut Out,
    ) {
        let verdict = setback.verdict;
        let current = self.generation();
        let Some(entry) = asked(&mut self.wants, want, ticket) else { return };
        entry.trouble.is_explained |= is_explained;
        let may_doubt = entry.doubt == Doubt::None;
        if verdict == Verdict::LogInAgain && (generation != current || !entry.trouble.has_logged_in)
        {
            entry.trouble.has_logged_in |= generation == current;
            entry.trouble.reason = Some(setback.reason);
            entry.stage = Stage::Ready;
        } else if self.suspects_token(want, generation, verdict, now)
            || may_doubt && self.suspects_mount(want, verdict, now)
        {
            if let Some(entry) = self.wants.get_mut(want) {
                entry.trouble.reason = Some(setback.reason);
                entry.stage = Stage::Ready;
            }
        } else {
            self.retake_reads(verdict, now);
            self.fail(want, setback, now, out);
        }
        if verdict == Verdict::LogInAgain && generation == current {
            self.token.iter_mut().for_each(Token::bury);
        }
    }

    /// Templates take paths from what they read: what is not there any more may be named by a reading of
    /// another process only.
    fn retake_reads(&mut self, verdict: Verdict, now: Mono) {
        if !matches!(verdict, Verdict::Denied { .. } | Verdict::Refused) {
            return;
        }
        for (want, entry) in &mut self.wants {
            if matches!(want, Want::List { .. } | Want::Read { .. }) && !entry.is_leased {
                entry.retake(false, &self.plan.fetching, now);
            }
        }
    }

    /// Whether another login is to tell if what was denied is denied to every token of ours.
    fn suspects_token(
        &mut self,
        want: &Want,
        generation: Generation,
        verdict: Verdict,
        now: Mono,
    ) -> bool {
        let Verdict::Denied { is_token_good } = verdict else { return false };
        let Some(entry) = self.wants.get_mut(want) else { return false };
        entry.trouble.is_token_good |= is_token_good;
        let is_good = entry.trouble.is_token_good;
        match &mut self.token {
            Some(token) if token.generation == generation => token.suspected(is_good, now),
            // It was asked with the token before.
            Some(_) => true,
            None => false,
        }
    }

    /// Whether the mount is to be looked up again: it may be another engine, or another version, by now.
    fn suspects_mount(&mut self, want: &Want, verdict: Verdict, now: Mono) -> bool {
        if !matches!(verdict, Verdict::Denied { .. } | Verdict::Refused) || is_file(want) {
            return false;
        }
        let Some(mount) = self.mounts.of(path_of(want)) else { return false };
        let interval = self.plan.fetching.static_interval.max(MOUNT_INTERVAL);
        let found = self.found_at.get(&mount.path);
        let is_young = found.is_some_and(|at| now.since(*at) < interval);
        if is_young || !self.mounts.iter().any(|known| known == mount) {
            return false;
        }
        if let Some(entry) = self.wants.get_mut(want) {
            entry.doubt = Doubt::Mount;
        }
        true
    }

    /// Those who waited for a look-up that got no answer fail with it and wait as long, instead of
    /// asking one by one.
    pub(super) fn share_lookup_failure(
        &mut self,
        leader: &Want,
        setback: &Setback,
        now: Mono,
        out: &mut Out,
    ) {
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
            self.fail(&want, setback.clone(), now, out);
            if let (Some(entry), Some(stage @ Stage::Waiting(_))) =
                (self.wants.get_mut(&want), together)
                && entry.stage != Stage::GivenUp
            {
                entry.stage = stage;
            }
        }
    }

    fn fail(&mut self, want: &Want, setback: Setback, now: Mono, out: &mut Out) {
        let Some(entry) = self.wants.get_mut(want) else { return };
        let Setback { verdict, reason } = setback;
        entry.trouble.reason = Some(reason.clone());
        let chance = (now, &mut self.dice);
        match entry.fail(verdict, &self.plan.fetching, chance) {
            Failure::Retry { attempt, wait } => {
                out.push(Action::Retry(Tried::Fetch(want.clone()), attempt, wait, reason));
            }
            Failure::GivenUp { attempts } => {
                out.push(Action::GaveUp(want.clone(), attempts, reason));
                self.files.is_lost = true;
            }
        }
    }

    pub(super) fn lease_checked(
        &mut self,
        want: &Want,
        ticket: Ticket,
        generation: Generation,
        state: &LeaseState,
        now: Mono,
    ) {
        let Some(entry) = self.wants.get_mut(want).filter(|entry| entry.awaits_check(ticket))
        else {
            return;
        };
        entry.checked(state, &self.plan.fetching, (now, &mut self.dice));
        if *state == LeaseState::Unknown(Verdict::LogInAgain) {
            self.token_checked(generation, true);
        }
    }

    pub(super) fn lease_not_renewed(
        &mut self,
        want: Want,
        ticket: Ticket,
        generation: Generation,
        setback: Setback,
        now: Mono,
        out: &mut Out,
    ) {
        let Setback { verdict, reason } = setback;
        let current = self.generation();
        let Some(entry) = asked(&mut self.wants, &want, ticket) else { return };
        if let Some((attempt, wait)) = entry.lease_not_renewed(verdict, now, &mut self.dice) {
            out.push(Action::Retry(Tried::Lease(want), attempt, wait, reason));
        }
        if verdict == Verdict::LogInAgain && generation == current {
            self.token.iter_mut().for_each(Token::bury);
        }
    }

    pub(super) fn mount_found(
        &mut self,
        want: &Want,
        ticket: Ticket,
        mount: Mount,
        now: Mono,
        out: &mut Out,
    ) {
        self.lookups.remove(first_segment(want));
        let (name, path) = (mount.path.clone(), path_of(want));
        let learned = self.mounts.learn(path, mount);
        if let Some(entry) = asked(&mut self.wants, want, ticket) {
            entry.stage = Stage::Ready;
            entry.doubt = Doubt::Settled;
            if learned.is_err() {
                // An answer about some other mount: asking again at once would not end.
                let reason = format!("{path}: its look-up named {name:?}, where it is not");
                let setback = Setback { verdict: Verdict::Refused, reason: Reason::new(reason) };
                return self.fail(want, setback, now, out);
            }
        }
        if learned.is_ok() {
            self.found_at.insert(name.clone(), now);
        }
        if learned == Ok(true) {
            // Only templates know which names their secrets have from now on.
            let is_inside =
                |want: &Want| self.mounts.of(path_of(want)).is_some_and(|m| m.path == name);
            let inside = self.wants.iter_mut().filter(|(want, _)| is_inside(want));
            inside.for_each(|(_, entry)| entry.is_misnamed = true);
            self.files.is_stale = true;
            out.push(Action::Render);
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

    /// Has anew what another process had and files failed with. Says whether there is anything to wait for.
    pub(super) fn retakes(&mut self, failed: &[BTreeSet<Want>], now: Mono) -> bool {
        let mut is_any = false;
        for wants in failed {
            let names: Vec<Want> = wants.iter().map(|want| canonical(want, &self.mounts)).collect();
            let is_leased =
                |name: &&Want| self.wants.get(*name).is_some_and(|entry| entry.is_leased);
            let (leased, unleased): (Vec<&Want>, Vec<&Want>) =
                names.iter().filter(|name| !is_file(name)).partition(is_leased);
            for (suspects, is_alone) in [(&unleased, false), (&leased, unleased.is_empty())] {
                let mut is_awaited = false;
                for name in suspects {
                    if let Some(entry) = self.wants.get_mut(*name) {
                        is_awaited |= entry.is_retaking();
                        is_awaited |= entry.retake(is_alone, &self.plan.fetching, now);
                    }
                }
                is_any |= is_awaited;
                if is_awaited {
                    break;
                }
            }
        }
        is_any
    }
}
