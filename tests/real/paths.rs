//! Every path of the API that a template may name: read, listed and written, by the agent, by `render` and by
//! `bao agent` beside them.

use std::process::Command;

use serde_json::json;

use crate::secrets::pki;
use crate::support::agent::{Pod, Program, ours};
use crate::support::cluster::Cluster;

/// Read. The answers of the second half have no envelope.
const READ: &[&str] = &[
    "secret/app",
    "/secret/app/",
    "secret/data/app",
    "secret/data/app?version=1",
    "secret/metadata/app",
    "old/app",
    "old/data/app",
    "team/kv/app",
    "team/kv/data/app",
    "team/kv/data/data/deep",
    "team/old/a/b",
    "auth/token/lookup-self",
    "/auth/token/lookup-self",
    "auth/token/roles/app",
    "auth/approle/role/app",
    "auth/approle/role/app/role-id",
    "auth/cloud/dev/role/app/role-id",
    "auth/kubernetes/role/app",
    "auth/kubernetes/config",
    "identity/entity/name/app",
    "identity/oidc/config",
    "pki/cert/ca",
    "pki/cert/ca_chain",
    "pki/roles/app",
    "transit/keys/app",
    "sys/mounts",
    "sys/auth",
    "sys/policies/acl/app",
    "sys/mounts/secret/tune",
    "sys/internal/ui/mounts",
    "sys/internal/ui/mounts/secret/app",
    "sys/config/auditing/request-headers",
    "sys/health",
    "sys/leader",
    "sys/seal-status",
    "sys/init",
    "identity/oidc/.well-known/keys",
    "identity/oidc/.well-known/openid-configuration",
];

/// Listed.
const LIST: &[&str] = &[
    "secret/",
    "secret/metadata/",
    "team/kv",
    "team/old/a/",
    "auth/approle/role",
    "auth/cloud/dev/role/",
    "auth/token/roles/",
    "/auth/kubernetes/role",
    "sys/policies/acl",
    "sys/namespaces",
    "identity/entity/name",
    "identity/group/name",
    "pki/roles",
    "transit/keys",
    "cubbyhole/",
];

/// Written, with an argument.
const WRITE: &[(&str, &str)] = &[
    ("auth/token/create", "ttl=1h"),
    ("/auth/token/create/app", "ttl=1h"),
    ("auth/approle/role/app/secret-id", "metadata={}"),
    ("auth/cloud/dev/role/app/secret-id", "metadata={}"),
    ("sys/capabilities-self", "path=secret/data/app"),
    ("sys/tools/hash", "input=YWJj"),
    ("sys/wrapping/wrap", "a=b"),
    ("identity/lookup/entity", "name=app"),
    ("transit/encrypt/app", "plaintext=YWJj"),
    ("pki/issue/app", "common_name=app.shop.svc"),
    ("secret/written", "a=b"),
    ("secret/data/written", "a=b"),
    ("team/kv/written", "a=b"),
];

/// What of an answer is the same for everybody: the names in it, and what else came.
const SHAPE: &str = "{{ range $k, $v := .Data }}{{ $k }} {{ end }}\
                     {{ if .Auth }}auth {{ end }}{{ if .WrapInfo }}wrap {{ .WrapInfo.TTL }}{{ end }}";

fn templates() -> Vec<(String, String)> {
    let read = READ.iter().map(|path| {
        (format!("read {path}"), format!("{{{{ with secret {path:?} }}}}{SHAPE}{{{{ end }}}}"))
    });
    let list = LIST.iter().map(|path| {
        (
            format!("list {path}"),
            format!("{{{{ range secrets {path:?} }}}}{{{{ . }}}} {{{{ end }}}}"),
        )
    });
    let write = WRITE.iter().map(|(path, argument)| {
        let call = format!("secret {path:?} {argument:?}");
        (format!("write {path}"), format!("{{{{ with {call} }}}}{SHAPE}{{{{ end }}}}"))
    });
    read.chain(list).chain(write).collect()
}

const EVERYTHING: &str = "path \"*\" { capabilities = \
                          [\"create\", \"read\", \"update\", \"delete\", \"list\", \"sudo\"] }";

/// Something at each of the paths.
fn furnish(cluster: &Cluster) {
    let bao = &cluster.bao;
    pki(cluster);
    bao.allow(EVERYTHING);
    bao.put_secret("app", &json!({"password": "p-12345678"}));
    for (mount, version) in [("old", "1"), ("team/old", "1"), ("team/kv", "2")] {
        let options = json!({"type": "kv", "options": {"version": version}});
        bao.post(&format!("sys/mounts/{mount}"), &options);
    }
    for path in ["old/app", "old/data/app", "team/old/a/b"] {
        bao.post(path, &json!({"user": "u-12345678"}));
    }
    for path in ["team/kv/data/app", "team/kv/data/data/deep"] {
        bao.post(path, &json!({"data": {"user": "u-12345678"}}));
    }
    bao.post("sys/mounts/transit", &json!({"type": "transit"}));
    bao.post("transit/keys/app", &json!({}));
    for mount in ["approle", "cloud/dev"] {
        bao.post(&format!("sys/auth/{mount}"), &json!({"type": "approle"}));
        bao.post(&format!("auth/{mount}/role/app"), &json!({"token_policies": ["app"]}));
    }
    bao.post("auth/token/roles/app", &json!({"allowed_policies": ["app"]}));
    bao.post("identity/entity", &json!({"name": "app"}));
    bao.post("sys/namespaces/team-b", &json!({}));
}

/// The files of one init container with all templates.
fn agent(cluster: &Cluster, program: Program) -> Vec<String> {
    let mut pod = cluster.pod();
    pod.program = program;
    let templates = templates();
    for (i, (_, template)) in templates.iter().enumerate() {
        pod.template(&i.to_string(), template);
    }
    let ended = pod.init();
    assert_eq!(ended.code, 0, "{program:?}: {}", ended.log);
    (0..templates.len()).map(|i| pod.secret(&i.to_string()).unwrap_or_default()).collect()
}

/// What `render` makes of a template.
fn render(cluster: &Cluster, pod: &Pod<'_>, token: &str, template: &str) -> String {
    let file = pod.write("template", template);
    let mut command = Command::new(ours());
    command.env_clear().env("VAULT_ADDR", &cluster.bao.address).env("VAULT_TOKEN", token);
    let done = command.arg("render").arg(file).output().expect("our executable");
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{template}: {told}");
    String::from_utf8(done.stdout).expect("a text")
}

#[test]
fn every_path_of_the_api_is_read_listed_and_written_as_the_peer_does() {
    let Some(cluster) = Cluster::start() else { return };
    furnish(&cluster);
    // What is written shows in lists: once for all before anybody looks.
    cluster.bao.put_secret("written", &json!({"a": "b"}));
    cluster.bao.post("team/kv/data/written", &json!({"data": {"a": "b"}}));
    let (ours, theirs) = (agent(&cluster, Program::Ours), agent(&cluster, Program::Bao));
    let token = cluster.bao.post("auth/token/create", &json!({"policies": ["app"]}));
    let token = token["auth"]["client_token"].as_str().expect("a token");
    let pod = cluster.pod();
    let mut wrong = Vec::new();
    for (i, (name, template)) in templates().iter().enumerate() {
        let rendered = render(&cluster, &pod, token, template);
        let is_empty = ["list identity/group/name", "list cubbyhole/"].contains(&name.as_str());
        // The peer renews its token as soon as it has it, which shows in the token.
        let peer = theirs[i].replace("last_renewal last_renewal_time ", "");
        if ours[i] != peer || rendered != ours[i] || ours[i].is_empty() != is_empty {
            wrong.push(format!(
                "{name}\n  agent:  {}\n  peer:   {}\n  render: {rendered}",
                ours[i], theirs[i]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The peer of today takes the folder for a key.
#[test]
fn the_subkeys_of_a_secret_are_read() {
    let Some(cluster) = Cluster::start() else { return };
    furnish(&cluster);
    let template = r#"{{ with secret "secret/subkeys/app" }}{{ .Data.subkeys | toJSON }}{{ end }}"#;
    let mut pod = cluster.pod();
    pod.template("file", template);
    pod.init_ok();
    assert_eq!(pod.secret("file").as_deref(), Some(r#"{"password":null}"#));
}

/// The mount itself goes where the peer sends it, and what is not there is told with its path.
#[test]
fn what_is_not_there_is_told_with_its_path_and_never_without_a_reason() {
    let Some(cluster) = Cluster::start() else { return };
    furnish(&cluster);
    for (template, path) in [
        (r#"{{ secret "secret/" }}"#, "GET /v1/secret/data"),
        (r#"{{ secret "secret" }}"#, "GET /v1/secret/data"),
        (r#"{{ secret "auth/token/none" }}"#, "auth/token/none"),
        (r#"{{ secret "auth/none/x" }}"#, "auth/none/x"),
        (r#"{{ secret "auth" }}"#, "auth"),
        (r#"{{ secret "sys/none" }}"#, "sys/none"),
        (r#"{{ secret "identity/none" }}"#, "identity/none"),
        (r#"{{ secret "cubbyhole/none" }}"#, "cubbyhole/none"),
        (r#"{{ secret "team/kv/none" }}"#, "team/kv/data/none"),
        (r#"{{ secret "team/none/none" }}"#, "team/none/none"),
        (r#"{{ secret "none/none" }}"#, "none/none"),
        (r#"{{ secret "sys/wrapping/unwrap" "a=b" }}"#, "sys/wrapping/unwrap"),
    ] {
        let mut pod = cluster.pod();
        pod.config["vault"]["retry"] = json!({"num_retries": 1});
        pod.template("file", template);
        let ended = pod.init();
        let log = ended.log;
        assert_eq!(ended.code, 1, "{template}: {log}");
        assert!(log.contains(path), "{template}: {log}");
        assert!(!log.contains("error=\"\"") && !log.contains("not finished"), "{template}: {log}");
    }
}
