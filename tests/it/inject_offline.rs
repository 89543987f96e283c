//! The mode `inject`: the executable with manifests in and out.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::support::program::Program;
use crate::support::temp_dir::TempDir;

const LIMIT: Duration = Duration::from_secs(20);

const DEPLOYMENT: &str = "\
# comments are kept
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80, targetPort: \"8080\"}]}  # as it was
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
        # what it gets
        vault.hashicorp.com/agent-inject-secret-db: secret/db
        vault.hashicorp.com/agent-inject-perms-db: \"0440\"
    spec:
      containers:
      - name: app   # the app
        env: [{name: FLAG, value: \"yes\"}]
---
# the end
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
    // Who reads files closes it unread.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
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
    for line in [
        "        vault.hashicorp.com/agent-inject-status: injected\n",
        "        - agent-sidecar\n",
        "        - agent-init\n",
        "      - emptyDir:\n          medium: Memory\n        name: vault-secrets\n",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    // Every line that went in comes out, in its order; only lines are added.
    let mut lines = out.lines();
    for line in DEPLOYMENT.lines() {
        assert!(lines.any(|have| have == line), "{line}\n{out}");
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
fn explains_each_pod_with_what_differs_or_with_everything() {
    let file = "  writes /vault/secrets/db (mode 0440): template of ";
    let login = "  logs in by kubernetes at auth/kubernetes as web with the pod's own service account token, ";
    let address = "  reads service: \"http://vault:8200\" (default, AGENT_INJECT_VAULT_ADDR)\n";
    let total = "total: 2 objects, 1 pod: 1 injected, 0 skipped, 0 denied\n";
    let first = "Deployment team/web: inject (injected): ";
    let short = run(&["--explain", "-n", "team"], DEPLOYMENT);
    let short = text(&short.stdout);
    for line in [first, file, login, address, total] {
        assert!(short.contains(line), "{line}\n{short}");
    }
    assert!(short.lines().count() < 10 && !short.contains("kind: "), "{short}");
    let all = run(&["--explain", "-v", "-nteam"], DEPLOYMENT);
    let all = text(&all.stdout);
    for line in [
        first,
        file,
        login,
        address,
        total,
        "  reads role: \"web\" (annotation)\n",
        "  reads log-level: \"info\" (default)\n",
        "  adds /spec/containers/-: vault-agent (",
    ] {
        assert!(all.contains(line), "{line}\n{all}");
    }
}

#[test]
fn programs_read_what_is_explained() {
    let misplaced = DEPLOYMENT.replace(
        "metadata: {name: web}",
        "metadata: {name: web, annotations: {vault.hashicorp.com/namespace: x}}",
    );
    let output = run(&["--explain", "-o=json"], &misplaced);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let pod = &told["pods"][0];
    assert_eq!((&pod["kind"], &pod["decision"]), (&"Deployment".into(), &"inject".into()));
    assert_eq!(pod["files"][0]["path"], "/vault/secrets/db");
    assert_eq!(pod["files"][0]["mode"], "0440");
    assert_eq!(pod["configuration"]["auto_auth"]["method"]["type"], "kubernetes");
    assert_eq!(told["totals"]["injected"], 1);
    assert_eq!(told["totals"]["warnings"], 2);
    assert_eq!(told["warnings"][0]["path"], "metadata.annotations");
    assert!(output.status.success());
    // Each name is explained.
    let guide = include_str!("../../docs/command-line.md");
    let names = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let all = [
        &told,
        pod,
        &told["totals"],
        &told["warnings"][0],
        &pod["files"][0],
        &pod["settings"][0],
        &pod["added"][0],
    ];
    for name in all.into_iter().flat_map(names) {
        assert!(
            guide.contains(&format!("`{name}`")),
            "docs/command-line.md does not explain {name}"
        );
    }
}

#[test]
fn the_token_of_the_login_is_named() {
    let with = |volumes: &str, mounts: &str| {
        let name = if mounts.is_empty() {
            ""
        } else {
            ", vault.hashicorp.com/agent-service-account-token-volume-name: t"
        };
        let pod = format!(
            "kind: Pod\nmetadata:\n  annotations: {{vault.hashicorp.com/agent-inject: 'true', \
             vault.hashicorp.com/role: r{name}}}\nspec:\n{volumes}  containers: [{{name: a{mounts}}}]\n"
        );
        let output = run(&["--explain"], &pod);
        let out = text(&output.stdout).to_owned();
        out.lines().find(|line| line.contains("logs in")).unwrap_or(&out).to_owned()
    };
    let own = with("", "");
    assert!(own.contains("the pod's own service account token"), "{own}");
    let none = with("  automountServiceAccountToken: false\n", "");
    assert!(
        none.contains(
            "the token of the volume vault-injector-token, for the API server, for 3600 s"
        ),
        "{none}"
    );
    let named = with(
        "  volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: x, audience: vault, expirationSeconds: 600}}]}}]\n",
        ", volumeMounts: [{name: t, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]",
    );
    assert!(named.contains("the token of the volume t, for vault, for 600 s"), "{named}");
}

#[test]
fn what_is_not_changed_comes_out_byte_for_byte() {
    for input in [
        "\u{feff}# top\r\nkind: ConfigMap   # c\r\ndata: {b: &x '1', a: *x}\r\n\r\n---\r\n# nothing\r\n---\r\nkind: X\r\n...\r\n",
        "%YAML 1.2\n---\n{kind: Pod, spec: {containers: []}}",
        "{\"kind\":\"Pod\",\n \"b\":1.10,\"a\":[ 1e3 ] }",
        "{\"kind\":\"Pod\"}\n\n{\"kind\": \"Job\"}\n",
        "---\nkind: Pod\n# trailing  \nspec:   \n  containers: [ ]\n\n\n---\n---\n",
    ] {
        let output = run(&[], input);
        assert_eq!(text(&output.stdout), input, "{}", text(&output.stderr));
        assert!(output.status.success());
    }
}

#[test]
fn annotations_at_a_wrong_place_are_told_and_fail_when_strict() {
    for input in [
        "kind: Deployment\nmetadata: {name: x, annotations: {vault.hashicorp.com/agent-inject: 'true'}}\nspec: {template: {spec: {containers: [{name: a}]}}}\n",
        "kind: Namespace\nmetadata: {name: x, annotations: {vault.hashicorp.com/agent-inject: 'true'}}\n",
        "kind: Pod\nmetadata: {name: x, annotations: {vault.hashicorp.com/role: r}}\nspec: {containers: [{name: a}]}\n",
        "kind: ConfigMap\nmetadata: {name: x}\n---\nreplicaCount: 3\n",
    ] {
        let output = run(&[], input);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), input));
        assert!(text(&output.stderr).contains("warning: "), "{}", text(&output.stderr));
        let explained = run(&["--explain"], input);
        assert_eq!(explained.status.code(), Some(0));
        assert!(text(&explained.stdout).contains("1 warning"), "{}", text(&explained.stdout));
        for words in [
            &["--strict"][..],
            &["--strict", "--explain"],
            &["--strict=true", "--explain", "-ojson"],
        ] {
            let strict = run(words, input);
            assert_eq!(strict.status.code(), Some(1), "{words:?}");
            assert!(
                text(&strict.stderr).contains("--strict: 1 warning"),
                "{}",
                text(&strict.stderr)
            );
            assert!(words.len() > 1 || strict.stdout.is_empty());
        }
    }
    assert!(run(&["--strict"], DEPLOYMENT).status.success());
}

#[test]
fn what_holds_no_object_is_told() {
    for (input, told) in [
        ("", "no objects found in -"),
        ("# nothing\n---\n", "no objects found in -"),
        ("hello\n", "-:1: warning: no object of Kubernetes"),
        ("[]", "no objects found in -"),
        ("\n\na: {b: 1}\n", "-:3: warning: no object of Kubernetes"),
        ("\u{0}", "-: "),
    ] {
        for words in [&[][..], &["--explain"]] {
            let output = run(words, input);
            assert_eq!(output.status.code(), Some(1), "{input}");
            let all = format!("{}{}", text(&output.stderr), text(&output.stdout));
            assert!(all.contains(told), "{input}: {all}");
            assert!(!words.is_empty() || output.stdout.is_empty());
        }
    }
    let list = "{\"kind\":\"List\",\"items\":[]}";
    assert_eq!(text(&run(&[], list).stdout), list);
}

#[test]
fn files_and_folders_are_read_in_order() {
    let folder = TempDir::new("inject-files");
    let service = |name: &str| format!("kind: Service\nmetadata: {{name: {name}}}\n");
    folder.write("m/b.yml", service("b"));
    folder.write("m/a/z.yaml", service("z"));
    folder.write("m/c.json", "{\"kind\":\"Service\"}");
    folder.write("m/notes.txt", "{{");
    folder.write("m/.hidden/x.yaml", "{{");
    folder.write("empty/notes.txt", "");
    folder.write("one.json", "{\"kind\":\"One\"}");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let read = |words: &[&str]| {
        let output = run(words, "kind: Stdin\n");
        (output.status.code(), text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
    };
    let all = format!("{}---\n{}---\n{{\"kind\":\"Service\"}}", service("z"), service("b"));
    assert_eq!(read(&[&path("m")]), (Some(0), all.clone(), String::new()));
    assert_eq!(read(&["-f", &path("m")]).1, all);
    assert_eq!(read(&["-", &path("m/b.yml")]).1, format!("kind: Stdin\n---\n{}", service("b")));
    // Readers that guess see YAML, unless everything is JSON.
    assert_eq!(read(&[&path("one.json"), "-"]).1, "---\n{\"kind\":\"One\"}\n---\nkind: Stdin\n");
    assert_eq!(
        read(&[&path("one.json"), &path("m/c.json")]).1,
        "{\"kind\":\"One\"}\n{\"kind\":\"Service\"}"
    );
    let (code, out, err) = read(&[&path("empty")]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("no file below it ends in"), "{err}");
    assert_eq!(read(&[&path("m/notes.txt")]).0, Some(1));
}

#[test]
fn there_is_no_limit_on_a_list() {
    let one = DEPLOYMENT.split("---\n").nth(1).unwrap();
    let mut list = String::from("kind: List\nitems:\n");
    let padding = "x".repeat(4000);
    for i in 0..1200 {
        let item = one.replace("name: web", &format!("name: web{i}, labels: {{a: {padding}}}"));
        list.push_str(&format!("- {}\n", item.trim_end().replace('\n', "\n  ")));
    }
    assert!(list.len() > 5 * 1024 * 1024);
    let output = run(&[], &list);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).matches("agent-inject-status: injected").count(), 1200);
}

/// One item of megabytes before a thousand pods: whoever looks for the ends of lines reads it a thousand times.
#[test]
fn a_list_on_one_line_costs_what_its_items_cost() {
    const PODS: usize = 1000;
    let folder = TempDir::new("inject-line");
    let large = "x".repeat(20_000_000);
    let pod = r#"{"kind":"Pod","metadata":{"annotations":{"vault.hashicorp.com/agent-inject":"true","vault.hashicorp.com/role":"app"}},"spec":{"containers":[{"name":"app"}]}}"#;
    let pods = vec![pod; PODS].join(",");
    let list = format!(
        r#"{{"kind":"List","items":[{{"kind":"ConfigMap","data":{{"a":"{large}"}}}},{pods}]}}"#
    );
    let file = folder.write("list.json", list);
    let words = ["inject", "--vault-address", "https://vault:8200", file.to_str().unwrap()];
    let done = Program::new(env!("CARGO_BIN_EXE_vault-injector"), &words).run(LIMIT);
    assert_eq!(done.code(), 0);
    assert_eq!(done.out.matches("\"vault-agent-init\"").count(), PODS);
}

#[test]
fn items_of_lists_are_changed_like_documents() {
    let annotations = r#""metadata": {"annotations": {"vault.hashicorp.com/agent-inject": "true", "vault.hashicorp.com/role": "r"}}"#;
    let pod = format!(r#"{{{annotations}, "spec": {{"containers": [{{"name": "a"}}]}}}}"#);
    let stray = r#"{"kind": "Service", "metadata": {"name": "s", "annotations": {"vault.hashicorp.com/role": "r"}}}"#;
    for list in [
        format!("{{\n  \"items\": [\n    {pod},\n    {stray}\n  ],\n  \"kind\": \"PodList\"\n}}\n"),
        format!("# c\nkind: PodList\nitems: # d\n- {pod} # e\n# f\n- {stray}\n"),
        format!(
            "# c\nkind: List\nitems:\n- kind: PodList\n  items:\n  - {pod} # e\n- {stray}\n# g\n"
        ),
    ] {
        let output = run(&[], &list);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(
            err.starts_with("Service default/s: warning: vault.hashicorp.com/role at "),
            "{err}"
        );
        assert_eq!(out.matches("\"agent-init\"").count(), 1, "{out}");
        // What is not the pod's line is as it was.
        for line in list.lines().filter(|line| !line.contains("containers")) {
            assert!(out.lines().any(|have| have == line), "{line}\n{out}");
        }
        let again = run(&[], out);
        assert_eq!(text(&again.stdout), out);
        let explained = run(&["--explain"], &list);
        assert!(
            text(&explained.stdout)
                .ends_with("total: 2 objects, 1 pod: 1 injected, 0 skipped, 0 denied, 1 warning\n")
        );
    }
}

#[test]
fn an_oversized_configuration_is_told_once() {
    let template = "x".repeat(120_000);
    let input = DEPLOYMENT.replace(
        "agent-inject-perms-db: \"0440\"",
        &format!("agent-inject-template-db: {template}"),
    );
    let output = run(&[], &input);
    assert_eq!(output.status.code(), Some(1));
    let err = text(&output.stderr);
    assert_eq!(err.matches("VAULT_CONFIG: ").count(), 1, "{err}");
}

#[test]
fn comments_that_cannot_be_kept_are_mourned() {
    let input = "# c\nkind: List\nitems:\n- kind: Job\n  spec: &s\n    template:\n      metadata: {annotations: {vault.hashicorp.com/agent-inject: 'true', vault.hashicorp.com/role: r}}\n      spec: {containers: [{name: a}]}\n- kind: Job\n  spec: *s\n";
    let output = run(&[], input);
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("note: comments and order"), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).matches("agent-inject-status: injected").count(), 2);
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
    for words in [&["--help"][..], &["-h"], &["-f", "x", "-h"], &["x", "--help"]] {
        let output = run(words, "");
        assert!(
            output.status.success() && text(&output.stdout).starts_with("usage: "),
            "{words:?}"
        );
    }
    for (words, told) in [
        (&["--explane"][..], "did you mean --explain?"),
        (&["-o", "json"], "--output: is for --explain"),
        (&["--explain", "-o", "jsno"], "did you mean \"json\"?"),
        (&["--explain=maybe"], "want true or false"),
        (&["-f"], "-f: needs a value"),
    ] {
        let output = run(words, "");
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(text(&output.stderr).contains(told), "{}", text(&output.stderr));
    }
}

#[test]
fn commas_behind_the_last_item_harm_nothing() {
    let pod = "\
apiVersion: v1
kind: List
items:
- kind: Pod
  metadata: {annotations: {vault.hashicorp.com/agent-inject: \"true\", vault.hashicorp.com/role: app,},} # one
  spec: {containers: [{name: app, volumeMounts: [{name: v, mountPath: /v,},],},], volumes: [{name: v,}, ],} # two
- {kind: Pod, metadata: {annotations: {vault.hashicorp.com/agent-inject: \"true\",
    vault.hashicorp.com/role: app, # three
   },}, spec: {containers: [{name: app,
    volumeMounts: [ ],},
    ],},}
";
    for end in ["\n", "\r\n"] {
        let output = run(&[], &pod.replace('\n', end));
        let (out, complaints) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{complaints}");
        assert_eq!(complaints, "");
        for comment in ["# one", "# two", "# three"] {
            assert!(out.contains(comment), "{out}");
        }
        // What came out says the same as what comes of the same objects in JSON.
        let again = run(&["--explain", "-o", "json"], out);
        assert!(again.status.success(), "{}", text(&again.stderr));
        let told: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
        let reasons = told["pods"].as_array().unwrap().iter().map(|pod| &pod["reason"]);
        assert!(
            reasons.clone().count() == 2 && reasons.clone().all(|r| r == "already-injected"),
            "{told}"
        );
    }
}

#[test]
fn a_part_that_loses_comments_is_noted() {
    let pod = DEPLOYMENT
        .replace("      - name: app   # the app", "      - ? name\n        : app   # the app");
    let output = run(&[], &pod);
    let (out, complaints) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{complaints}");
    assert!(!out.contains("# the app") && out.contains("# what it gets"), "{out}");
    assert!(complaints.contains("note: comments and order of a part"), "{complaints}");
}
