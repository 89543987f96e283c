//! What happens over time: leases that end, tokens that die, servers that go away.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::agent::{Pod, Program};
use crate::support::cluster::{Cluster, kubernetes_method};
use crate::support::postgres::Postgres;
use crate::support::process::Process;
use crate::support::{free_port, shared_folder, until};

const SOON: Duration = Duration::from_secs(15);
const STATIC: &str = r#"{{ with secret "secret/app" }}{{ .Data.data.password }}{{ end }}"#;
pub(crate) const DYNAMIC: &str =
    r#"{{ with secret "database/creds/app" }}{{ .Data.username }} {{ .Data.password }}{{ end }}"#;

/// A role of the database engine at `database/` whose credentials live for `ttl`, at most `max_ttl`.
pub(crate) fn database(cluster: &Cluster, postgres: &Postgres, ttl: &str, max_ttl: &str) {
    let bao = &cluster.bao;
    bao.post("sys/mounts/database", &json!({"type": "database"}));
    bao.post("database/config/db", &postgres.connection());
    bao.post(
        "database/roles/app",
        &json!({
            "db_name": "db", "default_ttl": ttl, "max_ttl": max_ttl,
            "creation_statements": [
                "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';"
            ],
        }),
    );
    bao.allow(
        "path \"database/creds/app\" { capabilities = [\"read\"] }
         path \"secret/*\" { capabilities = [\"read\"] }",
    );
}

/// Connects with the credentials that stand in the file right now. An agent may replace the file and end
/// the old credentials between our reading and our connecting, so only a failure with what still stands
/// in the file afterwards is one.
fn connect(pod: &Pod<'_>, postgres: &Postgres) -> Result<String, String> {
    loop {
        let content = pod.secret("db").ok_or("no file")?;
        let (user, password) = content.split_once(' ').ok_or("no credentials in the file")?;
        match postgres.query(user, password, "select current_user") {
            Ok(answer) if answer == user => return Ok(content),
            Err(_) if pod.secret("db").as_ref() != Some(&content) => {}
            wrong => return Err(format!("{user}: {wrong:?}")),
        }
    }
}

/// The credentials seen in the file during `period`, each of which worked as long as it stood there.
fn watch(pod: &Pod<'_>, postgres: &Postgres, period: Duration) -> Vec<String> {
    let start = Instant::now();
    let mut seen = Vec::new();
    while start.elapsed() < period {
        match connect(pod, postgres) {
            Ok(content) if seen.last() != Some(&content) => seen.push(content),
            Ok(_) => {}
            Err(why) => panic!("the file's credentials failed after {:?}: {why}", start.elapsed()),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    seen
}

/// Waits for the first set of credentials of a sidecar that must stay alive.
fn first_credentials(pod: &Pod<'_>, sidecar: &mut Process) {
    until("the first credentials", SOON, || {
        assert_eq!(sidecar.try_code(), None, "{}", sidecar.output());
        pod.secret("db")
    });
}

#[test]
fn database_credentials_are_renewed_and_replaced_before_they_end() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(postgres) = Postgres::start() else { return };
    database(&cluster, &postgres, "4s", "12s");
    let mut pod = cluster.pod();
    pod.template("db", DYNAMIC);
    let mut sidecar = pod.start_sidecar();
    first_credentials(&pod, &mut sidecar);
    let seen = watch(&pod, &postgres, Duration::from_secs(22));
    // 22 seconds hold one end of 12 seconds for certain, and with early replacement never more than four.
    assert!(
        (2..=5).contains(&seen.len()),
        "{} sets of credentials\n{}",
        seen.len(),
        sidecar.output()
    );
    let requests = cluster.bao.requests();
    let count = |wanted: &str| requests.iter().filter(|line| line.starts_with(wanted)).count();
    let asked = count("read database/creds/app");
    // The last set may have been asked for after we last looked.
    assert!((seen.len()..=seen.len() + 1).contains(&asked), "{asked}: {requests:#?}");
    assert!(count("update sys/leases/renew") >= 2, "{requests:#?}");
    assert!(requests.len() < 60, "a storm: {requests:#?}");
    sidecar.signal("TERM");
    assert_eq!(sidecar.code_within(Duration::from_secs(3)), 0);
}

#[test]
fn credentials_outlive_the_end_of_the_token() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(postgres) = Postgres::start() else { return };
    database(&cluster, &postgres, "1h", "24h");
    cluster.role(&json!({"token_ttl": "5s", "token_max_ttl": "10s"}));
    let mut pod = cluster.pod();
    pod.template("db", DYNAMIC);
    let mut sidecar = pod.start_sidecar();
    first_credentials(&pod, &mut sidecar);
    // Credentials die with the token that asked for them, long before their own lease ends.
    let seen = watch(&pod, &postgres, Duration::from_secs(20));
    assert!(
        (2..=6).contains(&seen.len()),
        "{} sets of credentials\n{}",
        seen.len(),
        sidecar.output()
    );
    let requests = cluster.bao.requests();
    assert!(requests.len() < 60, "a storm: {requests:#?}");
}

#[test]
fn init_and_sidecar_share_one_set_of_credentials() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(postgres) = Postgres::start() else { return };
    database(&cluster, &postgres, "1h", "24h");
    let mut pod = cluster.pod();
    if pod.program == Program::Bao {
        return; // it asks twice: one of the reasons for this program
    }
    pod.template("db", DYNAMIC);
    pod.init_ok();
    let first = connect(&pod, &postgres).expect("init's credentials");
    let sidecar = pod.start_sidecar();
    let seen = watch(&pod, &postgres, Duration::from_secs(4));
    assert_eq!(seen, [first], "{}", sidecar.output());
    assert_eq!(postgres.dynamic_roles(), 1);
    let requests = cluster.bao.requests();
    let count = |wanted: &str| requests.iter().filter(|line| line.contains(wanted)).count();
    assert_eq!(count("read database/creds/app"), 1, "{requests:#?}");
    assert_eq!(count("auth/kubernetes/login"), 1, "{requests:#?}");
    drop(sidecar);

    // A container that was killed goes on with the same credentials as well.
    let sidecar = pod.start_sidecar();
    let again = watch(&pod, &postgres, Duration::from_secs(3));
    assert_eq!(again, seen, "{}", sidecar.output());
    assert_eq!(postgres.dynamic_roles(), 1);
}

#[test]
fn revokes_on_shutdown_when_asked_to() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(postgres) = Postgres::start() else { return };
    database(&cluster, &postgres, "1h", "24h");
    let mut pod = cluster.pod();
    if pod.program == Program::Bao {
        return;
    }
    pod.config["injector"]["revoke_on_shutdown"] = json!(true);
    pod.config["injector"]["revoke_grace"] = json!("1s");
    pod.template("db", DYNAMIC);
    let mut sidecar = pod.start_sidecar();
    first_credentials(&pod, &mut sidecar);
    let token = pod.token().expect("a token");
    sidecar.signal("TERM");
    std::thread::sleep(Duration::from_millis(400));
    connect(&pod, &postgres).expect("the credentials work while the app drains");
    assert_eq!(sidecar.code_within(Duration::from_secs(5)), 0, "{}", sidecar.output());
    let own = cluster.bao.api_as(&token, "GET", "auth/token/lookup-self", &Value::Null);
    assert_eq!(own.status, 403, "the token is still alive");
    until("the credentials to be gone", SOON, || (postgres.dynamic_roles() == 0).then_some(()));
}

#[test]
fn a_stopped_sidecar_leaves_token_and_files_alone() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.bao.put_secret("app", &json!({"password": "stays-on-disk"}));
    let mut pod = cluster.pod();
    pod.template("file", STATIC);
    let mut sidecar = pod.start_sidecar();
    pod.expect_secret("file", "stays-on-disk", SOON);
    let token = until("a token", SOON, || pod.token());
    sidecar.signal("TERM");
    assert_eq!(sidecar.code_within(Duration::from_secs(2)), 0, "{}", sidecar.output());
    assert_eq!(pod.secret("file").as_deref(), Some("stays-on-disk"));
    let own = cluster.bao.api_as(&token, "GET", "auth/token/lookup-self", &Value::Null);
    assert_eq!(own.status, 200, "{own:?}");
}

#[test]
fn a_token_is_renewed_before_it_ends() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.role(&json!({"token_ttl": "4s", "token_max_ttl": "1h"}));
    cluster.bao.put_secret("app", &json!({"password": "a-password"}));
    let mut pod = cluster.pod();
    pod.template("file", STATIC);
    let sidecar = pod.start_sidecar();
    let first = until("a token", SOON, || pod.token());
    std::thread::sleep(Duration::from_secs(9));
    assert_eq!(pod.token(), Some(first), "{}", sidecar.output());
    let requests = cluster.bao.requests();
    let count = |wanted: &str| requests.iter().filter(|line| line.contains(wanted)).count();
    assert_eq!(count("auth/kubernetes/login"), 1, "{requests:#?}");
    assert!((2..=12).contains(&count("renew-self")), "{requests:#?}");
}

#[test]
fn a_revoked_token_leads_to_a_new_login() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.bao.put_secret("app", &json!({"password": "before-revocation"}));
    let mut pod = cluster.pod();
    if pod.program == Program::Bao {
        return; // it goes on with the dead token
    }
    pod.config["template_config"]["static_secret_render_interval"] = json!("1s");
    pod.template("file", STATIC);
    let mut sidecar = pod.start_sidecar();
    pod.expect_secret("file", "before-revocation", SOON);
    let token = until("a token", SOON, || pod.token());
    cluster.bao.post("auth/token/revoke", &json!({"token": token}));
    cluster.bao.put_secret("app", &json!({"password": "after-revocation"}));
    pod.expect_secret("file", "after-revocation", SOON);
    let new = pod.token().expect("a token");
    assert_ne!(new, token, "the sink still holds the dead token");
    assert_eq!(sidecar.try_code(), None, "{}", sidecar.output());
}

#[test]
fn a_sealed_server_is_waited_for() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.bao.put_secret("app", &json!({"password": "before-the-seal"}));
    let mut pod = cluster.pod();
    pod.config["template_config"]["static_secret_render_interval"] = json!("1s");
    pod.template("file", STATIC);
    let mut sidecar = pod.start_sidecar();
    pod.expect_secret("file", "before-the-seal", SOON);
    cluster.bao.seal();
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(sidecar.try_code(), None, "{}", sidecar.output());
    assert_eq!(pod.secret("file").as_deref(), Some("before-the-seal"), "the file stays");
    cluster.bao.unseal();
    cluster.bao.put_secret("app", &json!({"password": "after-the-seal"}));
    pod.expect_secret("file", "after-the-seal", Duration::from_secs(40));
    if pod.program == Program::Ours {
        let log = sidecar.output();
        assert!(log.to_lowercase().contains("sealed"), "the log does not say why:\n{log}");
    }
}

#[test]
fn a_sealed_server_at_start_is_waited_for() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.bao.put_secret("app", &json!({"password": "after-the-seal"}));
    cluster.bao.seal();
    let mut pod = cluster.pod();
    pod.template("file", STATIC);
    let mut init = pod.start_init();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(init.try_code(), None, "{}", init.output());
    cluster.bao.unseal();
    assert_eq!(init.code_within(SOON), 0, "{}", init.output());
    assert_eq!(pod.secret("file").as_deref(), Some("after-the-seal"));
}

/// A server that is not there yet when the pod starts: the agent waits, and needs no restart.
#[test]
fn a_server_that_comes_later_is_found() {
    let Some(other) = Cluster::start() else { return };
    let port = free_port();
    let token = shared_folder("token");
    let token_path = token.write("token", "a.b.c");
    let mut pod = Pod::new(&other.bao, &kubernetes_method(&token_path));
    pod.config["vault"]["address"] = json!(format!("http://127.0.0.1:{port}"));
    pod.template("file", STATIC);
    let mut init = pod.start_init();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(init.try_code(), None, "{}", init.output());
    let late = Cluster::start_on(port).expect("OpenBao on the port that was free");
    late.bao.put_secret("app", &json!({"password": "from-the-late-server"}));
    let valid = std::fs::read_to_string(late.token_path()).expect("the token");
    token.write("token", &valid);
    assert_eq!(init.code_within(SOON), 0, "{}", init.output());
    assert_eq!(pod.secret("file").as_deref(), Some("from-the-late-server"));
}

#[test]
fn sigterm_ends_a_waiting_init_at_once() {
    let Some(cluster) = Cluster::start() else { return };
    let mut pod = cluster.pod();
    pod.config["vault"]["address"] = json!(format!("http://127.0.0.1:{}", free_port()));
    pod.template("file", STATIC);
    let mut init = pod.start_init();
    std::thread::sleep(Duration::from_secs(1));
    init.signal("TERM");
    let code = init.code_within(Duration::from_secs(2));
    if pod.program == Program::Ours {
        assert_ne!(code, 0, "an init container that wrote no file must not pass");
    }
    assert_eq!(pod.secret("file"), None);
}
