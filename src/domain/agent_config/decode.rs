//! From a document to a checked configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::connection::{self, variable};
use super::section::{ConfigError, Notes, Section};
use super::settings::{UNKNOWN, WithoutEffect};
use super::{
    AgentConfig, AuthKind, AuthMethod, Command, Environment, InjectorSettings, Quiet, Sink,
    TemplateBody, TemplateConfig, TemplateSettings,
};
use crate::base::go_duration;
use crate::base::json::Json;

/// Where Kubernetes puts a pod's own token.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// How often Vault Agent looks for a new token that it is to remove.
const JWT_READ_PERIOD: Duration = Duration::from_millis(500);

/// Decodes a document, with the environment over its block `vault`. All mistakes are reported together,
/// sorted by place.
pub fn decode(document: &Json, env: &Environment) -> Result<AgentConfig, Vec<ConfigError>> {
    let notes = Notes::default();
    let config = read(document, env, &notes);
    let (errors, ignored) = notes.into_parts();
    match config {
        Some(config) if errors.is_empty() => Ok(AgentConfig { ignored, ..config }),
        Some(_) | None => Err(errors),
    }
}

/// The settings of a document that have no effect here, each with what follows, whatever mistakes there may
/// be beside them.
pub fn without_effect(document: &Json) -> Vec<WithoutEffect> {
    let notes = Notes::default();
    let _mistakes_are_told_elsewhere = read(document, &Environment::new(), &notes);
    notes.into_parts().1
}

/// Reads a whole document. Nothing comes of it when there is no login; all else is in the notes.
fn read(document: &Json, env: &Environment, notes: &Notes) -> Option<AgentConfig> {
    let Some(members) = document.as_object() else {
        notes.error("configuration", "want an object with auto_auth, vault and template");
        return None;
    };
    let top = Section::new(members, notes);
    let vault = top.block("vault");
    let connection = connection::decode(vault.as_ref(), env, notes);
    let vault_namespace = vault.as_ref().and_then(|vault| vault.text("namespace"));
    if let Some(vault) = &vault {
        vault.finish();
    }
    for key in ["disable_idle_connections", "disable_keep_alives"] {
        connection_words(&top, notes, key);
    }
    let mut templates: Vec<_> = top.blocks("template").iter().map(template).collect();
    let (injector, own_templates) = injector(&top);
    templates.extend(own_templates);
    last_of_each_file(&mut templates, notes);
    let auto_auth = top.block("auto_auth");
    if auto_auth.is_none() {
        top.error("auto_auth", "missing: say how to log in");
    }
    let method = auto_auth.as_ref().and_then(|auto| method(auto, vault_namespace, env));
    let sinks: Vec<_> = auto_auth.as_ref().map(sinks).unwrap_or_default();
    // What is refused as a whole would have been something to do.
    let is_idle = templates.is_empty() && sinks.is_empty() && !members.contains_key("env_template");
    if let Some(auto_auth) = auto_auth.as_ref().filter(|_| is_idle) {
        auto_auth.error("sink", "nothing to do: want a sink or a template");
    }
    let template_config = template_settings(top.block("template_config").as_ref());
    let (pid_file, exit_after_auth) = (top.text("pid_file"), top.truth("exit_after_auth", false));
    if let Some(auto_auth) = &auto_auth {
        auto_auth.finish();
    }
    // Read where the log is made.
    for key in ["log_format", "log_level"] {
        let _asked = top.value(key);
    }
    top.finish();
    Some(AgentConfig {
        method: method?,
        sinks,
        exit_after_auth,
        pid_file,
        vault: connection,
        templates,
        template_config,
        injector,
        ignored: Vec::new(),
    })
}

/// Which connections not to keep, in the words of Vault Agent. None is kept here for longer than a round of
/// requests takes, so that a wrong word is told and no reason not to start.
fn connection_words(top: &Section<'_>, notes: &Notes, key: &'static str) {
    const KNOWN: &[&str] = &["auto-auth", "caching", "proxying", "templating"];
    for word in top.names(key) {
        let word = word.trim();
        if !word.is_empty() && !KNOWN.contains(&word) {
            notes.ignore(format!("{key}: \"{word}\""), UNKNOWN);
        }
    }
}

/// Of several templates for one file the last one counts, as in Vault Agent, whose files hold what was
/// written last. Kept up one by one they would take turns.
fn last_of_each_file(templates: &mut Vec<TemplateConfig>, notes: &Notes) {
    let mut seen = BTreeSet::new();
    templates.reverse();
    templates.retain(|template| {
        let is_last = seen.insert(template.destination.clone());
        if !is_last && !template.destination.is_empty() {
            let place = format!("template for {} before the last one", template.destination);
            notes.ignore(place, "of several templates for one file the last one counts");
        }
        is_last
    });
    templates.reverse();
}

/// `auto_auth.method`; `None` after a mistake was noted.
fn method(
    auto_auth: &Section<'_>,
    vault_namespace: Option<String>,
    env: &Environment,
) -> Option<AuthMethod> {
    let own_keys = ["type", "config", "mount_path", "namespace", "wrap_ttl"];
    let mut methods = auto_auth.labelled("method", &own_keys);
    if methods.len() != 1 {
        auto_auth.error("method", format!("{} methods, want one", methods.len()));
        return None;
    }
    let (label, method) = methods.pop()?;
    let kind_name = method.text("type").or(label).unwrap_or_default().to_ascii_lowercase();
    if kind_name.is_empty() {
        method.error("type", "missing: want approle, jwt, kubernetes or token_file");
        return None;
    }
    let nothing = BTreeMap::new();
    let config = method.block("config").unwrap_or_else(|| method.beside("config", &nothing));
    let kind = auth_kind(&kind_name, &method, &config);
    config.finish();
    let min_backoff = method.duration("min_backoff", Duration::from_secs(1));
    let max_backoff = method.duration("max_backoff", Duration::from_secs(300));
    if min_backoff > max_backoff {
        let reason = format!("{min_backoff:?} is longer than max_backoff, {max_backoff:?}");
        method.error("min_backoff", reason);
    }
    let namespace = variable(env, "NAMESPACE").map(str::to_owned);
    let namespace = namespace.or_else(|| method.text("namespace")).or(vault_namespace);
    if let Some(namespace) = namespace.iter().find(|n| !n.bytes().all(|b| b.is_ascii_graphic())) {
        method.error("namespace", format!("{namespace:?} has a blank or an unprintable character"));
    }
    let mount_path = method.text("mount_path").unwrap_or_else(|| format!("auth/{kind_name}"));
    let exit_on_err = method.truth("exit_on_err", false);
    method.finish();
    Some(AuthMethod {
        kind: kind?,
        mount_path: mount_path.trim_matches('/').to_owned(),
        namespace: namespace.as_deref().and_then(normal_namespace),
        min_backoff,
        max_backoff,
        exit_on_err,
    })
}

fn auth_kind(name: &str, method: &Section<'_>, config: &Section<'_>) -> Option<AuthKind> {
    match name {
        "approle" => Some(AuthKind::Approle {
            role_id_file_path: config.required("role_id_file_path"),
            secret_id_file_path: config.text("secret_id_file_path"),
            remove_secret_id_file_after_reading: config
                .truth("remove_secret_id_file_after_reading", true),
            secret_id_response_wrapping_path: config.text("secret_id_response_wrapping_path"),
        }),
        "jwt" => {
            // vault-k8s writes `token_path` for every method; Vault Agent wants `path`. The pod's own
            // token is not ours to remove.
            let token_path = config.text("token_path");
            let is_own_path = config.is_set("path") || token_path.is_none();
            let removes = config.truth("remove_jwt_after_reading", is_own_path);
            let period = config.duration("jwt_read_period", JWT_READ_PERIOD);
            if period.is_zero() {
                config.error("jwt_read_period", "want a time above zero");
            }
            Some(AuthKind::Jwt {
                role: config.required("role"),
                path: match token_path {
                    Some(token_path) if !is_own_path => token_path,
                    Some(_) | None => config.required("path"),
                },
                remove_jwt_after_reading: removes,
                remove_jwt_follows_symlinks: config.truth("remove_jwt_follows_symlinks", false),
                read_period: removes.then_some(period),
            })
        }
        "kubernetes" => Some(AuthKind::Kubernetes {
            role: config.required("role"),
            token_path: config
                .text("token_path")
                .unwrap_or_else(|| SERVICE_ACCOUNT_TOKEN.to_owned()),
        }),
        "token_file" => {
            Some(AuthKind::TokenFile { token_file_path: config.required("token_file_path") })
        }
        other => {
            let reason = format!(
                "\"{other}\" is not supported, want approle, jwt, kubernetes or token_file"
            );
            method.error("type", reason);
            None
        }
    }
}

fn sinks(auto_auth: &Section<'_>) -> Vec<Sink> {
    let own_keys = ["type", "config", "wrap_ttl", "dh_type", "dh_path"];
    let found = auto_auth.labelled("sink", &own_keys).into_iter().filter_map(|(label, sink)| {
        let kind = sink.text("type").or(label).unwrap_or_default();
        if !kind.eq_ignore_ascii_case("file") {
            sink.error("type", format!("\"{kind}\" is not supported, want file"));
            return None;
        }
        let config = sink.block("config");
        sink.finish();
        let Some(config) = config else {
            sink.error("config", "missing: want config with path");
            return None;
        };
        let mode = config.permissions("mode", 0o777).unwrap_or(0o640);
        let path = config.required("path");
        let (user, group) = (owner(&config, "uid"), owner(&config, "gid"));
        config.finish();
        Some(Sink { path, mode, user, group })
    });
    found.collect()
}

/// Number of a user or group; −1 is nobody's, as for the system call.
fn owner(section: &Section<'_>, key: &'static str) -> Option<u32> {
    match section.integer(key)? {
        -1 => None,
        number => u32::try_from(number).map_or_else(
            |_too_large| {
                section.error(key, format!("{number} is no number of a user or group"));
                None
            },
            Some,
        ),
    }
}

fn template_settings(section: Option<&Section<'_>>) -> TemplateSettings {
    const INTERVAL: Duration = Duration::from_secs(300);
    const THRESHOLD: f64 = 0.9;
    let Some(section) = section else {
        return TemplateSettings {
            exit_on_retry_failure: false,
            static_secret_render_interval: INTERVAL,
            lease_renewal_threshold: THRESHOLD,
            max_connections_per_host: None,
        };
    };
    let threshold = section.text("lease_renewal_threshold").map(|text| {
        let number = text.trim().parse::<f64>().ok().filter(|n| *n > 0.0 && *n < 1.0);
        number.unwrap_or_else(|| {
            let reason = format!("\"{text}\": want a number between 0 and 1, such as 0.9");
            section.error("lease_renewal_threshold", reason);
            THRESHOLD
        })
    });
    let interval = section.duration("static_secret_render_interval", INTERVAL);
    let exit_on_retry_failure = section.truth("exit_on_retry_failure", false);
    let connections = section.integer("max_connections_per_host").unwrap_or(0);
    let connections = u32::try_from(connections).unwrap_or_else(|_negative| {
        section
            .error("max_connections_per_host", format!("{connections}, want 0 (no limit) or more"));
        0
    });
    section.finish();
    TemplateSettings {
        exit_on_retry_failure,
        // Zero is "not set", as in Vault Agent.
        static_secret_render_interval: if interval.is_zero() { INTERVAL } else { interval },
        lease_renewal_threshold: threshold.unwrap_or(THRESHOLD),
        max_connections_per_host: Some(connections).filter(|count| *count > 0),
    }
}

fn template(section: &Section<'_>) -> TemplateConfig {
    let delimiter = |key, default: &str| section.text(key).unwrap_or_else(|| default.to_owned());
    let left_delimiter = delimiter("left_delimiter", "{{");
    let right_delimiter = delimiter("right_delimiter", "}}");
    let body = match (section.text("source"), section.text("contents")) {
        (Some(_), Some(_)) => {
            section.error("source", "both source and contents are given, want one");
            None
        }
        (Some(source), None) => {
            Some(TemplateBody::GoFile { source, left_delimiter, right_delimiter })
        }
        (None, contents) => {
            if contents.is_none() {
                section.error("contents", "missing or empty: want contents or source");
            }
            let contents = contents.unwrap_or_default();
            Some(TemplateBody::Go { contents, left_delimiter, right_delimiter })
        }
    };
    let error_on_missing_key = section.truth("error_on_missing_key", false);
    let sandbox_path = section.text("sandbox_path");
    let name = |new, old| section.text(new).or_else(|| section.text(old)).unwrap_or_default();
    let config = TemplateConfig {
        error_on_missing_key,
        sandbox_path,
        error_fatal: section.truth("error_fatal", true),
        backup: section.truth("backup", false),
        user: name("user", "uid"),
        group: name("group", "gid"),
        wait: wait(section),
        ..file(section, body)
    };
    section.finish();
    config
}

/// `wait`: `min:max`, `min`, or a block of both. Of several blocks the last one counts. As in Vault Agent, a
/// text with the longer time first is a mistake, while of a block the shortest time is kept to.
fn wait(section: &Section<'_>) -> Option<Quiet> {
    let is_text = !matches!(section.value("wait"), None | Some(Json::Array(_) | Json::Object(_)));
    let (min, max) = if is_text {
        let text = section.text("wait")?;
        let mut parts = text.splitn(2, ':').map(|part| go_duration::parse(part.trim()));
        let min = parts.next().transpose();
        let (Ok(Some(min)), Ok(max)) = (min, parts.next().transpose()) else {
            let reason = format!("\"{text}\": want two durations, such as 5s:20s, or one");
            section.error("wait", reason);
            return None;
        };
        (min, max)
    } else {
        let block = section.blocks("wait").pop()?;
        let is_set = block.value("max").is_some();
        let min = block.duration("min", Duration::ZERO);
        let max = block.duration("max", Duration::ZERO);
        block.finish();
        (min, is_set.then_some(max.max(min)))
    };
    let max = max.unwrap_or(min.saturating_mul(4));
    if max < min {
        section.error("wait", format!("{min:?} at least is longer than {max:?} at most"));
    }
    Some(Quiet { min, max }).filter(|quiet| !quiet.min.is_zero())
}

/// What a template of ours and one of Vault Agent have in common.
fn file(section: &Section<'_>, body: Option<TemplateBody>) -> TemplateConfig {
    // A mistake was noted when there is none; the whole is refused then.
    let nothing = || TemplateBody::Format { secret: String::new(), format: String::new() };
    TemplateConfig {
        destination: section.required("destination"),
        body: body.unwrap_or_else(nothing),
        command: command(section),
        perms: section.permissions("perms", 0o7777),
        error_on_missing_key: false,
        create_dest_dirs: section.truth("create_dest_dirs", true),
        sandbox_path: None,
        error_fatal: true,
        backup: false,
        user: String::new(),
        group: String::new(),
        wait: None,
    }
}

/// `exec { command, timeout }` is the newer spelling and wins.
fn command(section: &Section<'_>) -> Option<Command> {
    const TIMEOUT: Duration = Duration::from_secs(30);
    let mut words = section.words("command");
    let mut timeout = section.duration("command_timeout", TIMEOUT);
    if let Some(exec) = section.block("exec") {
        let own = exec.words("command");
        if !own.is_empty() && exec.truth("enabled", true) {
            words = own;
            timeout = exec.duration("timeout", TIMEOUT);
        }
        exec.finish();
    }
    (!words.is_empty()).then_some(Command { words, timeout })
}

/// The key `injector`: our own settings.
fn injector(top: &Section<'_>) -> (InjectorSettings, Vec<TemplateConfig>) {
    const GRACE: Duration = Duration::from_secs(5);
    let Some(own) = top.block("injector") else { return (InjectorSettings::default(), Vec::new()) };
    let grace = own.duration("revoke_grace", GRACE);
    let settings = InjectorSettings {
        state_file: own.text("state_file"),
        revoke_on_shutdown: own.truth("revoke_on_shutdown", false).then_some(grace),
    };
    let templates = own.blocks("template").iter().map(own_template).collect();
    own.finish();
    (settings, templates)
}

fn own_template(section: &Section<'_>) -> TemplateConfig {
    let secret = section.required("secret");
    let body = match (section.text("format"), section.text("engine")) {
        (Some(format), None) => Some(TemplateBody::Format { secret, format }),
        (None, Some(engine)) if engine == "tinytemplate" => {
            Some(TemplateBody::Tiny { secret, contents: section.required("contents") })
        }
        (None, Some(engine)) => {
            section.error("engine", format!("\"{engine}\" is unknown, want tinytemplate"));
            None
        }
        (Some(_), Some(_)) => {
            section.error("format", "both format and engine are given, want one");
            None
        }
        (None, None) => {
            section.error("format", "missing: want format, or engine with contents");
            None
        }
    };
    let config = file(section, body);
    section.finish();
    config
}

/// Without a leading slash, with one trailing slash; nothing and `root` are no namespace.
pub(super) fn normal_namespace(text: &str) -> Option<String> {
    match text.trim().trim_matches('/') {
        "" | "root" => None,
        path => Some(format!("{path}/")),
    }
}

#[cfg(test)]
mod tests;
