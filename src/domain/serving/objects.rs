//! Objects of the Kubernetes API with the few fields that we need, and why the API server refuses.
//!
//! What we do not model is kept: [`Stored`] has the whole text of an object and writes our fields into it, so
//! that an update takes nothing from anybody else.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::base::secret::SecretBytes;
use crate::base::time::Wall;

mod error;
mod stored;

pub use error::{KubeError, Target};
pub(crate) use stored::misread;
pub use stored::{Stored, encode_new};
use stored::{ca_bundle, or_default, secret_texts, secret_values};

/// Where the API server is and who we are: what Kubernetes puts into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// `KUBERNETES_SERVICE_HOST`: a name or an address, IPv6 without brackets.
    pub host: String,
    /// `KUBERNETES_SERVICE_PORT`
    pub port: String,
    /// The folder of `token`, `ca.crt` and `namespace`.
    pub service_account_dir: String,
}

/// Where Kubernetes mounts the service account.
pub const SERVICE_ACCOUNT_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A kind of object and its place in the API.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Empty for the core group.
    pub group: &'static str,
    /// `Secret`
    pub kind: &'static str,
    /// `secrets`
    pub plural: &'static str,
    /// Whether its objects live in namespaces.
    pub is_namespaced: bool,
}

impl Kind {
    const fn core(kind: &'static str, plural: &'static str, is_namespaced: bool) -> Self {
        Self { group: "", kind, plural, is_namespaced }
    }

    /// `v1` or `GROUP/v1`: everything that we use is in its first version.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { "v1".to_owned() } else { format!("{}/v1", self.group) }
    }

    /// The path of all objects of this kind, in `namespace` where they have one.
    pub fn path(&self, namespace: &str) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let (version, plural) = (self.api_version(), self.plural);
        match self.is_namespaced {
            true => format!("{root}/{version}/namespaces/{namespace}/{plural}"),
            false => format!("{root}/{version}/{plural}"),
        }
    }
}

/// A type of object.
pub trait Object: DeserializeOwned {
    /// Its place in the API.
    const KIND: &'static Kind;

    /// Its name and what else every object has.
    fn metadata(&self) -> &Metadata;
}

/// A type of object that we create and replace. Of members with members of their own only `metadata` and
/// `spec` keep what we do not model; all others are ours as a whole.
pub trait Owned: Object + Serialize {}

impl Owned for ConfigMap {}
impl Owned for KubeLease {}
impl Owned for KubeSecret {}

macro_rules! objects {
    ($($type:ident: $kind:expr;)*) => {$(
        impl Object for $type {
            const KIND: &'static Kind = &$kind;

            fn metadata(&self) -> &Metadata {
                &self.metadata
            }
        }
    )*};
}

objects! {
    ConfigMap: Kind::core("ConfigMap", "configmaps", true);
    KubeLease: Kind {
        group: "coordination.k8s.io",
        kind: "Lease",
        plural: "leases",
        is_namespaced: true,
    };
    KubeSecret: Kind::core("Secret", "secrets", true);
    Node: Kind::core("Node", "nodes", false);
    Pod: Kind::core("Pod", "pods", true);
    WebhookConfiguration: Kind {
        group: "admissionregistration.k8s.io",
        kind: "MutatingWebhookConfiguration",
        plural: "mutatingwebhookconfigurations",
        is_namespaced: false,
    };
}

/// `metadata`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Unique in its namespace.
    pub name: String,
    /// Empty for kinds without.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Never used twice; empty before the object is created.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The state that was read: an update of any other is a conflict. Empty before the object is created.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// When it was asked to go, while it is still there.
    #[serde(skip_serializing)]
    pub deletion_timestamp: Option<String>,
    /// Notes of anybody.
    #[serde(deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
    /// What it can be found by.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// The objects it goes away with.
    #[serde(deserialize_with = "or_default")]
    pub owner_references: Vec<OwnerReference>,
}

impl Metadata {
    /// Of an object that is to be created.
    pub fn named(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned(), ..Self::default() }
    }
}

/// An object that another one goes away with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// `v1`
    pub api_version: String,
    /// `Pod`
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid: a new object of the same name is another one.
    pub uid: String,
    /// As others wrote them; a reference is replaced as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    /// See `controller`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}

/// A `ConfigMap`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct ConfigMap {
    /// Holds the leader in its owner references.
    pub metadata: Metadata,
    /// Texts by key.
    #[serde(deserialize_with = "or_default")]
    pub data: BTreeMap<String, String>,
}

/// A `Secret`. Its values are wiped and do not show in `Debug`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct KubeSecret {
    /// Its name and more.
    pub metadata: Metadata,
    /// Values by key, without their base64.
    #[serde(deserialize_with = "secret_values", serialize_with = "secret_texts")]
    pub data: BTreeMap<String, SecretBytes>,
    /// `kubernetes.io/tls`, or empty for what the API server takes for want of one. It never changes.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// A `Lease` of `coordination.k8s.io`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct KubeLease {
    /// Its name and more.
    pub metadata: Metadata,
    /// Who holds it.
    pub spec: LeaseSpec,
}

/// `spec` of a `Lease`; whoever holds it writes all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaseSpec {
    /// The holder; absent or empty when it was given back.
    pub holder_identity: Option<String>,
    /// Seconds after which others may take it when it was not renewed.
    pub lease_duration_seconds: Option<i32>,
    /// When this holder took it, by the holder's clock.
    pub acquire_time: Option<MicroTime>,
    /// When this holder last renewed it, by the holder's clock.
    pub renew_time: Option<MicroTime>,
    /// How often the holder changed.
    pub lease_transitions: Option<i32>,
}

/// A `Pod`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// With the uid.
    pub metadata: Metadata,
    /// Where it runs.
    pub spec: PodSpec,
    /// How it is.
    pub status: PodStatus,
}

/// `spec` of a `Pod`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Empty before it is scheduled.
    pub node_name: String,
}

/// `status` of a `Pod`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    pub phase: String,
    /// `Evicted`, `Preempting` … of a failed one; mostly empty.
    pub reason: String,
}

/// A `Node`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its name and more.
    pub metadata: Metadata,
    /// How it is.
    pub status: NodeStatus,
}

impl Node {
    /// Whether its condition `Ready` is `True`; neither `False` nor `Unknown` is.
    pub fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|c| c.kind == "Ready" && c.status == "True")
    }
}

/// `status` of a `Node`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// One of each type.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<NodeCondition>,
}

/// One condition of a `Node`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeCondition {
    /// `Ready`, `DiskPressure` …
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

/// A `MutatingWebhookConfiguration`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WebhookConfiguration {
    /// Its name and more.
    pub metadata: Metadata,
    /// In the API server's order.
    #[serde(deserialize_with = "or_default")]
    pub webhooks: Vec<WebhookEntry>,
}

/// One webhook of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookEntry {
    /// `vault.hashicorp.com`
    pub name: String,
    /// How the API server reaches it.
    pub client_config: ClientConfig,
}

/// How an API server reaches a webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientConfig {
    /// PEM, without its base64; empty when there is none.
    #[serde(deserialize_with = "ca_bundle")]
    pub ca_bundle: Vec<u8>,
    /// Absent when there is a `url`.
    pub service: Option<ServiceReference>,
    /// `https://HOST[:PORT]/PATH`, for what is no Service.
    pub url: Option<String>,
}

/// The Service in front of a webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServiceReference {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A JSON patch (RFC 6902) as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch(pub(crate) String);

impl WebhookConfiguration {
    /// Sets the CA bundle (PEM) of the webhooks with these places in the list. Fails as a conflict when
    /// anybody changed the configuration since it was read, so that places and bundles are still right.
    pub fn ca_patch(&self, bundles: &[(usize, Vec<u8>)]) -> Patch {
        let version = &self.metadata.resource_version;
        let mut operations =
            vec![json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version })];
        operations.extend(bundles.iter().map(|(place, bundle)| {
            json!({
                "op": "add",
                "path": format!("/webhooks/{place}/clientConfig/caBundle"),
                "value": BASE64_STANDARD.encode(bundle),
            })
        }));
        Patch(serde_json::Value::from(operations).to_string())
    }
}

/// Microseconds since 1970, written as Kubernetes' `MicroTime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MicroTime(pub i64);

impl From<Wall> for MicroTime {
    fn from(wall: Wall) -> Self {
        Self(wall.0.saturating_mul(1000))
    }
}

impl<'de> Deserialize<'de> for MicroTime {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(D::Error::custom)?;
        let micros = time.unix_timestamp_nanos().div_euclid(1000);
        i64::try_from(micros).map(Self).map_err(D::Error::custom)
    }
}

impl Serialize for MicroTime {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Exactly six digits: what API servers read and write.
        let form = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"
        );
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000);
        let text = time.map_err(S::Error::custom)?.format(form).map_err(S::Error::custom)?;
        to.serialize_str(&text)
    }
}

#[cfg(test)]
mod tests;
