//! The main thread: takes what happened, lets the schedule decide, carries it out, logs it once.

use std::collections::{BTreeMap, VecDeque};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::Message;
use super::asking::{Answer, Ask, Context, Failure, Got, Question};
use super::rendering::Files;
use super::state_file::StateFile;
use super::workers::Workers;
use crate::adapter::clock::Clock;
use crate::adapter::files;
use crate::adapter::signals::Signal;
use crate::base::secret::Secret;
use crate::base::time::Wall;
use crate::domain::agent_config::{Command, Environment, Sink};
use crate::domain::handover::{self, Handover};
use crate::domain::schedule::{
    Action, Ending, Event, Facts, Generation, Grant, Machine, Plan, Ticket, Tried,
};
use crate::domain::template::{Found, Snapshot, Want};
use crate::domain::vault::{Auth, Verdict};
use crate::run::limits::FILE_BYTES_MAX;
use crate::telemetry::log::Log;

/// When nobody will use a connection for this long, it is closed.
const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(5);

/// A token as Vault gave it, and when.
struct Held {
    auth: Auth,
    granted: Wall,
}

/// Size, time and number of a file: what tells that it changed.
type Fingerprint = (u64, i64, i64, u64);

/// Everything that lives on the main thread.
pub(super) struct Driver {
    machine: Machine,
    clock: Clock,
    log: Log,
    files: Files,
    snapshot: Snapshot,
    /// When each reading was fetched or its lease renewed.
    times: BTreeMap<Want, Wall>,
    fingerprints: BTreeMap<Want, Fingerprint>,
    /// Why a secret could not be had when it was last tried.
    failures: BTreeMap<Want, String>,
    last_failure: String,
    login_failure: Option<String>,
    context: Arc<Context>,
    workers: Workers,
    /// Questions without an answer yet.
    open_questions: usize,
    tokens: BTreeMap<Generation, Held>,
    sinks: Vec<Sink>,
    state_file: Option<StateFile>,
    is_state_stale: bool,
    /// Commands of later passes, while those of an earlier one run.
    commands: VecDeque<Vec<Command>>,
    revocations: usize,
    events: VecDeque<Event>,
}

impl Driver {
    pub(super) fn new(
        plan: Plan,
        seed: u64,
        (clock, log): (Clock, Log),
        files: Files,
        (context, workers): (Arc<Context>, Workers),
        env: Environment,
    ) -> Self {
        Self {
            machine: Machine::new(plan, seed),
            clock,
            log,
            files,
            snapshot: Snapshot { env, ..Snapshot::default() },
            times: BTreeMap::new(),
            fingerprints: BTreeMap::new(),
            failures: BTreeMap::new(),
            last_failure: String::new(),
            login_failure: None,
            context,
            workers,
            open_questions: 0,
            tokens: BTreeMap::new(),
            sinks: Vec::new(),
            state_file: None,
            is_state_stale: false,
            commands: VecDeque::new(),
            revocations: 0,
            events: VecDeque::new(),
        }
    }

    pub(super) fn with_sinks(self, sinks: Vec<Sink>) -> Self {
        Self { sinks, ..self }
    }

    pub(super) fn with_state_file(self, state_file: Option<StateFile>) -> Self {
        Self { state_file, ..self }
    }

    /// Runs until the schedule says it is over.
    pub(super) fn run(mut self, inbox: &Receiver<Message>) -> Ending {
        let first = self.restore().unwrap_or(Event::Woke);
        self.events.push_back(first);
        loop {
            while let Some(event) = self.events.pop_front() {
                let now = self.clock.now();
                for action in self.machine.step(event, now) {
                    if let Some(ending) = self.perform(action) {
                        return ending;
                    }
                }
            }
            // What came in meanwhile is taken in before files are rendered: one pass for all of it.
            if let Ok(message) = inbox.try_recv() {
                self.receive(message);
            } else if self.files.is_dirty() {
                self.render();
            } else {
                self.save_state();
                self.wait(inbox);
            }
        }
    }

    fn wait(&mut self, inbox: &Receiver<Message>) {
        let now = self.clock.now();
        let wait = self.machine.wakes_at(now).map(|at| at.since(now));
        if self.open_questions == 0 && wait.is_none_or(|wait| wait > CONNECTION_IDLE_MAX) {
            self.context.client.close_idle();
        }
        let message = match wait {
            Some(wait) => inbox.recv_timeout(wait),
            None => inbox.recv().map_err(|_closed| RecvTimeoutError::Disconnected),
        };
        match message {
            Ok(message) => self.receive(message),
            Err(RecvTimeoutError::Timeout) => self.events.push_back(Event::Woke),
            // Nobody is left to tell us anything, not even a signal.
            Err(RecvTimeoutError::Disconnected) => self.events.push_back(Event::Stop),
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Answer(answer) => self.answered(answer),
            Message::Signal(Signal::Stop) => {
                self.log.info("shutdown triggered", &[]);
                self.events.push_back(Event::Stop);
            }
            Message::Signal(Signal::Reload) => {
                self.log.info("SIGHUP ignored, a new configuration needs a new container", &[]);
            }
        }
    }

    // What the schedule wants.

    fn perform(&mut self, action: Action) -> Option<Ending> {
        match action {
            Action::CheckFile(want, ticket) => self.check_file(want, ticket),
            Action::EndToken(generation) => self.end_token(generation),
            Action::Exit(ending) => {
                self.last_words(ending);
                return Some(ending);
            }
            Action::Fetch { want, ticket, explain } => {
                if let Some(mount) = self.machine.mounts().of(want.path()).cloned() {
                    let was_had = self.snapshot.found.contains_key(&want);
                    self.ask(Ask::Fetch { want, ticket, mount, explain, was_had });
                }
            }
            Action::ForgetToken(generation) => drop(self.tokens.remove(&generation)),
            Action::GaveUp(want, attempts) => {
                let fields: [(&str, &dyn std::fmt::Display); 4] = [
                    ("dependency", &want),
                    ("error", &self.last_failure),
                    ("attempts", &attempts),
                    ("files", &self.files.destinations(&want)),
                ];
                self.log.error("(view) request failed (exceeded maximum retries)", &fields);
            }
            Action::LogIn => {
                self.log.named("agent.auth.handler").info("authenticating", &[]);
                self.ask(Ask::LogIn);
            }
            Action::LookUpMount { want, ticket, .. } => self.ask(Ask::LookUpMount { want, ticket }),
            Action::Render => self.files.all_changed(),
            Action::RenewLease(want, ticket) => {
                let lease_id = match self.snapshot.found.get(&want) {
                    Some(Found::Reading(reading)) => reading.lease_id.clone(),
                    Some(Found::Absent | Found::File(_) | Found::List(_)) | None => String::new(),
                };
                self.ask(Ask::RenewLease { want, ticket, lease_id });
            }
            Action::RenewToken => self.ask(Ask::RenewToken),
            Action::Retry(tried, attempt, wait) => self.log_retry(&tried, attempt, wait),
            Action::RevokeAll => self.revoke_all(),
            Action::WriteSinks => self.write_sinks(),
        }
        None
    }

    fn question(&self, ask: Ask, generation: Generation) -> Question {
        let token = self.tokens.get(&generation).map(|held| held.auth.client_token.clone());
        Question { ask, generation, token }
    }

    fn ask(&mut self, ask: Ask) {
        self.open_questions += 1;
        self.workers.ask(self.question(ask, self.machine.generation()));
    }

    fn check_file(&mut self, want: Want, ticket: Ticket) {
        let path = Path::new(want.path());
        let print = std::fs::metadata(path)
            .map(|m| (m.size(), m.mtime(), m.mtime_nsec(), m.ino()))
            .map_err(|error| format!("{}: {error}", path.display()));
        let known = self.fingerprints.get(&want);
        if known.is_some() && known == print.as_ref().ok() {
            return self.had(want, ticket, Facts::STEADY, false);
        }
        let content = print.and_then(|print| {
            let bytes = files::read_bounded(path, FILE_BYTES_MAX).map_err(|e| e.to_string())?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Ok((print, Found::File(Secret::new(text))))
        });
        match content {
            Ok((print, found)) => {
                self.fingerprints.insert(want.clone(), print);
                self.found(want, ticket, self.machine.generation(), found, Facts::STEADY);
            }
            Err(error) => {
                let failure = Failure { error, verdict: Verdict::Refused, is_explained: false };
                self.not_found(want, ticket, self.machine.generation(), failure);
            }
        }
    }

    fn end_token(&mut self, generation: Generation) {
        self.open_questions += 1;
        self.workers.ask(self.question(Ask::EndToken { is_last: false }, generation));
        self.tokens.remove(&generation);
    }

    /// On threads of their own: the workers may hang.
    fn revoke_all(&mut self) {
        if let Some(state_file) = self.state_file.take() {
            state_file.remove();
        }
        let generations: Vec<Generation> = self.tokens.keys().copied().collect();
        self.revocations = generations.len();
        for generation in generations {
            self.workers.ask_at_once(self.question(Ask::EndToken { is_last: true }, generation));
        }
        self.tokens.clear();
    }

    fn write_sinks(&mut self) {
        let log = self.log.named("agent.sink.file");
        let Some(held) = self.tokens.get(&self.machine.generation()) else { return };
        let token = held.auth.client_token.expose().as_bytes();
        let mut is_done = true;
        for sink in &self.sinks {
            match files::replace(Path::new(&sink.path), token, Some(sink.mode), false) {
                Ok(_) => log.info("token written", &[("path", &sink.path)]),
                Err(error) => {
                    log.error("token not written", &[("path", &sink.path), ("error", &error)]);
                    is_done = false;
                }
            }
        }
        self.events.push_back(Event::SinksWritten { is_done });
    }

    fn render(&mut self) {
        self.snapshot.now = Some(self.clock.wall());
        let may_write = !self.tokens.is_empty();
        let (pass, commands) = self.files.render(&self.snapshot, may_write);
        self.snapshot.found.retain(|want, _| pass.wanted.contains(want));
        self.times.retain(|want, _| pass.wanted.contains(want));
        self.fingerprints.retain(|want, _| pass.wanted.contains(want));
        self.failures.retain(|want, _| pass.wanted.contains(want));
        self.events.push_back(Event::Rendered(pass));
        if !commands.is_empty() {
            self.commands.push_back(commands);
            if self.commands.len() == 1 {
                self.run_commands();
            }
        }
    }

    fn run_commands(&mut self) {
        let Some(commands) = self.commands.front().cloned() else { return };
        for command in &commands {
            self.log.info("(runner) executing command", &[("command", &command.words.join(" "))]);
        }
        self.ask(Ask::Commands(commands));
    }

    // What came back.

    fn answered(&mut self, answer: Answer) {
        self.open_questions = self.open_questions.saturating_sub(1);
        let Answer { ask, generation, outcome } = answer;
        match ask {
            Ask::Commands(_) => self.commands_ended(outcome),
            Ask::EndToken { is_last } => self.token_ended(is_last, outcome),
            Ask::Fetch { want, ticket, .. } => match outcome {
                Ok(Got::Found(found)) => self.fetched(want, ticket, generation, found),
                Ok(_) => {}
                Err(failure) => self.not_found(want, ticket, generation, failure),
            },
            Ask::LogIn => match outcome {
                Ok(Got::Token(auth)) => self.logged_in(auth),
                Ok(_) => {}
                Err(failure) => {
                    self.login_failure = Some(failure.error.clone());
                    self.last_failure = failure.error;
                    self.log_login_failure();
                    self.events.push_back(Event::LoginFailed(failure.verdict));
                }
            },
            Ask::LookUpMount { want, ticket } => match outcome {
                Ok(Got::Mount(mount)) => {
                    self.events.push_back(Event::MountFound { want, ticket, mount });
                }
                Ok(_) => {}
                Err(Failure { error, verdict, is_explained }) => {
                    self.failures.insert(want.clone(), error.clone());
                    self.last_failure = error;
                    let event =
                        Event::MountNotFound { want, ticket, generation, verdict, is_explained };
                    self.events.push_back(event);
                }
            },
            Ask::RenewLease { want, ticket, .. } => {
                self.lease_answered(want, ticket, generation, outcome)
            }
            Ask::RenewToken => self.token_answered(generation, outcome),
        }
    }

    fn fetched(&mut self, want: Want, ticket: Ticket, generation: Generation, found: Found) {
        let wall = self.clock.wall();
        let facts = match &found {
            Found::Reading(reading) => Facts::of(reading, wall),
            Found::Absent => Ok(Facts::UNLEASED),
            Found::File(_) | Found::List(_) => Ok(Facts::STEADY),
        };
        let Ok(facts) = facts else {
            let error = format!("{want}: about to be rotated");
            let verdict = Verdict::TryLater(None);
            let failure = Failure { error, verdict, is_explained: false };
            return self.not_found(want, ticket, generation, failure);
        };
        self.times.insert(want.clone(), wall);
        self.log.debug("(view) received", &[("dependency", &want)]);
        self.found(want, ticket, generation, found, facts);
    }

    fn found(
        &mut self,
        want: Want,
        ticket: Ticket,
        generation: Generation,
        found: Found,
        facts: Facts,
    ) {
        self.failures.remove(&want);
        // A write that gives nothing back keeps what the one before gave.
        let before = self.snapshot.found.get(&want);
        let is_kept = matches!((&found, before), (Found::Absent, Some(_)));
        let is_changed = !is_kept && !before.is_some_and(|before| is_same(before, &found));
        self.is_state_stale |= is_changed;
        if !is_kept {
            self.snapshot.found.insert(want.clone(), found);
        }
        if is_changed {
            self.files.changed(&want);
        }
        self.events.push_back(Event::Fetched { want, ticket, generation, facts, is_changed });
    }

    fn had(&mut self, want: Want, ticket: Ticket, facts: Facts, is_changed: bool) {
        let generation = self.machine.generation();
        self.events.push_back(Event::Fetched { want, ticket, generation, facts, is_changed });
    }

    fn not_found(&mut self, want: Want, ticket: Ticket, generation: Generation, failure: Failure) {
        let Failure { error, verdict, is_explained } = failure;
        // What was explained once stays explained, though it is not asked for each time.
        let error = match self.failures.get(&want) {
            Some(before) if before.starts_with(&error) => before.clone(),
            Some(_) | None => error,
        };
        self.failures.insert(want.clone(), error.clone());
        self.last_failure = error;
        let event = Event::FetchFailed { want, ticket, generation, verdict, is_explained };
        self.events.push_back(event);
    }

    fn logged_in(&mut self, auth: Auth) {
        let current = self.tokens.get(&self.machine.generation());
        let is_same = current.is_some_and(|held| held.auth.client_token == auth.client_token);
        self.log.named("agent.auth.handler").info(
            "authentication successful, sending token to sinks",
            &[
                ("accessor", &auth.accessor),
                ("ttl", &Seconds(auth.lease_duration)),
                ("renewable", &auth.renewable),
            ],
        );
        self.login_failure = None;
        let grant = grant_of(&auth, Duration::ZERO);
        let generation = self.machine.generation().wrapping_add(u32::from(!is_same));
        self.tokens.insert(generation, Held { auth, granted: self.clock.wall() });
        self.is_state_stale = true;
        self.events.push_back(Event::LoggedIn { grant, is_same });
    }

    fn token_answered(&mut self, generation: Generation, outcome: Result<Got, Failure>) {
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
            Err(Failure { error, verdict, .. }) => {
                let log = self.log.named("agent.auth.handler");
                log.warn("token not renewed", &[("error", &error)]);
                self.last_failure = error;
                self.events.push_back(Event::TokenNotRenewed { generation, verdict });
            }
        }
    }

    fn lease_answered(
        &mut self,
        want: Want,
        ticket: Ticket,
        generation: Generation,
        outcome: Result<Got, Failure>,
    ) {
        match outcome {
            Ok(Got::Lease { granted, is_renewable }) => {
                if let Some(Found::Reading(reading)) = self.snapshot.found.get_mut(&want) {
                    let reading = Arc::make_mut(reading);
                    reading.lease_duration = granted.as_secs();
                    reading.renewable = is_renewable;
                    self.times.insert(want.clone(), self.clock.wall());
                    self.is_state_stale = true;
                }
                self.log.debug("renewed lease", &[("dependency", &want)]);
                let event = Event::LeaseRenewed { want, ticket, granted, is_renewable };
                self.events.push_back(event);
            }
            Ok(_) => {}
            Err(Failure { error, verdict, .. }) => {
                self.log.warn("lease not renewed", &[("dependency", &want), ("error", &error)]);
                self.last_failure = error;
                let event = Event::LeaseNotRenewed { want, ticket, generation, verdict };
                self.events.push_back(event);
            }
        }
    }

    fn token_ended(&mut self, is_last: bool, outcome: Result<Got, Failure>) {
        let log = self.log.named("agent.auth.handler");
        match outcome {
            Ok(_) => log.info("revoked token", &[]),
            Err(failure) => log.warn("token not revoked", &[("error", &failure.error)]),
        }
        if is_last {
            self.revocations = self.revocations.saturating_sub(1);
            if self.revocations == 0 {
                self.events.push_back(Event::Revoked);
            }
        }
    }

    fn commands_ended(&mut self, outcome: Result<Got, Failure>) {
        let failed = match outcome {
            Ok(Got::Commands(failed)) => failed,
            Ok(_) => Vec::new(),
            Err(failure) => vec![failure.error],
        };
        for error in &failed {
            self.log.error("(runner) command failed", &[("error", error)]);
        }
        self.commands.pop_front();
        self.events.push_back(Event::CommandsEnded { has_failed: !failed.is_empty() });
        self.run_commands();
    }

    // What stays for the next process.

    fn restore(&mut self) -> Option<Event> {
        let wall = self.clock.wall();
        let Handover { token, granted, mounts, had, .. } = self.state_file.as_ref()?.load(wall)?;
        let mut known = self.machine.mounts().clone();
        mounts.into_iter().for_each(|mount| known.insert(mount));
        let mut readings = Vec::new();
        for (want, found, at) in had {
            let facts = match &found {
                Found::Reading(reading) => Facts::of(reading, at),
                Found::Absent | Found::File(_) | Found::List(_) => Ok(Facts::STEADY),
            };
            // What was about to be rotated is fetched anew.
            let Ok(facts) = facts else { continue };
            readings.push((want.clone(), facts, handover::age(at, wall)));
            self.times.insert(want.clone(), at);
            self.snapshot.found.insert(want, found);
        }
        self.log.info(
            "going on with the token and readings of an earlier agent",
            &[("accessor", &token.accessor), ("readings", &readings.len())],
        );
        let grant = grant_of(&token, handover::age(granted, wall));
        self.tokens.insert(1, Held { auth: token, granted });
        Some(Event::Restored { grant, mounts: known, had: readings })
    }

    fn save_state(&mut self) {
        if !std::mem::take(&mut self.is_state_stale) {
            return;
        }
        let (Some(state_file), Some(held)) =
            (&mut self.state_file, self.tokens.get(&self.machine.generation()))
        else {
            return;
        };
        let had = self.snapshot.found.iter().filter_map(|(want, found)| {
            Some((want.clone(), found.clone(), *self.times.get(want)?))
        });
        state_file.save(&Handover {
            config: state_file.config.clone(),
            token: held.auth.clone(),
            granted: held.granted,
            mounts: self.machine.mounts().iter().cloned().collect(),
            had: had.collect(),
        });
    }

    // What people read.

    fn log_login_failure(&self) {
        let log = self.log.named("agent.auth.handler");
        log.error("error authenticating", &[("error", &self.last_failure)]);
    }

    fn log_retry(&self, tried: &Tried, attempt: u32, wait: Duration) {
        let after = format!("{wait:.1?}");
        let fields: &[(&str, &dyn std::fmt::Display)] =
            &[("error", &self.last_failure), ("attempt", &attempt), ("after", &after)];
        match tried {
            Tried::Fetch(want) => {
                let files = self.files.destinations(want);
                let mut with_want: Vec<(&str, &dyn std::fmt::Display)> =
                    vec![("dependency", want), ("files", &files)];
                with_want.extend(fields);
                self.log.warn("(view) request failed, retry attempt follows", &with_want);
            }
            Tried::Lease(want) => {
                let fields: &[(&str, &dyn std::fmt::Display)] =
                    &[("dependency", want), ("attempt", &attempt), ("after", &after)];
                self.log.warn("lease renewal will be tried again", fields);
            }
            Tried::Login => {
                let log = self.log.named("agent.auth.handler");
                log.warn(
                    "login will be tried again",
                    &[("attempt", &attempt), ("backoff", &after)],
                );
            }
            Tried::Token => {
                let log = self.log.named("agent.auth.handler");
                log.warn(
                    "renewal will be tried again",
                    &[("attempt", &attempt), ("after", &after)],
                );
            }
        }
    }

    /// Before the end: the state, and one line for each file that is not there.
    fn last_words(&mut self, ending: Ending) {
        self.save_state();
        if ending == Ending::Done {
            return self.log.info("agent stopped", &[]);
        }
        for file in self.files.unwritten() {
            let lacking = file.used.iter().find_map(|want| self.failures.get(want));
            let reason = file.error.or(lacking.map(String::as_str));
            let reason = reason.or(self.login_failure.as_deref()).unwrap_or("not finished");
            let fields: [(&str, &dyn std::fmt::Display); 2] =
                [("destination", &file.destination), ("error", &reason)];
            self.log.error("file not written", &fields);
        }
    }
}

fn grant_of(auth: &Auth, age: Duration) -> Grant {
    Grant { ttl: Duration::from_secs(auth.lease_duration), age, is_renewable: auth.renewable }
}

/// Whether a template cannot tell them apart, but for the request's number.
fn is_same(before: &Found, after: &Found) -> bool {
    match (before, after) {
        (Found::Absent, Found::Absent) => true,
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

/// `1h0m0s`, as Vault writes times to live.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        match (hours, minutes) {
            (0, 0) => write!(f, "{seconds}s"),
            (0, _) => write!(f, "{minutes}m{seconds}s"),
            _ => write!(f, "{hours}h{minutes}m{seconds}s"),
        }
    }
}
