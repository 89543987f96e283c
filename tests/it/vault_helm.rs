//! The webhook starts with what `HashiCorp`'s chart gives it, as recorded in `vault_helm.json`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::support::fake_kube::{FakeKube, NAMESPACE};
use crate::support::https::Ca;
use crate::support::program::{Finished, Program};
use crate::support::temp_dir::TempDir;

const CONFIGURATION: &str = "vault-agent-injector-cfg";
const CONFIGURATIONS: &str = "mutatingwebhookconfigurations";
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
struct Chart {
    args: Vec<String>,
    cases: BTreeMap<String, BTreeMap<String, String>>,
}

fn chart() -> Chart {
    serde_json::from_str(include_str!("vault_helm.json")).unwrap()
}

/// The cluster of the chart's release: its webhook configuration, its pod, and the permissions that it grants.
fn cluster(env: &BTreeMap<String, String>) -> FakeKube {
    let elects = env.contains_key("AGENT_INJECT_USE_LEADER_ELECTOR");
    let kube = if elects { FakeKube::start_as_charted() } else { FakeKube::start() };
    kube.allow("get list watch patch", CONFIGURATIONS, "");
    kube.put(json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": CONFIGURATION },
        "webhooks": [{
            "name": "vault.hashicorp.com",
            "admissionReviewVersions": ["v1", "v1beta1"],
            "sideEffects": "None",
            "clientConfig": {
                "caBundle": "",
                "service": {
                    "name": "vault-agent-injector-svc", "namespace": NAMESPACE, "path": "/mutate",
                },
            },
        }],
    }));
    kube.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": env["POD_NAME"], "namespace": NAMESPACE },
        "spec": { "nodeName": "node-1" }, "status": { "phase": "Running" },
    }));
    if elects {
        kube.put(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": { "name": "vault-injector-certs", "namespace": NAMESPACE },
        }));
    }
    kube
}

/// Starts the webhook as the chart does, but for the port and the place of the certificate; what it said until it kept
/// the `caBundle`, where that is its task, or listened, or gave up.
fn start(args: &[String], env: &BTreeMap<String, String>) -> Finished {
    let kube = cluster(env);
    let folder = TempDir::new("vault-helm");
    let (certificate, key) = Ca::new().issue();
    let files = [("tls.crt", certificate), ("tls.key", key)]
        .map(|(name, pem)| (format!("/etc/webhook/certs/{name}"), folder.write(name, &pem)));
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut program = Program::new(env!("CARGO_BIN_EXE_vault-injector"), &words);
    for (name, value) in kube.env() {
        program = program.env(name, value);
    }
    for (name, value) in env {
        let file = files.iter().find(|(path, _)| path == value).map(|(_, file)| file);
        program = match (name.as_str(), file) {
            ("AGENT_INJECT_LISTEN", _) => program.env(name, "127.0.0.1:0"),
            (_, Some(file)) => program.env(name, file.to_str().unwrap()),
            (_, None) => program.env(name, value),
        };
    }
    let running = program.start();
    assert!(running.wait_for_err("listening", LIMIT));
    if env.contains_key("AGENT_INJECT_TLS_AUTO") {
        assert!(running.wait_for_err("caBundle patched", LIMIT));
    }
    running.terminate(LIMIT)
}

#[test]
fn every_variable_and_argument_of_the_chart_is_understood() {
    let chart = chart();
    assert_eq!(chart.cases.len(), 3);
    for (name, env) in &chart.cases {
        let told = start(&chart.args, env);
        for word in ["unknown", "without the prefix", "neither standard"] {
            assert!(!told.err.contains(word), "{name}: {told:?}");
        }
        // The chart's own default is an address without TLS, and of that its operator hears.
        let is_complaint = |line: &&str| {
            ["\"warn\"", "\"error\"", "[WARN]", "[ERROR]"].iter().any(|w| line.contains(w))
                && !line.contains("in clear")
        };
        assert_eq!(told.err.lines().find(is_complaint), None, "{name}");
        assert_eq!(told.code(), 0, "{name}: {told:?}");
    }
}

#[test]
fn a_variable_that_does_not_exist_is_told_from_those_of_the_chart() {
    let chart = chart();
    let mut env = chart.cases["certs.secretName and everything that may be set"].clone();
    env.insert("AGENT_INJECT_LOG_LEVLE".into(), "info".into());
    let told = start(&chart.args, &env);
    assert!(told.err.contains("unknown variable ignored"), "{told:?}");
}
