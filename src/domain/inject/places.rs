//! Where the agents have something of their own: secrets cannot be mounted at the same place.

use super::Flavor;
use super::annotations::Key;
use super::plan::{
    CACHE_PATH, CONFIGS_PATH, EXTRA_SECRET_PATH, HANDOVER_PATH, HOME_PATH, Plan, TLS_PATH,
};
use super::problems::{Problems, Shown};
use super::secrets::same_path;

/// Refuses folders of secrets at which the agents mount something else: Kubernetes refuses two mounts at one path,
/// and of two that differ in slashes only the second hides the first.
pub(crate) fn check(plan: &Plan<'_>, problems: &mut Problems) {
    let is_given = |key: Key| !plan.notes.text(key).is_empty();
    let hands_over = plan.flavor == Flavor::Native && plan.init && plan.sidecar;
    let taken = [
        (true, HOME_PATH, "the agents' home"),
        (hands_over, HANDOVER_PATH, "what one agent leaves for the next"),
        (true, &*plan.token.mount_path, "the token for the login"),
        (is_given(Key::ExtraSecret), EXTRA_SECRET_PATH, "the files of agent-extra-secret"),
        (is_given(Key::TlsSecret), TLS_PATH, "the files of tls-secret"),
        (is_given(Key::Configmap), CONFIGS_PATH, "the files of agent-configmap"),
        (plan.persistent_cache(), CACHE_PATH, "the agents' cache"),
        (true, plan.aws_token.map_or("", |(_, path)| path), "the token for AWS"),
    ];
    let mut refuse = |place: &dyn std::fmt::Display, path: &str| {
        let found =
            taken.iter().find(|(is, own, _)| *is && !own.is_empty() && same_path(own, path));
        if let Some((.., what)) = found {
            problems.note(
                place,
                format_args!(
                    "{} is where the agents have {what}: name another folder",
                    Shown(path)
                ),
            );
        }
    };
    if !plan.secrets.path.is_empty() {
        refuse(&Key::VolumePath, &plan.secrets.path);
    }
    for (raw, path) in plan.notes.family(Key::VolumePathOf) {
        if !path.is_empty() && plan.secrets.declares(raw) {
            refuse(&Key::VolumePathOf.of(raw), path);
        }
    }
}
