//! The decision offline: pods and pod templates inside of manifests.
//!
//! In a cluster the API server mounts a service account token into every container before webhooks see
//! the pod, unless `automountServiceAccountToken` is false. A manifest does not have that volume yet, so
//! the decision is made on a copy that has it, and it is taken out again afterwards: the API server will
//! mount the real one into the agents as into any other container.

use std::collections::BTreeMap;

use super::json_patch::{self, Dialect};
use super::{InjectConfig, Outcome, Verdict, decide, explain};
use crate::base::json::Json;

/// One pod or pod template of a manifest.
#[derive(Clone, Debug)]
pub struct Found {
    /// What the decision rests on, for `--explain`: one line each.
    pub explanation: Vec<String>,
    /// `Deployment default/web`
    pub name: String,
    /// What was decided.
    pub outcome: Outcome,
}

/// Stands in for the token volume that the API server will add.
const STAND_IN: &str = "kube-api-access-stand-in";
/// Where the API server mounts it.
const STAND_IN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Where the kinds of workloads keep their pod template.
const TEMPLATES: [(&str, &[&str]); 9] = [
    ("CronJob", &["spec", "jobTemplate", "spec", "template"]),
    ("DaemonSet", &["spec", "template"]),
    ("Deployment", &["spec", "template"]),
    ("Job", &["spec", "template"]),
    ("Pod", &[]),
    ("PodTemplate", &["template"]),
    ("ReplicaSet", &["spec", "template"]),
    ("ReplicationController", &["spec", "template"]),
    ("StatefulSet", &["spec", "template"]),
];

/// Injects into every pod of a document and tells what was decided about each. `namespace` is for
/// documents that name none.
pub fn inject(document: &mut Json, namespace: &str, config: &InjectConfig) -> Vec<Found> {
    let kind = document.get("kind").and_then(Json::as_str).unwrap_or_default().to_owned();
    if kind.ends_with("List")
        && let Some(Json::Array(items)) = member(document, "items")
    {
        return items.iter_mut().flat_map(|item| inject(item, namespace, config)).collect();
    }
    let Some((_, path)) = TEMPLATES.iter().find(|(known, _)| *known == kind) else {
        return Vec::new();
    };
    let text = |name: &str| {
        let text = document.get("metadata").and_then(|m| m.get(name)).and_then(Json::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let name = text("name").or_else(|| text("generateName")).unwrap_or_default();
    let namespace = text("namespace").unwrap_or_else(|| namespace.to_owned());
    let template = path.iter().try_fold(document, |node, part| member(node, part));
    let Some(template) = template.filter(|template| template.as_object().is_some()) else {
        return Vec::new();
    };
    let (outcome, explanation) = inject_pod(template, &namespace, config);
    vec![Found { explanation, name: format!("{kind} {namespace}/{name}"), outcome }]
}

fn inject_pod(
    template: &mut Json,
    namespace: &str,
    config: &InjectConfig,
) -> (Outcome, Vec<String>) {
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
    let mut outcome = decide(&object, namespace, config);
    let explanation = explain::lines(&object, &outcome, config);
    if outcome.verdict != Verdict::Inject {
        return (outcome, explanation);
    }
    let patched = json_patch::parse(&outcome.patch).and_then(|patch| {
        json_patch::apply(&mut pod, &patch, Dialect::Strict).map_err(|e| e.to_string())
    });
    if let Err(clause) = patched {
        outcome.verdict = Verdict::Deny;
        outcome.message = format!("the patch does not fit the manifest: {clause}");
        return (outcome, explanation);
    }
    let (metadata, spec) = match pod {
        Json::Object(mut members) => (members.remove("metadata"), members.remove("spec")),
        _ => (None, None),
    };
    if let (Json::Object(members), Some(metadata), Some(mut spec)) = (template, metadata, spec) {
        drop_stand_in(&mut spec);
        members.insert("metadata".to_owned(), metadata);
        members.insert("spec".to_owned(), spec);
    }
    (outcome, explanation)
}

fn member<'a>(value: &'a mut Json, name: &str) -> Option<&'a mut Json> {
    if let Json::Object(members) = value { members.get_mut(name) } else { None }
}

/// The list under a name, made when it is not there.
fn list<'a>(value: &'a mut Json, name: &str) -> Option<&'a mut Vec<Json>> {
    let Json::Object(members) = value else { return None };
    let list = members.entry(name.to_owned()).or_insert(Json::Null);
    if *list == Json::Null {
        *list = Json::Array(Vec::new());
    }
    if let Json::Array(items) = list { Some(items) } else { None }
}

fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Does to a copy of the pod what the API server will do to the pod.
fn add_stand_in(spec: &mut Json) {
    for group in ["containers", "initContainers"] {
        let Some(Json::Array(containers)) = member(spec, group) else { continue };
        for container in containers {
            let Some(mounts) = list(container, "volumeMounts") else { continue };
            let path =
                |mount: &Json| mount.get("mountPath").and_then(Json::as_str) == Some(STAND_IN_PATH);
            if !mounts.iter().any(path) {
                mounts.push(object([
                    ("mountPath", Json::String(STAND_IN_PATH.into())),
                    ("name", Json::String(STAND_IN.into())),
                    ("readOnly", Json::Bool(true)),
                ]));
            }
        }
    }
    if let Some(volumes) = list(spec, "volumes") {
        let token = object([("path", Json::String("token".into()))]);
        let source = object([("serviceAccountToken", token)]);
        let projected = object([("sources", Json::Array(vec![source]))]);
        volumes.push(object([("name", Json::String(STAND_IN.into())), ("projected", projected)]));
    }
}

/// Takes it out again, and what became empty by that.
fn drop_stand_in(spec: &mut Json) {
    let is_stand_in = |item: &Json| item.get("name").and_then(Json::as_str) == Some(STAND_IN);
    let clean = |holder: &mut Json, name: &str| {
        if let Some(Json::Array(items)) = member(holder, name) {
            items.retain(|item| !is_stand_in(item));
            if items.is_empty()
                && let Json::Object(members) = holder
            {
                members.remove(name);
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
mod tests {
    use super::*;

    fn run(document: &str) -> (Json, Vec<Found>) {
        let config = InjectConfig { address: "http://v".into(), ..InjectConfig::default() };
        let mut json = Json::parse(document.as_bytes()).unwrap();
        let found = inject(&mut json, "default", &config);
        (json, found)
    }

    const TEMPLATE: &str = r#"{"metadata":{"annotations":{"vault.hashicorp.com/agent-inject":"true","vault.hashicorp.com/role":"r"}},"spec":{"containers":[{"name":"app"}]}}"#;

    #[test]
    fn every_kind_of_workload_is_found() {
        for (kind, before, after) in [
            ("Deployment", r#"{"template":"#, "}"),
            ("CronJob", r#"{"jobTemplate":{"spec":{"template":"#, "}}}"),
        ] {
            let text = format!(
                r#"{{"kind":"{kind}","metadata":{{"name":"x","namespace":"n"}},"spec":{before}{TEMPLATE}{after}}}"#
            );
            let (json, found) = run(&text);
            assert_eq!(found[0].name, format!("{kind} n/x"));
            assert_eq!(found[0].outcome.verdict, Verdict::Inject, "{}", found[0].outcome.message);
            let text = json.to_text();
            assert!(text.contains("vault-agent-init") && !text.contains(STAND_IN), "{text}");
            assert!(!text.contains("kubernetes.io/serviceaccount\""), "{text}");
        }
        let list = format!(
            r#"{{"kind":"List","items":[{{"kind":"Service"}},{{"kind":"Job","spec":{{"template":{TEMPLATE}}}}}]}}"#
        );
        assert_eq!(run(&list).1.len(), 1);
        assert!(run(r#"{"kind":"ConfigMap"}"#).1.is_empty());
        assert!(run(r#"{"kind":"Deployment","spec":null}"#).1.is_empty());
        assert!(run("[]").1.is_empty());
    }

    #[test]
    fn without_automount_the_agents_bring_their_own_token() {
        let text = format!(r#"{{"kind":"Job","spec":{{"template":{TEMPLATE}}}}}"#).replace(
            r#""spec":{"containers""#,
            r#""spec":{"automountServiceAccountToken":false,"containers""#,
        );
        let (json, _) = run(&text);
        assert!(json.to_text().contains("vault-injector-token"));
    }

    #[test]
    fn what_is_not_injected_stays_as_it_is() {
        let text = r#"{"kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"a"}]}}"#;
        let (json, found) = run(text);
        assert_eq!((json.to_text().as_str(), found[0].outcome.reason), (text, "not-annotated"));
    }
}
