//! Command line of the mode `inject`.

use std::process::ExitCode;

use argh::{ArgsInfo, FromArgs};

use super::address;
use super::webhook::{Mistake, inject_config};
use super::words;
use crate::base::near::near;
use crate::domain::agent_config::Environment;
use crate::domain::inject::{InjectConfig, is_namespace};
use crate::run::inject::{Options, Telling, run};

/// Print manifests as they would be if the webhook had injected into their pods.
///
/// Reads YAML or JSON: any object with a pod or a pod template inside, and lists of them. What does not change
/// comes out as it went in, byte for byte. Nothing is printed when a pod is denied. The webhook's variables
/// (AGENT_INJECT_...) set the defaults.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "{command_name} --vault-address https://vault:8200 deployment.yaml\n  prints the Deployment injected",
    example = "{command_name} --strict --explain manifests/\n  tells what is decided about a folder; fails when there is a warning",
    error_code(0, "done"),
    error_code(
        1,
        "a pod is denied, something cannot be read, no object is there, or with --strict there is a warning"
    ),
    error_code(2, "wrong command line or setting")
)]
struct Words {
    /// image of the agents (AGENT_INJECT_VAULT_IMAGE)
    #[argh(option)]
    agent_image: Option<String>,
    /// tell what is decided and why, instead of printing manifests
    #[argh(switch)]
    explain: bool,
    /// file or folder to read, as FILE; may be repeated, and goes before those without -f
    #[argh(option, short = 'f')]
    file: Vec<String>,
    /// namespace of manifests that name none
    #[argh(option, short = 'n', default = "String::from(\"default\")")]
    namespace: String,
    /// with --explain: text (default) or json
    #[argh(option, short = 'o')]
    output: Option<String>,
    /// make warnings fail: exit code 1, and nothing is printed
    #[argh(switch)]
    strict: bool,
    /// address of Vault (AGENT_INJECT_VAULT_ADDR)
    #[argh(option)]
    vault_address: Option<String>,
    /// with --explain: every setting and everything that is added
    #[argh(switch, short = 'v')]
    verbose: bool,
    /// file, or folder whose .yaml, .yml and .json files are read in the order of their names; - for standard
    /// input, which is read when none is named
    #[argh(positional, arg_name = "file")]
    files: Vec<String>,
}

pub(crate) fn main(words: &[String], env: &Environment) -> ExitCode {
    let mut words: Words = match words::options("inject", words) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let mut files = std::mem::take(&mut words.file);
    files.append(&mut words.files);
    if files.is_empty() {
        files.push("-".to_owned());
    }
    let explain = match telling(&words) {
        Ok(explain) => explain,
        Err(mistake) => return words::refuse("inject", &[mistake]),
    };
    if !is_namespace(&words.namespace) {
        let given = &words.namespace;
        let mistake = format!(
            "--namespace={given:?}: want at most 63 lower-case letters, digits and hyphens, as Kubernetes does"
        );
        return words::refuse("inject", &[mistake]);
    }
    let config = match settings(words.vault_address, words.agent_image, env) {
        Ok(config) => config,
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| super::complain(&format!("{mistake}\n")));
            return ExitCode::from(super::EXIT_USAGE);
        }
    };
    let options =
        Options { config, explain, files, namespace: words.namespace, strict: words.strict };
    let report = run(&options);
    super::complain(&report.complaints);
    super::say(&report.output);
    if report.good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn telling(words: &Words) -> Result<Option<Telling>, String> {
    const OUTPUTS: [&str; 2] = ["json", "text"];
    let telling = match (words.output.as_deref(), words.verbose) {
        (Some("json"), _) => Telling::Json,
        (None | Some("text"), true) => Telling::All,
        (None | Some("text"), false) => Telling::Short,
        (Some(other), _) => {
            let meant = near(other, OUTPUTS.into_iter());
            let meant = meant.map(|meant| format!(", did you mean {meant}?")).unwrap_or_default();
            return Err(format!("--output={other:?}: want text or json{meant}"));
        }
    };
    let alone = match (words.explain, &words.output, words.verbose) {
        (false, Some(_), _) => Some("--output"),
        (false, None, true) => Some("--verbose"),
        _ => None,
    };
    match alone {
        Some(option) => Err(format!("{option}: is for --explain")),
        None => Ok(words.explain.then_some(telling)),
    }
}

/// The webhook's settings: its own environment, and options over it.
fn settings(
    address: Option<String>,
    image: Option<String>,
    env: &Environment,
) -> Result<InjectConfig, Vec<Mistake>> {
    let mut config = inject_config(env)?;
    if let Some(address) = address {
        address::check_vault(&address).map_err(|message| {
            let option = "--vault-address".to_owned();
            vec![Mistake { option, value: Some(address.clone()), message }]
        })?;
        config.address = address;
    }
    config.image = image.unwrap_or(config.image);
    Ok(config)
}
