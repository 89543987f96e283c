//! What passes between a replica and the world: what to do, what came of it, how it is.

use super::super::Trouble;
use super::super::bundle::Entry;
use super::super::ca::{Authority, Change, Leaf, Shelf};
use super::super::election::{Ask, Elector, Heard};
use crate::base::time::Mono;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a CA of this process new, or let the next one sign.
    ChangeOwn(Change),
    /// Something of the election.
    Lock(Ask),
    /// Write these certificates, by fingerprint, into the bundles of the entries with these places.
    Patch(Vec<(usize, Vec<String>)>),
    /// Read our entries of the webhook configuration.
    ReadBundle,
    /// Read the shared CAs.
    ReadCa,
    /// Read the leaf that a replica of vault-k8s shares.
    ReadShared,
    /// Serve the leaf that a replica of vault-k8s shares.
    ServeShared,
    /// Serve a new leaf of the CA with this fingerprint.
    Sign(String),
    /// Nothing before then, unless something comes from outside.
    Wait(Mono),
    /// Change the shared CAs, as they were last read.
    WriteCa(Change),
    /// Share our leaf with replicas of vault-k8s.
    WriteShared,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Our entries as they are now; after a patch, as it left them.
    Bundle(Result<Vec<Entry>, Trouble>),
    /// The shared CAs as they are now. Content that cannot be used is an empty shelf.
    Ca(Result<Shelf, Trouble>),
    /// This is served now; `None` when it could not be made.
    Leaf(Option<Leaf>),
    /// Of the election.
    Lock(Heard),
    /// The CAs of this process as they are now; `None` when none could be made.
    Own(Option<Shelf>),
    /// The leaf that a replica of vault-k8s shares, if it is one.
    Shared(Result<Option<Leaf>, Trouble>),
    /// Our leaf is shared.
    SharedWritten(Result<(), Trouble>),
}

/// What there is to care for.
#[derive(Clone, Debug)]
pub enum Duty {
    /// Only that these CAs, of a file, are in the bundle.
    Bundle(Vec<Authority>),
    /// CA, leaf and bundle.
    Everything {
        /// The CAs of this process.
        own: Shelf,
        /// What is served from the start, by the current one of `own`.
        leaf: Leaf,
        /// `None` where every replica leads.
        elector: Option<Box<Elector>>,
    },
}

/// Whether requests should come, as far as trust goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// API servers believe the certificate, or can not be asked.
    Ready,
    /// Waited long enough for the `caBundle`.
    ReadyUnproven,
    /// The CA of the certificate was not yet seen in the `caBundle`.
    Untrusted,
    /// A replica of vault-k8s leads, and there is no certificate of its to serve.
    Unshared,
}

/// The state of the `caBundle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleState {
    /// The CA of what is served is in the bundle of each of our entries.
    Present,
    /// It is not.
    Absent,
    /// The configuration was never read.
    Unknown,
}
