//! What Kubernetes would refuse of an agent's container after its JSON patch. Its own refusal names no annotation, so a
//! warning does; another webhook may still mend what a patch left.

use std::collections::BTreeSet;

use super::names::is_label;
use super::plan::{INIT_NAME, Plan, SIDECAR_NAME, Side};
use super::problems::Shown;
use super::quantity;
use crate::base::json::Json;

/// A clause about the first thing that is wrong. `made` is the container before its patch.
pub(crate) fn fault(plan: &Plan<'_>, side: Side, made: &Json, patched: &Json) -> Option<String> {
    name(plan, side, patched)
        .or_else(|| image(patched))
        .or_else(|| mounts(plan, made, patched))
        .or_else(|| resources(patched))
}

fn text<'j>(value: &'j Json, name: &str) -> &'j str {
    value.get(name).and_then(Json::as_str).unwrap_or_default()
}

fn name(plan: &Plan<'_>, side: Side, patched: &Json) -> Option<String> {
    let (own, other, is_other) = match side {
        Side::Init => (INIT_NAME, SIDECAR_NAME, plan.sidecar),
        Side::Sidecar => (SIDECAR_NAME, INIT_NAME, plan.init),
    };
    let name = text(patched, "name");
    if name == own {
        // What the pod has under this name is told elsewhere.
        return None;
    }
    if !is_label(name) {
        let shown = Shown(name);
        return Some(format!(
            "its name {shown} is none: write at most 63 lower-case letters, digits and \"-\""
        ));
    }
    let mut apps = plan.spec.containers.0.iter().chain(&plan.spec.init_containers.0);
    let is_taken = (is_other && name == other) || apps.any(|app| *app.name == *name);
    is_taken.then(|| format!("another container has its name {}: write another", Shown(name)))
}

fn image(patched: &Json) -> Option<String> {
    text(patched, "image").is_empty().then(|| "it has no image: leave the image in".to_owned())
}

/// Mounts of volumes that nobody has, and two at one path. A container may have thousands, copied from another.
fn mounts(plan: &Plan<'_>, made: &Json, patched: &Json) -> Option<String> {
    let of = |container| {
        let list = Json::get(container, "volumeMounts").and_then(Json::as_array);
        let mounts = list.unwrap_or_default().iter();
        mounts.map(|mount| (text(mount, "name"), text(mount, "mountPath")))
    };
    let homes = [(plan.init, "home-init"), (plan.sidecar, "home-sidecar")];
    let own: BTreeSet<(&str, &str)> = of(made).collect();
    let mut volumes: BTreeSet<&str> = own.iter().map(|(volume, _)| *volume).collect();
    volumes.extend(plan.spec.volumes.0.iter().map(|volume| &*volume.name));
    volumes.extend(homes.into_iter().filter_map(|(is, home)| is.then_some(home)));
    let mut paths = BTreeSet::new();
    for (volume, path) in of(patched) {
        if !volumes.contains(volume) {
            return Some(format!("the pod has no volume {}: add it to the pod", Shown(volume)));
        }
        if !paths.insert(path) && !own.contains(&(volume, path)) {
            let shown = Shown(path);
            return Some(format!("two mounts have the path {shown}: change one of them"));
        }
    }
    None
}

fn resources(patched: &Json) -> Option<String> {
    let of = |list: &str| patched.get("resources").and_then(|all| all.get(list));
    let amount =
        |list, name| of(list)?.get(name)?.as_str().and_then(|text| quantity::parse(text).ok());
    ["cpu", "memory", "ephemeral-storage"].into_iter().find_map(|name| {
        let (most, least) = (amount("limits", name)?, amount("requests", name)?);
        (least.nanos() > most.nanos()).then(|| {
            format!("its request of {name} is above its limit: lower the one or raise the other")
        })
    })
}
