//! A certificate that somebody trusts: what it says of when and for what it may be believed.
//!
//! A verifier of chains takes a trusted certificate as a name and a key and asks for nothing else. What Go's clients
//! ask of it besides is asked here, with the moment as an argument.

use std::fmt;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_cert::Version;
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};

use crate::base::time::Wall;

/// What decides whether a trusted certificate is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    /// Its subject, for people: short and printable.
    subject: String,
    /// Seconds since the epoch.
    not_before: i64,
    /// Seconds since the epoch.
    not_after: i64,
    /// Whether it may sign others: `basicConstraints` and `keyUsage`.
    pub(crate) can_sign: bool,
    /// Whether it calls itself a CA.
    is_ca: bool,
    /// Whether it may stand for servers: `extKeyUsage`.
    is_for_servers: bool,
}

/// Why a trusted certificate is not believed, with the certificate's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    subject: String,
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    /// Since these seconds since the epoch.
    Expired(i64),
    /// Before these seconds since the epoch.
    NotYet(i64),
    NotForServers,
    NotForSigning,
    Unreadable,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.subject)?;
        match self.reason {
            Reason::Expired(at) => write!(f, " expired at {}", moment(at)),
            Reason::NotYet(at) => write!(f, " is not valid before {}", moment(at)),
            Reason::NotForServers => f.write_str(" is not for servers by its extended key usage"),
            Reason::NotForSigning => f.write_str(" may not sign certificates by its key usage"),
            Reason::Unreadable => f.write_str(" cannot be read"),
        }
    }
}

/// Characters of a subject that a message shows.
const SUBJECT_CHARS_MAX: usize = 100;
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

impl Anchor {
    /// Reads a certificate. One whose parts cannot be read could not be asked what it is for.
    pub(crate) fn of_der(der: &[u8]) -> Result<Self, Flaw> {
        Self::read(der)
            .ok_or_else(|| Flaw { subject: "a certificate".to_owned(), reason: Reason::Unreadable })
    }

    fn read(der: &[u8]) -> Option<Self> {
        let certificate = CertificateInner::<Raw>::from_der(der).ok()?;
        let tbs = certificate.tbs_certificate();
        let constraints = tbs.get_extension::<BasicConstraints>().ok()?;
        let usage = tbs.get_extension::<KeyUsage>().ok()?;
        let extended = tbs.get_extension::<ExtendedKeyUsage>().ok()?;
        // Certificates before version 3 cannot say that they are a CA.
        let is_old = tbs.version() != Version::V3;
        let is_ca = constraints.map_or(is_old, |(_, constraints)| constraints.ca);
        let seconds = |at: x509_cert::time::Time| {
            i64::try_from(at.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        Some(Self {
            subject: shown(&tbs.subject().to_string()),
            not_before: seconds(tbs.validity().not_before),
            not_after: seconds(tbs.validity().not_after),
            can_sign: is_ca && usage.is_none_or(|(_, usage)| usage.key_cert_sign()),
            is_ca,
            is_for_servers: extended.is_none_or(|(_, usage)| {
                usage.0.iter().any(|usage| [SERVER_AUTH, ANY_USAGE].contains(usage))
            }),
        })
    }

    /// Why it is not believed at `now` at all, if it is not.
    pub(crate) fn flaw(&self, now: Wall) -> Option<Flaw> {
        let reason = match now.seconds() {
            _ if !self.is_for_servers => Reason::NotForServers,
            now if now < self.not_before => Reason::NotYet(self.not_before),
            now if now > self.not_after => Reason::Expired(self.not_after),
            _ => return None,
        };
        Some(Flaw { subject: self.subject.clone(), reason })
    }

    /// What keeps a CA from being one. It may be a server's own certificate all the same.
    pub(crate) fn flaw_of_ca(&self) -> Option<Flaw> {
        let reason = Reason::NotForSigning;
        (self.is_ca && !self.can_sign).then(|| Flaw { subject: self.subject.clone(), reason })
    }
}

fn moment(seconds: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok();
    moment.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{seconds} s"))
}

fn shown(subject: &str) -> String {
    let printable = subject.chars().map(|c| if c.is_control() { '?' } else { c });
    let text: String = printable.take(SUBJECT_CHARS_MAX).collect();
    if text.is_empty() { "a certificate without a subject".to_owned() } else { text }
}
