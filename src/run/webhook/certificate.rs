//! Keeps the served certificate fresh.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::sleep;

use super::requests::Webhook;
use super::{Certificate, now};
use crate::adapter::tls::{Files, SelfSigned, Served, Source, TlsError};
use crate::base::report::OneLine;
use crate::run::limits;
use crate::telemetry::health::Unready;

pub(super) fn source_of(certificate: Certificate) -> Result<Source, TlsError> {
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

/// Keeps the served certificate fresh.
pub(super) struct Keeper {
    source: Source,
    served: Arc<Served>,
    webhook: Rc<Webhook>,
    /// Whether the log has it that the certificate has expired.
    is_expired: bool,
    /// The trouble that was last written to the log.
    told: Option<String>,
}

impl Keeper {
    pub(super) const fn new(source: Source, served: Arc<Served>, webhook: Rc<Webhook>) -> Self {
        Self { source, served, webhook, is_expired: false, told: None }
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
