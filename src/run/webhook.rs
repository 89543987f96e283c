//! The webhook as a process: options to a server, requests to decisions, decisions to log and metrics.
//!
//! All of it runs on one thread, but for decisions about large reviews: one of 3 MiB would keep hundreds of usual
//! ones waiting. Else a decision is a short computation on the connection's own task. A panic in it becomes an
//! HTTP 500, so that the API server applies its own `failurePolicy`.

mod automatic;
mod certificate;
mod deciding;
mod requests;

use std::cell::Cell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::sleep;

use self::automatic::{Keeping, Shared};
use self::certificate::Keeper;
use self::deciding::Decider;
use self::requests::{Bursts, Webhook};
use crate::adapter::allocator;
use crate::adapter::clock::Clock;
use crate::adapter::net::{EndSignal, EndSignals, Hangups, listen, race, raise_descriptors};
use crate::adapter::server::{Bounds, Event, serve};
use crate::adapter::tls::{Offer, Served, TlsError};
use crate::domain::inject::InjectConfig;
use crate::run::{self, limits};
use crate::telemetry::health::Health;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;

pub(crate) use self::automatic::Automation;

/// What the webhook needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// What the API server is asked to know of it.
    pub(crate) automation: Option<Automation>,
    /// Where the serving certificate comes from.
    pub(crate) certificate: Certificate,
    /// TLS 1.2 cipher suites by name, empty for all.
    pub(crate) cipher_suites: Vec<String>,
    /// Defaults of the decision.
    pub(crate) inject: InjectConfig,
    /// `:8080`, `host:8080`
    pub(crate) listen: String,
    /// Where metrics are, empty for nowhere.
    pub(crate) telemetry_path: String,
    /// Whether TLS 1.2 is not offered.
    pub(crate) tls13_only: bool,
}

/// Where the serving certificate comes from.
#[derive(Clone, Debug)]
pub(crate) enum Certificate {
    /// Made here, and made known to API servers.
    Automatic,
    /// PEM files that somebody else keeps.
    Files {
        /// The chain, leaf first.
        certificate: String,
        /// The leaf's key.
        key: String,
    },
    /// Made here, signed by a CA that is made here.
    SelfSigned {
        /// Names and addresses of the leaf; empty for those of this machine.
        hosts: Vec<String>,
    },
}

/// Why the webhook cannot serve.
#[derive(Debug)]
pub(crate) enum WebhookError {
    /// The address cannot be listened on.
    Listen {
        /// As configured.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The operating system gives no event loop or no signals.
    Start(io::Error),
    /// There is nothing to serve TLS with.
    Tls(TlsError),
}

impl fmt::Display for WebhookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, .. } => write!(f, "cannot listen on {address}"),
            Self::Start(_) => f.write_str("cannot start"),
            Self::Tls(_) => f.write_str("cannot serve TLS"),
        }
    }
}

impl std::error::Error for WebhookError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::Start(source) => Some(source),
            Self::Tls(source) => Some(source),
        }
    }
}

/// Whether any of these cipher suites can be offered.
pub(crate) fn check_cipher_suites(names: &[String]) -> Result<(), impl std::error::Error + use<>> {
    Offer::new(false, names).map(|_offer| ())
}

/// Serves until SIGTERM or SIGINT, and then until what had begun is answered.
pub(crate) fn run(config: Config, log: Log) -> Result<(), WebhookError> {
    run::log_panics(log);
    let bounds = limits::SERVER.within(raise_descriptors());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .thread_keep_alive(limits::ASIDE_FOR)
        .build()
        .map_err(WebhookError::Start)?;
    LocalSet::new().block_on(&runtime, run_here(config, bounds, log))
}

async fn run_here(config: Config, bounds: Bounds, log: Log) -> Result<(), WebhookError> {
    let mut signals = EndSignals::catch().map_err(WebhookError::Start)?;
    let hangups = Hangups::catch().map_err(WebhookError::Start)?;
    for name in Offer::unknown_suites(&config.cipher_suites) {
        log.warn("cipher suite not supported, left out", &[("suite", &name)]);
    }
    let offer = Offer::new(config.tls13_only, &config.cipher_suites).map_err(WebhookError::Tls)?;
    let source = certificate::source_of(config.certificate).map_err(WebhookError::Tls)?;
    let webhook = Rc::new(Webhook {
        bursts: Bursts::default(),
        busy: Busy::default(),
        clock: Clock::start(),
        decider: Decider::new(config.inject),
        health: Arc::new(Health::new()),
        is_distrusted: Cell::new(false),
        log,
        metrics: Arc::new(Metrics::new(limits::METRIC_NAMESPACES_MAX)),
        telemetry_path: config.telemetry_path,
    });
    let served = Arc::new(Served::default());
    let shared = Shared {
        health: Arc::clone(&webhook.health),
        log,
        metrics: Arc::clone(&webhook.metrics),
        served: Arc::clone(&served),
    };
    let mut keeper = Keeper::new(source, Arc::clone(&served), Rc::clone(&webhook));
    keeper.look().map_err(WebhookError::Tls)?;
    keeper.tell_when_expired();
    let tls = offer.server_config(served).map_err(WebhookError::Tls)?;
    let listener = listen(&config.listen, limits::SEND_BUFFER_BYTES)
        .map_err(|source| WebhookError::Listen { address: config.listen, source })?;
    let address = listener.local_addr().map_err(WebhookError::Start)?;
    let keeping = config.automation.map(|automation| automatic::start(automation, shared));
    let keeping = keeping.transpose()?;
    log.info("listening", &[("address", &address)]);

    let _keeps_on = tokio::task::spawn_local(keeper.keep());
    let _trims = tokio::task::spawn_local(trim_when_idle(Rc::clone(&webhook)));
    let _shrugs = tokio::task::spawn_local(outlive(hangups, log));
    let watcher = Rc::clone(&webhook);
    let tell: Rc<dyn Fn(Event)> = Rc::new(move |event| watcher.note(event));
    let handler = Rc::clone(&webhook);
    let handle = move |call| Rc::clone(&handler).respond(call);
    let end = end(&mut signals, &webhook, keeping.as_ref());
    let is_drained = serve(listener, Arc::new(tls), bounds, end, tell, handle).await;
    if let Some(keeping) = keeping {
        keeping.wait();
    }
    if is_drained {
        log.info("stopped, every request was answered", &[]);
    } else {
        log.warn("stopped with requests unanswered, the drain limit was reached", &[]);
    }
    Ok(())
}

/// Waits for a signal. After Kubernetes' own, requests are still taken for a while, unless a second
/// signal comes.
async fn end(signals: &mut EndSignals, webhook: &Webhook, keeping: Option<&Keeping>) {
    let signal = signals.next().await;
    webhook.health.drain();
    if let Some(keeping) = keeping {
        keeping.end();
    }
    webhook.log.info("shutting down", &[("signal", &signal.name())]);
    if signal == EndSignal::Terminate {
        let _either = race(signals.next(), sleep(limits::LAME_DUCK)).await;
    }
}

/// SIGHUP means "read your files again" to those who send it, and the webhook does that all the time.
async fn outlive(mut hangups: Hangups, log: Log) {
    loop {
        hangups.next().await;
        let every = format!("{}s", limits::CERTIFICATE_LOOK.as_secs());
        log.info("SIGHUP ignored, certificate files are read by themselves", &[("every", &every)]);
    }
}

/// Wall-clock time in seconds since the epoch.
fn now() -> u64 {
    u64::try_from(Clock::start().wall().seconds()).unwrap_or_default()
}

/// Counts connections and requests, to know when a burst is over.
#[derive(Default)]
struct Busy {
    events: Cell<u32>,
    enough: Notify,
}

impl Busy {
    fn tick(&self) {
        self.events.set(self.events.get().wrapping_add(1));
        if self.events.get() >= limits::EVENTS_WORTH_A_TRIM {
            self.enough.notify_one();
        }
    }
}

/// Gives memory back after each burst. Costs nothing while nothing happens.
async fn trim_when_idle(webhook: Rc<Webhook>) {
    let busy = &webhook.busy;
    loop {
        busy.enough.notified().await;
        loop {
            let before = busy.events.get();
            sleep(limits::IDLE_AFTER).await;
            if busy.events.get() == before {
                break;
            }
        }
        allocator::trim();
        busy.events.set(0);
    }
}
