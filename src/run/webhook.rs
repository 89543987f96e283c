//! The webhook as a process: options to a server, requests to decisions, decisions to log and metrics.
//!
//! All of it runs on one thread. A decision is a short computation on the connection's own task; a panic
//! in it becomes an HTTP 500, so that the API server applies its own `failurePolicy`.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use tokio::sync::{Notify, Semaphore};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use crate::adapter::allocator;
use crate::adapter::clock::Clock;
use crate::adapter::net::{EndSignal, EndSignals, listen, race};
use crate::adapter::server::{Call, Event, Reply, discard_body, read_body, serve};
use crate::adapter::tls::{Files, Offer, SelfSigned, Served, Source, TlsError};
use crate::base::report::OneLine;
use crate::domain::inject::{Decision, InjectConfig, Verdict, answer};
use crate::domain::serving::objects::Cluster;
use crate::run::limits;
use crate::telemetry::health::{Health, Unready};
use crate::telemetry::log::Log;
use crate::telemetry::metrics::{self, Connection, Decided, Metrics};

/// What the webhook needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where the serving certificate comes from.
    pub(crate) certificate: Certificate,
    /// TLS 1.2 cipher suites by name, empty for all.
    pub(crate) cipher_suites: Vec<String>,
    /// The API server, if there is one to speak to.
    pub(crate) cluster: Option<Cluster>,
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

/// Whether these cipher suites can be offered.
pub(crate) fn check_cipher_suites(names: &[String]) -> Result<(), impl std::error::Error + use<>> {
    Offer::new(false, names).map(|_offer| ())
}

/// Serves until SIGTERM or SIGINT, and then until what had begun is answered.
pub(crate) fn run(config: Config, log: Log) -> Result<(), WebhookError> {
    tell_panics_by_place(log);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(WebhookError::Start)?;
    LocalSet::new().block_on(&runtime, run_here(config, log))
}

async fn run_here(config: Config, log: Log) -> Result<(), WebhookError> {
    let mut signals = EndSignals::catch().map_err(WebhookError::Start)?;
    let offer = Offer::new(config.tls13_only, &config.cipher_suites).map_err(WebhookError::Tls)?;
    let source = source_of(config.certificate).map_err(WebhookError::Tls)?;
    let webhook = Rc::new(Webhook {
        budget: Semaphore::new(limits::REVIEWS_BYTES_MAX),
        busy: Busy::default(),
        health: Health::new(),
        inject: config.inject,
        is_deaf: Cell::new(false),
        is_distrusted: Cell::new(false),
        log,
        metrics: Metrics::new(limits::METRIC_NAMESPACES_MAX),
        telemetry_path: config.telemetry_path,
    });
    let served = Arc::new(Served::default());
    let mut keeper = Keeper {
        source,
        served: Arc::clone(&served),
        webhook: Rc::clone(&webhook),
        is_expired: false,
        told: None,
    };
    keeper.look().map_err(WebhookError::Tls)?;
    keeper.tell_when_expired();
    let tls = offer.server_config(served).map_err(WebhookError::Tls)?;
    let listener = listen(&config.listen)
        .map_err(|source| WebhookError::Listen { address: config.listen, source })?;
    let address = listener.local_addr().map_err(WebhookError::Start)?;
    log.info("listening", &[("address", &address)]);

    let _keeps_on = tokio::task::spawn_local(keeper.keep());
    let _trims = tokio::task::spawn_local(trim_when_idle(Rc::clone(&webhook)));
    let watcher = Rc::clone(&webhook);
    let tell: Rc<dyn Fn(Event)> = Rc::new(move |event| watcher.note(event));
    let handler = Rc::clone(&webhook);
    let handle = move |call| Rc::clone(&handler).respond(call);
    let end = end(&mut signals, &webhook);
    let is_drained = serve(listener, Arc::new(tls), limits::SERVER, end, tell, handle).await;
    if is_drained {
        log.info("stopped, every request was answered", &[]);
    } else {
        log.warn("stopped with requests unanswered, the drain limit was reached", &[]);
    }
    Ok(())
}

/// Waits for a signal. After Kubernetes' own, requests are still taken for a while, unless a second
/// signal comes.
async fn end(signals: &mut EndSignals, webhook: &Webhook) {
    let signal = signals.next().await;
    webhook.health.drain();
    webhook.log.info("shutting down", &[("signal", &signal.name())]);
    if signal == EndSignal::Terminate {
        let _either = race(signals.next(), sleep(limits::LAME_DUCK)).await;
    }
}

fn source_of(certificate: Certificate) -> Result<Source, TlsError> {
    Ok(match certificate {
        Certificate::Files { certificate, key } => {
            Source::Files(Files::new(certificate, key, limits::FILE_BYTES_MAX))
        }
        Certificate::SelfSigned { mut hosts } => {
            if hosts.is_empty() {
                hosts = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
            }
            Source::SelfSigned(Box::new(SelfSigned::new(hosts, now())?))
        }
    })
}

/// Wall-clock time in seconds since the epoch.
fn now() -> u64 {
    u64::try_from(Clock::start().wall().seconds()).unwrap_or_default()
}

/// Keeps the served certificate fresh.
struct Keeper {
    source: Source,
    served: Arc<Served>,
    webhook: Rc<Webhook>,
    /// Whether the log has it that the certificate has expired.
    is_expired: bool,
    /// The trouble that was last written to the log.
    told: Option<String>,
}

impl Keeper {
    async fn keep(mut self) {
        loop {
            sleep(limits::CERTIFICATE_LOOK).await;
            let trouble = self.look().err().map(|error| OneLine(&error).to_string());
            if let Some(error) = trouble.as_ref().filter(|_| trouble != self.told) {
                let fields: [(&str, &dyn fmt::Display); 1] = [("error", error)];
                self.webhook.log.warn("certificate not replaced, serving the old one", &fields);
            }
            self.told = trouble;
            self.tell_when_expired();
        }
    }

    /// Once for each certificate: from then on this replica is not ready.
    fn tell_when_expired(&mut self) {
        let is_expired = self.webhook.health.check(now()) == Err(Unready::Expired);
        if is_expired && !self.is_expired {
            self.webhook.log.error("certificate expired, not ready until there is a new one", &[]);
        }
        self.is_expired = is_expired;
    }

    fn look(&mut self) -> Result<(), TlsError> {
        let Some(material) = self.source.poll(now())? else { return Ok(()) };
        self.served.replace(&material);
        self.webhook.is_distrusted.set(false);
        self.webhook.health.certify(material.not_after);
        self.webhook.metrics.certify(material.not_after);
        let not_after = material.not_after.map_or_else(|| "unknown".to_owned(), date);
        let ca = self.source.ca_fingerprint().unwrap_or_default();
        let mut fields: Vec<(&str, &dyn fmt::Display)> =
            vec![("not_after", &not_after), ("sha256", &material.fingerprint)];
        if !ca.is_empty() {
            fields.push(("ca_sha256", &ca));
        }
        self.webhook.log.info("serving certificate", &fields);
        Ok(())
    }
}

/// `2026-04-19T08:13:33Z`
fn date(seconds: u64) -> String {
    use time::format_description::well_known::Rfc3339;
    let moment = i64::try_from(seconds).ok();
    let moment = moment.and_then(|s| time::OffsetDateTime::from_unix_timestamp(s).ok());
    moment.and_then(|m| m.format(&Rfc3339).ok()).unwrap_or_default()
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

/// What requests share.
struct Webhook {
    /// Bytes of reviews that may still be kept.
    budget: Semaphore,
    busy: Busy,
    health: Health,
    inject: InjectConfig,
    /// Whether the last try to accept a connection failed.
    is_deaf: Cell<bool>,
    /// Whether the log has it that a client does not trust the certificate now served.
    is_distrusted: Cell<bool>,
    log: Log,
    metrics: Metrics,
    telemetry_path: String,
}

/// An answer that is no review.
struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl Webhook {
    fn note(&self, event: Event) {
        self.busy.tick();
        match event {
            Event::AcceptFailed(error) => {
                // Repeats several times a second for as long as it lasts.
                if !self.is_deaf.replace(true) {
                    self.log.error("cannot accept connections", &[("error", &error)]);
                }
            }
            Event::Closed => self.metrics.connection(Connection::Closed),
            Event::Distrusted(error) => {
                self.metrics.connection(Connection::HandshakeFailed);
                // Clients that try again would fill the log.
                if !self.is_distrusted.replace(true) {
                    self.log.warn(
                        "a client does not trust the certificate: check the caBundle of the webhook \
                         configuration and the certificate's names",
                        &[("error", &error)],
                    );
                }
            }
            Event::HandshakeFailed(error) => {
                self.metrics.connection(Connection::HandshakeFailed);
                self.log.debug("TLS handshake failed", &[("error", &error)]);
            }
            Event::Opened => {
                self.is_deaf.set(false);
                self.metrics.connection(Connection::Opened);
            }
            Event::Plain => {
                self.metrics.connection(Connection::HandshakeFailed);
                self.log.debug("plain HTTP refused", &[]);
            }
        }
    }

    /// Answers one request.
    async fn respond(self: Rc<Self>, call: Call) -> Reply {
        self.busy.tick();
        let (head, mut body) = call.into_parts();
        let mut reply = match head.uri.path() {
            "/mutate" => self.mutate(&head, &mut body).await,
            "/health/live" => empty(StatusCode::NO_CONTENT),
            "/health/ready" => match self.health.check(now()) {
                Ok(()) => empty(StatusCode::NO_CONTENT),
                Err(unready) => {
                    plain(&Refusal::new(StatusCode::SERVICE_UNAVAILABLE, unready.text()))
                }
            },
            path if path == self.telemetry_path => {
                typed(StatusCode::OK, metrics::CONTENT_TYPE, self.metrics.text().into())
            }
            _ => plain(&Refusal::new(StatusCode::NOT_FOUND, "404 page not found")),
        };
        let status = reply.status();
        if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT {
            discard_body(&mut body, limits::DISCARD_BYTES_MAX, limits::DISCARD_WITHIN).await;
        }
        if self.health.is_draining() {
            // Without it a busy client would keep this connection to the end.
            let _none_before =
                reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.metrics.responded(status.as_u16());
        self.log.debug(
            "request answered",
            &[("method", &head.method), ("path", &head.uri.path()), ("status", &status.as_u16())],
        );
        reply
    }

    async fn mutate(&self, head: &Parts, body: &mut Incoming) -> Reply {
        let timed = Timed { metrics: &self.metrics, since: Instant::now() };
        self.metrics.request_begins();
        match self.review(head, body, timed.since).await {
            Ok(answer) => typed(StatusCode::OK, "application/json", answer.into()),
            Err(refusal) => {
                self.log.warn(
                    "review refused",
                    &[("status", &refusal.status.as_u16()), ("message", &refusal.message)],
                );
                let mut reply = plain(&refusal);
                if refusal.status == StatusCode::METHOD_NOT_ALLOWED {
                    let _none_before =
                        reply.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                }
                reply
            }
        }
    }

    async fn review(
        &self,
        head: &Parts,
        body: &mut Incoming,
        since: Instant,
    ) -> Result<Vec<u8>, Refusal> {
        if head.method != Method::POST {
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "want POST"));
        }
        if !is_json(head.headers.get(CONTENT_TYPE)) {
            let message = "invalid content type, want application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let max = limits::REVIEW_BYTES_MAX;
        let body = read_body(body, max, &self.budget, limits::REVIEW_WITHIN)
            .await
            .map_err(|error| Refusal::new(error.status(), error.to_string()))?;
        if body.bytes.is_empty() {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "empty request body"));
        }
        let answer = match contain(|| answer(&body.bytes, &self.inject)) {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => {
                return Err(Refusal::new(StatusCode::BAD_REQUEST, error.to_string()));
            }
            None => {
                self.metrics.panicked();
                return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error"));
            }
        };
        self.tell(&answer.decision, since.elapsed());
        Ok(answer.body)
    }

    /// One log line and the counters of a decision.
    fn tell(&self, decision: &Decision, took: Duration) {
        let word = match decision.verdict {
            Verdict::Deny => "deny",
            Verdict::Inject => "inject",
            Verdict::Skip => "skip",
        };
        self.metrics.decided(Decided {
            decision: word,
            reason: decision.reason,
            namespace: &decision.namespace,
            injection_type: decision.injection_type,
        });
        let took = format!("{}us", took.as_micros());
        let mut fields: Vec<(&str, &dyn fmt::Display)> = vec![
            ("namespace", &decision.namespace),
            ("name", &decision.name),
            ("decision", &word),
            ("reason", &decision.reason),
            ("duration", &took),
        ];
        if decision.verdict == Verdict::Deny {
            fields.push(("message", &decision.message));
        }
        let warnings = decision.warnings.join("; ");
        if !warnings.is_empty() {
            fields.push(("warnings", &warnings));
        }
        self.log.info("review decided", &fields);
    }
}

/// Counts a review's time when it ends, also when the client breaks off.
struct Timed<'a> {
    metrics: &'a Metrics,
    since: Instant,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.metrics.request_ends(self.since.elapsed());
    }
}

/// Runs `work`, `None` when it panics.
fn contain<T>(work: impl FnOnce() -> T) -> Option<T> {
    // What the work may leave half done is dropped with it: it only reads what it shares.
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// From now on a panic is one log line that names its place. Its message may hold what was computed on.
fn tell_panics_by_place(log: Log) {
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        log.error("panicked, this is a bug", &[("place", &place)]);
    }));
}

/// Whether a `Content-Type` is JSON's, with any parameters.
fn is_json(value: Option<&HeaderValue>) -> bool {
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    reply
}

fn typed(status: StatusCode, kind: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    let _none_before = reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

/// One line of text.
fn plain(refusal: &Refusal) -> Reply {
    let body = format!("{}\n", refusal.message);
    let mut reply = typed(refusal.status, "text/plain; charset=utf-8", body.into());
    let nosniff = HeaderValue::from_static("nosniff");
    let _none_before = reply.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_contained() {
        assert_eq!(contain(|| 7), Some(7));
        let none: Option<u8> = contain(|| panic!("hunter2"));
        assert_eq!(none, None);
    }

    #[test]
    fn json_may_have_parameters() {
        for (text, is) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/jsonp", false),
            ("text/plain; application/json", false),
        ] {
            assert_eq!(is_json(Some(&HeaderValue::from_static(text))), is, "{text}");
        }
        assert!(!is_json(None));
    }
}
