//! What a review may become: any body of any shape takes a bounded amount of memory, and ends with a clear answer.

use std::time::{Duration, Instant};

use vault_injector::domain::inject::{AgentChoice, Answer, InjectConfig, ReviewError, answer};

use crate::support::memory;

/// The largest body that is read (`REVIEW_BYTES_MAX`).
const BODY: usize = 3 * 1024 * 1024;

/// Bytes that a decision may take beside the body.
const PEAK: usize = 12 * 1024 * 1024;

const WANTED: &str = r#""vault.hashicorp.com/agent-inject":"true","vault.hashicorp.com/role":"r","vault.hashicorp.com/auth-type":"aws","vault.hashicorp.com/agent-auth-type":"aws","vault.hashicorp.com/agent-copy-volume-mounts":"a""#;

fn config(agent: AgentChoice) -> InjectConfig {
    InjectConfig { address: "https://vault:8200".into(), agent, ..InjectConfig::default() }
}

/// A review of a pod with these annotations; `@` in `spec` is where the shape goes.
fn review(annotations: &str, metadata: &str, spec: &str) -> String {
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","namespace":"d","operation":"CREATE","object":{{"kind":"Pod","metadata":{{{metadata}"annotations":{{{annotations}}}}},"spec":{spec}}}}}}}"#
    )
}

/// `text` with as many of `item` in place of its `@` as a body holds.
fn filled(text: &str, item: &dyn Fn(usize) -> String, between: &str, bytes: usize) -> Vec<u8> {
    let (head, tail) = text.split_once('@').unwrap();
    let mut body = head.to_owned();
    for i in 0.. {
        let item = item(i);
        if body.len() + item.len() + between.len() + tail.len() > bytes {
            break;
        }
        if i > 0 {
            body.push_str(between);
        }
        body.push_str(&item);
    }
    body.push_str(tail);
    body.into_bytes()
}

/// Places of a review where a list or a map goes, and items for it.
fn shapes(bytes: usize) -> Vec<(String, Vec<u8>)> {
    let lists = [
        r#"{"containers":[@]}"#,
        r#"{"initContainers":[@],"containers":[{"name":"a"}]}"#,
        r#"{"ephemeralContainers":[@],"containers":[{"name":"a"}]}"#,
        r#"{"volumes":[@],"containers":[{"name":"a"}]}"#,
        r#"{"containers":[{"name":"a","volumeMounts":[@]}]}"#,
        r#"{"containers":[{"name":"a","env":[@]}]}"#,
        r#"{"containers":[{"name":"a","envFrom":[@]}]}"#,
        r#"{"containers":[{"name":"a","ports":[@]}]}"#,
        r#"{"containers":[{"name":"a"}],"volumes":[{"projected":{"sources":[@]}}]}"#,
        r#"{"containers":[{"name":"a"}],"volumes":[{"secret":[@]}]}"#,
        r#"{"containers":[{"name":"a"}],"unknown":[@]}"#,
        r#"{"containers":5,"unknown":[@]}"#,
        r#"{"containers":[{"name":5}],"volumes":[@]}"#,
    ];
    let items: &[(&str, &dyn Fn(usize) -> String)] = &[
        ("{}", &|_| "{}".into()),
        ("[]", &|_| "[]".into()),
        ("0", &|_| "0".into()),
        ("\"\"", &|_| "\"\"".into()),
        ("null", &|_| "null".into()),
        ("named", &|i| format!(r#"{{"name":"n{i}","mountPath":"/{i}"}}"#)),
        ("escaped", &|_| r#"{"name":"\u0061\n","mountPath":"\"/"}"#.into()),
        ("with mounts", &|_| r#"{"name":"a","volumeMounts":[{},{}],"env":[{},{}]}"#.into()),
        ("with sources", &|_| {
            r#"{"projected":{"sources":[{},{"serviceAccountToken":{}}]}}"#.into()
        }),
        ("wide", &|_| r#"{"a":{},"b":[],"c":{"d":[[]]}}"#.into()),
    ];
    let mut all = Vec::new();
    for spec in lists {
        for (name, item) in items {
            let text = review(WANTED, "", spec);
            // Where there are most of them, as many as fit; the others need not be as many to be too many.
            let most = if *name == "{}" { bytes } else { bytes / 16 };
            all.push((format!("{spec} of {name}"), filled(&text, item, ",", most)));
        }
    }
    all.extend(maps(bytes));
    all.extend(odd(bytes));
    all
}

/// Some of those that take most.
pub(crate) fn worst(bytes: usize) -> Vec<(String, Vec<u8>)> {
    let mut all = patches(bytes);
    for (spec, item) in [
        (r#"{"containers":[@]}"#, "{}"),
        (r#"{"containers":[@]}"#, r#"{"a":{},"b":[],"c":{"d":[[]]}}"#),
        (r#"{"volumes":[@],"containers":[{"name":"a"}]}"#, "{}"),
        (r#"{"containers":[{"name":"a","volumeMounts":[@]}]}"#, "{}"),
        (r#"{"containers":[{"name":"a","env":[@]}]}"#, "{}"),
        (r#"{"containers":5,"unknown":[@]}"#, "[]"),
    ] {
        let body = filled(&review(WANTED, "", spec), &|_| item.into(), ",", bytes);
        all.push((format!("{spec} of {item}"), body));
    }
    all
}

/// Maps, and lists of metadata.
fn maps(bytes: usize) -> Vec<(String, Vec<u8>)> {
    let app = r#"{"containers":[{"name":"a"}]}"#;
    let mut all = Vec::new();
    let maps = [
        ("annotations", review("@", "", app)),
        ("more annotations", review(&format!("{WANTED},@"), "", app)),
        ("labels", review(WANTED, r#""labels":{@},"#, app)),
        ("nodeSelector", review(WANTED, "", r#"{"containers":[{"name":"a"}],"nodeSelector":{@}}"#)),
        ("unknown members", review(WANTED, "", r#"{"containers":[{"name":"a"}],@}"#)),
        ("unknown members of metadata", review(WANTED, "@,", app)),
    ];
    let entries: &[(&str, &dyn Fn(usize) -> String)] = &[
        ("numbered", &|i| format!(r#""{i:x}":"""#)),
        ("the same", &|_| r#""":"""#.into()),
        ("ours", &|i| format!(r#""vault.hashicorp.com/agent-inject-secret-{i}":"x""#)),
        ("unknown ones of ours", &|i| format!(r#""vault.hashicorp.com/x{i}":"x""#)),
        ("templates", &|i| format!(r#""vault.hashicorp.com/agent-inject-template-{i}":"x""#)),
        ("volumes", &|i| {
            format!(
                r#""vault.hashicorp.com/agent-inject-secret-{i}":"x","vault.hashicorp.com/secret-volume-path-{i}":"/{i}""#
            )
        }),
    ];
    for (place, text) in maps {
        for (name, entry) in entries {
            for most in [250 * 1024, bytes / 8] {
                all.push((format!("{place}, {name}"), filled(&text, entry, ",", most)));
            }
        }
    }
    for list in ["ownerReferences", "managedFields", "finalizers"] {
        let text = review(WANTED, &format!(r#""{list}":[@],"#), app);
        all.push((list.into(), filled(&text, &|_| r#"{"a":{}}"#.into(), ",", bytes)));
    }
    all
}

/// Patches of the agents' containers.
fn patches(bytes: usize) -> Vec<(String, Vec<u8>)> {
    let app = r#"{"containers":[{"name":"a"}]}"#;
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, text: &str, item: &str, between: &str, bytes: usize| {
        all.push((name.into(), filled(text, &|_| item.into(), between, bytes)));
    };
    let one =
        |note: &str| review(&format!(r#"{WANTED},"vault.hashicorp.com/{note}":"@""#), "", app);
    for note in ["agent-json-patch", "agent-init-json-patch"] {
        for (name, patch, item) in [
            ("operations", "[@]", r#"{\"op\":\"add\",\"path\":\"/args/-\",\"value\":\"\"}"#),
            ("lists", "[@]", "[]"),
            ("values", r#"[{\"op\":\"add\",\"path\":\"/x\",\"value\":[@]}]"#, "[]"),
            ("objects", r#"[{\"op\":\"add\",\"path\":\"/env\",\"value\":[@]}]"#, "{}"),
            (
                "members",
                r#"[{\"op\":\"add\",\"path\":\"/env\",\"value\":[@]}]"#,
                r#"{\"a\":{\"b\":{}}}"#,
            ),
            ("copies", "[@]", r#"{\"op\":\"copy\",\"from\":\"/env\",\"path\":\"/env/-\"}"#),
            ("containers", r#"[{\"op\":\"add\",\"path\":\"/ports\",\"value\":[@]}]"#, "{}"),
        ] {
            add(&format!("{note}, {name}"), &one(note).replace('@', patch), item, ",", 250 * 1024);
            add(&format!("{note}, {name}"), &one(note).replace('@', patch), item, ",", bytes);
        }
        let copied = r#"[{\"op\":\"add\",\"path\":\"/x\",\"value\":[@]},{\"op\":\"copy\",\"from\":\"/x\",\"path\":\"/y\"},{\"op\":\"copy\",\"from\":\"/x\",\"path\":\"/z\"},{\"op\":\"copy\",\"from\":\"/x\",\"path\":\"/x/-\"},{\"op\":\"copy\",\"from\":\"/x\",\"path\":\"/x/-\"}]"#;
        for item in ["[]", "{}", "{\\\"a\\\":0}"] {
            add(
                &format!("{note}, copies of {item}"),
                &one(note).replace('@', copied),
                item,
                ",",
                240 * 1024,
            );
        }
    }
    all
}

/// What is not one long list.
fn odd(bytes: usize) -> Vec<(String, Vec<u8>)> {
    let app = r#"{"containers":[{"name":"a"}]}"#;
    let mut all = patches(bytes);
    let mut add = |name: &str, text: &str, item: &str, between: &str, bytes: usize| {
        all.push((name.into(), filled(text, &|_| item.into(), between, bytes)));
    };
    let one =
        |note: &str| review(&format!(r#"{WANTED},"vault.hashicorp.com/{note}":"@""#), "", app);
    add(
        "a telemetry list",
        &one("agent-telemetry-prefix_filter").replace('@', "[@]"),
        "\\\"\\\"",
        ",",
        250 * 1024,
    );
    add("chosen containers", &one("agent-inject-containers"), "a,", "", bytes);
    add("a long template", &one("agent-inject-template-a"), "\\n", "", bytes);
    add("a long path", &one("agent-inject-secret-a"), "/", "", bytes);
    add("a long name", &review(WANTED, r#""name":"@","#, app), "x", "", bytes);
    add("a long namespace", &review(WANTED, "", app).replace(r#""d""#, r#""@""#), "n", "", bytes);
    add("a long uid", &review(WANTED, "", app).replace(r#""u""#, r#""@""#), "n", "", bytes);
    add("a long key", &review("\"@\":\"\"", "", app), "x", "", bytes);
    add("a long escaped key", &review("\"@\":5", "", app), "\\n", "", bytes);
    add("spaces", "@", " ", "", bytes);
    add("brackets", "@", "[", "", bytes);
    add("braces", "@", "{\"\":", "", bytes);
    add("brackets in a pod", &review(WANTED, "\"x\":@", app), "[", "", bytes);
    add("empty objects", "[@]", "{}", ",", bytes);
    add(
        "a review and no more",
        &review(WANTED, "", app).replace("/v1\"", "/v9\",\"x\":[@]"),
        "{}",
        ",",
        bytes,
    );
    add(
        "no version",
        &review(WANTED, "", r#"{"containers":[@]}"#).replace("apiVersion", "x"),
        "{}",
        ",",
        bytes,
    );
    add(
        "cut off",
        &format!("{}@", review(WANTED, "", r#"{"containers":[{"#).trim_end_matches('}')),
        "},{",
        "",
        bytes,
    );
    all
}

fn verdict(answered: &Result<Answer, ReviewError>) -> String {
    match answered {
        Ok(answer) => format!("{:?} {}", answer.decision.verdict, answer.decision.reason),
        Err(error) => format!("400 {error}"),
    }
}

#[test]
fn any_body_takes_bounded_memory_time_and_words() {
    let native = config(AgentChoice::Native);
    let vault = config(AgentChoice::Vault);
    let mut rows = Vec::new();
    for (i, (name, body)) in shapes(BODY).into_iter().enumerate() {
        assert!(body.len() <= BODY, "{name}: {}", body.len());
        // Both flavours where that takes no time.
        let either = [&native, &vault];
        let configs = if body.len() > 400_000 { &either[i % 2..=i % 2] } else { &either[..] };
        for config in configs {
            let mut answered = None;
            let start = Instant::now();
            let taken = memory::measure(|| answered = Some(answer(&body, config)));
            let took = start.elapsed();
            let answered = answered.unwrap();
            if let Ok(answer) = &answered {
                let decision = &answer.decision;
                let words = decision.message.len()
                    + decision.warnings.iter().map(String::len).sum::<usize>();
                let names = decision.name.len() + decision.namespace.len() + decision.uid.len();
                assert!(
                    words < 20_000 && names < 500,
                    "{name}: {words} bytes of words, {names} of names"
                );
            }
            rows.push((taken.peak, took, name.clone(), verdict(&answered)));
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.0));
    let line = |(peak, took, name, verdict): &(usize, Duration, String, String)| {
        format!(
            "{:6.2} MiB {:4} ms  {name}: {verdict:.120}",
            *peak as f64 / 1048576.0,
            took.as_millis()
        )
    };
    rows.iter().take(12).for_each(|row| eprintln!("{}", line(row)));
    let slowest = rows.iter().max_by_key(|row| row.1).unwrap();
    eprintln!("slowest: {}", line(slowest));
    let over: Vec<String> = rows.iter().filter(|row| row.0 > PEAK).map(line).collect();
    assert!(over.is_empty(), "{}", over.join("\n"));
}

#[test]
fn what_no_api_server_sends_is_no_review() {
    let config = config(AgentChoice::Native);
    let good = review(WANTED, r#""name":"web-1","#, r#"{"containers":[{"name":"a"}]}"#);
    assert!(answer(good.as_bytes(), &config).is_ok());
    let long = "a".repeat(300);
    for (old, new, want) in [
        (
            r#"space":"d""#,
            format!(r#"space":"{}""#, "a".repeat(64)),
            "request.namespace is not an RFC 1123 label",
        ),
        (r#"space":"d""#, r#"space":"x\"} 1\nforged 1""#.into(), "request.namespace is not"),
        (r#"space":"d""#, r#"space":"Web""#.into(), "request.namespace is not"),
        (r#"name":"web-1""#, format!(r#"name":"{long}""#), "metadata.name is not an RFC 1123 name"),
        (r#"name":"web-1""#, r#"name":"web\n1""#.into(), "metadata.name is not"),
        (r#"name":"web-1""#, format!(r#"generateName":"{long}-""#), "metadata.generateName is not"),
        (r#"uid":"u""#, format!(r#"uid":"{long}""#), "request.uid is not"),
        (r#"uid":"u""#, r#"uid":"a b""#.into(), "request.uid is not"),
        (
            r#""request""#,
            r#""kind":"AdmissionReview","request""#.into(),
            "the body is not an AdmissionReview of",
        ),
        (r#"io/v1""#, r#"io/v2""#.into(), "the body is not an AdmissionReview of"),
        (r#"Review","#, r#"Reviews","#.into(), "the body is not an AdmissionReview of"),
        (
            r#"{"uid"#,
            format!(r#"{{"x":{}{},"uid"#, "[".repeat(10_001), "]".repeat(10_001)),
            "the body nests deeper",
        ),
    ] {
        let body = good.replacen(old, &new, 1);
        assert_ne!(body, good, "{old}");
        let error = answer(body.as_bytes(), &config).map(drop).expect_err(old);
        assert!(error.message.starts_with(want), "{want}: {}", error.message);
        assert!(error.message.len() < 200, "{}", error.message);
    }
    // A quoted bracket is none, and what is not looked at may nest as deep as Go reads it.
    for value in [
        format!("\"\\\"{}\"", "[".repeat(30_000)),
        format!("{}{}", "[".repeat(9_000), "]".repeat(9_000)),
    ] {
        let body = good.replacen(r#"{"uid"#, &format!(r#"{{"x":{value},"uid"#), 1);
        assert!(answer(body.as_bytes(), &config).is_ok(), "{value:.20}");
    }
}

#[test]
fn a_body_that_says_it_is_no_review_is_not_read_on() {
    let config = config(AgentChoice::Native);
    let spec = review(WANTED, "", r#"{"containers":[@]}"#);
    for (old, new) in [("AdmissionReview", "Pod"), ("/v1\"", "/v7\"")] {
        let body = filled(&spec.replacen(old, new, 1), &|_| "{}".into(), ",", BODY);
        let taken = memory::measure(|| drop(answer(&body, &config)));
        assert!(taken.peak < 10_000, "{new}: {} bytes", taken.peak);
    }
}

#[test]
fn too_many_of_something_is_named() {
    let config = config(AgentChoice::Native);
    for (spec, what) in [
        (r#"{"containers":[@]}"#, "containers with their mounts"),
        (r#"{"volumes":[@]}"#, "volumes with their sources"),
        (r#"{"containers":[{"volumeMounts":[@]}]}"#, "mounts in one container"),
    ] {
        let body = filled(&review(WANTED, "", spec), &|_| "{}".into(), ",", 200_000);
        let decision = answer(&body, &config).unwrap().decision;
        let want = format!("the object is not a valid Pod: more than 16384 {what}");
        assert_eq!((decision.message, decision.reason), (want, "not-decodable"));
    }
}
