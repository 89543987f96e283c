//! What operators see of it: one line per change, gauges, readiness.

use std::fmt;
use std::sync::Arc;

use super::Shared;
use crate::adapter::tls::TlsError;
use crate::base::report::OneLine;
use crate::domain::serving::Now;
use crate::domain::serving::ca::{Change, Leaf};
use crate::domain::serving::election::Role;
use crate::domain::serving::replica::{BundleState, Readiness, Replica};
use crate::run::webhook::certificate::date;
use crate::telemetry::health::{Health, Unready};
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;

/// What was told last.
pub(super) struct Telling {
    health: Arc<Health>,
    log: Log,
    metrics: Arc<Metrics>,
    elects: bool,
    role: Option<Role>,
    bundle: BundleState,
    is_alone: bool,
    is_fought: bool,
    readiness: Option<Readiness>,
}

impl Telling {
    pub(super) fn new(shared: &Shared, elects: bool) -> Self {
        Self {
            health: Arc::clone(&shared.health),
            log: shared.log,
            metrics: Arc::clone(&shared.metrics),
            elects,
            role: None,
            bundle: BundleState::Unknown,
            is_alone: false,
            is_fought: false,
            readiness: None,
        }
    }

    /// Everything that has changed.
    pub(super) fn tell(&mut self, replica: &mut Replica, now: Now) {
        self.tell_role(replica.role(now.mono));
        self.tell_bundle(replica, now);
        self.tell_readiness(replica.readiness(now));
        self.metrics.ca_ends(replica.signer(now).map(|ca| ca.not_after));
        let is_alone = replica.is_alone(now);
        if is_alone && !self.is_alone {
            self.log.info(
                "the CA is kept in memory and replaced with each start: no Secret can be used for it",
                &[("secret", &super::CA_SECRET)],
            );
        }
        self.is_alone = is_alone;
    }

    fn tell_role(&mut self, role: Role) {
        self.metrics.leads(role == Role::Leader);
        if self.elects && self.role != Some(role) {
            let word = match role {
                Role::Leader => "leader",
                Role::Follower => "follower",
                Role::OldFollower => "follower of vault-k8s",
            };
            self.log.info("role in the election", &[("role", &word)]);
        }
        self.role = Some(role);
    }

    fn tell_bundle(&mut self, replica: &Replica, now: Now) {
        let state = replica.bundle_state(now);
        self.metrics.bundle(match state {
            BundleState::Present => "present",
            BundleState::Absent => "absent",
            BundleState::Unknown => "unknown",
        });
        let is_fought = replica.is_fought();
        if is_fought && !self.is_fought {
            self.log.warn("somebody keeps removing our CA from the caBundle, putting it back", &[]);
        } else if (self.bundle, state) == (BundleState::Present, BundleState::Absent) && !is_fought
        {
            self.log.warn("our CA was removed from the caBundle, it will be put back", &[]);
        }
        self.bundle = state;
        self.is_fought = is_fought;
    }

    fn tell_readiness(&mut self, readiness: Readiness) {
        if self.readiness == Some(readiness) {
            return;
        }
        let unready = match readiness {
            Readiness::Ready | Readiness::ReadyUnproven => None,
            Readiness::Untrusted => Some(Unready::Untrusted),
            Readiness::Unshared => Some(Unready::Unshared),
        };
        self.health.trust(unready);
        match readiness {
            Readiness::ReadyUnproven => self.log.warn(
                "ready though our CA was not seen in the caBundle, which may be away for long",
                &[],
            ),
            Readiness::Unshared => self.log.warn(
                "not ready, vault-k8s leads and its certificate is not there yet",
                &[("secret", &super::LEAF_SECRET)],
            ),
            Readiness::Ready | Readiness::Untrusted => {}
        }
        self.readiness = Some(readiness);
    }

    /// A certificate is served from now on.
    pub(super) fn serving(&self, leaf: &Leaf) {
        self.health.certify(Some(leaf.not_after));
        self.metrics.certify(Some(leaf.not_after));
        self.metrics.rotated("certificate");
        let not_after = date(leaf.not_after);
        let fields: [(&str, &dyn fmt::Display); 3] =
            [("not_after", &not_after), ("sha256", &leaf.fingerprint), ("ca_sha256", &leaf.ca)];
        self.log.info("serving certificate", &fields);
    }

    /// The CAs of this place are others.
    pub(super) fn ca_changed(&self, change: Change, place: &str) {
        self.metrics.rotated("ca");
        let what = match change {
            Change::Create => "created",
            Change::Announce => "announced, it signs when API servers trust it",
            Change::Promote => "signs from now on",
        };
        self.log.info("CA changed", &[("place", &place), ("change", &what)]);
    }

    /// What the Secret had was of no use.
    pub(super) fn ca_replaced(&self, secret: &str, why: &str) {
        self.log.warn(
            "the content of the CA's Secret was of no use and has been replaced",
            &[("secret", &secret), ("reason", &why)],
        );
    }

    /// No CA or certificate could be made.
    pub(super) fn not_made(&self, error: &TlsError) {
        self.log.error("cannot make a certificate", &[("error", &OneLine(error))]);
    }
}
