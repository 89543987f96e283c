//! The whole product on one machine: the webhook changes a pod, podman runs it, OpenBao serves it.
//!
//! `podman kube play` takes the pod as the webhook left it, but for what only a kubelet can do
//! (`for_podman`). `tests/e2e/run` prepares images and storage.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    dead_code,
    reason = "a test that cannot set up should stop; the shared support has more than it needs"
)]

#[path = "../real/support/mod.rs"]
mod support;

mod podman;
mod webhook;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use podman::Podman;
use support::cluster::Cluster;
use support::until;

/// A cluster's address of Vault is a name; here it is the loopback address of the host's network.
const AGENT_IMAGE: &str = "localhost/vault-injector:e2e";

/// An app that prints its file at start and whenever it changes.
const APP: &str = r#"
    trap 'exit 0' TERM
    old=
    while :; do
        new=$(cat /vault/secrets/app 2>/dev/null)
        [ "$new" = "$old" ] || echo "file: $new"
        old=$new
        sleep 0.1
    done"#;

/// The pod as its author wrote it, with the volume that Kubernetes adds for the service account.
fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "annotations": {
                "vault.hashicorp.com/agent-inject": "true",
                "vault.hashicorp.com/role": "app",
                "vault.hashicorp.com/agent-inject-secret-app": "secret/data/app",
                "vault.hashicorp.com/agent-inject-template-app":
                    "{{ with secret \"secret/data/app\" }}password={{ .Data.data.password }}{{ end }}",
                "vault.hashicorp.com/agent-inject-perms-app": "0444",
                "vault.hashicorp.com/template-static-secret-render-interval": "1s",
            },
        },
        "spec": {
            "serviceAccountName": "app",
            "containers": [{
                "name": "app",
                "image": "localhost/app:e2e",
                "args": ["sh", "-c", APP],
                "volumeMounts": [{
                    "name": "kube-api-access-abcde",
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                    "readOnly": true,
                }],
            }],
            "volumes": [{
                "name": "kube-api-access-abcde",
                "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]},
            }],
        },
    })
}

/// What the kubelet makes of a pod and `podman kube play` cannot:
/// - `emptyDir` volumes (podman 4.3 knows none) become folders of the host that everybody may write to,
/// - the projected service account token becomes a folder with the token's file,
/// - `fieldRef` variables become values,
/// - annotations go, as podman refuses values over 63 bytes and no container reads them,
/// - images come from local storage, init containers are kept to be looked at, and the network is the
///   host's, where OpenBao listens on loopback.
fn for_podman(mut pod: Value, podman: &Podman, token: &str) -> Value {
    pod["metadata"]["annotations"] = json!({"io.podman.annotations.init.container.type": "always"});
    pod["spec"]["hostNetwork"] = json!(true);
    pod["spec"]["restartPolicy"] = json!("Never");
    for volume in pod["spec"]["volumes"].as_array_mut().expect("volumes") {
        let name = volume["name"].as_str().expect("a name").to_owned();
        let folder = podman.folder(&name);
        if volume.get("projected").is_some() {
            std::fs::write(folder.join("token"), token).expect("write the token");
        } else {
            assert!(volume.get("emptyDir").is_some(), "a volume this test does not know: {volume}");
        }
        *volume = json!({"name": name, "hostPath": {"path": folder, "type": "Directory"}});
    }
    for group in ["initContainers", "containers"] {
        for container in pod["spec"][group].as_array_mut().expect("containers") {
            container["imagePullPolicy"] = json!("Never");
            for variable in container["env"].as_array_mut().into_iter().flatten() {
                let Some(field) = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() else {
                    continue;
                };
                let value = match field {
                    "metadata.namespace" => "shop",
                    "metadata.name" => "web",
                    "status.hostIP" | "status.podIP" => "127.0.0.1",
                    unknown => panic!("a field this test does not know: {unknown}"),
                };
                *variable = json!({"name": variable["name"], "value": value});
            }
        }
    }
    pod
}

fn main() {
    let cluster = Cluster::start().expect("OpenBao: run tests/tools/openbao");
    let podman = Podman::new();
    cluster.bao.put_secret("app", &json!({"password": "the-first-password"}));

    let pod = webhook::mutate(&pod(), &cluster, AGENT_IMAGE);
    let token = std::fs::read_to_string(cluster.token_path()).expect("the token");
    let pod = for_podman(pod, &podman, &token);
    let start = Instant::now();
    podman.play(&pod);
    println!("pod started after {} ms", start.elapsed().as_millis());

    let soon = Duration::from_secs(10);
    assert_eq!(
        podman.exit_code("web-vault-agent-init"),
        0,
        "{}",
        podman.logs("web-vault-agent-init")
    );
    until("the first password in the app's log", soon, || {
        podman.logs("web-app").contains("file: password=the-first-password").then_some(())
    });
    hardened(&podman, "web-vault-agent");

    cluster.bao.put_secret("app", &json!({"password": "the-second-password"}));
    until("the second password in the app's log", soon, || {
        podman.logs("web-app").contains("file: password=the-second-password").then_some(())
    });

    let start = Instant::now();
    podman.run(&["stop", "--time", "10", "web-vault-agent"]);
    let took = start.elapsed();
    println!("sidecar stopped after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(4), "SIGTERM took {took:?}");
    let log = podman.logs("web-vault-agent");
    assert_eq!(podman.exit_code("web-vault-agent"), 0, "{log}");

    let logs = log + &podman.logs("web-vault-agent-init");
    for secret in cluster.bao.secrets_handed_out() {
        assert!(!logs.contains(&secret), "a log holds {secret}:\n{logs}");
    }
    // Containers see these files as the pod's; nothing may be left half written.
    let left: Vec<_> = podman.files("vault-secrets");
    assert_eq!(left, ["app"], "files in the secrets volume");
    missing_role(&cluster, &podman);
    println!("5 passed, 0 failed");
}

/// The sidecar runs as nobody special.
fn hardened(podman: &Podman, name: &str) {
    let pid = podman.inspect(name, "{{.State.Pid}}");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running sidecar");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
        line.split_whitespace().next().unwrap_or_default().to_owned()
    };
    assert_eq!(field("Uid:"), "100");
    assert_eq!(field("Gid:"), "1000");
    assert_eq!(field("CapEff:"), "0000000000000000");
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(podman.inspect(name, "{{.HostConfig.ReadonlyRootfs}}"), "true");
    let resident: u64 = field("VmRSS:").parse().expect("a number");
    println!("sidecar: {resident} kB resident, {} threads", field("Threads:"));
    assert!(resident < 8 * 1024, "{resident} kB");
}

/// An init container that cannot log in keeps the app from starting and says why.
fn missing_role(cluster: &Cluster, podman: &Podman) {
    podman.remove_pod();
    let mut author = pod();
    author["metadata"]["annotations"]["vault.hashicorp.com/role"] = json!("absent");
    author["metadata"]["annotations"]["vault.hashicorp.com/agent-auto-auth-exit-on-err"] =
        json!("true");
    let pod = webhook::mutate(&author, cluster, AGENT_IMAGE);
    let token = std::fs::read_to_string(cluster.token_path()).expect("the token");
    let pod = for_podman(pod, podman, &token);
    assert!(!podman.try_play(&pod), "the pod started without its secrets");
    let log = podman.logs("web-vault-agent-init");
    assert_eq!(podman.exit_code("web-vault-agent-init"), 1, "{log}");
    assert!(log.contains("absent"), "{log}");
    assert!(!podman.logs("web-app").contains("file:"));
}
