//! The webhook's decision about any body.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vault_injector::base::json::Json;
use vault_injector::domain::agent_config;
use vault_injector::domain::inject::annotations::Key;
use vault_injector::domain::inject::{AgentChoice, InjectConfig, Verdict, answer};

use super::patched;

/// The body of a review, or an object that is put into one.
pub fn check(input: &[u8]) {
    let config = &configs()[input.len() % 3];
    match Json::parse(input) {
        Ok(object) if object.get("request").is_none() => decided(&object, config),
        _ => body(input, config),
    }
}

/// The decision about a body and nothing else, for who counts what it takes.
#[allow(dead_code, reason = "the tests without a fuzzer count elsewhere")]
pub fn decide_only(input: &[u8]) {
    let config = &configs()[input.len() % 3];
    drop(answer(input, config));
}

/// Settings of a cluster, of one that changes its agents later, and none at all.
fn configs() -> [InjectConfig; 3] {
    let native = InjectConfig { address: "https://vault:8200".into(), ..InjectConfig::default() };
    let vault = InjectConfig {
        agent: AgentChoice::Vault,
        image: "hashicorp/vault:2.0.4".into(),
        namespace: "ns1".into(),
        revoke_on_shutdown: true,
        ..native.clone()
    };
    [native, vault, InjectConfig::default()]
}

/// A pod about to be created.
pub fn decided(pod: &Json, config: &InjectConfig) {
    let review = format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u-1","namespace":"default","operation":"CREATE","object":{}}}}}"#,
        pod.to_text()
    );
    body(review.as_bytes(), config);
}

fn body(body: &[u8], config: &InjectConfig) {
    let answered = match answer(body, config) {
        Ok(answered) => answered,
        Err(error) => return assert!(!error.message.is_empty()),
    };
    let again = answer(body, config).expect("the same answer twice");
    assert!(again.body == answered.body, "another answer for the same review");
    let reply = Json::parse(&answered.body).expect("the answer is JSON");
    let text = |json: &Json, name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
    let response = reply.get("response").expect("a response");
    assert_eq!(text(response, "uid"), Some(answered.decision.uid.clone()));
    // Unknown fields may nest deeper than we read; what follows needs the whole review.
    let Ok(review) = Json::parse(body) else { return };
    let request = review.get("request").expect("answers are for requests");
    assert_eq!(text(response, "uid").unwrap(), text(request, "uid").unwrap_or_default());
    assert_eq!(text(&reply, "apiVersion"), text(&review, "apiVersion"));
    let allowed = response.get("allowed").and_then(Json::as_bool).expect("a verdict");
    let patch = text(response, "patch").map(|patch| STANDARD.decode(patch).expect("base64"));
    match answered.decision.verdict {
        Verdict::Deny => {
            let message = response.get("status").and_then(|status| text(status, "message"));
            assert!(!allowed && patch.is_none());
            assert!(message.is_some_and(|message| !message.is_empty()), "denied without a reason");
        }
        Verdict::Skip => assert!(allowed && patch.is_none()),
        Verdict::Inject => {
            assert!(allowed);
            let patch = Json::parse(&patch.expect("a patch")).expect("the patch is JSON");
            let pod = request.get("object").expect("a pod");
            injected(pod, &patch, &answered.decision.warnings, config);
        }
    }
}

/// Nothing is lost, nothing is injected twice, and the agents understand their configuration or the
/// warnings say that they will not.
fn injected(pod: &Json, patch: &Json, warnings: &[String], config: &InjectConfig) {
    let pod_after = patched::apply(pod, patch);
    let status = Key::Status.to_string();
    assert_eq!(patched::lost(pod, &pod_after, &[&status, "shareProcessNamespace"]), None);
    let annotations = pod_after.get("metadata").and_then(|m| m.get("annotations")).unwrap();
    assert_eq!(annotations.get(&status).and_then(Json::as_str), Some("injected"));
    // A patch of the user's may make anything of the containers.
    let [init_patch, patch] = [Key::InitJsonPatch, Key::JsonPatch].map(|key| key.to_string());
    if annotations.get(&init_patch).is_some() || annotations.get(&patch).is_some() {
        return;
    }
    let review = format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u-2","namespace":"default","object":{}}}}}"#,
        pod_after.to_text()
    );
    let again = answer(review.as_bytes(), config).expect("a review").decision;
    assert_eq!((again.verdict, again.reason), (Verdict::Skip, "already-injected"));
    let warns = |text: &String| text.contains("native agent") || text == "and more";
    if warnings.iter().any(warns) {
        return;
    }
    for list in ["containers", "initContainers"] {
        let containers = pod_after.get("spec").and_then(|spec| spec.get(list));
        let had = pod.get("spec").and_then(|spec| spec.get(list)).and_then(Json::as_array);
        let is_new = |container: &&Json| !had.is_some_and(|had| had.contains(container));
        let containers = containers.and_then(Json::as_array).unwrap_or_default();
        containers.iter().filter(is_new).for_each(understood);
    }
}

/// A container of ours comes with a configuration that our agent takes.
fn understood(container: &Json) {
    let is_agent = |word: &Json| matches!(word.as_str(), Some("agent-init" | "agent-sidecar"));
    let words = container.get("args").and_then(Json::as_array).unwrap_or_default();
    if !words.iter().any(is_agent) {
        return;
    }
    let mut env = BTreeMap::new();
    for variable in container.get("env").and_then(Json::as_array).unwrap_or_default() {
        let text = |name: &str| variable.get(name).and_then(Json::as_str).map(str::to_owned);
        if let (Some(name), Some(value)) = (text("name"), text("value")) {
            env.insert(name, value);
        }
    }
    let Some(document) = env.get("VAULT_CONFIG") else { return };
    let document = Json::parse(&STANDARD.decode(document).expect("base64")).expect("JSON");
    if let Err(errors) = agent_config::decode(&document, &env) {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("the agent refuses its configuration: {}", errors.join("; "));
    }
}
