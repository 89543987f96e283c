//! Argv and environment become a mode with its configuration. The only reader of either.

mod address;
mod agent;
mod help;
mod inject;
mod render;
mod webhook;
mod words;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use crate::base::near::near;
use crate::run::agent::Life;

/// Wrong command line or configuration: a restart will not help.
pub(crate) const EXIT_USAGE: u8 = 2;

const USAGE: &str = "\
vault-injector: secrets from HashiCorp Vault or OpenBao for Kubernetes pods

usage: vault-injector MODE [OPTION...]

  webhook         the admission server (also spelled agent-inject)
  agent-init      log in, write every file, exit
  agent-sidecar   the same, then keep the files fresh until SIGTERM
  inject          print manifests as the webhook would have injected them
  render          render a template with canned or live secrets
  version         version, commit and target
  help MODE       explain a mode, as MODE --help does

Exit codes: 0 done, 1 failed (a restart may help), 2 wrong command line or
configuration (a restart will not).
";

/// What may be meant by a misspelt mode.
const MODES: [&str; 8] = [
    "agent-init",
    "agent-inject",
    "agent-sidecar",
    "help",
    "inject",
    "render",
    "version",
    "webhook",
];

/// Runs the mode that argv names and returns its exit code: 0 done, 1 failed (a restart may help),
/// 2 wrong command line or configuration (a restart will not).
pub fn main() -> ExitCode {
    hide_panics();
    crate::run::prepare();
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let env = environment();
    let Some((mode, rest)) = words.split_first() else {
        complain(USAGE);
        return ExitCode::from(EXIT_USAGE);
    };
    // `help MODE` and `MODE --help` are one.
    let asked = ["--help".to_owned()];
    let (mode, rest) = match (mode.as_str(), rest.first()) {
        ("help" | "--help" | "-help" | "-h", Some(mode)) => (mode.as_str(), &asked[..]),
        (mode, _) => (mode, rest),
    };
    match mode {
        "agent-init" => agent::main(Life::UntilRendered, rest, &env),
        "agent-sidecar" => agent::main(Life::UntilSignal, rest, &env),
        "inject" => inject::main(rest, &env),
        "render" => render::main(rest, &env),
        "webhook" | "agent-inject" => webhook::main(rest, &env),
        "version" | "--version" | "-v" => tell_version(rest),
        "help" | "--help" | "-help" | "-h" => {
            say(USAGE);
            ExitCode::SUCCESS
        }
        unknown => {
            let meant = near(unknown.trim_start_matches('-'), MODES.into_iter());
            let meant = meant.map(|meant| format!(", did you mean {meant}?")).unwrap_or_default();
            complain(&format!("unknown mode {unknown:?}{meant}\n\n{USAGE}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// From now on a panic is one line that names its place. Its message may hold what was computed on.
fn hide_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        complain(&format!("vault-injector: panicked at {place}, this is a bug\n"));
    }));
}

/// The mode `version`, which takes nothing but a question for help.
fn tell_version(words: &[String]) -> ExitCode {
    if words.iter().any(|word| matches!(word.as_str(), "-h" | "-help" | "--help")) {
        say(
            "usage: vault-injector version [-h]\n\nPrint version, commit and target of the build.\n",
        );
        return ExitCode::SUCCESS;
    }
    if let Some(word) = words.first() {
        complain(&format!("{word:?}: nothing is taken here\nsee vault-injector version --help\n"));
        return ExitCode::from(EXIT_USAGE);
    }
    say(&format!("vault-injector {}\n", version()));
    ExitCode::SUCCESS
}

/// Version, commit and target, as far as the build knew them.
fn version() -> String {
    // An empty variable comes from a build argument that nobody gave.
    let commit = option_env!("VAULT_INJECTOR_COMMIT").filter(|commit| !commit.is_empty());
    let commit = commit.unwrap_or("unknown commit");
    format!(
        "{} ({commit}, {}-{})",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS
    )
}

/// The environment; variables that are not UTF-8 are left out, those that look like ours with a word.
fn environment() -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for (name, value) in std::env::vars_os() {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => drop(env.insert(name, value)),
            (Ok(name), Err(_))
                if name.starts_with("AGENT_INJECT_") || name.starts_with("VAULT_") =>
            {
                complain(&format!("{name}: not UTF-8, ignored\n"));
            }
            (Ok(_) | Err(_), _) => {}
        }
    }
    env
}

/// The one place of this layer that writes to standard output. A reader that went away is not told.
pub(crate) fn say(text: &(impl AsRef<[u8]> + ?Sized)) {
    let mut out = std::io::stdout().lock();
    let _unread = out.write_all(text.as_ref()).and_then(|()| out.flush());
}

/// The one place of this layer that writes to standard error.
pub(crate) fn complain(text: &str) {
    let _unread = std::io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    use crate::telemetry::log::{Format, Level, Log};

    /// Set for a second process of these tests, which panics for the first.
    const PANICS: &str = "VAULT_INJECTOR_TEST_PANICS";

    /// The hook is the whole process', so it is tried in one of its own.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "says which of the two processes this is")]
    fn a_panic_tells_its_place_and_nothing_else() {
        if let Ok(hook) = std::env::var(PANICS) {
            match hook.as_str() {
                "log" => crate::run::log_panics(Log::new(Level::Info, Format::Json, "agent")),
                _ => hide_panics(),
            }
            let panicked = std::panic::catch_unwind(|| panic!("holds {}", "hunter2"));
            assert!(panicked.is_err());
            return;
        }
        for hook in ["log", "words"] {
            let shown = Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "cli::tests::a_panic_tells_its_place_and_nothing_else",
                    "--nocapture",
                ])
                .env(PANICS, hook)
                .output()
                .unwrap();
            let text = [shown.stdout, shown.stderr].concat();
            let text = String::from_utf8_lossy(&text);
            assert!(text.contains("src/cli/mod.rs:") && text.contains("this is a bug"), "{text}");
            assert!(!text.contains("hunter2") && !text.contains("holds"), "{text}");
        }
    }
}
