//! What came back of the questions, as events for the schedule.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::words::Seconds;
use super::{Driver, Held, grant_of};
use crate::base::reason::Reason;
use crate::domain::schedule::{Event, Facts, Generation, LeaseState, Setback, Ticket};
use crate::domain::template::{Found, Want};
use crate::domain::vault::{Auth, Verdict};
use crate::run::agent::asking::{Answer, Ask, Got};
use crate::run::fetching::Failure;

impl Driver {
    pub(super) fn answered(&mut self, answer: Answer) {
        self.open_questions = self.open_questions.saturating_sub(1);
        let Answer { ask, generation, outcome } = answer;
        if let Ask::Fetch { want, ticket, .. } | Ask::RenewLease { want, ticket, .. } = &ask
            && !self.machine.awaits(want, *ticket)
        {
            return self.log.debug("(view) late answer dropped", &[("dependency", want)]);
        }
        if let Ask::CheckLease { want, ticket, .. } = &ask
            && !self.machine.awaits_check(want, *ticket)
        {
            return;
        }
        match ask {
            Ask::Commands(_) => self.commands_ended(outcome),
            Ask::CheckLease { want, ticket, .. } => {
                if let Ok(Got::LeaseState(state)) = outcome {
                    self.lease_checked(want, ticket, generation, state);
                }
            }
            Ask::CheckToken => {
                let is_dead = matches!(outcome, Ok(Got::Dead(true)));
                if is_dead {
                    let log = self.log.named("agent.auth.handler");
                    log.warn(
                        "invalid token found, re-authenticating",
                        &[("of", &"an earlier agent")],
                    );
                }
                self.events.push_back(Event::TokenChecked { generation, is_dead });
            }
            Ask::EndToken { is_last } => self.token_ended(is_last, outcome),
            Ask::Fetch { want, ticket, .. } => match outcome {
                Ok(Got::Found(found)) => self.fetched(want, ticket, generation, &found),
                Ok(_) => {}
                Err(failure) => self.not_found(want, ticket, generation, failure),
            },
            Ask::LogIn => match outcome {
                Ok(Got::Token(auth)) => self.logged_in(auth),
                Ok(_) => {}
                Err(Failure { reason, verdict, .. }) => {
                    self.login_failure = Some(reason.clone());
                    self.events.push_back(Event::LoginFailed(Setback { verdict, reason }));
                }
            },
            Ask::LookUpMount { want, ticket } => match outcome {
                Ok(Got::Mount(mount)) => {
                    self.events.push_back(Event::MountFound { want, ticket, mount });
                }
                Ok(_) => {}
                Err(Failure { reason, verdict, .. }) => {
                    self.warn_of_dead_token(verdict, generation, &reason);
                    let setback = Setback { verdict, reason };
                    let event = Event::MountNotFound { want, ticket, generation, setback };
                    self.events.push_back(event);
                }
            },
            Ask::RenewLease { want, ticket, .. } => {
                self.lease_answered(want, ticket, generation, outcome)
            }
            Ask::RenewToken => self.token_answered(generation, outcome),
        }
    }

    pub(super) fn fetched(
        &mut self,
        want: Want,
        ticket: Ticket,
        generation: Generation,
        found: &Found,
    ) {
        let wall = self.clock.wall();
        let Ok(facts) = Facts::of_found(found, wall) else {
            let reason = Reason::new(format!("{want}: about to be rotated"));
            let verdict = Verdict::TryLater(None);
            let failure = Failure { reason, verdict, is_explained: false };
            return self.not_found(want, ticket, generation, failure);
        };
        self.times.insert(want.clone(), (wall, generation));
        self.log.debug("(view) received", &[("dependency", &want)]);
        self.found(want, ticket, generation, found, facts);
    }

    pub(super) fn found(
        &mut self,
        want: Want,
        ticket: Ticket,
        generation: Generation,
        found: &Found,
        facts: Facts,
    ) {
        // A write that gives nothing back keeps what the one before gave.
        let before = self.snapshot.found.get(&want);
        let is_kept = matches!((found, before), (Found::Absent, Some(_)));
        let is_changed = !is_kept && !before.is_some_and(|before| is_same(before, found));
        self.is_state_stale |= is_changed;
        if !is_kept {
            self.put(&want, found, is_changed);
        }
        self.events.push_back(Event::Fetched { want, ticket, generation, facts, is_changed });
    }

    /// Keeps a value under all spellings of its name.
    fn put(&mut self, name: &Want, found: &Found, is_changed: bool) {
        for want in self.spellings(name) {
            if is_changed {
                self.files.changed(&want);
            }
            self.snapshot.found.insert(want, found.clone());
        }
    }

    pub(super) fn had(&mut self, want: Want, ticket: Ticket, facts: Facts, is_changed: bool) {
        let generation = self.machine.generation();
        self.events.push_back(Event::Fetched { want, ticket, generation, facts, is_changed });
    }

    pub(super) fn not_found(
        &mut self,
        want: Want,
        ticket: Ticket,
        generation: Generation,
        failure: Failure,
    ) {
        let Failure { reason, verdict, is_explained } = failure;
        // What was explained once stays explained, though it is not asked for each time.
        let reason = match self.machine.reason(&want) {
            Some(before) if before.text().starts_with(reason.text()) => before.clone(),
            Some(_) | None => reason,
        };
        self.warn_of_dead_token(verdict, generation, &reason);
        let setback = Setback { verdict, reason };
        let event = Event::FetchFailed { want, ticket, generation, setback, is_explained };
        self.events.push_back(event);
    }

    fn warn_of_dead_token(&self, verdict: Verdict, generation: Generation, reason: &Reason) {
        let is_current = generation == self.machine.generation() && self.machine.has_token();
        if verdict == Verdict::LogInAgain && is_current {
            let log = self.log.named("agent.auth.handler");
            log.warn("invalid token found, re-authenticating", &[("error", reason)]);
        }
    }

    pub(super) fn logged_in(&mut self, auth: Auth) {
        let current = self.tokens.get(&self.machine.generation());
        let is_same = current.is_some_and(|held| held.auth.client_token == auth.client_token);
        let is_no_stronger = current.is_some_and(|held| has_same_policies(&held.auth, &auth));
        let log = self.log.named("agent.auth.handler");
        log.info(
            "authentication successful, sending token to sinks",
            &[("ttl", &Seconds(auth.lease_duration)), ("renewable", &auth.renewable)],
        );
        // At debug, as it is for Vault's operators, who can end the token by it.
        log.debug("token accessor", &[("accessor", &auth.accessor)]);
        self.login_failure = None;
        let grant = grant_of(&auth, Duration::ZERO);
        let generation = self.machine.generation().wrapping_add(u32::from(!is_same));
        self.tokens.insert(generation, Held { auth, granted: self.clock.wall() });
        self.is_state_stale = true;
        self.events.push_back(Event::LoggedIn { grant, is_same, is_no_stronger });
    }

    pub(super) fn token_answered(&mut self, generation: Generation, outcome: Result<Got, Failure>) {
        match outcome {
            Ok(Got::Token(auth)) => {
                let log = self.log.named("agent.auth.handler");
                log.info("renewed auth token", &[("ttl", &Seconds(auth.lease_duration))]);
                let grant = grant_of(&auth, Duration::ZERO);
                if let Some(held) = self.tokens.get_mut(&generation) {
                    held.auth.lease_duration = auth.lease_duration;
                    held.auth.renewable = auth.renewable;
                    held.granted = self.clock.wall();
                    self.is_state_stale = true;
                }
                self.events.push_back(Event::TokenRenewed { generation, grant });
            }
            Ok(_) => {}
            Err(Failure { reason, verdict, .. }) => {
                if !matches!(verdict, Verdict::TryLater(_)) {
                    let log = self.log.named("agent.auth.handler");
                    log.warn("token not renewed, logging in", &[("error", &reason)]);
                }
                let setback = Setback { verdict, reason };
                self.events.push_back(Event::TokenNotRenewed { generation, setback });
            }
        }
    }

    pub(super) fn lease_answered(
        &mut self,
        want: Want,
        ticket: Ticket,
        generation: Generation,
        outcome: Result<Got, Failure>,
    ) {
        match outcome {
            Ok(Got::Lease { granted, is_renewable }) => {
                if let Some(Found::Reading(reading)) = self.snapshot.found.remove(&want) {
                    let mut reading = Arc::unwrap_or_clone(reading);
                    reading.lease_duration = granted.as_secs();
                    reading.renewable = is_renewable;
                    self.put(&want, &Found::Reading(Arc::new(reading)), false);
                    self.times.insert(want.clone(), (self.clock.wall(), generation));
                    self.is_state_stale = true;
                }
                self.log.debug("renewed lease", &[("dependency", &want)]);
                let event = Event::LeaseRenewed { want, ticket, granted, is_renewable };
                self.events.push_back(event);
            }
            Ok(_) => {}
            Err(Failure { reason, verdict, .. }) => {
                if !matches!(verdict, Verdict::TryLater(_)) {
                    self.log.warn(
                        "lease not renewed, fetching a new one",
                        &[("dependency", &want), ("error", &reason)],
                    );
                }
                let setback = Setback { verdict, reason };
                let event = Event::LeaseNotRenewed { want, ticket, generation, setback };
                self.events.push_back(event);
            }
        }
    }

    fn lease_checked(
        &mut self,
        want: Want,
        ticket: Ticket,
        generation: Generation,
        state: LeaseState,
    ) {
        if state == LeaseState::Lost {
            self.log
                .warn("lease revoked by somebody, fetching a new one", &[("dependency", &want)]);
        }
        if state == LeaseState::Unknown(Verdict::LogInAgain) {
            let log = self.log.named("agent.auth.handler");
            log.warn("invalid token found, re-authenticating", &[("dependency", &want)]);
        }
        self.events.push_back(Event::LeaseChecked { want, ticket, generation, state });
    }

    pub(super) fn token_ended(&mut self, is_last: bool, outcome: Result<Got, Failure>) {
        let log = self.log.named("agent.auth.handler");
        match outcome {
            Ok(_) => log.info("revoked token", &[]),
            Err(failure) => log.warn("token not revoked", &[("error", &failure.reason)]),
        }
        if is_last {
            self.revocations = self.revocations.saturating_sub(1);
            if self.revocations == 0 {
                self.events.push_back(Event::Revoked);
            }
        }
    }

    pub(super) fn commands_ended(&mut self, outcome: Result<Got, Failure>) {
        let failed = match outcome {
            Ok(Got::Commands(failed)) => failed,
            Ok(_) => Vec::new(),
            Err(failure) => vec![failure.reason.to_string()],
        };
        for error in &failed {
            self.log.error("(runner) command failed", &[("error", error)]);
        }
        self.commands.pop_front();
        self.events.push_back(Event::CommandsEnded { has_failed: !failed.is_empty() });
        self.run_commands();
    }
}

/// Whether two tokens may do the same, as far as is told.
fn has_same_policies(one: &Auth, other: &Auth) -> bool {
    let sorted = |auth: &Auth| auth.policies.iter().cloned().collect::<BTreeSet<String>>();
    !one.policies.is_empty() && sorted(one) == sorted(other)
}

/// Whether a template cannot tell them apart, but for the request's number.
fn is_same(before: &Found, after: &Found) -> bool {
    match (before, after) {
        (Found::Absent, Found::Absent) => true,
        (Found::Certificate(before), Found::Certificate(after)) => before == after,
        (Found::File(before), Found::File(after)) => before == after,
        (Found::List(before), Found::List(after)) => before == after,
        (Found::Reading(before), Found::Reading(after)) => {
            before.data == after.data
                && before.lease_id == after.lease_id
                && before.lease_duration == after.lease_duration
                && before.auth.is_none()
                && after.auth.is_none()
                && before.wrap_info.is_none()
                && after.wrap_info.is_none()
        }
        _ => false,
    }
}
