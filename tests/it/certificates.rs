//! Certificates that keep themselves: the real executable against a stand-in for the API server, and clients that
//! believe nobody but the `caBundle`.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::ClientConfig;
use serde_json::{Value, json};

use crate::support::fake_kube::{FakeKube, Fault, NAMESPACE};
use crate::support::https::{Ca, Client};
use crate::support::temp_dir::TempDir;

const CONFIGURATION: &str = "inj-cfg";
const CONFIGURATIONS: &str = "mutatingwebhookconfigurations";
const HOSTS: &str = "inj-svc,inj-svc.vault,inj-svc.vault.svc";
const NAME: &str = "inj-svc.vault.svc";
const SOON: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(20);

/// What our own manifests allow, and nothing else.
fn cluster() -> FakeKube {
    let kube = FakeKube::start();
    kube.allow("get list watch patch", CONFIGURATIONS, CONFIGURATION);
    kube.allow("create", "secrets", "");
    kube.allow("get update", "secrets", "vault-injector-ca");
    kube.allow("get update", "secrets", "vault-injector-certs");
    kube.allow("create", "leases", "");
    kube.allow("get update", "leases", "vault-injector");
    configure(&kube, &[]);
    kube
}

/// The chart's configuration with its empty bundle, and one of somebody else in front.
fn configure(kube: &FakeKube, bundle: &[&str]) {
    kube.put(json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": CONFIGURATION },
        "webhooks": [
            {
                "name": "other.example",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "clientConfig": {
                    "caBundle": BASE64_STANDARD.encode("not ours"),
                    "service": { "name": "inj-svc", "namespace": "elsewhere", "path": "/" },
                },
            },
            {
                "name": "vault.hashicorp.com",
                "admissionReviewVersions": ["v1", "v1beta1"],
                "sideEffects": "None",
                "clientConfig": {
                    "caBundle": BASE64_STANDARD.encode(bundle.concat()),
                    "service": { "name": "inj-svc", "namespace": NAMESPACE, "path": "/mutate" },
                },
            },
        ],
    }));
}

/// PEM of our entry's bundle.
fn bundle(kube: &FakeKube) -> String {
    let configuration = kube.object(CONFIGURATIONS, "", CONFIGURATION).unwrap();
    let text = configuration["webhooks"][1]["clientConfig"]["caBundle"].as_str().unwrap_or("");
    String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap()
}

fn count(bundle: &str) -> usize {
    bundle.matches("BEGIN CERTIFICATE").count()
}

fn wait_for_bundle(kube: &FakeKube, limit: Duration, certificates: usize) {
    let enough = |configuration: &Value| {
        let text = configuration["webhooks"][1]["clientConfig"]["caBundle"].as_str().unwrap_or("");
        let text = String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap();
        count(&text) == certificates
    };
    let key = (CONFIGURATIONS, "", CONFIGURATION);
    assert!(kube.wait_for_object(key, limit, enough), "{}", bundle(kube));
}

/// Believes what API servers are told to believe.
fn believer(kube: &FakeKube) -> Arc<ClientConfig> {
    Ca::client_of_pem(&bundle(kube))
}

/// A running webhook, killed when dropped.
struct Webhook {
    child: Child,
    address: SocketAddr,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Webhook {
    fn start(kube: &FakeKube, more: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vault-injector"));
        command.args(["agent-inject", "2>&1"]).stdin(Stdio::null()).env_clear();
        command.envs(kube.env());
        command.envs([
            ("AGENT_INJECT_LISTEN", "127.0.0.1:0"),
            ("AGENT_INJECT_VAULT_ADDR", "https://vault.example:8200"),
            ("AGENT_INJECT_TLS_AUTO", CONFIGURATION),
            ("AGENT_INJECT_TLS_AUTO_HOSTS", HOSTS),
            ("NAMESPACE", NAMESPACE),
        ]);
        let mut child = command.envs(more.iter().copied()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || log.lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
        let mut webhook =
            Self { child, address: ([127, 0, 0, 1], 0).into(), lines, seen: Vec::new() };
        let line = webhook.line("listening");
        webhook.address = line.split(['=', '"']).find_map(|word| word.parse().ok()).unwrap();
        webhook
    }

    fn elect(kube: &FakeKube, pod: &str) -> Self {
        Self::start(kube, &[("AGENT_INJECT_USE_LEADER_ELECTOR", "true"), ("POD_NAME", pod)])
    }

    /// The next log line with this text.
    fn line(&mut self, text: &str) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("no line with {text:?} in {:#?}", self.seen),
            }
        }
    }

    /// All log lines so far.
    fn log(&mut self) -> &[String] {
        self.seen.extend(self.lines.try_iter());
        &self.seen
    }

    /// What a client that believes only the live bundle is told of readiness, if it gets so far.
    fn ready_for(&self, client: Arc<ClientConfig>) -> Option<u16> {
        let mut client = Client::connect(self.address, client, NAME).ok()?;
        Some(client.ask("GET /health/ready", &[], b"").unwrap().status)
    }

    fn is_believed(&self, kube: &FakeKube) -> bool {
        !bundle(kube).is_empty() && self.ready_for(believer(kube)) == Some(204)
    }

    fn wait_until_believed(&mut self, kube: &FakeKube, limit: Duration) {
        let end = Instant::now() + limit;
        while !self.is_believed(kube) {
            assert!(Instant::now() < end, "{:#?}\n{}", self.log(), bundle(kube));
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// As the kubelet asks, which believes anybody.
    fn probe(&self, path: &str) -> (u16, String) {
        let mut client = Client::connect(self.address, Ca::client_of_anybody(), NAME).unwrap();
        let reply = client.ask(&format!("GET {path}"), &[], b"").unwrap();
        (reply.status, reply.text())
    }

    fn leaf(&self) -> Vec<u8> {
        let client = Client::connect(self.address, Ca::client_of_anybody(), NAME).unwrap();
        client.peer().to_vec()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn a_first_start_is_believed_and_ready_within_two_seconds() {
    let kube = cluster();
    let start = Instant::now();
    let mut webhook = Webhook::start(&kube, &[]);
    webhook.wait_until_believed(&kube, Duration::from_secs(2));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    let secret = kube.object("secrets", NAMESPACE, "vault-injector-ca").unwrap();
    assert_eq!(secret["type"], "kubernetes.io/tls");
    let keys: Vec<&String> = secret["data"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["ca.crt", "tls.crt", "tls.key"]);
    // The other entry is as it was.
    let configuration = kube.object(CONFIGURATIONS, "", CONFIGURATION).unwrap();
    let other = &configuration["webhooks"][0]["clientConfig"]["caBundle"];
    assert_eq!(other, &BASE64_STANDARD.encode("not ours"));
    let metrics = webhook.probe("/metrics").1;
    for line in [
        "vault_injector_ca_bundle{state=\"present\"} 1",
        "vault_injector_ca_bundle{state=\"absent\"} 0",
        "vault_injector_ca_bundle_patches_total 1",
        "vault_injector_is_leader 1",
        "vault_injector_certificate_rotations_total{what=\"ca\"} 1",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    }
    assert!(metrics.contains("\nvault_injector_ca_expiration_timestamp_seconds "));
    // No key and no token in the log.
    let log = webhook.log().concat();
    assert!(!log.contains("PRIVATE KEY") && !log.contains("token-"), "{log}");
    assert!(!log.contains("[WARN]") && !log.contains("[ERROR]"), "{log}");
    // A second process finds the same CA and changes nothing.
    let before = bundle(&kube);
    let mut second = Webhook::start(&kube, &[]);
    second.wait_until_believed(&kube, SOON);
    assert!(webhook.is_believed(&kube));
    assert_eq!((bundle(&kube), kube.count("patch", CONFIGURATIONS)), (before, 1));
    assert_ne!(webhook.leaf(), second.leaf());
}

#[test]
fn under_the_charts_roles_for_one_replica_the_ca_stays_in_memory() {
    let kube = FakeKube::start();
    kube.allow("get list watch patch", CONFIGURATIONS, "");
    configure(&kube, &[]);
    let mut webhook = Webhook::start(&kube, &[]);
    webhook.wait_until_believed(&kube, Duration::from_secs(2));
    assert!(webhook.line("the CA is kept in memory").contains("[INFO]"));
    assert!(!webhook.log().concat().contains("[WARN]"), "{:#?}", webhook.log());
    // Its successor in a rolling update: both are believed, and neither fights.
    let mut next = Webhook::start(&kube, &[]);
    next.wait_until_believed(&kube, SOON);
    assert!(webhook.is_believed(&kube));
    assert_eq!((count(&bundle(&kube)), kube.count("patch", CONFIGURATIONS)), (2, 2));
}

#[test]
fn what_helm_resets_is_back_within_a_second() {
    let kube = cluster();
    let mut webhook = Webhook::start(&kube, &[]);
    webhook.wait_until_believed(&kube, SOON);
    kube.wait_for_watches(1);
    let start = Instant::now();
    configure(&kube, &[]);
    wait_for_bundle(&kube, SOON, 1);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(webhook.is_believed(&kube));
    webhook.line("our CA was removed from the caBundle");
    // Whose certificate it was does not matter: it stays, unless it is none.
    let (foreign, _) = Ca::new().issue();
    configure(&kube, &["# hand-made\n", &foreign, "garbage\n", &foreign]);
    let end = Instant::now() + SOON;
    while bundle(&kube).contains("garbage") {
        assert!(Instant::now() < end, "{:#?}", webhook.log());
        thread::sleep(Duration::from_millis(20));
    }
    assert!(bundle(&kube).starts_with(&foreign.replace("\r\n", "\n")), "{}", bundle(&kube));
    assert_eq!(count(&bundle(&kube)), 2);
    assert!(webhook.is_believed(&kube));
}

#[test]
fn without_an_api_server_it_serves_and_asks_with_patience() {
    let kube = cluster();
    kube.fault("*", "*", Fault::Status(503, None), usize::MAX);
    let mut webhook = Webhook::start(&kube, &[]);
    let (status, text) = webhook.probe("/health/ready");
    assert_eq!((status, webhook.probe("/health/live").0), (503, 204));
    assert!(text.contains("caBundle"), "{text}");
    thread::sleep(Duration::from_secs(6));
    let asked = kube.requests().len();
    assert!((6..40).contains(&asked), "{asked}");
    let told = webhook.log().iter().filter(|line| line.contains("trying again")).count();
    assert!((1..=4).contains(&told), "{:#?}", webhook.log());
    let metrics = webhook.probe("/metrics").1;
    assert!(metrics.contains("vault_injector_kubernetes_errors_total{what=\"CA\"} "), "{metrics}");
    kube.heal();
    webhook.wait_until_believed(&kube, LIMIT);
    webhook.line("no longer hindered");
}

#[test]
fn conflicts_and_other_mishaps_cost_a_moment() {
    let kube = cluster();
    kube.fault("patch", CONFIGURATIONS, Fault::Status(409, None), 2);
    kube.fault("create", "secrets", Fault::Close, 1);
    kube.fault("get", CONFIGURATIONS, Fault::CutBody, 1);
    let mut webhook = Webhook::start(&kube, &[]);
    webhook.wait_until_believed(&kube, LIMIT);
    kube.end_watches();
    configure(&kube, &[]);
    wait_for_bundle(&kube, LIMIT, 1);
}

#[test]
fn content_that_is_no_ca_is_replaced_and_said() {
    let kube = cluster();
    let (certificate, key) = Ca::new().issue();
    let data = json!({
        "tls.crt": BASE64_STANDARD.encode(certificate),
        "tls.key": BASE64_STANDARD.encode(key),
        "ca.crt": "",
    });
    kube.put(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": data,
        "metadata": { "name": "vault-injector-ca", "namespace": NAMESPACE, "labels": { "a": "b" } },
    }));
    let mut webhook = Webhook::start(&kube, &[]);
    webhook.wait_until_believed(&kube, SOON);
    assert!(webhook.line("was of no use and has been replaced").contains("[WARN]"));
    let secret = kube.object("secrets", NAMESPACE, "vault-injector-ca").unwrap();
    assert_eq!(secret["metadata"]["labels"]["a"], "b");
}

#[test]
fn without_a_watch_it_looks_by_itself() {
    let kube = cluster();
    kube.forbid("list watch", CONFIGURATIONS);
    let mut webhook = Webhook::start(&kube, &[]);
    webhook.wait_until_believed(&kube, SOON);
    webhook.line("may not list");
    configure(&kube, &[]);
    wait_for_bundle(&kube, LIMIT, 1);
    webhook.wait_until_believed(&kube, SOON);
}

#[test]
fn a_watch_that_breaks_now_and_then_is_no_news() {
    let kube = cluster();
    let mut webhook = Webhook::start(&kube, &[]);
    webhook.wait_until_believed(&kube, SOON);
    assert!(kube.wait_for_watches(1));
    kube.cut_connections();
    assert!(kube.wait_for_count("watch", CONFIGURATIONS, 2, LIMIT));
    configure(&kube, &[]);
    webhook.line("our CA was removed");
    let is_told = |line: &&String| line.contains("hindered");
    assert_eq!(webhook.log().iter().find(is_told), None);
}

#[test]
fn names_that_lead_nowhere_are_told_with_those_that_were_meant() {
    let kube = cluster();
    let mut webhook = Webhook::start(&kube, &[("AGENT_INJECT_TLS_AUTO_HOSTS", "other.vault.svc")]);
    let line = webhook.line("no entry of the webhook configuration leads here");
    assert!(line.contains("[ERROR]") && line.contains("other.vault.svc"), "{line}");
    assert!(line.contains("inj-svc.elsewhere.svc, inj-svc.vault.svc"), "{line}");
    assert_eq!(webhook.probe("/health/live").0, 204);
    assert_eq!(kube.count("patch", CONFIGURATIONS), 0);
}

#[test]
fn two_replicas_share_a_ca_and_one_of_them_leads() {
    let kube = cluster();
    let mut a = Webhook::elect(&kube, "inj-a");
    let mut b = Webhook::elect(&kube, "inj-b");
    a.wait_until_believed(&kube, LIMIT);
    b.wait_until_believed(&kube, LIMIT);
    assert_eq!((count(&bundle(&kube)), kube.count("patch", CONFIGURATIONS)), (1, 1));
    let holder = |kube: &FakeKube| {
        let lease = kube.object("leases", NAMESPACE, "vault-injector").unwrap();
        lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
    };
    let first = holder(&kube);
    let (mut leader, mut follower) = if first == "inj-a" { (a, b) } else { (b, a) };
    assert!(leader.probe("/metrics").1.contains("vault_injector_is_leader 1"));
    assert!(follower.probe("/metrics").1.contains("vault_injector_is_leader 0"));
    // Given back at the end: the other one does not wait for the lock to end.
    let start = Instant::now();
    leader.signal("TERM");
    leader.line("leadership given back");
    follower.line("role=leader");
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert_ne!(holder(&kube), first);
    assert!(follower.is_believed(&kube));
    // All of it within the permissions of our own manifests.
    let refused: Vec<_> = kube.requests().into_iter().filter(|seen| seen.status == 403).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn when_the_leader_is_killed_another_takes_over() {
    let kube = cluster();
    let mut a = Webhook::elect(&kube, "inj-a");
    a.line("role=leader");
    let mut b = Webhook::elect(&kube, "inj-b");
    b.wait_until_believed(&kube, LIMIT);
    let start = Instant::now();
    a.kill();
    // Followers keep no bundle; whoever leads next does.
    configure(&kube, &[]);
    b.line("role=leader");
    let took = start.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(20)).contains(&took), "{took:?}");
    wait_for_bundle(&kube, SOON, 1);
    b.wait_until_believed(&kube, SOON);
}

/// A replica of vault-k8s that leads: its pod on its node, its lock, its CA in the bundle.
fn old_leader(kube: &FakeKube) -> Ca {
    kube.put(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "old-0", "namespace": NAMESPACE },
        "spec": { "nodeName": "node-1" }, "status": { "phase": "Running" },
    }));
    let ready = json!([{ "type": "Ready", "status": "True" }]);
    kube.put(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": "node-1" },
        "status": { "conditions": ready },
    }));
    let pod = kube.object("pods", NAMESPACE, "old-0").unwrap();
    let uid = &pod["metadata"]["uid"];
    let pod = json!([{ "apiVersion": "v1", "kind": "Pod", "name": "old-0", "uid": uid }]);
    kube.put(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "vault-k8s-leader", "namespace": NAMESPACE, "ownerReferences": pod },
    }));
    let ca = Ca::new();
    configure(kube, &[&ca.pem()]);
    ca
}

fn share(kube: &FakeKube, (certificate, key): (String, String)) {
    let data = json!({
        "cert": BASE64_STANDARD.encode(certificate), "key": BASE64_STANDARD.encode(key),
    });
    kube.put(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data,
        "metadata": { "name": "vault-injector-certs", "namespace": NAMESPACE },
    }));
}

fn own_pod(kube: &FakeKube, name: &str) {
    kube.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "nodeName": "node-1" }, "status": { "phase": "Running" },
    }));
}

#[test]
fn beside_replicas_of_vault_k8s_their_leader_is_followed_and_then_succeeded() {
    let kube = FakeKube::start_as_charted();
    let ca = old_leader(&kube);
    own_pod(&kube, "inj-a");
    // The chart makes it empty.
    share(&kube, (String::new(), String::new()));
    let mut webhook = Webhook::elect(&kube, "inj-a");
    webhook.line("not ready, vault-k8s leads");
    assert!(webhook.probe("/health/ready").1.contains("vault-injector-certs"));
    // Its leaf comes, and is renewed.
    share(&kube, ca.issue_for(&[NAME]));
    webhook.wait_until_believed(&kube, LIMIT);
    let first = webhook.leaf();
    share(&kube, ca.issue_for(&[NAME]));
    let end = Instant::now() + LIMIT;
    while webhook.leaf() == first {
        assert!(Instant::now() < end, "{:#?}", webhook.log());
        thread::sleep(Duration::from_millis(100));
    }
    assert!(webhook.is_believed(&kube));
    assert_eq!((kube.count("patch", "*"), kube.count("update", "*")), (0, 0));
    // Its pod goes away, and with it the lock.
    kube.remove("pods", NAMESPACE, "old-0");
    webhook.line("role=leader");
    wait_for_bundle(&kube, LIMIT, 2);
    assert!(bundle(&kube).contains(ca.pem().trim()));
    let lock = kube.object("configmaps", NAMESPACE, "vault-k8s-leader").unwrap();
    let pod = kube.object("pods", NAMESPACE, "inj-a").unwrap();
    assert_eq!(lock["metadata"]["ownerReferences"][0]["uid"], pod["metadata"]["uid"]);
    let note = &lock["metadata"]["annotations"]["control-plane.alpha.kubernetes.io/leader"];
    assert!(note.as_str().unwrap().contains("\"holderIdentity\":\"inj-a\""), "{note}");
    // What is trusted is still served.
    assert!(webhook.is_believed(&kube));
    assert_eq!((kube.count("delete", "*"), kube.count("list", "secrets")), (0, 0));
}

#[test]
fn a_follower_of_vault_k8s_gets_a_leaf_of_ours() {
    let kube = FakeKube::start_as_charted();
    configure(&kube, &[]);
    own_pod(&kube, "inj-a");
    let mut webhook = Webhook::elect(&kube, "inj-a");
    webhook.wait_until_believed(&kube, SOON);
    let key = ("secrets", NAMESPACE, "vault-injector-certs");
    assert!(kube.wait_for_object(key, SOON, |secret| secret["data"]["key"].is_string()));
    let secret = kube.object("secrets", NAMESPACE, "vault-injector-certs").unwrap();
    let pem = BASE64_STANDARD.decode(secret["data"]["cert"].as_str().unwrap()).unwrap();
    let pem = String::from_utf8(pem).unwrap();
    let der = rustls::pki_types::pem::PemObject::from_pem_slice(pem.as_bytes());
    let der: rustls::pki_types::CertificateDer<'_> = der.unwrap();
    assert_eq!(der.to_vec(), webhook.leaf());
    // With a lock that says so, and no Lease.
    assert!(kube.object("leases", NAMESPACE, "vault-injector").is_none());
    let lock = kube.object("configmaps", NAMESPACE, "vault-k8s-leader").unwrap();
    assert_eq!(lock["metadata"]["ownerReferences"][0]["name"], "inj-a");
}

#[test]
fn under_the_charts_roles_for_several_replicas_its_config_map_is_the_lock() {
    let kube = FakeKube::start_as_charted();
    configure(&kube, &[]);
    own_pod(&kube, "inj-a");
    own_pod(&kube, "inj-b");
    let mut a = Webhook::elect(&kube, "inj-a");
    a.line("role=leader");
    let mut b = Webhook::elect(&kube, "inj-b");
    a.wait_until_believed(&kube, SOON);
    b.wait_until_believed(&kube, SOON);
    assert_eq!(kube.count("patch", CONFIGURATIONS), 1);
    let start = Instant::now();
    a.signal("TERM");
    b.line("role=leader");
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    let lock = kube.object("configmaps", NAMESPACE, "vault-k8s-leader").unwrap();
    assert_eq!(lock["metadata"]["ownerReferences"].as_array().unwrap().len(), 1);
    assert_eq!(lock["metadata"]["ownerReferences"][0]["name"], "inj-b");
    // Only Leases were asked for in vain, and only before it was known.
    let refused = kube.requests().into_iter().filter(|seen| seen.status == 403);
    let refused: Vec<String> = refused.map(|seen| seen.resource).collect();
    assert_eq!(refused, ["leases", "leases"]);
}

#[test]
fn without_a_name_or_a_lock_each_replica_helps_itself() {
    let kube = FakeKube::start();
    kube.allow("get list watch patch", CONFIGURATIONS, "");
    configure(&kube, &[]);
    let mut webhook = Webhook::start(&kube, &[("AGENT_INJECT_USE_LEADER_ELECTOR", "true")]);
    let line = webhook.line("POD_NAME");
    assert!(line.contains("[WARN]") && line.contains("downward API"), "{line}");
    webhook.wait_until_believed(&kube, SOON);
}

#[test]
fn a_file_of_cas_is_kept_in_the_bundle_when_it_changes_too() {
    let kube = FakeKube::start();
    kube.allow("get list watch patch", CONFIGURATIONS, CONFIGURATION);
    configure(&kube, &[]);
    let folder = TempDir::new("certificates");
    let (first, second) = (Ca::new(), Ca::new());
    let (certificate, key) = first.issue_for(&[NAME]);
    folder.write("tls.crt", certificate);
    folder.write("tls.key", key);
    folder.write("ca.crt", first.pem());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut webhook = Webhook::start(
        &kube,
        &[
            ("AGENT_INJECT_TLS_CERT_FILE", &path("tls.crt")),
            ("AGENT_INJECT_TLS_KEY_FILE", &path("tls.key")),
            ("AGENT_INJECT_TLS_CA_CERT_FILE", &path("ca.crt")),
        ],
    );
    webhook.wait_until_believed(&kube, SOON);
    folder.write("ca.crt", second.pem());
    wait_for_bundle(&kube, LIMIT, 2);
    assert!(webhook.is_believed(&kube));
    assert_eq!((kube.count("*", "secrets"), kube.count("*", "leases")), (0, 0));
}

#[test]
fn a_rotation_is_believed_before_during_and_after() {
    let kube = cluster();
    let mut webhook = Webhook::start(&kube, &[]);
    webhook.wait_until_believed(&kube, SOON);
    let before = webhook.leaf();
    // The Secret is gone. Who starts then makes a new CA; who serves keeps what is trusted.
    kube.remove("secrets", NAMESPACE, "vault-injector-ca");
    let mut next = Webhook::start(&kube, &[]);
    let end = Instant::now() + SOON;
    while count(&bundle(&kube)) < 2 {
        assert!(webhook.is_believed(&kube) && Instant::now() < end, "{:#?}", next.log());
    }
    next.wait_until_believed(&kube, SOON);
    assert!(webhook.is_believed(&kube));
    assert_eq!(webhook.leaf(), before);
    // Somebody takes the old one away: the new one is there already, and signs at once.
    let pem = bundle(&kube);
    let (old, new) = pem.split_at(pem.rfind("-----BEGIN").unwrap());
    configure(&kube, &[new]);
    webhook.wait_until_believed(&kube, SOON);
    assert!(next.is_believed(&kube));
    assert_ne!(webhook.leaf(), before);
    assert!(!bundle(&kube).contains(old));
}
