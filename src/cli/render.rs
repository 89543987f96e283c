//! Command line of the mode `render`.

use std::process::ExitCode;

use argh::FromArgs;

use crate::domain::agent_config::{Environment, of_environment};
use crate::run::render::{Failure, Options, Source, run};

/// Render a template and print what it makes.
///
/// Secrets come from Vault as VAULT_ADDR, VAULT_TOKEN and their kin describe it. With --data nothing is
/// fetched: the file holds all the secrets, names and variables that there are.
/// A template that fails prints nothing but one line FILE:line:column: message, and the exit code is 1.
#[derive(FromArgs)]
struct Words {
    /// JSON file: {"secrets": {PATH: response}, "lists": {PATH: [name]}, "env": {NAME: value}, "now": seconds, "interfaces": […]}
    #[argh(option)]
    data: Option<String>,
    /// fail when a template reads a key that is not there (error_on_missing_key)
    #[argh(switch)]
    error_on_missing_key: bool,
    /// what opens an action, {{ by default
    #[argh(option, default = "String::new()")]
    left_delimiter: String,
    /// what closes an action, }} by default
    #[argh(option, default = "String::new()")]
    right_delimiter: String,
    /// write the files of writeToFile, too; else standard error says what would be written
    #[argh(switch)]
    write_files: bool,
    /// template file, - for standard input
    #[argh(positional)]
    template: String,
}

pub(crate) fn main(words: &[String], env: &Environment) -> ExitCode {
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    protect_standard_input(&mut words);
    let words: Words = match super::options("render", &words) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let source = match words.data {
        Some(file) => Source::Data(file),
        None => match of_environment(env) {
            Ok(client) => {
                let token_file = env.get("HOME").map(|home| format!("{home}/.vault-token"));
                Source::Live { client: Box::new(client), env: env.clone(), token_file }
            }
            Err(mistakes) => {
                mistakes.iter().for_each(|mistake| super::complain(&format!("{mistake}\n")));
                return ExitCode::from(super::EXIT_USAGE);
            }
        },
    };
    let options = Options {
        source,
        error_on_missing_key: words.error_on_missing_key,
        left_delimiter: words.left_delimiter,
        right_delimiter: words.right_delimiter,
        template: words.template,
        writes_files: words.write_files,
    };
    match run(&options) {
        Ok(made) => {
            super::say(made.text.expose());
            made.unwritten.iter().for_each(|line| super::complain(&format!("{line}\n")));
            ExitCode::SUCCESS
        }
        Err(Failure::Template(line)) => {
            super::complain(&format!("{line}\n"));
            ExitCode::FAILURE
        }
        Err(Failure::Usage(line)) => {
            super::complain(&format!("{line}\n"));
            ExitCode::from(super::EXIT_USAGE)
        }
    }
}

/// Options that take no value.
const SWITCHES: &[&str] = &["--error-on-missing-key", "--write-files"];

/// `argh` takes a lone `-` for an option, unless it stands after `--`.
fn protect_standard_input(words: &mut Vec<&str>) {
    let takes_value = |word: &str| word.starts_with("--") && !SWITCHES.contains(&word);
    let stands_alone =
        |i: usize| words.get(i.wrapping_sub(1)).is_none_or(|word| !takes_value(word));
    let found = (0..words.len()).find(|i| words.get(*i) == Some(&"-") && stands_alone(*i));
    if let Some(at) = found {
        let word = words.remove(at);
        words.extend(["--", word]);
    }
}
