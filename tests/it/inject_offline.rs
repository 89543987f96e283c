//! The mode `inject`: the executable with manifests in and out.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

const DEPLOYMENT: &str = "\
# comments are not kept
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80, targetPort: \"8080\"}]}
---
kind: Deployment
apiVersion: apps/v1
metadata: {name: web}
spec:
  template:
    metadata:
      annotations:
        vault.hashicorp.com/agent-inject: 'true'
        vault.hashicorp.com/role: web
    spec:
      containers:
      - name: app
        env: [{name: FLAG, value: \"yes\"}]
";

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vault-injector"))
        .arg("inject")
        .args(arguments)
        .env_clear()
        .env("AGENT_INJECT_VAULT_ADDR", "http://vault:8200")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn manifests_go_in_and_come_out_injected() {
    let output = run(&[], DEPLOYMENT);
    let (out, complaints) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{complaints}");
    assert_eq!(complaints, "");
    assert!(out.starts_with("apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n  - port: 80\n    targetPort: \"8080\"\n---\n"), "{out}");
    for line in [
        "        vault.hashicorp.com/agent-inject-status: injected\n",
        "          value: \"yes\"\n",
        "        - agent-sidecar\n",
        "        - agent-init\n",
        "      - emptyDir:\n          medium: Memory\n        name: vault-secrets\n",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    // What is injected already stays as it is.
    let again = run(&[], out);
    assert_eq!(text(&again.stdout), out);
}

#[test]
fn json_stays_json_and_options_beat_the_environment() {
    let pod = r#"{"kind":"Pod","metadata":{"name":"p","annotations":{"vault.hashicorp.com/agent-inject":"true","vault.hashicorp.com/agent-configmap":"cm"}},"spec":{"containers":[{"name":"a","ports":[{"containerPort":1e3}]}]}}"#;
    let output = run(
        &["--vault-address", "https://other", "--agent-image", "hashicorp/vault:1", "-f", "-"],
        pod,
    );
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let agent = &json["spec"]["containers"][1];
    assert_eq!(agent["image"], "hashicorp/vault:1");
    let address = agent["env"].as_array().unwrap().iter().find(|e| e["name"] == "VAULT_ADDR");
    assert_eq!(address.unwrap()["value"], "https://other");
    assert!(text(&output.stdout).contains("1e3"), "numbers keep their text");
}

#[test]
fn a_denial_prints_nothing_but_the_reason() {
    let output = run(&[], &DEPLOYMENT.replace("role: web", "tls-skip-verify: ja"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    let complaints = text(&output.stderr);
    for part in [
        "Deployment default/web",
        "vault.hashicorp.com/role",
        "vault.hashicorp.com/tls-skip-verify",
        "\"ja\"",
    ] {
        assert!(complaints.contains(part), "{complaints}");
    }
}

#[test]
fn explains_each_pod() {
    let output = run(&["--explain", "-n", "team"], DEPLOYMENT);
    let out = text(&output.stdout);
    for line in [
        "Deployment team/web: inject (injected): ",
        "  reads role: \"web\" (annotation)\n",
        "  reads service: \"http://vault:8200\" (default, AGENT_INJECT_VAULT_ADDR)\n",
        "  adds /spec/containers/-: vault-agent (",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    assert!(!out.contains("kind: "));
}

#[test]
fn mistakes_on_the_command_line_and_in_files_are_told() {
    let output = run(&["--nope"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--nope"));
    let output = run(&[], "a: [1\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("line 2"), "{}", text(&output.stderr));
    let output = run(&["-f", "/no/such/file"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/no/such/file"));
    assert!(run(&["--help"], "").status.success());
}
