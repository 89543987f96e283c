//! The mode `render`: a template, or secrets in a format, once or at every change.

mod canned;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use crate::adapter::clock::Clock;
use crate::adapter::vault::VaultClient;
use crate::adapter::{entropy, files, interfaces, manifest};
use crate::base::json::Json;
use crate::base::near::near;
use crate::base::report::OneLine;
use crate::base::secret::{Secret, SecretBytes};
use crate::base::time::Mono;
use crate::domain::agent_config::{Client, Environment};
use crate::domain::format::{self, Format, FormatError, tiny};
use crate::domain::inject::secrets::default_text;
use crate::domain::template::excerpt::excerpt;
use crate::domain::template::{FileWrite, Found, Outcome, Snapshot, Template, TemplateError, Want};
use crate::domain::vault::MountTable;
use crate::run::fetching::{self, Circumstances, Fetcher};
use crate::run::file_writes;
use crate::run::limits::{self, FILE_BYTES_MAX, RENDER, RENDER_PASSES_MAX};

/// What to do.
pub(crate) struct Options {
    /// Where secrets come from.
    pub(crate) source: Source,
    /// What is rendered.
    pub(crate) what: What,
    /// Go's `missingkey=error`.
    pub(crate) error_on_missing_key: bool,
    /// Empty for `{{`.
    pub(crate) left_delimiter: String,
    /// Empty for `}}`.
    pub(crate) right_delimiter: String,
    /// Whether `writeToFile` writes; else it is only said what it would write.
    pub(crate) writes_files: bool,
    /// The file to write, instead of standard output.
    pub(crate) output: Option<String>,
    /// Render again at every change, and read secrets without a lease again so often.
    pub(crate) watch: Option<Duration>,
}

/// What is rendered.
pub(crate) enum What {
    /// Secrets, one after the other.
    Secrets(Vec<String>, Form),
    /// A Go template in a file; `-` is standard input.
    Template(String),
    /// A tinytemplate in a file, with the fields of a secret.
    Tiny(String, String),
}

/// How a secret is written that has no template.
pub(crate) enum Form {
    /// As `agent-inject-format-N` says.
    Format(Format),
    /// The default template `json`.
    Json,
    /// The default template `map`.
    Map,
}

/// Where secrets come from.
pub(crate) enum Source {
    /// A file with all that the template can see.
    Data(String),
    /// A Vault.
    Live {
        /// How to reach it, and as whom.
        client: Box<Client>,
        /// What `env` and its kin see.
        env: Environment,
        /// Holds the token if the environment does not: where Vault's command line leaves it.
        token_file: Option<String>,
    },
}

/// What a person gets to see.
pub(crate) enum Told<'t> {
    /// What was rendered.
    Output(&'t SecretBytes),
    /// Whole lines beside it.
    Words(&'t str),
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    /// The template, or what it asked for.
    Failed,
    /// The command line or a file that it names.
    Usage,
}

/// Why there is no text: whole lines.
struct Failure {
    end: End,
    text: String,
}

impl Failure {
    fn of(line: impl std::fmt::Display) -> Self {
        Self { end: End::Failed, text: format!("{line}\n") }
    }

    fn usage(line: impl std::fmt::Display) -> Self {
        Self { end: End::Usage, text: format!("{line}\n") }
    }
}

/// Renders, once or until a signal.
pub(crate) fn run(options: &Options, tell: &dyn Fn(Told<'_>)) -> End {
    let mut session = match Session::open(options) {
        Ok(session) => session,
        Err(failure) => {
            tell(Told::Words(&failure.text));
            return failure.end;
        }
    };
    if let Some(interval) = options.watch {
        return watch::run(&mut session, interval, tell);
    }
    match session.render(tell).and_then(|output| session.deliver(&output, tell)) {
        Ok(()) => End::Done,
        Err(failure) => {
            tell(Told::Words(&failure.text));
            failure.end
        }
    }
}

/// One thing to render.
enum Piece {
    Format(Want, Format),
    Go { name: String, text: String, template: Box<Template> },
    Tiny { name: String, text: String, want: Want },
}

/// A Vault, and as whom it is asked.
struct Live {
    fetcher: Fetcher,
    mounts: MountTable,
    token: Option<Secret>,
}

struct Session<'o> {
    options: &'o Options,
    clock: Clock,
    /// `None` with canned data.
    live: Option<Live>,
    snapshot: Snapshot,
    /// When what is in the snapshot came.
    fetched: BTreeMap<Want, Mono>,
    /// What the last render asked for.
    used: BTreeSet<Want>,
    /// What it is to write beside its text.
    writes: Vec<FileWrite>,
    /// What was written so, or told, the last time.
    written: Vec<FileWrite>,
    /// Default templates were shown.
    is_told: bool,
}

impl<'o> Session<'o> {
    fn open(options: &'o Options) -> Result<Self, Failure> {
        let clock = Clock::start();
        let (live, snapshot) = match &options.source {
            Source::Data(file) => (None, canned::read(file).map_err(Failure::usage)?),
            Source::Live { client, env, token_file } => {
                let token = client.token.clone().or_else(|| read_token(token_file.as_deref()?));
                let connection =
                    VaultClient::connect(&client.connection, limits::VAULT_CLIENT, clock);
                let connection = connection.map_err(|e| Failure::usage(OneLine(&e)))?;
                let fetcher =
                    Fetcher { client: connection, namespace: client.namespace.clone(), clock };
                let snapshot = Snapshot {
                    env: env.clone(),
                    seed: entropy::seed().ok(),
                    ..Snapshot::default()
                };
                (Some(Live { fetcher, mounts: MountTable::default(), token }), snapshot)
            }
        };
        let (fetched, used) = (BTreeMap::new(), BTreeSet::new());
        let (writes, written) = (Vec::new(), Vec::new());
        let is_told = false;
        Ok(Self { options, clock, live, snapshot, fetched, used, writes, written, is_told })
    }

    /// The files that the command line names.
    fn files(&self) -> Vec<&'o str> {
        let data = if let Source::Data(file) = &self.options.source { Some(file) } else { None };
        let template = match &self.options.what {
            What::Template(file) | What::Tiny(file, _) => Some(file),
            What::Secrets(..) => None,
        };
        data.into_iter().chain(template).map(String::as_str).collect()
    }

    /// Reads what is to be rendered, and says what stands for a secret without a template.
    fn pieces(&self, tell: &dyn Fn(Told<'_>)) -> Result<Vec<Piece>, Failure> {
        let read = |file: &str| manifest::read(file, FILE_BYTES_MAX).map_err(Failure::usage);
        match &self.options.what {
            What::Template(file) => Ok(vec![self.go(file.clone(), read(file)?)?]),
            What::Tiny(file, secret) => {
                let want = Want::Read { path: canned::trimmed(secret) };
                Ok(vec![Piece::Tiny { name: file.clone(), text: read(file)?, want }])
            }
            What::Secrets(paths, form) => paths
                .iter()
                .map(|path| match form {
                    Form::Format(format) => Ok(Piece::Format(
                        Want::Read { path: canned::trimmed(path) },
                        format.clone(),
                    )),
                    Form::Json | Form::Map => {
                        let is_json = matches!(form, Form::Json);
                        let name = if is_json { "json" } else { "map" };
                        let text = default_text(path, is_json, self.delimiters());
                        if !self.is_told {
                            let name = format!("the default template \"{name}\"");
                            let words = format!("# {path}: {name} is\n{text}\n# and gives\n");
                            tell(Told::Words(&words));
                        }
                        self.go(format!("{path} ({name})"), text)
                    }
                })
                .collect(),
        }
    }

    fn delimiters(&self) -> (&str, &str) {
        let or = |given: &'o str, usual: &'static str| if given.is_empty() { usual } else { given };
        (or(&self.options.left_delimiter, "{{"), or(&self.options.right_delimiter, "}}"))
    }

    fn go(&self, name: String, text: String) -> Result<Piece, Failure> {
        let (left, right) = self.delimiters();
        match Template::parse(&name, &text, left, right, RENDER) {
            Ok(template) => Ok(Piece::Go { name, text, template: Box::new(template) }),
            Err(error) => Err(located(&name, &text, &error)),
        }
    }

    /// Renders everything, fetching what was lacking.
    fn render(&mut self, tell: &dyn Fn(Told<'_>)) -> Result<SecretBytes, Failure> {
        self.used.clear();
        self.writes.clear();
        if self.live.is_some() {
            self.snapshot.now = Some(self.clock.wall());
        }
        let mut output = Vec::new();
        let pieces = self.pieces(tell)?;
        let sees_interfaces = |piece: &Piece| matches!(piece, Piece::Go { template, .. } if template.may_see_interfaces());
        if self.live.is_some() && pieces.iter().any(sees_interfaces) {
            self.snapshot.interfaces = interfaces::all();
        }
        self.is_told = true;
        let rendered = pieces.iter().try_for_each(|piece| {
            let text = self.settle(piece)?;
            output.extend_from_slice(text.expose());
            Ok(())
        });
        let output = SecretBytes::new(output);
        if let Source::Data(file) = &self.options.source {
            let missing = canned::missing(file, &self.used, &self.snapshot);
            if rendered.is_ok() && !missing.is_empty() {
                // A template may do without; who names a secret wants that one.
                if matches!(self.options.what, What::Secrets(..)) {
                    return Err(Failure { end: End::Failed, text: missing });
                }
                tell(Told::Words(&missing));
            }
            return rendered.map(|()| output).map_err(|failure: Failure| Failure {
                text: format!("{}{missing}", failure.text),
                ..failure
            });
        }
        rendered.map(|()| output)
    }

    /// Renders one piece, fetches what was lacking, renders again.
    fn settle(&mut self, piece: &Piece) -> Result<SecretBytes, Failure> {
        for _pass in 0..RENDER_PASSES_MAX {
            let lacking = match piece {
                Piece::Format(want, format) => match self.fields(want) {
                    Ok(data) => return written(want.path(), format, &data),
                    Err(lacking) => lacking?,
                },
                Piece::Tiny { name, text, want } => match self.fields(want) {
                    Ok(data) => {
                        let done = tiny::render(text, &data).map(|text| SecretBytes::from(&text));
                        return done.map_err(|error| tiny_failure(name, text, &error));
                    }
                    Err(lacking) => lacking?,
                },
                Piece::Go { name, text, template } => {
                    let is_strict = self.options.error_on_missing_key;
                    match template.render(&self.snapshot, is_strict, RENDER) {
                        Outcome::Done(rendered) => {
                            self.used.extend(rendered.used.iter().cloned());
                            self.writes.extend(rendered.writes);
                            return Ok(rendered.text);
                        }
                        Outcome::Fail(error, used) => {
                            self.used.extend(used);
                            return Err(located(name, text, &error));
                        }
                        Outcome::Lack { lacking, .. } => lacking,
                    }
                }
            };
            for want in lacking {
                let found = self.fetch(&want).map_err(|line| match piece {
                    Piece::Go { name, .. } | Piece::Tiny { name, .. } => {
                        Failure::of(format!("{name}: {line}"))
                    }
                    Piece::Format(..) => Failure::of(line),
                })?;
                self.fetched.insert(want.clone(), self.clock.now());
                self.snapshot.found.insert(want, found);
            }
        }
        Err(Failure::of(format!(
            "asks for other secrets each time, {RENDER_PASSES_MAX} times so far"
        )))
    }

    /// The data of a secret; else what is to be fetched, or that there is none.
    fn fields(&mut self, want: &Want) -> Result<Json, Result<BTreeSet<Want>, Failure>> {
        self.used.insert(want.clone());
        match self.snapshot.found.get(want) {
            Some(Found::Reading(reading)) if self.snapshot.complete => {
                Ok(canned::with_version(&reading.data))
            }
            Some(Found::Reading(reading)) => Ok(reading.data.clone()),
            None if !self.snapshot.complete => Err(Ok(BTreeSet::from([want.clone()]))),
            _ => Err(Err(Failure::of(format!("no secret {:?}", want.path())))),
        }
    }

    fn fetch(&mut self, want: &Want) -> Result<Found, String> {
        if let Want::File { path, sandbox } = want {
            return fetching::read_file(path, sandbox.as_deref());
        }
        let Some(Live { fetcher, mounts, token }) = &mut self.live else {
            return Err(format!("{want}: not found"));
        };
        let token = token.as_ref();
        fetch(fetcher, mounts, token, want).map_err(|failure| match token {
            Some(_) => failure.reason.to_string(),
            None => {
                format!(
                    "{}; VAULT_TOKEN is not set and ~/.vault-token is not there",
                    failure.reason
                )
            }
        })
    }

    /// Prints the text, or puts it into the file, and writes or tells what goes beside it.
    fn deliver(&mut self, output: &SecretBytes, tell: &dyn Fn(Told<'_>)) -> Result<(), Failure> {
        if self.options.writes_files {
            let is_repeat = self.writes == self.written;
            file_writes::carry_out(&self.writes, None, is_repeat).map_err(Failure::of)?;
        } else {
            for write in &self.writes {
                tell(Told::Words(&format!("{}\n", file_writes::described(write))));
            }
        }
        self.written.clone_from(&self.writes);
        let Some(file) = &self.options.output else {
            tell(Told::Output(output));
            return Ok(());
        };
        let path = Path::new(file);
        // Others may read a new file only once its owner says so.
        let mode = if path.exists() { None } else { Some(0o600) };
        let replaced = files::replace(path, output.expose(), mode, false);
        replaced.map(drop).map_err(Failure::of)
    }
}

/// One secret or list.
fn fetch(
    fetcher: &Fetcher,
    mounts: &mut MountTable,
    token: Option<&Secret>,
    want: &Want,
) -> Result<Found, fetching::Failure> {
    let mount = match mounts.of(want.path()) {
        _ if matches!(want, Want::Certificate { .. }) => fetching::ANY_MOUNT,
        Some(mount) => mount.clone(),
        None => {
            let mount = fetcher.look_up_mount(token, want)?;
            mounts.insert(mount.clone());
            mount
        }
    };
    let known = Circumstances { explain: true, ..Circumstances::default() };
    fetcher.fetch(token, want, &mount, known)
}

/// The token that Vault's command line left, if it left one.
fn read_token(path: &str) -> Option<Secret> {
    let bytes = files::read_bounded(Path::new(path), FILE_BYTES_MAX).ok()?;
    Some(Secret::new(std::str::from_utf8(&bytes).ok()?.trim())).filter(|token| !token.is_empty())
}

/// A secret in a format that needs no template.
fn written(path: &str, format: &Format, data: &Json) -> Result<SecretBytes, Failure> {
    format::render(format, data).map(|text| SecretBytes::from(&text)).map_err(|error| {
        let mut line = format!("{path}: {}", OneLine(&error));
        if let (FormatError::MissingKey { key }, Ok(fields)) = (&error, format::fields(data))
            && let Some(names) = near(key, fields.keys().map(String::as_str))
        {
            line.push_str(&format!(", did you mean {names}?"));
        }
        Failure::of(line)
    })
}

/// `FILE:line:column: message`, the line with a caret, and what may help.
fn located(name: &str, text: &str, error: &TemplateError) -> Failure {
    let TemplateError { line, column, message, note, .. } = error;
    let mut told = format!("{name}:{line}:{column}: {message}\n");
    told.push_str(&excerpt(text, *line, *column));
    if let Some(note) = note {
        match note.place {
            None => told.push_str(&format!("{}\n", note.text)),
            Some((line, column)) => {
                told.push_str(&format!("{} at {line}:{column}\n", note.text));
                told.push_str(&excerpt(text, line, column));
            }
        }
    }
    Failure { end: End::Failed, text: told }
}

/// The same for the other language, which counts columns in bytes.
fn tiny_failure(name: &str, text: &str, error: &tiny::TinyError) -> Failure {
    let (line, column, message) = match error {
        tiny::TinyError::Compile { line, column, message } => (*line, *column, message.clone()),
        tiny::TinyError::Evaluate { line, column, tag, reason } => {
            (*line, *column, format!("{reason} at {tag:?}"))
        }
        other => return Failure::of(format!("{name}: {}", OneLine(other))),
    };
    let row = text.split('\n').nth(line.saturating_sub(1)).unwrap_or_default();
    let before = row.get(..column.saturating_sub(1)).unwrap_or(row);
    let column = before.chars().count() + 1;
    let shown = excerpt(text, line, column);
    Failure { end: End::Failed, text: format!("{name}:{line}:{column}: {message}\n{shown}") }
}
