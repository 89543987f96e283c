//! The webhook's decision: an AdmissionReview and the configuration in, an answer out.
//!
//! `review` borrows what is needed from the body, `lists` bounds what that becomes, `annotations` holds the table of keys, `secrets` and
//! `token` read groups of them, `plan` decides and checks, `container`, `agent_json` and `patch` write.

mod agent_json;
pub mod annotations;
mod commands;
mod compile;
mod container;
mod decide;
mod doubts;
pub mod explain;
pub mod json_patch;
mod json_text;
mod lists;
mod login;
pub mod manifest;
mod misspelt;
mod names;
mod patch;
mod patched;
mod places;
mod plan;
mod problems;
pub(crate) mod quantity;
mod reach;
mod readers;
mod resources;
mod review;
pub(crate) mod secrets;
mod shape;
mod telemetry;
mod token;
mod value;

pub use decide::{Outcome, answer, decide};

/// The defaults that annotations fall back to: what the webhook's flags and environment set.
#[derive(Clone, Debug, PartialEq)]
pub struct InjectConfig {
    /// Vault's address (`AGENT_INJECT_VAULT_ADDR`).
    pub address: String,
    /// Which agent to inject (`AGENT_INJECT_AGENT`).
    pub agent: AgentChoice,
    /// Longest wait between failed logins, empty for the agent's own default.
    pub auth_max_backoff: String,
    /// Shortest wait between failed logins, empty for the agent's own default.
    pub auth_min_backoff: String,
    /// Login mount, `auth/kubernetes`.
    pub auth_path: String,
    /// Login method, `kubernetes`.
    pub auth_type: String,
    /// PEM text of CA certificates for the agents, empty for none; already decoded from base64.
    pub ca_cert_bytes: String,
    /// `map` or `json`.
    pub default_template: String,
    /// Comma list for `disable_idle_connections`.
    pub disable_idle_connections: String,
    /// Comma list for `disable_keep_alives`.
    pub disable_keep_alives: String,
    /// `template_config.exit_on_retry_failure`
    pub exit_on_retry_failure: bool,
    /// Agent image.
    pub image: String,
    /// `template_config.lease_renewal_threshold`, 0 for unset.
    pub lease_renewal_threshold: f64,
    /// `template_config.max_connections_per_host`, 0 for unset.
    pub max_connections_per_host: i64,
    /// Vault namespace, empty for none.
    pub namespace: String,
    /// `HTTPS_PROXY` of the agents, empty for none.
    pub proxy_address: String,
    /// Resources of the agents.
    pub resources: Resources,
    /// Whether agents revoke their token at the end.
    pub revoke_on_shutdown: bool,
    /// `runAsGroup`, a number as text.
    pub run_as_group: String,
    /// Take the first container's user.
    pub run_as_same_user: bool,
    /// `runAsUser`, a number as text.
    pub run_as_user: String,
    /// Whether agents get a security context.
    pub set_security_context: bool,
    /// `template_config.static_secret_render_interval`, empty for unset.
    pub static_secret_render_interval: String,
}

/// Kubernetes quantities. `None` means that nobody said anything, and the default of the agent's
/// flavour counts; an empty text means no such entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// `limits.cpu`
    pub limits_cpu: Option<String>,
    /// `limits.ephemeral-storage`
    pub limits_ephemeral: Option<String>,
    /// `limits.memory`
    pub limits_mem: Option<String>,
    /// `requests.cpu`
    pub requests_cpu: Option<String>,
    /// `requests.ephemeral-storage`
    pub requests_ephemeral: Option<String>,
    /// `requests.memory`
    pub requests_mem: Option<String>,
}

/// Which flavour of agent is injected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AgentChoice {
    /// Native when the image's repository is `vault-injector` or ends in `/vault-injector`.
    #[default]
    Auto,
    /// Ours.
    Native,
    /// HashiCorp's or OpenBao's.
    Vault,
}

impl AgentChoice {
    /// The word for it in `AGENT_INJECT_AGENT` and in the annotation `agent-flavor`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Vault => "vault",
        }
    }
}

/// Whose agent runs in the containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Ours: no shell, arguments instead of a script.
    Native,
    /// HashiCorp's or OpenBao's: containers exactly as vault-k8s makes them.
    Vault,
}

impl Flavor {
    /// What a choice means for an image.
    fn of(choice: &str, image: &str) -> Self {
        match choice.to_ascii_lowercase().as_str() {
            "native" => return Self::Native,
            "vault" => return Self::Vault,
            _ => {}
        }
        if repository(image) == OWN_REPOSITORY { Self::Native } else { Self::Vault }
    }
}

/// The last part of an image's name that images of this project have.
pub(crate) const OWN_REPOSITORY: &str = "vault-injector";

/// The last part of an image's name, without tag and digest.
pub(crate) fn repository(image: &str) -> &str {
    let untagged = image.split_once('@').map_or(image, |(name, _)| name);
    let start = untagged.rfind('/').map_or(0, |slash| slash + 1);
    let last = untagged.get(start..).unwrap_or_default();
    last.split_once(':').map_or(last, |(name, _)| name)
}

/// The image that agents run when nobody names one: our own.
pub const DEFAULT_IMAGE: &str = concat!("vault-injector:", env!("CARGO_PKG_VERSION"));

impl Default for InjectConfig {
    fn default() -> Self {
        Self {
            address: String::new(),
            agent: AgentChoice::Auto,
            auth_max_backoff: String::new(),
            auth_min_backoff: String::new(),
            auth_path: "auth/kubernetes".into(),
            auth_type: "kubernetes".into(),
            ca_cert_bytes: String::new(),
            default_template: "map".into(),
            disable_idle_connections: String::new(),
            disable_keep_alives: String::new(),
            exit_on_retry_failure: true,
            image: DEFAULT_IMAGE.into(),
            lease_renewal_threshold: 0.0,
            max_connections_per_host: 0,
            namespace: String::new(),
            proxy_address: String::new(),
            resources: Resources::default(),
            revoke_on_shutdown: false,
            run_as_group: "1000".into(),
            run_as_same_user: false,
            run_as_user: "100".into(),
            set_security_context: true,
            static_secret_render_interval: String::new(),
        }
    }
}

/// What was decided for one pod, for the log, the metrics and `--explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What was decided.
    pub verdict: Verdict,
    /// `request.namespace`
    pub namespace: String,
    /// The pod's name, or its `generateName`.
    pub name: String,
    /// `request.uid`
    pub uid: String,
    /// A fixed word for metrics: `injected`, `not-annotated`, `already-injected`, `invalid-annotations`, …
    pub reason: &'static str,
    /// One sentence for people; of a denial, what the API server shows.
    pub message: String,
    /// What `kubectl` shows as warnings.
    pub warnings: Vec<String>,
    /// `init_and_sidecar`, `init_only` or `sidecar_only` of an injection, else empty.
    pub injection_type: &'static str,
}

/// The three answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Refused, with a message.
    Deny,
    /// Allowed with a patch.
    Inject,
    /// Allowed untouched.
    Skip,
}

/// An answer to a review.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The AdmissionReview to send back, JSON.
    pub body: Vec<u8>,
    /// What it says.
    pub decision: Decision,
}

/// Why a body is no review: the caller's fault, HTTP 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewError {
    /// One clause.
    pub message: String,
}

impl std::fmt::Display for ReviewError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReviewError {}

/// Whether Kubernetes has namespaces of this name (RFC 1123, a label).
pub fn is_namespace(text: &str) -> bool {
    !text.is_empty() && names::namespace(text).is_ok()
}
