//! The main thread: takes what happened, lets the schedule decide, carries it out, logs it once.

mod answers;
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::asking::{Ask, Context, Question};
use super::rendering::Files;
use super::state_file::StateFile;
use super::workers::Workers;
use super::{Message, Reload};
use crate::adapter::clock::Clock;
use crate::adapter::files::{self, Manner, Owner};
use crate::adapter::signals::Signal;
use crate::adapter::{allocator, entropy, interfaces};
use crate::base::reason::Reason;
use crate::base::report::OneLine;
use crate::base::time::Wall;
use crate::domain::agent_config::{Command, Environment, Sink};
use crate::domain::handover::{self, Handover};
use crate::domain::schedule::{
    Action, Ending, Event, Facts, Generation, Grant, Machine, Pass, Plan, Ticket, canonical,
};
use crate::domain::template::{Found, Snapshot, Want};
use crate::domain::vault::{Auth, MountTable, Verdict};
use crate::run::fetching::{self, Failure};
use crate::telemetry::log::{self, Log};

/// Before a wait longer than this, connections are closed and memory is given back.
const REST_MIN: Duration = Duration::from_secs(5);

/// So many short waits without a question, as for files that are looked at, count as a long one.
const IDLE_WAITS: u32 = 4;

/// How long a question may wait for a worker before there is one more.
const BACKLOG_MAX: Duration = Duration::from_millis(25);

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
    /// What templates asked for when they were last rendered, as they spell it.
    wanted: BTreeSet<Want>,
    /// The same by the name of each secret; `None` when mounts or templates may have changed it. Made once for all
    /// answers: to look for spellings in all that is wanted, at each of them, takes minutes for thousands.
    names: Option<BTreeMap<Want, BTreeSet<Want>>>,
    /// When each reading was fetched or its lease renewed, and with which token.
    times: BTreeMap<Want, (Wall, Generation)>,
    fingerprints: BTreeMap<Want, Fingerprint>,
    /// Why the last login failed, if it did.
    login_failure: Option<Reason>,
    context: Arc<Context>,
    workers: Workers,
    /// Questions without an answer yet.
    open_questions: usize,
    /// Waits since the last question.
    idle_waits: u32,
    is_at_rest: bool,
    tokens: BTreeMap<Generation, Held>,
    sinks: Vec<Sink>,
    state_file: Option<StateFile>,
    is_state_stale: bool,
    /// Commands of later passes, while those of an earlier one run.
    commands: VecDeque<Vec<Command>>,
    revocations: usize,
    events: VecDeque<Event>,
    reload: Option<Reload>,
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
        let interfaces = if files.may_see_interfaces() { interfaces::all() } else { Vec::new() };
        Self {
            machine: Machine::new(plan, seed),
            clock,
            log,
            files,
            snapshot: Snapshot {
                env,
                interfaces,
                seed: entropy::seed().ok(),
                ..Snapshot::default()
            },
            wanted: BTreeSet::new(),
            names: None,
            times: BTreeMap::new(),
            fingerprints: BTreeMap::new(),
            login_failure: None,
            context,
            workers,
            open_questions: 0,
            idle_waits: 0,
            is_at_rest: false,
            tokens: BTreeMap::new(),
            sinks: Vec::new(),
            state_file: None,
            is_state_stale: false,
            commands: VecDeque::new(),
            revocations: 0,
            events: VecDeque::new(),
            reload: None,
        }
    }

    pub(super) fn with_sinks(self, sinks: Vec<Sink>) -> Self {
        Self { sinks, ..self }
    }

    pub(super) fn with_state_file(self, state_file: Option<StateFile>) -> Self {
        Self { state_file, ..self }
    }

    pub(super) fn with_reload(self, reload: Reload) -> Self {
        Self { reload: Some(reload), ..self }
    }

    /// Runs until the schedule says it is over.
    pub(super) fn run(mut self, inbox: &Receiver<Message>) -> Ending {
        let first = self.restore().unwrap_or(Event::Woke);
        self.events.push_back(first);
        loop {
            while let Some(event) = self.events.pop_front() {
                let now = self.clock.now();
                if let Event::MountFound { .. } | Event::Restored { .. } = event {
                    self.names = None;
                }
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
                // An answer that is under way is about to change it again.
                if self.open_questions == 0 {
                    self.save_state();
                }
                self.wait(inbox);
            }
        }
    }

    fn wait(&mut self, inbox: &Receiver<Message>) {
        let now = self.clock.now();
        let wakes_at = [self.machine.wakes_at(now), self.files.wakes_at()];
        let mut wait = wakes_at.into_iter().flatten().min().map(|at| at.since(now));
        if self.open_questions == 0 {
            self.idle_waits = self.idle_waits.saturating_add(1);
            if wait.is_none_or(|wait| wait > REST_MIN) || self.idle_waits >= IDLE_WAITS {
                self.rest();
            }
        }
        let has_backlog = self.workers.has_backlog();
        if has_backlog {
            wait = Some(wait.map_or(BACKLOG_MAX, |wait| wait.min(BACKLOG_MAX)));
        }
        let message = match wait {
            Some(wait) => inbox.recv_timeout(wait),
            None => inbox.recv().map_err(|_closed| RecvTimeoutError::Disconnected),
        };
        match message {
            Ok(message) => self.receive(message),
            Err(RecvTimeoutError::Timeout) => {
                if has_backlog {
                    self.workers.reinforce();
                }
                self.events.push_back(Event::Woke);
            }
            // Nobody is left to tell us anything, not even a signal.
            Err(RecvTimeoutError::Disconnected) => self.events.push_back(Event::Stop),
        }
    }

    /// Before a long wait, gives back what it does not need. Once after each activity.
    fn rest(&mut self) {
        if !std::mem::replace(&mut self.is_at_rest, true) {
            self.context.fetcher.client.close_idle();
            allocator::trim();
            allocator::unmap_code();
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Answer(answer) => self.answered(*answer),
            Message::Signal(Signal::Stop) => {
                self.log.info("shutdown triggered", &[]);
                self.events.push_back(Event::Stop);
            }
            Message::Signal(Signal::Reload) => self.reload(),
        }
    }

    /// At SIGHUP, as Vault Agent: the level of the log, certificates and keys, and nothing else.
    fn reload(&self) {
        match self.reload.as_ref().map(|read| read()) {
            None => {}
            Some(Ok(level)) => log::set_level(level),
            Some(Err(error)) => {
                self.log.error("configuration not read again", &[("error", &error)])
            }
        }
        match self.context.fetcher.client.reload() {
            Ok(()) => {
                let said =
                    "SIGHUP: log level and certificates read again, all else needs a new container";
                self.log.info(said, &[]);
                self.context.fetcher.warn_of_authorities(self.log);
            }
            Err(error) => {
                self.log.error("certificates not read again", &[("error", &OneLine(&error))]);
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
                let mount = match &want {
                    Want::Certificate { .. } => Some(fetching::ANY_MOUNT),
                    _ => self.machine.mounts().of(want.path()).cloned(),
                };
                if let Some(mount) = mount {
                    let was_had = self.snapshot.found.contains_key(&want);
                    let spellings = self.spellings(&want);
                    let files = self.files.destinations(&spellings);
                    self.ask(Ask::Fetch { want, ticket, mount, explain, was_had, files });
                }
            }
            Action::CheckLease(want, ticket) => {
                let lease_id = self.lease_id(&want);
                self.ask(Ask::CheckLease { want, ticket, lease_id });
            }
            Action::CheckToken => self.ask(Ask::CheckToken),
            Action::ForgetToken(generation) => drop(self.tokens.remove(&generation)),
            Action::GaveUp(want, attempts, reason) => {
                let spellings = self.spellings(&want);
                let fields: [(&str, &dyn std::fmt::Display); 4] = [
                    ("dependency", &want),
                    ("error", &reason),
                    ("attempts", &attempts),
                    ("files", &self.files.destinations(&spellings).join(" ")),
                ];
                self.log.error("(view) request failed (exceeded maximum retries)", &fields);
            }
            Action::LogIn => {
                self.log.named("agent.auth.handler").info("authenticating", &[]);
                self.ask(Ask::LogIn);
            }
            Action::LookUpMount(want, ticket) => self.ask(Ask::LookUpMount { want, ticket }),
            Action::Render => self.files.all_changed(),
            Action::RenewLease(want, ticket) => {
                let lease_id = self.lease_id(&want);
                self.ask(Ask::RenewLease { want, ticket, lease_id });
            }
            Action::RenewToken => self.ask(Ask::RenewToken),
            Action::Retry(tried, attempt, wait, reason) => {
                self.log_retry(&tried, attempt, wait, &reason);
            }
            Action::RevokeAll => self.revoke_all(),
            Action::WriteSinks => self.write_sinks(),
        }
        None
    }

    fn lease_id(&self, want: &Want) -> String {
        match self.snapshot.found.get(want) {
            Some(Found::Reading(reading)) => reading.lease_id.clone(),
            _ => String::new(),
        }
    }

    fn question(&self, ask: Ask, generation: Generation) -> Question {
        let token = self.tokens.get(&generation).map(|held| held.auth.client_token.clone());
        Question { ask, generation, token }
    }

    fn ask(&mut self, ask: Ask) {
        self.open_questions += 1;
        self.idle_waits = 0;
        self.is_at_rest = false;
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
            let Want::File { path, sandbox } = &want else {
                return Err(format!("{want}: no file"));
            };
            Ok((print, fetching::read_file(path, sandbox.as_deref())?))
        });
        match content {
            Ok((print, found)) => {
                self.fingerprints.insert(want.clone(), print);
                self.found(want, ticket, self.machine.generation(), &found, Facts::STEADY);
            }
            Err(error) => {
                let reason = Reason::new(error);
                let failure = Failure { reason, verdict: Verdict::Refused, is_explained: false };
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
            let owner = Owner { user: sink.user, group: sink.group };
            let manner = Manner { mode: Some(sink.mode), owner, ..Manner::default() };
            match files::place(Path::new(&sink.path), token, manner) {
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
        let (mut pass, mut commands) = self.files.render(&self.snapshot, may_write);
        // A secret that was had under another spelling needs no fetch, only another pass.
        while self.lend(&pass) {
            let (next, more) = self.files.render(&self.snapshot, may_write);
            pass = next;
            commands.extend(more.into_iter().filter(|c| !commands.contains(c)).collect::<Vec<_>>());
        }
        self.wanted = std::mem::take(&mut pass.wanted);
        pass.wanted.clone_from(&self.wanted);
        pass.has_started_commands = !commands.is_empty();
        let names = by_name(&self.wanted, self.machine.mounts());
        // A file that failed may not have come to all that it wants.
        if pass.failed.is_empty() {
            let wanted = &self.wanted;
            self.snapshot.found.retain(|want, _| wanted.contains(want) || names.contains_key(want));
            self.times.retain(|want, _| names.contains_key(want));
            self.fingerprints.retain(|want, _| names.contains_key(want));
        }
        self.names = Some(names);
        self.events.push_back(Event::Rendered(pass));
        if !commands.is_empty() {
            self.commands.push_back(commands);
            if self.commands.len() == 1 {
                self.run_commands();
            }
        }
    }

    /// Gives templates under their spelling what is there under another. Says whether it gave anything.
    fn lend(&mut self, pass: &Pass) -> bool {
        let mut has_lent = false;
        for want in &pass.wanted {
            if self.snapshot.found.contains_key(want) {
                continue;
            }
            let name = canonical(want, self.machine.mounts());
            if let Some(found) = self.snapshot.found.get(&name).cloned() {
                self.snapshot.found.insert(want.clone(), found);
                self.files.changed(want);
                has_lent = true;
            }
        }
        has_lent
    }

    /// All spellings of a secret, and its own name.
    fn spellings(&mut self, name: &Want) -> BTreeSet<Want> {
        let (wanted, mounts) = (&self.wanted, self.machine.mounts());
        let names = self.names.get_or_insert_with(|| by_name(wanted, mounts));
        let mut spellings = names.get(name).cloned().unwrap_or_default();
        spellings.insert(name.clone());
        spellings
    }

    fn run_commands(&mut self) {
        let Some(commands) = self.commands.front().cloned() else { return };
        for command in &commands {
            self.log.info("(runner) executing command", &[("command", &command.words.join(" "))]);
        }
        self.ask(Ask::Commands(commands));
    }

    // What stays for the next process.

    fn restore(&mut self) -> Option<Event> {
        let wall = self.clock.wall();
        let left = self.state_file.as_ref()?.load(wall)?;
        let Handover { token, granted, mounts, had, seed, .. } = left;
        self.snapshot.seed = seed.or_else(|| self.snapshot.seed.take());
        let mut known = self.machine.mounts().clone();
        mounts.into_iter().for_each(|mount| known.insert(mount));
        let mut readings = Vec::new();
        for (want, found, at) in had {
            // What was about to be rotated is fetched anew.
            let Ok(facts) = Facts::of_found(&found, at) else { continue };
            if !self.machine.takes_over(&want, &facts) {
                continue;
            }
            readings.push((want.clone(), facts, handover::age(at, wall)));
            self.times.insert(want.clone(), (at, 1));
            self.snapshot.found.insert(want, found);
        }
        self.log.info(
            "going on with the token and readings of an earlier agent",
            &[("readings", &readings.len())],
        );
        // At debug, as it is for Vault's operators, who can end the token by it.
        self.log.debug("token of an earlier agent", &[("accessor", &token.accessor)]);
        let grant = grant_of(&token, handover::age(granted, wall));
        self.tokens.insert(1, Held { auth: token, granted });
        Some(Event::Restored { grant, mounts: known, had: readings })
    }

    fn save_state(&mut self) {
        if std::mem::take(&mut self.is_state_stale) {
            self.hand_over(&BTreeSet::new());
        }
    }

    /// Leaves everything but what the `suspects` name, of that what has no lease.
    fn hand_over(&mut self, suspects: &BTreeSet<Want>) {
        let current = self.machine.generation();
        let (Some(state_file), Some(held)) = (&mut self.state_file, self.tokens.get(&current))
        else {
            return;
        };
        let had = self.snapshot.found.iter().filter_map(|(want, found)| {
            let (at, generation) = *self.times.get(want)?;
            // A lease of the token before ends with that one.
            let is_kept =
                if is_leased(found) { generation == current } else { !suspects.contains(want) };
            is_kept.then(|| (want.clone(), found.clone(), at))
        });
        state_file.save(&Handover {
            config: state_file.config.clone(),
            token: held.auth.clone(),
            granted: held.granted,
            mounts: self.machine.mounts().iter().cloned().collect(),
            had: had.collect(),
            seed: self.snapshot.seed.clone(),
        });
    }
}

/// What is wanted, by the name of the secret.
fn by_name(wanted: &BTreeSet<Want>, mounts: &MountTable) -> BTreeMap<Want, BTreeSet<Want>> {
    let mut names: BTreeMap<Want, BTreeSet<Want>> = BTreeMap::new();
    for want in wanted {
        names.entry(canonical(want, mounts)).or_default().insert(want.clone());
    }
    names
}

fn grant_of(auth: &Auth, age: Duration) -> Grant {
    Grant { ttl: Duration::from_secs(auth.lease_duration), age, is_renewable: auth.renewable }
}

fn is_leased(found: &Found) -> bool {
    matches!(found, Found::Reading(r) if !r.lease_id.is_empty() || r.auth.is_some())
}
