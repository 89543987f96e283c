//! What Vault and what stands before it really answer.

use super::*;
use crate::domain::vault::{Mount, SecretPath};

fn asked() -> Request {
    let mount = Mount { path: "secret/".to_owned(), is_kv2: true };
    Request::read(&SecretPath::parse("secret/app").unwrap(), &mount)
}

fn reply(status: u16, body: &str) -> Reply {
    Reply {
        status,
        body: Zeroizing::new(body.as_bytes().to_vec()),
        memory_max: 1_000_000,
        credentials: Vec::new(),
        retry_after: None,
    }
}

fn read(status: u16, body: &str) -> Result<Reading, VaultError> {
    reply(status, body).reading(&asked())
}

fn is_missing(result: &Result<Reading, VaultError>) -> bool {
    matches!(result, Err(VaultError::Missing { path }) if path == "secret/data/app")
}

fn words(status: u16, body: &str) -> Vec<String> {
    match read(status, body) {
        Err(VaultError::Refused { errors, .. }) => errors,
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_of_a_secret_keep_their_text() {
    let text = r#"{"request_id":"r","lease_id":"","renewable":false,"lease_duration":2764800,
        "data":{"n":1.10,"big":12345678901234567890},"wrap_info":null,"warnings":["w"],"auth":null}"#;
    let reading = read(200, text).unwrap();
    assert_eq!(reading.data.to_text(), r#"{"big":12345678901234567890,"n":1.10}"#);
    assert_eq!((reading.lease_duration, reading.warnings.len()), (2_764_800, 1));
    assert!(reading.auth.is_none() && reading.wrap_info.is_none());
}

#[test]
fn tells_a_missing_secret_from_a_destroyed_version() {
    assert!(is_missing(&read(404, r#"{"errors":[]}"#)));
    assert!(is_missing(&read(404, "")));
    assert!(is_missing(&read(204, "")));
    assert!(is_missing(&read(200, "\n")));
    let deleted = r#"{"data":{"data":null,"metadata":{"deletion_time":"2026-01-02T03:04:05Z","destroyed":false}}}"#;
    assert!(is_missing(&read(404, deleted)));
    let destroyed = r#"{"data":{"data":null,"metadata":{"deletion_time":"","destroyed":true}}}"#;
    let reading = read(404, destroyed).unwrap();
    assert_eq!(reading.data.get("data"), Some(&Json::Null));
}

#[test]
fn a_404_with_a_reason_keeps_it() {
    let text = r#"{"errors":["no handler for route \"kv/app\". route entry not found."]}"#;
    assert_eq!(words(404, text), ["no handler for route \"kv/app\". route entry not found."]);
}

#[test]
fn shows_the_start_of_a_foreign_error_page_on_one_line() {
    let page = format!("<html>\r\n<body>\x1b[31m502 Bad Gateway{}", "x".repeat(5000));
    let shown = words(502, &page);
    let [shown] = shown.as_slice() else { panic!("{shown:?}") };
    assert!(shown.starts_with("<html> <body> [31m502 Bad Gateway"), "{shown}");
    assert!(shown.chars().count() <= FOREIGN_CHARS_MAX + 1, "{}", shown.len());
}

#[test]
fn never_shows_what_may_be_a_secret() {
    let garbled = read(200, "hunter2 is no JSON").unwrap_err().to_string();
    assert!(garbled.contains("not JSON at line 1") && !garbled.contains("hunter2"), "{garbled}");
    assert!(words(500, r#"{"data":{"k":"hunter2"}}"#).is_empty());
    let list = read(200, r#"{"data":["hunter2"]}"#).unwrap_err().to_string();
    assert!(list.contains("not an object") && !list.contains("hunter2"), "{list}");
}

#[test]
fn a_login_without_a_token_is_an_error() {
    let auth = reply(
        200,
        r#"{"auth":{"client_token":"t","accessor":"a","policies":["p"],"metadata":{"role":"app"},"lease_duration":60,"renewable":true}}"#,
    );
    let auth = auth.auth(&asked()).unwrap();
    assert_eq!((auth.client_token.expose(), auth.lease_duration, auth.renewable), ("t", 60, true));
    assert_eq!(auth.metadata.get("role").map(String::as_str), Some("app"));
    for body in [r#"{"auth":null}"#, r#"{"auth":{"client_token":""}}"#, r#"{"data":{}}"#] {
        assert!(
            matches!(reply(200, body).auth(&asked()), Err(VaultError::Garbled { .. })),
            "{body}"
        );
    }
}

#[test]
fn a_look_up_reads_like_a_login() {
    let reading = read(
        200,
        r#"{"data":{"id":"x","ttl":3599,"renewable":true,"accessor":"a","policies":["default"],"meta":null}}"#,
    );
    let auth = reading.unwrap().looked_up(Secret::new("t"));
    assert_eq!((auth.lease_duration, auth.renewable, auth.accessor.as_str()), (3599, true, "a"));
    assert_eq!(auth.client_token.expose(), "t");
}

#[test]
fn reads_a_mount() {
    let of = |body: &str, namespace| Mount::of_reading(&read(200, body).unwrap(), namespace);
    let kv2 = r#"{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}"#;
    assert_eq!(of(kv2, None), Some(Mount { path: "secret/".to_owned(), is_kv2: true }));
    let no_options = r#"{"data":{"path":"secret/","type":"kv","options":null}}"#;
    assert_eq!(of(no_options, None).map(|m| m.is_kv2), Some(false));
    let pki = r#"{"data":{"path":"pki/","type":"pki","options":{"version":"2"}}}"#;
    assert_eq!(of(pki, None).map(|m| m.is_kv2), Some(false));
    let below = r#"{"data":{"path":"team/secret/","type":"kv","options":{"version":"2"}}}"#;
    assert_eq!(of(below, Some("team/")).map(|m| m.path).as_deref(), Some("secret/"));
    assert_eq!(of(below, Some("other/")).map(|m| m.path).as_deref(), Some("team/secret/"));
    let same = r#"{"data":{"path":"team/","type":"kv","options":null}}"#;
    assert_eq!(of(same, Some("team/")).map(|m| m.path).as_deref(), Some("team/"));
}

#[test]
fn names_the_capability_that_lacks() {
    let lacks = |held: &str, operation| {
        let body = format!(r#"{{"data":{{"secret/data/app":{held},"capabilities":{held}}}}}"#);
        missing_capabilities(&read(200, &body).unwrap(), operation)
    };
    assert_eq!(lacks(r#"["deny"]"#, Operation::Read), ["read"]);
    assert_eq!(lacks(r#"["read"]"#, Operation::List), ["list"]);
    assert_eq!(lacks(r#"["read"]"#, Operation::Write), ["update", "create"]);
    assert!(lacks(r#"["create"]"#, Operation::Write).is_empty());
    assert!(lacks(r#"["root"]"#, Operation::Read).is_empty());
}

#[test]
fn debug_of_a_reading_shows_no_content() {
    let reading =
        read(200, r#"{"data":{"k":"hunter2"},"auth":{"client_token":"hunter3"}}"#).unwrap();
    let debug = format!("{reading:?} {:?}", reading.auth);
    assert!(!debug.contains("hunter"), "{debug}");
}

#[test]
fn a_404_with_nothing_but_a_warning_is_no_answer() {
    let text = r#"{"data":null,"warnings":["Invalid path for a versioned K/V secrets engine."]}"#;
    assert_eq!(words(404, text), ["Invalid path for a versioned K/V secrets engine."]);
}

#[test]
fn a_credential_never_comes_out_of_foreign_words() {
    let token = "hvs.CANARY0001CANARY0002";
    let jwt = "eyJhbGciOiJSUzI1NiJ9.CANARY0003CANARY0004.CANARY0005";
    let logins = [
        Request::log_in_with_jwt("auth/kubernetes", "app", &Secret::new(jwt)),
        Request::log_in_with_approle(
            "auth/approle",
            &Secret::new("CANARY-role"),
            Some(&Secret::new("CANARY\"sid")),
        ),
        Request::look_up_self().with_token(Secret::new(token)),
    ];
    for request in logins {
        let credentials = request.credentials();
        assert!(!credentials.is_empty());
        let sent: Vec<_> = credentials.iter().map(|secret| secret.expose().to_owned()).collect();
        let page = "x".repeat(100);
        let bodies = [
            Json::Object(
                [("errors".to_owned(), Json::Array(vec![Json::String(sent.join(" "))]))].into(),
            )
            .to_text(),
            format!("<html>{}", sent.join(",")),
            // Cut off in the middle of a credential.
            format!("{page}{}", sent.join(" ")),
            format!(r#"{{"errors":["{}{}"]}}"#, "y".repeat(990), sent[0]),
            format!(r#"{{"warnings":["{{\"body\":{:?}}}"]}}"#, sent[0].replace('"', "")),
        ];
        for body in bodies {
            for status in [400, 403, 404, 502] {
                let mut reply = reply(status, &body);
                reply.credentials.clone_from(&credentials);
                let error = reply.reading(&request).unwrap_err();
                let text = format!("{error} {error:?} {:?}", reply.done(&request));
                assert!(!text.contains("CANARY"), "{status} {text}");
            }
        }
    }
    let role = Request::log_in_with_jwt("auth/kubernetes", "app", &Secret::new(jwt)).credentials();
    let mut reply = reply(400, r#"{"errors":["invalid role name \"app\""]}"#);
    reply.credentials = role;
    assert!(reply.reading(&asked()).unwrap_err().to_string().contains("name \"app\""));
}

#[test]
fn an_accessor_that_is_the_token_is_none() {
    for accessor in
        ["hvs.CANARY0001CANARY", "x-hvs.CANARY0001CANARY-y", "aHZzLkNBTkFSWTAwMDFDQU5BUlk="]
    {
        let body = format!(
            r#"{{"auth":{{"client_token":"hvs.CANARY0001CANARY","accessor":"{accessor}"}}}}"#
        );
        let auth = reply(200, &body).auth(&asked()).unwrap();
        assert!(
            auth.accessor.contains("[hidden]") && !auth.accessor.contains("CANARY"),
            "{}",
            auth.accessor
        );
    }
}
