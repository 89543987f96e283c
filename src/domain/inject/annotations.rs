//! The annotations: one sorted table of keys. Parsing, defaults, checks and texts follow from it.

use std::borrow::Cow;
use std::fmt;

use super::misspelt::{TOLD_MAX, is_nearly_ours};
use super::problems::{Problems, Shown};
use super::review::Texts;
use super::value::{check, parse_bool};
use super::{Flavor, InjectConfig};

/// What every key starts with.
pub const PREFIX: &str = "vault.hashicorp.com/";

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Go's `strconv.ParseBool`, and the empty text for false.
    Bool,
    /// One of some words, in any case.
    Choice(&'static [&'static str]),
    /// A whole number from 0, or empty.
    Count,
    /// Any text but the empty one.
    Filled,
    /// Go's `time.ParseDuration`, or empty.
    GoDuration,
    /// A user or group number; empty means the default.
    Id,
    /// The name of a container image.
    Image,
    /// A whole number; empty means 0.
    Int,
    /// Texts between commas.
    List,
    /// Permission bits as octal digits, or empty.
    Mode,
    /// The name of a Secret or ConfigMap, or empty.
    Name,
    /// An RFC 6902 patch; checked where it is applied.
    Patch,
    /// A folder to mount a volume at.
    Path,
    /// A port number, or empty.
    Port,
    /// A Kubernetes quantity; empty means no such entry.
    Quantity,
    /// A number from 0 to 1.
    Share,
    /// A Kubernetes quantity of bytes; empty means no such entry.
    Size,
    /// Anything.
    Text,
    /// A whole number from 0.
    Uint,
    /// A duration as Vault reads it (`30`, `30s`, `2d`), or empty.
    VaultDuration,
    /// One of some words, in any case; empty means the first.
    Word(&'static [&'static str]),
}

/// Where the value of an absent key comes from.
#[derive(Clone, Copy)]
pub enum Source {
    /// Nowhere: the key has no effect when absent.
    Nothing,
    /// Built in.
    Fixed(&'static str),
    /// The webhook's environment variable `AGENT_INJECT_…`.
    Process(&'static str, fn(&InjectConfig, Flavor) -> Cow<'_, str>),
}

/// One key, or one family of keys that end in a name (then `name` ends in `-`).
pub struct Row {
    /// One sentence.
    pub doc: &'static str,
    /// The same row as a value.
    pub key: Key,
    /// What values must look like.
    pub kind: Kind,
    /// Without [`PREFIX`].
    pub name: &'static str,
    /// The default.
    pub source: Source,
}

macro_rules! keys {
    ($($key:ident $name:literal $kind:expr, $source:expr, $doc:literal;)*) => {
        /// The rows of [`KEYS`] by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Key { $(#[doc = $doc] $key),* }

        /// Every key, sorted by name.
        pub static KEYS: &[Row] = &[
            $(Row { doc: $doc, key: Key::$key, kind: $kind, name: $name, source: $source }),*
        ];
        const KEY_COUNT: usize = [$(Key::$key),*].len();
    };
}

use Kind::{
    Bool, Choice, Count, Filled, GoDuration, Id, Image, Int, List, Mode, Name, Patch, Path, Port,
    Quantity, Share, Size, Text, Uint, VaultDuration, Word,
};
use Source::{Fixed, Nothing, Process};

/// The words of `agent-flavor`.
const FLAVORS: &[&str] = &["auto", "native", "vault"];
/// The words of `agent-template-engine-N`.
const ENGINES: &[&str] = &["go", "tinytemplate"];
/// The words of `log-format`.
const FORMATS: &[&str] = &["standard", "json"];
/// The words of `log-level`.
const LEVELS: &[&str] = &["info", "trace", "debug", "notice", "warn", "warning", "error", "err"];
/// The words of `agent-inject-default-template`.
const TEMPLATES: &[&str] = &["map", "json"];

keys! {
    AutoAuthExitOnErr "agent-auto-auth-exit-on-err" Bool, Fixed("false"), "End the agent when a login fails.";
    CacheEnable "agent-cache-enable" Bool, Fixed("false"), "Run a caching listener in the sidecar.";
    CacheExitOnErr "agent-cache-exit-on-err" Bool, Fixed("false"), "End the agent when the persisted cache cannot be restored.";
    CachePort "agent-cache-listener-port" Port, Fixed("8200"), "Port of the agent's listener on 127.0.0.1.";
    CacheUseToken "agent-cache-use-auto-auth-token" Text, Fixed("true"), "`cache.use_auto_auth_token` of the agent: true, false or force.";
    Configmap "agent-configmap" Name, Nothing, "ConfigMap with config-init.hcl and config.hcl for the agents, instead of a generated configuration. Each logs in, unless both name a state file (docs/operations.md).";
    CopyMounts "agent-copy-volume-mounts" Text, Nothing, "Container whose volume mounts the agents get too.";
    DisableIdle "agent-disable-idle-connections" List, Process("DISABLE_IDLE_CONNECTIONS", |c, _| Cow::Borrowed(&c.disable_idle_connections)), "Parts of the agent that close idle connections: auto-auth, caching, templating.";
    DisableKeepAlives "agent-disable-keep-alives" List, Process("DISABLE_KEEP_ALIVES", |c, _| Cow::Borrowed(&c.disable_keep_alives)), "Parts of the agent that keep no connection alive: auto-auth, caching, templating.";
    EnableQuit "agent-enable-quit" Bool, Fixed("false"), "Serve /agent/v1/quit on the agent's listener.";
    ExtraSecret "agent-extra-secret" Name, Nothing, "Secret mounted at /vault/custom in the agents.";
    AgentFlavor "agent-flavor" Choice(FLAVORS), Process("AGENT", |c, _| Cow::Borrowed(c.agent.word())), "Whose agent the image holds: native, vault, or auto to tell by the image's name.";
    Image "agent-image" Image, Process("VAULT_IMAGE", |c, _| Cow::Borrowed(&c.image)), "Image of the agents.";
    InitCommands "agent-init-commands" Bool, Fixed("true"), "Run the files' commands in the init container too, where the app is not there yet.";
    InitFirst "agent-init-first" Bool, Fixed("false"), "Run the agent before the pod's own init containers.";
    InitJsonPatch "agent-init-json-patch" Patch, Nothing, "JSON patch for the agent's init container.";
    Inject "agent-inject" Bool, Fixed("false"), "Whether to inject at all.";
    Command "agent-inject-command-" Text, Nothing, "Command to run after each change of the file: text for the shell, or a list of words in JSON for native agents, which need none then.";
    Containers "agent-inject-containers" List, Nothing, "Containers that see the secrets; all when absent. The pod's init containers always do.";
    DefaultTemplate "agent-inject-default-template" Choice(TEMPLATES), Process("DEFAULT_TEMPLATE", |c, _| Cow::Borrowed(&c.default_template)), "Format of files without a template: map or json.";
    File "agent-inject-file-" Text, Nothing, "Path of the file below its volume; the secret's name when absent.";
    Format "agent-inject-format-" Text, Nothing, "Format of the file: map, json, env, dotenv, properties, yaml or raw:KEY.";
    Perms "agent-inject-perms-" Mode, Nothing, "Permissions of the file, such as 0640; of the name `token`, those of the file that `agent-inject-token` writes.";
    SecretPath "agent-inject-secret-" Text, Nothing, "Path of the secret in Vault; declares the secret.";
    Status "agent-inject-status" Text, Nothing, "Set by the webhook to injected.";
    Template "agent-inject-template-" Text, Nothing, "Text of the template; declares the secret.";
    TemplateFile "agent-inject-template-file-" Text, Nothing, "Template file inside the agent; declares the secret.";
    InjectToken "agent-inject-token" Bool, Fixed("false"), "Also write the token to the file `token` of the secrets volume.";
    JsonPatch "agent-json-patch" Patch, Nothing, "JSON patch for the agent's sidecar container.";
    LimitsCpu "agent-limits-cpu" Quantity, Process("CPU_LIMIT", |c, f| preset(&c.resources.limits_cpu, f, "500m", "")), "CPU limit of the agents.";
    LimitsEphemeral "agent-limits-ephemeral" Size, Process("EPHEMERAL_LIMIT", |c, f| preset(&c.resources.limits_ephemeral, f, "", "")), "Ephemeral storage limit of the agents.";
    LimitsMem "agent-limits-mem" Size, Process("MEM_LIMIT", |c, f| preset(&c.resources.limits_mem, f, "128Mi", "32Mi")), "Memory limit of the agents.";
    NativeSidecar "agent-native-sidecar" Bool, Fixed("false"), "Add the sidecar as an init container that goes on running (Kubernetes 1.29): it starts before the app and ends after it, and Jobs end.";
    PrePopulate "agent-pre-populate" Bool, Fixed("true"), "Add the init container, so that files are there before the app starts.";
    PrePopulateOnly "agent-pre-populate-only" Bool, Fixed("false"), "Add the init container only, no sidecar.";
    RequestNamespace "agent-request-namespace" Filled, Nothing, "Kept for compatibility; the request's namespace counts.";
    RequestsCpu "agent-requests-cpu" Quantity, Process("CPU_REQUEST", |c, f| preset(&c.resources.requests_cpu, f, "250m", "5m")), "CPU request of the agents.";
    RequestsEphemeral "agent-requests-ephemeral" Size, Process("EPHEMERAL_REQUEST", |c, f| preset(&c.resources.requests_ephemeral, f, "", "")), "Ephemeral storage request of the agents.";
    RequestsMem "agent-requests-mem" Size, Process("MEM_REQUEST", |c, f| preset(&c.resources.requests_mem, f, "64Mi", "8Mi")), "Memory request of the agents.";
    RevokeGrace "agent-revoke-grace" Uint, Fixed("5"), "Seconds between the end of the pod and the revocation of the token.";
    RevokeOnShutdown "agent-revoke-on-shutdown" Bool, Process("REVOKE_ON_SHUTDOWN", |c, _| flag(c.revoke_on_shutdown)), "Revoke the sidecar's token when the pod ends.";
    RunAsGroup "agent-run-as-group" Id, Process("RUN_AS_GROUP", |c, _| Cow::Borrowed(&c.run_as_group)), "Group of the agents' processes.";
    RunAsSameUser "agent-run-as-same-user" Bool, Process("RUN_AS_SAME_USER", |c, _| flag(c.run_as_same_user)), "Run the agents as the first container's user.";
    RunAsUser "agent-run-as-user" Id, Process("RUN_AS_USER", |c, _| Cow::Borrowed(&c.run_as_user)), "User of the agents' processes.";
    TokenVolume "agent-service-account-token-volume-name" Text, Nothing, "Volume with the service account token; found by itself when absent.";
    SetSecurityContext "agent-set-security-context" Bool, Process("SET_SECURITY_CONTEXT", |c, _| flag(c.set_security_context)), "Whether the agents get a security context.";
    ShareProcessNamespace "agent-share-process-namespace" Bool, Nothing, "Set the pod's shareProcessNamespace.";
    Telemetry "agent-telemetry-" Text, Nothing, "One setting of the agent's telemetry, as JSON or text.";
    Engine "agent-template-engine-" Choice(ENGINES), Nothing, "Language of the template: go or tinytemplate.";
    LeftDelim "agent-template-left-delim-" Text, Nothing, "Left delimiter of the template.";
    RightDelim "agent-template-right-delim-" Text, Nothing, "Right delimiter of the template.";
    VolumeSize "agent-volume-size-limit" Size, Nothing, "Size limit of each memory volume; without it the node's or the containers' memory is the limit.";
    AuthConfig "auth-config-" Text, Nothing, "One setting of the login method.";
    AuthMaxBackoff "auth-max-backoff" GoDuration, Process("AUTH_MAX_BACKOFF", |c, _| Cow::Borrowed(&c.auth_max_backoff)), "Longest wait between failed logins; the agent's own is 5m.";
    AuthMinBackoff "auth-min-backoff" GoDuration, Process("AUTH_MIN_BACKOFF", |c, _| Cow::Borrowed(&c.auth_min_backoff)), "Shortest wait between failed logins; the agent's own is 1s.";
    AuthPath "auth-path" Text, Process("VAULT_AUTH_PATH", |c, _| Cow::Borrowed(&c.auth_path)), "Mount path of the login method.";
    AuthType "auth-type" Text, Process("VAULT_AUTH_TYPE", |c, _| Cow::Borrowed(&c.auth_type)), "Login method.";
    CaCert "ca-cert" Text, Nothing, "File in the agents with the CA certificates of Vault.";
    CaPath "ca-key" Text, Nothing, "Folder in the agents with CA certificates of Vault.";
    ClientCert "client-cert" Text, Nothing, "File in the agents with the client certificate.";
    ClientKey "client-key" Text, Nothing, "File in the agents with the client certificate's key.";
    ClientMaxRetries "client-max-retries" Count, Nothing, "VAULT_MAX_RETRIES of the agents: retries that do not count, where Vault could not answer; their own is 2.";
    ClientTimeout "client-timeout" VaultDuration, Nothing, "VAULT_CLIENT_TIMEOUT of the agents, for one request; their own is 60s.";
    ErrorOnMissingKey "error-on-missing-key-" Bool, Fixed("false"), "Fail when the template names a key that the secret does not have.";
    GoMaxProcs "go-max-procs" Text, Nothing, "GOMAXPROCS of the agents.";
    LogFormat "log-format" Word(FORMATS), Fixed("standard"), "Log format of the agents: standard or json.";
    LogLevel "log-level" Word(LEVELS), Fixed("info"), "Log level of the agents: trace, debug, info, warn or error; as in Vault, notice is info, warning and err are the same as warn and error.";
    Namespace "namespace" Text, Process("VAULT_NAMESPACE", |c, _| Cow::Borrowed(&c.namespace)), "Vault namespace.";
    PreserveCase "preserve-secret-case" Bool, Fixed("false"), "Keep the case of secret names in file names.";
    PreserveCaseOf "preserve-secret-case-" Bool, Nothing, "The same for one secret.";
    ProxyAddress "proxy-address" Text, Process("PROXY_ADDR", |c, _| Cow::Borrowed(&c.proxy_address)), "HTTPS_PROXY of the agents.";
    Role "role" Text, Nothing, "Role to log in with.";
    VolumePath "secret-volume-path" Path, Fixed("/vault/secrets"), "Where the secrets volume is mounted.";
    VolumePathOf "secret-volume-path-" Path, Nothing, "The same for one secret, in a volume of its own.";
    Service "service" Text, Process("VAULT_ADDR", |c, _| Cow::Borrowed(&c.address)), "Address of Vault.";
    ExitOnRetryFailure "template-config-exit-on-retry-failure" Bool, Process("TEMPLATE_CONFIG_EXIT_ON_RETRY_FAILURE", |c, _| flag(c.exit_on_retry_failure)), "End the agent when a secret's retries are used up.";
    LeaseThreshold "template-lease-renewal-threshold" Share, Process("TEMPLATE_LEASE_RENEWAL_THRESHOLD", |c, _| Cow::Owned(c.lease_renewal_threshold.to_string())), "Part of a lease after which its secret is read again; 0 is the agent's own, 0.9.";
    MaxConnections "template-max-connections-per-host" Int, Process("TEMPLATE_MAX_CONNECTIONS_PER_HOST", |c, _| Cow::Owned(c.max_connections_per_host.to_string())), "Connections of the template engine to Vault.";
    RenderInterval "template-static-secret-render-interval" VaultDuration, Process("TEMPLATE_STATIC_SECRET_RENDER_INTERVAL", |c, _| Cow::Borrowed(&c.static_secret_render_interval)), "How often secrets without a lease are read again; the agent's own is 5m.";
    TlsSecret "tls-secret" Name, Nothing, "Secret mounted at /vault/tls in the agents.";
    TlsServerName "tls-server-name" Text, Nothing, "Name in Vault's certificate.";
    TlsSkipVerify "tls-skip-verify" Bool, Fixed("false"), "Do not check Vault's certificate.";
}

/// Of a value that is part of a variable, a path or a file's content, none of which can have one.
const ZERO: &str =
    "has a NUL character, with which no process starts and no file opens: take it out";

/// The file of `agent-inject-token`, and its name among the secrets.
pub(crate) const TOKEN: &str = "token";

const fn flag<'a>(truth: bool) -> Cow<'a, str> {
    Cow::Borrowed(if truth { "true" } else { "false" })
}

/// What was set, or the default of the flavour: HashiCorp's agent needs what its documentation says,
/// ours what was measured.
fn preset<'a>(
    set: &'a Option<String>,
    flavor: Flavor,
    vault: &'static str,
    native: &'static str,
) -> Cow<'a, str> {
    let default = if flavor == Flavor::Vault { vault } else { native };
    Cow::Borrowed(set.as_deref().unwrap_or(default))
}

impl Key {
    /// The row of the table.
    pub fn row(self) -> &'static Row {
        // The enum and the table come out of one macro, in one order.
        #[expect(clippy::indexing_slicing, reason = "as many rows as variants")]
        &KEYS[self as usize]
    }

    /// The full key of one member of a family.
    pub fn of(self, raw: &str) -> String {
        format!("{self}{raw}")
    }
}

/// The full key.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.row().name)
    }
}

/// An annotation that is not the exact key of a row.
struct Other<'a> {
    /// Without [`PREFIX`].
    name: &'a str,
    /// Its family and the name in it.
    family: Option<(&'static Row, &'a str)>,
    value: &'a str,
}

/// A pod's annotations under [`PREFIX`], with the defaults behind them.
pub(crate) struct Notes<'a> {
    config: &'a InjectConfig,
    flavor: Flavor,
    /// Values of the exact keys, by row.
    exact: [Option<&'a str>; KEY_COUNT],
    /// Whole keys with nearly our prefix.
    foreign: Vec<&'a str>,
    /// The other keys, sorted by name, each once.
    other: Vec<Other<'a>>,
}

impl<'a> Notes<'a> {
    /// Sorts the annotations into the table. Of a key that stands twice, the last value counts.
    pub(crate) fn read(texts: &'a Texts<'a>, config: &'a InjectConfig) -> Self {
        let mut exact = [None; KEY_COUNT];
        let mut other: Vec<Other<'_>> = Vec::new();
        let mut foreign = Vec::new();
        let mut compared = 0;
        for (key, value) in &texts.0 {
            let Some(name) = key.strip_prefix(PREFIX) else {
                if foreign.len() < TOLD_MAX && is_nearly_ours(key, &mut compared) {
                    foreign.push(&**key);
                }
                continue;
            };
            let value: &str = value;
            let row = exact_row(name).and_then(|key| exact.get_mut(key as usize));
            match row {
                Some(slot) => *slot = Some(value),
                None => other.push(Other { family: family_row(name), name, value }),
            }
        }
        // Stable, so that of equal names the last stays last, and that one is kept.
        other.sort_by_key(|note| note.name);
        other.reverse();
        other.dedup_by_key(|note| note.name);
        other.reverse();
        let mut notes = Self { config, flavor: Flavor::Vault, exact, foreign, other };
        notes.flavor = Flavor::of(&notes.text(Key::AgentFlavor), &notes.text(Key::Image));
        notes
    }

    /// Which agent is injected.
    pub(crate) fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// Notes every value that is not of its key's kind; `declared` knows the names of the secrets.
    pub(crate) fn check(&self, declared: impl Fn(&str) -> bool, problems: &mut Problems) {
        for row in KEYS {
            if let Some(value) = self.given(row.key) {
                if let Err(clause) = check(row.kind, value) {
                    problems.note(row.key, format_args!("{} {clause}", Shown(value)));
                } else if value.contains('\0') && row.key != Key::Status {
                    problems.note(row.key, ZERO);
                }
            } else if let (Process(_, read), Id | Image | Quantity | Size | Choice(_)) =
                (row.source, row.kind)
            {
                let value = read(self.config, self.flavor);
                if let Err(clause) = check(row.kind, &value) {
                    self.blame(row.key, format_args!("{} {clause}", Shown(&value)), problems);
                }
            }
        }
        for Other { family, name, value } in &self.other {
            let Some((row, raw)) = family else { continue };
            // A secret's annotation without the secret does nothing, right or wrong.
            let of_token = row.key == Key::Perms && *raw == TOKEN && self.flag(Key::InjectToken);
            if matches!(row.kind, Bool | Mode | Path) && !declared(raw) && !of_token {
                continue;
            }
            if let Err(clause) = check(row.kind, value) {
                problems.note(
                    format_args!("{PREFIX}{name}"),
                    format_args!("{} {clause}", Shown(value)),
                );
            } else if value.contains('\0') && row.key != Key::SecretPath {
                // A path in Vault with any such character is told elsewhere.
                problems.note(format_args!("{PREFIX}{name}"), ZERO);
            }
        }
    }

    /// Notes a mistake of a setting where it was made: in the annotation, or in the webhook's variable.
    pub(crate) fn blame(&self, key: Key, clause: impl fmt::Display, problems: &mut Problems) {
        match (self.given(key), key.row().source) {
            (None, Process(name, _)) => problems.note(
                format_args!("AGENT_INJECT_{name}"),
                format_args!("{clause}; {key} overrides it for one pod"),
            ),
            _ => problems.note(key, clause),
        }
    }

    /// The annotation as given.
    pub(crate) fn given(&self, key: Key) -> Option<&'a str> {
        self.exact.get(key as usize).copied().flatten()
    }

    /// The annotation, or the default.
    pub(crate) fn text(&self, key: Key) -> Cow<'a, str> {
        let row = key.row();
        match (self.given(key), row.source) {
            (Some(value), _) if !(value.is_empty() && row.kind == Id) => Cow::Borrowed(value),
            (_, Nothing) => Cow::Borrowed(""),
            (_, Fixed(text)) => Cow::Borrowed(text),
            (_, Process(_, read)) => read(self.config, self.flavor),
        }
    }

    /// Whether the webhook's own variable says how much of a resource there is to be.
    pub(crate) fn is_set_by_webhook(&self, key: Key) -> bool {
        let given = &self.config.resources;
        let set = match key {
            Key::LimitsCpu => &given.limits_cpu,
            Key::LimitsEphemeral => &given.limits_ephemeral,
            Key::LimitsMem => &given.limits_mem,
            Key::RequestsCpu => &given.requests_cpu,
            Key::RequestsEphemeral => &given.requests_ephemeral,
            Key::RequestsMem => &given.requests_mem,
            _ => return false,
        };
        set.is_some()
    }

    /// A boolean; false when it is none (then a problem is noted elsewhere).
    pub(crate) fn flag(&self, key: Key) -> bool {
        parse_bool(&self.text(key)).unwrap_or(false)
    }

    /// A whole number; 0 when it is none.
    pub(crate) fn whole(&self, key: Key) -> i64 {
        self.text(key).parse().unwrap_or(0)
    }

    /// A whole number from 0; 0 when it is none.
    pub(crate) fn count(&self, key: Key) -> u64 {
        self.text(key).parse().unwrap_or(0)
    }

    /// A number; 0 when it is none.
    pub(crate) fn float(&self, key: Key) -> f64 {
        self.text(key).parse().unwrap_or(0.0)
    }

    /// The value for one name of a family.
    pub(crate) fn named(&self, family: Key, raw: &str) -> Option<&'a str> {
        let name = family.row().name;
        let found = self.other.binary_search_by(|note| {
            let own = name.bytes().chain(raw.bytes());
            note.name.bytes().cmp(own)
        });
        found.ok().and_then(|i| self.other.get(i)).map(|note| note.value)
    }

    /// All names of a family with their values, sorted.
    pub(crate) fn family(&self, family: Key) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.families().filter(move |(key, ..)| *key == family).map(|(_, raw, value)| (raw, value))
    }

    /// The other keys with their family and name, sorted.
    pub(crate) fn families(&self) -> impl Iterator<Item = (Key, &'a str, &'a str)> {
        self.other
            .iter()
            .filter_map(|note| note.family.map(|(row, raw)| (row.key, raw, note.value)))
    }

    /// Keys under another prefix that is nearly ours.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = &'a str> {
        self.foreign.iter().copied()
    }

    /// Keys under our prefix that mean nothing: misspelt, most likely.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = &'a str> {
        self.other.iter().filter(|note| note.family.is_none()).map(|note| note.name)
    }
}

fn exact_row(name: &str) -> Option<Key> {
    if name.ends_with('-') {
        return None;
    }
    KEYS.binary_search_by(|row| row.name.cmp(name)).ok().and_then(|i| KEYS.get(i)).map(|r| r.key)
}

/// Whether a key without [`PREFIX`] is in the table.
pub(crate) fn is_known(name: &str) -> bool {
    exact_row(name).is_some() || family_row(name).is_some()
}

/// The family of a key and the name in it: the longest prefix that leaves a name.
fn family_row(name: &str) -> Option<(&'static Row, &str)> {
    let mut families = KEYS.iter().rev().filter(|row| row.name.ends_with('-'));
    families.find_map(|row| {
        let raw = name.strip_prefix(row.name).filter(|raw| !raw.is_empty())?;
        Some((row, raw))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        for pair in KEYS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} {}", pair[0].name, pair[1].name);
        }
        for (i, row) in KEYS.iter().enumerate() {
            assert_eq!(row.key as usize, i);
            assert!(row.doc.ends_with('.'), "{}", row.name);
        }
    }

    #[test]
    fn a_name_belongs_to_the_longest_family() {
        for (name, want) in [
            ("agent-inject-template-file-x", Some((Key::TemplateFile, "x"))),
            ("agent-inject-template-file-", Some((Key::Template, "file-"))),
            ("agent-inject-template-x", Some((Key::Template, "x"))),
            ("agent-inject-template-", None),
            ("agent-injekt-secret-x", None),
        ] {
            assert_eq!(family_row(name).map(|(row, raw)| (row.key, raw)), want, "{name}");
        }
    }
}
