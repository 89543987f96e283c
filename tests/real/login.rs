//! Every login method against the real one.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::agent::Pod;
use crate::support::bao::Bao;
use crate::support::cluster::Cluster;
use crate::support::jwt::Issuer;

const TEMPLATE: &str = r#"{{ with secret "secret/data/app" }}{{ .Data.data.password }}{{ end }}"#;
const PASSWORD: &str = "correct-horse-battery";

/// A server where a login gives the policy to read `secret/data/app`.
fn bao_with_secret() -> Option<Bao> {
    let bao = Bao::start()?;
    bao.allow("path \"secret/*\" { capabilities = [\"read\"] }");
    bao.put_secret("app", &json!({"password": PASSWORD}));
    Some(bao)
}

/// The init container logs in, writes the file, and leaves a token of the policy `app`.
fn expect_login(bao: &Bao, pod: &Pod<'_>) {
    pod.init_ok();
    assert_eq!(pod.secret("password").as_deref(), Some(PASSWORD));
    let token = pod.token().expect("a token in the sink");
    assert_eq!(token.trim(), token, "the sink holds the bare token");
    let own = bao.api_as(&token, "GET", "auth/token/lookup-self", &Value::Null);
    assert_eq!(own.body["data"]["policies"], json!(["app", "default"]), "{own:?}");
}

#[test]
fn kubernetes() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.bao.put_secret("app", &json!({"password": PASSWORD}));
    let mut pod = cluster.pod();
    pod.template("password", TEMPLATE);
    expect_login(&cluster.bao, &pod);
    assert_eq!(cluster.reviews.complaints(), Vec::<String>::new());
}

#[test]
fn kubernetes_over_tls() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.bao.put_secret("app", &json!({"password": PASSWORD}));
    let mut pod = cluster.pod();
    pod.use_tls();
    pod.template("password", TEMPLATE);
    expect_login(&cluster.bao, &pod);
}

#[test]
fn tls_of_an_unknown_ca_is_refused() {
    let Some(cluster) = Cluster::start() else { return };
    let mut pod = cluster.pod();
    pod.use_tls();
    pod.config["vault"]["ca_cert"] = json!(pod.write("other-ca.pem", &cluster.reviews.certificate));
    pod.method("exit_on_err", json!(true));
    pod.template("password", TEMPLATE);
    let ended = pod.init();
    assert_eq!(ended.code, 1, "{}", ended.log);
    assert_eq!(cluster.bao.requests(), Vec::<String>::new());
}

#[test]
fn kubernetes_token_is_read_again_at_each_try() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.bao.put_secret("app", &json!({"password": PASSWORD}));
    let mut pod = cluster.pod();
    let token = pod.write("token", "not-yet.a-valid.token");
    pod.method("config", json!({"role": "app", "token_path": token}));
    pod.template("password", TEMPLATE);
    let mut init = pod.start_init();
    std::thread::sleep(Duration::from_millis(800));
    assert_eq!(init.try_code(), None, "{}", init.output());
    let valid = std::fs::read_to_string(cluster.token_path()).expect("the token");
    pod.write("token", &format!("{valid}\n"));
    assert_eq!(init.code_within(Duration::from_secs(10)), 0);
    assert_eq!(pod.secret("password").as_deref(), Some(PASSWORD));
}

#[test]
fn kubernetes_with_a_wrong_role_says_so() {
    let Some(cluster) = Cluster::start() else { return };
    let mut pod = cluster.pod();
    pod.method("config", json!({"role": "nobody", "token_path": cluster.token_path()}));
    pod.method("exit_on_err", json!(true));
    pod.template("password", TEMPLATE);
    let ended = pod.init();
    assert_eq!(ended.code, 1, "{}", ended.log);
    assert!(ended.log.contains("nobody"), "{}", ended.log);
}

#[test]
fn jwt() {
    let Some(bao) = bao_with_secret() else { return };
    let issuer = Issuer::new();
    bao.post("sys/auth/jwt", &json!({"type": "jwt"}));
    bao.post(
        "auth/jwt/config",
        &json!({
            "jwt_validation_pubkeys": [issuer.public_key()],
            "jwt_supported_algs": ["ES256"],
        }),
    );
    bao.post(
        "auth/jwt/role/app",
        &json!({
            "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"],
            "token_policies": ["app"],
        }),
    );
    let claims =
        json!({"sub": "app", "aud": "vault", "nbf": 1_700_000_000, "exp": 4_102_444_800_u64});
    for is_removed in [false, true] {
        let mut pod = Pod::new(&bao, &json!({"type": "jwt"}));
        let path = pod.write("jwt", &issuer.sign(&claims));
        let remove = json!(is_removed.to_string());
        let config = json!({"role": "app", "path": path, "remove_jwt_after_reading": remove});
        pod.method("config", config);
        pod.template("password", TEMPLATE);
        expect_login(&bao, &pod);
        assert_eq!(path.exists(), !is_removed, "remove_jwt_after_reading = {is_removed}");
    }
}

/// The role id, and a fresh secret id (wrapped on demand) of the role `app`.
fn approle(bao: &Bao) -> String {
    bao.post("sys/auth/approle", &json!({"type": "approle"}));
    bao.post("auth/approle/role/app", &json!({"token_policies": ["app"]}));
    let role_id = bao.get("auth/approle/role/app/role-id");
    role_id["data"]["role_id"].as_str().expect("a role id").to_owned()
}

#[test]
fn approle_with_secret_id() {
    let Some(bao) = bao_with_secret() else { return };
    let role_id = approle(&bao);
    for is_removed in [false, true] {
        let secret_id = bao.post("auth/approle/role/app/secret-id", &json!({}));
        let secret_id = secret_id["data"]["secret_id"].as_str().expect("a secret id").to_owned();
        let mut pod = Pod::new(&bao, &json!({"type": "approle"}));
        let secret_id = pod.write("secret-id", &format!("{secret_id}\n"));
        let config = json!({
            "role_id_file_path": pod.write("role-id", &format!("{role_id}\n")),
            "secret_id_file_path": secret_id,
            "remove_secret_id_file_after_reading": is_removed.to_string(),
        });
        pod.method("config", native(config));
        pod.template("password", TEMPLATE);
        expect_login(&bao, &pod);
        assert_eq!(secret_id.exists(), !is_removed, "remove = {is_removed}");
    }
}

#[test]
fn approle_with_wrapped_secret_id() {
    let Some(bao) = bao_with_secret() else { return };
    let role_id = approle(&bao);
    let wrapped = |path: &str| {
        let body = bao.post_wrapped("auth/approle/role/app/secret-id");
        assert_eq!(body["wrap_info"]["creation_path"], path, "{body}");
        body["wrap_info"]["token"].as_str().expect("a wrapping token").to_owned()
    };
    let path = "auth/approle/role/app/secret-id";
    let mut pod = Pod::new(&bao, &json!({"type": "approle", "exit_on_err": true}));
    let mut config = json!({
        "role_id_file_path": pod.write("role-id", &role_id),
        "secret_id_file_path": pod.write("secret-id", &wrapped(path)),
        "secret_id_response_wrapping_path": path,
    });
    pod.method("config", config.clone());
    pod.template("password", TEMPLATE);
    expect_login(&bao, &pod);

    // Somebody who opened the wrapping and wrapped something else again is found out.
    pod.write("secret-id", &wrapped(path));
    config["secret_id_response_wrapping_path"] = json!("auth/approle/role/other/secret-id");
    pod.method("config", config);
    let _init_leaves_a_state = std::fs::remove_file(pod.path("home/.state"));
    let ended = pod.init();
    assert_eq!(ended.code, 1, "{}", ended.log);
}

#[test]
fn token_file() {
    let Some(bao) = bao_with_secret() else { return };
    let token = bao.post("auth/token/create", &json!({"policies": ["app"], "ttl": "10m"}));
    let token = token["auth"]["client_token"].as_str().expect("a token");
    let mut pod = Pod::new(&bao, &json!({"type": "token_file"}));
    let path = pod.write("given-token", &format!("{token}\n"));
    pod.method("config", json!({"token_file_path": path}));
    pod.template("password", TEMPLATE);
    expect_login(&bao, &pod);
    assert_eq!(pod.token().as_deref(), Some(token));
}

/// Annotations make every setting a text; `bao agent` insists on a native truth value here.
fn native(mut config: Value) -> Value {
    if crate::support::agent::Program::under_test() == crate::support::agent::Program::Bao {
        for value in config.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
            if let Some(truth) = value.as_str().and_then(|text| text.parse::<bool>().ok()) {
                *value = json!(truth);
            }
        }
    }
    config
}
