//! The agent's configuration document: what Vault Agent reads, and our own settings under `injector`.

use std::collections::BTreeMap;

use super::Flavor;
use super::annotations::{Key, TOKEN};
use super::commands::Command;
use super::json_text::{JsonText, float};
use super::plan::{CACHE_PATH, Plan, Side};
use super::problems::Problems;
use super::secrets::{Body, SecretFile};
use super::token::USUAL_FILE;
use super::value::{check, parse_mode};
use crate::base::json::Json;
use crate::domain::agent_config;

/// The document of one container, one line.
pub(crate) fn document(plan: &Plan<'_>, side: Side) -> String {
    let mut out = JsonText::with_capacity(2048);
    out.object(|out| {
        out.key("auto_auth").object(|out| {
            out.key("method").object(|out| method(plan, out));
            out.key("sink").array(|out| sinks(plan, out));
        });
        out.key("exit_after_auth").raw(if side == Side::Init { "true" } else { "false" });
        out.member("pid_file", "/home/vault/.pid");
        out.key("vault").object(|out| connection(plan, out));
        templates(plan, side, out);
        listener_and_cache(plan, side, out);
        out.key("template_config").object(|out| template_config(plan, out));
        for (name, key) in [
            ("disable_idle_connections", Key::DisableIdle),
            ("disable_keep_alives", Key::DisableKeepAlives),
        ] {
            let list = plan.notes.text(key);
            if !list.is_empty() {
                out.strings(name, list.split(','));
            }
        }
        if let Some(stanza) = &plan.telemetry {
            out.key("telemetry").raw(stanza);
        }
        if plan.flavor == Flavor::Native {
            out.key("injector").object(|out| injector(plan, side, out));
        }
    });
    out.into_text()
}

/// Notes why the native agent would refuse what these annotations make of its configuration: a pod that cannot
/// start is refused before it is made.
///
/// The agent's own reader is asked, so the two cannot drift apart; and only for annotations that are not checked
/// by their kind alone, since asking costs as much as writing.
pub(crate) fn refusals(plan: &Plan<'_>, problems: &mut Problems) {
    let notes = &plan.notes;
    let unchecked = [
        Key::AuthMaxBackoff,
        Key::AuthMinBackoff,
        Key::AuthType,
        Key::ClientMaxRetries,
        Key::LeaseThreshold,
        Key::MaxConnections,
        Key::Namespace,
        Key::RevokeGrace,
    ];
    let family = |(key, ..): (Key, &str, &str)| matches!(key, Key::AuthConfig | Key::Perms);
    let risky = unchecked.iter().any(|key| notes.given(*key).is_some());
    if !notes.text(Key::Configmap).is_empty() || !(risky || notes.families().any(family)) {
        return;
    }
    let side = if plan.sidecar { Side::Sidecar } else { Side::Init };
    let variables = [
        ("VAULT_CLIENT_TIMEOUT", Key::ClientTimeout),
        ("VAULT_MAX_RETRIES", Key::ClientMaxRetries),
    ];
    let env = variables.map(|(name, key)| (name.to_owned(), notes.text(key).into_owned()));
    // Our own text is JSON.
    let Ok(document) = Json::parse(document(plan, side).as_bytes()) else { return };
    let errors = agent_config::decode(&document, &env.into()).err().unwrap_or_default();
    // The login method, its role and the address have sentences of their own.
    let told = ["auto_auth.method.type", "auto_auth.method.config.role", "vault.address"];
    for error in errors.iter().filter(|e| !told.contains(&e.place.as_str())) {
        let clause = format_args!("the native agent would not start: {}", error.reason);
        match culprit(plan, &error.place) {
            // What is not of its kind is told by its kind.
            Some(Culprit::Kind) => {}
            Some(Culprit::Key(key)) if check(key.row().kind, &notes.text(key)).is_err() => {}
            Some(Culprit::Key(key)) => notes.blame(key, clause, problems),
            Some(Culprit::Name(name)) => problems.note(name, clause),
            None => problems.note(&error.place, clause),
        }
    }
}

/// What in a pod makes a setting of the agent.
enum Culprit {
    Key(Key),
    Kind,
    Name(String),
}

/// The annotation behind a place of the agent's configuration.
fn culprit(plan: &Plan<'_>, place: &str) -> Option<Culprit> {
    let key = match place {
        "auto_auth.method.min_backoff" => Key::AuthMinBackoff,
        "auto_auth.method.max_backoff" => Key::AuthMaxBackoff,
        "auto_auth.method.namespace" => Key::Namespace,
        "injector.revoke_grace" => Key::RevokeGrace,
        "template_config.lease_renewal_threshold" => Key::LeaseThreshold,
        "template_config.max_connections_per_host" => Key::MaxConnections,
        "template_config.static_secret_render_interval" => Key::RenderInterval,
        "VAULT_CLIENT_TIMEOUT" | "VAULT_MAX_RETRIES" => return Some(Culprit::Kind),
        _ => {
            if let Some(setting) = place.strip_prefix("auto_auth.method.config.") {
                return Some(Culprit::Name(given_setting(plan, setting)));
            }
            let (list, ours) = match place.strip_prefix("injector.") {
                Some(rest) => (rest, true),
                None => (place, false),
            };
            let (index, setting) = list.strip_prefix("template[")?.split_once("].")?;
            let mut files = plan.secrets.files.iter().filter(|file| is_ours(file) == ours);
            let file = files.nth(index.parse().ok()?)?;
            return match setting {
                "perms" => Some(Culprit::Kind),
                "command" => Some(Culprit::Name(Key::Command.of(file.raw))),
                _ => Some(Culprit::Name(Key::SecretPath.of(file.raw))),
            };
        }
    };
    Some(Culprit::Key(key))
}

/// The annotation that says a setting of the login, as it is written there or as it may be.
fn given_setting(plan: &Plan<'_>, setting: &str) -> String {
    let mut family = plan.notes.family(Key::AuthConfig).map(|(raw, _)| raw);
    let raw = family.find(|raw| raw.replace('-', "_") == setting);
    raw.map_or_else(
        || Key::AuthConfig.of(&setting.replace('_', "-")),
        |raw| Key::AuthConfig.of(raw),
    )
}

fn method(plan: &Plan<'_>, out: &mut JsonText) {
    let notes = &plan.notes;
    out.member("type", &notes.text(Key::AuthType));
    out.member_if("mount_path", &notes.text(Key::AuthPath));
    out.member_if("min_backoff", &notes.text(Key::AuthMinBackoff));
    out.member_if("max_backoff", &notes.text(Key::AuthMaxBackoff));
    out.member_if("namespace", &notes.text(Key::Namespace));
    let mut config = BTreeMap::from([("token_path".to_owned(), plan.token.path())]);
    for (name, value) in notes.family(Key::AuthConfig) {
        config.insert(name.replace('-', "_"), value.to_owned());
    }
    let role = notes.text(Key::Role);
    if !role.is_empty() {
        config.insert("role".to_owned(), role.into_owned());
    }
    out.key("config").object(|out| config.iter().for_each(|(k, v)| out.member(k, v)));
    out.flag_if("exit_on_err", notes.flag(Key::AutoAuthExitOnErr));
}

fn sinks(plan: &Plan<'_>, out: &mut JsonText) {
    let mut sink = |path: &str, mode: u32| {
        out.object(|out| {
            out.member("type", "file");
            out.key("config").object(|out| {
                out.member("path", path);
                // Agents of both flavours take a number here, and that one is decimal.
                if mode != 0 {
                    out.key("mode").raw(&mode.to_string());
                }
            });
        });
    };
    sink("/home/vault/.vault-token", 0);
    if let Some(path) = plan.secrets.token_file(&plan.notes) {
        sink(&path, plan.notes.named(Key::Perms, TOKEN).and_then(parse_mode).unwrap_or(0));
    }
}

fn connection(plan: &Plan<'_>, out: &mut JsonText) {
    let notes = &plan.notes;
    out.member("address", &notes.text(Key::Service));
    out.member_if("ca_cert", &notes.text(Key::CaCert));
    out.member_if("ca_path", &notes.text(Key::CaPath));
    out.flag_if("tls_skip_verify", notes.flag(Key::TlsSkipVerify));
    out.member_if("client_cert", &notes.text(Key::ClientCert));
    out.member_if("client_key", &notes.text(Key::ClientKey));
    out.member_if("tls_server_name", &notes.text(Key::TlsServerName));
}

const fn is_ours(file: &SecretFile<'_>) -> bool {
    matches!(file.body, Body::Format { .. } | Body::Tiny { .. })
}

/// The command of a file, where this agent is to run it.
fn command<'f, 'a>(plan: &Plan<'_>, side: Side, file: &'f SecretFile<'a>) -> &'f Command<'a> {
    let runs = side == Side::Sidecar || plan.notes.flag(Key::InitCommands);
    if runs { &file.command } else { &Command::Text("") }
}

fn templates(plan: &Plan<'_>, side: Side, out: &mut JsonText) {
    let files = &plan.secrets.files;
    if files.iter().all(is_ours) {
        return;
    }
    out.key("template").array(|out| {
        for file in files.iter().filter(|file| !is_ours(file)) {
            out.object(|out| {
                out.member("destination", &file.destination);
                if let Body::Contents(text) = &file.body {
                    out.member("contents", text);
                }
                out.member("left_delimiter", file.left_delimiter);
                out.member("right_delimiter", file.right_delimiter);
                command(plan, side, file).write(out);
                if let Body::Source(path) = &file.body {
                    out.member("source", path);
                }
                out.member_if("perms", file.perms);
                out.flag_if("error_on_missing_key", file.error_on_missing_key);
            });
        }
    });
}

fn listener_and_cache(plan: &Plan<'_>, side: Side, out: &mut JsonText) {
    let notes = &plan.notes;
    let cached = notes.flag(Key::CacheEnable)
        && plan.sidecar
        && (side == Side::Sidecar || plan.persistent_cache());
    let quit = notes.flag(Key::EnableQuit);
    if !cached && !quit {
        return;
    }
    out.key("listener").array(|out| {
        out.object(|out| {
            out.member("type", "tcp");
            out.member("address", &format!("127.0.0.1:{}", notes.text(Key::CachePort)));
            out.key("tls_disable").raw("true");
            if quit {
                out.key("agent_api").object(|out| out.flag_if("enable_quit", true));
            }
        });
    });
    out.key("cache").object(|out| {
        if !cached {
            return;
        }
        out.member_if("use_auto_auth_token", &notes.text(Key::CacheUseToken));
        if plan.persistent_cache() {
            out.key("persist").object(|out| {
                out.member("type", "kubernetes");
                out.member("path", CACHE_PATH);
                out.flag_if("exit_on_err", notes.flag(Key::CacheExitOnErr));
                // The agent looks for its token where every pod has one, unless told otherwise.
                let token = plan.token.path();
                if token != USUAL_FILE {
                    out.member("service_account_token_file", &token);
                }
            });
        }
    });
}

fn template_config(plan: &Plan<'_>, out: &mut JsonText) {
    let notes = &plan.notes;
    let exit = notes.flag(Key::ExitOnRetryFailure);
    out.key("exit_on_retry_failure").raw(if exit { "true" } else { "false" });
    out.member_if("static_secret_render_interval", &notes.text(Key::RenderInterval));
    let connections = notes.whole(Key::MaxConnections);
    if connections != 0 {
        out.key("max_connections_per_host").raw(&connections.to_string());
    }
    let threshold = notes.float(Key::LeaseThreshold);
    if threshold != 0.0 && threshold.is_finite() {
        out.key("lease_renewal_threshold").raw(&float(threshold));
    }
}

fn injector(plan: &Plan<'_>, side: Side, out: &mut JsonText) {
    let shared = side == Side::Init && plan.sidecar;
    let home = if shared { super::plan::HANDOVER_PATH } else { super::plan::HOME_PATH };
    out.member("state_file", &format!("{home}/.agent-state"));
    if side == Side::Sidecar && plan.notes.flag(Key::RevokeOnShutdown) {
        out.flag_if("revoke_on_shutdown", true);
        out.member("revoke_grace", &format!("{}s", plan.notes.count(Key::RevokeGrace)));
    }
    if !plan.secrets.files.iter().any(is_ours) {
        return;
    }
    out.key("template").array(|out| {
        for file in plan.secrets.files.iter().filter(|file| is_ours(file)) {
            out.object(|out| {
                out.member("destination", &file.destination);
                match &file.body {
                    Body::Format { secret, format } => {
                        out.member("secret", secret);
                        out.member("format", format);
                    }
                    Body::Tiny { secret, contents } => {
                        out.member("secret", secret);
                        out.member("engine", "tinytemplate");
                        out.member("contents", contents);
                    }
                    Body::Contents(_) | Body::Source(_) => {}
                }
                command(plan, side, file).write(out);
                out.member_if("perms", file.perms);
            });
        }
    });
}
