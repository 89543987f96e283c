//! Certificates that keep themselves: carries out what `domain::serving::replica` says.
//!
//! One thread asks the API server, one only waits for changes and wakes it. Neither is in the way of a request:
//! they hand over a certificate when there is one.

mod asking;
mod bundle;
mod keys;
mod lock;
mod telling;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use self::asking::{Kube, Quiet};
use self::bundle::Bundles;
use self::keys::Keys;
use self::lock::Locks;
use self::telling::Telling;
use super::WebhookError;
use crate::adapter::authority::{Ca, Signed, issuer_of};
use crate::adapter::clock::Clock;
use crate::adapter::entropy::{self, spread};
use crate::adapter::kube::KubeClient;
use crate::adapter::tls::{Files, Material, Served};
use crate::base::secret::{Secret, SecretBytes};
use crate::domain::serving::ca::{
    Change, LEAF_SECONDS, Leaf, MEMORY_SECONDS, SHARED_SECONDS, Shelf,
};
use crate::domain::serving::election::{Elector, Timing};
use crate::domain::serving::objects::{Cluster, KubeSecret, Metadata, Stored};
use crate::domain::serving::pace::Pace;
use crate::domain::serving::replica::{Action, Duty, Outcome, Replica};
use crate::domain::serving::{Now, Trouble};
use crate::run::limits;
use crate::telemetry::health::Health;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;

/// What is to be kept, and where.
#[derive(Clone, Debug)]
pub(crate) struct Automation {
    /// A file of CAs for the `caBundle`, where the certificate is somebody else's; then nothing else is kept.
    pub(crate) ca_file: Option<String>,
    /// The API server; `None` outside of clusters.
    pub(crate) cluster: Option<Cluster>,
    /// Name of the `MutatingWebhookConfiguration`.
    pub(crate) configuration: String,
    /// Whether one of several replicas is to lead.
    pub(crate) elects: bool,
    /// Names and addresses that we are reached by.
    pub(crate) hosts: Vec<String>,
    /// Empty for that of the service account.
    pub(crate) namespace: String,
    /// Name of our pod; empty when it is not known.
    pub(crate) pod: String,
}

impl Automation {
    /// What certificates are for.
    fn names(&self) -> Vec<String> {
        if self.hosts.is_empty() { super::certificate::own_names() } else { self.hosts.clone() }
    }
}

/// What it has in common with the server.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) health: Arc<Health>,
    pub(super) log: Log,
    pub(super) metrics: Arc<Metrics>,
    pub(super) served: Arc<Served>,
}

/// What comes from outside.
enum Event {
    /// The webhook configuration changed, or may have.
    Changed,
    /// The process ends.
    End,
}

/// The thread.
pub(super) struct Keeping {
    events: Sender<Event>,
    ended: Receiver<()>,
}

impl Keeping {
    /// Gives leadership back.
    pub(super) fn end(&self) {
        // A thread that is gone has nothing to give.
        let _gone = self.events.send(Event::End);
    }

    /// Waits until it is given back, but not for long.
    pub(super) fn wait(&self) {
        let _late = self.ended.recv_timeout(limits::RELEASE);
    }
}

/// Name of the Secret that replicas share their CAs in.
const CA_SECRET: &str = "vault-injector-ca";

/// Name of the Secret that replicas of vault-k8s share their leaf in, and its keys.
const LEAF_SECRET: &str = "vault-injector-certs";
const LEAF_KEYS: (&str, &str) = ("cert", "key");

/// Actions in a row without a rest; far more than any state of the cluster calls for.
const ACTIONS_MAX: u32 = 200;

struct Automatic {
    config: Automation,
    shared: Shared,
    clock: Clock,
    kube: Kube,
    replica: Replica,
    bundles: Bundles,
    locks: Locks,
    own: Keys,
    common: Keys,
    /// The Secret of `common` as it was last read or written.
    secret: Option<Stored<KubeSecret>>,
    /// Why what is in it is of no use.
    useless: Option<&'static str>,
    /// PEM of the leaf that we signed last.
    leaf: Option<(String, Secret)>,
    /// The leaf of a replica of vault-k8s.
    foreign: Option<Material>,
    telling: Telling,
}

/// Serves a first certificate, unless it is somebody else's, and starts to keep it.
pub(super) fn start(config: Automation, shared: Shared) -> Result<Keeping, WebhookError> {
    let clock = Clock::start();
    let now = Now { mono: clock.now(), wall: super::now() };
    let (events, inbox) = channel();
    let (end, ended) = channel();
    let kube = Kube::new(
        (config.cluster.clone(), config.namespace.clone()),
        config.configuration.clone(),
        clock,
        (shared.log, Arc::clone(&shared.metrics)),
        events.clone(),
    );
    let mut automatic = Automatic {
        bundles: Bundles::new(&config),
        locks: Locks::new(config.pod.clone()),
        replica: Replica::new(Duty::Bundle(Vec::new()), now.mono),
        telling: Telling::new(&shared, config.elects),
        own: Keys::default(),
        common: Keys::default(),
        secret: None,
        useless: None,
        leaf: None,
        foreign: None,
        kube,
        clock,
        config,
        shared,
    };
    if automatic.config.ca_file.is_none() {
        let ca = Ca::make(now.wall, MEMORY_SECONDS).map_err(WebhookError::Tls)?;
        let signed = ca.sign(&automatic.config.names(), now.wall, LEAF_SECONDS);
        let signed = signed.map_err(WebhookError::Tls)?;
        automatic.own = Keys::of(ca);
        let leaf = automatic.serve(signed);
        let own = automatic.own.shelf();
        let elector = automatic.config.elects.then(|| automatic.elector());
        automatic.replica = Replica::new(Duty::Everything { own, leaf, elector }, now.mono);
    }
    automatic.tell(now);
    let work = move || {
        automatic.keep(&inbox);
        let _nobody_waits = end.send(());
    };
    let thread = thread::Builder::new().name("webhook-keeper".to_owned()).spawn(work);
    thread.map_err(WebhookError::Start)?;
    Ok(Keeping { events, ended })
}

impl Automatic {
    /// Without a name from the downward API there is still one to be told apart by.
    fn elector(&self) -> Box<Elector> {
        let identity = match self.config.pod.as_str() {
            "" => format!("vault-injector-{}", entropy::hex().unwrap_or_default()),
            pod => pod.to_owned(),
        };
        Box::new(Elector::new(identity, Timing::USUAL))
    }

    fn now(&self) -> Now {
        Now { mono: self.clock.now(), wall: super::now() }
    }

    fn keep(mut self, inbox: &Receiver<Event>) {
        let metrics = Arc::clone(&self.shared.metrics);
        let rest = |wait| !matches!(inbox.recv_timeout(wait), Ok(Event::End));
        persist(&metrics, rest, || self.keep_on(inbox));
        if let Some(ask) = self.replica.release(self.now()) {
            let _heard = self.locks.perform(&mut self.kube, &ask);
            self.shared.log.info("leadership given back", &[]);
        }
    }

    /// Until the end of the process.
    fn keep_on(&mut self, inbox: &Receiver<Event>) {
        let mut in_a_row = 0;
        loop {
            self.read_file();
            let now = self.now();
            let mut action = self.replica.next(now);
            in_a_row = if matches!(action, Action::Wait(_)) { 0 } else { in_a_row + 1 };
            if in_a_row > ACTIONS_MAX {
                in_a_row = 0;
                action = Action::Wait(now.mono + Duration::from_secs(1));
            }
            let wait = match &action {
                Action::Wait(until) => until.since(now.mono),
                _ => Duration::ZERO,
            };
            let file = self.config.ca_file.as_ref().map(|_| limits::CERTIFICATE_LOOK);
            match inbox.recv_timeout(file.map_or(wait, |look| wait.min(look))) {
                Ok(Event::Changed) => self.replica.wake(self.clock.now()),
                Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if !matches!(action, Action::Wait(_)) {
                let began = self.clock.now();
                let outcome = self.perform(&action);
                let now = self.now();
                self.replica.hear(&action, outcome, began, now, spread());
            }
            self.tell(self.now());
        }
    }

    fn tell(&mut self, now: Now) {
        self.telling.tell(&mut self.replica, now);
    }

    /// Certificates of a file are looked at like those that are served.
    fn read_file(&mut self) {
        let Some(path) = &self.config.ca_file else { return };
        match self.bundles.read_file(Path::new(path)) {
            Ok(Some(authorities)) => self.replica.replace_file(authorities),
            Ok(None) => {}
            Err(error) => self.kube.complain("CA file", &error),
        }
    }

    fn perform(&mut self, action: &Action) -> Outcome {
        match action {
            Action::ChangeOwn(change) => Outcome::Own(self.change_own(*change)),
            Action::Lock(ask) => Outcome::Lock(self.locks.perform(&mut self.kube, ask)),
            Action::Patch(fixes) => {
                let known = self.own.certificates().chain(self.common.certificates());
                let known = known.cloned();
                Outcome::Bundle(self.bundles.patch(&mut self.kube, &self.shared, known, fixes))
            }
            Action::ReadBundle => Outcome::Bundle(self.bundles.read(&mut self.kube, &self.shared)),
            Action::ReadCa => Outcome::Ca(self.read_ca()),
            Action::ReadShared => Outcome::Shared(self.read_shared()),
            Action::ServeShared => Outcome::Leaf(self.serve_shared()),
            Action::Sign(ca) => Outcome::Leaf(self.sign(ca)),
            Action::WriteCa(change) => Outcome::Ca(self.write_ca(*change)),
            Action::WriteShared => Outcome::SharedWritten(self.write_shared()),
            // Not reached: whoever rests performs nothing.
            Action::Wait(_) => Outcome::Leaf(self.replica.served().cloned()),
        }
    }

    fn change_own(&mut self, change: Change) -> Option<Shelf> {
        match self.own.changed(change, MEMORY_SECONDS, self.now()) {
            Ok(own) => {
                self.own = own;
                self.telling.ca_changed(change, "memory");
                Some(self.own.shelf())
            }
            Err(error) => {
                self.telling.not_made(&error);
                None
            }
        }
    }

    fn take(&mut self, stored: Stored<KubeSecret>) -> Shelf {
        let (keys, why) = Keys::of_data(&stored.object.data, self.now());
        self.secret = Some(stored);
        self.common = keys;
        self.useless = why;
        self.common.shelf()
    }

    fn read_ca(&mut self) -> Result<Shelf, Trouble> {
        let get = |client: &KubeClient, namespace: &str| client.get(namespace, CA_SECRET);
        let read = self.kube.ask("CA", Quiet::UNLESS_FAILED, get);
        if read.as_ref().err() == Some(&Trouble::NotFound) {
            self.secret = None;
        }
        Ok(self.take(read?))
    }

    fn write_ca(&mut self, change: Change) -> Result<Shelf, Trouble> {
        let before = if self.secret.is_some() { self.common.clone() } else { Keys::default() };
        let changed = before.changed(change, SHARED_SECONDS, self.now());
        let data = match changed.and_then(|keys| keys.to_data()) {
            Ok(data) => data,
            Err(error) => {
                self.telling.not_made(&error);
                return Err(Trouble::Failed { retry_after: None });
            }
        };
        let before = self.secret.clone();
        // Who may read it is meant to write it.
        let written = self.kube.ask("new CA", Quiet::ABSENT, |client, namespace| match before {
            Some(mut stored) => {
                stored.object.data = data;
                client.update(&stored)
            }
            None => client.create(&KubeSecret {
                metadata: labelled(namespace, CA_SECRET),
                data,
                kind: "kubernetes.io/tls".to_owned(),
            }),
        });
        let stored = written?;
        if let Some(why) = self.useless {
            self.telling.ca_replaced(CA_SECRET, why);
        }
        self.telling.ca_changed(change, CA_SECRET);
        Ok(self.take(stored))
    }

    fn sign(&mut self, fingerprint: &str) -> Option<Leaf> {
        let ca = self.common.signer(fingerprint).or_else(|| self.own.signer(fingerprint))?;
        match ca.sign(&self.config.names(), super::now(), LEAF_SECONDS) {
            Ok(signed) => Some(self.serve(signed)),
            Err(error) => {
                self.telling.not_made(&error);
                None
            }
        }
    }

    fn serve(&mut self, signed: Signed) -> Leaf {
        self.leaf = Some((signed.certificate, signed.key));
        self.shared.served.replace(&signed.material);
        self.telling.serving(&signed.facts);
        signed.facts
    }

    /// The leaf of a replica of vault-k8s, as it is shared now.
    fn read_shared(&mut self) -> Result<Option<Leaf>, Trouble> {
        let get =
            |client: &KubeClient, namespace: &str| client.get::<KubeSecret>(namespace, LEAF_SECRET);
        let secret = match self.kube.ask("vault-k8s' certificate", Quiet::ABSENT, get) {
            Ok(secret) => secret,
            Err(Trouble::NotFound) => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        let value = |key: &str| secret.object.data.get(key).map_or(&[][..], |value| value.expose());
        let (certificate, key) = (value(LEAF_KEYS.0), value(LEAF_KEYS.1));
        if certificate.is_empty() && key.is_empty() {
            return Ok(None);
        }
        match Files::material(LEAF_KEYS, certificate, key) {
            Ok(material) => {
                let now = super::now();
                let issuer = issuer_of(material.leaf(), self.bundles.certificates(), now);
                let issuer = issuer.map(|der| crate::adapter::authority::fingerprint(der));
                let leaf = material.facts(&issuer.unwrap_or_default());
                self.foreign = Some(material);
                Ok(Some(leaf))
            }
            Err(error) => {
                self.kube.complain("vault-k8s' certificate", &error);
                Ok(None)
            }
        }
    }

    fn serve_shared(&mut self) -> Option<Leaf> {
        let material = self.foreign.as_ref()?;
        let issuer = issuer_of(material.leaf(), self.bundles.certificates(), super::now());
        let issuer = issuer.map(|der| crate::adapter::authority::fingerprint(der));
        let leaf = material.facts(&issuer.unwrap_or_default());
        self.shared.served.replace(material);
        self.telling.serving(&leaf);
        Some(leaf)
    }

    /// Replicas of vault-k8s that follow us serve it.
    fn write_shared(&mut self) -> Result<(), Trouble> {
        let Some((certificate, key)) = &self.leaf else { return Ok(()) };
        let put = |secret: &mut KubeSecret| {
            let bytes = |text: &str| SecretBytes::new(text.as_bytes().to_vec());
            let _before = secret.data.insert(LEAF_KEYS.0.to_owned(), bytes(certificate));
            let _before = secret.data.insert(LEAF_KEYS.1.to_owned(), bytes(key.expose()));
        };
        let get = |client: &KubeClient, namespace: &str| client.get(namespace, LEAF_SECRET);
        let stored = match self.kube.ask("shared certificate", Quiet::ABSENT, get) {
            Ok(stored) => Some(stored),
            Err(Trouble::NotFound) => None,
            Err(trouble) => return Err(trouble),
        };
        let write = |client: &KubeClient, namespace: &str| match stored {
            Some(mut stored) => {
                put(&mut stored.object);
                client.update(&stored)
            }
            None => {
                let metadata = labelled(namespace, LEAF_SECRET);
                let mut secret = KubeSecret { metadata, ..KubeSecret::default() };
                put(&mut secret);
                client.create(&secret)
            }
        };
        self.kube.ask("shared certificate", Quiet::NEVER, write).map(drop)
    }
}

/// Does `work` until it ends by itself: neither may serving end with a bug here, nor this work unnoticed, or the
/// certificate would expire. Each panic is counted, and the log has its place. `rest` waits, and says whether to go on.
fn persist(metrics: &Metrics, mut rest: impl FnMut(Duration) -> bool, mut work: impl FnMut()) {
    let mut pace = Pace::new();
    while catch_unwind(AssertUnwindSafe(&mut work)).is_err() {
        metrics.panicked();
        if !rest(pace.fail(None, spread())) {
            return;
        }
    }
}

/// Of an object that we create, so that people know where it comes from.
fn labelled(namespace: &str, name: &str) -> Metadata {
    let mut metadata = Metadata::named(namespace, name);
    for (label, value) in [
        ("app.kubernetes.io/managed-by", "vault-injector"),
        ("app.kubernetes.io/name", "vault-injector"),
    ] {
        let _none_before = metadata.labels.insert(label.to_owned(), value.to_owned());
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::process::ProcessFigures;

    #[test]
    fn a_bug_is_counted_and_the_work_goes_on() {
        for (end, want) in [(4, 3), (9, 5)] {
            let (metrics, mut runs, mut waits) = (Metrics::new(1), 0, Vec::new());
            let rest = |wait| {
                waits.push(wait);
                waits.len() < 5
            };
            persist(&metrics, rest, || {
                runs += 1;
                assert_eq!(runs, end, "a bug");
            });
            let text = metrics.text(&ProcessFigures::default());
            assert!(text.contains(&format!("vault_injector_panics_total {want}\n")), "{text}");
            assert_eq!(waits.len(), want);
        }
    }
}
