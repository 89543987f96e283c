//! What we tell users is true: every annotation is in the README, the example's pod is injected, and the
//! tables of `docs` are those of the program. With `UPDATE_DOCS=1` the tests write them anew.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use vault_injector::domain::inject::annotations::{KEYS, Kind, PREFIX, Source};
use vault_injector::domain::inject::{Flavor, InjectConfig};
use vault_injector::domain::template::{FunctionDoc, list_functions};

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
    let told = program.env("AGENT_INJECT_VAULT_ADDR", "https://vault.example.com:8200").run(LIMIT);
    assert_eq!(told.code(), 0, "{told:?}");
    assert!(told.out.contains("inject"), "{}", told.out);
    assert!(!format!("{}{}", told.out, told.err).contains("warning"), "{told:?}");
}

/// Compares a file of `docs` with what the program's tables say, or writes it.
fn check_generated(name: &str, want: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, want).unwrap();
    }
    let have = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = have.lines().zip(want.lines()).find(|(a, b)| a != b);
    assert!(
        have == want,
        "docs/{name} is not what the tables say, UPDATE_DOCS=1 writes it: {differs:?}"
    );
}

/// One cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Code that may hold backquotes.
fn fenced(text: &str) -> String {
    let fence = if text.contains('`') { "``" } else { "`" };
    let space = if text.contains('`') || text.is_empty() { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// A value in a table; nothing for the empty one.
fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{}`", cell(text)) }
}

fn kind_words(kind: Kind) -> String {
    match kind {
        Kind::Bool => "boolean".to_owned(),
        Kind::Choice(words) | Kind::Word(words) => words.join(", "),
        Kind::Count | Kind::Uint => "whole number from 0".to_owned(),
        Kind::Filled => "text, not empty".to_owned(),
        Kind::GoDuration => "duration: `1m30s`".to_owned(),
        Kind::Id => "number from 0; empty is the default".to_owned(),
        Kind::Image => "image".to_owned(),
        Kind::Int => "whole number".to_owned(),
        Kind::List => "comma list".to_owned(),
        Kind::Mode => "permissions: `0640`".to_owned(),
        Kind::Name => "name of an object".to_owned(),
        Kind::Patch => "JSON patch (RFC 6902)".to_owned(),
        Kind::Path => "folder".to_owned(),
        Kind::Port => "port".to_owned(),
        Kind::Quantity => "quantity: `250m`, `64Mi`; empty for none".to_owned(),
        Kind::Share => "number from 0 to 1".to_owned(),
        Kind::Size => "bytes: `64Mi`, `500M`; empty for none".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::VaultDuration => "duration: `30`, `30s`, `2d`".to_owned(),
    }
}

#[test]
fn the_list_of_annotations_is_the_table() {
    let config = InjectConfig::default();
    let mut text = format!(
        "<!-- Written by tests/it/documents.rs: change the table in src/domain/inject/annotations.rs. -->\n\n\
         # Annotations\n\n\
         All keys stand below `{PREFIX}`. `NAME` is the name of a secret, or of a setting. Where an\n\
         option of the webhook is named, it decides for pods that say nothing; the value shown is its default.\n\
         Two values are those of the flavours *native* and *vault*.\n\n\
         | key | value | default | what it does |\n|---|---|---|---|\n"
    );
    for row in KEYS {
        let default = match row.source {
            Source::Nothing => String::new(),
            Source::Fixed(value) => code(value),
            Source::Process(variable, read) => {
                let [native, vault] =
                    [Flavor::Native, Flavor::Vault].map(|flavor| code(&read(&config, flavor)));
                let none = |value: String| if value.is_empty() { "none".to_owned() } else { value };
                let shown = match native == vault {
                    true => native,
                    false => format!("{}, {}", none(native), none(vault)),
                };
                let comma = if shown.is_empty() { "" } else { "; " };
                format!("{shown}{comma}`AGENT_INJECT_{variable}`")
            }
        };
        let name = if row.name.ends_with('-') { "NAME" } else { "" };
        let (kind, doc) = (kind_words(row.kind), cell(row.doc));
        writeln!(text, "| `{}{name}` | {kind} | {default} | {doc} |", row.name).unwrap();
    }
    check_generated("annotations.md", &text);
}

/// What a reader of consul-template's documentation would not expect.
const DIFFERENCES: &str = "
## Where they differ from consul-template's

- **Time zones.** There is no database of zones, also where the image has one: `Local` is UTC, offsets such as `+02:00`
  count, and an abbreviation such as `CET` is kept for printing with the offset 0.
- **Times and versions** have the methods of Go's `time.Time`, `time.Duration` and Masterminds' `*semver.Version`:
  `(sprig_toDate \"2006-01-02\" \"2026-01-31\").AddDate 0 0 1`, `(sprig_semver \"1.2.3\").IncMinor`. Methods with more than
  one result, `.Date`, `.Clock`, `.ISOWeek` and `.Zone`, cannot be called in Go's templates either.
- **`writeToFile`** writes when the render is whole, never in a pass that still lacks a secret: folders are made, the
  file is replaced in one step, and one that is as it should be is left alone. With `append` the content is added
  once by each agent that starts, and again when what the template writes changes. A symbolic link is refused as the file and as its folder. Users
  and groups by name must stand in `/etc/passwd` and `/etc/group` of the agent's container, which are empty in our image:
  use numbers. `render` says on standard error what it would write, and writes with `--write-files`.
- **`file`** and `writeToFile` stay below `sandbox_path` of their template, links followed, when it is set. A file holds at
  most 4 MiB; its bytes stay as they are, UTF-8 or not.
- **`sockaddr`** takes one pipeline of names and constants; it has to end in a text, so with `attr`, `join` or one of the
  `Get…IP` functions. The default interface is that of the first route to everywhere with an IPv4 gateway.
- **`spew_dump`, `spew_printf`** print nothing, since standard output is the log; `spew_sdump` and `spew_sprintf` give the same
  as text. Maps are sorted, and all pointers have the same address.
- **`plugin`** is refused: the agent runs no programs for a template.
- **`sprig_genPrivateKey \"dsa\"`** is refused: nothing takes such keys any more. rsa, ecdsa and ed25519 are made.
- **`sprig_urlJoin`** refuses a user or password with a character that has to be escaped there, such as `/`, `?` or `#`,
  where sprig leaves both out without a word: escape them, `sprig_replace \"/\" \"%2F\"`.
- **`env`** knows where Vault is by the names of both agents, `VAULT_ADDR` and `BAO_ADDR` and so on.
- **Limits.** A render ends with an error after ten million steps, about two seconds of work, with more than 8 MiB of
  output or of one text, or when all that it holds at one time is more than 32 MiB. Templates may call each other some
  fifty thousand levels deep.
";

#[test]
fn the_list_of_template_functions_is_the_table() {
    let mut text = "<!-- Written by tests/it/documents.rs: change the tables in src/domain/template. -->\n\n\
         # Template functions\n\n\
         Go's own, consul-template's, and sprig's with the prefix `sprig_`. `…` means that the last\n\
         argument may be given several times. A function that is not here makes the template fail with its name and place.\n"
        .to_owned();
    let all = list_functions();
    let (sprig, own): (Vec<_>, Vec<_>) = all.iter().partition(|row| row.name.starts_with("sprig_"));
    for (title, rows) in [("Go and consul-template", own), ("Sprig", sprig)] {
        write!(
            text,
            "\n## {title}\n\n| function | arguments | what it gives | example |\n|---|---|---|---|\n"
        )
        .unwrap();
        for FunctionDoc { name, parameters, doc, examples } in rows {
            let examples = examples.iter().map(|(template, output)| {
                format!("{} gives {}", fenced(template), fenced(&output.replace('\n', "⏎")))
            });
            let examples: Vec<String> = examples.collect();
            let examples = cell(&examples.join("; "));
            writeln!(text, "| `{name}` | {parameters} | {} | {examples} |", cell(doc)).unwrap();
        }
    }
    text.push_str(DIFFERENCES);
    check_generated("template-functions.md", &text);
}

#[test]
fn the_list_of_the_webhooks_options_is_its_help() {
    let program = Program::new(env!("CARGO_BIN_EXE_vault-injector"), &["webhook", "--help"]);
    let told = program.run(LIMIT);
    let mut text = "<!-- Written by tests/it/documents.rs: change the table in src/cli/webhook.rs. -->\n\n\
         # Options of the webhook\n\n\
         Names and values are those of `vault-k8s agent-inject`, and two of our own: `AGENT_INJECT_AGENT` and\n\
         `AGENT_INJECT_SERVICE_ACCOUNT_DIR`. The variable beats the flag; an empty variable counts as unset. Wrong values end the process with exit code 2, all\n\
         of them named. Other formats of the log and older versions of TLS are a warning, as old manifests have them; a mount of the\n\
         login method that is none is refused with each pod.\n\n\
         | variable | flag | what it says |\n|---|---|---|\n"
        .to_owned();
    // Names stand two columns from the margin, what is said of them six, each over as many lines as it takes.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines = told.out.lines().skip_while(|line| !line.starts_with("  -"));
    let mut rows: Vec<(String, String)> = Vec::new();
    for line in lines {
        let is_text = line.starts_with("      ");
        match rows.last_mut() {
            Some((_, doc)) if is_text => *doc = words(&format!("{doc} {line}")),
            Some((names, doc)) if doc.is_empty() => *names = words(&format!("{names} {line}")),
            _ => rows.push((words(line), String::new())),
        }
    }
    let count = rows.len();
    for (names, doc) in rows {
        let (flag, variable) = names.split_once(", ").unwrap_or(("", &names));
        assert!(variable.starts_with("AGENT_INJECT_") && !doc.is_empty(), "{names}: {doc}");
        writeln!(text, "| `{variable}` | {} | {} |", code(flag), cell(&doc)).unwrap();
    }
    assert!(count > 30, "{}", told.out);
    check_generated("webhook-options.md", &text);
}

/// The text of all source files below these folders of `src`.
fn sources(folders: &[&str]) -> String {
    let mut waiting: Vec<_> = folders
        .iter()
        .map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder))
        .collect();
    let mut text = String::new();
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                text += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

#[test]
fn operations_explains_every_warning_and_error_of_the_log() {
    let document = file("docs/operations.md");
    let spans: Vec<&str> = document.split('`').skip(1).step_by(2).collect();
    let source = sources(&["cli", "run"]);
    let calls =
        [".warn(", ".warn_of(", ".error("].into_iter().flat_map(|call| source.split(call).skip(1));
    let messages: Vec<&str> = calls
        .filter_map(|rest| rest.trim_start().strip_prefix('"'))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(messages.len() > 20, "{messages:?}");
    let lacking: Vec<&&str> = messages
        .iter()
        .filter(|message| {
            !spans.iter().any(|span| match span.strip_suffix('…') {
                Some(start) => message.starts_with(start),
                None => *span == **message,
            })
        })
        .collect();
    assert!(lacking.is_empty(), "not in docs/operations.md: {lacking:#?}");
}

/// Whether a row of a table begins with this name, or with several of which it is one.
fn documented(document: &str, name: &str) -> bool {
    let mut first =
        document.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    first.any(|cell| cell.split(", ").any(|own| own == format!("`{name}`")))
}

#[test]
fn operations_explains_every_metric() {
    let document = file("docs/operations.md");
    let source = file("src/telemetry/metrics.rs");
    let code = source.split("#[cfg(test)]").next().unwrap();
    let names = code
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|text| text.starts_with("vault_") || text.starts_with("process_"));
    let names: std::collections::BTreeSet<&str> = names.collect();
    assert!(names.len() > 10, "{names:?}");
    let lacking: Vec<&&str> = names.iter().filter(|name| !documented(&document, name)).collect();
    assert!(lacking.is_empty(), "not in docs/operations.md: {lacking:?}");
}
