//! Whether the webhook should get requests.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// What readiness depends on.
#[derive(Debug)]
pub(crate) struct Health {
    is_draining: AtomicBool,
    /// When the served certificate expires, seconds since the epoch: 0 while there is none.
    certificate_ends: AtomicU64,
    /// Why it would not be believed: 0 for no reason, or [`Unready::code`].
    distrust: AtomicU8,
}

/// Why requests should go elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unready {
    /// The process is about to end.
    Draining,
    /// The certificate has expired.
    Expired,
    /// There is no certificate yet.
    Uncertified,
    /// A replica of vault-k8s leads and has left no certificate yet.
    Unshared,
    /// No `caBundle` with the certificate's CA was seen yet.
    Untrusted,
}

impl Unready {
    /// One line for whoever asks.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Draining => "shutting down",
            Self::Expired => "the certificate has expired",
            Self::Uncertified => "no certificate yet",
            Self::Unshared => {
                "vault-k8s leads the replicas, and its Secret vault-injector-certs has no certificate yet"
            }
            Self::Untrusted => "the caBundle of the webhook configuration lacks our CA so far",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Unshared => 2,
            Self::Untrusted => 1,
            Self::Draining | Self::Expired | Self::Uncertified => 0,
        }
    }
}

impl Health {
    /// Not draining, without a certificate.
    pub(crate) const fn new() -> Self {
        Self {
            is_draining: AtomicBool::new(false),
            certificate_ends: AtomicU64::new(0),
            distrust: AtomicU8::new(0),
        }
    }

    /// There is a certificate; `None` when its end is not known.
    pub(crate) fn certify(&self, not_after: Option<u64>) {
        self.certificate_ends.store(not_after.unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }

    /// Whether API servers believe the certificate, as far as we know; `None` when they do.
    pub(crate) fn trust(&self, reason: Option<Unready>) {
        self.distrust.store(reason.map_or(0, Unready::code), Ordering::Relaxed);
    }

    /// From now on requests should go elsewhere.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Whether [`Health::drain`] was called.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// `now` is seconds since the epoch.
    pub(crate) fn check(&self, now: u64) -> Result<(), Unready> {
        if self.is_draining() {
            return Err(Unready::Draining);
        }
        match self.certificate_ends.load(Ordering::Relaxed) {
            0 => Err(Unready::Uncertified),
            end if end < now => Err(Unready::Expired),
            _ => match self.distrust.load(Ordering::Relaxed) {
                0 => Ok(()),
                2 => Err(Unready::Unshared),
                _ => Err(Unready::Untrusted),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_ready_with_a_valid_certificate_until_it_drains() {
        let health = Health::new();
        assert_eq!(health.check(5), Err(Unready::Uncertified));
        health.certify(Some(5));
        assert_eq!(health.check(5), Ok(()));
        assert_eq!(health.check(6), Err(Unready::Expired));
        health.certify(None);
        assert_eq!(health.check(6), Ok(()));
        for reason in [Unready::Untrusted, Unready::Unshared] {
            health.trust(Some(reason));
            assert_eq!(health.check(6), Err(reason));
        }
        health.trust(None);
        assert_eq!(health.check(6), Ok(()));
        health.drain();
        assert_eq!(health.check(6), Err(Unready::Draining));
    }
}
