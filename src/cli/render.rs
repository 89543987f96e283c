//! Command line of the mode `render`.

use std::process::ExitCode;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use crate::base::go_duration;
use crate::base::near::near;
use crate::base::report::OneLine;
use crate::domain::agent_config::{Environment, of_environment};
use crate::domain::format::{Format, FormatError};
use crate::domain::template::{FunctionDoc, list_functions};
use crate::run::render::{End, Form, Options, Source, Told, What, run};

/// Render a template and print what it makes.
///
/// Secrets come from Vault as VAULT_ADDR, VAULT_TOKEN (or ~/.vault-token), VAULT_NAMESPACE, VAULT_CACERT and
/// their kin describe it. With --data nothing is fetched: the file holds all the secrets, lists, files and
/// variables that there are. An error is told as FILE:line:column: message with the line it is in, and
/// nothing is printed then.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "{command_name} --data canned.json my.tpl\n  renders a template with canned secrets",
    example = "{command_name} --watch --data canned.json my.tpl\n  renders it again whenever one of the files changes",
    example = "{command_name} --secret secret/db --format dotenv\n  prints a secret as an annotation's format would write it",
    example = "{command_name} --secret secret/db --engine tinytemplate my.tpl\n  renders a tinytemplate with the fields of a secret",
    example = "{command_name} --functions regexReplaceAll\n  explains a function",
    note = "Data: {{\"secrets\": {{PATH: response}}, \"lists\": {{PATH: [name]}}, \"files\": {{PATH: text}}, \"env\": {{NAME: value}}, \"now\": seconds, \"interfaces\": [...]}}",
    error_code(0, "done"),
    error_code(1, "the template fails, or a secret cannot be had"),
    error_code(2, "wrong command line, or a file that it names cannot be read")
)]
struct Words {
    /// JSON file to take secrets from instead of Vault
    #[argh(option)]
    data: Option<String>,
    /// language of the template: go (default) or tinytemplate, which needs one --secret
    #[argh(option, default = "String::from(\"go\")")]
    engine: String,
    /// fail when a template reads a key that is not there (error_on_missing_key)
    #[argh(switch)]
    error_on_missing_key: bool,
    /// how secrets are written: map (default), json, env, dotenv, properties, yaml or raw:KEY
    #[argh(option)]
    format: Option<String>,
    /// list the functions of templates, or those whose name holds the word given as TEMPLATE
    #[argh(switch)]
    functions: bool,
    /// with --watch, how often secrets without a lease are read again (default 30s)
    #[argh(option, default = "Duration::from_secs(30)", from_str_fn(interval))]
    interval: Duration,
    /// what opens an action, {{ by default
    #[argh(option, default = "String::new()")]
    left_delimiter: String,
    /// file to write instead of standard output: replaced as a whole, mode 0600 when new
    #[argh(option, short = 'o')]
    output: Option<String>,
    /// what closes an action, }} by default
    #[argh(option, default = "String::new()")]
    right_delimiter: String,
    /// path of a secret to render without a template of your own; may be repeated
    #[argh(option)]
    secret: Vec<String>,
    /// write the files of writeToFile, too; else standard error says what would be written
    #[argh(switch)]
    write_files: bool,
    /// render again when a file or a secret changes, until Ctrl-C; errors do not end it
    #[argh(switch)]
    watch: bool,
    /// template file, - for standard input
    #[argh(positional)]
    template: Option<String>,
}

pub(crate) fn main(words: &[String], env: &Environment) -> ExitCode {
    let words: Words = match super::words::options("render", words) {
        Ok(words) => words,
        Err(code) => return code,
    };
    if words.functions {
        return functions(words.template.as_deref().unwrap_or_default());
    }
    let options = match options(words, env) {
        Ok(options) => options,
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| super::complain(&format!("{mistake}\n")));
            return ExitCode::from(super::EXIT_USAGE);
        }
    };
    let end = run(&options, &|told| match told {
        Told::Output(text) => super::say(text.expose()),
        Told::Words(text) => super::complain(text),
    });
    match end {
        End::Done => ExitCode::SUCCESS,
        End::Failed => ExitCode::FAILURE,
        End::Usage => ExitCode::from(super::EXIT_USAGE),
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let duration = go_duration::parse(text).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("want more than 0s".to_owned()) } else { Ok(duration) }
}

fn options(words: Words, env: &Environment) -> Result<Options, Vec<String>> {
    let mut mistakes = Vec::new();
    if words.watch && (words.template.as_deref() == Some("-") || words.data.as_deref() == Some("-"))
    {
        mistakes.push("--watch: standard input does not change, name a file".to_owned());
    }
    let source = match words.data {
        Some(file) => Some(Source::Data(file)),
        None => match of_environment(env) {
            Ok(client) => {
                let token_file = env.get("HOME").map(|home| format!("{home}/.vault-token"));
                Some(Source::Live { client: Box::new(client), env: env.clone(), token_file })
            }
            Err(wrong) => {
                mistakes.extend(wrong.iter().map(ToString::to_string));
                None
            }
        },
    };
    let what = what(words.template, words.secret, words.format.as_deref(), &words.engine)
        .map_err(|mistake| mistakes.push(mistake));
    match (source, what) {
        (Some(source), Ok(what)) if mistakes.is_empty() => Ok(Options {
            source,
            what,
            error_on_missing_key: words.error_on_missing_key,
            left_delimiter: words.left_delimiter,
            right_delimiter: words.right_delimiter,
            writes_files: words.write_files,
            output: words.output,
            watch: words.watch.then_some(words.interval),
        }),
        _ => Err(mistakes),
    }
}

/// What is to be rendered; the error is a clause.
fn what(
    template: Option<String>,
    mut secrets: Vec<String>,
    format: Option<&str>,
    engine: &str,
) -> Result<What, String> {
    match (engine, template) {
        ("tinytemplate", Some(_)) if format.is_some() => {
            Err("--format: the template says how the secret is written".to_owned())
        }
        ("tinytemplate", Some(file)) => match (secrets.pop(), secrets.is_empty()) {
            (Some(secret), true) => Ok(What::Tiny(file, secret)),
            _ => Err("--engine tinytemplate: want one --secret, whose fields it is for".to_owned()),
        },
        ("tinytemplate", None) => Err("--engine tinytemplate: want a template".to_owned()),
        ("go", Some(_)) if !secrets.is_empty() => {
            Err("--secret: a Go template names its secrets itself; leave one of the two out"
                .to_owned())
        }
        ("go", Some(_)) if format.is_some() => Err("--format: is for --secret".to_owned()),
        ("go", Some(file)) => Ok(What::Template(file)),
        ("go", None) if secrets.is_empty() => {
            Err("nothing to render: want a template or --secret PATH, see --help".to_owned())
        }
        ("go", None) => Ok(What::Secrets(secrets, form(format.unwrap_or("map"))?)),
        (other, _) => Err(format!(
            "--engine {other:?}: want go or tinytemplate{}",
            meant(other, &["go", "tinytemplate"])
        )),
    }
}

fn form(text: &str) -> Result<Form, String> {
    match text.trim() {
        "json" => Ok(Form::Json),
        "map" => Ok(Form::Map),
        other => Format::parse(other).map(Form::Format).map_err(|error| match error {
            FormatError::Unknown { format } => format!(
                "--format {format:?}: want map, json, env, dotenv, properties, yaml or raw:KEY{}",
                meant(&format, &["map", "json", "env", "dotenv", "properties", "yaml"])
            ),
            error => format!("--format: {}", OneLine(&error)),
        }),
    }
}

/// What a misspelt word may have been.
fn meant(word: &str, known: &[&str]) -> String {
    let near = near(word.trim(), known.iter().copied());
    near.map(|near| format!(", did you mean {near}?")).unwrap_or_default()
}

/// Prints the table of functions, or the rows whose name holds `word`.
fn functions(word: &str) -> ExitCode {
    let lower = word.to_lowercase();
    let mut text = String::new();
    for FunctionDoc { name, parameters, doc, examples } in list_functions() {
        if !name.to_lowercase().contains(&lower) {
            continue;
        }
        text.push_str(&format!("{name} {parameters}\n    {doc}\n"));
        for (example, output) in examples {
            text.push_str(&format!("    {example}  ->  {output}\n"));
        }
    }
    if text.is_empty() {
        super::complain(&format!("no function has {word:?} in its name\n"));
        return ExitCode::FAILURE;
    }
    super::say(&text);
    ExitCode::SUCCESS
}
