//! Requests to decisions, decisions to answers, log lines and metrics.

use std::cell::Cell;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, EXPECT, HeaderName, HeaderValue, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode};
use tokio::time::Instant;

use super::deciding::{Decider, Undecided};
use super::{Busy, now};
use crate::adapter::clock::Clock;
use crate::adapter::procfs;
use crate::adapter::server::{BodyError, Call, Event, Reply, Share};
use crate::domain::inject::{Decision, Verdict};
use crate::run::limits;
use crate::telemetry::burst::{Burst, PerAddress};
use crate::telemetry::health::Health;
use crate::telemetry::log::{Fields, Log};
use crate::telemetry::metrics::{self, Connection, Decided, Metrics};

/// What requests share.
pub(super) struct Webhook {
    pub(super) bursts: Bursts,
    pub(super) busy: Busy,
    pub(super) clock: Clock,
    pub(super) decider: Decider,
    pub(super) health: Arc<Health>,
    /// Whether the log has it that a client does not trust the certificate now served.
    pub(super) is_distrusted: Cell<bool>,
    pub(super) log: Log,
    pub(super) metrics: Arc<Metrics>,
    pub(super) telemetry_path: String,
}

/// The lines and metrics that anybody who reaches the port can cause.
pub(super) struct Bursts {
    crowded: Burst,
    cut: Burst,
    deaf: Burst,
    decided: PerAddress,
    handshake: Burst,
    new_namespaces: PerAddress,
    plain: Burst,
    refused: Burst,
}

impl Default for Bursts {
    fn default() -> Self {
        let few = || Burst::new(limits::LOG_LINES);
        let one = || Burst::new(limits::LOG_LINE);
        Self {
            crowded: one(),
            cut: one(),
            deaf: one(),
            decided: PerAddress::new(limits::LOG_DECISIONS),
            handshake: few(),
            new_namespaces: PerAddress::new(limits::METRIC_NEW_NAMESPACES),
            plain: few(),
            refused: few(),
        }
    }
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

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::new(error.status(), error.to_string())
    }
}

impl Webhook {
    pub(super) fn note(&self, event: Event) {
        self.busy.tick();
        match event {
            Event::AcceptFailed(error) => {
                // Repeats many times a second for as long as it lasts.
                if self.bursts.deaf.admit(self.clock.now()).is_some() {
                    self.log.error("cannot accept connections", &[("error", &error)]);
                }
            }
            Event::Closed => self.metrics.connection(Connection::Closed),
            Event::Cut(client) => {
                self.metrics.connection(Connection::Cut);
                self.warn_of("clients sent away to make room", &self.bursts.cut, client, &[]);
            }
            Event::Distrusted(client, error) => {
                self.metrics.connection(Connection::HandshakeFailed);
                // Clients that try again would fill the log.
                if !self.is_distrusted.replace(true) {
                    self.log.warn(
                        "a client does not trust the certificate: check the caBundle of the webhook \
                         configuration and the certificate's names",
                        &[("client", &client), ("error", &error)],
                    );
                }
            }
            Event::HandshakeFailed(client, error) => {
                self.metrics.connection(Connection::HandshakeFailed);
                let fields: Fields<'_> = &[("error", &error)];
                self.warn_of("TLS handshake failed", &self.bursts.handshake, client, fields);
            }
            Event::Opened => self.metrics.connection(Connection::Opened),
            Event::Plain(client) => {
                self.metrics.connection(Connection::HandshakeFailed);
                self.warn_of("plain HTTP refused", &self.bursts.plain, client, &[]);
            }
        }
    }

    /// A warning about a client; in a burst of them, the first ones.
    fn warn_of(&self, message: &str, burst: &Burst, client: SocketAddr, fields: Fields<'_>) {
        let Some(left_out) = burst.admit(self.clock.now()) else { return };
        let mut all: Vec<(&str, &dyn fmt::Display)> = vec![("client", &client)];
        all.extend(fields);
        if left_out > 0 {
            all.push(("left_out", &left_out));
        }
        self.log.warn(message, &all);
    }

    /// Answers one request.
    pub(super) async fn respond(self: Rc<Self>, mut call: Call) -> Reply {
        self.busy.tick();
        let mut reply = match call.head.uri.path() {
            "/mutate" => self.mutate(&mut call).await,
            "/health/live" => empty(StatusCode::NO_CONTENT),
            "/health/ready" => match self.health.check(now()) {
                Ok(()) => empty(StatusCode::NO_CONTENT),
                Err(unready) => {
                    plain(&Refusal::new(StatusCode::SERVICE_UNAVAILABLE, unready.text()))
                }
            },
            path if path == self.telemetry_path => {
                let text = self.metrics.text(&procfs::figures());
                typed(StatusCode::OK, metrics::CONTENT_TYPE, text.into())
            }
            _ => plain(&Refusal::new(StatusCode::NOT_FOUND, "404 page not found")),
        };
        let status = reply.status();
        // A client that asked first sends nothing when the answer is no.
        let asked_first = call.head.headers.contains_key(EXPECT);
        if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT && !asked_first {
            call.discard(limits::DISCARD_BYTES_MAX, limits::DISCARD_WITHIN).await;
        }
        if self.health.is_draining() {
            // Without it a busy client would keep this connection to the end.
            set(&mut reply, CONNECTION, "close");
        }
        self.metrics.responded(status.as_u16());
        self.log.debug(
            "request answered",
            &[
                ("client", &call.peer),
                ("method", &call.head.method),
                ("path", &call.head.uri.path()),
                ("status", &status.as_u16()),
            ],
        );
        reply
    }

    async fn mutate(&self, call: &mut Call) -> Reply {
        let timed =
            Timed { is_decided: Cell::new(false), metrics: &self.metrics, since: Instant::now() };
        self.metrics.request_begins();
        let refusal = match self.review(call, timed.since).await {
            Ok((answer, share)) => {
                timed.is_decided.set(true);
                return typed(StatusCode::OK, "application/json", Call::keep(answer, share));
            }
            Err(refusal) => refusal,
        };
        let status = refusal.status;
        let burst = match status {
            StatusCode::TOO_MANY_REQUESTS => &self.bursts.crowded,
            _ => &self.bursts.refused,
        };
        let fields: Fields<'_> = &[("status", &status.as_u16()), ("message", &refusal.message)];
        self.warn_of("review refused", burst, call.peer, fields);
        let mut reply = plain(&refusal);
        match status {
            StatusCode::METHOD_NOT_ALLOWED => set(&mut reply, ALLOW, "POST"),
            StatusCode::TOO_MANY_REQUESTS => set(&mut reply, RETRY_AFTER, limits::RETRY_AFTER),
            _ => {}
        }
        reply
    }

    async fn review(&self, call: &mut Call, since: Instant) -> Result<(Vec<u8>, Share), Refusal> {
        if call.head.method != Method::POST {
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "want POST"));
        }
        if !is_json(call.head.headers.get(CONTENT_TYPE)) {
            let message = "invalid content type, want application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let body = call.read(limits::REVIEW_BYTES_MAX, limits::REVIEW_WITHIN).await?;
        if body.bytes.is_empty() {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "empty request body"));
        }
        let (answer, share) =
            self.decider.decide(call, body).await.map_err(|undecided| match undecided {
                Undecided::NoReview(error) => {
                    Refusal::new(StatusCode::BAD_REQUEST, error.to_string())
                }
                Undecided::Panic => {
                    self.metrics.panicked();
                    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
                }
                Undecided::Room(error) => error.into(),
            })?;
        call.prove();
        self.tell(call.peer.ip().to_canonical(), &answer.decision, since.elapsed());
        Ok((answer.body, share))
    }

    /// One log line and the counters of a decision about a review of this address.
    fn tell(&self, address: IpAddr, decision: &Decision, took: Duration) {
        let word = match decision.verdict {
            Verdict::Deny => "deny",
            Verdict::Inject => "inject",
            Verdict::Skip => "skip",
        };
        let decided = Decided {
            decision: word,
            reason: decision.reason,
            namespace: &decision.namespace,
            injection_type: decision.injection_type,
        };
        let now = self.clock.now();
        let may_be_new = || self.bursts.new_namespaces.admit(address, now, 1.0).is_some();
        self.metrics.decided(decided, may_be_new);
        let took = format!("{}us", took.as_micros());
        let mut fields: Vec<(&str, &dyn fmt::Display)> = vec![
            ("namespace", &decision.namespace),
            ("name", &decision.name),
            ("uid", &decision.uid),
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
        // Nobody asked for anything, and some clusters send every pod here.
        if NOTHING_ASKED.contains(&decision.reason) {
            return self.log.debug("review decided", &fields);
        }
        let bytes = LINE_BYTES
            + [&decision.namespace, &decision.name, &decision.uid, &decision.message, &warnings]
                .map(String::len)
                .iter()
                .sum::<usize>();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Some(left_out) = self.bursts.decided.admit(address, now, bytes.into()) else { return };
        if left_out > 0 {
            fields.push(("left_out", &left_out));
        }
        self.log.info("review decided", &fields);
    }
}

/// Reasons of decisions about pods that asked for nothing.
const NOTHING_ASKED: [&str; 2] = ["not-annotated", "not-a-new-pod"];

/// Bytes of a line about a decision, but for its texts.
const LINE_BYTES: usize = 150;

/// Counts a review's time when it is decided, and its end also when the client breaks off.
struct Timed<'a> {
    is_decided: Cell<bool>,
    metrics: &'a Metrics,
    since: Instant,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        let took = self.is_decided.get().then(|| self.since.elapsed());
        self.metrics.request_ends(took);
    }
}

/// Whether a `Content-Type` is JSON's, with any parameters.
fn is_json(value: Option<&HeaderValue>) -> bool {
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

fn set(reply: &mut Reply, name: HeaderName, value: &'static str) {
    let _none_before = reply.headers_mut().insert(name, HeaderValue::from_static(value));
}

fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    reply
}

fn typed(status: StatusCode, kind: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    set(&mut reply, CONTENT_TYPE, kind);
    reply
}

/// One line of text.
fn plain(refusal: &Refusal) -> Reply {
    let body = format!("{}\n", refusal.message);
    let mut reply = typed(refusal.status, "text/plain; charset=utf-8", body.into());
    set(&mut reply, X_CONTENT_TYPE_OPTIONS, "nosniff");
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

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
