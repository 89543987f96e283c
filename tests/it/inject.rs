//! The webhook's decision against recorded decisions of vault-k8s, against our own rules, and against
//! nonsense.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use vault_injector::base::json::Json;
use vault_injector::domain::agent_config::{Environment, TemplateBody, decode};
use vault_injector::domain::inject::{
    AgentChoice, Answer, InjectConfig, Resources, Verdict, answer,
};

const RECORDED: &str = include_str!("../golden/injector.jsonl");
const NATIVE_IMAGE: &str = "registry.example/vault-injector:test";

/// One recorded decision.
struct Vector {
    id: String,
    profile: String,
    review: Value,
    expect: Value,
}

fn vectors() -> Vec<Vector> {
    let lines = RECORDED.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        Vector {
            id: line["id"].as_str().unwrap().into(),
            profile: line["profile"].as_str().unwrap().into(),
            review: line["request"].take(),
            expect: line["expect"].take(),
        }
    });
    lines.collect()
}

/// The settings under which the decisions were recorded.
fn profile(name: &str) -> InjectConfig {
    let given = |text: &str| Some(text.to_owned());
    let chart = InjectConfig {
        address: "http://vault.vault.svc:8200".into(),
        image: "hashicorp/vault:2.0.4".into(),
        resources: Resources {
            limits_cpu: given("500m"),
            limits_mem: given("128Mi"),
            requests_cpu: given("250m"),
            requests_mem: given("64Mi"),
            ..Resources::default()
        },
        ..InjectConfig::default()
    };
    match name {
        "chart-default" => chart,
        "all-defaults-overridden" => InjectConfig {
            address: "https://v:8200".into(),
            auth_max_backoff: "4m".into(),
            auth_min_backoff: "3s".into(),
            auth_path: "auth/jwt".into(),
            auth_type: "jwt".into(),
            ca_cert_bytes: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
            default_template: "json".into(),
            disable_idle_connections: "auto-auth".into(),
            disable_keep_alives: "caching".into(),
            max_connections_per_host: 7,
            namespace: "ns1".into(),
            proxy_address: "http://p".into(),
            resources: Resources {
                limits_ephemeral: given("2Gi"),
                requests_ephemeral: given("1Gi"),
                ..chart.resources.clone()
            },
            revoke_on_shutdown: true,
            run_as_group: "8".into(),
            run_as_user: "7".into(),
            set_security_context: false,
            static_secret_render_interval: "1m".into(),
            ..chart
        },
        other => panic!("unknown profile {other}"),
    }
}

fn native(config: InjectConfig) -> InjectConfig {
    InjectConfig { image: NATIVE_IMAGE.into(), ..config }
}

fn ask(review: &Value, config: &InjectConfig) -> Answer {
    answer(review.to_string().as_bytes(), config).unwrap()
}

fn operations(answer: &Answer) -> Vec<Value> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let Some(patch) = body["response"]["patch"].as_str() else { return Vec::new() };
    assert_eq!(body["response"]["patchType"], "JSONPatch");
    serde_json::from_slice(&STANDARD.decode(patch).unwrap()).unwrap()
}

/// The pod after the answer. Only `add` is ever written.
fn patched(review: &Value, answer: &Answer) -> Value {
    let mut pod = review["request"]["object"].clone();
    for operation in operations(answer) {
        assert_eq!(operation["op"], "add");
        let path = operation["path"].as_str().unwrap();
        let (parent, last) = path.rsplit_once('/').unwrap();
        let last = last.replace("~1", "/").replace("~0", "~");
        let value = operation["value"].clone();
        match pod.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
            Value::Array(items) if last == "-" => items.push(value),
            Value::Array(items) => items.insert(last.parse().unwrap(), value),
            Value::Object(members) => drop(members.insert(last, value)),
            other => panic!("{path} in {other}"),
        }
    }
    pod
}

fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let of = |list: &'a Value| list.as_array().into_iter().flatten();
    let mut all = of(&pod["spec"]["containers"]).chain(of(&pod["spec"]["initContainers"]));
    all.find(|c| c["name"] == name).unwrap_or_else(|| panic!("no container {name}"))
}

fn env<'a>(container: &'a Value, name: &str) -> &'a Value {
    container["env"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|e| e["name"] == name)
        .unwrap_or(&Value::Null)
}

/// The configuration that an agent gets, as text.
fn config_text(pod: &Value, name: &str) -> String {
    let value = env(container(pod, name), "VAULT_CONFIG")["value"].as_str().unwrap();
    String::from_utf8(STANDARD.decode(value).unwrap()).unwrap()
}

fn config(pod: &Value, name: &str) -> Value {
    serde_json::from_str(&config_text(pod, name)).unwrap()
}

// What may differ is normalised away: orders without meaning, empty members, our own additions.

fn names(pod: &Value, group: &str) -> Vec<String> {
    let list = pod["spec"][group].as_array().into_iter().flatten();
    list.filter_map(|c| c["name"].as_str().map(str::to_owned)).collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn normal_config(text: &str) -> Value {
    let mut config: Value = serde_json::from_slice(&STANDARD.decode(text).unwrap()).unwrap();
    config.as_object_mut().unwrap().remove("injector");
    if let Some(templates) = config.get_mut("template").and_then(Value::as_array_mut) {
        templates.sort_by_key(ToString::to_string);
    }
    config
}

fn normal_container(container: &Value, injected: bool, native: bool) -> Value {
    let mut container: Map<String, Value> = container.as_object().unwrap().clone();
    let mut variables = Map::new();
    for mut entry in container.remove("env").iter().filter_map(Value::as_array).flatten().cloned() {
        let name = entry["name"].as_str().unwrap().to_owned();
        entry.as_object_mut().unwrap().remove("name");
        if injected && name == "VAULT_CONFIG" && entry["value"].is_string() {
            entry = normal_config(entry["value"].as_str().unwrap());
        }
        variables.insert(name, entry);
    }
    container.insert("env".into(), variables.into());
    if injected && native {
        for key in ["command", "args", "lifecycle", "image"] {
            container.remove(key);
        }
    }
    if let Some(context) = container.get_mut("securityContext").and_then(Value::as_object_mut)
        && injected
        && context.get("seccompProfile") == Some(&json!({"type": "RuntimeDefault"}))
    {
        context.remove("seccompProfile");
    }
    if let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) {
        resources.retain(|_, value| !is_empty(value));
    }
    let mut mounts: Vec<Value> = Vec::new();
    for mount in container.remove("volumeMounts").iter().filter_map(Value::as_array).flatten() {
        let mut mount = mount.as_object().unwrap().clone();
        mount.retain(|_, v| !(v.is_null() || *v == json!(false) || *v == json!("")));
        if !mounts.contains(&mount.clone().into()) {
            mounts.push(mount.into());
        }
    }
    container.insert("volumeMounts".into(), mounts.into());
    container.retain(|_, value| !is_empty(value));
    container.into()
}

fn normalise(pod: &Value, original: &Value, native: bool) -> Value {
    let mut pod = pod.clone();
    pod.as_object_mut().unwrap().remove("status");
    let mut custom: BTreeMap<String, String> = BTreeMap::new();
    for group in ["containers", "initContainers"] {
        let had = names(original, group);
        let Some(list) = pod["spec"].get_mut(group).and_then(Value::as_array_mut) else { continue };
        for container in list {
            let injected = !had.iter().any(|name| container["name"] == name.as_str());
            *container = normal_container(container, injected, native);
            let Some(mounts) = container.get_mut("volumeMounts").and_then(Value::as_array_mut)
            else {
                continue;
            };
            if injected && group == "initContainers" {
                mounts.retain(|m| m["name"] != "home-sidecar");
            }
            for mount in mounts.iter_mut() {
                let name = mount["name"].as_str().unwrap().to_owned();
                if name.starts_with("vault-secrets-custom-") {
                    let path = mount["mountPath"].as_str().unwrap();
                    let known = custom.entry(name).or_insert(format!("custom:{path}"));
                    mount["name"] = known.clone().into();
                }
            }
            mounts.sort_by_key(|m| (m["mountPath"].to_string(), m["name"].to_string()));
        }
    }
    let mut volumes: Vec<Value> = Vec::new();
    for mut volume in pod["spec"]["volumes"].as_array().into_iter().flatten().cloned() {
        if let Some(name) = custom.get(volume["name"].as_str().unwrap()) {
            volume["name"] = name.clone().into();
        }
        if !volumes.contains(&volume) {
            volumes.push(volume);
        }
    }
    volumes.sort_by_key(|v| v["name"].to_string());
    pod["spec"]["volumes"] = volumes.into();
    pod
}

/// The places where two values differ.
fn differences(want: &Value, got: &Value, path: &str, into: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let (a, b) = (a.get(key), b.get(key));
                let null = Value::Null;
                differences(a.unwrap_or(&null), b.unwrap_or(&null), &format!("{path}/{key}"), into);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, &format!("{path}/{i}"), into);
            }
        }
        _ if want == got => {}
        _ => into.push(format!("  {path}: want {want}, got {got}")),
    }
}

/// What is wrong with our answer to one vector.
fn judge(vector: &Vector, config: &InjectConfig, native: bool) -> Vec<String> {
    let answer = ask(&vector.review, config);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let mut wrong = Vec::new();
    if body["apiVersion"] != vector.review["apiVersion"] || body["kind"] != "AdmissionReview" {
        wrong.push("  kind or version of the answer".to_owned());
    }
    if body["response"]["uid"] != vector.review["request"]["uid"] {
        wrong.push("  uid".to_owned());
    }
    let decision = match answer.decision.verdict {
        Verdict::Deny => "deny",
        Verdict::Inject => "inject",
        Verdict::Skip => "skip",
    };
    let message = &answer.decision.message;
    if vector.expect["decision"] != decision {
        wrong.push(format!("  want {}, got {decision}: {message}", vector.expect["decision"]));
    } else if decision == "deny" {
        assert_eq!(body["response"]["status"]["message"], message.as_str());
        let blamed = vector.expect["blames"].as_str().unwrap_or("");
        if !message.contains(blamed) {
            wrong.push(format!("  {blamed} is not in {message}"));
        }
    } else if decision == "inject" {
        let original = &vector.review["request"]["object"];
        let want = normalise(&vector.expect["pod"], original, native);
        let got = normalise(&patched(&vector.review, &answer), original, native);
        differences(&want, &got, "", &mut wrong);
        if native {
            wrong.extend(argv_faults(original, &patched(&vector.review, &answer)));
        }
    }
    wrong
}

/// Injected native containers that start a shell or do not say what to run.
fn argv_faults(original: &Value, pod: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for (group, mode) in [("initContainers", "agent-init"), ("containers", "agent-sidecar")] {
        let had = names(original, group);
        for container in pod["spec"][group].as_array().into_iter().flatten() {
            if had.iter().any(|name| container["name"] == name.as_str()) {
                continue;
            }
            let words = [&container["command"], &container["args"]];
            let mut words = words.iter().filter_map(|list| list.as_array()).flatten();
            if !words.any(|word| word == mode) || container["command"][0] == "/bin/sh" {
                wrong.push(format!("  argv of {}", container["name"]));
            }
        }
    }
    wrong
}

fn judge_all(native_flavor: bool) {
    let mut failed = Vec::new();
    let mut count = 0;
    for vector in vectors() {
        let notes = &vector.review["request"]["object"]["metadata"]["annotations"];
        if native_flavor && notes.get("vault.hashicorp.com/agent-image").is_some() {
            continue;
        }
        let config = profile(&vector.profile);
        let config = if native_flavor { native(config) } else { config };
        let wrong = judge(&vector, &config, native_flavor);
        count += 1;
        if !wrong.is_empty() {
            failed.push(format!("{}\n{}", vector.id, wrong.join("\n")));
        }
    }
    assert!(failed.is_empty(), "{} of {count}:\n{}", failed.len(), failed.join("\n"));
    assert!(count > 200, "{count} vectors");
}

#[test]
fn decides_as_recorded_for_the_vault_agent() {
    judge_all(false);
}

#[test]
fn decides_as_recorded_for_the_native_agent() {
    judge_all(true);
}

/// One line of data: a worked example or a rule.
fn rows(text: &str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

/// A review of the usual pod with exactly these annotations, beside `agent-inject`.
fn review_of(annotations: &Value) -> Value {
    static USUAL: LazyLock<Value> = LazyLock::new(|| vectors().swap_remove(0).review);
    let mut review = USUAL.clone();
    let mut notes = json!({"vault.hashicorp.com/agent-inject": "true"});
    for (key, value) in annotations.as_object().unwrap() {
        if !value.is_null() {
            notes[format!("vault.hashicorp.com/{key}")] = value.clone();
        }
    }
    review["request"]["object"]["metadata"]["annotations"] = notes;
    review
}

#[test]
fn writes_the_worked_examples_byte_for_byte() {
    let mut count = 0;
    for row in rows(include_str!("../golden/inject-examples.jsonl")) {
        let review = review_of(&row["annotations"]);
        let answer = ask(&review, &profile("chart-default"));
        assert_eq!(answer.decision.verdict, Verdict::Inject, "{}", answer.decision.message);
        let pod = patched(&review, &answer);
        let text = config_text(&pod, row["container"].as_str().unwrap());
        assert_eq!(text, row["config"].as_str().unwrap(), "{}", row["id"]);
        count += 1;
    }
    assert_eq!(count, 7);
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    let into = into.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            into.remove(key);
        } else {
            merge(into.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn rule_config(row: &Value) -> InjectConfig {
    let mut config = profile("chart-default");
    for (key, value) in row.get("config").and_then(Value::as_object).into_iter().flatten() {
        match key.as_str() {
            "address" => config.address = value.as_str().unwrap().into(),
            "agent" => config.agent = AgentChoice::Vault,
            "auth_path" => config.auth_path = value.as_str().unwrap().into(),
            "image" => config.image = value.as_str().unwrap().into(),
            "lease_renewal_threshold" => config.lease_renewal_threshold = value.as_f64().unwrap(),
            "proxy_address" => config.proxy_address = value.as_str().unwrap().into(),
            "resources" => config.resources = rule_resources(value),
            "run_as_user" => config.run_as_user = value.as_str().unwrap().into(),
            "set_security_context" => config.set_security_context = value.as_bool().unwrap(),
            other => panic!("unknown setting {other}"),
        }
    }
    config
}

/// The resources that a rule names, and no others.
fn rule_resources(value: &Value) -> Resources {
    let given = |name: &str| value[name].as_str().map(str::to_owned);
    Resources {
        limits_cpu: given("limits_cpu"),
        limits_ephemeral: given("limits_ephemeral"),
        limits_mem: given("limits_mem"),
        requests_cpu: given("requests_cpu"),
        requests_ephemeral: given("requests_ephemeral"),
        requests_mem: given("requests_mem"),
    }
}

/// What a rule may look into: the pod afterwards and the configurations of its agents.
fn view(review: &Value, answer: &Answer) -> Value {
    let pod = patched(review, answer);
    let mut view = json!({});
    for (key, name) in [("init", "vault-agent-init"), ("sidecar", "vault-agent")] {
        let all = names(&pod, "containers").into_iter().chain(names(&pod, "initContainers"));
        if all.into_iter().any(|n| n == name)
            && !env(container(&pod, name), "VAULT_CONFIG").is_null()
        {
            view[key] = config(&pod, name);
        }
    }
    view["pod"] = pod;
    view
}

fn check_rule(row: &Value) -> Vec<String> {
    let mut annotations = json!({"role": "app"});
    for (key, value) in row["annotations"].as_object().unwrap() {
        annotations[key] = value.clone();
    }
    let mut review = review_of(&annotations);
    merge(&mut review["request"]["object"], row.get("pod").unwrap_or(&json!({})));
    merge(&mut review["request"], row.get("request").unwrap_or(&json!({})));
    let answer = ask(&review, &rule_config(row));
    let decision = &answer.decision;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        body["response"].get("patch").is_some(),
        body["response"].get("patchType").is_some()
    );
    let verdict = body["response"]["auditAnnotations"]["decision"].as_str().unwrap();
    let mut wrong = Vec::new();
    if row["want"] != verdict {
        wrong.push(format!("want {}, got {verdict}: {}", row["want"], decision.message));
        return wrong;
    }
    let list = |key: &str| {
        let list = row.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        list.into_iter().map(|v| v.as_str().unwrap().to_owned())
    };
    for part in list("says").filter(|part| !decision.message.contains(part)) {
        wrong.push(format!("{part} is not in: {}", decision.message));
    }
    for part in list("hides").filter(|part| decision.message.contains(part)) {
        wrong.push(format!("{part} is in: {}", decision.message));
    }
    for part in list("warns").filter(|p| !decision.warnings.iter().any(|w| w.contains(p))) {
        wrong.push(format!("{part} is not in: {:?}", decision.warnings));
    }
    for part in list("silent") {
        let told = decision.warnings.iter().filter(|w| w.contains(&part));
        wrong.extend(told.map(|warning| format!("{part} is in: {warning}")));
    }
    // API servers cut longer ones, and kubectl shows a warning on one line.
    let shown = |w: &&String| w.chars().count() > 256 || w.ends_with('…') || w.contains('\n');
    wrong.extend(decision.warnings.iter().filter(shown).map(|w| format!("too long: {w}")));
    assert_eq!(
        body["response"]["warnings"].as_array().map_or(0, Vec::len),
        decision.warnings.len()
    );
    if let Some(has) = row.get("has").and_then(Value::as_object) {
        let view = view(&review, &answer);
        for (pointer, want) in has {
            let got = view.pointer(pointer).unwrap_or(&Value::Null);
            if got != want {
                wrong.push(format!("{pointer}: want {want}, got {got}"));
            }
        }
    }
    wrong
}

#[test]
fn follows_our_own_rules() {
    let mut failed = Vec::new();
    let mut count = 0;
    for row in rows(include_str!("../golden/inject-rules.jsonl")) {
        count += 1;
        failed.extend(check_rule(&row).into_iter().map(|wrong| format!("{}: {wrong}", row["id"])));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(count > 100, "{count} rules");
}

#[test]
fn bodies_that_are_no_review_are_refused() {
    let review = review_of(&json!({"role": "app"}));
    let mut other_kind = review.clone();
    other_kind["kind"] = "Pod".into();
    let mut other_version = review.clone();
    other_version["apiVersion"] = "admission.k8s.io/v2".into();
    let mut wrong_type = review.clone();
    wrong_type["request"]["uid"] = "hunter2".into();
    wrong_type["request"]["namespace"] = json!(["hunter2"]);
    let bodies = [
        String::new(),
        "{}".into(),
        "null".into(),
        "[]".into(),
        "not JSON".into(),
        r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#.into(),
        r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}"#.into(),
        review["request"]["object"].to_string(),
        format!("{review}x"),
        other_kind.to_string(),
        other_version.to_string(),
        wrong_type.to_string(),
    ];
    for body in bodies {
        let error = answer(body.as_bytes(), &profile("chart-default")).unwrap_err();
        assert!(!error.message.is_empty() && !error.message.contains("hunter2"), "{error}");
    }
    assert!(answer(b"\xff\xfe{}", &profile("chart-default")).is_err());
}

#[test]
fn the_older_version_of_reviews_is_echoed() {
    let mut review = review_of(&json!({"role": "app"}));
    review["apiVersion"] = "admission.k8s.io/v1beta1".into();
    let body: Value =
        serde_json::from_slice(&ask(&review, &profile("chart-default")).body).unwrap();
    assert_eq!(body["apiVersion"], "admission.k8s.io/v1beta1");
}

/// Numbers without a pattern, the same in every run.
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// Replaces one value somewhere inside.
fn mutate(value: &mut Value, random: &mut Xorshift) {
    let deeper = random.below(8) > 0;
    match value {
        Value::Object(members) if deeper && !members.is_empty() => {
            let at = random.below(members.len());
            mutate(members.values_mut().nth(at).unwrap(), random);
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let at = random.below(items.len());
            mutate(&mut items[at], random);
        }
        other => {
            *other = match random.below(12) {
                0 => Value::Null,
                1 => json!(true),
                2 => json!(-1),
                3 => json!(1e300),
                4 => json!([]),
                5 => json!({}),
                6 => json!([null]),
                7 => json!({"name": null, "": [{}]}),
                8 => json!("\u{0}\u{2028}\"\\<&>../../é"),
                9 => json!("x".repeat(300)),
                10 => json!("[{\"op\":\"copy\",\"from\":\"\",\"path\":\"/env/-1\"}]"),
                _ => json!("99999999999999999999Ei"),
            }
        }
    }
}

#[test]
fn nonsense_gets_the_same_answer_twice_and_never_a_panic() {
    let mut random = Xorshift(0x9E37_79B9_7F4A_7C15);
    let configs = [profile("chart-default"), native(profile("all-defaults-overridden"))];
    let mut verdicts = BTreeMap::new();
    for vector in vectors() {
        for round in 0..12 {
            let mut review = vector.review.clone();
            for _ in 0..=random.below(3) {
                mutate(&mut review, &mut random);
            }
            let mut body = review.to_string().into_bytes();
            if round == 0 {
                let at = random.below(body.len());
                body[at] = u8::try_from(random.below(256)).unwrap();
            }
            let config = &configs[random.below(2)];
            let (first, second) = (answer(&body, config), answer(&body, config));
            let (Ok(first), Ok(second)) = (first, second) else {
                *verdicts.entry("refuse").or_insert(0) += 1;
                continue;
            };
            assert_eq!(first.body, second.body, "{}", vector.id);
            let parsed: Value = serde_json::from_slice(&first.body).unwrap();
            let verdict = match first.decision.verdict {
                Verdict::Deny => "deny",
                Verdict::Inject => "inject",
                Verdict::Skip => "skip",
            };
            assert_eq!(parsed["response"]["allowed"], verdict != "deny");
            // What is injected must also apply.
            if let Ok(Value::Object(review)) = serde_json::from_slice(&body)
                && verdict == "inject"
            {
                patched(&review.into(), &first);
            }
            *verdicts.entry(verdict).or_insert(0) += 1;
        }
    }
    assert_eq!(verdicts.len(), 4, "{verdicts:?}");
}

fn many_notes(count: usize, note: impl Fn(usize) -> (String, String)) -> Value {
    let mut notes = json!({"role": "app"});
    for (key, value) in (0..count).map(note) {
        notes[key] = value.into();
    }
    review_of(&notes)
}

#[test]
fn large_and_deep_bodies_are_bounded() {
    let config = profile("chart-default");
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let text = "x".repeat(10 << 20);
    let mut review = review_of(&json!({"role": "app", "agent-limits-cpu": text}));
    let answered = ask(&review, &config);
    assert_eq!(answered.decision.verdict, Verdict::Deny);
    assert!(answered.decision.message.len() < 1000);
    review = review_of(&json!({"role": "app", "agent-json-patch": deep}));
    assert_eq!(ask(&review, &config).decision.verdict, Verdict::Deny);
    let envelope = |object: &str| {
        format!(
            "{{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"request\":{{\"uid\":\"u\",\"namespace\":\"n\",\"object\":{object}}}}}"
        )
    };
    for object in [
        format!("{{\"metadata\":{deep}}}"),
        deep.clone(),
        "{\"metadata\":{\"annotations\":{},\"annotations\":{}}}".to_owned(),
        format!(
            "{{\"spec\":{{\"containers\":[{{\"securityContext\":{{\"runAsUser\":{}}}}}]}}}}",
            "9".repeat(5000)
        ),
    ] {
        let answered = answer(envelope(&object).as_bytes(), &config).unwrap();
        assert_eq!(answered.decision.verdict, Verdict::Deny, "{}", answered.decision.message);
    }
    for many in [
        many_notes(100_000, |i| (format!("agent-inject-secret-{i}"), "x".into())),
        many_notes(100_000, |i| (format!("unknown-{}", i * 7919 % 100_000), "x".into())),
        many_notes(50_000, |i| (format!("preserve-secret-case-{i}"), "x".into())),
        many_notes(1_000, |i| (format!("secret-volume-path-{i}"), format!("/v/{i}"))),
        many_notes(1, |_| ("agent-inject-containers".into(), "a,".repeat(2_000_000))),
        many_notes(1, |_| ("agent-telemetry-x".into(), "[".repeat(2_000_000))),
    ] {
        let answered = ask(&many, &config);
        assert!(answered.decision.message.len() < 10_000);
        assert!(answered.decision.warnings.len() <= 21);
    }
    let containers = vec![json!({"name": "c"}); 100_000];
    review = review_of(&json!({"role": "app", "agent-inject-containers": "c,d"}));
    review["request"]["object"]["spec"]["containers"] = containers.into();
    assert_eq!(ask(&review, &config).decision.verdict, Verdict::Deny);
    // Of an annotation that stands twice, the last value counts.
    let twice = r#"{"metadata":{"annotations":{"vault.hashicorp.com/agent-inject":"true","vault.hashicorp.com/agent-inject":"false"}}}"#;
    let answered = answer(envelope(twice).as_bytes(), &config).unwrap();
    assert_eq!(answered.decision.verdict, Verdict::Skip);
}

#[test]
fn small_reviews_make_no_huge_answers() {
    let config = profile("chart-default");
    let denied = |review: &Value, part: &str| {
        let answered = ask(review, &config);
        let decision = answered.decision;
        assert_eq!(decision.verdict, Verdict::Deny, "{part}: {}", decision.message);
        assert!(decision.message.contains(part), "{part}: {}", decision.message);
        assert!(decision.message.len() < 10_000 && answered.body.len() < 40_000);
    };
    // What one annotation says comes back with every file, every container, every mount.
    let mut review = many_notes(1000, |i| (format!("agent-inject-secret-{i}"), "x".into()));
    let notes = &mut review["request"]["object"]["metadata"]["annotations"];
    notes["vault.hashicorp.com/secret-volume-path"] = format!("/{}", "x".repeat(200_000)).into();
    denied(&review, "vault.hashicorp.com/secret-volume-path: longer than 4096 bytes");
    let path = format!("/{}", "x".repeat(4000));
    let mut review = review_of(&json!({"role": "app", "secret-volume-path": path}));
    review["request"]["object"]["spec"]["containers"] = vec![json!({"name": "c"}); 1000].into();
    denied(&review, "spec.containers: 1000 of them");
    let mut review = review_of(&json!({"role": "app", "agent-copy-volume-mounts": "c"}));
    let mounts: Vec<Value> =
        (0..20_000).map(|i| json!({"name": "d", "mountPath": format!("/{i}/{path}")})).collect();
    review["request"]["object"]["spec"]["containers"] =
        json!([{"name": "c", "volumeMounts": mounts[..500]}]);
    denied(&review, "the agents' containers: ");
    let review = review_of(&json!({"role": "app", "agent-image": "x".repeat(256 * 1024)}));
    denied(&review, "metadata.annotations: 262");
}

#[test]
fn what_is_compared_and_compiled_takes_no_time() {
    let config = native(profile("chart-default"));
    let names: Vec<String> = (0..60).map(|i| format!("{}{i:03}", "n".repeat(60))).collect();
    let many = |count: usize, key: &dyn Fn(usize) -> String, value: &str| {
        many_notes(count, |i| (key(i), value.to_owned()))
    };
    let template = |i| format!("agent-inject-template-{i}");
    let mut foreign = review_of(&json!({"role": "app"}));
    let notes = foreign["request"]["object"]["metadata"]["annotations"].as_object_mut().unwrap();
    for i in 0..4_000 {
        notes
            .insert(format!("vault.hashicorp.{:03}/agent-inject-secret-{i}", i % 1000), "x".into());
    }
    let mut copied = many(900, &|i| format!("agent-inject-template-file-{i}"), "/m/499/x");
    let mounts: Vec<Value> =
        (0..500).map(|i| json!({"name": "d", "mountPath": format!("/m/{i}")})).collect();
    copied["request"]["object"]["spec"]["containers"] =
        json!([{"name": "c", "volumeMounts": mounts}]);
    copied["request"]["object"]["metadata"]["annotations"]["vault.hashicorp.com/agent-copy-volume-mounts"] =
        "c".into();
    let mut chosen =
        review_of(&json!({"role": "app", "agent-inject-containers": names.join("x,")}));
    chosen["request"]["object"]["spec"]["containers"] =
        names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>().into();
    let mut readers = many(900, &|i| format!("agent-inject-perms-{i}"), "0444");
    for i in 0..900 {
        readers["request"]["object"]["metadata"]["annotations"]
            [format!("vault.hashicorp.com/agent-inject-secret-{i}")] = "x".into();
    }
    readers["request"]["object"]["spec"]["containers"] =
        vec![json!({"name": "c", "securityContext": {"runAsUser": 5}}); 1000].into();
    let mut folders = many(900, &|i| format!("agent-inject-secret-{i}"), "x");
    for i in 0..900 {
        folders["request"]["object"]["metadata"]["annotations"]
            [format!("vault.hashicorp.com/secret-volume-path-{i}")] =
            format!("/v/{}{i}", "./".repeat(50)).into();
    }
    let mut patched_mounts = review_of(&json!({
        "role": "app",
        "agent-copy-volume-mounts": "c",
        "agent-json-patch": r#"[{"op":"add","path":"/tty","value":true}]"#,
    }));
    let mounts: Vec<Value> = (0..12_000)
        .map(|i| json!({"name": format!("v{i}"), "mountPath": format!("/m/{i}")}))
        .collect();
    patched_mounts["request"]["object"]["spec"]["containers"] =
        json!([{"name": "c", "volumeMounts": mounts}]);
    for (name, review) in [
        ("templates without functions", many(900, &template, "{{ nosuchfunction }}")),
        ("a template of many actions", many(1, &template, &"{{1}}".repeat(50_000))),
        ("a template of many variables", many(1, &template, &"{{$a:=1}}".repeat(20_000))),
        ("a deep template", many(1, &template, &"{{if 1}}".repeat(20_000))),
        ("a deep pipe", many(1, &template, &format!("{{{{{}", "(".repeat(200_000)))),
        ("texts without an end", many(900, &template, &"{{`".repeat(50))),
        ("unknown keys", many(900, &|i| format!("agent-inject-secre-{i:0>150}"), "x")),
        ("foreign prefixes", foreign),
        ("copied mounts", copied),
        ("chosen containers", chosen),
        ("readers", readers),
        ("patched mounts", patched_mounts),
        ("volumes of their own", folders),
        ("commands", many(900, &|i| format!("agent-inject-command-{i}"), "[\"/a\"]")),
    ] {
        let since = std::time::Instant::now();
        let answered = ask(&review, &config);
        let took = since.elapsed();
        // Milliseconds in a release; this is for what grows with the square of something.
        assert!(took < std::time::Duration::from_secs(5), "{name}: {took:?}");
        assert!(answered.decision.warnings.len() <= 21, "{name}");
    }
}

/// The native agent's view of what the webhook wrote for one container.
fn agent_faults(pod: &Value, name: &str, faults: &mut Vec<String>) {
    let variable = env(container(pod, name), "VAULT_CONFIG");
    if !variable["value"].is_string() {
        return;
    }
    let document = Json::parse(config_text(pod, name).as_bytes()).unwrap();
    match decode(&document, &Environment::new()) {
        Ok(config) => {
            assert_eq!(config.exit_after_auth, name == "vault-agent-init");
            assert!(config.injector.state_file.is_some());
        }
        Err(errors) => faults.extend(errors.iter().map(|e| format!("{}: {}", e.place, e.reason))),
    }
}

#[test]
fn the_native_agent_reads_what_the_webhook_writes() {
    let mut faults = Vec::new();
    let mut count = 0;
    for vector in vectors() {
        let answer = ask(&vector.review, &native(profile(&vector.profile)));
        // Such pods are warned about.
        let unknown = answer.decision.warnings.iter().any(|w| w.contains("the native agent knows"));
        let notes = &vector.review["request"]["object"]["metadata"]["annotations"];
        let foreign = notes.get("vault.hashicorp.com/agent-image").is_some();
        if answer.decision.verdict != Verdict::Inject || unknown || foreign {
            continue;
        }
        let pod = patched(&vector.review, &answer);
        let injected = names(&pod, "initContainers").into_iter().chain(names(&pod, "containers"));
        for name in injected.filter(|name| name.starts_with("vault-agent")) {
            count += 1;
            agent_faults(&pod, &name, &mut faults);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 100, "{count} configurations");

    let review = review_of(&json!({
        "role": "app",
        "agent-revoke-on-shutdown": "true",
        "agent-inject-secret-a": "kv/a",
        "agent-inject-format-a": "raw:password",
        "agent-inject-perms-a": "0400",
        "agent-inject-secret-b": "kv/b",
        "agent-template-engine-b": "tinytemplate",
        "agent-inject-template-b": "{user}",
        "agent-inject-command-b": "/bin/reload",
    }));
    let pod = patched(&review, &ask(&review, &native(profile("chart-default"))));
    let document = Json::parse(config_text(&pod, "vault-agent").as_bytes()).unwrap();
    let config = decode(&document, &Environment::new()).unwrap();
    assert_eq!(config.injector.revoke_on_shutdown, Some(std::time::Duration::from_secs(5)));
    let [a, b] = &config.templates[..] else { panic!("{} templates", config.templates.len()) };
    assert!(
        matches!(&a.body, TemplateBody::Format { secret, format } if secret == "kv/a" && format == "raw:password")
    );
    assert_eq!(a.perms, Some(0o400));
    assert!(
        matches!(&b.body, TemplateBody::Tiny { secret, contents } if secret == "kv/b" && contents == "{user}")
    );
    assert_eq!(b.command.as_ref().unwrap().words, ["/bin/reload"]);
}

/// The message of a denial, or nothing.
fn denial(annotations: &Value, config: &InjectConfig) -> String {
    let answer = ask(&review_of(annotations), config);
    if answer.decision.verdict == Verdict::Deny { answer.decision.message } else { String::new() }
}

#[test]
fn what_would_be_refused_after_us_is_refused_with_its_annotation() {
    let base = json!({"role": "app", "agent-inject-secret-db": "secret/db"});
    let chart = profile("chart-default");
    for (both, key, value, beside) in [
        (true, "secret-volume-path", json!("/home/vault"), Value::Null),
        (true, "secret-volume-path-db", json!("/home//vault/"), Value::Null),
        (true, "secret-volume-path-db", json!("/x/../home/vault"), Value::Null),
        (false, "secret-volume-path", json!("/home/vault-sidecar"), Value::Null),
        (true, "secret-volume-path", json!("/vault/tls"), json!({"tls-secret": "t"})),
        (true, "secret-volume-path-db", json!("/vault/custom"), json!({"agent-extra-secret": "t"})),
        (true, "secret-volume-path-db", json!("/vault/configs"), json!({"agent-configmap": "t"})),
        (
            true,
            "secret-volume-path",
            json!("/vault/agent-cache"),
            json!({"agent-cache-enable": "true"}),
        ),
        (true, "agent-run-as-user", json!("2147483648"), Value::Null),
        (true, "agent-run-as-group", json!("4294967296"), Value::Null),
        (true, "go-max-procs", json!("1\u{0}"), Value::Null),
        (true, "agent-inject-file-db", json!("a\u{0}b"), Value::Null),
        (true, "agent-inject-file-db", json!("n".repeat(256)), Value::Null),
        (true, "agent-inject-file-db", json!("d/".repeat(2100)), Value::Null),
        (true, "agent-image", json!("https://registry.example/vault"), Value::Null),
        (false, "tls-server-name", json!("vault:8200"), Value::Null),
        (false, "tls-server-name", json!(" "), Value::Null),
        (false, "template-max-connections-per-host", json!("-1"), Value::Null),
        (false, "template-max-connections-per-host", json!("99999999999"), Value::Null),
    ] {
        let mut annotations = base.clone();
        for (key, value) in beside.as_object().into_iter().flatten() {
            annotations[key] = value.clone();
        }
        annotations[key] = json!(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        for (config, wanted) in [(native(chart.clone()), true), (chart.clone(), both)] {
            let message = denial(&annotations, &config);
            let named = message.contains(&format!("vault.hashicorp.com/{key}: "));
            assert_eq!(named, wanted, "{key}={value} {}: {message:?}", config.image);
        }
    }
    for (key, value) in [
        ("tls-server-name", "vault.example"),
        ("tls-server-name", "::1"),
        ("secret-volume-path", "/home/vault/secrets"),
        ("secret-volume-path", "/vault/tls"),
        ("template-max-connections-per-host", "0"),
        ("agent-run-as-user", "2147483647"),
        ("agent-json-patch", r#"[{"op":"replace","path":"/name","value":"other"}]"#),
    ] {
        let mut annotations = base.clone();
        annotations[key] = json!(value);
        assert_eq!(denial(&annotations, &native(chart.clone())), "", "{key}={value}");
    }
    let message = denial(&base, &InjectConfig { image: "a b".into(), ..chart });
    assert!(message.contains("AGENT_INJECT_VAULT_IMAGE: \"a b\" is no image"), "{message}");
}

#[test]
fn a_patch_that_makes_no_container_is_doubted() {
    let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
    for (key, path, value, wanted) in [
        ("agent-json-patch", "/name", json!("vault-agent-init"), "has its name"),
        ("agent-init-json-patch", "/name", json!("vault-agent"), "has its name"),
        ("agent-json-patch", "/name", json!(""), "its name"),
        ("agent-json-patch", "/name", json!("A_b"), "its name"),
        ("agent-json-patch", "/name", json!("other"), ""),
        ("agent-json-patch", "/image", json!(""), "no image"),
        ("agent-json-patch", "/image", json!("x"), ""),
        ("agent-json-patch", "/volumeMounts/-", mount("zz", "/zz"), "no volume \"zz\""),
        ("agent-json-patch", "/volumeMounts/-", mount("home-init", "/zz"), ""),
        ("agent-json-patch", "/volumeMounts/-", mount("home-init", "/vault/secrets"), "two mounts"),
        ("agent-json-patch", "/resources/requests/memory", json!("9Gi"), "above its limit"),
        ("agent-json-patch", "/resources/requests/memory", json!("1Mi"), ""),
    ] {
        let patch = json!([{"op": "add", "path": path, "value": value}]).to_string();
        let review = review_of(&json!({"role": "app", "agent-inject-secret-db": "a", key: patch}));
        for config in [profile("chart-default"), native(profile("chart-default"))] {
            let answer = ask(&review, &config);
            let begin = format!("vault.hashicorp.com/{key}: Kubernetes will refuse");
            let told = answer.decision.warnings.iter().find(|w| w.starts_with(&begin));
            let fits = told.map_or(wanted.is_empty(), |w| !wanted.is_empty() && w.contains(wanted));
            assert!(fits, "{patch}: {:?}", answer.decision.warnings);
        }
    }
}

#[test]
fn words_that_vaults_agent_does_not_know_are_doubted() {
    for (key, value, told) in [
        ("agent-cache-use-auto-auth-token", "maybe", true),
        ("agent-cache-use-auto-auth-token", "force", false),
        ("agent-cache-use-auto-auth-token", "False", false),
        ("go-max-procs", "all", true),
        ("go-max-procs", "0", true),
        ("go-max-procs", "2", false),
    ] {
        let annotations = json!({"role": "app", "agent-cache-enable": "true", key: value});
        let answer = ask(&review_of(&annotations), &profile("chart-default"));
        let begin = format!("vault.hashicorp.com/{key}: ");
        let found = answer.decision.warnings.iter().any(|w| w.starts_with(&begin));
        assert_eq!(found, told, "{key}={value}: {:?}", answer.decision.warnings);
    }
}

#[test]
fn annotations_against_each_other_are_doubted() {
    let own = NATIVE_IMAGE;
    for (annotations, told) in [
        (json!({"agent-flavor": "vault", "agent-image": own}), "agent-flavor: vault, and"),
        (json!({"agent-flavor": "vault"}), "agent-flavor: vault, and"),
        (json!({"agent-flavor": "vault", "agent-image": "hashicorp/vault:1.19"}), ""),
        (json!({"agent-flavor": "vault", "agent-image": "mirror.example/agents:1"}), ""),
        (
            json!({"agent-flavor": "native", "agent-image": "a/vault@sha256:00"}),
            "agent-flavor: native, and",
        ),
        (json!({"agent-flavor": "native", "agent-image": "mirror.example/agents:1"}), ""),
        (json!({"agent-inject-containers": ""}), "agent-inject-containers: names no"),
        (json!({"agent-inject-containers": " , "}), "agent-inject-containers: names no"),
        (
            json!({"agent-inject-template-a": "x", "agent-inject-template-file-a": "/vault/custom/x", "agent-extra-secret": "x"}),
            "agent-inject-template-file-a: without effect",
        ),
    ] {
        let mut annotations = annotations;
        annotations["role"] = json!("app");
        let answer = ask(&review_of(&annotations), &native(profile("chart-default")));
        let warnings: Vec<&String> = answer
            .decision
            .warnings
            .iter()
            .filter(|w| {
                [": names no", ", and the image", ": without effect beside"]
                    .iter()
                    .any(|part| w.contains(part))
            })
            .collect();
        let fits = match warnings[..] {
            [] => told.is_empty(),
            [one] => !told.is_empty() && one.contains(told),
            _ => false,
        };
        assert!(fits, "{annotations}: {warnings:?}");
    }
}
