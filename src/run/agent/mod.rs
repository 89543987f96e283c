//! The modes `agent-init` and `agent-sidecar`: the schedule's decisions carried out.
//!
//! The main thread owns all state and waits on one channel; signals come from a thread of their own,
//! answers of Vault from [`workers`] that come and go. Nothing here decides when to do what: that is
//! [`crate::domain::schedule`].

mod asking;
mod driver;
mod login;
mod rendering;
mod state_file;
mod workers;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::adapter::clock::Clock;
use crate::adapter::process::Commands;
use crate::adapter::signals::{self, Signal};
use crate::adapter::vault::VaultClient;
use crate::adapter::{entropy, files};
use crate::base::report::OneLine;
use crate::domain::agent_config::{AgentConfig, AuthKind, Connection, Environment, WithoutEffect};
use crate::domain::schedule::{Backoff, Ending, Fetching, Plan};
use crate::run::fetching::Fetcher;
use crate::run::{self, limits};
use crate::telemetry::log::{Level, Log};
use asking::{Answer, Context};
use driver::Driver;
use login::Remembered;
use rendering::Files;
use state_file::StateFile;
use workers::Workers;

/// Which of the two agents this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// `agent-init`
    UntilRendered,
    /// `agent-sidecar`
    UntilSignal,
}

/// What wakes the main thread.
enum Message {
    Answer(Box<Answer>),
    Signal(Signal),
}

/// Why an agent did not start.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// What the configuration says cannot be done; a restart will not help.
    Configuration(String),
    /// Something was not there that another time may be.
    Surroundings(String),
}

impl From<String> for NotStarted {
    fn from(reason: String) -> Self {
        Self::Surroundings(reason)
    }
}

/// Reads the level of the log again. The error is one line.
pub(crate) type Reload = Box<dyn Fn() -> Result<Level, String>>;

/// Runs an agent to its end: done when everything is on disk or a signal asked for the end. Why it did not
/// start is in the log.
pub(crate) fn run(
    life: Life,
    config: &AgentConfig,
    environment: &Environment,
    log: Log,
    reload: Reload,
) -> Result<Ending, NotStarted> {
    let log = log.named("agent");
    run::log_panics(log);
    let ended = start(life, config, environment, log, reload);
    if let Err(NotStarted::Configuration(error) | NotStarted::Surroundings(error)) = &ended {
        log.error("cannot start", &[("error", error)]);
    }
    ended
}

/// What is wrong as far as that is known without Vault: addresses, certificates, keys and templates. A line each.
pub(crate) fn mistakes(config: &AgentConfig) -> Vec<String> {
    let connected = connect(config, Clock::start()).map(drop);
    connected.err().into_iter().chain(rendering::mistakes(&config.templates)).collect()
}

fn connect(config: &AgentConfig, clock: Clock) -> Result<VaultClient, String> {
    VaultClient::connect(&config.vault, limits::VAULT_CLIENT, clock)
        .map_err(|error| OneLine(&error).to_string())
}

fn start(
    life: Life,
    config: &AgentConfig,
    environment: &Environment,
    log: Log,
    reload: Reload,
) -> Result<Ending, NotStarted> {
    let clock = Clock::start();
    let (sender, inbox) = mpsc::channel();
    let of_signals = sender.clone();
    // The receiver lives as long as anybody could want to send.
    signals::watch(move |signal| drop(of_signals.send(Message::Signal(signal))))
        .map_err(|error| format!("no thread for signals: {error}"))?;
    for WithoutEffect { place, follows } in &config.ignored {
        log.warn("setting without effect", &[("setting", place), ("follows", follows)]);
    }
    let env = command_environment(environment, &config.vault);
    let client = connect(config, clock).map_err(NotStarted::Configuration)?;
    let fetcher = Fetcher { client, namespace: config.method.namespace.clone(), clock };
    fetcher.warn_of_authorities(log);
    let context = Context {
        fetcher,
        method: config.method.clone(),
        remembered: Mutex::new(Remembered::default()),
        env: env.clone(),
        commands: Commands::default(),
        clock,
        log: log.named("agent.auth.handler"),
    };
    let context = Arc::new(context);
    let files = Files::open(&config.templates, clock, log)?;
    let templates = config.templates.iter().map(|template| &template.destination);
    let sinks = config.sinks.iter().map(|sink| &sink.path);
    let targets = templates.chain(sinks).chain(&config.injector.state_file);
    files::sweep(&targets.map(Path::new).collect::<Vec<_>>());
    // A token that has nowhere to go is not asked for.
    for sink in &config.sinks {
        files::probe(Path::new(&sink.path)).map_err(|error| format!("sink: {error}"))?;
    }
    look_for_jwts(&context)?;
    let pid_file = config.pid_file.as_deref().map(PidFile::write).transpose()?;
    let of_end = Arc::clone(&context);
    let workers = Workers::new(Arc::clone(&context), sender, connections_max(config));
    let driver = driver(life, config, (clock, log), files, (context, workers, env));
    let ending = driver.with_reload(reload).run(&inbox);
    // Elsewhere than in a container of its own nothing else would end them.
    of_end.commands.end();
    drop(pid_file);
    Ok(ending)
}

fn driver(
    life: Life,
    config: &AgentConfig,
    (clock, log): (Clock, Log),
    files: Files,
    (context, workers, env): (Arc<Context>, Workers, Environment),
) -> Driver {
    let state_file = StateFile::of(config, log);
    let seed = entropy::spread().fraction().to_bits();
    let plan = plan(life, config);
    Driver::new(plan, seed, (clock, log), files, (context, workers), env)
        .with_sinks(config.sinks.clone())
        .with_state_file(state_file)
}

/// How many requests may be under way at once.
fn connections_max(config: &AgentConfig) -> usize {
    let configured = config.template_config.max_connections_per_host;
    configured.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX))
}

/// From the first login on, takes new tokens of a method that removes them, as often as it wants. The thread
/// ends with the process.
fn look_for_jwts(context: &Arc<Context>) -> Result<(), String> {
    // It reads one small file.
    const STACK_BYTES: usize = 128 * 1024;
    let AuthKind::Jwt { read_period: Some(period), .. } = context.method.kind else {
        return Ok(());
    };
    let context = Arc::clone(context);
    let looking = move || {
        loop {
            thread::park_timeout(period);
            let mut remembered = context.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            login::take_jwt(&context.method.kind, &mut remembered, context.log);
        }
    };
    let thread = thread::Builder::new().name("jwt".to_owned()).stack_size(STACK_BYTES);
    thread
        .spawn(looking)
        .map(drop)
        .map_err(|error| format!("no thread to look for tokens: {error}"))
}

/// The schedule's side of the configuration.
fn plan(life: Life, config: &AgentConfig) -> Plan {
    let method = &config.method;
    let settings = &config.template_config;
    // Vault Agent uses the back-off of logins for secrets too, but only if it is configured.
    let is_default = (method.min_backoff, method.max_backoff) == LOGIN_BACKOFF_DEFAULT;
    let backoff = if is_default {
        Backoff { min: Duration::from_millis(250), max: Duration::from_mins(1) }
    } else {
        Backoff { min: method.min_backoff, max: method.max_backoff }
    };
    Plan {
        ends_when_rendered: life == Life::UntilRendered || config.exit_after_auth,
        login: Backoff { min: method.min_backoff, max: method.max_backoff },
        exits_on_failed_login: method.exit_on_err,
        owns_tokens: !matches!(method.kind, AuthKind::TokenFile { .. }),
        fetching: Fetching {
            backoff,
            retries: config.vault.num_retries.unwrap_or(0),
            excused: config.vault.max_retries,
            gives_up: settings.exit_on_retry_failure,
            static_interval: settings.static_secret_render_interval,
            threshold: settings.lease_renewal_threshold,
        },
        revoke_after: config.injector.revoke_on_shutdown,
    }
}

/// `min_backoff` and `max_backoff` when nothing is configured.
const LOGIN_BACKOFF_DEFAULT: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_mins(5));

/// The environment of commands, which templates see as well: the agent's own, and where Vault is, by the names
/// that Vault's and OpenBao's agents have for it. The token is not in it.
fn command_environment(environment: &Environment, vault: &Connection) -> Environment {
    let is_plain = vault.address.starts_with("http:");
    let skip_verify = (vault.tls_skip_verify || is_plain).then(|| "true".to_owned());
    let settings = [
        ("VAULT_ADDR", Some(vault.address.clone())),
        ("VAULT_SKIP_VERIFY", skip_verify),
        ("VAULT_CACERT", vault.ca_cert.clone()),
        ("VAULT_CAPATH", vault.ca_path.clone()),
        ("VAULT_CLIENT_CERT", vault.client_cert.clone()),
        ("VAULT_CLIENT_KEY", vault.client_key.clone()),
        ("VAULT_TLS_SERVER_NAME", vault.tls_server_name.clone()),
        ("CONSUL_HTTP_SSL", Some("false".to_owned())),
        ("CONSUL_HTTP_SSL_VERIFY", Some("true".to_owned())),
    ];
    let settings = settings.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let mut env: BTreeMap<_, _> = environment.clone();
    for (name, value) in settings {
        // OpenBao's agent has its own names for the same.
        if let Some(name) = name.strip_prefix("VAULT_") {
            env.insert(format!("BAO_{name}"), value.clone());
        }
        env.insert(name, value);
    }
    env
}

/// The file with the process id. It is removed when this is dropped.
struct PidFile<'p>(&'p Path);

impl<'p> PidFile<'p> {
    fn write(path: &'p str) -> Result<Self, String> {
        let path = Path::new(path);
        let id = std::process::id().to_string();
        let written = files::replace(path, id.as_bytes(), Some(0o600), false);
        written.map_err(|error| format!("pid_file: {error}"))?;
        Ok(Self(path))
    }
}

impl Drop for PidFile<'_> {
    fn drop(&mut self) {
        // The process ends, and with it the file's meaning.
        drop(files::remove(self.0));
    }
}
