//! Command line of the mode `inject`.

use std::process::ExitCode;

use argh::{ArgsInfo, FromArgs};

use super::webhook::{Mistake, inject_config};
use crate::domain::agent_config::Environment;
use crate::domain::inject::InjectConfig;
use crate::run::inject::{Options, run};

/// Make of manifests what the webhook would make of their pods.
///
/// Reads YAML or JSON with any number of documents (Pod, any workload or List) and prints them injected;
/// other kinds pass. Nothing is printed when a pod is denied; then the exit code is 1.
#[derive(FromArgs, ArgsInfo)]
struct Words {
    /// image of the agents (AGENT_INJECT_VAULT_IMAGE)
    #[argh(option)]
    agent_image: Option<String>,
    /// print what was decided and why, instead of manifests
    #[argh(switch)]
    explain: bool,
    /// file to read, - for standard input, which is read when none is named; may be repeated
    #[argh(option, short = 'f')]
    file: Vec<String>,
    /// namespace of manifests that name none
    #[argh(option, short = 'n', default = "String::from(\"default\")")]
    namespace: String,
    /// address of Vault (AGENT_INJECT_VAULT_ADDR)
    #[argh(option)]
    vault_address: Option<String>,
}

pub(crate) fn main(words: &[String], env: &Environment) -> ExitCode {
    let words: Words = match super::words::options("inject", words) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let files = if words.file.is_empty() { vec!["-".to_owned()] } else { words.file };
    let config = match settings(words.vault_address, words.agent_image, env) {
        Ok(config) => config,
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| super::complain(&format!("{mistake}\n")));
            return ExitCode::from(super::EXIT_USAGE);
        }
    };
    let options = Options { config, explain: words.explain, files, namespace: words.namespace };
    let report = run(&options);
    super::complain(&report.complaints);
    super::say(&report.output);
    if report.good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The webhook's settings: its own environment, and options over it.
fn settings(
    address: Option<String>,
    image: Option<String>,
    env: &Environment,
) -> Result<InjectConfig, Vec<Mistake>> {
    let mut config = inject_config(env)?;
    config.address = address.unwrap_or(config.address);
    config.image = image.unwrap_or(config.image);
    Ok(config)
}
