//! Requests to decisions, decisions to answers, log lines and metrics.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{Busy, now};
use crate::adapter::server::{Call, Event, Reply, discard_body, read_body};
use crate::domain::inject::{Decision, InjectConfig, Verdict, answer};
use crate::run::limits;
use crate::telemetry::health::Health;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::{self, Connection, Decided, Metrics};

/// What requests share.
pub(super) struct Webhook {
    /// Bytes of reviews that may still be kept.
    pub(super) budget: Semaphore,
    pub(super) busy: Busy,
    pub(super) health: Arc<Health>,
    pub(super) inject: InjectConfig,
    /// Whether the last try to accept a connection failed.
    pub(super) is_deaf: Cell<bool>,
    /// Whether the log has it that a client does not trust the certificate now served.
    pub(super) is_distrusted: Cell<bool>,
    pub(super) log: Log,
    pub(super) metrics: Arc<Metrics>,
    pub(super) telemetry_path: String,
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
    pub(super) fn note(&self, event: Event) {
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
    pub(super) async fn respond(self: Rc<Self>, call: Call) -> Reply {
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
