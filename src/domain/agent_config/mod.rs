//! The contract between webhook and agent: the document that Vault Agent reads, plus our key `injector`.

mod connection;
mod decode;
mod hcl;
mod section;
mod settings;
mod sources;

use std::collections::BTreeMap;
use std::time::Duration;

pub use connection::{Client, of_environment, variable};
pub use decode::{decode, without_effect};
pub use hcl::{HclError, parse as parse_hcl};
pub use section::ConfigError;
pub use settings::{WithoutEffect, of_flag};
pub use sources::{Origins, Source, merge};

use crate::base::secret::Secret;
use crate::domain::vault::RateLimit;

/// An agent's whole configuration, checked.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// `auto_auth.method`
    pub method: AuthMethod,
    /// `auto_auth.sink[]`
    pub sinks: Vec<Sink>,
    /// Stop with 0 once sinks and files are written: the init container.
    pub exit_after_auth: bool,
    /// Where to write the process id.
    pub pid_file: Option<String>,
    /// `vault` and the environment over it.
    pub vault: Connection,
    /// `template[]` and `injector.template[]`, in that order.
    pub templates: Vec<TemplateConfig>,
    /// `template_config`
    pub template_config: TemplateSettings,
    /// Our own settings.
    pub injector: InjectorSettings,
    /// Settings that have no effect here, such as `cache`, and what follows.
    pub ignored: Vec<WithoutEffect>,
}

/// `auto_auth.method`
#[derive(Clone, Debug)]
pub struct AuthMethod {
    /// What to log in with.
    pub kind: AuthKind,
    /// Without outer slashes: `auth/kubernetes`.
    pub mount_path: String,
    /// `X-Vault-Namespace` of login and templates, in normal form.
    pub namespace: Option<String>,
    /// Shortest wait between failed logins.
    pub min_backoff: Duration,
    /// Longest wait between failed logins.
    pub max_backoff: Duration,
    /// Whether the first failed login ends the process.
    pub exit_on_err: bool,
}

/// The login methods and their settings (`auto_auth.method.config`).
#[derive(Clone, Debug)]
pub enum AuthKind {
    /// `approle`
    Approle {
        /// Read at each login.
        role_id_file_path: String,
        /// Read at each login; absent for roles without a secret id.
        secret_id_file_path: Option<String>,
        /// Default true.
        remove_secret_id_file_after_reading: bool,
        /// Then the file holds a wrapping token created at this path.
        secret_id_response_wrapping_path: Option<String>,
    },
    /// `jwt`
    Jwt {
        /// The role.
        role: String,
        /// Read at each login.
        path: String,
        /// Default true.
        remove_jwt_after_reading: bool,
        /// Of a link, remove what it leads to. Default false.
        remove_jwt_follows_symlinks: bool,
        /// How often a new one is looked for, to take and remove it. `None` where none is removed: it is
        /// read at each login.
        read_period: Option<Duration>,
    },
    /// `kubernetes`
    Kubernetes {
        /// The role.
        role: String,
        /// The service account's token, read at each login.
        token_path: String,
    },
    /// `token_file`
    TokenFile {
        /// Holds a token; no login, only a look-up.
        token_file_path: String,
    },
}

/// `auto_auth.sink[]`: a file that gets the bare token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// Absolute path.
    pub path: String,
    /// Permission bits, default 0640.
    pub mode: u32,
    /// Number of the user that it is to belong to; `None` is whoever writes.
    pub user: Option<u32>,
    /// Number of the group that it is to belong to.
    pub group: Option<u32>,
}

/// How to reach Vault: flag over environment over configuration.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// `http://`, `https://`; without a trailing slash.
    pub address: String,
    /// A file of CA certificates; replaces the system's.
    pub ca_cert: Option<String>,
    /// PEM text of CA certificates.
    pub ca_cert_bytes: Option<String>,
    /// A folder of CA certificates.
    pub ca_path: Option<String>,
    /// `SSL_CERT_FILE`: the system's CA certificates, used when no other is given.
    pub system_ca_file: Option<String>,
    /// Client certificate file, PEM.
    pub client_cert: Option<String>,
    /// Client key file, PEM.
    pub client_key: Option<String>,
    /// No check of the server's certificate at all.
    pub tls_skip_verify: bool,
    /// Name to check and to send as SNI instead of the address' host.
    pub tls_server_name: Option<String>,
    /// Limit of one request, default 60 s.
    pub timeout: Option<Duration>,
    /// `http://[user:password@]host:port`
    pub proxy: Option<Secret>,
    /// `NO_PROXY`
    pub no_proxy: Option<String>,
    /// Retries of a failing secret before `exit_on_retry_failure` counts: `vault.retry.num_retries`,
    /// default 12, `None` for no retry.
    pub num_retries: Option<u32>,
    /// Retries that do not count, after a broken connection, a 412, 429 or 5xx: `VAULT_MAX_RETRIES`,
    /// default 2.
    pub max_retries: u32,
    /// For every request, beside those of Vault's API.
    pub headers: Vec<(String, Secret)>,
    /// `VAULT_RATE_LIMIT`
    pub rate_limit: Option<RateLimit>,
    /// `VAULT_DISABLE_REDIRECTS`: the address must be the one that answers.
    pub refuses_redirects: bool,
}

/// One file to keep.
#[derive(Clone, Debug)]
pub struct TemplateConfig {
    /// Absolute path of the file.
    pub destination: String,
    /// What makes its content.
    pub body: TemplateBody,
    /// Run after each change.
    pub command: Option<Command>,
    /// Permission bits; `None` keeps those of the existing file, else 0644.
    pub perms: Option<u32>,
    /// Go's `missingkey=error`.
    pub error_on_missing_key: bool,
    /// Default true.
    pub create_dest_dirs: bool,
    /// The folder that files which the template reads or writes must lie in.
    pub sandbox_path: Option<String>,
    /// Whether an error of this template may end the process. Default true.
    pub error_fatal: bool,
    /// Keep the file before under its name and `.bak`. Default false.
    pub backup: bool,
    /// Name or number of the user that the file is to belong to; empty is as before.
    pub user: String,
    /// Name or number of the group that the file is to belong to; empty is as before.
    pub group: String,
    /// Once all files are there: wait for an end of the changes before writing.
    pub wait: Option<Quiet>,
}

/// How long changes must cease before a file is written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// Without a further change for so long, it is written.
    pub min: Duration,
    /// So long after the first change it is written, whatever comes.
    pub max: Duration,
}

/// What makes a file's content.
#[derive(Clone, Debug)]
pub enum TemplateBody {
    /// A format without a template, over one secret.
    Format {
        /// The secret's path.
        secret: String,
        /// `env`, `dotenv`, `properties`, `yaml`, `raw:KEY`
        format: String,
    },
    /// Go's template language, given as text.
    Go {
        /// The text.
        contents: String,
        /// Default `{{`.
        left_delimiter: String,
        /// Default `}}`.
        right_delimiter: String,
    },
    /// Go's template language, read from a file at start.
    GoFile {
        /// Its path.
        source: String,
        /// Default `{{`.
        left_delimiter: String,
        /// Default `}}`.
        right_delimiter: String,
    },
    /// A tinytemplate text over one secret's data.
    Tiny {
        /// The secret's path.
        secret: String,
        /// The text.
        contents: String,
    },
}

/// A command to run: one text of several words goes through `sh -c`, else the words are the argv.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The words as configured.
    pub words: Vec<String>,
    /// Default 30 s; then the command is killed.
    pub timeout: Duration,
}

/// `template_config`
#[derive(Clone, Debug)]
pub struct TemplateSettings {
    /// Whether to end with 1 when a secret's retries are used up. Default false.
    pub exit_on_retry_failure: bool,
    /// How often secrets without a lease are read again. Default 5 min.
    pub static_secret_render_interval: Duration,
    /// Part of a non-renewable lease after which to read again. Default 0.9.
    pub lease_renewal_threshold: f64,
    /// Connections to Vault at once; `None` is our own limit.
    pub max_connections_per_host: Option<u32>,
}

/// Our own settings: the key `injector`.
#[derive(Clone, Debug, Default)]
pub struct InjectorSettings {
    /// Where token and leases are kept for the next agent process of this pod: init hands over to the
    /// sidecar, and a restarted container goes on with what it had. Mode 0600, on a memory volume.
    pub state_file: Option<String>,
    /// Revoke the token at SIGTERM, after this wait for the app to drain.
    pub revoke_on_shutdown: Option<Duration>,
}

/// The environment as the agent sees it.
pub type Environment = BTreeMap<String, String>;
