//! Keeps the served certificate fresh.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::sleep;

use super::requests::Webhook;
use super::{Certificate, now};
use crate::adapter::tls::{CertifiedKey, Files, SelfSigned, Served, Source, TlsError};
use crate::base::report::OneLine;
use crate::run::limits;
use crate::telemetry::health::Unready;

/// What a machine calls itself.
pub(super) fn own_names() -> Vec<String> {
    ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec()
}

/// Where certificates come from that nobody else hands over.
pub(super) fn source_of(certificate: Certificate) -> Result<Option<Source>, TlsError> {
    Ok(Some(match certificate {
        Certificate::Automatic => return Ok(None),
        Certificate::Files { certificate, key } => {
            Source::Files(Files::new(certificate, key, limits::FILE_BYTES_MAX))
        }
        Certificate::SelfSigned { mut hosts } => {
            if hosts.is_empty() {
                hosts = own_names();
            }
            Source::SelfSigned(Box::new(SelfSigned::new(hosts, now())?))
        }
    }))
}

/// Keeps the served certificate fresh.
pub(super) struct Keeper {
    /// `None` where another thread replaces what is served.
    source: Option<Source>,
    served: Arc<Served>,
    seen: Option<Arc<CertifiedKey>>,
    webhook: Rc<Webhook>,
    /// Whether the log has it that the certificate has expired.
    is_expired: bool,
    /// The trouble that was last written to the log.
    told: Option<String>,
}

impl Keeper {
    pub(super) const fn new(
        source: Option<Source>,
        served: Arc<Served>,
        webhook: Rc<Webhook>,
    ) -> Self {
        Self { source, served, seen: None, webhook, is_expired: false, told: None }
    }

    pub(super) async fn keep(mut self) {
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
    pub(super) fn tell_when_expired(&mut self) {
        let is_expired = self.webhook.health.check(now()) == Err(Unready::Expired);
        if is_expired && !self.is_expired {
            self.webhook.log.error("certificate expired, not ready until there is a new one", &[]);
        }
        self.is_expired = is_expired;
    }

    pub(super) fn look(&mut self) -> Result<(), TlsError> {
        let Some(source) = &mut self.source else {
            let current = self.served.current();
            if !is_same(self.seen.as_ref(), current.as_ref()) {
                self.webhook.is_distrusted.set(false);
                self.seen = current;
            }
            return Ok(());
        };
        let Some(material) = source.poll(now())? else { return Ok(()) };
        self.served.replace(&material);
        self.webhook.is_distrusted.set(false);
        self.webhook.health.certify(material.not_after);
        self.webhook.metrics.certify(material.not_after);
        let not_after = material.not_after.map_or_else(|| "unknown".to_owned(), date);
        let ca = source.ca_fingerprint().unwrap_or_default();
        let mut fields: Vec<(&str, &dyn fmt::Display)> =
            vec![("not_after", &not_after), ("sha256", &material.fingerprint)];
        if !ca.is_empty() {
            fields.push(("ca_sha256", &ca));
        }
        self.webhook.log.info("serving certificate", &fields);
        Ok(())
    }
}

fn is_same<T>(a: Option<&Arc<T>>, b: Option<&Arc<T>>) -> bool {
    a.zip(b).is_some_and(|(a, b)| Arc::ptr_eq(a, b))
}

/// `2026-04-19T08:13:33Z`
pub(super) fn date(seconds: u64) -> String {
    use time::format_description::well_known::Rfc3339;
    let moment = i64::try_from(seconds).ok();
    let moment = moment.and_then(|s| time::OffsetDateTime::from_unix_timestamp(s).ok());
    moment.and_then(|m| m.format(&Rfc3339).ok()).unwrap_or_default()
}
