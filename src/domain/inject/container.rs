//! The agent containers as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Flavor;
use super::agent_json;
use super::annotations::Key;
use super::json_patch::{self, Dialect};
use super::json_text::JsonText;
use super::patched;
use super::plan::{
    CACHE_PATH, CONFIGS_PATH, EXTRA_SECRET_PATH, HANDOVER_PATH, HOME_PATH, INIT_NAME, Plan,
    SIDECAR_NAME, Side, TLS_PATH,
};
use super::problems::Problems;
use super::shape::CONTAINER;
use crate::base::json::Json;

/// One container, after its JSON patch; nothing when it is not wanted. The patch is read all the same:
/// its mistakes are mistakes.
pub(crate) fn container(
    plan: &Plan<'_>,
    side: Side,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> Option<String> {
    let (key, wanted) = match side {
        Side::Init => (Key::InitJsonPatch, plan.init),
        Side::Sidecar => (Key::JsonPatch, plan.sidecar),
    };
    let patch = match plan
        .notes
        .given(key)
        .filter(|text| !text.is_empty())
        .map(json_patch::parse_foreign)
    {
        None => Vec::new(),
        Some(Ok(patch)) => patch,
        Some(Err(clause)) => {
            problems.note(key, clause);
            Vec::new()
        }
    };
    if !wanted {
        return None;
    }
    let config = encoded_config(plan, side, problems);
    let text = written(plan, side, config.as_deref(), !patch.is_empty());
    if patch.is_empty() {
        return Some(text);
    }
    // Our own text is JSON.
    let made = Json::parse(text.as_bytes()).ok()?;
    let mut doc = made.clone();
    if let Err(e) = json_patch::apply(&mut doc, &patch, Dialect::Lenient) {
        problems.note(key, e);
        return None;
    }
    let mut unknown = Vec::new();
    match CONTAINER.conform(&doc, "", &mut unknown) {
        Ok(mut doc) => {
            if plan.flavor == Flavor::Native {
                keep_mode(&mut doc, side);
            }
            for path in unknown {
                warnings.push(format!("{key}: no container has {path}, ignored"));
            }
            if makes_root(&doc) {
                warnings.push(format!("{key}: the agent runs as root or may become it"));
            }
            if let Some(clause) = patched::fault(plan, side, &made, &doc) {
                warnings.push(format!("{key}: Kubernetes will refuse the container: {clause}"));
            }
            Some(doc.to_text())
        }
        Err(clause) => {
            problems.note(key, format_args!("makes no valid container: {clause}"));
            None
        }
    }
}

/// Whether a patched container asks for more than an agent needs.
fn makes_root(doc: &Json) -> bool {
    let context = doc.get("securityContext");
    let of = |name: &str| context.and_then(|context| context.get(name));
    let is_true = |name: &str| of(name).and_then(Json::as_bool) == Some(true);
    let is_zero = |name: &str| of(name).and_then(Json::as_i64) == Some(0);
    is_zero("runAsUser")
        || is_zero("runAsGroup")
        || is_true("privileged")
        || is_true("allowPrivilegeEscalation")
        || of("capabilities").is_some_and(|c| c.get("add").is_some())
}

/// Our image does nothing without a mode, so a patch that took it away gets it back; a patch that sets a
/// command of its own knows better.
fn keep_mode(doc: &mut Json, side: Side) {
    let Json::Object(members) = doc else { return };
    let word = Json::String(mode(side).to_owned());
    if members.contains_key("command") {
        return;
    }
    let args = members.entry("args".to_owned()).or_insert_with(|| Json::Array(Vec::new()));
    if let Json::Array(words) = args
        && !words.contains(&word)
    {
        words.insert(0, word);
    }
}

const fn mode(side: Side) -> &'static str {
    if matches!(side, Side::Init) { "agent-init" } else { "agent-sidecar" }
}

/// Bytes of one variable with its name and its end, beyond which Linux starts no process
/// (`MAX_ARG_STRLEN` of execve(2), with pages of 4 KiB).
const VARIABLE_BYTES_MAX: usize = 128 * 1024;

/// The value of `VAULT_CONFIG`; nothing when a ConfigMap takes its place.
fn encoded_config(plan: &Plan<'_>, side: Side, problems: &mut Problems) -> Option<String> {
    if !plan.notes.text(Key::Configmap).is_empty() {
        return None;
    }
    let value = STANDARD.encode(agent_json::document(plan, side));
    let bytes = CONFIG_VARIABLE.len() + "=".len() + value.len() + 1;
    // The agents differ by some bytes: once says enough.
    if bytes > VARIABLE_BYTES_MAX && !problems.names(CONFIG_VARIABLE) {
        problems.note(
            CONFIG_VARIABLE,
            format_args!(
                "the agent's configuration takes {bytes} bytes as a variable, and Linux allows {VARIABLE_BYTES_MAX}: \
                 bring large templates in as files ({}NAME), or all of it in a ConfigMap ({})",
                Key::TemplateFile,
                Key::Configmap
            ),
        );
    }
    Some(value)
}

/// Where agents find their configuration.
const CONFIG_VARIABLE: &str = "VAULT_CONFIG";

/// The container as vault-k8s writes it, or without a shell for the native agent.
fn written(plan: &Plan<'_>, side: Side, config: Option<&str>, patched: bool) -> String {
    let mut out = JsonText::with_capacity(4096);
    let native = plan.flavor == Flavor::Native;
    out.object(|out| {
        out.member("name", if side == Side::Init { INIT_NAME } else { SIDECAR_NAME });
        out.member("image", &plan.notes.text(Key::Image));
        argv(plan, side, out);
        if side == Side::Sidecar && plan.notes.flag(Key::NativeSidecar) {
            out.member("restartPolicy", "Always");
        }
        out.key("env").array(|out| env(plan, config, out));
        out.key("resources").raw(&plan.resources);
        out.key("volumeMounts").array(|out| mounts(plan, side, out));
        // Patches written for vault-k8s add to a lifecycle that is there.
        if side == Side::Sidecar && (!native || patched) {
            out.key("lifecycle").object(|out| lifecycle(plan, native, out));
        }
        if let Some((user, group)) = plan.user {
            out.key("securityContext").object(|out| security_context(user, group, native, out));
        }
    });
    out.into_text()
}

fn argv(plan: &Plan<'_>, side: Side, out: &mut JsonText) {
    let init = side == Side::Init;
    let file = if init { "/vault/configs/config-init.hcl" } else { "/vault/configs/config.hcl" };
    let from_configmap = !plan.notes.text(Key::Configmap).is_empty();
    if plan.flavor == Flavor::Native {
        let config = from_configmap.then(|| format!("-config={file}"));
        out.strings("args", [mode(side)].into_iter().chain(config.as_deref()));
        return;
    }
    out.strings("command", ["/bin/sh", "-ec"]);
    let script = if from_configmap {
        format!("touch /home/vault/.vault-token && vault agent -config={file}")
    } else {
        "echo ${VAULT_CONFIG?} | base64 -d > /home/vault/config.json && vault agent -config=/home/vault/config.json".to_owned()
    };
    out.strings("args", [script.as_str()]);
}

fn env(plan: &Plan<'_>, config: Option<&str>, out: &mut JsonText) {
    let notes = &plan.notes;
    for (name, field) in [
        ("NAMESPACE", "metadata.namespace"),
        ("HOST_IP", "status.hostIP"),
        ("POD_IP", "status.podIP"),
    ] {
        out.object(|out| {
            out.member("name", name);
            out.key("valueFrom").object(|out| {
                out.key("fieldRef").object(|out| out.member("fieldPath", field));
            });
        });
    }
    let variables = |out: &mut JsonText, pairs: &[(&str, Key)]| {
        for (name, key) in pairs {
            variable(out, name, &notes.text(*key));
        }
    };
    variables(
        out,
        &[
            ("GOMAXPROCS", Key::GoMaxProcs),
            ("VAULT_CLIENT_TIMEOUT", Key::ClientTimeout),
            ("VAULT_MAX_RETRIES", Key::ClientMaxRetries),
            ("VAULT_LOG_LEVEL", Key::LogLevel),
            ("VAULT_LOG_FORMAT", Key::LogFormat),
            ("HTTPS_PROXY", Key::ProxyAddress),
        ],
    );
    if let Some(config) = config {
        out.object(|out| {
            out.member("name", CONFIG_VARIABLE);
            out.plain_member("value", config);
        });
    } else {
        variables(
            out,
            &[
                ("VAULT_ADDR", Key::Service),
                ("VAULT_CACERT", Key::CaCert),
                ("VAULT_CAPATH", Key::CaPath),
                ("VAULT_CLIENT_CERT", Key::ClientCert),
                ("VAULT_CLIENT_KEY", Key::ClientKey),
            ],
        );
        let skip = notes.flag(Key::TlsSkipVerify);
        variable(out, "VAULT_SKIP_VERIFY", if skip { "true" } else { "false" });
        variable(out, "VAULT_TLS_SERVER_NAME", &notes.text(Key::TlsServerName));
    }
    variable(out, "VAULT_CACERT_BYTES", plan.ca_cert_bytes);
    for (_, entry) in &plan.aws_env {
        out.raw(entry);
    }
}

/// A variable, unless its value is empty.
fn variable(out: &mut JsonText, name: &str, value: &str) {
    if !value.is_empty() {
        out.object(|out| {
            out.member("name", name);
            out.member("value", value);
        });
    }
}

/// Volume, path and whether read-only, in the order of the original; nothing twice.
fn mounts(plan: &Plan<'_>, side: Side, out: &mut JsonText) {
    let notes = &plan.notes;
    let mut done: Vec<(String, String)> = Vec::new();
    let mut mount = |out: &mut JsonText, name: &str, path: &str, read_only: bool| {
        if done.iter().any(|(n, p)| n == name && p == path) {
            return;
        }
        done.push((name.to_owned(), path.to_owned()));
        volume_mount(out, name, path, read_only);
    };
    let token = (&*plan.token.volume, &*plan.token.mount_path);
    if side == Side::Init {
        mount(out, "home-init", HOME_PATH, false);
        mount(out, token.0, token.1, true);
    } else {
        mount(out, token.0, token.1, true);
        mount(out, "home-sidecar", HOME_PATH, false);
    }
    if let Some((volume, path)) = plan.aws_token {
        mount(out, volume, path, true);
    }
    for (name, path) in secret_mounts(plan) {
        mount(out, &name, path, false);
    }
    if !notes.text(Key::ExtraSecret).is_empty() {
        mount(out, "extra-secrets", EXTRA_SECRET_PATH, true);
    }
    for raw in &plan.copied_mounts {
        let known = serde_json::from_str::<super::review::Mount<'_>>(raw).unwrap_or_default();
        if !done.iter().any(|(n, p)| *n == *known.name && *p == *known.mount_path) {
            out.raw(raw);
        }
    }
    // Last, since JSON patches written for vault-k8s count the mounts before it.
    let handover = side == Side::Init && plan.flavor == Flavor::Native && plan.sidecar;
    let rest = [
        (!notes.text(Key::Configmap).is_empty(), "vault-config", CONFIGS_PATH, true),
        (!notes.text(Key::TlsSecret).is_empty(), "vault-tls-secrets", TLS_PATH, true),
        (plan.persistent_cache(), "vault-agent-cache", CACHE_PATH, false),
        (handover, "home-sidecar", HANDOVER_PATH, false),
    ];
    for (_, name, path, read_only) in rest.into_iter().filter(|(wanted, ..)| *wanted) {
        volume_mount(out, name, path, read_only);
    }
}

/// The volumes with secrets and where they are mounted, in agents and in the pod's own containers.
pub(crate) fn secret_mounts<'a>(
    plan: &'a Plan<'_>,
) -> impl Iterator<Item = (std::borrow::Cow<'static, str>, &'a str)> {
    let custom = plan.secrets.custom_paths.iter().enumerate();
    let custom = custom.map(|(i, path)| (format!("vault-secrets-custom-{i}").into(), *path));
    std::iter::once(("vault-secrets".into(), &*plan.secrets.path)).chain(custom)
}

pub(crate) fn volume_mount(out: &mut JsonText, name: &str, path: &str, read_only: bool) {
    out.object(|out| {
        out.member("name", name);
        out.flag_if("readOnly", read_only);
        out.member("mountPath", path);
    });
}

fn lifecycle(plan: &Plan<'_>, native: bool, out: &mut JsonText) {
    let notes = &plan.notes;
    if native || !notes.flag(Key::RevokeOnShutdown) {
        return;
    }
    let mut script = format!(
        "/bin/sleep {} && /bin/vault token revoke -address={}",
        notes.count(Key::RevokeGrace),
        notes.text(Key::Service)
    );
    for (flag, key) in
        [("ca-cert", Key::CaCert), ("client-cert", Key::ClientCert), ("client-key", Key::ClientKey)]
    {
        let value = notes.text(key);
        if !value.is_empty() {
            script.push_str(&format!(" -{flag}={value}"));
        }
    }
    script.push_str(" -self");
    out.key("preStop").object(|out| {
        out.key("exec").object(|out| out.strings("command", ["/bin/sh", "-c", &script]));
    });
}

fn security_context(user: i64, group: i64, native: bool, out: &mut JsonText) {
    out.key("capabilities").object(|out| out.strings("drop", ["ALL"]));
    out.key("runAsUser").raw(&user.to_string());
    out.key("runAsGroup").raw(&group.to_string());
    let non_root = user != 0 && group != 0;
    out.key("runAsNonRoot").raw(if non_root { "true" } else { "false" });
    out.key("readOnlyRootFilesystem").raw("true");
    out.key("allowPrivilegeEscalation").raw("false");
    if native {
        out.key("seccompProfile").object(|out| out.member("type", "RuntimeDefault"));
    }
}
