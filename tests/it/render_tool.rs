//! `render` as a person uses it: what errors show, secrets without a template, watching.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use vault_injector::base::json::Json;
use vault_injector::base::time::Wall;
use vault_injector::domain::template::{
    Budget, Found, Outcome, Seed, Snapshot, Template, Want, list_functions,
};
use vault_injector::domain::vault::Reading;

use crate::support::fake_vault::{FakeVault, Role};
use crate::support::program::{Finished, Program, Running, wait_until};
use crate::support::temp_dir::TempDir;

const LIMIT: Duration = Duration::from_secs(20);

/// A KV 2 secret with a few keys, as Vault answers.
const DATA: &str = r#"{"secrets": {"secret/data/db": {"data": {
    "data": {"password": "p'w", "port": 5432, "user": "web"}, "metadata": {"version": 3}}}},
    "lists": {"secret/": ["b", "a"]}, "files": {"/etc/motd": "hello"}, "env": {"STAGE": "test"}, "now": 0}"#;

fn program(words: &[&str]) -> Program {
    let words: Vec<&str> = std::iter::once("render").chain(words.iter().copied()).collect();
    Program::new(env!("CARGO_BIN_EXE_vault-injector"), &words)
}

struct Place {
    folder: TempDir,
    data: String,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new("render-tool");
        let data = folder.write("data.json", DATA).to_str().unwrap().to_owned();
        Self { folder, data }
    }

    fn file(&self, name: &str, text: &str) -> String {
        self.folder.write(name, text).to_str().unwrap().to_owned()
    }

    fn render(&self, words: &[&str]) -> Finished {
        let words: Vec<&str> =
            ["--data", &self.data].into_iter().chain(words.iter().copied()).collect();
        program(&words).run(LIMIT)
    }

    /// What standard error says of a template that fails, without the file's name.
    fn error(&self, text: &str) -> String {
        let file = self.file("t", text);
        let done = self.render(&[&file]);
        assert_eq!((done.code(), done.out.as_str()), (1, ""), "{text}: {}", done.err);
        done.err.strip_prefix(&format!("{file}:")).unwrap_or(&done.err).to_owned()
    }
}

#[test]
fn errors_show_the_line_and_what_may_help() {
    let place = Place::new();
    for (text, want) in [
        (
            "a\n\t{{ secert \"x\" }}",
            "2:5: function \"secert\" not defined\n  2 | \t{{ secert \"x\" }}\n    | \t   ^\n\
             did you mean \"secret\" or \"secrets\"?\n",
        ),
        (
            "{{ if true }}\nx",
            "2:2: unexpected EOF\n  2 | x\n    |  ^\nno {{end}} for the if at 1:4\n  1 | {{ if true }}\n    |    ^\n",
        ),
        (
            "{{ range 2 }}{{ with 1 }}{{ end }}",
            "1:35: unexpected EOF\n  1 | {{ range 2 }}{{ with 1 }}{{ end }}\n    |                                   ^\n\
             no {{end}} for the range at 1:4\n  1 | {{ range 2 }}{{ with 1 }}{{ end }}\n    |    ^\n",
        ),
        (
            "x\n{{ print (add 1 2 }}",
            "2:19: unclosed left paren\n  2 | {{ print (add 1 2 }}\n    |                   ^\n\
             the parenthesis opens at 2:10\n  2 | {{ print (add 1 2 }}\n    |          ^\n",
        ),
        (
            "{{ print 1\nmore",
            "2:1: function \"more\" not defined\n  2 | more\n    | ^\nthe action opens at 1:1\n  1 | {{ print 1\n    | ^\n",
        ),
        (
            "{{ print 1",
            "1:11: unclosed action\n  1 | {{ print 1\n    |           ^\nthe action opens at 1:1\n  1 | {{ print 1\n    | ^\n",
        ),
        (
            "{{ $user := 1 }}{{ $usr }}",
            "1:20: undefined variable \"$usr\"\n  1 | {{ $user := 1 }}{{ $usr }}\n    |                    ^\n\
             did you mean \"$user\"?\n",
        ),
    ] {
        assert_eq!(place.error(text), want, "{text}");
    }
}

#[test]
fn a_secret_that_canned_data_lacks_is_named() {
    let place = Place::new();
    let near = format!("no secret \"secret/dc\" in {}, did you mean \"secret/db\"?\n", place.data);
    let error = place.error("{{ len (secret \"secret/dc\") }}");
    assert!(error.ends_with(&near) && error.lines().count() == 4, "{error}");
    // Where the template can do without, it is a word beside the text.
    let file = place.file("t", "[{{ with secret \"secret/dc\" }}x{{ end }}{{ file \"/etc/motd\" }}{{ file \"/x\" }}{{ secrets \"secret\" }}]");
    let done = place.render(&[&file]);
    let none = format!("no file \"/x\" in {}, which has \"/etc/motd\"\n", place.data);
    assert_eq!((done.code(), done.out.as_str()), (0, "[hello[a b]]"), "{}", done.err);
    assert_eq!(done.err, format!("{none}{near}"));
}

#[test]
fn a_secret_that_is_named_and_not_there_fails_in_every_format() {
    let place = Place::new();
    for format in ["map", "json", "env", "dotenv", "properties", "yaml", "raw:password"] {
        let done = place.render(&["--secret", "secret/none", "--format", format]);
        assert_eq!((done.code(), done.out.as_str()), (1, ""), "{format}: {}", done.err);
        assert!(done.err.contains("no secret \"secret/none\""), "{format}: {}", done.err);
    }
}

#[test]
fn a_secret_is_written_without_a_template() {
    let place = Place::new();
    let secret = ["--secret", "secret/data/db"];
    for (format, want) in [
        ("env", "export password='p'\\''w'\nexport port='5432'\nexport user='web'\n"),
        ("dotenv", "password=\"p'w\"\nport=\"5432\"\nuser=\"web\"\n"),
        ("properties", "password=p'w\nport=5432\nuser=web\n"),
        ("yaml", "password: p'w\nport: 5432\nuser: web\n"),
        ("raw:password", "p'w"),
    ] {
        let done = place.render(&[&secret[..], &["--format", format]].concat());
        assert_eq!((done.code(), done.out.as_str(), done.err.as_str()), (0, want, ""), "{format}");
    }
    let done = place.render(&secret);
    let template = "{{ with secret \"secret/data/db\" }}{{ range $k, $v := .Data }}{{ $k }}: {{ $v }}\n{{ end }}{{ end }}";
    assert_eq!(done.out, "data: map[password:p'w port:5432 user:web]\nmetadata: map[version:3]\n");
    assert!(done.err.contains(&format!("is\n{template}\n")), "{}", done.err);
    let done = place.render(&[&secret[..], &["--format", "json"], &secret].concat());
    let one = "{\"data\":{\"password\":\"p'w\",\"port\":5432,\"user\":\"web\"},\"metadata\":{\"version\":3}}\n";
    assert_eq!(done.out, [one, one].concat(), "{}", done.err);

    let done = place.render(&[&secret[..], &["--format", "raw:pasword"]].concat());
    assert_eq!((done.code(), done.out.as_str()), (1, ""));
    assert!(done.err.contains("no key \"pasword\", did you mean \"password\"?"), "{}", done.err);

    let tiny = place.file("tiny", "postgres://{user}@db:{port}\n");
    let engine = ["--engine", "tinytemplate"];
    let done = place.render(&[&secret[..], &engine, &[&tiny]].concat());
    assert_eq!((done.code(), done.out.as_str()), (0, "postgres://web@db:5432\n"), "{}", done.err);
    let broken = place.file("broken", "é {nope}");
    let done = place.render(&[&secret[..], &engine, &[&broken]].concat());
    assert_eq!((done.code(), done.out.as_str()), (1, ""));
    assert!(done.err.starts_with(&format!("{broken}:1:")), "{}", done.err);
    assert!(done.err.contains("  1 | é {nope}\n    |    ^"), "{}", done.err);
}

#[test]
fn a_wrong_command_line_is_told_at_once() {
    let place = Place::new();
    let file = place.file("t", "");
    for (words, clause) in [
        (vec![], "nothing to render"),
        (vec![file.as_str(), "--format", "env"], "--format: is for --secret"),
        (vec![file.as_str(), "--secret", "a"], "names its secrets itself"),
        (vec!["--secret", "a", "--format", "xml"], "want map, json, env"),
        (vec!["--engine", "jinja", file.as_str()], "want go or tinytemplate"),
        (vec!["--engine", "tinytemplate", file.as_str()], "want one --secret"),
        (vec!["--watch", "-"], "standard input does not change"),
        (vec!["/not/there"], "/not/there"),
        (vec!["--interval", "0s", file.as_str()], "more than 0s"),
    ] {
        let done = place.render(&words);
        assert_eq!((done.code(), done.out.as_str()), (2, ""), "{words:?}");
        assert!(done.err.contains(clause), "{words:?}: {}", done.err);
    }
}

#[test]
fn the_token_of_the_command_line_counts_without_a_variable() {
    let vault = FakeVault::start();
    vault.put("secret/db", json!({ "user": "web" }));
    let token = vault.token(&Role::default());
    let home = TempDir::new("render-home");
    let words = ["--secret", "secret/db", "--format", "raw:user"];
    let run = |home: &Path| {
        let program = program(&words).env("VAULT_ADDR", vault.address());
        program.env("HOME", home.to_str().unwrap()).run(LIMIT)
    };
    let done = run(home.path());
    assert_eq!(done.code(), 1);
    assert!(done.err.contains("VAULT_TOKEN is not set"), "{}", done.err);
    home.write(".vault-token", format!("{token}\n"));
    let done = run(home.path());
    assert_eq!((done.code(), done.out.as_str()), (0, "web"), "{}", done.err);
}

/// Ends a watch as Ctrl-C does.
fn interrupt(mut watch: Running) -> Finished {
    watch.signal(libc::SIGINT);
    watch.finish(LIMIT)
}

#[test]
fn a_watch_follows_its_files_and_survives_errors() {
    let place = Place::new();
    let file = place.file("t", "one {{ (secret \"secret/data/db\").Data.data.user }}\n");
    let watch = program(&["--watch", "--data", &place.data, &file]).start();
    assert!(wait_until(LIMIT, || watch.out() == "one web\n"), "{}{}", watch.out(), watch.err());
    place.file("t", "two {{ nope }}\n");
    assert!(watch.wait_for_err("t:1:8: function \"nope\" not defined", LIMIT), "{}", watch.err());
    place.file("t", "three {{ (secret \"secret/data/db\").Data.data.user }}\n");
    assert!(wait_until(LIMIT, || watch.out().ends_with("three web\n")), "{}", watch.err());
    place.file("data.json", "{");
    assert!(watch.wait_for_err("data.json: ", LIMIT), "{}", watch.err());
    place.file("data.json", &DATA.replace("\"web\"", "\"new\""));
    assert!(wait_until(LIMIT, || watch.out().ends_with("three new\n")), "{}", watch.err());
    let done = interrupt(watch);
    assert_eq!(
        (done.code(), done.out.as_str()),
        (0, "one web\nthree web\nthree new\n"),
        "{}",
        done.err
    );
}

#[test]
fn a_watch_follows_vault_and_included_files() {
    let vault = FakeVault::start();
    vault.put("secret/db", json!({ "user": "one" }));
    let place = Place::new();
    let included = place.file("included", "A");
    let text =
        format!("{{{{ file {included:?} }}}} {{{{ (secret \"secret/db\").Data.data.user }}}}\n");
    let file = place.file("t", &text);
    let output = place.folder.join("out");
    let words = ["--watch", "--interval", "200ms", "-o", output.to_str().unwrap(), &file];
    let watch = program(&words)
        .env("VAULT_ADDR", vault.address())
        .env("VAULT_TOKEN", vault.token(&Role::default()))
        .start();
    let holds = |want: &str| {
        let read = || std::fs::read_to_string(&output).unwrap_or_default();
        assert!(
            wait_until(LIMIT, || read() == want),
            "want {want:?}, {:?}: {}",
            read(),
            watch.err()
        );
    };
    holds("A one\n");
    vault.put("secret/db", json!({ "user": "two" }));
    holds("A two\n");
    place.file("included", "B");
    holds("B two\n");
    vault.deny("secret/data/db");
    assert!(watch.wait_for_err("lacks read on secret/data/db", LIMIT), "{}", watch.err());
    holds("B two\n");
    let done = watch.terminate(LIMIT);
    assert_eq!((done.code(), done.out.as_str()), (0, ""), "{}", done.err);
}

#[test]
fn functions_explain_themselves() {
    let done = program(&["--functions", "REGEXREPLACEALL"]).run(LIMIT);
    assert_eq!(done.code(), 0);
    let lines: Vec<&str> = done.out.lines().filter(|line| !line.starts_with(' ')).collect();
    assert!(lines.contains(&"regexReplaceAll text text text"), "{}", done.out);
    assert!(lines.contains(&"sprig_regexReplaceAllLiteral text text text"), "{}", done.out);
    assert_eq!(program(&["--functions", "nosuch"]).run(LIMIT).code(), 1);
    assert!(program(&["--functions"]).run(LIMIT).out.lines().count() > 500);
}

/// What the examples of functions see.
fn snapshot() -> Snapshot {
    let response = r#"{"request_id":"7b","lease_id":"","lease_duration":2764800,"data":{"data":
        {"user":"web","password":"s3cr3t","port":5432},"metadata":{"version":3}}}"#;
    let reading = Reading::decode(&Json::parse(response.as_bytes()).unwrap()).unwrap();
    let (now, seed) = (Some(Wall(1_700_000_000_000)), Some(Seed::new([7; 32])));
    let mut snapshot = Snapshot { complete: true, now, seed, ..Snapshot::default() };
    let read = Want::Read { path: "secret/db".to_owned() };
    snapshot.found.insert(read, Found::Reading(Arc::new(reading)));
    let list = Want::List { path: "secret".to_owned() };
    snapshot.found.insert(list, Found::List(vec!["api".to_owned(), "db".to_owned()]));
    let file = Want::File { path: "/etc/hostname".to_owned(), sandbox: None };
    snapshot.found.insert(
        file,
        Found::File(vault_injector::base::secret::SecretBytes::new(b"pod-1".to_vec())),
    );
    snapshot.env.insert("HOME".to_owned(), "/root".to_owned());
    snapshot
}

#[test]
fn every_example_gives_what_it_says() {
    let budget = Budget { steps: 10_000_000, depth: 100, output_bytes: 1 << 20 };
    let mut wrong = Vec::new();
    let mut count = 0;
    for function in list_functions() {
        for (text, want) in function.examples {
            count += 1;
            assert!(text.contains(function.name), "{text} does not use {}", function.name);
            let got = match Template::parse("t", text, "", "", budget) {
                Err(error) => error.to_string(),
                Ok(template) => match template.render(&snapshot(), false, budget) {
                    Outcome::Done(done) => String::from_utf8_lossy(done.text.expose()).into_owned(),
                    Outcome::Fail(error, _) => error.to_string(),
                    Outcome::Lack { .. } => "lacks".to_owned(),
                },
            };
            if got != want {
                wrong.push(format!("{text}\n  want {want:?}\n  got  {got:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 200, "only {count} examples");
}
