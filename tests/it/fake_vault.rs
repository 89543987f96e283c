//! The fake Vault keeps its promises: what other tests assume about it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::support::fake_vault::{FakeVault, Fault, Role};

/// One request on a connection of its own: status, head, body.
fn ask(
    vault: &FakeVault,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> (u16, String, Value) {
    let host = vault.address().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} /v1/{path} HTTP/1.1\r\nHost: {host}\r\nX-Vault-Token: {token}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, head.to_owned(), serde_json::from_str(body).unwrap_or_default())
}

fn log_in(vault: &FakeVault, role: &str) -> String {
    let body = json!({ "role": role, "jwt": "x" }).to_string();
    let (status, _, answer) = ask(vault, "PUT", "auth/kubernetes/login", "", &body);
    assert_eq!(status, 200, "{answer}");
    answer["auth"]["client_token"].as_str().unwrap().to_owned()
}

#[test]
fn logs_in_reads_and_revokes_as_vault_does() {
    let vault = FakeVault::start();
    vault.put("secret/db", json!({ "password": "one" }));
    vault.put("secret/db", json!({ "password": "two" }));
    vault.put("kv/plain", json!({ "a": 1 }));
    let refused = ask(&vault, "PUT", "auth/kubernetes/login", "", r#"{"role":"x","jwt":"y"}"#);
    assert_eq!((refused.0, &refused.2), (400, &json!({ "errors": ["invalid role name \"x\""] })));

    let token = log_in(&vault, "app");
    let mount = ask(&vault, "GET", "sys/internal/ui/mounts/secret/db", &token, "").2;
    assert_eq!(mount["data"]["options"]["version"], "2");
    let newest = ask(&vault, "GET", "secret/data/db", &token, "").2;
    assert_eq!(newest["data"]["data"]["password"], "two");
    assert_eq!(newest["data"]["metadata"]["version"], 2);
    let first = ask(&vault, "GET", "secret/data/db?version=1", &token, "").2;
    assert_eq!(first["data"]["data"]["password"], "one");
    vault.delete("secret/db");
    let deleted = ask(&vault, "GET", "secret/data/db", &token, "");
    assert_eq!((deleted.0, &deleted.2["data"]["data"]), (404, &Value::Null));
    assert_eq!(ask(&vault, "GET", "kv/plain", &token, "").2["data"]["a"], 1);
    let list = ask(&vault, "GET", "secret/metadata?list=true", &token, "").2;
    assert_eq!(list["data"]["keys"], json!(["db"]));

    vault.deny("secret/data/db");
    assert_eq!(ask(&vault, "GET", "secret/data/db", &token, "").0, 403);
    let body = r#"{"paths":["secret/data/db"]}"#;
    let capabilities = ask(&vault, "PUT", "sys/capabilities-self", &token, body).2;
    assert_eq!(capabilities["data"]["secret/data/db"], json!(["deny"]));

    assert_eq!(ask(&vault, "PUT", "auth/token/revoke-self", &token, "").0, 204);
    let dead = ask(&vault, "GET", "kv/plain", &token, "");
    assert!(dead.2["errors"][0].as_str().unwrap().contains("invalid token"), "{}", dead.2);
    assert_eq!(vault.logins(), 1);
    assert!(vault.requests().iter().all(|seen| !format!("{seen:?}").contains(&token)));
}

#[test]
fn leases_end_with_their_token_and_are_renewed_up_to_a_limit() {
    let vault = FakeVault::start();
    vault.dynamic("app", 60, 30, true);
    let token = log_in(&vault, "app");
    let lease = ask(&vault, "GET", "database/creds/app", &token, "").2;
    assert_eq!(lease["lease_duration"], 60);
    let body = json!({ "lease_id": lease["lease_id"] }).to_string();
    let renewed = ask(&vault, "PUT", "sys/leases/renew", &token, &body).2;
    assert_eq!(renewed["lease_duration"], 30);
    assert_eq!(vault.live_leases().len(), 1);
    vault.revoke_all_tokens();
    assert_eq!(vault.live_leases().len(), 0);

    vault.role("short", Role { ttl: 1, uses: 2, ..Role::default() });
    let token = log_in(&vault, "short");
    assert_eq!(ask(&vault, "GET", "auth/token/lookup-self", &token, "").0, 200);
    assert_eq!(ask(&vault, "PUT", "auth/token/renew-self", &token, "").0, 200);
    assert_eq!(ask(&vault, "GET", "auth/token/lookup-self", &token, "").0, 403);
}

#[test]
fn misbehaves_as_told_and_no_longer() {
    let vault = FakeVault::start();
    let token = log_in(&vault, "app");
    vault.put("kv/a", json!({ "a": 1 }));
    vault.fault("kv/*", Fault::QUOTA, 1);
    let (status, head, body) = ask(&vault, "GET", "kv/a", &token, "");
    assert_eq!(status, 429, "{body}");
    assert!(head.contains("Retry-After: 1"), "{head}");
    vault.fault("*", Fault::SEALED, 1);
    assert_eq!(ask(&vault, "GET", "kv/a", &token, "").0, 503);
    vault.fault("kv/a", Fault::Redirect("http://elsewhere".into()), 1);
    let (status, head, _) = ask(&vault, "GET", "kv/a?x=1", &token, "");
    assert_eq!(status, 307);
    assert!(head.contains("Location: http://elsewhere/v1/kv/a?x=1"), "{head}");
    vault.fault("kv/a", Fault::Close, 1);
    assert_eq!(ask(&vault, "GET", "kv/a", &token, "").0, 0);
    vault.fault("kv/a", Fault::CutBody, 1);
    let cut = ask(&vault, "GET", "kv/a", &token, "");
    assert_eq!((cut.0, cut.2), (200, Value::Null));
    vault.fault("kv/a", Fault::Hang, 1);
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| ask(&vault, "GET", "kv/a", &token, ""));
        assert!(vault.wait_for_count("kv/a", 6, Duration::from_secs(10)));
        vault.cut_connections();
        assert_eq!(hanging.join().unwrap().0, 0);
    });
    assert_eq!(ask(&vault, "GET", "kv/a", &token, "").0, 200);
}

#[test]
fn serves_tls_that_its_own_ca_vouches_for() {
    let vault = FakeVault::start_tls();
    let mut roots = rustls::RootCertStore::empty();
    let pem = vault.ca_pem().unwrap().as_bytes();
    roots.add(CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = vault.address().strip_prefix("https://").unwrap();
    let name = "127.0.0.1".try_into().unwrap();
    let tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = rustls::StreamOwned::new(tls, TcpStream::connect(host).unwrap());
    for _ in 0..2 {
        write!(stream, "GET /v1/sys/health HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let mut start = [0; 15];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        let mut rest = [0; 4096];
        assert!(stream.read(&mut rest).unwrap() > 0);
    }
    let connections: Vec<usize> = vault.requests().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0]);
}
