use super::*;
use crate::base::secret::SecretBytes;

fn stored<T: Object>(text: &str) -> Stored<T> {
    Stored::decode(text.as_bytes().to_vec().into()).unwrap()
}

#[test]
fn an_update_is_the_whole_object_with_our_fields_changed() {
    let mut secret = stored::<KubeSecret>(
        r#"{"data":{"a":"QQ==","b":null},"immutable":false,"metadata":{"annotations":null,
            "generation":1.50,"name":"s","namespace":"n","resourceVersion":"7","uid":"u"},"type":"x/y"}"#,
    );
    assert!(secret.object.data["b"].expose().is_empty());
    secret.object.data = [("c\"".to_owned(), SecretBytes::new(b"C".to_vec()))].into();
    let text = secret.encode().unwrap();
    for part in [
        r#"{"apiVersion":"v1","data":{"c\"":"Qw=="},"immutable":false,"kind":"Secret","metadata":{"#,
        r#""annotations":{},"generation":1.50,"#,
        r#","name":"s","namespace":"n","#,
        r#","resourceVersion":"7","uid":"u"},"type":"x/y"}"#,
    ] {
        assert!(text.expose().contains(part), "{part} in {}", text.expose());
    }
    let new = KubeLease { metadata: Metadata::named("n", "l"), spec: LeaseSpec::default() };
    let text = encode_new(&new).unwrap();
    let start =
        r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"annotations":{},"#;
    assert!(text.expose().starts_with(start), "{}", text.expose());
    assert!(text.expose().contains(r#","holderIdentity":null,"#), "{}", text.expose());
    assert!(!text.expose().contains("uid") && !text.expose().contains("resourceVersion"));
}

#[test]
fn what_cannot_be_read_is_placed_and_not_shown() {
    let decode = |text: &str| Stored::<KubeSecret>::decode(text.as_bytes().to_vec().into());
    let metadata = r#""metadata":{"name":"s","resourceVersion":"7"}"#;
    for (text, want) in [
        ("", "not JSON at line 1 column 0"),
        ("{\"data\":\n \"hunter2\"}", "a field of another type at line 2"),
        (r#"{"data":{"k":"hunter2!"}}"#, "a field of another type at line 1"),
        (r#"{"data":{"k":["hunter2"]}}"#, "a field of another type at line 1"),
        (r#"{"kind":"Status"}"#, "not a Secret: without name or version"),
    ] {
        let error = decode(text).unwrap_err();
        assert!(error.contains(want) && !error.contains("hunter2"), "{text}: {error}");
    }
    let good = decode(&format!(r#"{{{metadata},"data":{{"k":"aHVudGVyMg=="}}}}"#)).unwrap();
    assert_eq!(good.object.data["k"].expose(), b"hunter2");
    let shown = format!("{good:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{shown}");
}

#[test]
fn times_have_six_digits_and_any_offset() {
    for (text, micros) in [
        ("2026-09-21T14:13:20.123456Z", 1_790_000_000_123_456),
        ("2026-09-21T16:13:20+02:00", 1_790_000_000_000_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
    ] {
        let time: MicroTime = serde_json::from_value(json!(text)).unwrap();
        assert_eq!(time, MicroTime(micros), "{text}");
        let again: MicroTime = serde_json::from_value(json!(time)).unwrap();
        assert_eq!(again, time, "{text}");
    }
    assert_eq!(json!(MicroTime(1_790_000_000_000_007)), json!("2026-09-21T14:13:20.000007Z"));
    assert!(serde_json::from_value::<MicroTime>(json!("yesterday")).is_err());
    assert!(serde_json::to_value(MicroTime(i64::MAX)).is_err(), "no panic");
}

#[test]
fn a_patch_tests_the_version_it_was_made_from() {
    let read = stored::<WebhookConfiguration>(
        r#"{"metadata":{"name":"c","resourceVersion":"7"},"webhooks":[
            {"name":"a","clientConfig":{"caBundle":"UEVN","url":"https://x"}},{"name":"b"}]}"#,
    );
    assert_eq!(read.object.webhooks[0].client_config.ca_bundle, b"PEM");
    assert_eq!(read.object.webhooks[1].client_config, ClientConfig::default());
    assert_eq!(
        read.object.ca_patch(&[(1, b"PEM".to_vec())]).0,
        r#"[{"op":"test","path":"/metadata/resourceVersion","value":"7"},{"op":"add","path":"/webhooks/1/clientConfig/caBundle","value":"UEVN"}]"#
    );
}
