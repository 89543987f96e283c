//! The JSON patch that turns a pod into an injected pod.

use super::annotations::{Key, PREFIX};
use super::container::{secret_mounts, volume_mount};
use super::json_text::JsonText;
use super::plan::{INIT_NAME, Plan};
use super::problems::{LISTED_MAX, Shown};
use super::quantity;
use super::review::Container;
use super::token::OWN_VOLUME;

/// The patch's operations. `init` and `sidecar` are the finished containers. What the API server will
/// refuse, since the pod has it already, is explained in the warnings.
pub(crate) fn operations(
    plan: &Plan<'_>,
    init: Option<&str>,
    sidecar: Option<&str>,
    warnings: &mut Vec<String>,
) -> String {
    let bytes = 2048 + init.map_or(0, str::len) + sidecar.map_or(0, str::len);
    let mut out = JsonText::with_capacity(bytes);
    out.array(|out| {
        volumes(plan, out, warnings);
        for (i, container) in plan.spec.containers.0.iter().enumerate() {
            if plan.wants(&container.name) {
                mounts(
                    plan,
                    &format!("/spec/containers/{i}/volumeMounts"),
                    container,
                    out,
                    warnings,
                );
            }
        }
        let inits = &plan.spec.init_containers.0;
        if init.is_some() {
            // One of this name was injected before.
            let apps = inits.iter().enumerate().filter(|(_, own)| &*own.name != INIT_NAME);
            for (i, own) in apps {
                mounts(plan, &format!("/spec/initContainers/{i}/volumeMounts"), own, out, warnings);
            }
        }
        let native = sidecar.filter(|_| plan.notes.flag(Key::NativeSidecar));
        let first = plan.notes.flag(Key::InitFirst);
        let mut list = ListPatch::new("/spec/initContainers", !inits.is_empty());
        for (container, place) in init.into_iter().chain(native).zip(["0", "1"]) {
            list.add(out, if first { place } else { "-" }, |out| out.raw(container));
        }
        if let Some(share) = plan.share_process_namespace {
            operation(out, "/spec/shareProcessNamespace", |out| {
                out.raw(if share { "true" } else { "false" });
            });
        }
        if let Some(container) = sidecar.filter(|_| native.is_none()) {
            let mut list = ListPatch::new("/spec/containers", !plan.spec.containers.0.is_empty());
            list.add(out, "-", |out| out.raw(container));
        }
        let status = format!(
            "/metadata/annotations/{}{}",
            PREFIX.replace('/', "~1"),
            Key::Status.row().name
        );
        operation(out, &status, |out| out.string("injected"));
    });
    out.into_text()
}

fn operation(out: &mut JsonText, path: &str, value: impl FnOnce(&mut JsonText)) {
    out.object(|out| {
        out.member("op", "add");
        out.member("path", path);
        value(out.key("value"));
    });
}

/// A list of the pod that is being added to: an absent one is made by its first item.
struct ListPatch<'p> {
    exists: bool,
    path: &'p str,
}

impl<'p> ListPatch<'p> {
    const fn new(path: &'p str, exists: bool) -> Self {
        Self { exists, path }
    }

    fn add(&mut self, out: &mut JsonText, at: &str, item: impl FnOnce(&mut JsonText)) {
        if self.exists {
            operation(out, &format!("{}/{at}", self.path), item);
        } else {
            operation(out, self.path, |out| out.array(item));
            self.exists = true;
        }
    }
}

fn volumes(plan: &Plan<'_>, out: &mut JsonText, warnings: &mut Vec<String>) {
    let notes = &plan.notes;
    let mut list = ListPatch::new("/spec/volumes", !plan.spec.volumes.0.is_empty());
    let mut volume = |out: &mut JsonText, name: &str, source: &dyn Fn(&mut JsonText)| {
        if plan.spec.volumes.0.iter().any(|own| *own.name == *name) {
            warnings.push(format!("the pod already has a volume {name}: rename that one"));
        }
        list.add(out, "-", |out| {
            out.object(|out| {
                out.member("name", name);
                source(out);
            });
        });
    };
    let size = quantity::canonical(&notes.text(Key::VolumeSize)).unwrap_or_default();
    let memory = |out: &mut JsonText| {
        out.key("emptyDir").object(|out| {
            out.member("medium", "Memory");
            out.member_if("sizeLimit", &size);
        });
    };
    if plan.init {
        volume(out, "home-init", &memory);
    }
    if plan.sidecar {
        volume(out, "home-sidecar", &memory);
    }
    for (name, _) in secret_mounts(plan) {
        volume(out, &name, &memory);
    }
    let configmap = notes.text(Key::Configmap);
    if !configmap.is_empty() {
        volume(out, "vault-config", &|out| {
            out.key("configMap").object(|out| out.member("name", &configmap));
        });
    }
    for (name, key) in [("extra-secrets", Key::ExtraSecret), ("vault-tls-secrets", Key::TlsSecret)]
    {
        let secret = notes.text(key);
        if !secret.is_empty() {
            volume(out, name, &|out| {
                out.key("secret").object(|out| out.member("secretName", &secret));
            });
        }
    }
    if plan.persistent_cache() {
        volume(out, "vault-agent-cache", &memory);
    }
    if plan.token.own {
        volume(out, OWN_VOLUME, &|out| {
            out.key("projected").object(|out| {
                out.key("sources").array(|out| {
                    out.object(|out| {
                        out.key("serviceAccountToken").object(|out| {
                            out.key("expirationSeconds").raw("3600");
                            out.member("path", "token");
                        });
                    });
                });
            });
        });
    }
}

/// The secrets in one of the pod's own containers, unless it mounts them already.
fn mounts(
    plan: &Plan<'_>,
    path: &str,
    container: &Container<'_>,
    out: &mut JsonText,
    warnings: &mut Vec<String>,
) {
    let own = &container.volume_mounts.0;
    let mut list = ListPatch::new(path, !own.is_empty());
    for (name, mount_path) in secret_mounts(plan) {
        let there = own.iter().find(|m| *m.mount_path == *mount_path);
        if there.is_some_and(|m| *m.name == *name) {
            continue;
        }
        if there.is_some() && warnings.len() <= LISTED_MAX {
            warnings.push(format!(
                "container {} mounts something at {} already: change one of the two, ours by {}",
                Shown(&container.name),
                Shown(mount_path),
                Key::VolumePath
            ));
        }
        list.add(out, "-", |out| volume_mount(out, &name, mount_path, false));
    }
}
