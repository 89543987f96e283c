//! A pod through the webhook.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::webhook::Webhook;

/// The pod as the webhook changes it for agents of `image` that use the cluster's Vault over TLS.
pub(crate) fn mutate(pod: &Value, cluster: &Cluster, image: &str) -> Value {
    let ca = std::fs::read(cluster.bao.ca_cert()).expect("Vault's CA");
    let webhook = Webhook::start(
        &[],
        &[
            ("AGENT_INJECT_VAULT_IMAGE", image),
            ("AGENT_INJECT_VAULT_ADDR", &cluster.bao.tls_address),
            ("AGENT_INJECT_VAULT_CACERT_BYTES", &STANDARD.encode(ca)),
        ],
    );
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop",
            "operation": "CREATE",
            "object": pod,
        },
    });
    let answer = webhook.ask(&review);
    let response = &answer["response"];
    assert_eq!(response["allowed"], true, "{response}");
    let patch = response["patch"].as_str().unwrap_or_else(|| panic!("no patch: {response}"));
    let patch = STANDARD.decode(patch).expect("base64");
    let patch: Vec<Value> = serde_json::from_slice(&patch).expect("a JSON patch");
    patch.into_iter().fold(pod.clone(), |pod, step| apply(pod, &step))
}

/// One step of a JSON patch (RFC 6902): the three operations that a webhook needs.
fn apply(mut document: Value, step: &Value) -> Value {
    let path = step["path"].as_str().expect("a path");
    let (parent, last) = path.rsplit_once('/').expect("not the whole document");
    let last = last.replace("~1", "/").replace("~0", "~");
    let value = step["value"].clone();
    let operation = step["op"].as_str().expect("an operation");
    match document.pointer_mut(parent) {
        Some(Value::Array(items)) => {
            let at = if last == "-" { items.len() } else { last.parse().expect("an index") };
            match operation {
                "add" => items.insert(at, value),
                "replace" => items[at] = value,
                "remove" => drop(items.remove(at)),
                unknown => panic!("unknown operation {unknown}"),
            }
        }
        Some(Value::Object(fields)) => match operation {
            "add" | "replace" => drop(fields.insert(last, value)),
            "remove" => drop(fields.remove(&last)),
            unknown => panic!("unknown operation {unknown}"),
        },
        _ => panic!("nothing at {parent}"),
    }
    document
}
