//! Whatever decodes what others wrote: configurations, manifests, replies, the state file.

use std::collections::BTreeMap;
use std::time::Duration;

use vault_injector::base::json::Json;
use vault_injector::base::time::Wall;
use vault_injector::base::{go_duration, rewrite, source, yaml};
use vault_injector::domain::format::{self, Format, tiny};
use vault_injector::domain::handover::Handover;
use vault_injector::domain::inject::{InjectConfig, Verdict, json_patch, manifest};
use vault_injector::domain::vault::{Reading, Reply, Request, SecretPath};
use vault_injector::domain::{agent_config, inject};

use super::Input;
use super::patched;

const READERS: &[fn(&str)] = &[
    configuration,
    manifests,
    reply,
    state_file,
    small_texts,
    yaml_text,
    formats,
    tiny_template,
    patch,
];

/// The first byte chooses the reader, the rest is what it reads.
pub fn check(input: &[u8]) {
    let mut input = Input(input);
    let reader = READERS[usize::from(input.byte()) % READERS.len()];
    reader(&String::from_utf8_lossy(input.0));
}

fn configuration(text: &str) {
    let document = match Json::parse(text.as_bytes()) {
        Ok(json) => json,
        Err(_) => match agent_config::parse_hcl(text) {
            Ok(document) => document,
            Err(error) => return assert!(error.line > 0 && !error.reason.is_empty()),
        },
    };
    decoded(&document);
    for setting in agent_config::without_effect(&document) {
        assert!(!setting.place.is_empty() && !setting.follows.is_empty());
    }
    let Ok(source) = agent_config::Source::parse("text", text.as_bytes()) else { return };
    let (twice, origins) = agent_config::merge(vec![source.clone(), source]);
    for error in agent_config::decode(&twice, &BTreeMap::new()).err().unwrap_or_default() {
        assert!(!origins.describe(&error).is_empty());
    }
}

fn decoded(document: &Json) {
    if let Err(errors) = agent_config::decode(document, &BTreeMap::new()) {
        assert!(!errors.is_empty(), "refused without a reason");
    }
}

fn manifests(text: &str) {
    let json = source::read_json(text);
    let is_json = json.is_ok();
    let documents = match json {
        Ok(documents) => documents,
        Err(_) => yaml::read(text).map_while(Result::ok).collect(),
    };
    let config = InjectConfig { address: "https://vault:8200".into(), ..InjectConfig::default() };
    let mut edits = Vec::new();
    for document in &documents {
        let before = document.root.to_json();
        let mut after = before.clone();
        let found = manifest::inject(&mut after, "default", &config);
        let injects = |f: &manifest::Found| f.outcome.verdict == Verdict::Inject;
        if !found.pods.iter().any(injects) {
            assert!(after == before, "changed without an injection");
        }
        let status = inject::annotations::Key::Status.to_string();
        let replaced = [status.as_str(), "shareProcessNamespace"];
        assert_eq!(patched::lost(&before, &after, &replaced), None);
        assert_in_yaml(&after);
        rewrite::rewrite(text, document, &after, &mut edits);
        for pod in found.pods {
            let denied = pod.outcome.verdict == Verdict::Deny;
            assert!(!denied || !pod.outcome.message.is_empty(), "denied without a reason");
        }
    }
    // The text says the same, and a second time changes nothing.
    let written = rewrite::apply(text, &edits);
    if is_json {
        assert_eq!(source::read_json(&written).map(|all| all.len()).ok(), Some(documents.len()));
    } else if yaml::parse(text).is_ok() {
        let read = yaml::parse(&written).unwrap_or_else(|e| panic!("broken by an injection: {e}"));
        assert_eq!(read.len(), documents.len());
    }
}

/// YAML holds the same; numbers may be written in another way.
fn assert_in_yaml(document: &Json) {
    let mut text = String::new();
    yaml::write(document, &mut text);
    let read = yaml::parse(&text).unwrap_or_else(|e| panic!("cannot read what was written: {e}"));
    let [read] = &read[..] else { panic!("{} documents of one", read.len()) };
    assert!(same(document, read), "YAML does not hold the document");
}

fn same(a: &Json, b: &Json) -> bool {
    let of = |text: &str| text.parse::<f64>().unwrap();
    match (a, b) {
        // No other reader takes what is out of range.
        (Json::Number(a), _) if of(a).is_infinite() => true,
        (Json::Number(a), Json::Number(b)) => of(a) == of(b),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && same(a, b))
        }
        _ => a == b,
    }
}

fn reply(text: &str) {
    let body = |status| Reply {
        status,
        body: text.as_bytes().to_vec().into(),
        memory_max: 1024 * 1024,
        credentials: Vec::new(),
        retry_after: None,
    };
    for status in [200, 204, 400, 403, 404, 503] {
        let request = Request::look_up_self();
        let reply = body(status);
        let errors =
            [reply.reading(&request).err(), reply.done(&request).err(), reply.auth(&request).err()];
        for error in errors.into_iter().flatten() {
            assert!(!error.to_string().is_empty());
            error.verdict();
        }
    }
    if let Ok(reading) = body(200).reading(&Request::look_up_self()) {
        reading.keys();
        for format in [Format::Env, Format::Dotenv, Format::Properties, Format::Yaml] {
            drop(format::render(&format, &reading.data));
        }
    }
}

fn state_file(text: &str) {
    let (config, now) = ("c", Wall(1_700_000_000_000));
    let Ok(handover) = Handover::decode(text.as_bytes(), config, now) else { return };
    let document = handover.encode();
    let again = Handover::decode(document.expose().as_bytes(), config, now);
    let again = again.unwrap_or_else(|e| panic!("our own state file is refused: {e}"));
    assert!(again.encode().expose() == document.expose(), "the state file does not settle");
}

fn small_texts(text: &str) {
    for parse in [go_duration::parse, go_duration::parse_vault] {
        if let Ok(duration) = parse(text) {
            assert!(duration <= Duration::from_nanos(i64::MAX.unsigned_abs()), "{text:?}");
        }
    }
    if let Ok(path) = SecretPath::parse(text) {
        assert!(!path.path().starts_with('/'), "{text:?}");
    }
    drop(SecretPath::literal(text));
    drop(Format::parse(text));
    // Ours, Kubernetes' and Vault's idea of the same text meet here.
    let object = Json::Object(BTreeMap::from([("ttl".to_owned(), Json::String(text.into()))]));
    drop(Reading::decode(&object));
}

fn yaml_text(text: &str) {
    for document in yaml::parse(text).unwrap_or_default() {
        if document == Json::Null {
            continue;
        }
        assert_in_yaml(&document);
        let json = Json::parse(document.to_text().as_bytes());
        assert!(json == Ok(document), "JSON does not come back");
    }
}

fn formats(text: &str) {
    let Ok(data) = Json::parse(text.as_bytes()) else { return };
    for format in [Format::Env, Format::Dotenv, Format::Properties] {
        drop(format::render(&format, &data));
    }
    let Ok(written) = format::render(&Format::Yaml, &data) else { return };
    let read = yaml::parse(written.expose());
    assert!(read.is_ok_and(|documents| documents.len() <= 1), "{:?}", written.expose());
}

fn tiny_template(text: &str) {
    let data = r#"{"password":"p'\"$","list":["a",{"b":1}],"map":{"k":null},"n":1.10,"t":true}"#;
    let data = Json::parse(data.as_bytes()).expect("JSON");
    let (template, data) = match text.split_once("\n---\n") {
        Some((template, own)) => (template, Json::parse(own.as_bytes()).unwrap_or(data)),
        None => (text, data),
    };
    let first = tiny::render(template, &data);
    assert!(!matches!(first, Err(tiny::TinyError::Panic)), "the engine broke off");
    let same = match (first, tiny::render(template, &data)) {
        (Ok(a), Ok(b)) => a.expose() == b.expose(),
        (Err(a), Err(b)) => a == b,
        _ => false,
    };
    assert!(same, "another output for the same template");
}

/// `{"doc":…,"patch":[…]}`
fn patch(text: &str) {
    let Ok(json) = Json::parse(text.as_bytes()) else { return };
    let (Some(doc), Some(patch)) = (json.get("doc"), json.get("patch")) else { return };
    let Ok(operations) = json_patch::parse(&patch.to_text()) else { return };
    for dialect in [json_patch::Dialect::Strict, json_patch::Dialect::Lenient] {
        let mut after = doc.clone();
        let done = json_patch::apply(&mut after, &operations, dialect);
        assert!(done.is_ok() || done.is_err_and(|e| e.index < operations.len()));
    }
}
