//! The part of an API server that calls webhooks.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::https::{Ca, Client};
use super::program::{Program, Running};
use super::temp_dir::TempDir;
use super::vault::Vault;
use super::{Outcome, PATIENCE, pod, screen, text_at};

/// The webhook as a process, with a certificate of a CA that only we know.
pub(crate) struct Webhook {
    pub(crate) process: Running,
    /// From start to listening.
    pub(crate) started_in: Duration,
    address: SocketAddr,
    ca: Ca,
}

impl Webhook {
    pub(crate) fn start(binary: &Path, folder: &TempDir, vault: &Vault) -> Outcome<Self> {
        let ca = Ca::new();
        let (certificate, key) = ca.issue();
        let file = |name, content: &str| folder.write(name, content).display().to_string();
        let process = Program::new(binary, &["webhook"])
            .env("AGENT_INJECT_LISTEN", "127.0.0.1:0")
            .env("AGENT_INJECT_TLS_CERT_FILE", file("webhook/tls.crt", &certificate))
            .env("AGENT_INJECT_TLS_KEY_FILE", file("webhook/tls.key", &key))
            .env("AGENT_INJECT_VAULT_ADDR", vault.address())
            .env("AGENT_INJECT_VAULT_CACERT_BYTES", vault.ca_pem())
            .start();
        if !process.wait_for_err("listening", PATIENCE) {
            return Err(format!("the webhook does not listen:\n{}", process.err()));
        }
        let started_in = process.started().elapsed();
        let log = process.err();
        let words = log.split(|c: char| c.is_whitespace() || matches!(c, '=' | '"'));
        let address = words.filter_map(|word| word.parse().ok()).next_back();
        let address = address.ok_or_else(|| format!("the webhook listens, but where?\n{log}"))?;
        Ok(Self { process, started_in, address, ca })
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}/mutate", self.address)
    }

    /// Asks about a new pod as an API server does. Returns the pod as it will be, and the time on a
    /// connection that is open already.
    pub(crate) fn review(&self, pod: &Value) -> Outcome<(Value, Duration)> {
        if screen::interrupted() {
            return Err("interrupted".to_owned());
        }
        let request = review_of(pod).to_string();
        let headers = ["Content-Type: application/json", "Accept: application/json"];
        let mut client = Client::connect(self.address, self.ca.client(), "localhost")
            .map_err(|e| format!("the webhook does not answer: {e}"))?;
        let asked = Instant::now();
        let reply = client
            .ask("POST /mutate?timeout=10s", &headers, request.as_bytes())
            .map_err(|e| format!("the webhook does not answer: {e}"))?;
        let took = asked.elapsed();
        let review: Value = serde_json::from_slice(&reply.body)
            .map_err(|e| format!("HTTP {}, {e}: {}", reply.status, reply.text()))?;
        if review.pointer("/response/allowed") != Some(&Value::Bool(true)) {
            let message = text_at(&review, "/response/status/message");
            return Err(format!("the webhook refuses the pod: {message}"));
        }
        let patch = STANDARD
            .decode(text_at(&review, "/response/patch"))
            .map_err(|e| format!("the patch is not base64: {e}"))?;
        if patch.is_empty() {
            return Err("the webhook allows the pod without injecting anything".to_owned());
        }
        let patch = serde_json::from_slice(&patch).map_err(|e| format!("not a patch: {e}"))?;
        Ok((pod::patched(pod, &patch)?, took))
    }
}

fn review_of(pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "namespace": "demo",
            "operation": "CREATE",
            "userInfo": { "username": "system:serviceaccount:kube-system:replicaset-controller" },
            "object": pod,
            "oldObject": null,
            "dryRun": false,
        },
    })
}
