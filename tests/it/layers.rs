//! The architecture as a test: which layer may name which, and what each file owes its readers.

use std::fs;
use std::path::{Path, PathBuf};

/// Which layers a layer may name. A change of this table is a change of the design.
const MAY_USE: &[(&str, &[&str])] = &[
    ("base", &["base"]),
    ("domain", &["base", "domain"]),
    ("telemetry", &["base", "telemetry"]),
    ("adapter", &["base", "domain", "adapter"]),
    ("run", &["base", "domain", "telemetry", "adapter", "run"]),
    ("cli", &["base", "domain", "telemetry", "run", "cli"]),
];

/// What `domain` must not touch: everything outside of its arguments.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
    "hyper",
    "tokio",
    "ureq",
    "rustls",
    "println!",
    "eprintln!",
    "libc::",
];

/// Lines of one source file, tests apart: what one reading can hold.
const FILE_LINES_MAX: usize = 600;

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// The source files below `src`, with their path relative to it and their text without the tests.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths.sort();
    assert!(paths.len() > 20, "looked in the wrong place");
    let named = paths.into_iter().map(|path| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
        (name, code)
    });
    named.filter(|(name, _)| !name.ends_with("tests.rs")).collect()
}

fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn layers_point_one_way() {
    let mut wrong = Vec::new();
    for (name, text) in files() {
        let Some((layer, _)) = name.split_once('/') else { continue };
        let (_, allowed) = MAY_USE
            .iter()
            .find(|(l, _)| *l == layer)
            .unwrap_or_else(|| panic!("{name}: unknown layer"));
        for (number, line) in code_lines(&text) {
            for named in line.split("crate::").skip(1) {
                let target =
                    named.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                if !allowed.contains(&target) {
                    wrong.push(format!("src/{name}:{number}: {layer} names {target}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn domain_touches_nothing_outside() {
    let mut wrong = Vec::new();
    for (name, text) in
        files().iter().filter(|(name, _)| name.starts_with("domain/") || name.starts_with("base/"))
    {
        for (number, line) in code_lines(text) {
            for word in OUTSIDE.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("src/{name}:{number}: {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_stays_readable() {
    let mut wrong = Vec::new();
    for (name, text) in files() {
        if !text.starts_with("//!") {
            wrong.push(format!("src/{name}: no //! line on top"));
        }
        if text.lines().count() > FILE_LINES_MAX {
            wrong.push(format!(
                "src/{name}: {} lines, at most {FILE_LINES_MAX}",
                text.lines().count()
            ));
        }
        let stem = name.rsplit('/').next().unwrap().trim_end_matches(".rs");
        if ["utils", "util", "helpers", "common", "misc", "types", "manager"].contains(&stem) {
            wrong.push(format!("src/{name}: name the thing, not the drawer"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
