//! The mode `render`: one template, once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::adapter::clock::Clock;
use crate::adapter::vault::VaultClient;
use crate::adapter::{entropy, files, manifest};
use crate::base::json::Json;
use crate::base::report::OneLine;
use crate::base::secret::{Secret, SecretBytes};
use crate::base::time::Wall;
use crate::domain::agent_config::{Client, Environment};
use crate::domain::template::{Found, Outcome, Snapshot, Template, TemplateError, Want};
use crate::domain::vault::{MountTable, Reading};
use crate::run::fetching::{self, Fetcher};
use crate::run::limits::{self, FILE_BYTES_MAX, RENDER, RENDER_PASSES_MAX};

/// What to do.
pub(crate) struct Options {
    /// Where secrets come from.
    pub(crate) source: Source,
    /// Go's `missingkey=error`.
    pub(crate) error_on_missing_key: bool,
    /// Empty for `{{`.
    pub(crate) left_delimiter: String,
    /// Empty for `}}`.
    pub(crate) right_delimiter: String,
    /// `-` is standard input.
    pub(crate) template: String,
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

/// Why there is no text: one line.
pub(crate) enum Failure {
    /// The template, or what it asked for.
    Template(String),
    /// The command line or a file that it names.
    Usage(String),
}

/// Renders the template.
pub(crate) fn run(options: &Options) -> Result<SecretBytes, Failure> {
    let text = manifest::read(&options.template, FILE_BYTES_MAX).map_err(Failure::Usage)?;
    let (left, right) = (&options.left_delimiter, &options.right_delimiter);
    let template = Template::parse(&options.template, &text, left, right, RENDER);
    let template = template.map_err(|error| options.failed(error))?;
    match &options.source {
        Source::Data(file) => {
            let mut snapshot = read_snapshot(file).map_err(Failure::Usage)?;
            options.settle(&template, &mut snapshot, |want| Err(format!("{want}: not found")))
        }
        Source::Live { client, env, token_file } => {
            let clock = Clock::start();
            let (env, now) = (env.clone(), Some(clock.wall()));
            let seed = entropy::seed().ok();
            let mut snapshot = Snapshot { env, now, seed, ..Snapshot::default() };
            let token = client.token.clone().or_else(|| read_token(token_file.as_deref()?));
            let connection = VaultClient::connect(&client.connection, limits::VAULT_CLIENT, clock);
            let connection = connection.map_err(|e| Failure::Usage(OneLine(&e).to_string()))?;
            let fetcher =
                Fetcher { client: connection, namespace: client.namespace.clone(), clock };
            let mut mounts = MountTable::default();
            options.settle(&template, &mut snapshot, |want| {
                if let Want::File { path } = want {
                    return fetching::read_file(path);
                }
                fetch(&fetcher, &mut mounts, token.as_ref(), want).map_err(|f| f.error)
            })
        }
    }
}

impl Options {
    /// Renders, fetches what was lacking, renders again.
    fn settle(
        &self,
        template: &Template,
        snapshot: &mut Snapshot,
        mut fetch: impl FnMut(&Want) -> Result<Found, String>,
    ) -> Result<SecretBytes, Failure> {
        let failed = |line| Failure::Template(format!("{}: {line}", self.template));
        for _pass in 0..RENDER_PASSES_MAX {
            match template.render(snapshot, self.error_on_missing_key, RENDER) {
                Outcome::Done(rendered) => return Ok(rendered.text),
                Outcome::Fail(error) => return Err(self.failed(error)),
                Outcome::Lack { lacking, .. } => {
                    for want in lacking {
                        let found = fetch(&want).map_err(failed)?;
                        snapshot.found.insert(want, found);
                    }
                }
            }
        }
        Err(failed(format!("asks for other secrets each time, {RENDER_PASSES_MAX} times so far")))
    }

    fn failed(&self, error: TemplateError) -> Failure {
        let TemplateError { line, column, message, .. } = error;
        Failure::Template(format!("{}:{line}:{column}: {message}", self.template))
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
    fetcher.fetch(token, want, &mount, (true, false))
}

/// The token that Vault's command line left, if it left one.
fn read_token(path: &str) -> Option<Secret> {
    let bytes = files::read_bounded(Path::new(path), FILE_BYTES_MAX).ok()?;
    Some(Secret::new(std::str::from_utf8(&bytes).ok()?.trim()))
}

fn read_snapshot(file: &str) -> Result<Snapshot, String> {
    let bytes = files::read_bounded(Path::new(file), FILE_BYTES_MAX).map_err(|e| e.to_string())?;
    let bytes = zeroize::Zeroizing::new(bytes);
    let json = Json::parse(&bytes).map_err(|e| format!("{file}: {e}"))?;
    snapshot(&json).map_err(|clause| format!("{file}: {clause}"))
}

/// `{"secrets": {PATH: response of Vault}, "lists": {PATH: [name]}, "env": {NAME: value}, "now": seconds}`.
/// What is not in it does not exist.
fn snapshot(data: &Json) -> Result<Snapshot, String> {
    let members = data.as_object().ok_or("want a JSON object")?;
    let seed = entropy::seed().ok();
    let mut snapshot = Snapshot { complete: true, seed, ..Snapshot::default() };
    for (key, value) in members {
        match key.as_str() {
            "secrets" => {
                for (path, response) in object(key, value)? {
                    let reading = Reading::decode(response)
                        .map_err(|clause| format!("secrets, {path:?}: {clause}"))?;
                    let path = trimmed(path);
                    snapshot.found.insert(Want::Read { path }, Found::Reading(Arc::new(reading)));
                }
            }
            "lists" => {
                for (path, names) in object(key, value)? {
                    let names = names.as_array().and_then(|names| {
                        names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
                    });
                    let mut names: Vec<String> =
                        names.ok_or_else(|| format!("lists, {path:?}: want an array of names"))?;
                    names.sort_unstable();
                    snapshot.found.insert(Want::List { path: trimmed(path) }, Found::List(names));
                }
            }
            "env" => {
                for (name, text) in object(key, value)? {
                    let text = text.as_str();
                    let text = text.ok_or_else(|| format!("env, {name:?}: want a string"))?;
                    snapshot.env.insert(name.clone(), text.to_owned());
                }
            }
            "now" => {
                let milliseconds = value.as_i64().and_then(|seconds| seconds.checked_mul(1000));
                snapshot.now = Some(Wall(milliseconds.ok_or("now: want whole seconds")?));
            }
            other => {
                let known = "secrets, lists, env and now";
                return Err(format!("unknown key {other:?}, there are {known}"));
            }
        }
    }
    Ok(snapshot)
}

fn object<'j>(key: &str, value: &'j Json) -> Result<&'j BTreeMap<String, Json>, String> {
    value.as_object().ok_or_else(|| format!("{key}: want a JSON object"))
}

/// As templates' paths are looked up.
fn trimmed(path: &str) -> String {
    path.trim().trim_matches('/').to_owned()
}
