//! Command line of the mode `webhook`: one table of flags and environment variables, and its reader.
//!
//! The environment beats a flag, a flag beats the default. An empty variable counts as unset.

mod notices;

use std::fmt;
use std::process::ExitCode;

use base64::Engine as _;

use self::notices::notices;
use super::address;
use super::help;
use super::words::{self, Flag, Word};
use crate::base::address::{Address, shown};
use crate::base::go_duration;
use crate::base::report::OneLine;
use crate::domain::agent_config::Environment;
use crate::domain::inject::{AgentChoice, InjectConfig, quantity};
use crate::domain::serving::objects::{Cluster, SERVICE_ACCOUNT_DIR};
use crate::run;
use crate::run::webhook::{Automation, Certificate, Config};
use crate::telemetry::log::{Format, Level, Log};

/// Something wrong with one option, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The flag or variable as the user wrote it.
    pub(super) option: String,
    /// Its value, if there is one that may be shown.
    pub(super) value: Option<String>,
    /// What is wrong, one clause.
    pub(super) message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(value) = &self.value else {
            return write!(f, "{}: {}", self.option, self.message);
        };
        write!(f, "{}={:?}: {}", self.option, shown(value), self.message)
    }
}

pub(crate) fn main(words: &[String], env: &Environment) -> ExitCode {
    let settings = match Settings::read(words, env) {
        Ok(Parsed::Help) => {
            super::say(&help());
            return ExitCode::SUCCESS;
        }
        Ok(Parsed::Settings(settings)) => *settings,
        Err(mistakes) => {
            for mistake in mistakes {
                super::complain(&format!("{mistake}\n"));
            }
            super::complain("see vault-injector webhook --help\n");
            return ExitCode::from(super::EXIT_USAGE);
        }
    };
    let log = Log::new(settings.log_level, settings.log_format, "handler");
    for notice in notices(&settings, env) {
        log.warn(notice.message, &[("option", &notice.option)]);
    }
    match run::webhook::run(settings.into_config(env), log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.error("webhook ended", &[("error", &OneLine(&error))]);
            ExitCode::FAILURE
        }
    }
}

/// The webhook's decision defaults as the environment sets them, for a caller that serves nothing.
/// No address is asked for: a pod may name its own.
pub(crate) fn inject_config(env: &Environment) -> Result<InjectConfig, Vec<Mistake>> {
    let mut settings = Settings::default();
    let mistakes = settings.apply_environment(env);
    if mistakes.is_empty() { Ok(settings.inject) } else { Err(mistakes) }
}

/// What the options say, before it is known whether they fit together.
#[derive(Clone, Debug, PartialEq)]
struct Settings {
    inject: InjectConfig,
    is_log_format_known: bool,
    listen: String,
    log_format: Format,
    log_level: Level,
    service_account_dir: String,
    telemetry_path: String,
    tls_auto: String,
    tls_auto_hosts: String,
    tls_ca_cert_file: String,
    tls_cert_file: String,
    tls_cipher_suites: String,
    tls_key_file: String,
    tls_min_version: MinVersion,
    use_leader_elector: bool,
}

/// The lowest TLS version that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MinVersion {
    /// TLS 1.0 or 1.1, which are served as 1.2.
    Older,
    /// TLS 1.2
    Tls12,
    /// TLS 1.3
    Tls13,
}

enum Parsed {
    Help,
    Settings(Box<Settings>),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            inject: InjectConfig::default(),
            is_log_format_known: true,
            listen: ":8080".into(),
            log_format: Format::Standard,
            log_level: Level::Info,
            service_account_dir: SERVICE_ACCOUNT_DIR.into(),
            telemetry_path: "/metrics".into(),
            tls_auto: String::new(),
            tls_auto_hosts: String::new(),
            tls_ca_cert_file: String::new(),
            tls_cert_file: String::new(),
            tls_cipher_suites: String::new(),
            tls_key_file: String::new(),
            tls_min_version: MinVersion::Tls12,
            use_leader_elector: false,
        }
    }
}

impl Settings {
    fn read(words: &[String], env: &Environment) -> Result<Parsed, Vec<Mistake>> {
        let mut settings = Self::default();
        let Some(mut mistakes) = settings.apply_words(words) else { return Ok(Parsed::Help) };
        mistakes.extend(settings.apply_environment(env));
        mistakes.extend(settings.contradictions());
        mistakes.extend(settings.unusable_cluster(env));
        if mistakes.is_empty() { Ok(Parsed::Settings(Box::new(settings))) } else { Err(mistakes) }
    }

    /// Go's flag syntax: one or two dashes, `-f=v` or `-f v`, of a boolean only `-f` or `-f=v`. The first
    /// word that is no flag ends it, and what follows is ignored: the official chart passes `2>&1`.
    /// `None` when help is asked for.
    fn apply_words(&mut self, words: &[String]) -> Option<Vec<Mistake>> {
        let flags: Vec<Flag<'_>> = TABLE
            .iter()
            .map(|row| Flag {
                long: row.flag,
                short: None,
                is_switch: matches!(row.field, Field::Switch(_)),
            })
            .collect();
        let line = words::read(words, &flags, true);
        if line.help {
            return None;
        }
        let mut mistakes: Vec<Mistake> = line
            .mistakes
            .into_iter()
            .map(|(option, message)| Mistake { option, value: None, message })
            .collect();
        for word in line.words {
            let Word::Flag { index, value } = word else { continue };
            let Some(row) = TABLE.get(index) else { continue };
            let value = value.as_deref().unwrap_or("true");
            mistakes.extend(self.apply(row, format!("-{}", row.flag), value));
        }
        Some(mistakes)
    }

    fn apply_environment(&mut self, env: &Environment) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        for row in TABLE {
            let name = row.variable();
            if let Some(value) = env.get(&name).filter(|value| !value.is_empty()) {
                mistakes.extend(self.apply(row, name, value));
            }
        }
        mistakes
    }

    fn apply(&mut self, row: &Row, option: String, value: &str) -> Option<Mistake> {
        let message = row.field.set(self, value).err()?;
        let is_shown = !matches!(row.field, Field::Unseen(_));
        Some(Mistake { option, value: is_shown.then(|| value.to_owned()), message })
    }

    /// What no single option shows.
    fn contradictions(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut lack = |option: &str, message: &str| {
            mistakes.push(Mistake { option: option.into(), value: None, message: message.into() });
        };
        if self.inject.address.is_empty() {
            lack("AGENT_INJECT_VAULT_ADDR", "no Vault address configured, want https://HOST:PORT");
        }
        match (self.tls_cert_file.is_empty(), self.tls_key_file.is_empty()) {
            (false, true) => {
                lack("AGENT_INJECT_TLS_KEY_FILE", "a certificate file needs its key file")
            }
            (true, false) => {
                lack("AGENT_INJECT_TLS_CERT_FILE", "a key file needs its certificate file")
            }
            (true, true) | (false, false) => {}
        }
        let given = &self.inject.resources;
        let amount = |text: &Option<String>| quantity::parse(text.as_deref()?).ok();
        for (name, limit, request) in [
            ("CPU", &given.limits_cpu, &given.requests_cpu),
            ("EPHEMERAL", &given.limits_ephemeral, &given.requests_ephemeral),
            ("MEM", &given.limits_mem, &given.requests_mem),
        ] {
            if let (Some(most), Some(least)) = (amount(limit), amount(request))
                && least.nanos() > most.nanos()
            {
                lack(
                    &format!("AGENT_INJECT_{name}_REQUEST"),
                    &format!(
                        "more than AGENT_INJECT_{name}_LIMIT, lower the one or raise the other"
                    ),
                );
            }
        }
        mistakes
    }

    fn into_config(self, env: &Environment) -> Config {
        let automation = self.automation(env);
        let certificate = if !self.tls_cert_file.is_empty() {
            Certificate::Files { certificate: self.tls_cert_file, key: self.tls_key_file }
        } else if automation.is_some() {
            Certificate::Automatic
        } else {
            Certificate::SelfSigned { hosts: list(&self.tls_auto_hosts) }
        };
        Config {
            automation,
            certificate,
            cipher_suites: list(&self.tls_cipher_suites),
            inject: self.inject,
            listen: self.listen,
            telemetry_path: self.telemetry_path,
            tls13_only: self.tls_min_version == MinVersion::Tls13,
        }
    }
}

impl Settings {
    /// Where the API server is: known in every pod, and outside of clusters to whoever says so.
    fn cluster(&self, env: &Environment) -> Option<Cluster> {
        let set = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
        Some(Cluster {
            host: set("KUBERNETES_SERVICE_HOST")?,
            port: set("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".into()),
            service_account_dir: self.service_account_dir.clone(),
        })
    }

    /// What is wrong with the API server's address, where it is needed.
    fn unusable_cluster(&self, env: &Environment) -> Option<Mistake> {
        let cluster = self.automation(env)?.cluster?;
        let error = Address::of_https(&cluster.host, &cluster.port).err()?;
        Some(Mistake {
            option: "KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT".into(),
            value: Some(format!("{}:{}", cluster.host, cluster.port)),
            message: error.to_string(),
        })
    }

    /// What the API server is to know of our certificate.
    fn automation(&self, env: &Environment) -> Option<Automation> {
        let is_file_mode = !self.tls_cert_file.is_empty();
        if self.tls_auto.is_empty() || (is_file_mode && self.tls_ca_cert_file.is_empty()) {
            return None;
        }
        let get = |name: &str| env.get(name).cloned().unwrap_or_default();
        // The kubelet calls the machine like the pod, unless the pod uses the node's network.
        let pod = Some(get("POD_NAME")).filter(|name| !name.is_empty());
        Some(Automation {
            ca_file: is_file_mode.then(|| self.tls_ca_cert_file.clone()),
            cluster: self.cluster(env),
            configuration: self.tls_auto.clone(),
            elects: self.use_leader_elector && !is_file_mode,
            hosts: list(&self.tls_auto_hosts),
            namespace: get("NAMESPACE"),
            pod: pod.unwrap_or_else(|| get("HOSTNAME")),
        })
    }
}

/// The items of a comma list, trimmed, empty ones left out.
fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(String::from).collect()
}

fn help() -> String {
    let mut text = String::from(
        "usage: vault-injector webhook [-FLAG=VALUE | -FLAG VALUE | -SWITCH]...\n\n\
         Serves /mutate, /health/ready, /health/live and metrics, over HTTPS.\n\
         Each option has a variable and most have a flag; the variable beats the flag.\n\n",
    );
    for row in TABLE {
        let flag = if row.flag.is_empty() { String::new() } else { format!("-{}, ", row.flag) };
        let default = if row.default.is_empty() {
            String::new()
        } else {
            format!(" (default {})", row.default)
        };
        help::wrap(&format!("{flag}{}", row.variable()), 2, &mut text);
        help::wrap(&format!("{}{default}", row.doc), 6, &mut text);
    }
    text
}

/// What all variables start with.
const PREFIX: &str = "AGENT_INJECT_";

/// One option.
struct Row {
    /// Name after the dash; empty when there is only a variable.
    flag: &'static str,
    /// Name of the variable without [`PREFIX`].
    variable: &'static str,
    /// What counts when nobody says anything, as text.
    default: &'static str,
    field: Field,
    doc: &'static str,
}

impl Row {
    fn variable(&self) -> String {
        format!("{PREFIX}{}", self.variable)
    }
}

/// Where a value goes and what it must look like.
enum Field {
    /// Go's duration syntax, kept as text.
    Duration(fn(&mut Settings) -> &mut String),
    /// A numeric user or group, kept as text.
    Id(fn(&mut Settings) -> &mut String),
    /// A text that is absent until somebody gives it.
    Quantity(fn(&mut Settings) -> &mut Option<String>),
    /// Anything with rules of its own.
    Read(fn(&mut Settings, &str) -> Result<(), String>),
    /// The same of what may hold a password.
    Unseen(fn(&mut Settings, &str) -> Result<(), String>),
    /// A boolean in Go's syntax; the empty text is false.
    Switch(fn(&mut Settings) -> &mut bool),
    /// Any text.
    Text(fn(&mut Settings) -> &mut String),
    /// A duration as Vault reads it (`30`, `30s`, `2d`), kept as text.
    VaultDuration(fn(&mut Settings) -> &mut String),
}

impl Field {
    fn set(&self, settings: &mut Settings, value: &str) -> Result<(), String> {
        match self {
            Self::Duration(at) => {
                if !value.is_empty() {
                    go_duration::parse(value).map_err(|e| e.to_string())?;
                }
                *at(settings) = value.into();
            }
            Self::VaultDuration(at) => {
                if !value.is_empty() {
                    go_duration::parse_vault(value).map_err(|e| e.to_string())?;
                }
                *at(settings) = value.into();
            }
            Self::Id(at) => {
                if !value.is_empty() && !value.parse::<i64>().is_ok_and(|id| id >= 0) {
                    return Err("not a numeric id, want a whole number from 0".into());
                }
                *at(settings) = value.into();
            }
            Self::Quantity(at) => {
                if !value.is_empty() {
                    quantity::canonical(value).map_err(|e| e.to_string())?;
                }
                *at(settings) = Some(value.into());
            }
            Self::Read(read) | Self::Unseen(read) => read(settings, value)?,
            Self::Switch(at) => {
                *at(settings) = match value {
                    "1" | "t" | "T" | "TRUE" | "true" | "True" => true,
                    "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => false,
                    _ => return Err("not a boolean, want true or false".into()),
                }
            }
            Self::Text(at) => *at(settings) = value.into(),
        }
        Ok(())
    }
}

fn read_listen(settings: &mut Settings, value: &str) -> Result<(), String> {
    settings.listen = value.into();
    address::check_listen(value)
}

fn read_address(settings: &mut Settings, value: &str) -> Result<(), String> {
    settings.inject.address = value.into();
    address::check_vault(value)
}

fn read_proxy(settings: &mut Settings, value: &str) -> Result<(), String> {
    settings.inject.proxy_address = value.into();
    address::check_proxy(value)
}

fn read_agent(settings: &mut Settings, value: &str) -> Result<(), String> {
    settings.inject.agent = match value {
        "auto" => AgentChoice::Auto,
        "native" => AgentChoice::Native,
        "vault" => AgentChoice::Vault,
        _ => return Err("unknown agent flavour, want auto, native or vault".into()),
    };
    Ok(())
}

/// PEM text, or base64 of it.
fn read_ca_cert_bytes(settings: &mut Settings, value: &str) -> Result<(), String> {
    const MARK: &str = "-----BEGIN CERTIFICATE-----";
    let is_pem = |text: &String| text.contains(MARK);
    let decoded = || {
        let bytes = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok()?;
        String::from_utf8(bytes).ok().filter(is_pem)
    };
    let pem = Some(value.to_owned()).filter(is_pem).or_else(decoded);
    settings.inject.ca_cert_bytes =
        pem.ok_or("neither PEM certificates nor base64 of PEM certificates")?;
    Ok(())
}

fn read_default_template(settings: &mut Settings, value: &str) -> Result<(), String> {
    if !matches!(value, "map" | "json") {
        return Err("unknown default template, want map or json".into());
    }
    settings.inject.default_template = value.into();
    Ok(())
}

/// As for vault-k8s, what is not `json` is text.
fn read_log_format(settings: &mut Settings, value: &str) -> Result<(), String> {
    settings.log_format = if value == "json" { Format::Json } else { Format::Standard };
    settings.is_log_format_known = matches!(value, "json" | "standard");
    Ok(())
}

fn read_log_level(settings: &mut Settings, value: &str) -> Result<(), String> {
    settings.log_level =
        Level::parse(value).ok_or("unknown log level, want trace, debug, info, warn or error")?;
    Ok(())
}

fn read_min_version(settings: &mut Settings, value: &str) -> Result<(), String> {
    settings.tls_min_version = match value {
        "tls10" | "tls11" => MinVersion::Older,
        "tls12" => MinVersion::Tls12,
        "tls13" => MinVersion::Tls13,
        _ => return Err("unknown TLS version, want tls12 or tls13".into()),
    };
    Ok(())
}

fn read_cipher_suites(settings: &mut Settings, value: &str) -> Result<(), String> {
    run::webhook::check_cipher_suites(&list(value)).map_err(|error| error.to_string())?;
    settings.tls_cipher_suites = value.into();
    Ok(())
}

fn read_telemetry_path(settings: &mut Settings, value: &str) -> Result<(), String> {
    if !value.is_empty() && !value.starts_with('/') {
        return Err("not a path, want one that starts with /".into());
    }
    if ["/mutate", "/health/live", "/health/ready"].contains(&value) {
        return Err("this path is taken, want another for the metrics".into());
    }
    settings.telemetry_path = value.into();
    Ok(())
}

fn read_max_connections(settings: &mut Settings, value: &str) -> Result<(), String> {
    settings.inject.max_connections_per_host =
        value.parse().ok().filter(|n| *n >= 0).ok_or("not a whole number from 0")?;
    Ok(())
}

fn read_renewal_threshold(settings: &mut Settings, value: &str) -> Result<(), String> {
    settings.inject.lease_renewal_threshold = value
        .parse()
        .ok()
        .filter(|part| (0.0..=1.0).contains(part))
        .ok_or("not a part of a lease, want a number from 0 to 1")?;
    Ok(())
}

const fn row(
    flag: &'static str,
    variable: &'static str,
    default: &'static str,
    field: Field,
    doc: &'static str,
) -> Row {
    Row { flag, variable, default, field, doc }
}

/// Every option, by subject.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    // The process.
    row("listen", "LISTEN", ":8080", Field::Read(read_listen), "address to serve on"),
    row("log-format", "LOG_FORMAT", "standard", Field::Read(read_log_format), "json, or standard for text"),
    row("log-level", "LOG_LEVEL", "info", Field::Read(read_log_level), "trace, debug, info, warn or error"),
    row("", "SERVICE_ACCOUNT_DIR", SERVICE_ACCOUNT_DIR, Field::Text(|s| &mut s.service_account_dir), "folder of token, ca.crt and namespace for the API server"),
    row("telemetry-path", "TELEMETRY_PATH", "/metrics", Field::Read(read_telemetry_path), "path of the metrics; an empty flag turns them off"),
    // Its certificate.
    row("tls-auto", "TLS_AUTO", "", Field::Text(|s| &mut s.tls_auto), "MutatingWebhookConfiguration whose caBundle is kept: the certificate is then made and renewed by itself"),
    row("tls-auto-hosts", "TLS_AUTO_HOSTS", "", Field::Text(|s| &mut s.tls_auto_hosts), "comma list of names and addresses that API servers reach us by: of the certificate made here, and of the entries whose caBundle is kept"),
    row("tls-ca-cert-file", "TLS_CA_CERT_FILE", "", Field::Text(|s| &mut s.tls_ca_cert_file), "CA certificates of the certificate file, to keep in the caBundle of AGENT_INJECT_TLS_AUTO"),
    row("tls-cert-file", "TLS_CERT_FILE", "", Field::Text(|s| &mut s.tls_cert_file), "certificate chain to serve with, PEM, read again when it changes; made here without it"),
    row("tls-cipher-suites", "TLS_CIPHER_SUITES", "", Field::Read(read_cipher_suites), "comma list of TLS 1.2 cipher suites to allow; those that are not known are left out"),
    row("tls-key-file", "TLS_KEY_FILE", "", Field::Text(|s| &mut s.tls_key_file), "key of the certificate, PEM"),
    row("tls-min-version", "TLS_MIN_VERSION", "tls12", Field::Read(read_min_version), "lowest TLS version, tls12 or tls13"),
    row("use-leader-elector", "USE_LEADER_ELECTOR", "false", Field::Switch(|s| &mut s.use_leader_elector), "let one of several replicas keep CA and caBundle for all"),
    // The agents' image and identity.
    row("agent", "AGENT", "auto", Field::Read(read_agent), "flavour of the agents: native, vault, or auto to tell by the image"),
    row("vault-image", "VAULT_IMAGE", crate::domain::inject::DEFAULT_IMAGE, Field::Text(|s| &mut s.inject.image), "image of the agents"),
    row("run-as-group", "RUN_AS_GROUP", "1000", Field::Id(|s| &mut s.inject.run_as_group), "group of the agents"),
    row("run-as-same-user", "RUN_AS_SAME_USER", "false", Field::Switch(|s| &mut s.inject.run_as_same_user), "run the agents as the user of the pod's first container"),
    row("run-as-user", "RUN_AS_USER", "100", Field::Id(|s| &mut s.inject.run_as_user), "user of the agents"),
    row("set-security-context", "SET_SECURITY_CONTEXT", "true", Field::Switch(|s| &mut s.inject.set_security_context), "give the agents a security context"),
    // How agents reach Vault and log in.
    row("auth-max-backoff", "AUTH_MAX_BACKOFF", "", Field::Duration(|s| &mut s.inject.auth_max_backoff), "longest wait between failed logins"),
    row("auth-min-backoff", "AUTH_MIN_BACKOFF", "", Field::Duration(|s| &mut s.inject.auth_min_backoff), "shortest wait between failed logins"),
    row("disable-idle-connections", "DISABLE_IDLE_CONNECTIONS", "", Field::Text(|s| &mut s.inject.disable_idle_connections), "comma list of agent features that keep no idle connections"),
    row("disable-keep-alives", "DISABLE_KEEP_ALIVES", "", Field::Text(|s| &mut s.inject.disable_keep_alives), "comma list of agent features that reuse no connections"),
    row("proxy-address", "PROXY_ADDR", "", Field::Unseen(read_proxy), "HTTP proxy between agents and Vault"),
    row("revoke-on-shutdown", "REVOKE_ON_SHUTDOWN", "false", Field::Switch(|s| &mut s.inject.revoke_on_shutdown), "agents revoke their token when they end"),
    row("vault-address", "VAULT_ADDR", "", Field::Read(read_address), "address of Vault, https://HOST:PORT; required"),
    row("vault-auth-path", "VAULT_AUTH_PATH", "auth/kubernetes", Field::Text(|s| &mut s.inject.auth_path), "mount of the login method"),
    row("vault-auth-type", "VAULT_AUTH_TYPE", "kubernetes", Field::Text(|s| &mut s.inject.auth_type), "login method"),
    row("vault-cacert-bytes", "VAULT_CACERT_BYTES", "", Field::Read(read_ca_cert_bytes), "CA certificates of Vault, PEM or base64 of PEM"),
    row("vault-namespace", "VAULT_NAMESPACE", "", Field::Text(|s| &mut s.inject.namespace), "namespace of Vault"),
    // Templates.
    row("default-template", "DEFAULT_TEMPLATE", "map", Field::Read(read_default_template), "how secrets without a template look, map or json"),
    row("template-config-exit-on-retry-failure", "TEMPLATE_CONFIG_EXIT_ON_RETRY_FAILURE", "true", Field::Switch(|s| &mut s.inject.exit_on_retry_failure), "agents end when a secret stays unreadable"),
    row("", "TEMPLATE_LEASE_RENEWAL_THRESHOLD", "0", Field::Read(read_renewal_threshold), "part of a lease after which a secret is read again, 0 for the agent's own"),
    row("", "TEMPLATE_MAX_CONNECTIONS_PER_HOST", "0", Field::Read(read_max_connections), "connections of one agent to Vault, 0 for the agent's own"),
    row("template-static-secret-render-interval", "TEMPLATE_STATIC_SECRET_RENDER_INTERVAL", "", Field::VaultDuration(|s| &mut s.inject.static_secret_render_interval), "how often secrets without a lease are read again"),
    // Resources of the agents; without a default here, the agent's flavour has one.
    row("cpu-limit", "CPU_LIMIT", "", Field::Quantity(|s| &mut s.inject.resources.limits_cpu), "CPU limit of the agents"),
    row("cpu-request", "CPU_REQUEST", "", Field::Quantity(|s| &mut s.inject.resources.requests_cpu), "CPU request of the agents"),
    row("ephemeral-storage-limit", "EPHEMERAL_LIMIT", "", Field::Quantity(|s| &mut s.inject.resources.limits_ephemeral), "ephemeral storage limit of the agents"),
    row("ephemeral-storage-request", "EPHEMERAL_REQUEST", "", Field::Quantity(|s| &mut s.inject.resources.requests_ephemeral), "ephemeral storage request of the agents"),
    row("memory-limit", "MEM_LIMIT", "", Field::Quantity(|s| &mut s.inject.resources.limits_mem), "memory limit of the agents"),
    row("memory-request", "MEM_REQUEST", "", Field::Quantity(|s| &mut s.inject.resources.requests_mem), "memory request of the agents"),
];

#[cfg(test)]
mod tests;
