//! Where pods, pod templates and annotations stand in a manifest, by their shape: not by a list of kinds,
//! since every operator brings its own.

use std::collections::BTreeSet;

use super::Stray;
use crate::base::json::Json;
use crate::domain::inject::annotations::{Key, PREFIX};

/// A part of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Index(usize),
    Key(String),
}

/// An object of a document.
pub(super) struct Object {
    pub(super) at: Vec<Step>,
    /// Whether its API belongs to Kubernetes itself, whose controllers pass no annotation on.
    is_builtin: bool,
    /// Whether it stands in a list.
    is_item: bool,
    pub(super) is_list: bool,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
}

/// What lists call their items; the second is that of templates of OpenShift.
const ITEMS: [&str; 2] = ["items", "objects"];

/// Parts of an object that describe pods of others, or what became of them: nothing runs from these.
const DESCRIPTIONS: [&str; 5] =
    ["anyPattern", "managedFields", "pattern", "patchStrategicMerge", "patchesStrategicMerge"];

/// Annotations below our prefix that Vault itself reads, from service accounts.
const OF_VAULT: &str = "alias-metadata-";

/// The objects of a document: itself, or those of its lists, however deep.
pub(super) fn objects(document: &Json) -> Vec<Object> {
    let mut found = Vec::new();
    collect(document, &mut Vec::new(), "", false, &mut found);
    found
}

/// The same for an item of a list whose items are of this kind unless they say another.
pub(super) fn objects_of_item(item: &Json, kind: &str) -> Vec<Object> {
    let mut found = Vec::new();
    collect(item, &mut Vec::new(), kind, true, &mut found);
    found
}

/// The kind of the items of a list, where they say none.
pub(super) fn kind_of_items(list: &str) -> &str {
    list.strip_suffix("List").unwrap_or("")
}

fn collect(value: &Json, at: &mut Vec<Step>, given: &str, is_item: bool, found: &mut Vec<Object>) {
    match value {
        Json::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                at.push(Step::Index(i));
                collect(item, at, given, true, found);
                at.pop();
            }
        }
        Json::Object(members) => {
            let text = |value: &Json, name: &str| {
                value
                    .get(name)
                    .and_then(Json::as_str)
                    .filter(|text| !text.is_empty())
                    .map(str::to_owned)
            };
            let kind = text(value, "kind").unwrap_or_else(|| given.to_owned());
            if kind.is_empty() && !is_item {
                return;
            }
            let is_object = |item: &Json| item.get("kind").is_some();
            let list = ITEMS.iter().find_map(|name| match members.get(*name) {
                Some(Json::Array(items))
                    if kind.ends_with("List") || items.iter().any(is_object) =>
                {
                    Some((*name, items))
                }
                _ => None,
            });
            let metadata = members.get("metadata").unwrap_or(&Json::Null);
            let group = text(value, "apiVersion").unwrap_or_default();
            let group = group.split_once('/').map_or("", |(group, _)| group);
            found.push(Object {
                at: at.clone(),
                is_builtin: !group.contains('.')
                    || (group.ends_with(".k8s.io") && !group.ends_with("x-k8s.io")),
                is_item,
                is_list: list.is_some(),
                name: text(metadata, "name")
                    .or_else(|| text(metadata, "generateName"))
                    .unwrap_or_default(),
                namespace: text(metadata, "namespace"),
                kind: if kind.is_empty() { "object".to_owned() } else { kind.clone() },
            });
            if let Some((name, items)) = list {
                at.push(Step::Key(name.to_owned()));
                for (i, item) in items.iter().enumerate() {
                    at.push(Step::Index(i));
                    collect(item, at, kind_of_items(&kind), true, found);
                    at.pop();
                }
                at.pop();
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// The pods of an object: itself, or its templates.
pub(super) fn pods(value: &Json, object: &Object) -> Vec<Vec<Step>> {
    let is_nameless = object.kind == "object" && object.is_item;
    if object.kind == "Pod" || (is_nameless && has_containers(value)) {
        return vec![Vec::new()];
    }
    let mut found = Vec::new();
    if let (Json::Object(members), false) = (value, object.is_list) {
        for (key, member) in members {
            if !matches!(key.as_str(), "metadata" | "status") {
                search(member, key, &mut vec![Step::Key(key.clone())], &mut found);
            }
        }
    }
    found
}

/// Looks for templates below a member: objects with containers in their spec that call themselves a template,
/// or are a whole pod.
fn search(value: &Json, name: &str, at: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    match value {
        Json::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                at.push(Step::Index(i));
                search(item, name, at, found);
                at.pop();
            }
        }
        Json::Object(members) => {
            let lower = name.to_ascii_lowercase();
            let is_template = lower.ends_with("template") || lower.ends_with("templates");
            let is_pod = value.get("kind").and_then(Json::as_str) == Some("Pod");
            if (is_template || is_pod) && has_containers(value) {
                found.push(at.clone());
                return;
            }
            for (key, member) in members {
                if !DESCRIPTIONS.contains(&key.as_str()) {
                    at.push(Step::Key(key.clone()));
                    search(member, key, at, found);
                    at.pop();
                }
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// Whether it is as a pod is: containers in its spec. With `$patch` it is a patch of one.
fn has_containers(value: &Json) -> bool {
    let spec = value.get("spec");
    let is_patch = |value: Option<&Json>| value.and_then(|value| value.get("$patch")).is_some();
    let containers = spec.and_then(|spec| spec.get("containers")).and_then(Json::as_array);
    containers.is_some_and(|list| list.iter().all(|item| item.as_object().is_some()))
        && !is_patch(Some(value))
        && !is_patch(spec)
}

/// The keys of a pod's annotations.
pub(super) fn annotations<'a>(value: &'a Json, pod: &[Step]) -> Vec<&'a str> {
    let pod = pod.iter().try_fold(value, |value, step| match (value, step) {
        (Json::Object(members), Step::Key(key)) => members.get(key),
        (Json::Array(items), Step::Index(i)) => items.get(*i),
        _ => None,
    });
    let annotations = pod.and_then(|pod| pod.get("metadata")).and_then(|m| m.get("annotations"));
    let keys = annotations.and_then(Json::as_object).into_iter().flat_map(|map| map.keys());
    keys.map(String::as_str).filter(|key| is_ours(key)).collect()
}

/// Whether a key is for the webhook, or was meant to be: case counts there.
pub(super) fn is_ours(key: &str) -> bool {
    let prefix = key.get(..PREFIX.len()).unwrap_or_default();
    let name = key.get(PREFIX.len()..).unwrap_or_default();
    prefix.eq_ignore_ascii_case(PREFIX) && !name.starts_with(OF_VAULT)
}

/// The value at a path.
pub(super) fn at<'a>(value: &'a mut Json, path: &[Step]) -> Option<&'a mut Json> {
    path.iter().try_fold(value, |value, step| match (value, step) {
        (Json::Object(members), Step::Key(key)) => members.get_mut(key),
        (Json::Array(items), Step::Index(i)) => items.get_mut(*i),
        _ => None,
    })
}

/// `spec.jobs[0].template`
pub(super) fn text(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Index(i) => out.push_str(&format!("[{i}]")),
            Step::Key(key) => {
                out.push_str(if out.is_empty() { "" } else { "." });
                out.push_str(key);
            }
        }
    }
    out
}

/// Annotations of ours that stand elsewhere than on a pod, unless a pod has the same (`taken`).
pub(super) fn strays(
    value: &Json,
    object: &Object,
    pods: &[Vec<Step>],
    taken: &BTreeSet<String>,
) -> Vec<Stray> {
    let homes: Vec<Vec<Step>> = pods.iter().map(|pod| home(pod)).collect();
    let mut found = Vec::new();
    let mut place = Vec::new();
    wander(value, &mut place, &mut |keys, at| {
        let is_item = object.is_list
            && matches!(at.first(), Some(Step::Key(key)) if ITEMS.contains(&key.as_str()));
        if is_item || homes.iter().any(|home| home == at) {
            return;
        }
        let keys: Vec<&str> = keys.into_iter().filter(|key| !taken.contains(*key)).collect();
        let Some((first, more)) = keys.split_first() else { return };
        let others = if more.is_empty() { "" } else { " and others" };
        let path = text(at);
        let shared = |home: &&Vec<Step>| home.iter().zip(at).take_while(|(a, b)| a == b).count();
        let advice = advice(value, object, at, homes.iter().rev().max_by_key(shared));
        let message = format!("{first}{others} at {path}: nothing is made of it there; {advice}");
        found.push(Stray { object: String::new(), path, message });
    });
    found
}

/// Where a pod's annotations stand.
fn home(pod: &[Step]) -> Vec<Step> {
    let below = ["metadata", "annotations"].map(|key| Step::Key(key.to_owned()));
    pod.iter().cloned().chain(below).collect()
}

/// Where to put annotations that stand at the wrong place.
fn advice(value: &Json, object: &Object, at: &[Step], home: Option<&Vec<Step>>) -> String {
    if let Some(home) = home {
        return format!("move it to {}", text(home));
    }
    let kind = &object.kind;
    let is_key =
        |step: Option<&Step>, name: &str| matches!(step, Some(Step::Key(key)) if key == name);
    let mut names = at.iter().filter_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    });
    if let Some(name) = names.find(|name| DESCRIPTIONS.contains(name)) {
        return format!("what stands below {name} describes other objects: put it into those");
    }
    let template = at.len().checked_sub(3).and_then(|i| at.get(i));
    if matches!(template, Some(Step::Key(key)) if key.to_lowercase().ends_with("template")) {
        return format!(
            "{} is no pod template, which has a list spec.containers and no $patch: a patch is injected into only together with \
             what it patches",
            text(at.get(..at.len() - 2).unwrap_or_default())
        );
    }
    if object.is_list {
        return "put it on the pods or pod templates of the list".to_owned();
    }
    if !object.is_builtin {
        return format!(
            "no pod template (an object with spec.containers) is in this {kind}: if its controller puts the \
             annotation on pods, the webhook injects into them in the cluster, but inject cannot"
        );
    }
    let is_own = is_key(at.first(), "metadata") && value.get("spec").is_some();
    let why = if is_own && kind == "Namespace" {
        "a namespace passes no annotation on"
    } else {
        "it counts on pods only"
    };
    format!(
        "{why}: put it into metadata.annotations of the pod, or of the pod template of a workload ({})",
        Key::Inject
    )
}

/// Every map with keys of ours, and its place.
fn wander<'a>(value: &'a Json, at: &mut Vec<Step>, found: &mut dyn FnMut(Vec<&'a str>, &[Step])) {
    match value {
        Json::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                at.push(Step::Index(i));
                wander(item, at, found);
                at.pop();
            }
        }
        Json::Object(members) => {
            let keys: Vec<&str> =
                members.keys().map(String::as_str).filter(|key| is_ours(key)).collect();
            if !keys.is_empty() {
                found(keys, at);
            }
            for (key, member) in members {
                if matches!(member, Json::Array(_) | Json::Object(_)) {
                    at.push(Step::Key(key.clone()));
                    wander(member, at, found);
                    at.pop();
                }
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}
