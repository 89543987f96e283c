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
    let destroyed = r#"{"data":{"data":null,"metadata":{"deletion_time":"","destroyed":true}}}"#;
    let subkeys = r#"{"data":{"subkeys":null,"metadata":{"deletion_time":"","destroyed":true}}}"#;
    let path = || "secret/data/app".to_owned();
    for status in [200, 404] {
        for (body, how) in
            [(deleted, Gone::Deleted), (destroyed, Gone::Destroyed), (subkeys, Gone::Destroyed)]
        {
            assert_eq!(read(status, body).err(), Some(VaultError::Gone { path: path(), how }));
        }
    }
    for (how, word) in [(Gone::Deleted, "is deleted"), (Gone::Destroyed, "is destroyed")] {
        let told = VaultError::Gone { path: path(), how }.to_string();
        assert!(told.contains(word) && told.contains("secret/data/app"), "{told}");
    }
    // One that is to be deleted later is still there.
    let later = r#"{"data":{"data":{"a":"b"},"metadata":{"deletion_time":"2036-01-02T03:04:05Z","destroyed":false}}}"#;
    assert!(read(200, later).is_ok());
    // What is no version of a KV 2 secret may hold such words.
    let other = r#"{"data":{"data":"x","metadata":{"destroyed":true}}}"#;
    assert!(read(200, other).is_ok());
}

#[test]
fn an_answer_without_an_envelope_is_data_as_a_whole() {
    for (body, data) in [
        (r#"{"keys":[]}"#, r#"{"keys":[]}"#),
        (r#"{"initialized":true,"sealed":false}"#, r#"{"initialized":true,"sealed":false}"#),
        // Members of the envelope that say nothing do not make one.
        (
            r#"{"a":1,"renewable":false,"lease_id":""}"#,
            r#"{"a":1,"lease_id":"","renewable":false}"#,
        ),
        (r#"{"a":1,"data":null}"#, r#"{"a":1,"data":null}"#),
        (r#"{"a":1,"request_id":"r"}"#, "null"),
        (r#"{"a":1,"data":{"b":2}}"#, r#"{"b":2}"#),
        (r#"{"a":1,"data":{}}"#, "{}"),
        (r#"{"a":1,"warnings":[]}"#, "null"),
        (r#"{"a":1,"auth":{}}"#, "null"),
        (r#"{"a":1,"Renewable":true}"#, "null"),
        ("{}", "null"),
    ] {
        assert_eq!(read(200, body).unwrap().data.to_text(), data, "{body}");
    }
    assert!(is_missing(&read(200, r#"{"errors":["x"]}"#)));
    assert!(matches!(read(200, r#"{"errors":[],"a":1}"#), Err(VaultError::Garbled { .. })));
    // The page of a proxy is no secret.
    assert!(read(404, r#"{"message":"no Route matched"}"#).is_err());
}

#[test]
fn a_namespace_that_is_not_there_is_named() {
    let request = asked().in_namespace(Some("shop/"));
    let error = reply(404, r#"{"errors":["namespace not found"]}"#).reading(&request).unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains("namespace not found: \"shop\"") && told.contains("Kubernetes"),
        "{told}"
    );
    let other = reply(404, r#"{"errors":["no handler for route"]}"#).reading(&request).unwrap_err();
    assert!(!other.to_string().contains("shop"), "{other}");
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
    let of = |asked: &str, body: &str, namespace| {
        let asked = SecretPath::parse(asked).unwrap();
        let mount = Mount::of_reading(&read(200, body).unwrap(), &asked, namespace);
        mount.map(|mount| (mount.path, mount.is_kv2)).map_err(|_text| ())
    };
    let found = |path: &str, is_kv2| Ok((path.to_owned(), is_kv2));
    let kv2 = r#"{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}"#;
    assert_eq!(of("secret/app", kv2, None), found("secret/", true));
    assert_eq!(of("secret", kv2, None), found("secret/", true));
    let no_options = r#"{"data":{"path":"secret/","type":"kv","options":null}}"#;
    assert_eq!(of("secret/app", no_options, None), found("secret/", false));
    let pki = r#"{"data":{"path":"pki/","type":"pki","options":{"version":"2"}}}"#;
    assert_eq!(of("pki/issue/app", pki, None), found("pki/", false));
    let below = r#"{"data":{"path":"team/secret/","type":"kv","options":{"version":"2"}}}"#;
    assert_eq!(of("secret/app", below, Some("team/")), found("secret/", true));
    assert_eq!(of("team/secret/app", below, Some("other/")), found("team/secret/", true));
    let same = r#"{"data":{"path":"team/","type":"kv","options":null}}"#;
    assert_eq!(of("team/app", same, Some("team/")), found("team/", false));
}

/// A login method is named without `auth/`; what is no KV engine is read as it is, whatever it is called.
#[test]
fn only_a_kv_engine_that_is_elsewhere_is_in_the_way() {
    let of = |asked: &str, body: &str| {
        let asked = SecretPath::parse(asked).unwrap();
        Mount::of_reading(&read(200, body).unwrap(), &asked, None)
    };
    for (asked, body) in [
        ("auth/token/lookup-self", r#"{"data":{"path":"token/","type":"token"}}"#),
        ("auth/cloud/dev/role/x", r#"{"data":{"path":"cloud/dev/","type":"kubernetes"}}"#),
        ("team/auth/token/lookup-self", r#"{"data":{"path":"team/token/","type":"token"}}"#),
        ("odd/x", r#"{"data":{"type":"system"}}"#),
        ("odd/x", r#"{"data":{"path":"","type":"ns_system"}}"#),
    ] {
        let mount = of(asked, body).unwrap();
        let path = SecretPath::parse(asked).unwrap();
        assert_eq!((Request::read(&path, &mount).path.as_str(), mount.is_kv2), (asked, false));
    }
    for body in [
        r#"{"data":{"path":"other/","type":"kv","options":{"version":"2"}}}"#,
        r#"{"data":{"path":"secret/app/deep/","type":"kv"}}"#,
        r#"{"data":{"path":"/","type":"kv"}}"#,
        r#"{"data":{"path":"other/"}}"#,
        r#"{"data":{"type":"kv"}}"#,
        r#"{"data":{}}"#,
    ] {
        assert!(!of("secret/app", body).unwrap_err().is_empty(), "{body}");
    }
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
