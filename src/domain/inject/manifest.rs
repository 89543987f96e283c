//! The decision offline: pods and pod templates inside of manifests.
//!
//! In a cluster the API server mounts a service account token into every container before webhooks see
//! the pod, unless `automountServiceAccountToken` is false. A manifest does not have that volume yet, so
//! the decision is made on a copy that has it, and it is taken out again afterwards: the API server will
//! mount the real one into the agents as into any other container.

mod find;

use std::collections::{BTreeMap, BTreeSet};

use self::find::{Object, Step};
use super::annotations::Key;
use super::explain::{self, Explanation};
use super::json_patch::{self, Dialect};
use super::{InjectConfig, Outcome, Verdict, decide};
use crate::base::json::Json;
use crate::base::source::Node;

/// What came of one document.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Whether the document is an object of Kubernetes, or a list of them.
    pub is_manifest: bool,
    /// Objects of Kubernetes: the document, or the items of its lists.
    pub objects: usize,
    /// Pods and pod templates, in the order of the document's keys.
    pub pods: Vec<Found>,
    /// Annotations of which nothing was made.
    pub strays: Vec<Stray>,
}

impl Findings {
    /// Adds those of another part of the document.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.is_manifest |= other.is_manifest;
        self.objects += other.objects;
        self.pods.append(&mut other.pods);
        self.strays.append(&mut other.strays);
    }
}

/// One pod or pod template of a manifest.
#[derive(Clone, Debug)]
pub struct Found {
    /// What the decision rests on.
    pub explanation: Explanation,
    /// The kind of the object that it is in.
    pub kind: String,
    /// That object's name, or its `generateName`.
    pub name: String,
    /// That object's namespace.
    pub namespace: String,
    /// What was decided.
    pub outcome: Outcome,
    /// Where it stands in that object, `spec.template`; empty for a pod.
    pub path: String,
    /// Whether the object has others.
    pub is_one_of_many: bool,
}

/// Annotations that stand where they have no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// `Deployment default/web`
    pub object: String,
    /// Where they stand in it: `metadata.annotations`.
    pub path: String,
    /// Which they are, and where to put them: one sentence.
    pub message: String,
}

/// `Deployment default/web`, and which of several templates.
impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)?;
        if self.is_one_of_many { write!(f, " at {}", self.path) } else { Ok(()) }
    }
}

/// Stands in for the token volume that the API server will add.
pub(super) const STAND_IN: &str = "kube-api-access-stand-in";
/// Where the API server mounts it.
const STAND_IN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Says of a stand-in what its list was before.
const STOOD_BEFORE: &str = "stoodBefore";

/// Injects into every pod and every pod template of a document, and tells what was decided about each.
/// `namespace` is for objects that name none.
pub fn inject(document: &mut Json, namespace: &str, config: &InjectConfig) -> Findings {
    Injector { config, explains: true, namespace }.inject(document)
}

/// Injects into documents, or into the parts of large ones.
#[derive(Clone, Copy)]
pub(crate) struct Injector<'c> {
    pub(crate) config: &'c InjectConfig,
    /// Whether anybody reads the explanations.
    pub(crate) explains: bool,
    /// For objects that name none.
    pub(crate) namespace: &'c str,
}

/// A list whose items can be looked at one by one.
pub(crate) struct Listed<'n> {
    /// The list without its items.
    pub(crate) frame: Json,
    /// The kind of items that say none.
    kind: String,
    pub(crate) items: &'n [Node],
}

impl<'n> Listed<'n> {
    /// `None` for what is no list.
    pub(crate) fn of(root: &'n Node) -> Option<Self> {
        let kind = root.text("kind").filter(|kind| kind.ends_with("List"))?;
        let items = root.items(ITEMS)?;
        let kind = find::kind_of_items(kind).to_owned();
        Some(Self { frame: root.to_json_without(ITEMS), kind, items })
    }
}

/// What most lists call their items.
const ITEMS: &str = "items";

impl Injector<'_> {
    pub(crate) fn inject(self, document: &mut Json) -> Findings {
        let objects = find::objects(document);
        self.into_objects(document, &objects)
    }

    /// The same for one item of a list.
    pub(crate) fn inject_item(self, item: &mut Json, list: &Listed<'_>) -> Findings {
        let objects = find::objects_of_item(item, &list.kind);
        self.into_objects(item, &objects)
    }

    fn into_objects(self, document: &mut Json, objects: &[Object]) -> Findings {
        let mut findings = Findings::default();
        for object in objects {
            findings.is_manifest = true;
            findings.objects += usize::from(!object.is_list);
            self.into_object(document, object, &mut findings);
        }
        findings
    }

    fn into_object(self, document: &mut Json, object: &Object, findings: &mut Findings) {
        let Some(value) = find::at(document, &object.at) else { return };
        let pods = find::pods(value, object);
        let keys: BTreeSet<String> =
            pods.iter().flat_map(|pod| find::annotations(value, pod)).map(str::to_owned).collect();
        let namespace = object.namespace.as_deref().unwrap_or(self.namespace);
        let full_name = format!("{} {namespace}/{}", object.kind, object.name);
        for stray in find::strays(value, object, &pods, &keys) {
            findings.strays.push(Stray { object: full_name.clone(), ..stray });
        }
        let is_one_of_many = pods.len() > 1;
        for pod in pods {
            let path = find::text(&pod);
            let steps: Vec<Step> = object.at.iter().cloned().chain(pod).collect();
            let Some(template) = find::at(document, &steps) else { continue };
            let (outcome, explanation) = self.inject_pod(template, namespace);
            findings.pods.push(Found {
                explanation,
                kind: object.kind.clone(),
                name: object.name.clone(),
                namespace: namespace.to_owned(),
                outcome,
                path,
                is_one_of_many,
            });
        }
    }

    fn inject_pod(self, template: &mut Json, namespace: &str) -> (Outcome, Explanation) {
        let mut pod = Json::Object(BTreeMap::from([
            ("kind".to_owned(), Json::String("Pod".into())),
            ("metadata".to_owned(), template.get("metadata").cloned().unwrap_or(Json::Null)),
            ("spec".to_owned(), template.get("spec").cloned().unwrap_or(Json::Null)),
        ]));
        if let Some(spec) = member(&mut pod, "spec")
            && spec.get("automountServiceAccountToken").and_then(Json::as_bool) != Some(false)
        {
            add_stand_in(spec);
        }
        let object = pod.to_text();
        let mut outcome = decide(&object, namespace, self.config);
        if outcome.verdict != Verdict::Inject {
            outcome.warnings.extend(unasked(template, &outcome));
            let explanation = self.explain(&object, &pod, &outcome);
            return (outcome, explanation);
        }
        let patched = json_patch::parse(&outcome.patch).and_then(|patch| {
            json_patch::apply(&mut pod, &patch, Dialect::Strict).map_err(|e| e.to_string())
        });
        if let Err(clause) = patched {
            outcome.verdict = Verdict::Deny;
            outcome.message = format!("the patch does not fit the manifest: {clause}");
            return (outcome, Explanation::default());
        }
        let explanation = self.explain(&object, &pod, &outcome);
        let (metadata, spec) = match pod {
            Json::Object(mut members) => (members.remove("metadata"), members.remove("spec")),
            _ => (None, None),
        };
        if let (Json::Object(members), Some(metadata), Some(mut spec)) = (template, metadata, spec)
        {
            drop_stand_in(&mut spec);
            members.insert("metadata".to_owned(), metadata);
            members.insert("spec".to_owned(), spec);
        }
        (outcome, explanation)
    }

    fn explain(self, object: &str, pod: &Json, outcome: &Outcome) -> Explanation {
        if self.explains {
            explain::explain(object, pod, outcome, self.config)
        } else {
            Explanation::default()
        }
    }
}

/// A pod says much about secrets, and not that it wants any.
fn unasked(template: &Json, outcome: &Outcome) -> Option<String> {
    let keys = find::annotations(template, &[]);
    // The decision itself may know better what is amiss.
    let is_silent = outcome.reason == "not-annotated" && outcome.warnings.is_empty();
    let first = keys.first().filter(|_| is_silent)?;
    let others = if keys.len() > 1 { " and others have" } else { " has" };
    Some(format!("{first}{others} no effect without {}: \"true\"", Key::Inject))
}

fn member<'a>(value: &'a mut Json, name: &str) -> Option<&'a mut Json> {
    if let Json::Object(members) = value { members.get_mut(name) } else { None }
}

/// The list under a name, made when it is not there, and what was there before: nothing, null or a list.
fn list<'a>(value: &'a mut Json, name: &str) -> Option<(&'a mut Vec<Json>, Json)> {
    let Json::Object(members) = value else { return None };
    let before = match members.get(name) {
        None => Json::Bool(false),
        Some(Json::Null) => Json::Null,
        Some(_) => Json::Bool(true),
    };
    let list = members.entry(name.to_owned()).or_insert(Json::Null);
    if *list == Json::Null {
        *list = Json::Array(Vec::new());
    }
    if let Json::Array(items) = list { Some((items, before)) } else { None }
}

fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Does to a copy of the pod what the API server will do to the pod.
fn add_stand_in(spec: &mut Json) {
    for group in ["containers", "initContainers"] {
        let Some(Json::Array(containers)) = member(spec, group) else { continue };
        for container in containers {
            let Some((mounts, before)) = list(container, "volumeMounts") else { continue };
            let path =
                |mount: &Json| mount.get("mountPath").and_then(Json::as_str) == Some(STAND_IN_PATH);
            if !mounts.iter().any(path) {
                mounts.push(object([
                    ("mountPath", Json::String(STAND_IN_PATH.into())),
                    ("name", Json::String(STAND_IN.into())),
                    ("readOnly", Json::Bool(true)),
                    (STOOD_BEFORE, before),
                ]));
            }
        }
    }
    if let Some((volumes, before)) = list(spec, "volumes") {
        let token = object([("path", Json::String("token".into()))]);
        let source = object([("serviceAccountToken", token)]);
        let projected = object([("sources", Json::Array(vec![source]))]);
        volumes.push(object([
            ("name", Json::String(STAND_IN.into())),
            ("projected", projected),
            (STOOD_BEFORE, before),
        ]));
    }
}

/// Takes it out again; what becomes empty by that is what it was before.
fn drop_stand_in(spec: &mut Json) {
    let is_stand_in = |item: &Json| item.get("name").and_then(Json::as_str) == Some(STAND_IN);
    let clean = |holder: &mut Json, name: &str| {
        let Some(Json::Array(items)) = member(holder, name) else { return };
        let Some(stand_in) = items.iter().position(is_stand_in).map(|at| items.remove(at)) else {
            return;
        };
        items.retain(|item| !is_stand_in(item));
        if let (true, Json::Object(members)) = (items.is_empty(), holder) {
            match stand_in.get(STOOD_BEFORE) {
                Some(Json::Null) => drop(members.insert(name.to_owned(), Json::Null)),
                Some(Json::Bool(true)) => {}
                _ => drop(members.remove(name)),
            }
        }
    };
    for group in ["containers", "initContainers"] {
        if let Some(Json::Array(containers)) = member(spec, group) {
            containers.iter_mut().for_each(|container| clean(container, "volumeMounts"));
        }
    }
    clean(spec, "volumes");
}

#[cfg(test)]
mod tests;
