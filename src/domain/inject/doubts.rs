//! What most likely is not as its author wanted, though it can be made: for people to read, not to refuse.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::annotations::{Key, Notes};
use super::misspelt;
use super::names::LABEL_BYTES_MAX;
use super::plan::{
    CONFIGS_PATH, EXTRA_SECRET_PATH, HOME_PATH, INIT_NAME, Plan, SIDECAR_NAME, TLS_PATH,
};
use super::problems::{LISTED_MAX, Shown};
use super::readers;
use super::review::{Mount, Texts};
use super::secrets::{self, Body, is_below};
use super::{Flavor, OWN_REPOSITORY, repository};
use crate::base::near::near;

/// Folders of a system that a volume would hide: what images have there is needed.
const SYSTEM_FOLDERS: [&str; 22] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/etc/pki",
    "/etc/pki/tls",
    "/etc/pki/tls/certs",
    "/etc/ssl",
    "/etc/ssl/certs",
    "/lib",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local/share/ca-certificates",
    "/var",
];
/// Init containers that send a pod's traffic through its mesh, and that mesh's proxy.
const MESHES: [(&str, &str); 4] = [
    ("istio-init", "istio-proxy"),
    ("istio-validation", "istio-proxy"),
    ("kuma-init", "kuma-sidecar"),
    ("linkerd-init", "linkerd-proxy"),
];
/// Folders of Vault's images in which a file may lie that is on no volume.
const IMAGE_FOLDERS: [&str; 3] = ["/etc", "/usr", "/var/lib"];

/// All doubts about one pod.
pub(crate) fn tell(plan: &Plan<'_>, warnings: &mut Vec<String>) {
    passed_over(plan, warnings);
    image(plan, warnings);
    without_effect(plan, warnings);
    readers::root(plan, warnings);
    readers::check(plan, warnings);
    endless_job(plan, warnings);
    names(plan, warnings);
    misspelt::tell(&plan.notes, warnings);
    mesh(plan, warnings);
    paths(plan, warnings);
    absent_files(plan, warnings);
    doubled_paths(plan, warnings);
}

fn passed_over(plan: &Plan<'_>, warnings: &mut Vec<String>) {
    let notes = &plan.notes;
    if !notes.text(Key::Configmap).is_empty() {
        return;
    }
    let method = notes.text(Key::AuthType);
    if let Some((volume, audience)) = plan.token.passed_over
        && matches!(&*method, "jwt" | "kubernetes")
    {
        warnings.push(format!(
            "the token in the volume {} is for {} and not used for the login, which has a token of its own: set {} to use it",
            Shown(volume),
            Shown(audience),
            Key::TokenVolume
        ));
    }
}

/// Last parts of the names of images with Vault's own agent.
const VAULT_REPOSITORIES: [&str; 6] =
    ["bao", "openbao", "openbao-ubi", "vault", "vault-enterprise", "vault-ubi"];

/// An image whose name says that it holds the other flavour's agent.
fn image(plan: &Plan<'_>, warnings: &mut Vec<String>) {
    let image = plan.notes.text(Key::Image);
    let name = repository(&image);
    let clause = match plan.flavor {
        Flavor::Native if VAULT_REPOSITORIES.contains(&name) => {
            "native, and the image %I by its name is Vault's, which knows no agent-init: name one of vault-injector"
        }
        Flavor::Vault if name == OWN_REPOSITORY => {
            "vault, and the image %I by its name is vault-injector's, which has no shell: name one of Vault"
        }
        Flavor::Native | Flavor::Vault => return,
    };
    let clause = clause.replace("%I", &Shown(&image).to_string());
    warnings.push(format!("{}: {clause} by {}", Key::AgentFlavor, Key::Image));
}

/// What is read and does nothing.
fn without_effect(plan: &Plan<'_>, warnings: &mut Vec<String>) {
    let notes = &plan.notes;
    if !notes.text(Key::Configmap).is_empty() {
        let made = [Key::Template, Key::TemplateFile, Key::SecretPath, Key::Format];
        let ignored =
            notes.families().find(|(key, _, value)| made.contains(key) && !value.is_empty());
        if let Some((key, raw, _)) = ignored {
            warnings.push(format!(
                "{}: without effect beside {}: write it into that ConfigMap",
                key.of(raw),
                Key::Configmap
            ));
        }
    }
    let doubled = notes.family(Key::TemplateFile).find(|(raw, file)| {
        !file.is_empty() && notes.named(Key::Template, raw).is_some_and(|text| !text.is_empty())
    });
    if let Some((raw, _)) = doubled {
        let (file, text) = (Key::TemplateFile.of(raw), Key::Template.of(raw));
        warnings.push(format!("{file}: without effect beside {text}: leave one out"));
    }
    if plan.flavor == Flavor::Vault {
        return;
    }
    let way = || format!("set {} to \"vault\" with an image of Vault", Key::AgentFlavor);
    if notes.flag(Key::EnableQuit) {
        warnings.push(format!(
            "{}: the native agent serves no /agent/v1/quit, who calls it gets no connection: {}, or {} to \"true\"",
            Key::EnableQuit,
            way(),
            Key::NativeSidecar
        ));
    }
    if notes.flag(Key::CacheEnable) {
        warnings.push(format!(
            "{}: the native agent has no listener at 127.0.0.1:{} and no cache: {}",
            Key::CacheEnable,
            notes.text(Key::CachePort),
            way()
        ));
    }
    let quiet = [
        Key::CacheExitOnErr,
        Key::CachePort,
        Key::CacheUseToken,
        Key::DisableIdle,
        Key::DisableKeepAlives,
        Key::GoMaxProcs,
    ];
    let told = notes.flag(Key::CacheEnable) || notes.flag(Key::EnableQuit);
    let is_of_cache =
        |key| matches!(key, Key::CacheExitOnErr | Key::CachePort | Key::CacheUseToken);
    for key in quiet {
        let is_given = notes.given(key).is_some_and(|value| !value.is_empty());
        if is_given && !(told && is_of_cache(key)) {
            warnings.push(format!("{key}: without effect in the native agent"));
        }
    }
    if plan.telemetry.is_some() {
        warnings.push(format!(
            "{}…: the native agent sends no telemetry: {}",
            Key::Telemetry,
            way()
        ));
    }
}

/// A pod that ends only when all its containers do, and a sidecar that never does.
fn endless_job(plan: &Plan<'_>, warnings: &mut Vec<String>) {
    let notes = &plan.notes;
    let ends = matches!(&*plan.spec.restart_policy, "Never" | "OnFailure");
    let is_ended_by_app = plan.share_process_namespace == Some(true)
        || (plan.flavor == Flavor::Vault && notes.flag(Key::EnableQuit));
    if ends && plan.sidecar && !notes.flag(Key::NativeSidecar) && !is_ended_by_app {
        warnings.push(format!(
            "restartPolicy {}: the sidecar never ends, so neither does the Job or pod: set {} or {} to \"true\"",
            &*plan.spec.restart_policy,
            Key::PrePopulateOnly,
            Key::NativeSidecar
        ));
    }
}

fn names(plan: &Plan<'_>, warnings: &mut Vec<String>) {
    let ours = [(plan.init, INIT_NAME), (plan.sidecar, SIDECAR_NAME)];
    for container in plan.spec.containers.0.iter().chain(&plan.spec.init_containers.0) {
        if ours.iter().any(|(added, name)| *added && *name == &*container.name) {
            warnings.push(format!("the pod already has a container {}", &*container.name));
        }
    }
    if plan.chosen.as_ref().is_some_and(BTreeSet::is_empty) {
        warnings.push(format!(
            "{}: names no container, so none sees the secrets: leave it out for all",
            Key::Containers
        ));
    }
    if plan.chosen.is_none() && plan.notes.given(Key::CopyMounts).is_none() {
        return;
    }
    let apps: BTreeSet<&str> = plan.spec.containers.0.iter().map(|c| &*c.name).collect();
    let all = plan.spec.containers.0.iter().chain(&plan.spec.init_containers.0);
    let all: BTreeSet<&str> = all.map(|c| &*c.name).collect();
    let mut unknown = |key: Key, name: &str, known: &BTreeSet<&str>| {
        if known.contains(name) || warnings.len() > LISTED_MAX {
            return;
        }
        let is_name = |name: &str| name.len() <= LABEL_BYTES_MAX;
        let known = known.iter().copied().filter(|known| is_name(known) && is_name(name));
        let meant = near(name, known.take(NAMES_COMPARED_MAX));
        let meant = meant.map(|meant| format!(", did you mean {meant}?")).unwrap_or_default();
        warnings.push(format!("{key}: the pod has no container {}{meant}", Shown(name)));
    };
    for name in plan.chosen.iter().flatten() {
        unknown(Key::Containers, name, &apps);
    }
    if let Some(name) = plan.notes.given(Key::CopyMounts).filter(|name| !name.is_empty()) {
        unknown(Key::CopyMounts, name, &all);
    }
}

/// Names that a misspelt one is compared with: pods have a handful of containers.
const NAMES_COMPARED_MAX: usize = 20;

/// A mesh takes all traffic as soon as its init container has run, and its proxy starts after all of those.
fn mesh(plan: &Plan<'_>, warnings: &mut Vec<String>) {
    if !plan.init || plan.notes.flag(Key::InitFirst) {
        return;
    }
    let inits = &plan.spec.init_containers.0;
    let found = MESHES.iter().find(|(init, proxy)| {
        let goes_on =
            |c: &super::review::Container<'_>| &*c.name == *proxy && &*c.restart_policy == "Always";
        inits.iter().any(|c| &*c.name == *init) && !inits.iter().any(goes_on)
    });
    if let Some((init, proxy)) = found {
        warnings.push(format!(
            "after the init container {init} nothing reaches Vault until {proxy} runs, and the agent's init container \
             waits for Vault: set {} to \"true\"",
            Key::InitFirst
        ));
    }
}

/// Volumes that hide what the image needs.
fn paths(plan: &Plan<'_>, warnings: &mut Vec<String>) {
    let hides = |path: &str| SYSTEM_FOLDERS.iter().any(|folder| secrets::same_path(folder, path));
    let clause =
        |path: &str| format!("hides what images have in {}: name a folder of its own", Shown(path));
    if hides(&plan.secrets.path) {
        warnings.push(format!("{}: {}", Key::VolumePath, clause(&plan.secrets.path)));
    }
    for (raw, path) in plan.notes.family(Key::VolumePathOf) {
        if hides(path) && plan.secrets.declares(raw) && warnings.len() <= LISTED_MAX {
            warnings.push(format!("{}: {}", Key::VolumePathOf.of(raw), clause(path)));
        }
    }
}

/// Files that agents are to read and that lie on no volume of theirs.
fn absent_files(plan: &Plan<'_>, warnings: &mut Vec<String>) {
    let notes = &plan.notes;
    let files = [Key::CaCert, Key::CaPath, Key::ClientCert, Key::ClientKey];
    let exact = files.into_iter().map(|key| (key, "", notes.text(key)));
    let settings = notes.family(Key::AuthConfig).filter(|(raw, _)| {
        let name = raw.replace('-', "_");
        name == "path" || name.ends_with("_path") && !name.ends_with("wrapping_path")
    });
    let settings = settings.map(|(raw, path)| (Key::AuthConfig, raw, path.into()));
    let sources = plan.secrets.files.iter().filter_map(|file| match file.body {
        Body::Source(path) => Some((Key::TemplateFile, file.raw, path.into())),
        Body::Contents(_) | Body::Format { .. } | Body::Tiny { .. } => None,
    });
    if plan.is_patched() {
        return;
    }
    let mut wanted =
        exact.chain(settings).chain(sources).filter(|(.., p)| p.starts_with('/')).peekable();
    if wanted.peek().is_none() {
        return;
    }
    let folders = agent_folders(plan);
    let is_there = |path: &str| folders.iter().any(|folder| is_below(path, folder));
    for (key, raw, path) in wanted {
        if !is_there(&path) && warnings.len() <= LISTED_MAX {
            warnings.push(format!(
                "{}: {} is on no volume of the agents: bring it in by {}, {} or {}",
                key.of(raw),
                Shown(&path),
                Key::ExtraSecret,
                Key::TlsSecret,
                Key::CopyMounts
            ));
        }
    }
}

/// The folders in which agents have files.
fn agent_folders<'p>(plan: &'p Plan<'_>) -> Vec<Cow<'p, str>> {
    let is_given = |key: Key| !plan.notes.text(key).is_empty();
    let mut folders = vec![HOME_PATH, &*plan.token.mount_path, &*plan.secrets.path];
    folders.extend(plan.secrets.custom_paths.iter().copied());
    folders.extend(plan.aws_token.map(|(_, mount)| mount));
    for (key, folder) in [
        (Key::ExtraSecret, EXTRA_SECRET_PATH),
        (Key::TlsSecret, TLS_PATH),
        (Key::Configmap, CONFIGS_PATH),
    ] {
        folders.extend(is_given(key).then_some(folder));
    }
    if plan.flavor == Flavor::Vault {
        folders.extend(IMAGE_FOLDERS);
    }
    let copied = plan.copied_folders().into_iter().map(Cow::Owned);
    folders.into_iter().map(Cow::Borrowed).chain(copied).collect()
}

/// Mounts of a container that agents copy, at places where they have something else.
fn doubled_paths(plan: &Plan<'_>, warnings: &mut Vec<String>) {
    let secrets = plan.secrets.custom_paths.iter().map(|path| ("vault-secrets-custom-", *path));
    let ours: Vec<(&str, &str)> = secrets
        .chain([
            ("home-", HOME_PATH),
            ("vault-secrets", &plan.secrets.path),
            (&plan.token.volume, &plan.token.mount_path),
        ])
        .collect();
    for raw in &plan.copied_mounts {
        let mount = serde_json::from_str::<Mount<'_>>(raw).unwrap_or_default();
        let conflict = ours.iter().any(|(volume, path)| {
            secrets::same_path(path, &mount.mount_path) && !mount.name.starts_with(volume)
        });
        if conflict && warnings.len() <= LISTED_MAX {
            warnings.push(format!(
                "{}: the agents have something else at {} already: mount that volume elsewhere",
                Key::CopyMounts,
                Shown(&mount.mount_path)
            ));
        }
    }
}

/// The label by which the webhook's configuration leaves the webhook's own pods alone.
const OWN_LABEL: (&str, &str) = ("app.kubernetes.io/name", "vault-injector");

/// A pod that no webhook sees, whatever it asks for.
pub(crate) fn of_label(labels: &Texts<'_>) -> Option<String> {
    let (label, value) = OWN_LABEL;
    let is_own = labels.0.iter().any(|(own, given)| (&**own, &**given) == (label, value));
    is_own.then(|| {
        format!(
            "label {label}: {value}: the webhook's configuration leaves such pods alone, so in a cluster nothing is \
             injected: take another name"
        )
    })
}

/// What a pod asks for that is not injected, since it lacks the annotation or has it misspelt.
pub(crate) fn of_skipped(notes: &Notes<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    misspelt::tell(notes, &mut warnings);
    let asks = [Key::SecretPath, Key::Template, Key::TemplateFile];
    let asked = notes.families().find(|(key, _, value)| asks.contains(key) && !value.is_empty());
    if let Some((key, raw, _)) = asked {
        let place = key.of(raw);
        warnings.push(format!("{place}: nothing is injected without {}: \"true\"", Key::Inject));
    }
    warnings
}
