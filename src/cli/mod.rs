//! Argv and environment become a mode with its configuration. The only reader of either.

mod address;
mod agent;
mod inject;
mod render;
mod webhook;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use argh::FromArgs;

use crate::run::agent::Life;

/// Wrong command line or configuration: a restart will not help.
pub(crate) const EXIT_USAGE: u8 = 2;

const USAGE: &str = "\
vault-injector: secrets from HashiCorp Vault or OpenBao for Kubernetes pods

usage: vault-injector MODE [OPTION...]

  webhook         the admission server (also spelled agent-inject)
  agent-init      log in, write every file, exit
  agent-sidecar   the same, then keep the files fresh until SIGTERM
  inject          show what the webhook would make of manifests
  render          render a template with canned or live secrets
  version         version, commit and target

Every mode explains itself with --help. Exit codes: 0 done, 1 failed (a restart may help), 2 wrong
command line or configuration (a restart will not).
";

/// Runs the mode that argv names and returns its exit code: 0 done, 1 failed (a restart may help),
/// 2 wrong command line or configuration (a restart will not).
pub fn main() -> ExitCode {
    crate::run::prepare();
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let env = environment();
    let Some((mode, rest)) = words.split_first() else {
        complain(USAGE);
        return ExitCode::from(EXIT_USAGE);
    };
    match mode.as_str() {
        "agent-init" => agent::main(Life::UntilRendered, rest, &env),
        "agent-sidecar" => agent::main(Life::UntilSignal, rest, &env),
        "inject" => inject::main(rest, &env),
        "render" => render::main(rest, &env),
        "webhook" | "agent-inject" => webhook::main(rest, &env),
        "version" | "--version" | "-v" => {
            say(&format!("vault-injector {}\n", version()));
            ExitCode::SUCCESS
        }
        "help" | "--help" | "-h" => {
            say(USAGE);
            ExitCode::SUCCESS
        }
        unknown => {
            complain(&format!("unknown mode \"{unknown}\"\n\n{USAGE}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Version, commit and target, as far as the build knew them.
fn version() -> String {
    let commit = option_env!("VAULT_INJECTOR_COMMIT").unwrap_or("unknown commit");
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

/// Reads the options of a mode; says what there is to say about them where the mode is not to run.
fn options<T: FromArgs>(mode: &str, words: &[&str]) -> Result<T, ExitCode> {
    T::from_args(&["vault-injector", mode], words).map_err(|early| {
        let text = format!("{}\n", early.output.trim_end());
        if early.status.is_ok() {
            say(&text);
            ExitCode::SUCCESS
        } else {
            complain(&text);
            ExitCode::from(EXIT_USAGE)
        }
    })
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
