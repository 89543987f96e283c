//! A pod gets its secrets, from the webhook's answer to a changed password, without a cluster:
//!
//! ```text
//! cargo run --release --example quickstart
//! cargo run --release --example quickstart -- --vault-binary /usr/bin/vault
//! ```
//!
//! The program is the real one and runs as it runs in a cluster: `webhook` over TLS, then the containers
//! that it injected, as processes. What stands in is around it: this example plays the API server and the
//! kubelet, a folder plays each volume, and a small Vault plays Vault unless `--vault-binary` names a real
//! one (`vault` or `bao`). Nothing is left behind.
#![allow(
    clippy::allow_attributes,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a demonstration is all outside: it prints, waits and stops at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

mod binary;
mod cluster;
mod pod;
mod screen;
mod vault;

#[path = "../../tests/it/support/fake_vault.rs"]
mod fake_vault;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/it/support/https.rs"]
mod https;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/real/support/jwt.rs"]
mod jwt;
#[path = "../../tests/it/support/program.rs"]
mod program;
#[path = "../../tests/it/support/temp_dir.rs"]
mod temp_dir;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/real/support/token_review.rs"]
mod token_review;

use screen::Screen;
use temp_dir::TempDir;
use vault::Vault;

/// The deployment whose pod is to get secrets.
const DEPLOYMENT: &str = include_str!("../deployment.yaml");

/// Nothing here takes as long; when it does, something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// What went wrong, for a person.
type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    let screen = Screen::new();
    screen::note_interrupts();
    let told = arguments().and_then(|vault_binary| {
        let binary = binary::build()?;
        story(&screen, &binary, vault_binary.as_deref())
    });
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            screen.failed(&reason);
            ExitCode::FAILURE
        }
    }
}

/// The one option.
fn arguments() -> Outcome<Option<PathBuf>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Ok(None),
        ["--vault-binary", path] => Ok(Some(PathBuf::from(path))),
        _ => Err("usage: quickstart [--vault-binary PATH]".to_owned()),
    }
}

fn story(screen: &Screen, binary: &Path, vault_binary: Option<&Path>) -> Outcome<()> {
    let began = Instant::now();
    let folder = TempDir::new("vault-injector-quickstart");

    screen.step("A Vault with one secret, one policy and a login for the pod's service account");
    let vault = Vault::start(&folder, vault_binary)?;
    vault.put("db", &json!({ "username": "web", "password": "first-password" }))?;
    screen.fact("address", vault.address());
    screen.fact("secret", "secret/db with username and password");

    screen.step("The webhook, as the API server sees it: HTTPS and nothing else");
    let webhook = cluster::Webhook::start(binary, &folder, &vault)?;
    screen.fact("address", &webhook.url());
    screen.took("from start to listening", webhook.started_in);

    screen.step("Somebody creates a pod of examples/deployment.yaml");
    let asked = pod::of_deployment(DEPLOYMENT)?;
    for (key, value) in pod::annotations(&asked) {
        screen.fact(key, value);
    }
    let (answered, answer_took) = webhook.review(&asked)?;
    screen.took("review answered in", answer_took);

    screen.step("What the webhook added");
    for line in pod::differences(&asked, &answered) {
        screen.line(&line);
    }

    screen.step("The kubelet starts the init container: log in, read, write, exit");
    let pod = pod::Pod::new(&answered, binary, &folder, vault.pod_token());
    let init = pod.start("initContainers", "vault-agent-init")?.finish(PATIENCE);
    if init.code() != 0 {
        return Err(format!("the init container ended with {}:\n{}", init.code(), init.err));
    }
    screen.took("from start to exit 0", init.took);
    show_files(screen, &pod)?;
    wanted(&pod, "db.env", "export password='first-password'\n")?;
    wanted(&pod, "url.txt", "postgres://web:first-password@db/shop\n")?;

    screen.step("The sidecar takes over; somebody changes the password in Vault");
    let mut sidecar = pod.start("containers", "vault-agent")?;
    let is_there = program::wait_until(PATIENCE, || {
        screen::interrupted() || sidecar.err().contains("agent") || !sidecar.is_alive()
    });
    if !is_there || !sidecar.is_alive() {
        return Err(format!("the sidecar does not run:\n{}", sidecar.err()));
    }
    let changed = Instant::now();
    vault.put("db", &json!({ "username": "web", "password": "second & better" }))?;
    program::wait_until(PATIENCE, || {
        let is_new = |name| pod.secret(name).contains("second");
        screen::interrupted() || (is_new("db.env") && is_new("url.txt"))
    });
    wanted(&pod, "db.env", "export password='second & better'\n")?;
    wanted(&pod, "url.txt", "postgres://web:second+%26+better@db/shop\n")?;
    screen.took("from the change to the new files", changed.elapsed());
    show_files(screen, &pod)?;

    screen.step("The pod ends, then the webhook: SIGTERM, and both leave with 0");
    stopped("sidecar", screen, sidecar)?;
    screen.line("the webhook goes on answering for 3 s, until nobody sends it anything");
    stopped("webhook", screen, webhook.process)?;
    if let Some((logins, reads)) = vault.requests() {
        screen.fact("logins of the pod", &logins.to_string());
        screen.fact("reads of the secret", &reads.to_string());
        if logins != 1 {
            return Err(format!("init and sidecar logged in {logins} times instead of once"));
        }
    }
    screen.finished(began.elapsed());
    Ok(())
}

/// Prints the files as the app would find them.
fn show_files(screen: &Screen, pod: &pod::Pod<'_>) -> Outcome<()> {
    let files = pod.secret_names();
    if files.is_empty() {
        return Err("no file appeared in /vault/secrets".to_owned());
    }
    for name in files {
        screen.file(&format!("/vault/secrets/{name}"), &pod.secret(&name));
    }
    Ok(())
}

/// Fails unless the file holds `part`.
fn wanted(pod: &pod::Pod<'_>, name: &str, part: &str) -> Outcome<()> {
    if screen::interrupted() {
        return Err("interrupted".to_owned());
    }
    let text = pod.secret(name);
    if text.contains(part) {
        return Ok(());
    }
    Err(format!("/vault/secrets/{name} should hold {part:?} but is {text:?}"))
}

fn stopped(name: &str, screen: &Screen, process: program::Running) -> Outcome<()> {
    let asked = Instant::now();
    let ended = process.terminate(PATIENCE);
    screen.took(&format!("{name}: SIGTERM to exit {}", ended.code()), asked.elapsed());
    if ended.code() == 0 {
        return Ok(());
    }
    Err(format!("the {name} ended with {}:\n{}", ended.code(), ended.err))
}

/// The value at a JSON pointer, as text; empty when it is not there.
fn text_at<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}
