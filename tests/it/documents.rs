//! What we tell users is true: every annotation is in the README, the example's pod is injected.

use std::path::Path;
use std::time::Duration;

use vault_injector::domain::inject::annotations::{KEYS, PREFIX};

use crate::support::program::Program;

const LIMIT: Duration = Duration::from_secs(20);

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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/deployment.yaml");
    let program = Program::new(
        env!("CARGO_BIN_EXE_vault-injector"),
        &["inject", "--explain", "-f", path.to_str().unwrap()],
    );
    let told = program.env("AGENT_INJECT_VAULT_ADDR", "https://vault:8200").run(LIMIT);
    assert_eq!(told.code(), 0, "{told:?}");
    assert!(told.out.contains("inject"), "{}", told.out);
    assert!(!format!("{}{}", told.out, told.err).contains("warning"), "{told:?}");
}
