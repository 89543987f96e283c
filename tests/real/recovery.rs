//! What another process left is a saving and no trap: a restarted container starts no worse than a new pod.

use std::time::Duration;

use serde_json::{Value, json};

use crate::lifecycle::{DYNAMIC, database};
use crate::secrets::{PKI_ISSUE, pki};
use crate::support::agent::Pod;
use crate::support::cluster::Cluster;
use crate::support::postgres::Postgres;
use crate::support::until;

const SOON: Duration = Duration::from_secs(15);

/// A file in a format that needs no template.
fn formatted(pod: &mut Pod<'_>, file: &str, secret: &str, format: &str) {
    let destination = pod.path("secrets").join(file);
    let template = json!({"destination": destination, "secret": secret, "format": format});
    match &mut pod.config["injector"]["template"] {
        Value::Array(templates) => templates.push(template),
        none => *none = json!([template]),
    }
}

fn count(cluster: &Cluster, line: &str) -> usize {
    cluster.bao.requests().iter().filter(|seen| seen.as_str() == line).count()
}

fn logins(cluster: &Cluster) -> usize {
    count(cluster, "update auth/kubernetes/login")
}

fn fast(pod: &mut Pod<'_>) {
    pod.config["template_config"]["static_secret_render_interval"] = json!("1s");
    pod.config["vault"]["retry"] = json!({"num_retries": 1});
}

/// How a file is made of a secret, with what it fails, and with what it is made.
type Kind = (&'static str, fn(&mut Pod<'_>), Value, Value);

fn kinds() -> Vec<Kind> {
    fn strict(pod: &mut Pod<'_>) {
        let text = r#"{{ with secret "secret/app" }}{{ .Data.data.x }}{{ end }}"#;
        pod.template("file", text)["error_on_missing_key"] = json!(true);
    }
    fn base64(pod: &mut Pod<'_>) {
        let text = r#"{{ with secret "secret/app" }}{{ .Data.data.x | base64Decode }}{{ end }}"#;
        pod.template("file", text);
    }
    fn list(pod: &mut Pod<'_>) {
        let text = r#"{{ with secret "secret/app" }}{{ index .Data.data.x 0 }}{{ end }}"#;
        pod.template("file", text);
    }
    fn parsed(pod: &mut Pod<'_>) {
        let text = r#"{{ with secret "secret/app" }}{{ (.Data.data.x | parseJSON).y }}{{ end }}"#;
        pod.template("file", text);
    }
    /// Another secret is named by this one.
    fn named(pod: &mut Pod<'_>) {
        let text = r#"{{ with secret "secret/app" }}{{ with secret (printf "secret/%s" .Data.data.x) }}{{ .Data.data.y }}{{ end }}{{ end }}"#;
        pod.template("file", text);
    }
    vec![
        ("missing key", strict, json!({"other": "1"}), json!({"x": "fixed"})),
        ("no base64", base64, json!({"x": "%%"}), json!({"x": "Zml4ZWQ="})),
        ("changed type", list, json!({"x": true}), json!({"x": ["fixed"]})),
        ("no JSON", parsed, json!({"x": "{"}), json!({"x": "{\"y\":\"fixed\"}"})),
        ("name of nothing", named, json!({"x": "none"}), json!({"x": "other"})),
        (
            "raw: missing key",
            |pod| formatted(pod, "file", "secret/app", "raw:x"),
            json!({"other": "1"}),
            json!({"x": "fixed"}),
        ),
        (
            "env: names collide",
            |pod| formatted(pod, "file", "secret/app", "env"),
            json!({"a-b": "1", "a.b": "2"}),
            json!({"x": "fixed"}),
        ),
    ]
}

#[test]
fn init_recovers_from_every_reading_that_cannot_be_rendered() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(postgres) = Postgres::start() else { return };
    database(&cluster, &postgres, "1h", "24h");
    cluster.bao.put_secret("other", &json!({"y": "fixed"}));
    for (name, add, broken, good) in kinds() {
        let (before, issued) = (logins(&cluster), count(&cluster, "read database/creds/app"));
        let mut pod = cluster.pod();
        fast(&mut pod);
        add(&mut pod);
        pod.template("db", DYNAMIC);
        cluster.bao.put_secret("app", &broken);
        for _ in 0..2 {
            let ended = pod.init();
            assert_eq!(ended.code, 1, "{name}: {}", ended.log);
        }
        let user = pod.secret("db");
        cluster.bao.put_secret("app", &good);
        let ended = pod.init();
        assert_eq!(ended.code, 0, "{name}: {}", ended.log);
        assert!(pod.secret("file").is_some_and(|text| text.contains("fixed")), "{name}");
        assert_eq!(pod.secret("db"), user, "{name}: healthy credentials stay");
        assert_eq!(logins(&cluster) - before, 1, "{name}: one login for the pod");
        let issued = count(&cluster, "read database/creds/app") - issued;
        assert_eq!(issued, 1, "{name}: one set of credentials for the pod");
    }
}

#[test]
fn a_sidecar_recovers_from_every_reading_that_cannot_be_rendered() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.bao.put_secret("other", &json!({"y": "fixed"}));
    for (name, add, broken, good) in kinds() {
        let mut pod = cluster.pod();
        fast(&mut pod);
        add(&mut pod);
        cluster.bao.put_secret("app", &good);
        pod.init_ok();
        let before = pod.secret("file");
        let mut sidecar = pod.start_sidecar();
        cluster.bao.put_secret("app", &broken);
        assert_eq!(sidecar.code_within(SOON), 1, "{name}: {}", sidecar.output());
        assert_eq!(pod.secret("file"), before, "{name}: the good file stays");
        let mut again = pod.start_sidecar();
        assert_eq!(again.code_within(SOON), 1, "{name}: {}", again.output());
        std::fs::remove_file(pod.path("secrets/file")).expect("the file");
        cluster.bao.put_secret("app", &good);
        let sidecar = pod.start_sidecar();
        until("the file", SOON, || pod.secret("file").filter(|text| text.contains("fixed")));
        drop(sidecar);
    }
    // Those with a key for a state went through one login each, whatever happened.
    assert_eq!(logins(&cluster), kinds().len());
}

#[test]
fn a_second_init_gives_present_values_and_the_same_credentials() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(postgres) = Postgres::start() else { return };
    database(&cluster, &postgres, "1h", "24h");
    let mut pod = cluster.pod();
    pod.template("file", r#"{{ with secret "secret/app" }}{{ .Data.data.x }}{{ end }}"#);
    formatted(&mut pod, "raw", "secret/app", "raw:x");
    pod.template("db", DYNAMIC);
    for value in ["one", "two", "three"] {
        cluster.bao.put_secret("app", &json!({"x": value}));
        pod.init_ok();
        assert_eq!(pod.secret("file").as_deref(), Some(value));
        assert_eq!(pod.secret("raw").as_deref(), Some(value));
    }
    assert_eq!((logins(&cluster), count(&cluster, "read database/creds/app")), (1, 1));
}

#[test]
fn a_repaired_role_counts_for_the_next_container() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.bao.put_secret("app", &json!({"x": "fixed"}));
    let nothing = json!({"policy": "path \"secret/data/none\" { capabilities = [\"read\"] }"});
    cluster.bao.post("sys/policies/acl/none", &nothing);
    for (settings, repaired) in [
        (json!({"token_policies": ["none"]}), json!({})),
        (json!({"token_policies": ["none"], "token_no_default_policy": true}), json!({})),
        (
            json!({"token_policies": ["none"], "token_type": "batch"}),
            json!({"token_no_default_policy": true}),
        ),
    ] {
        cluster.role(&settings);
        let before = logins(&cluster);
        let mut pod = cluster.pod();
        fast(&mut pod);
        pod.template("file", r#"{{ with secret "secret/app" }}{{ .Data.data.x }}{{ end }}"#);
        for tries in 1..3 {
            let ended = pod.init();
            assert_eq!(ended.code, 1, "{}", ended.log);
            assert!(
                logins(&cluster) - before <= tries,
                "no more than a new pod would: {}",
                ended.log
            );
        }
        cluster.role(&repaired);
        pod.init_ok();
        assert_eq!(pod.secret("file").as_deref(), Some("fixed"));
        assert!(logins(&cluster) - before <= 3);
        cluster.role(&json!({"token_no_default_policy": false, "token_type": "default"}));
    }
}

#[test]
fn leases_and_tokens_that_an_operator_revoked_are_replaced() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(postgres) = Postgres::start() else { return };
    database(&cluster, &postgres, "1h", "24h");
    let works = |pod: &Pod<'_>| {
        let content = pod.secret("db")?;
        let (user, password) = content.split_once(' ')?;
        postgres.query(user, password, "select current_user").ok()
    };
    let revoke_leases = || {
        let sync = json!({"sync": true});
        drop(cluster.bao.post("sys/leases/revoke-prefix/database/creds/app", &sync));
    };
    let revoke_token = |pod: &Pod<'_>| {
        let token = pod.token().expect("a token");
        cluster.bao.post("auth/token/revoke", &json!({"token": token}));
    };
    for is_token in [false, true] {
        let revoke = |pod: &Pod<'_>| if is_token { revoke_token(pod) } else { revoke_leases() };
        let mut pod = cluster.pod();
        fast(&mut pod);
        pod.template("db", DYNAMIC);
        pod.init_ok();
        revoke(&pod);
        // Between two containers, and before a second init.
        let log = pod.init_ok().log;
        assert!(works(&pod).is_some(), "is_token {is_token}: {log}");
        revoke(&pod);
        let sidecar = pod.start_sidecar();
        until("credentials that work", SOON, || works(&pod));
        // And while the sidecar runs.
        let before = pod.secret("db");
        revoke(&pod);
        until("other credentials", SOON, || works(&pod).filter(|_| pod.secret("db") != before));
        drop(sidecar);
    }
}

#[test]
fn a_version_that_is_no_more_overwrites_nothing() {
    let Some(cluster) = Cluster::start() else { return };
    let bao = &cluster.bao;
    for (verb, word) in [("destroy", "is destroyed"), ("delete", "is deleted")] {
        let name = format!("gone-{verb}");
        let path = format!("secret/{name}");
        bao.put_secret(&name, &json!({"x": "one"}));
        let mut pod = cluster.pod();
        fast(&mut pod);
        pod.config["template_config"]["exit_on_retry_failure"] = json!(false);
        for (file, body) in [
            ("template", "{{ .Data.data.x }}".to_owned()),
            ("map", "{{ range $k, $v := .Data }}{{ $k }}: {{ $v }}\n{{ end }}".to_owned()),
            ("json", "{{ .Data | toJSON }}".to_owned()),
            ("data", "{{ .Data.data | toUnescapedJSON }}".to_owned()),
        ] {
            pod.template(file, &format!("{{{{ with secret {path:?} }}}}{body}{{{{ end }}}}"));
        }
        let formats = ["env", "dotenv", "properties", "yaml", "raw:x"];
        for format in formats {
            formatted(&mut pod, format, &path, format);
        }
        let files = || {
            ["template", "map", "json", "data"]
                .iter()
                .chain(&formats)
                .map(|f| pod.secret(f))
                .collect::<Vec<_>>()
        };
        pod.init_ok();
        let before = files();
        assert!(before.iter().all(Option::is_some), "{before:?}");
        let sidecar = pod.start_sidecar();
        sidecar.expect_output("going on", SOON);
        let request = json!({"versions": [1]});
        let reply = bao.api("PUT", &format!("secret/{verb}/{name}"), &request);
        assert!(reply.status < 300, "{reply:?}");
        sidecar.expect_output(word, SOON);
        assert!(sidecar.output().contains(&format!("secret/data/{name}")), "{}", sidecar.output());
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(files(), before);
        bao.put_secret(&name, &json!({"x": "two"}));
        until("the new version", SOON, || {
            files().iter().flatten().all(|text| text.contains("two")).then_some(())
        });
    }
}

/// Certificate and key of the files, as one would give them to a server.
fn pair(pod: &Pod<'_>) -> (String, String) {
    ["crt", "key"].map(|file| pod.secret(file).unwrap_or_default()).into()
}

fn is_pair((certificate, key): &(String, String)) -> bool {
    let text = format!("{certificate}{key}");
    let bundle = vault_injector::domain::x509::Bundle::of_text(text.as_bytes());
    bundle.is_some_and(|bundle| bundle.has_its_key() == Some(true))
}

#[test]
fn one_certificate_in_two_files_is_issued_once() {
    let Some(cluster) = Cluster::start() else { return };
    pki(&cluster);
    let mut pod = cluster.pod();
    pod.template(
        "crt",
        r#"{{ with pkiCert "pki/issue/app" "common_name=a.shop.svc" "ttl=9s" }}{{ .Cert }}{{ .CA }}{{ end }}"#,
    );
    pod.template(
        "key",
        r#"{{ with pkiCert "/pki/issue//app/" "ttl=9s" "common_name=a.shop.svc" }}{{ .Key }}{{ end }}"#,
    );
    pod.init_ok();
    let first = pair(&pod);
    assert!(is_pair(&first), "{first:?}");
    // What stands in two files is found there without a state, too.
    std::fs::remove_file(pod.path("home/.state")).expect("the state");
    pod.init_ok();
    assert_eq!((pair(&pod), count(&cluster, PKI_ISSUE)), (first.clone(), 1));
    let sidecar = pod.start_sidecar();
    let mut seen = vec![first];
    until("two more certificates", Duration::from_secs(60), || {
        let now = pair(&pod);
        // The two are written one after the other.
        if seen.last().is_some_and(|last| last.0 != now.0 && last.1 != now.1) {
            assert!(is_pair(&now), "{}", sidecar.output());
            seen.push(now);
        }
        (seen.len() == 3).then_some(())
    });
    assert!(count(&cluster, PKI_ISSUE) <= 4, "{}", sidecar.output());
    drop(sidecar);
    // A key without its certificate is no reason to keep the certificate.
    std::fs::remove_file(pod.path("home/.state")).expect("the state");
    std::fs::write(pod.path("secrets/key"), "").expect("the file");
    pod.init_ok();
    assert!(is_pair(&pair(&pod)));
}

#[test]
fn a_certificate_that_cannot_be_used_is_not_issued_at_each_try() {
    let Some(cluster) = Cluster::start() else { return };
    pki(&cluster);
    cluster.bao.allow("path \"pki/*\" { capabilities = [\"create\", \"update\"] }");
    for (path, format, most) in [
        ("pki/issue/app", "format=der", 0),
        ("pki/issue/app", "format=pkcs12_bundle", 0),
        // It is no certificate that comes.
        ("pki/root/generate/internal", "ttl=1h", 1),
    ] {
        for exits in [true, false] {
            let before = count(&cluster, &format!("update {path}"));
            let mut pod = cluster.pod();
            pod.config["template_config"]["exit_on_retry_failure"] = json!(exits);
            let call = format!(r#"pkiCert {path:?} "common_name=a.shop.svc" {format:?}"#);
            pod.template("pem", &format!("{{{{ with {call} }}}}{{{{ .Cert }}}}{{{{ end }}}}"));
            let mut init = pod.start_init();
            if exits {
                assert_eq!(init.code_within(Duration::from_secs(60)), 1, "{}", init.output());
            } else {
                std::thread::sleep(Duration::from_secs(4));
            }
            let log = init.output();
            drop(init);
            let issued = count(&cluster, &format!("update {path}")) - before;
            assert!(issued <= most, "{path} {format}: {issued}\n{log}");
            assert!(log.contains("PEM"), "{log}");
        }
    }
}

#[test]
fn kv_1_is_read_again_unless_it_says_for_how_long_it_is_good() {
    let Some(cluster) = Cluster::start() else { return };
    let bao = &cluster.bao;
    bao.post("sys/mounts/old", &json!({"type": "kv", "options": {"version": "1"}}));
    bao.allow("path \"old/*\" { capabilities = [\"read\"] }");
    let put = |name: &str, x: &str, ttl: &Value| {
        bao.post(&format!("old/{name}"), &json!({"x": x, "ttl": ttl}));
    };
    let names = [("none", Value::Null), ("text", json!("for ever")), ("hour", json!("1h"))];
    let mut pod = cluster.pod();
    fast(&mut pod);
    for (name, ttl) in &names {
        put(name, "one", ttl);
        pod.template(
            name,
            &format!("{{{{ with secret \"old/{name}\" }}}}{{{{ .Data.x }}}}{{{{ end }}}}"),
        );
    }
    let sidecar = pod.start_sidecar();
    for (name, ttl) in &names {
        pod.expect_secret(name, "one", SOON);
        put(name, "two", ttl);
    }
    pod.expect_secret("none", "two", SOON);
    pod.expect_secret("text", "two", SOON);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(pod.secret("hour").as_deref(), Some("one"), "{}", sidecar.output());
}

#[test]
fn what_is_wrong_with_a_token_a_login_or_a_namespace_is_said() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.bao.put_secret("app", &json!({"x": "1"}));
    let log = |change: &dyn Fn(&mut Pod<'_>)| {
        let mut pod = cluster.pod();
        fast(&mut pod);
        pod.template("file", r#"{{ with secret "secret/app" }}{{ .Data.data.x }}{{ end }}"#);
        change(&mut pod);
        pod.method("exit_on_err", json!(true));
        let ended = pod.init();
        assert_ne!(ended.code, 0, "{}", ended.log);
        ended.log
    };
    let namespace = log(&|pod| pod.method("namespace", json!("shop")));
    assert!(namespace.contains("namespace not found: \\\"shop\\\""), "{namespace}");
    for mount in ["kubernetes", "cloud/dev"] {
        let told = log(&|pod| pod.method("mount_path", json!(mount)));
        assert!(told.contains(&format!("want auth/{mount}")), "{told}");
    }
}

/// Credentials end with a token that cannot be renewed, so they are had once from each.
#[test]
fn credentials_of_batch_tokens_are_issued_once_from_each() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(postgres) = Postgres::start() else { return };
    database(&cluster, &postgres, "1h", "24h");
    cluster.role(&json!({"token_type": "batch", "token_ttl": "9s", "token_max_ttl": "9s"}));
    let mut pod = cluster.pod();
    pod.template("db", DYNAMIC);
    let sidecar = pod.start_sidecar();
    std::thread::sleep(Duration::from_secs(20));
    let (issued, logins) = (count(&cluster, "read database/creds/app"), logins(&cluster));
    assert!((3..=5).contains(&logins), "{logins}: {}", sidecar.output());
    assert!(
        issued <= logins,
        "{issued} sets of credentials, {logins} tokens: {}",
        sidecar.output()
    );
}
