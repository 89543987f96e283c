//! What is to be done to one pod, decided and checked, before anything is written.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::annotations::{Key, Notes};
use super::decide::ADDED_BYTES_MAX;
use super::problems::Problems;
use super::review::{Mount, Pod, SecurityContext, Spec, Verbatim};
use super::secrets::{self, Secrets};
use super::token::{self, Token};
use super::{
    Flavor, InjectConfig, agent_json, commands, compile, doubts, login, places, reach, resources,
    telemetry,
};

/// Home of an agent: its own memory volume.
pub(crate) const HOME_PATH: &str = "/home/vault";
/// Where the init container sees the sidecar's home, to hand over token and leases.
pub(crate) const HANDOVER_PATH: &str = "/home/vault-sidecar";
/// Where the agents see the Secret of `agent-extra-secret`.
pub(crate) const EXTRA_SECRET_PATH: &str = "/vault/custom";
/// Where the agents see the Secret of `tls-secret`.
pub(crate) const TLS_PATH: &str = "/vault/tls";
/// Where the agents see the ConfigMap of `agent-configmap`.
pub(crate) const CONFIGS_PATH: &str = "/vault/configs";
/// Where Vault's agent keeps its cache.
pub(crate) const CACHE_PATH: &str = "/vault/agent-cache";
/// Name of the init container.
pub(crate) const INIT_NAME: &str = "vault-agent-init";
/// Name of the sidecar.
pub(crate) const SIDECAR_NAME: &str = "vault-agent";

/// Bytes of one mount in a pod, its path apart.
const MOUNT_BYTES: usize = 64;

/// The two agent containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// `vault-agent-init`
    Init,
    /// `vault-agent`
    Sidecar,
}

/// Everything decided about one pod.
pub(crate) struct Plan<'a> {
    /// Variables and mounts that are copied from the pod, as JSON.
    pub(crate) aws_env: Vec<(&'static str, Cow<'a, str>)>,
    pub(crate) aws_token: Option<(&'a str, &'a str)>,
    pub(crate) ca_cert_bytes: &'a str,
    /// `agent-inject-containers`
    pub(crate) chosen: Option<BTreeSet<&'a str>>,
    pub(crate) copied_mounts: Vec<&'a str>,
    pub(crate) flavor: Flavor,
    pub(crate) init: bool,
    pub(crate) notes: Notes<'a>,
    /// `resources` of both agents, as JSON.
    pub(crate) resources: String,
    pub(crate) secrets: Secrets<'a>,
    pub(crate) share_process_namespace: Option<bool>,
    pub(crate) sidecar: bool,
    pub(crate) spec: &'a Spec<'a>,
    pub(crate) telemetry: Option<String>,
    pub(crate) token: Token<'a>,
    /// User and group of the agents, when they get a security context.
    pub(crate) user: Option<(i64, i64)>,
}

/// The variables with which a pod takes on a role of AWS: by its service account or by its pod identity.
const AWS_ENV: [&str; 6] = [
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

impl<'a> Plan<'a> {
    /// Whether init container and sidecar share a cache.
    pub(crate) fn persistent_cache(&self) -> bool {
        self.notes.flag(Key::CacheEnable) && self.init && self.sidecar
    }

    /// `init_and_sidecar`, `init_only` or `sidecar_only`
    pub(crate) const fn injection_type(&self) -> &'static str {
        match (self.init, self.sidecar) {
            (true, true) => "init_and_sidecar",
            (true, false) => "init_only",
            (false, _) => "sidecar_only",
        }
    }

    /// Decides everything; mistakes and doubts are noted. `verbatim` gives the pod again, word for word.
    pub(crate) fn make(
        pod: &'a Pod<'a>,
        spec: &'a Spec<'a>,
        verbatim: &dyn Fn() -> Verbatim<'a>,
        notes: Notes<'a>,
        config: &'a InjectConfig,
        problems: &mut Problems,
        warnings: &mut Vec<String>,
    ) -> Self {
        let secrets = secrets::collect(&notes, problems, warnings);
        notes.check(|raw| secrets.declares(raw), problems);
        let aws = &*notes.text(Key::AuthType) == "aws";
        let copied = notes.given(Key::CopyMounts).filter(|name| !name.is_empty());
        let verbatim = if aws || copied.is_some() { verbatim() } else { Verbatim::default() };
        let init = notes.flag(Key::PrePopulate);
        let sidecar = !notes.flag(Key::PrePopulateOnly);
        if !init && !sidecar {
            problems.note(
                Key::PrePopulate,
                format_args!(
                    "\"false\" and {} \"true\" leave no agent: drop one of the two",
                    Key::PrePopulateOnly
                ),
            );
        }
        needed(&notes, problems);
        login::check(&notes, problems, warnings);
        if spec.on_windows() {
            warnings.push(format!(
                "{}: the pod is for Windows nodes and the agents run on Linux, it will not start: \
                 take the annotation off",
                Key::Inject
            ));
        }
        let containers = spec.containers.0.len() + spec.init_containers.0.len();
        let paths = secrets.custom_paths.iter().map(|path| path.len()).sum::<usize>();
        let mounts = 1 + secrets.custom_paths.len();
        let bytes = secrets.path.len() + paths + mounts * MOUNT_BYTES;
        if containers.saturating_mul(bytes) > ADDED_BYTES_MAX {
            problems.note(
                "spec.containers",
                format_args!("{containers} of them with {mounts} mounts of secrets each are too large for a pod"),
            );
        }
        let mut plan = Self {
            aws_env: if aws { aws_env(&verbatim, &notes) } else { Vec::new() },
            aws_token: if aws { token::aws(pod) } else { None },
            ca_cert_bytes: &config.ca_cert_bytes,
            chosen: notes.given(Key::Containers).map(|list| {
                list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
            }),
            copied_mounts: copied.map_or_else(Vec::new, |name| copied_mounts(&verbatim, name)),
            flavor: notes.flavor(),
            init,
            resources: resources::resources(&notes, problems, warnings),
            secrets,
            share_process_namespace: share(spec, &notes, problems),
            sidecar,
            spec,
            telemetry: telemetry::stanza(&notes, problems, warnings),
            token: token::find(pod, &notes, problems),
            user: user(spec, &notes, config, problems),
            notes,
        };
        commands::check(&mut plan, problems, warnings);
        if plan.flavor == Flavor::Native {
            agent_json::refusals(&plan, problems);
        }
        compile::check(&plan.notes, &plan.secrets.files, problems, warnings);
        places::check(&plan, problems);
        doubts::tell(&plan, warnings);
        // Last, since it is of all pods of a cluster alike.
        reach::check(&plan.notes, !plan.ca_cert_bytes.is_empty(), problems, warnings);
        login::mount(&plan.notes, problems, warnings);
        plan
    }

    /// Whether a container of the pod gets the secrets.
    pub(crate) fn wants(&self, container: &str) -> bool {
        self.chosen.as_ref().is_none_or(|names| names.contains(container))
    }
}

/// What an agent cannot do without, unless a ConfigMap brings its whole configuration.
fn needed(notes: &Notes<'_>, problems: &mut Problems) {
    if !notes.text(Key::Configmap).is_empty() {
        return;
    }
    let mut absent = |key: Key, way: &str| {
        if notes.text(key).is_empty() {
            problems.note(key, format_args!("is empty: {way}"));
        }
    };
    absent(Key::AuthType, "name a login method such as kubernetes");
    absent(Key::AuthPath, "name the login method's mount such as auth/kubernetes");
    absent(Key::Service, "give Vault's address here or to the webhook (AGENT_INJECT_VAULT_ADDR)");
}

fn share(spec: &Spec<'_>, notes: &Notes<'_>, problems: &mut Problems) -> Option<bool> {
    notes.given(Key::ShareProcessNamespace)?;
    let share = notes.flag(Key::ShareProcessNamespace);
    if share && spec.share_process_namespace == Some(false) {
        problems.note(
            Key::ShareProcessNamespace,
            "\"true\" against the pod's own shareProcessNamespace: false; change one of the two",
        );
    }
    Some(share)
}

fn user(
    spec: &Spec<'_>,
    notes: &Notes<'_>,
    config: &InjectConfig,
    problems: &mut Problems,
) -> Option<(i64, i64)> {
    let mut user = notes.whole(Key::RunAsUser);
    if notes.flag(Key::RunAsSameUser) {
        let first = spec.containers.0.first().and_then(|c| c.security_context.as_ref());
        let of = |context: Option<&SecurityContext>| context.and_then(|c| c.run_as_user);
        let of_first = of(first);
        match of_first.or(of(spec.security_context.as_ref())) {
            Some(0) => problems.note(
                Key::RunAsSameUser,
                format_args!(
                    "{} runs as root (runAsUser 0), the agents must not: set another user there, or use {}",
                    if of_first.is_some() { "the first container" } else { "the pod's securityContext" },
                    Key::RunAsUser
                ),
            ),
            Some(same) => user = same,
            None => problems.note(
                Key::RunAsSameUser,
                format_args!(
                    "neither the first container nor the pod has a securityContext.runAsUser: set one, or use {}",
                    Key::RunAsUser
                ),
            ),
        }
    }
    // Who names a user wants it to count, even where the cluster's default is no security context.
    let asked = [Key::RunAsUser, Key::RunAsGroup, Key::RunAsSameUser];
    let implied = notes.given(Key::SetSecurityContext).is_none()
        && !config.set_security_context
        && asked.iter().any(|key| notes.given(*key).is_some());
    let wanted = implied || notes.flag(Key::SetSecurityContext);
    wanted.then(|| (user, notes.whole(Key::RunAsGroup)))
}

/// The variables of the first container that has each, whole; the region may be given by annotation.
fn aws_env<'a>(pod: &Verbatim<'a>, notes: &Notes<'a>) -> Vec<(&'static str, Cow<'a, str>)> {
    let containers = pod.spec.as_ref().map_or(&[][..], |spec| &spec.containers.0);
    let entries = || containers.iter().flat_map(|container| &container.env.0);
    let of = |wanted: &'static str| {
        if wanted == "AWS_REGION"
            && let Some(region) = notes.named(Key::AuthConfig, "region")
        {
            let mut out = super::json_text::JsonText::default();
            out.object(|out| {
                out.member("name", wanted);
                out.member_if("value", region);
            });
            return Some((wanted, Cow::Owned(out.into_text())));
        }
        let mut named = entries().filter(|entry| {
            serde_json::from_str::<super::review::Named<'_>>(entry.get())
                .is_ok_and(|named| &*named.name == wanted)
        });
        named.next().map(|entry| (wanted, Cow::Borrowed(entry.get())))
    };
    AWS_ENV.into_iter().filter_map(of).collect()
}

/// The mounts of one container, tokens apart.
fn copied_mounts<'a>(pod: &Verbatim<'a>, name: &str) -> Vec<&'a str> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let container = spec.containers.0.iter().chain(&spec.init_containers.0);
    let mut container = container.filter(|container| &*container.name == name);
    let mounts = container.next().map_or(&[][..], |container| &container.volume_mounts.0);
    let is_token = |raw: &str| {
        serde_json::from_str::<Mount<'_>>(raw)
            .is_ok_and(|mount| mount.mount_path.to_lowercase().contains("serviceaccount"))
    };
    mounts.iter().map(|raw| raw.get()).filter(|raw| !is_token(raw)).collect()
}
