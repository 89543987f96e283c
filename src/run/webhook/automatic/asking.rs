//! Asking the API server: the client, when there is one, and what is said of failures.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::lock::trouble_of;
use super::{Event, persist};
use crate::adapter::clock::Clock;
use crate::adapter::entropy::spread;
use crate::adapter::kube::{KubeClient, Watch, Watched};
use crate::base::report::OneLine;
use crate::domain::serving::Trouble;
use crate::domain::serving::objects::{Cluster, KubeError, WebhookConfiguration};
use crate::domain::serving::pace::Pace;
use crate::run::limits;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;

/// Which failures are no news.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Quiet {
    absent: bool,
    forbidden: bool,
}

impl Quiet {
    /// All are.
    pub(super) const NEVER: Self = Self { absent: false, forbidden: false };
    /// That it is not there is an answer like any other.
    pub(super) const ABSENT: Self = Self { absent: true, forbidden: false };
    /// That it is forbidden too.
    pub(super) const UNLESS_FAILED: Self = Self { absent: true, forbidden: true };
}

/// The API server as one replica sees it.
pub(super) struct Kube {
    clock: Clock,
    cluster: Option<Cluster>,
    client: Option<Arc<KubeClient>>,
    events: Sender<Event>,
    log: Log,
    metrics: Arc<Metrics>,
    /// Empty for that of the service account.
    namespace: String,
    /// What fails, with the words that the log has of it.
    told: BTreeMap<&'static str, String>,
    watched: String,
}

impl Kube {
    pub(super) fn new(
        (cluster, namespace): (Option<Cluster>, String),
        watched: String,
        clock: Clock,
        (log, metrics): (Log, Arc<Metrics>),
        events: Sender<Event>,
    ) -> Self {
        let told = BTreeMap::new();
        Self { clock, cluster, client: None, events, log, metrics, namespace, told, watched }
    }

    /// Asks for something; `what` is its name in log and metrics. Each new failure is told once, and its end.
    pub(super) fn ask<T>(
        &mut self,
        what: &'static str,
        quiet: Quiet,
        ask: impl FnOnce(&KubeClient, &str) -> Result<T, KubeError>,
    ) -> Result<T, Trouble> {
        let Some(client) = self.client() else {
            return Err(Trouble::Failed { retry_after: None });
        };
        let own = client.namespace();
        let namespace = if self.namespace.is_empty() { own } else { &self.namespace };
        let error = match ask(&client, namespace) {
            Ok(answer) => {
                self.works(what);
                return Ok(answer);
            }
            Err(error) => error,
        };
        let trouble = trouble_of(&error);
        match trouble {
            Trouble::Conflict => self.log.debug("somebody else was faster", &[("error", &error)]),
            Trouble::NotFound if quiet.absent => self.works(what),
            Trouble::Forbidden if quiet.forbidden => {
                self.log.debug("not allowed", &[("error", &error)]);
            }
            _ => self.complain(what, &error),
        }
        Err(trouble)
    }

    /// Tells of a failure unless the log has it already.
    pub(super) fn complain(&mut self, what: &'static str, error: &dyn fmt::Display) {
        self.metrics.kubernetes_failed(what);
        let text = error.to_string();
        if self.told.get(what) != Some(&text) {
            let fields: [(&str, &dyn fmt::Display); 2] = [("what", &what), ("error", &text)];
            self.log.warn("keeping the certificate is hindered, trying again", &fields);
            let _before = self.told.insert(what, text);
        }
    }

    fn works(&mut self, what: &'static str) {
        if self.told.remove(what).is_some() {
            self.log.info("keeping the certificate is no longer hindered", &[("what", &what)]);
        }
    }

    /// The files that it needs may come late.
    fn client(&mut self) -> Option<Arc<KubeClient>> {
        let Some(cluster) = &self.cluster else {
            self.complain("cluster", &"there is none: KUBERNETES_SERVICE_HOST is not set");
            return None;
        };
        if self.client.is_none() {
            match KubeClient::connect(cluster, limits::KUBE, self.clock) {
                Ok(client) => {
                    self.works("service account");
                    let client = Arc::new(client);
                    self.client = Some(Arc::clone(&client));
                    self.watch(client);
                }
                Err(error) => self.complain("service account", &OneLine(&error)),
            }
        }
        self.client.clone()
    }

    /// A thread that does nothing but wake this one. It ends with the process, or when nobody listens.
    fn watch(&self, client: Arc<KubeClient>) {
        let (events, log, metrics) = (self.events.clone(), self.log, Arc::clone(&self.metrics));
        let clock = self.clock;
        let watch = Watch::new(client, "", &self.watched);
        // Never sent anything: waiting for it is how this thread sleeps.
        let (alive, never) = channel();
        let work = move || {
            let _alive: Sender<()> = alive;
            // Nothing ever comes.
            let rest = |wait| never.recv_timeout(wait) == Err(RecvTimeoutError::Timeout);
            let told = String::new();
            let mut watcher = Watcher { watch, clock, events, log, metrics, told, failures: 0 };
            let metrics = Arc::clone(&watcher.metrics);
            persist(&metrics, rest, || watcher.keep_watching(rest));
        };
        let thread = thread::Builder::new().name("webhook-watch".to_owned()).spawn(work);
        if let Err(error) = thread {
            self.log.warn("cannot watch, looking now and then", &[("error", &error)]);
        }
    }
}

/// Wakes the other thread when the webhook configuration changes, or when nobody can tell.
struct Watcher {
    watch: Watch<WebhookConfiguration>,
    clock: Clock,
    events: Sender<Event>,
    log: Log,
    metrics: Arc<Metrics>,
    /// The failure that the log has.
    told: String,
    /// In a row.
    failures: u32,
}

/// A watch that breaks after so long did work: load balancers end what is silent, API servers restart.
const WORKED: Duration = Duration::from_secs(10);

impl Watcher {
    /// Until nobody listens.
    fn keep_watching(&mut self, rest: impl Fn(Duration) -> bool) {
        let mut pace = Pace::new();
        loop {
            let began = self.clock.now();
            match self.watch.next() {
                Ok(seen) => {
                    self.failures = 0;
                    pace.succeed();
                    self.told.clear();
                    match &seen {
                        Watched::Unchanged => continue,
                        Watched::Absent => self.log.debug("no webhook configuration", &[]),
                        Watched::Present(stored) => {
                            let version = &stored.object.metadata.resource_version;
                            self.log
                                .debug("webhook configuration changed", &[("version", version)]);
                        }
                    }
                }
                Err(error) => {
                    if self.clock.now().since(began) >= WORKED {
                        pace.succeed();
                    }
                    self.tell(&error);
                    if !rest(pace.fail(error.retry_after(), spread())) {
                        return;
                    }
                }
            }
            if self.events.send(Event::Changed).is_err() {
                return;
            }
        }
    }

    /// Once for each cause, and not for a single break.
    fn tell(&mut self, error: &KubeError) {
        self.metrics.kubernetes_failed("watch");
        self.failures = self.failures.saturating_add(1);
        let text = error.to_string();
        if self.failures > 1 && self.told != text {
            let fields: [(&str, &dyn fmt::Display); 2] = [("what", &"watch"), ("error", &text)];
            self.log.warn("keeping the certificate is hindered, trying again", &fields);
            self.told = text;
        }
    }
}
