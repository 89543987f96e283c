//! What templates read, from every engine that pods use.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::agent::{Pod, Program};
use crate::support::cluster::Cluster;
use crate::support::until;

const SOON: Duration = Duration::from_secs(10);

/// Renders one template in an init container and returns the file.
fn render(cluster: &Cluster, contents: &str) -> String {
    let mut pod = cluster.pod();
    pod.template("file", contents);
    pod.init_ok();
    pod.secret("file").expect("the file")
}

#[test]
fn kv_2_with_and_without_the_word_data() {
    let Some(cluster) = Cluster::start() else { return };
    cluster
        .bao
        .put_secret("team/app", &json!({"user": "u-12345678", "n": 1.10, "list": ["a", "b"]}));
    for path in ["secret/data/team/app", "secret/team/app", "/secret/data/team/app"] {
        let contents = format!(
            r#"{{{{ with secret "{path}" }}}}{{{{ .Data.data.user }}}} {{{{ .Data.data.n }}}} {{{{ index .Data.data.list 1 }}}} {{{{ .Data.metadata.version }}}}{{{{ end }}}}"#
        );
        assert_eq!(render(&cluster, &contents), "u-12345678 1.1 b 1", "{path}");
    }
}

#[test]
fn kv_2_versions() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.bao.put_secret("app", &json!({"password": "first-password"}));
    cluster.bao.put_secret("app", &json!({"password": "second-password"}));
    let contents = r#"{{ with secret "secret/data/app?version=1" }}{{ .Data.data.password }}{{ end }}
{{ with secret "secret/app" }}{{ .Data.data.password }}{{ end }}"#;
    assert_eq!(render(&cluster, contents), "first-password\nsecond-password");
}

#[test]
fn kv_1() {
    let Some(cluster) = Cluster::start() else { return };
    let bao = &cluster.bao;
    bao.post("sys/mounts/team/kv", &json!({"type": "kv", "options": {"version": "1"}}));
    bao.post("team/kv/db", &json!({"password": "kv-1-password", "data": "a key named data"}));
    bao.allow("path \"team/kv/*\" { capabilities = [\"read\"] }");
    let contents =
        r#"{{ with secret "team/kv/db" }}{{ .Data.password }} {{ .Data.data }}{{ end }}"#;
    assert_eq!(render(&cluster, contents), "kv-1-password a key named data");
}

#[test]
fn lists_of_secrets() {
    let Some(cluster) = Cluster::start() else { return };
    for name in ["a", "b", "folder/c"] {
        cluster
            .bao
            .put_secret(&format!("list/{name}"), &json!({"value": format!("value-of-{name}")}));
    }
    let contents = r#"{{ range secrets "secret/list" }}{{ . }} {{ end }}
{{ range secrets "secret/metadata/list/folder" }}{{ with secret (printf "secret/data/list/folder/%s" .) }}{{ .Data.data.value }}{{ end }}{{ end }}"#;
    assert_eq!(render(&cluster, contents), "a b folder/ \nvalue-of-folder/c");
}

pub(crate) const PKI_ISSUE: &str = "update pki/issue/app";

/// A CA whose role `app` issues any name.
pub(crate) fn pki(cluster: &Cluster) {
    let bao = &cluster.bao;
    bao.post("sys/mounts/pki", &json!({"type": "pki"}));
    bao.post("pki/root/generate/internal", &json!({"common_name": "test root", "ttl": "24h"}));
    bao.post("pki/roles/app", &json!({"allow_any_name": true, "max_ttl": "1h"}));
    bao.allow("path \"pki/issue/app\" { capabilities = [\"create\", \"update\"] }");
}

#[test]
fn pki_issues_one_certificate_per_path_and_arguments() {
    let Some(cluster) = Cluster::start() else { return };
    let bao = &cluster.bao;
    pki(&cluster);
    let call = r#"secret "pki/issue/app" "common_name=app.shop.svc" "ttl=10m""#;
    let mut pod = cluster.pod();
    pod.template("crt", &format!("{{{{ with {call} }}}}{{{{ .Data.certificate }}}}{{{{ end }}}}"));
    pod.template("key", &format!("{{{{ with {call} }}}}{{{{ .Data.private_key }}}}{{{{ end }}}}"));
    pod.init_ok();
    let [crt, key] = ["crt", "key"].map(|file| pod.secret(file).expect("a file"));
    assert!(crt.starts_with("-----BEGIN CERTIFICATE-----"), "{crt}");
    assert!(key.contains("PRIVATE KEY-----"), "the key file holds no key");
    let issued = bao.requests().iter().filter(|line| line.as_str() == PKI_ISSUE).count();
    assert_eq!(issued, 1, "certificate and key must be of one issue");
}

#[test]
fn transit_decrypts() {
    let Some(cluster) = Cluster::start() else { return };
    let bao = &cluster.bao;
    bao.post("sys/mounts/transit", &json!({"type": "transit"}));
    bao.post("transit/keys/app", &json!({}));
    let plain = STANDARD.encode("a-secret-in-the-manifest");
    let sealed = bao.post("transit/encrypt/app", &json!({"plaintext": plain}));
    let sealed = sealed["data"]["ciphertext"].as_str().expect("a ciphertext");
    bao.allow("path \"transit/decrypt/app\" { capabilities = [\"update\"] }");
    let contents = format!(
        r#"{{{{ with secret "transit/decrypt/app" "ciphertext={sealed}" }}}}{{{{ .Data.plaintext | base64Decode }}}}{{{{ end }}}}"#
    );
    assert_eq!(render(&cluster, &contents), "a-secret-in-the-manifest");
}

#[test]
fn a_namespace_holds_login_and_secrets() {
    let Some(cluster) = Cluster::start() else { return };
    let bao = &cluster.bao;
    bao.post("sys/namespaces/team", &json!({}));
    cluster.kubernetes_login("team/");
    cluster.role_in("team/", &json!({}));
    bao.post("team/sys/mounts/secret", &json!({"type": "kv", "options": {"version": "2"}}));
    let policy = "path \"secret/*\" { capabilities = [\"read\"] }";
    bao.post("team/sys/policies/acl/app", &json!({"policy": policy}));
    bao.post("team/secret/data/app", &json!({"data": {"password": "of-the-team"}}));
    for namespace in ["team", "team/"] {
        let mut pod = cluster.pod();
        pod.method("namespace", json!(namespace));
        let contents = r#"{{ with secret "secret/app" }}{{ .Data.data.password }}{{ end }}"#;
        pod.template("file", contents);
        pod.init_ok();
        assert_eq!(pod.secret("file").as_deref(), Some("of-the-team"), "namespace {namespace:?}");
    }
}

#[test]
fn a_secret_that_comes_later_is_waited_for() {
    let Some(cluster) = Cluster::start() else { return };
    let mut pod = cluster.pod();
    pod.template("file", r#"{{ with secret "secret/app" }}{{ .Data.data.password }}{{ end }}"#);
    let mut init = pod.start_init();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(init.try_code(), None, "{}", init.output());
    cluster.bao.put_secret("app", &json!({"password": "better-late"}));
    assert_eq!(init.code_within(Duration::from_secs(10)), 0, "{}", init.output());
    assert_eq!(pod.secret("file").as_deref(), Some("better-late"));
}

#[test]
fn the_environment_variable_carries_the_configuration() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.bao.put_secret("app", &json!({"password": "from-the-variable"}));
    let mut pod = cluster.pod();
    if pod.program == Program::Bao {
        return; // its container's shell decodes the variable
    }
    pod.template("file", r#"{{ with secret "secret/app" }}{{ .Data.data.password }}{{ end }}"#);
    pod.use_variable = true;
    pod.init_ok();
    assert_eq!(pod.secret("file").as_deref(), Some("from-the-variable"));
}

#[test]
fn a_sidecar_follows_a_changed_secret_and_runs_the_command() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.bao.put_secret("app", &json!({"password": "old-password"}));
    let mut pod = cluster.pod();
    pod.config["template_config"]["static_secret_render_interval"] = json!("1s");
    let count = pod.path("count");
    let template =
        pod.template("file", r#"{{ with secret "secret/app" }}{{ .Data.data.password }}{{ end }}"#);
    template["command"] = json!(format!("echo x >> {}", count.display()));
    template["perms"] = json!("0440");
    let mut sidecar = pod.start_sidecar();
    pod.expect_secret("file", "old-password", SOON);
    std::thread::sleep(Duration::from_secs(3));
    cluster.bao.put_secret("app", &json!({"password": "new-password"}));
    pod.expect_secret("file", "new-password", SOON);
    until("the second run of the command", SOON, || {
        (std::fs::read_to_string(&count).unwrap_or_default() == "x\nx\n").then_some(())
    });
    sidecar.signal("TERM");
    assert_eq!(sidecar.code_within(Duration::from_secs(2)), 0, "{}", sidecar.output());
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(pod.path("secrets/file")).expect("the file").permissions().mode();
    assert_eq!(mode & 0o7777, 0o440);
}

/// 1 login, 1 read per distinct secret, 1 mount lookup per mount, and nothing twice.
#[test]
fn a_pod_start_asks_for_nothing_twice() {
    let Some(cluster) = Cluster::start() else { return };
    for number in 0..10 {
        cluster
            .bao
            .put_secret(&format!("app/{number}"), &json!({"value": format!("value-{number}")}));
    }
    let mut pod = cluster.pod();
    if pod.program == Program::Bao {
        return;
    }
    for number in 0..10 {
        let path = format!("secret/data/app/{number}");
        let again = format!("secret/app/{}", (number + 1) % 10);
        pod.template(
            &format!("file-{number}"),
            &format!(
                r#"{{{{ with secret "{path}" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}{{{{ with secret "{again}" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}"#
            ),
        );
    }
    pod.init_ok();
    assert_eq!(pod.secret("file-9").as_deref(), Some("value-9value-0"));

    let expect_each_once = |requests: Vec<String>, logins: usize| {
        let count = |wanted: &str| requests.iter().filter(|line| line.contains(wanted)).count();
        assert_eq!(count("auth/kubernetes/login"), logins, "{requests:#?}");
        assert_eq!(count("read secret/data/app/"), 10, "{requests:#?}");
        assert!(count("sys/internal/ui/mounts") <= 1, "{requests:#?}");
        let others = requests.len() - count("login") - 10 - count("sys/internal/ui/mounts");
        // The token's own look-up or renewal is all that may be added.
        assert!(others <= 1, "{requests:#?}");
        let mut distinct = requests.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), requests.len(), "{requests:#?}");
    };
    expect_each_once(cluster.bao.requests(), 1);

    // The sidecar goes on with init's token; it reads what has no lease once for itself.
    let seen = cluster.bao.requests().len();
    let mut sidecar = pod.start_sidecar();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(sidecar.try_code(), None, "{}", sidecar.output());
    let later = cluster.bao.requests().split_off(seen);
    assert!(later.len() <= 12, "{later:#?}");
    assert!(!later.iter().any(|line| line.contains("login")), "{later:#?}");
}

/// The message names what the policy lacks, and where.
#[test]
fn a_missing_capability_is_named() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.bao.put_secret("app", &json!({"password": "never-given-out"}));
    cluster.bao.put_secret("other", &json!({"password": "given-out-as-usual"}));
    cluster.bao.allow("path \"secret/data/other\" { capabilities = [\"read\"] }");
    let mut pod = cluster.pod();
    if pod.program == Program::Bao {
        return;
    }
    pod.config["vault"]["retry"] = json!({"num_retries": 1});
    pod.template("denied", r#"{{ with secret "secret/app" }}{{ .Data.data.password }}{{ end }}"#);
    pod.template("other", r#"{{ with secret "secret/other" }}{{ .Data.data.password }}{{ end }}"#);
    let ended = pod.init();
    assert_eq!(ended.code, 1, "{}", ended.log);
    let names_it = |line: &str| line.contains("secret/data/app") && line.contains("read");
    assert!(ended.log.lines().any(names_it), "{}", ended.log);
    assert_eq!(pod.secret("denied"), None);
    assert_eq!(pod.secret("other").as_deref(), Some("given-out-as-usual"));
}

/// One configuration, two programs.
struct Case {
    name: &'static str,
    /// How ours ends: 1 where a restart may help, 2 where it cannot. `bao agent` knows 1 only.
    code: i32,
    change: fn(&mut Pod<'_>),
}

const CASES: &[Case] = &[
    Case {
        name: "one file",
        code: 0,
        change: |pod| {
            pod.template(
                "a",
                r#"{{ with secret "secret/data/app" }}{{ .Data.data.password }}{{ end }}"#,
            );
        },
    },
    Case {
        name: "the injector's default template",
        code: 0,
        change: |pod| {
            pod.template(
                "a",
                "{{ with secret \"secret/app\" }}{{ range $k, $v := .Data }}{{ $k }}: {{ $v }}\n{{ end }}{{ end }}",
            );
        },
    },
    Case {
        name: "the whole secret as JSON",
        code: 0,
        change: |pod| {
            pod.template(
                "a",
                r#"{{ with secret "secret/app" }}{{ .Data.data | toJSON }}{{ end }}"#,
            );
        },
    },
    Case { name: "no template at all", code: 0, change: |_| {} },
    Case {
        name: "nested folders and permissions",
        code: 0,
        change: |pod| {
            let template = pod.template("deep/er/a", "constant");
            template["perms"] = json!("0600");
        },
    },
    Case {
        name: "other delimiters",
        code: 0,
        change: |pod| {
            let template = pod
                .template("a", r#"{{ [[ with secret "secret/app" ]][[ .Data.data.n ]][[ end ]]"#);
            template["left_delimiter"] = json!("[[");
            template["right_delimiter"] = json!("]]");
        },
    },
    Case {
        name: "a template that does not parse",
        code: 1,
        change: |pod| {
            pod.template("a", "{{ with secret }");
        },
    },
    Case {
        name: "a function that does not exist",
        code: 1,
        change: |pod| {
            pod.template("a", "{{ nonsense 1 }}");
        },
    },
    Case {
        name: "a template that fails while running",
        code: 1,
        change: |pod| {
            pod.template("a", "{{ \"x\" | parseInt }}");
        },
    },
    Case {
        name: "a missing key that may not miss",
        code: 1,
        change: |pod| {
            let contents = r#"{{ with secret "secret/app" }}{{ .Data.data.absent }}{{ end }}"#;
            pod.template("a", contents)["error_on_missing_key"] = json!(true);
        },
    },
    Case {
        name: "a missing key that may miss",
        code: 0,
        change: |pod| {
            pod.template("a", r#"{{ with secret "secret/app" }}{{ .Data.data.absent }}{{ end }}"#);
        },
    },
    Case {
        name: "a secret that is not there",
        code: 1,
        change: |pod| {
            pod.config["vault"]["retry"] = json!({"num_retries": 1});
            pod.template("a", r#"{{ with secret "secret/absent" }}{{ .Data.data.x }}{{ end }}"#);
        },
    },
    Case {
        name: "both contents and source",
        code: 2,
        change: |pod| {
            pod.template("a", "x")["source"] = json!("/dev/null");
        },
    },
    Case {
        name: "a source that is not there",
        code: 1,
        change: |pod| {
            let template = pod.template("a", "");
            template.as_object_mut().expect("a template").remove("contents");
            template["source"] = json!("/nonexistent/template");
        },
    },
    Case {
        name: "an unknown key of a template",
        code: 2,
        change: |pod| {
            pod.template("a", "x")["colour"] = json!("blue");
        },
    },
    Case {
        name: "a login method nobody knows",
        code: 2,
        change: |pod| {
            pod.method("type", json!("carrier-pigeon"));
            pod.template("a", "x");
        },
    },
    Case {
        name: "a login method without its role",
        code: 2,
        change: |pod| {
            pod.method("config", json!({}));
            pod.template("a", "x");
        },
    },
    Case {
        name: "a login that fails for good",
        code: 1,
        change: |pod| {
            pod.method("config", json!({"role": "absent", "token_path": "/dev/null"}));
            pod.method("exit_on_err", json!(true));
            pod.template("a", "x");
        },
    },
    Case {
        name: "a folder that cannot be made",
        code: 1,
        change: |pod| {
            let file = pod.write("a-file", "");
            pod.template("a", "x")["destination"] = json!(file.join("below/it"));
        },
    },
    Case {
        name: "a sink that cannot be written",
        code: 1,
        change: |pod| {
            pod.config["auto_auth"]["sink"][0]["config"]["path"] = json!("/nonexistent/token");
            pod.template("a", "x");
        },
    },
];

/// Names, contents and permissions of everything in the secrets volume.
fn files(pod: &Pod<'_>) -> Vec<(String, String, u32)> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut found = Vec::new();
    let mut folders = vec![pod.path("secrets")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(pod.path("secrets")).expect("below").display().to_string();
            let mode = entry.metadata().expect("a file").permissions().mode() & 0o7777;
            found.push((name, std::fs::read_to_string(&path).unwrap_or_default(), mode));
        }
    }
    found.sort();
    found
}

/// The same files and the same verdict as the program whose configuration we read.
#[test]
fn does_what_bao_agent_does() {
    let Some(cluster) = Cluster::start() else { return };
    cluster
        .bao
        .put_secret("app", &json!({"password": "p&<\"'>", "n": 12, "nested": {"a": [1, null]}}));
    let mut differences = Vec::new();
    for case in CASES {
        let run = |program| {
            let mut pod = cluster.pod();
            pod.program = program;
            (case.change)(&mut pod);
            let ended = pod.init();
            (ended.code == 0, files(&pod), ended)
        };
        let (bao, ours) = (run(Program::Bao), run(Program::under_test()));
        let is_right_code = ours.2.code == case.code || Program::under_test() == Program::Bao;
        if (bao.0, &bao.1) != (ours.0, &ours.1) || !is_right_code {
            differences.push(format!(
                "{}:\nbao agent: code {}, {:?}\nours: code {}, {:?}\n{}",
                case.name, bao.2.code, bao.1, ours.2.code, ours.1, ours.2.log
            ));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}
