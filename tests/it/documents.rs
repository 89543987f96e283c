//! What we tell users is true: every annotation is in the README, the example's pod is injected.

use std::path::Path;

use serde_json::{Value, json};
use vault_injector::domain::inject::annotations::{KEYS, PREFIX};
use vault_injector::domain::inject::{InjectConfig, Verdict, answer};

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn the_readme_names_every_annotation_and_no_other() {
    let readme = file("README.md");
    let lacking: Vec<&str> = KEYS
        .iter()
        .map(|row| row.name)
        .filter(|name| {
            let member = ["N`", "…`"].map(|end| format!("`{name}{end}"));
            let plain = format!("`{name}`");
            !readme.contains(&plain) && !member.iter().any(|text| readme.contains(text))
        })
        .collect();
    assert!(lacking.is_empty(), "not in README.md: {lacking:?}");

    let written = readme.split(PREFIX).skip(1).map(|rest| {
        rest.split(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).next().unwrap()
    });
    let unknown: Vec<&str> = written
        .filter(|key| !key.is_empty())
        .filter(|key| {
            !KEYS.iter().any(|row| {
                *key == row.name || (row.name.ends_with('-') && key.starts_with(row.name))
            })
        })
        .collect();
    assert!(unknown.is_empty(), "README.md has annotations that do not exist: {unknown:?}");
}

#[test]
fn the_pod_of_the_example_is_injected_without_warnings() {
    let deployment: Value = serde_json::from_str(&file("examples/deployment.json")).unwrap();
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "namespace": "demo",
            "operation": "CREATE",
            "object": pod,
        },
    });
    let config = InjectConfig { address: "https://vault:8200".into(), ..InjectConfig::default() };
    let decision = answer(review.to_string().as_bytes(), &config).unwrap().decision;
    assert_eq!(decision.verdict, Verdict::Inject, "{decision:?}");
    assert_eq!(decision.warnings, Vec::<String>::new());
}
