//! The fake API server keeps its promises: what other tests assume about it. What our client asks is tested
//! with the client.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::support::fake_kube::{FakeKube, NAMESPACE};
use crate::support::https::{Client, Reply};

const AGENT: &str = concat!("User-Agent: vault-injector/", env!("CARGO_PKG_VERSION"));

/// One request on a connection of its own.
fn ask(kube: &FakeKube, line: &str, headers: &[&str], body: &str) -> Reply {
    let pem = std::fs::read(kube.service_account().join("ca.crt")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address = format!("{}:{}", kube.host(), kube.port()).parse().unwrap();
    let mut client = Client::connect(address, Arc::new(config), "localhost").unwrap();
    client.ask(line, headers, body.as_bytes()).unwrap()
}

fn authorization(kube: &FakeKube) -> String {
    let token = std::fs::read_to_string(kube.service_account().join("token")).unwrap();
    format!("Authorization: Bearer {token}")
}

#[test]
fn complains_about_careless_clients() {
    let kube = FakeKube::start_as_charted();
    let token = authorization(&kube);
    let good = [token.as_str(), AGENT, "Accept: application/json"];
    let secret = format!("/api/v1/namespaces/{NAMESPACE}/secrets/s");
    let complain = |line: &str, headers: &[&str], body: &str, want: &str| {
        let reply = ask(&kube, line, headers, body);
        let complaints = kube.complaints();
        assert!(complaints.iter().any(|c| c.contains(want)), "{line}: {complaints:?}");
        kube.forgive();
        reply.status
    };
    assert_eq!(complain(&format!("GET {secret}"), &good[..2], "", "accept is None"), 404);
    assert_eq!(
        complain(&format!("GET {secret}"), &[&token, good[2]], "", "user-agent is None"),
        404
    );
    let pods = format!("GET /api/v1/namespaces/{NAMESPACE}/pods");
    assert_eq!(complain(&pods, &good, "", "a list without a name"), 403);
    assert_eq!(complain(&format!("GET {secret}?pretty=1"), &good, "", "other parameters"), 404);
    assert_eq!(complain("GET /api/v2/x", &good, "", "nothing is served here"), 404);
    assert_eq!(complain("GET /api/v1/secrets/s", &good, "", "nothing is served here"), 404);
    kube.put(json!({ "kind": "Secret", "metadata": { "name": "s", "namespace": NAMESPACE } }));
    let json = [good[0], good[1], good[2], "Content-Type: application/json"];
    assert_eq!(complain(&format!("PUT {secret}"), &json, "{", "body: "), 400);
    let wrong_kind = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"s"}}"#;
    assert_eq!(complain(&format!("PUT {secret}"), &json, wrong_kind, "v1 Pod"), 400);
    let no_version = json!({
        "kind": "Secret", "apiVersion": "v1", "metadata": { "name": "s", "namespace": NAMESPACE },
    });
    let put = format!("PUT {secret}");
    assert_eq!(complain(&put, &json, &no_version.to_string(), "without a version"), 422);
    assert!(ask(&kube, &format!("GET {secret}"), &good, "").status == 200);
    assert!(ask(&kube, &format!("GET {secret}"), &good[1..], "").status == 401);
    assert!(kube.complaints().is_empty());
}

#[test]
fn a_test_that_leaves_complaints_fails() {
    let ended = std::thread::spawn(|| {
        let kube = FakeKube::start();
        ask(&kube, "GET /", &[], "");
    });
    assert!(ended.join().is_err());
}

#[test]
fn applies_json_patches_whole_or_not_at_all() {
    let kube = FakeKube::start();
    kube.allow("patch get", "mutatingwebhookconfigurations", "c");
    let token = authorization(&kube);
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/c";
    let headers =
        [&*token, AGENT, "Accept: application/json", "Content-Type: application/json-patch+json"];
    for (patch, want) in [
        (r#"[{"op":"add","path":"/a~1b","value":1}]"#, Some(json!({ "a/b": 1, "l": [1, 2] }))),
        (r#"[{"op":"add","path":"/l/0","value":0}]"#, Some(json!({ "l": [0, 1, 2] }))),
        (r#"[{"op":"add","path":"/l/-","value":3}]"#, Some(json!({ "l": [1, 2, 3] }))),
        (r#"[{"op":"replace","path":"/l","value":7}]"#, Some(json!({ "l": 7 }))),
        (r#"[{"op":"remove","path":"/l/1"}]"#, Some(json!({ "l": [1] }))),
        (r#"[{"op":"move","from":"/l/0","path":"/m"}]"#, Some(json!({ "l": [2], "m": 1 }))),
        (r#"[{"op":"copy","from":"/l/0","path":"/m"}]"#, Some(json!({ "l": [1, 2], "m": 1 }))),
        (r#"[{"op":"test","path":"/l/0","value":1}]"#, Some(json!({ "l": [1, 2] }))),
        (r#"[{"op":"add","path":"/l/3","value":3}]"#, None),
        (r#"[{"op":"replace","path":"/x","value":3}]"#, None),
        (r#"[{"op":"remove","path":"/x"}]"#, None),
        (r#"[{"op":"add","path":"/y","value":1},{"op":"test","path":"/l/0","value":2}]"#, None),
    ] {
        let mut object = json!({ "kind": "MutatingWebhookConfiguration", "l": [1, 2] });
        object["metadata"] = json!({ "name": "c" });
        kube.put(object);
        let reply = ask(&kube, &format!("PATCH {path}"), &headers, patch);
        let mut stored = kube.object("mutatingwebhookconfigurations", "", "c").unwrap();
        for ours in ["kind", "apiVersion", "metadata"] {
            stored.as_object_mut().unwrap().remove(ours);
        }
        assert_eq!(reply.status, if want.is_some() { 200 } else { 422 }, "{patch}");
        assert_eq!(stored, want.unwrap_or_else(|| json!({ "l": [1, 2] })), "{patch}");
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["kind"] == "Status", reply.status == 422, "{body}");
    }
}
