//! What becomes of each setting of an agent: one table, asked by the agent, by `--validate` and by the
//! webhook.
//!
//! A setting that has no effect here is told, with what follows and the way out. One whose loss would let
//! somebody read more than was wanted, or leave a credential behind, is refused.

use std::fmt;

/// What becomes of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Read and followed.
    Followed,
    /// Means nothing here, and nothing follows of that: nobody needs to hear of it.
    Needless,
    /// Refused: why, and the way out.
    Refused(&'static str),
    /// Without effect: what follows, and the way out.
    Inert(&'static str),
}

/// A setting without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithoutEffect {
    /// Where it stands: `listener[0]`, `template[0].exec.splay`.
    pub place: String,
    /// What follows, and the way out. One clause.
    pub follows: &'static str,
}

impl fmt::Display for WithoutEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.follows)
    }
}

/// What is said of a setting that is in no list.
pub(super) const UNKNOWN: &str = "unknown here, is it misspelt?";
/// What is said of a setting that only others of its block give a meaning.
pub(super) const UNUSED: &str = "of no use beside the other settings of its block";

/// Blocks in which Vault Agent, too, refuses what it does not know.
const STRICT: &[&str] =
    &["template", "template.exec", "template.wait", "injector", "injector.template"];

/// Whether an unknown setting of a block is a mistake.
pub(super) fn is_strict(block: &str) -> bool {
    STRICT.contains(&block)
}

/// What becomes of a setting, by its path without labels and numbers; `None` when it is unknown.
pub(super) fn treatment(path: &str) -> Option<Treatment> {
    SETTINGS.iter().find(|(known, _)| *known == path).map(|(_, treatment)| *treatment)
}

/// What is said of an option of the command line that stands for a setting without effect.
pub fn of_flag(flag: &str, setting: &str) -> Option<WithoutEffect> {
    match treatment(setting)? {
        Inert(follows) => Some(WithoutEffect { place: format!("-{flag}"), follows }),
        Followed | Needless | Refused(_) => None,
    }
}

/// The rows for settings inside of a block that is without effect as a whole, and that need words of their
/// own.
pub(super) fn inert_inside(path: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    SETTINGS.iter().filter_map(move |(known, treatment)| {
        let inside = known.strip_prefix(path)?.strip_prefix('.')?;
        if let Inert(follows) = treatment { Some((inside, *follows)) } else { None }
    })
}

use Treatment::{Followed, Inert, Needless, Refused};

const SUPERVISOR: &str = "the agent does not start the app here: have a file written, for example with the format \
                          env or dotenv, and let the app read it";
const UNENCRYPTED: &str = "encrypted tokens are not supported here, and a bare one would be readable: remove it, or use \
                           the agent of Vault";
const UNWRAPPED: &str = "wrapped tokens are not supported here, and a bare one would be readable: remove it, or use the \
                         agent of Vault";
const DENYLIST: &str = "functions cannot be forbidden here, and the restriction is not dropped in silence: remove it, or \
                        use the agent of Vault";
const COMMAND_ENV: &str = "the environment of commands cannot be cut here, and the restriction is not dropped in \
                           silence: remove it, or clear variables in the command with env -i";
const KILLED: &str = "a command that takes too long is killed at once";
const ONE_LOG: &str = "the log goes to standard error, which Kubernetes keeps and rotates";

/// Every setting that Vault Agent or OpenBao's knows, and ours, by path.
pub(super) const SETTINGS: &[(&str, Treatment)] = &[
    (
        "api_proxy",
        Inert(
            "requests of the app are not passed on: let it ask Vault itself, with the token of a sink, or \
             use the agent of Vault",
        ),
    ),
    ("auto_auth", Followed),
    (
        "auto_auth.enable_reauth_on_new_credentials",
        Inert("a new credential is read at the next login"),
    ),
    ("auto_auth.method", Followed),
    ("auto_auth.method.config", Followed),
    ("auto_auth.method.config.jwt_read_period", Followed),
    ("auto_auth.method.config.path", Followed),
    ("auto_auth.method.config.remove_jwt_after_reading", Followed),
    ("auto_auth.method.config.remove_jwt_follows_symlinks", Followed),
    ("auto_auth.method.config.remove_secret_id_file_after_reading", Followed),
    ("auto_auth.method.config.role", Followed),
    ("auto_auth.method.config.role_id_file_path", Followed),
    ("auto_auth.method.config.secret_id_file_path", Followed),
    ("auto_auth.method.config.secret_id_response_wrapping_path", Followed),
    ("auto_auth.method.config.token_file_path", Followed),
    // Injectors write it for every method.
    ("auto_auth.method.config.token_path", Needless),
    ("auto_auth.method.exit_on_err", Followed),
    ("auto_auth.method.max_backoff", Followed),
    ("auto_auth.method.min_backoff", Followed),
    ("auto_auth.method.mount_path", Followed),
    ("auto_auth.method.namespace", Followed),
    ("auto_auth.method.type", Followed),
    ("auto_auth.method.wrap_ttl", Refused(UNWRAPPED)),
    ("auto_auth.sink", Followed),
    ("auto_auth.sink.aad", Refused(UNENCRYPTED)),
    ("auto_auth.sink.aad_env_var", Refused(UNENCRYPTED)),
    ("auto_auth.sink.config", Followed),
    ("auto_auth.sink.config.gid", Followed),
    ("auto_auth.sink.config.mode", Followed),
    ("auto_auth.sink.config.path", Followed),
    ("auto_auth.sink.config.uid", Followed),
    ("auto_auth.sink.derive_key", Refused(UNENCRYPTED)),
    ("auto_auth.sink.dh_path", Refused(UNENCRYPTED)),
    ("auto_auth.sink.dh_type", Refused(UNENCRYPTED)),
    ("auto_auth.sink.type", Followed),
    ("auto_auth.sink.wrap_ttl", Refused(UNWRAPPED)),
    (
        "cache",
        Inert(
            "nothing is cached for others; the sidecar goes on with what init had by injector.state_file, \
             which the injector sets",
        ),
    ),
    ("cluster_name", Needless),
    // Connections that nobody uses are closed within seconds.
    ("disable_idle_connections", Followed),
    ("disable_keep_alives", Followed),
    ("disable_mlock", Needless),
    ("env_template", Refused(SUPERVISOR)),
    ("exec", Refused(SUPERVISOR)),
    ("exit_after_auth", Followed),
    ("injector", Followed),
    ("injector.revoke_grace", Followed),
    ("injector.revoke_on_shutdown", Followed),
    ("injector.state_file", Followed),
    ("injector.template", Followed),
    ("injector.template.command", Followed),
    ("injector.template.command_timeout", Followed),
    ("injector.template.contents", Followed),
    ("injector.template.create_dest_dirs", Followed),
    ("injector.template.destination", Followed),
    ("injector.template.engine", Followed),
    ("injector.template.format", Followed),
    ("injector.template.perms", Followed),
    ("injector.template.secret", Followed),
    (
        "listener",
        Inert(
            "no port is opened: an app that asks it gets no answer; let it ask Vault itself, with the token \
             of a sink, or use the agent of Vault",
        ),
    ),
    (
        "listener.agent_api.enable_quit",
        Inert(
            "POST /agent/v1/quit is not answered, so a Job that asks for the end gets none: use a native \
             sidecar, or the init container alone",
        ),
    ),
    ("log_file", Inert(ONE_LOG)),
    ("log_format", Followed),
    ("log_level", Followed),
    ("log_rotate_bytes", Inert(ONE_LOG)),
    ("log_rotate_duration", Inert(ONE_LOG)),
    ("log_rotate_max_files", Inert(ONE_LOG)),
    ("pid_file", Followed),
    ("telemetry", Inert("no metrics are kept; the log says what happens")),
    ("template", Followed),
    ("template.backup", Followed),
    ("template.command", Followed),
    ("template.command_timeout", Followed),
    ("template.contents", Followed),
    ("template.create_dest_dirs", Followed),
    ("template.destination", Followed),
    ("template.error_fatal", Followed),
    ("template.error_on_missing_key", Followed),
    ("template.exec", Followed),
    ("template.exec.command", Followed),
    ("template.exec.enabled", Followed),
    ("template.exec.env", Refused(COMMAND_ENV)),
    ("template.exec.kill_signal", Inert(KILLED)),
    ("template.exec.kill_timeout", Inert(KILLED)),
    ("template.exec.reload_signal", Needless),
    ("template.exec.splay", Needless),
    ("template.exec.timeout", Followed),
    ("template.function_blacklist", Refused(DENYLIST)),
    ("template.function_denylist", Refused(DENYLIST)),
    ("template.gid", Followed),
    ("template.group", Followed),
    ("template.left_delimiter", Followed),
    ("template.map_to_env", Needless),
    ("template.perms", Followed),
    ("template.right_delimiter", Followed),
    ("template.sandbox_path", Followed),
    ("template.source", Followed),
    ("template.uid", Followed),
    ("template.user", Followed),
    ("template.vault_grace", Needless),
    ("template.wait", Followed),
    ("template.wait.max", Followed),
    ("template.wait.min", Followed),
    ("template_config", Followed),
    ("template_config.exit_on_retry_failure", Followed),
    ("template_config.lease_renewal_threshold", Followed),
    ("template_config.max_connections_per_host", Followed),
    ("template_config.static_secret_render_interval", Followed),
    ("vault", Followed),
    ("vault.address", Followed),
    ("vault.ca_cert", Followed),
    ("vault.ca_path", Followed),
    ("vault.client_cert", Followed),
    ("vault.client_key", Followed),
    ("vault.namespace", Followed),
    ("vault.retry", Followed),
    ("vault.retry.num_retries", Followed),
    ("vault.tls_server_name", Followed),
    ("vault.tls_skip_verify", Followed),
];
