//! The webhook's counters, and their text form (Prometheus text exposition format 0.0.4).

mod namespaces;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::namespaces::Namespaces;
use crate::base::process::ProcessFigures;

/// `Content-Type` of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All counters of the webhook.
#[derive(Debug)]
pub(crate) struct Metrics(Mutex<Numbers>);

/// What a decision counts as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided<'a> {
    /// `deny`, `inject` or `skip`.
    pub(crate) decision: &'static str,
    /// A fixed word.
    pub(crate) reason: &'static str,
    /// The request's namespace: a label of RFC 1123, or nothing.
    pub(crate) namespace: &'a str,
    /// Of an injection.
    pub(crate) injection_type: &'static str,
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Connection {
    /// Closed.
    Closed,
    /// Cut off to make room.
    Cut,
    /// No TLS session came about.
    HandshakeFailed,
    /// Accepted.
    Opened,
}

#[derive(Debug)]
struct Numbers {
    namespaces: Namespaces,
    bundle: Option<&'static str>,
    bundle_patches: u64,
    ca_ends: Option<u64>,
    certificate_ends: Option<u64>,
    connections: u64,
    cuts: u64,
    decisions: BTreeMap<(&'static str, &'static str), u64>,
    handshake_failures: u64,
    kubernetes_failures: BTreeMap<&'static str, u64>,
    leads: bool,
    panics: u64,
    queue: u64,
    requests_ms: Histogram,
    requests_seconds: Histogram,
    responses: BTreeMap<u16, u64>,
    rotations: BTreeMap<&'static str, u64>,
}

/// Upper bounds, of vault-k8s, in milliseconds.
const MILLISECONDS: &[f64] =
    &[5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0];

/// Upper bounds that can tell our requests apart, in seconds.
const SECONDS: &[f64] =
    &[0.000_05, 0.000_1, 0.000_2, 0.000_4, 0.000_8, 0.001_6, 0.003_2, 0.01, 0.1, 1.0];

/// What the `caBundle` can be as to our CA.
const BUNDLE_STATES: &[&str] = &["present", "absent", "unknown"];

impl Metrics {
    /// Counters that tell at most `namespaces_max` namespaces apart.
    pub(crate) fn new(namespaces_max: usize) -> Self {
        Self(Mutex::new(Numbers {
            namespaces: Namespaces::new(namespaces_max),
            bundle: None,
            bundle_patches: 0,
            ca_ends: None,
            certificate_ends: None,
            connections: 0,
            cuts: 0,
            decisions: BTreeMap::new(),
            handshake_failures: 0,
            kubernetes_failures: BTreeMap::new(),
            leads: false,
            panics: 0,
            queue: 0,
            requests_ms: Histogram::new(MILLISECONDS),
            requests_seconds: Histogram::new(SECONDS),
            responses: BTreeMap::new(),
            rotations: BTreeMap::new(),
        }))
    }

    /// State of the `caBundle`: one of [`BUNDLE_STATES`].
    pub(crate) fn bundle(&self, state: &'static str) {
        self.numbers().bundle = Some(state);
    }

    /// The `caBundle` was patched.
    pub(crate) fn patched(&self) {
        self.numbers().bundle_patches += 1;
    }

    /// The CA that signs ends then, seconds since the epoch.
    pub(crate) fn ca_ends(&self, not_after: Option<u64>) {
        self.numbers().ca_ends = not_after;
    }

    /// Whether this replica keeps what all share.
    pub(crate) fn leads(&self, leads: bool) {
        self.numbers().leads = leads;
    }

    /// A request to the API server failed.
    pub(crate) fn kubernetes_failed(&self, what: &'static str) {
        *self.numbers().kubernetes_failures.entry(what).or_default() += 1;
    }

    /// There is a new one of this.
    pub(crate) fn rotated(&self, what: &'static str) {
        *self.numbers().rotations.entry(what).or_default() += 1;
    }

    /// A certificate is served until then, seconds since the epoch.
    pub(crate) fn certify(&self, not_after: Option<u64>) {
        self.numbers().certificate_ends = not_after;
    }

    /// A connection came or went.
    pub(crate) fn connection(&self, what: Connection) {
        let mut numbers = self.numbers();
        match what {
            Connection::Closed => numbers.connections = numbers.connections.saturating_sub(1),
            Connection::Cut => numbers.cuts += 1,
            Connection::HandshakeFailed => numbers.handshake_failures += 1,
            Connection::Opened => numbers.connections += 1,
        }
    }

    /// A review was decided. `may_be_new` is asked whether its namespace may be told apart, if it is not yet.
    pub(crate) fn decided(&self, decided: Decided<'_>, may_be_new: impl FnOnce() -> bool) {
        let mut numbers = self.numbers();
        *numbers.decisions.entry((decided.decision, decided.reason)).or_default() += 1;
        match decided.decision {
            "deny" => numbers.namespaces.entry(decided.namespace, may_be_new).denied += 1,
            "inject" if !decided.injection_type.is_empty() => {
                let counts = numbers.namespaces.entry(decided.namespace, may_be_new);
                *counts.injected.entry(decided.injection_type).or_default() += 1;
            }
            _ => {}
        }
    }

    /// A review made us panic.
    pub(crate) fn panicked(&self) {
        self.numbers().panics += 1;
    }

    /// A review begins.
    pub(crate) fn request_begins(&self) {
        self.numbers().queue += 1;
    }

    /// A request for a review ended; `took` is how long the decision took, if there was one.
    pub(crate) fn request_ends(&self, took: Option<Duration>) {
        let mut numbers = self.numbers();
        numbers.queue = numbers.queue.saturating_sub(1);
        let Some(took) = took else { return };
        numbers.requests_ms.observe(took.as_secs_f64() * 1000.0);
        numbers.requests_seconds.observe(took.as_secs_f64());
    }

    /// An answer of any kind was made.
    pub(crate) fn responded(&self, status: u16) {
        *self.numbers().responses.entry(status).or_default() += 1;
    }

    /// Everything, for a scraper. Figures of the process that are not known are left out.
    pub(crate) fn text(&self, process: &ProcessFigures) -> String {
        let numbers = self.numbers();
        let mut out = Text(String::with_capacity(4096));
        out.head("vault_agent_injector_request_queue_length", "gauge", "Reviews in progress");
        out.sample("vault_agent_injector_request_queue_length", &[], numbers.queue);
        out.histogram(
            "vault_agent_injector_request_processing_duration_ms",
            "Time per decided review in milliseconds",
            &numbers.requests_ms,
        );
        out.counters(
            "vault_agent_injector_injections_by_namespace_total",
            "Injections by namespace and kind",
            numbers.namespaces.all().flat_map(|(namespace, counts)| {
                let labels = move |kind| vec![("namespace", namespace), ("injection_type", kind)];
                counts.injected.iter().map(move |(kind, count)| (labels(*kind), *count))
            }),
        );
        out.counters(
            "vault_agent_injector_failed_injections_by_namespace_total",
            "Denials by namespace",
            numbers
                .namespaces
                .all()
                .filter(|(_, counts)| counts.denied > 0)
                .map(|(namespace, counts)| (vec![("namespace", namespace)], counts.denied)),
        );
        out.counters(
            "vault_injector_decisions_total",
            "Decisions by reason",
            numbers.decisions.iter().map(|((decision, reason), count)| {
                (vec![("decision", *decision), ("reason", *reason)], *count)
            }),
        );
        out.histogram(
            "vault_injector_request_duration_seconds",
            "Time per decided review in seconds",
            &numbers.requests_seconds,
        );
        let codes: Vec<(String, u64)> =
            numbers.responses.iter().map(|(code, count)| (code.to_string(), *count)).collect();
        out.counters(
            "vault_injector_http_responses_total",
            "Answers by HTTP status",
            codes.iter().map(|(code, count)| (vec![("code", code.as_str())], *count)),
        );
        out.head("vault_injector_connections", "gauge", "Open connections");
        out.sample("vault_injector_connections", &[], numbers.connections);
        let name = "vault_injector_connections_cut_total";
        out.head(name, "counter", "Connections of clients that were sent away to make room");
        out.sample(name, &[], numbers.cuts);
        let name = "vault_injector_handshake_failures_total";
        out.head(name, "counter", "Connections without a TLS session");
        out.sample(name, &[], numbers.handshake_failures);
        out.head("vault_injector_panics_total", "counter", "Bugs that were hit");
        out.sample("vault_injector_panics_total", &[], numbers.panics);
        if let Some(end) = numbers.certificate_ends {
            let name = "vault_injector_certificate_expiration_timestamp_seconds";
            out.head(name, "gauge", "When the served certificate expires, as Unix time");
            out.sample(name, &[], end);
        }
        out.keeping(&numbers);
        out.head("vault_injector_build_info", "gauge", "Always 1");
        out.sample("vault_injector_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        out.process(process);
        out.0
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        // A counter is never half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often values were at most so large.
#[derive(Debug)]
struct Histogram {
    bounds: &'static [f64],
    /// One per bound, each without the ones below, and one for the rest.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    fn observe(&mut self, value: f64) {
        let place = self.bounds.iter().take_while(|bound| value > **bound).count();
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        self.sum += value;
    }
}

/// The text form. Writing to a `String` cannot fail, so results are dropped.
struct Text(String);

type Labels<'a> = [(&'a str, &'a str)];

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _infallible = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &Labels<'_>, value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            self.0.push(if i == 0 { '{' } else { ',' });
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _infallible = write!(self.0, "{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _infallible = writeln!(self.0, " {value}");
    }

    /// What certificates that keep themselves tell; nothing where there are none.
    fn keeping(&mut self, numbers: &Numbers) {
        let Some(bundle) = numbers.bundle else { return };
        let name = "vault_injector_ca_bundle";
        self.head(name, "gauge", "1 for what the caBundle is as to our CA");
        for state in BUNDLE_STATES {
            self.sample(name, &[("state", state)], u64::from(*state == bundle));
        }
        let name = "vault_injector_ca_bundle_patches_total";
        self.head(name, "counter", "Patches of the caBundle");
        self.sample(name, &[], numbers.bundle_patches);
        if let Some(end) = numbers.ca_ends {
            let name = "vault_injector_ca_expiration_timestamp_seconds";
            self.head(name, "gauge", "When the CA that signs expires, as Unix time");
            self.sample(name, &[], end);
        }
        self.head(
            "vault_injector_is_leader",
            "gauge",
            "Whether this replica keeps CA and caBundle",
        );
        self.sample("vault_injector_is_leader", &[], u64::from(numbers.leads));
        self.counters(
            "vault_injector_certificate_rotations_total",
            "New certificates and changed CAs",
            numbers.rotations.iter().map(|(what, count)| (vec![("what", *what)], *count)),
        );
        self.counters(
            "vault_injector_kubernetes_errors_total",
            "Failed requests to the API server",
            numbers.kubernetes_failures.iter().map(|(what, count)| (vec![("what", *what)], *count)),
        );
    }

    /// A counter with labels; absent while it has no samples.
    fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (Vec<(&'a str, &'a str)>, u64)>,
    ) {
        let mut samples = samples.peekable();
        if samples.peek().is_some() {
            self.head(name, "counter", help);
        }
        for (labels, count) in samples {
            self.sample(name, &labels, count);
        }
    }

    /// Names and words of Prometheus' own clients.
    fn process(&mut self, process: &ProcessFigures) {
        for (name, kind, help, value) in [
            (
                "process_cpu_seconds_total",
                "counter",
                "Total user and system CPU time spent in seconds.",
                process.cpu_seconds,
            ),
            (
                "process_max_fds",
                "gauge",
                "Maximum number of open file descriptors.",
                process.max_fds,
            ),
            ("process_open_fds", "gauge", "Number of open file descriptors.", process.open_fds),
            (
                "process_resident_memory_bytes",
                "gauge",
                "Resident memory size in bytes.",
                process.resident_bytes,
            ),
            (
                "process_start_time_seconds",
                "gauge",
                "Start time of the process since unix epoch in seconds.",
                process.start_seconds,
            ),
            (
                "process_virtual_memory_bytes",
                "gauge",
                "Virtual memory size in bytes.",
                process.virtual_bytes,
            ),
        ] {
            let Some(value) = value else { continue };
            self.head(name, kind, help);
            // The format spells infinity with a sign.
            let text = if value.is_infinite() { "+Inf".to_owned() } else { value.to_string() };
            self.sample(name, &[], text);
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut total = 0;
        let bounds = histogram.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&histogram.counts) {
            total += count;
            self.sample(&bucket, &[("le", &bound)], total);
        }
        self.sample(&format!("{name}_sum"), &[], histogram.sum);
        self.sample(&format!("{name}_count"), &[], total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inject<'a>(namespace: &'a str, injection_type: &'static str) -> Decided<'a> {
        Decided { decision: "inject", reason: "injected", namespace, injection_type }
    }

    fn deny(namespace: &str) -> Decided<'_> {
        Decided { decision: "deny", reason: "x", namespace, injection_type: "" }
    }

    #[test]
    fn keeps_the_names_labels_and_buckets_of_vault_k8s() {
        let metrics = Metrics::new(100);
        metrics.request_begins();
        metrics.request_begins();
        metrics.request_ends(Some(Duration::from_millis(30)));
        metrics.decided(inject("web", "init_only"), || true);
        metrics.decided(deny(""), || true);
        let text = metrics.text(&ProcessFigures::default());
        for line in [
            "vault_agent_injector_request_queue_length 1",
            "vault_agent_injector_request_processing_duration_ms_bucket{le=\"25\"} 0",
            "vault_agent_injector_request_processing_duration_ms_bucket{le=\"50\"} 1",
            "vault_agent_injector_request_processing_duration_ms_bucket{le=\"10000\"} 1",
            "vault_agent_injector_request_processing_duration_ms_bucket{le=\"+Inf\"} 1",
            "vault_agent_injector_request_processing_duration_ms_sum 30",
            "vault_agent_injector_request_processing_duration_ms_count 1",
            "vault_agent_injector_injections_by_namespace_total{namespace=\"web\",injection_type=\"init_only\"} 1",
            "vault_agent_injector_failed_injections_by_namespace_total{namespace=\"\"} 1",
            "vault_injector_decisions_total{decision=\"inject\",reason=\"injected\"} 1",
            "vault_injector_request_duration_seconds_bucket{le=\"0.00005\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    #[test]
    fn what_is_no_review_has_no_time() {
        let metrics = Metrics::new(100);
        metrics.request_begins();
        metrics.request_ends(None);
        let text = metrics.text(&ProcessFigures::default());
        for line in [
            "vault_agent_injector_request_queue_length 0",
            "vault_agent_injector_request_processing_duration_ms_count 0",
            "vault_injector_request_duration_seconds_count 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    #[test]
    fn tells_of_the_bundle_only_where_one_is_kept() {
        let metrics = Metrics::new(2);
        metrics.leads(true);
        let text = metrics.text(&ProcessFigures::default());
        assert!(!text.contains("ca_bundle") && !text.contains("is_leader"));
        metrics.bundle("absent");
        metrics.kubernetes_failed("CA");
        let text = metrics.text(&ProcessFigures::default());
        for line in [
            "vault_injector_ca_bundle{state=\"present\"} 0",
            "vault_injector_ca_bundle{state=\"absent\"} 1",
            "vault_injector_ca_bundle{state=\"unknown\"} 0",
            "vault_injector_is_leader 1",
            "vault_injector_kubernetes_errors_total{what=\"CA\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(!text.contains("ca_expiration"));
    }

    #[test]
    fn a_label_cannot_forge_a_line() {
        let metrics = Metrics::new(2);
        metrics.decided(inject("a\"\n\\", "init_only"), || true);
        assert!(
            metrics
                .text(&ProcessFigures::default())
                .contains("{namespace=\"a\\\"\\n\\\\\",injection_type=\"init_only\"} 1")
        );
    }

    #[test]
    fn figures_of_the_process_are_there_or_absent() {
        let metrics = Metrics::new(2);
        assert!(!metrics.text(&ProcessFigures::default()).contains("process_"));
        let figures = ProcessFigures {
            cpu_seconds: Some(0.25),
            max_fds: Some(f64::INFINITY),
            resident_bytes: Some(5_242_880.0),
            ..ProcessFigures::default()
        };
        let text = metrics.text(&figures);
        for line in [
            "process_cpu_seconds_total 0.25",
            "process_max_fds +Inf",
            "process_resident_memory_bytes 5242880",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(!text.contains("process_open_fds"));
    }
}
