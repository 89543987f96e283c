//! Every known oddity of the webhook that this one replaces, and the tests that say what happens here instead.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use vault_injector::domain::inject::{InjectConfig, decide};

use crate::support::https::{Ca, Client};
use crate::support::program::Program;
use crate::webhook::{JSON, Webhook, review};

/// An oddity, and rules of `inject-rules.jsonl`, recorded decisions or names of tests that answer it.
const QUIRKS: &[(&str, &[&str])] = &[
    // Mutation.
    (
        "order is random",
        &[
            "files in the order of their names",
            "IRSA variables are copied whole",
            "nonsense_gets_the_same_answer_twice_and_never_a_panic",
        ],
    ),
    (
        "volumes are lost where there are none",
        &["no volumes", "empty volumes", "no mounts in a container"],
    ),
    ("init-first rewrites all init containers", &["init first", "init first renamed"]),
    (
        "chosen containers are not trimmed",
        &["containers are trimmed", "init containers see the secrets whatever is chosen"],
    ),
    (
        "an empty user is root",
        &["empty user and group", "negative user", "negative group", "huge user"],
    ),
    (
        "a shared process namespace is ignored",
        &["process namespace without init", "validate/share-pid-explicit-false#0"],
    ),
    ("marked as injected without any agent", &["neither container"]),
    (
        "collisions are not noticed",
        &[
            "nothing is mounted twice",
            "a volume of our name",
            "a mount at our path",
            "the volume path is a mount of the pod",
            "a container of the sidecar's name",
            "an agent of before gets no secrets",
            "a copied mount where the agents have one",
        ],
    ),
    (
        "the token is guessed by its path and always needed",
        &[
            "a projected token before a likely path",
            "a likely path alone",
            "no token",
            "a login that needs no token",
        ],
    ),
    (
        "the lease threshold is dropped",
        &["lease threshold of the process", "lease threshold of the pod"],
    ),
    ("the persistent cache looks for the usual token", &["no token, persistent cache"]),
    (
        "identities of AWS are copied in part",
        &[
            "IRSA variables are copied whole",
            "IRSA region by annotation, once",
            "a pod identity of EKS",
        ],
    ),
    (
        "the same user is that of the first container only",
        &[
            "same user of the pod",
            "same user of the container before the pod's",
            "same user is root by the pod",
            "same user of nobody",
        ],
    ),
    (
        "agents break the restricted standard",
        &["native agents keep to the restricted standard", "json-patch/seccomp#0"],
    ),
    (
        "memory volumes have no limit",
        &[
            "memory volumes without a limit",
            "memory volumes with a limit",
            "memory volumes with a limit that is none",
        ],
    ),
    (
        "a large configuration keeps the pod from starting",
        &["a_configuration_too_large_for_a_variable_is_denied"],
    ),
    (
        "agents need a shell",
        &[
            "decides_as_recorded_for_the_native_agent",
            "native sidecar alone",
            "native revokes in the sidecar only",
        ],
    ),
    (
        "commands run before there is an app",
        &[
            "commands run in both agents",
            "commands run where the app is",
            "commands of formats run where the app is",
        ],
    ),
    (
        "default templates know nothing of KV 2",
        &["the default template keeps its text", "format env", "format yaml"],
    ),
    (
        "default templates with other delimiters are printed",
        &["delimiters of a default template", "delimiters of a default json template"],
    ),
    (
        "files leave their volume",
        &[
            "file leaves its volume",
            "file leaves its volume by a side door",
            "slashes make no volume",
        ],
    ),
    (
        "names that differ in case share a file",
        &["two names, one file", "flags of a secret in another case", "template in the wrong case"],
    ),
    ("file-NAME is a name or a file", &["file and secret by one suffix"]),
    (
        "one wrong telemetry value drops them all",
        &["telemetry text as number", "telemetry flag as word", "telemetry bare list"],
    ),
    (
        "preserve-secret-case takes anything",
        &["preserve case invalid", "preserve case of one invalid"],
    ),
    (
        "JSON patches have a dialect of their own",
        &[
            "json-patch-dialect/00#0",
            "json-patch-dialect/16#0",
            "json-patch/replace-absent-member#0",
        ],
    ),
    (
        "no native sidecars",
        &[
            "native sidecar",
            "native sidecar before the pod's init containers",
            "native sidecar first of all",
            "native sidecar patched",
            "native sidecar is injected already",
        ],
    ),
    (
        "an exported pod stays without agent",
        &["injected without agent", "injected with agent", "injected with a renamed agent"],
    ),
    (
        "pods for Windows get agents for Linux",
        &["Windows by selector", "Windows by name", "Linux by selector"],
    ),
    ("decisions leave no trace on the request", &["every_answer_says_what_was_decided"]),
    // Requests.
    (
        "a body without request is a panic",
        &[
            "bodies_that_are_no_review_are_refused",
            "answers_each_path_method_and_body_with_its_status",
        ],
    ),
    ("content types are compared letter by letter", &["json_may_have_parameters"]),
    (
        "any kind, version and operation is taken",
        &[
            "update",
            "delete without object",
            "create without object",
            "subresource",
            "other resource",
            "another kind in the object",
            "bodies_that_are_no_review_are_refused",
        ],
    ),
    ("answers are text/plain", &["answers_each_path_method_and_body_with_its_status"]),
    ("denials are not logged", &["writes_one_line_per_decision_and_never_the_body"]),
    ("errors do not name their annotation", &["all mistakes at once"]),
    (
        "system namespaces",
        &[
            "gate/ns-'kube-system'#0",
            "gate/ns-'kube-public'#0",
            "gate/ns-'kube-node-lease'#0",
            "a system namespace and no annotation",
        ],
    ),
    (
        "no limits and no timeouts",
        &[
            "cuts_off_slow_headers_and_bodies_but_no_idle_connection",
            "slow_bodies_keep_nobody_waiting",
            "headers_are_bounded",
            "a_body_without_length_is_bounded_too",
        ],
    ),
    (
        "errors are not counted and times are cut to milliseconds",
        &[
            "counts_what_it_does",
            "keeps_the_names_labels_and_buckets_of_vault_k8s",
            "every_line_is_what_prometheus_reads",
        ],
    ),
    ("absent webhooks go unnoticed", &["operations_tell_how_to_find_pods_that_slipped_through"]),
    // The process.
    (
        "SIGTERM cuts requests off",
        &[
            "a_rolling_restart_loses_no_review",
            "a_request_in_flight_survives_sigterm",
            "connections_that_wait_to_be_accepted_at_the_end_are_served",
        ],
    ),
    ("SIGHUP ends the process", &["a_hangup_changes_nothing_and_a_quit_ends_it_at_once"]),
    ("SIGINT ends with 1", &["sigint_ends_it_at_once"]),
    ("variables without and with two prefixes count", &["tells_what_it_does_not_act_on"]),
    (
        "empty variables count as unset",
        &[
            "environment_beats_flag_and_empty_counts_as_unset",
            "resources_stay_unsaid_until_said",
            "no resources",
        ],
    ),
    ("the older version of reviews", &["the_older_version_of_reviews_is_echoed"]),
    (
        "some lines are not of the log",
        &["every_line_is_one_of_the_log_and_both_forms_say_the_same"],
    ),
];

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The names of all tests below a folder.
fn tests_below(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let tests = text.split("#[test]\n").skip(1);
            let names =
                tests.filter_map(|rest| rest.trim_start().strip_prefix("fn ")?.split('(').next());
            into.extend(names.map(str::to_owned));
        }
    }
}

#[test]
fn every_quirk_has_its_answer() {
    let mut known = BTreeSet::new();
    for file in ["tests/golden/inject-rules.jsonl", "tests/golden/injector.jsonl"] {
        for line in read(file).lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            known.insert(row["id"].as_str().unwrap().to_owned());
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests_below(&root.join("tests/it"), &mut known);
    tests_below(&root.join("src"), &mut known);
    let lacking: Vec<_> = QUIRKS
        .iter()
        .flat_map(|(quirk, tests)| tests.iter().map(move |test| (quirk, test)))
        .filter(|(_, test)| !known.contains(**test))
        .collect();
    assert!(lacking.is_empty(), "no such rule or test: {lacking:#?}");
}

/// A pod with a template of this many bytes.
fn with_template(bytes: usize) -> String {
    let prefix = "vault.hashicorp.com/";
    json!({
        "kind": "Pod",
        "metadata": {"annotations": {
            format!("{prefix}agent-inject"): "true",
            format!("{prefix}role"): "app",
            format!("{prefix}agent-inject-template-a"): "x".repeat(bytes),
        }},
        "spec": {"containers": [{"name": "app"}]},
    })
    .to_string()
}

#[test]
fn a_configuration_too_large_for_a_variable_is_denied() {
    let config = InjectConfig { address: "https://v:8200".into(), ..InjectConfig::default() };
    // The longest template that fits both agents.
    let fits = |bytes: usize| {
        let outcome = decide(&with_template(bytes), "web", &config);
        (!outcome.patch.is_empty(), outcome.message)
    };
    let (mut low, mut high) = (0, 128 * 1024);
    while low + 1 < high {
        let middle = usize::midpoint(low, high);
        *(if fits(middle).0 { &mut low } else { &mut high }) = middle;
    }
    let message = fits(high).1;
    for part in [
        "VAULT_CONFIG",
        "131072",
        "agent-inject-template-file-NAME",
        "vault.hashicorp.com/agent-configmap",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(message.len() < 600, "{message}");
    // The kernel's own opinion on the two sides of the limit.
    let outcome = decide(&with_template(low), "web", &config);
    let patch: Value = serde_json::from_str(&outcome.patch).unwrap();
    let lengths = patch.as_array().unwrap().iter().flat_map(|operation| {
        let value = &operation["value"];
        let containers = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        containers.into_iter().flat_map(|c| c["env"].as_array().cloned().unwrap_or_default())
    });
    let longest = lengths.filter_map(|entry| entry["value"].as_str().map(str::len)).max().unwrap();
    let starts = |length: usize| {
        Command::new("true").env("VAULT_CONFIG", "x".repeat(length)).status().is_ok()
    };
    assert!(starts(longest), "{longest} bytes are too many");
    // Base64 grows by four bytes; pages may be larger than 4 KiB.
    let has_small_pages = !starts(256 * 1024);
    assert!(!has_small_pages || !starts(longest + 4), "{longest} bytes are not the most");
}

#[test]
fn every_answer_says_what_was_decided() {
    let config = InjectConfig { address: "https://v:8200".into(), ..InjectConfig::default() };
    let inject = r#""vault.hashicorp.com/agent-inject":"true""#;
    for (notes, decision, reason) in [
        (String::new(), "skip", "not-annotated"),
        (inject.to_owned(), "deny", "invalid-annotations"),
        (format!(r#"{inject},"vault.hashicorp.com/role":"a""#), "inject", "injected"),
    ] {
        let answer = vault_injector::domain::inject::answer(&review("web", &notes), &config);
        let body: Value = serde_json::from_slice(&answer.unwrap().body).unwrap();
        let told = &body["response"]["auditAnnotations"];
        assert_eq!(*told, json!({"decision": decision, "reason": reason}));
    }
}

#[test]
fn operations_tell_how_to_find_pods_that_slipped_through() {
    let text = read("docs/operations.md");
    for part in
        ["`failurePolicy: Ignore`: created **without** secrets", "Find pods that slipped through"]
    {
        assert!(text.contains(part), "{part}");
    }
}

/// Names and values of one line, those apart that are never the same twice.
fn fields_of_text(line: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let (head, rest) = line.split_once(": ").unwrap();
    let (_, module) = head.rsplit_once(' ').unwrap();
    fields.insert("@module".to_owned(), module.to_owned());
    // A message may hold a colon, but no equals sign.
    let first = rest.split_once('=').map_or("", |(before, _)| before);
    let message = first.rsplit_once(": ").map_or(rest, |(message, _)| message);
    fields.insert("@message".to_owned(), message.to_owned());
    let mut rest = rest.strip_prefix(message).and_then(|r| r.strip_prefix(": ")).unwrap_or("");
    while let Some((name, value)) = rest.split_once('=') {
        let mut quoted = serde_json::Deserializer::from_str(value).into_iter::<String>();
        let (text, end) = match quoted.next() {
            Some(Ok(text)) if value.starts_with('"') => (text, quoted.byte_offset()),
            _ => {
                let (word, _) = value.split_once(' ').unwrap_or((value, ""));
                (word.to_owned(), word.len())
            }
        };
        fields.insert(name.to_owned(), text);
        rest = value.split_at(end).1.trim_start();
    }
    fields
}

fn fields_of_json(line: &str) -> BTreeMap<String, String> {
    let object: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
    let text = |value: Value| value.as_str().expect("text, as every value is").to_owned();
    object.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// What a webhook says of the same troubles: a line per message, without what differs from run to run.
fn lines_of(format: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut webhook = Webhook::start(&[("AGENT_INJECT_LOG_FORMAT", format)]);
    let deny = review("web", r#""vault.hashicorp.com/agent-inject":"perhaps = \"yes\"""#);
    webhook.ask("POST /mutate", JSON, &deny);
    webhook.ask("POST /mutate", &[], b"");
    Client::connect(webhook.address, Ca::new().client(), "localhost").map(drop).unwrap_err();
    webhook.signal("INT");
    let mut lines = BTreeMap::new();
    while let Ok(line) = webhook.lines.recv_timeout(Duration::from_secs(20)) {
        let json = format == "json";
        let mut fields = if json { fields_of_json(&line) } else { fields_of_text(&line) };
        fields.retain(|name, _| !["@level", "@timestamp", "duration"].contains(&name.as_str()));
        if let Some(client) = fields.get_mut("client") {
            let (host, port) = client.rsplit_once(':').unwrap();
            assert!(port.parse::<u16>().is_ok(), "{client}");
            *client = host.to_owned();
        }
        let message = fields.remove("@message");
        lines.insert(message.unwrap_or_else(|| panic!("no message: {line}")), fields);
    }
    assert_eq!(webhook.exit_code(), Some(0));
    lines
}

#[test]
fn every_line_is_one_of_the_log_and_both_forms_say_the_same() {
    let (text, json) = (lines_of("standard"), lines_of("json"));
    for message in ["review decided", "review refused", "a client does not trust the certificate"] {
        let of = |lines: &BTreeMap<String, BTreeMap<String, String>>| {
            let line = lines.iter().find(|(own, _)| own.starts_with(message));
            line.unwrap_or_else(|| panic!("no {message}: {lines:#?}")).1.clone()
        };
        let fields = of(&json);
        assert_eq!(of(&text), fields);
        if message != "review decided" {
            assert_eq!(fields["client"], "127.0.0.1");
        }
    }
    // And nothing comes out elsewhere.
    let program = Program::new(env!("CARGO_BIN_EXE_vault-injector"), &["webhook"]);
    let running = program
        .env("AGENT_INJECT_VAULT_ADDR", "https://v:8200")
        .env("AGENT_INJECT_LISTEN", "127.0.0.1:0")
        .env("AGENT_INJECT_LOG_FORMAT", "json")
        .start();
    assert!(running.wait_for_err("listening", Duration::from_secs(20)));
    let ended = running.terminate(Duration::from_secs(20));
    assert_eq!((ended.code(), ended.out.as_str()), (0, ""));
    for line in ended.err.lines() {
        fields_of_json(line);
    }
}
