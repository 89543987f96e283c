//! The files of a pod: which secrets its annotations declare, where each is written and what makes it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Flavor;
use super::annotations::{Key, Notes, TOKEN};
use super::commands::Command;
use super::problems::{LISTED_MAX, Problems, Shown};

/// One file that the agents keep.
pub(crate) struct SecretFile<'a> {
    pub(crate) body: Body<'a>,
    pub(crate) command: Command<'a>,
    pub(crate) destination: String,
    pub(crate) error_on_missing_key: bool,
    pub(crate) left_delimiter: &'a str,
    pub(crate) perms: &'a str,
    pub(crate) raw: &'a str,
    pub(crate) right_delimiter: &'a str,
}

/// What makes a file's content.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    /// A Go template.
    Contents(Cow<'a, str>),
    /// A format of the native agent.
    Format { secret: &'a str, format: &'a str },
    /// A Go template in a file of the agent.
    Source(&'a str),
    /// A tinytemplate of the native agent.
    Tiny { secret: &'a str, contents: &'a str },
}

/// All files, and the volumes that they need beside the default one.
pub(crate) struct Secrets<'a> {
    /// Sorted by raw name.
    pub(crate) files: Vec<SecretFile<'a>>,
    /// Mount path of `vault-secrets`.
    pub(crate) path: Cow<'a, str>,
    /// Mount paths of `vault-secrets-custom-0`, `-1`, …
    pub(crate) custom_paths: Vec<&'a str>,
}

impl Secrets<'_> {
    /// The file that gets the token itself, when one is wanted.
    pub(crate) fn token_file(&self, notes: &Notes<'_>) -> Option<String> {
        notes.flag(Key::InjectToken).then(|| clean_join(&self.path, TOKEN))
    }

    /// Whether there is a file of this raw name.
    pub(crate) fn declares(&self, raw: &str) -> bool {
        self.files.binary_search_by(|file| file.raw.cmp(raw)).is_ok()
    }
}

/// The formats that only the native agent has, as error texts list them.
const FORMATS: &str = "map, json, env, dotenv, properties, yaml, raw:KEY";

/// Files of one pod. All its annotations together have at most 256 KiB.
const FILES_MAX: usize = 1000;

/// Bytes of a path (`PATH_MAX` of Linux). The volume's path comes back with every file.
const PATH_BYTES_MAX: usize = 4096;

/// Bytes of one part of a path (`NAME_MAX` of Linux).
const NAME_BYTES_MAX: usize = 255;

/// Whether a path can be one.
fn fits(place: impl std::fmt::Display, path: &str, problems: &mut Problems) -> bool {
    let fits = path.len() <= PATH_BYTES_MAX;
    if !fits {
        problems.note(
            place,
            format_args!("longer than {PATH_BYTES_MAX} bytes, which no path may be: shorten it"),
        );
    }
    fits
}

/// Collects the files of a pod.
pub(crate) fn collect<'a>(
    notes: &Notes<'a>,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> Secrets<'a> {
    let mut secrets =
        Secrets { files: Vec::new(), path: notes.text(Key::VolumePath), custom_paths: Vec::new() };
    if !fits(Key::VolumePath, &secrets.path, problems) {
        secrets.path = Cow::Borrowed("");
    }
    let declaring = [Key::SecretPath, Key::Template, Key::TemplateFile];
    let mut names: Vec<&str> = notes
        .families()
        .filter(|(key, _, value)| declaring.contains(key) && !value.trim().is_empty())
        .map(|(_, raw, _)| raw)
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.len() > FILES_MAX {
        problems.note(
            Key::SecretPath,
            format_args!(
                "more than {FILES_MAX} files in one pod: write fewer, larger ones by templates"
            ),
        );
        names.truncate(FILES_MAX);
    }
    let mut places = BTreeSet::from([clean_join("/", &secrets.path)]);
    for raw in &names {
        let own = own_path(notes, raw, problems);
        if let Some(path) = own
            && places.insert(clean_join("/", path))
        {
            secrets.custom_paths.push(path);
        }
        let folder = own.unwrap_or(&secrets.path);
        let destination = destination(notes, raw, folder, problems, warnings);
        secrets.files.push(SecretFile {
            body: body(notes, raw, problems),
            command: Command::read(notes, raw),
            destination,
            error_on_missing_key: notes
                .named(Key::ErrorOnMissingKey, raw)
                .is_some_and(|text| super::value::parse_bool(text) == Some(true)),
            left_delimiter: delimiter(notes, Key::LeftDelim, raw, "{{"),
            perms: notes.named(Key::Perms, raw).unwrap_or(""),
            raw,
            right_delimiter: delimiter(notes, Key::RightDelim, raw, "}}"),
        });
    }
    for (key, raw, _) in notes.families().filter(|(_, raw, _)| !secrets.declares(raw)) {
        match key {
            Key::Perms if raw == TOKEN && notes.flag(Key::InjectToken) => {}
            Key::Engine | Key::Format => {
                problems.note(key.of(raw), format_args!("needs {}", Key::SecretPath.of(raw)));
            }
            // Case counts, and pods with such left-overs run today.
            Key::Command
            | Key::ErrorOnMissingKey
            | Key::File
            | Key::LeftDelim
            | Key::Perms
            | Key::PreserveCaseOf
            | Key::RightDelim
            | Key::VolumePathOf
                if warnings.len() <= LISTED_MAX =>
            {
                let secret = Key::SecretPath.of(raw);
                warnings.push(format!("{}: there is no {secret}, ignored", key.of(raw)));
            }
            _ => {}
        }
    }
    collisions(notes, &secrets, problems, warnings);
    secrets
}

/// The path of a file's own volume; an empty one is told by its kind.
fn own_path<'a>(notes: &Notes<'a>, raw: &str, problems: &mut Problems) -> Option<&'a str> {
    let path = notes.named(Key::VolumePathOf, raw).filter(|path| !path.is_empty())?;
    fits(Key::VolumePathOf.of(raw), path, problems).then_some(path)
}

fn delimiter<'a>(notes: &Notes<'a>, key: Key, raw: &str, default: &'static str) -> &'a str {
    notes.named(key, raw).filter(|text| !text.is_empty()).unwrap_or(default)
}

/// Two files at one place: the second would replace the first at every change of either.
///
/// Two secrets whose names differ in case only are a mistake. Other twins run today, so they only warn:
/// two files named alike, or a template key whose case is not its secret's.
fn collisions(
    notes: &Notes<'_>,
    secrets: &Secrets<'_>,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) {
    let files = &secrets.files;
    if let Some(token) = secrets.token_file(notes)
        && let Some(twin) = files.iter().find(|file| file.destination == token)
    {
        warnings.push(format!(
            "{}: the token and the secret {} write the same file {}: rename the secret",
            Key::InjectToken,
            Shown(twin.raw),
            Shown(&token)
        ));
    }
    let is_secret = |file: &SecretFile<'_>| notes.named(Key::SecretPath, file.raw).is_some();
    for (i, file) in files.iter().enumerate() {
        let Some(twin) = files.iter().take(i).find(|f| f.destination == file.destination) else {
            continue;
        };
        let differ_in_case = twin.raw.to_lowercase() == file.raw.to_lowercase();
        if differ_in_case && is_secret(twin) && is_secret(file) {
            problems.note(
                Key::SecretPath.of(file.raw),
                format_args!(
                    "writes the same file {} as {}: set {} to \"true\" or rename one",
                    Shown(&file.destination),
                    Key::SecretPath.of(twin.raw),
                    Key::PreserveCase,
                ),
            );
        } else {
            warnings.push(format!(
                "secrets {} and {} write the same file {}",
                Shown(twin.raw),
                Shown(file.raw),
                Shown(&file.destination)
            ));
        }
    }
}

fn destination(
    notes: &Notes<'_>,
    raw: &str,
    folder: &str,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> String {
    let keeps = notes.named(Key::PreserveCaseOf, raw).map_or_else(
        || notes.flag(Key::PreserveCase),
        |text| super::value::parse_bool(text) == Some(true),
    );
    let given = notes.named(Key::File, raw).filter(|file| !file.is_empty());
    let name = if keeps { Cow::Borrowed(raw) } else { Cow::Owned(raw.to_lowercase()) };
    let place = if given.is_some() { Key::File.of(raw) } else { Key::SecretPath.of(raw) };
    let path = clean_join(folder, given.unwrap_or(&name));
    if fits(&place, &path, problems) && path.split('/').any(|part| part.len() > NAME_BYTES_MAX) {
        let clause = format_args!(
            "a name of more than {NAME_BYTES_MAX} bytes, which no file has: shorten it"
        );
        problems.note(&place, clause);
    }
    let inside = path.strip_prefix(clean_join(folder, "").trim_end_matches('/'));
    // Of a folder that is none people hear by its own annotation.
    match inside.filter(|_| !folder.is_empty()) {
        None if folder.is_empty() => {}
        Some("") => warnings.push(format!("{place} names the volume {} itself", Shown(folder))),
        Some(rest) if rest.starts_with('/') => {}
        _ => problems.note(
            &place,
            format_args!(
                "{} leaves its volume {}: take the \"..\" out, or set {} to another folder",
                Shown(given.unwrap_or(raw)),
                Shown(folder),
                Key::VolumePathOf.of(raw)
            ),
        ),
    }
    if given.is_some() { path } else { format!("{folder}/{name}") }
}

fn body<'a>(notes: &Notes<'a>, raw: &str, problems: &mut Problems) -> Body<'a> {
    let secret = notes.named(Key::SecretPath, raw).unwrap_or("");
    if secret.contains(char::is_control) {
        // The block scalars of YAML, `>` and `|`, add a line end.
        let clause = format_args!(
            "{} has a line end or another unprintable character: take it out, in YAML by writing the path on the line of the key",
            Shown(secret)
        );
        problems.note(Key::SecretPath.of(raw), clause);
    }
    let text = notes.named(Key::Template, raw).filter(|text| !text.is_empty());
    let file = notes.named(Key::TemplateFile, raw).filter(|file| !file.is_empty());
    let format = notes.named(Key::Format, raw);
    let tiny =
        notes.named(Key::Engine, raw).is_some_and(|e| e.eq_ignore_ascii_case("tinytemplate"));
    if tiny {
        return tiny_body(notes, raw, secret, text, problems);
    }
    let Some(format) = format else {
        return match (text, file) {
            (Some(text), _) => Body::Contents(Cow::Borrowed(text)),
            (None, Some(file)) => Body::Source(file),
            (None, None) => {
                let kind = notes.text(Key::DefaultTemplate);
                Body::Contents(Cow::Owned(default_template(notes, raw, secret, &kind)))
            }
        };
    };
    let place = Key::Format.of(raw);
    if let Some(other) = text.map(|_| Key::Template).or(file.map(|_| Key::TemplateFile)) {
        problems.note(&place, format_args!("cannot stand beside {}: leave one out", other.of(raw)));
    }
    if secret.trim().is_empty() {
        problems.note(&place, format_args!("needs {}", Key::SecretPath.of(raw)));
    }
    match format {
        "map" | "json" => Body::Contents(Cow::Owned(default_template(notes, raw, secret, format))),
        "env" | "dotenv" | "properties" | "yaml" => {
            native_format(notes, raw, secret, format, problems)
        }
        _ if format.strip_prefix("raw:").is_some_and(|key| !key.is_empty()) => {
            native_format(notes, raw, secret, format, problems)
        }
        _ => {
            problems.note(&place, format_args!("{} is not one of {FORMATS}", Shown(format)));
            Body::Format { secret, format }
        }
    }
}

fn native_format<'a>(
    notes: &Notes<'a>,
    raw: &str,
    secret: &'a str,
    format: &'a str,
    problems: &mut Problems,
) -> Body<'a> {
    if notes.flavor() == Flavor::Vault {
        let way = "write map or json or a template";
        needs_native(Key::Format, raw, format, way, problems);
    }
    Body::Format { secret, format }
}

fn tiny_body<'a>(
    notes: &Notes<'a>,
    raw: &str,
    secret: &'a str,
    text: Option<&'a str>,
    problems: &mut Problems,
) -> Body<'a> {
    let place = Key::Engine.of(raw);
    if notes.flavor() == Flavor::Vault {
        needs_native(Key::Engine, raw, "tinytemplate", "write the template for go", problems);
    }
    if secret.trim().is_empty() {
        problems.note(&place, format_args!("tinytemplate needs {}", Key::SecretPath.of(raw)));
    }
    if text.is_none() {
        problems.note(&place, format_args!("tinytemplate needs {}", Key::Template.of(raw)));
    }
    if notes.named(Key::Format, raw).is_some() {
        let other = Key::Format.of(raw);
        problems.note(&place, format_args!("cannot stand beside {other}: leave one out"));
    }
    Body::Tiny { secret, contents: text.unwrap_or("") }
}

fn needs_native(key: Key, raw: &str, value: &str, way: &str, problems: &mut Problems) {
    problems.note(
        key.of(raw),
        format_args!(
            "{} needs the native agent: set {} to an image of vault-injector or {} to \"native\", or {way}",
            Shown(value),
            Key::Image,
            Key::AgentFlavor
        ),
    );
}

/// The template of a secret without one, written with the secret's own delimiters.
fn default_template(notes: &Notes<'_>, raw: &str, secret: &str, kind: &str) -> String {
    let left = delimiter(notes, Key::LeftDelim, raw, "{{");
    let right = delimiter(notes, Key::RightDelim, raw, "}}");
    default_text(secret, kind.eq_ignore_ascii_case("json"), (left, right))
}

/// The template of a secret that has none: of the kind `json`, or `map`.
pub(crate) fn default_text(secret: &str, is_json: bool, (l, r): (&str, &str)) -> String {
    let path = if stands_in_quotes(secret) {
        Cow::Borrowed(secret)
    } else {
        Cow::Owned(secret.replace('\\', "\\\\").replace('"', "\\\""))
    };
    let mut text = format!("{l} with secret \"{path}\" {r}");
    let rest = if is_json {
        write!(text, "{l} .Data | toJSON {r}\n{l} end {r}")
    } else {
        write!(text, "{l} range $k, $v := .Data {r}{l} $k {r}: {l} $v {r}\n{l} end {r}{l} end {r}")
    };
    // Writing to a String cannot fail.
    let _infallible = rest;
    text
}

/// Whether a path can stand between Go's double quotes as it is: without a quote, or with each escaped already.
/// What stands there today means the same tomorrow.
fn stands_in_quotes(path: &str) -> bool {
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        let is_fine = match c {
            '"' => false,
            '\\' => matches!(chars.next(), Some('"' | '\\')),
            _ => true,
        };
        if !is_fine {
            return false;
        }
    }
    true
}

/// Whether two folders of a container are one place, however they are written: runtimes make each begin at the root
/// and follow its `..`.
pub(crate) fn same_path(a: &str, b: &str) -> bool {
    let has_dots = |path: &str| path.split('/').any(|part| matches!(part, "." | ".."));
    if has_dots(a) || has_dots(b) {
        return clean_join("/", a) == clean_join("/", b);
    }
    let parts = |path| str::split(path, '/').filter(|part| !part.is_empty());
    parts(a).eq(parts(b))
}

/// Whether an absolute path is a folder or lies in it. One that goes up again is not looked into.
pub(crate) fn is_below(path: &str, folder: &str) -> bool {
    let parts = |path| str::split(path, '/').filter(|part| !matches!(*part, "" | "."));
    let mut own = parts(path);
    !path.contains("..") && parts(folder).all(|part| own.next() == Some(part))
}

/// Go's `path.Join`: joined and cleaned of `.`, `..` and doubled slashes.
pub(crate) fn clean_join(base: &str, rest: &str) -> String {
    let absolute = base.starts_with('/') || (base.is_empty() && rest.starts_with('/'));
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(rest.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if absolute { format!("/{joined}") } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_as_go_does() {
        for (base, rest, want) in [
            ("/vault/secrets", "a", "/vault/secrets/a"),
            ("/vault/secrets/", "/abs/y.txt", "/vault/secrets/abs/y.txt"),
            ("/vault/secrets", "../x", "/vault/x"),
            ("/a", "../../../x", "/x"),
            ("/a//b/.", "./c//d/..", "/a/b/c"),
            ("rel", "../../x", "../x"),
        ] {
            assert_eq!(clean_join(base, rest), want, "{base} {rest}");
        }
    }

    #[test]
    fn a_path_lies_in_its_folders_and_in_no_others() {
        for folder in ["/", "/a", "/a/", "//a/./b", "/a/b/c"] {
            assert!(is_below("/a/b/c", folder), "{folder}");
        }
        for (path, folder) in [("/ab", "/a"), ("/a", "/a/b"), ("/a/../b", "/a"), ("/b/a", "/a")] {
            assert!(!is_below(path, folder), "{path} {folder}");
        }
    }

    #[test]
    fn slashes_do_not_make_another_place() {
        assert!(same_path("/a/", "/a") && same_path("//a//b", "/a/b") && same_path("/", "//"));
        assert!(same_path("/..", "/") && same_path("/a/../b", "b") && same_path("/./a", "/a"));
        assert!(!same_path("/a", "/a/b") && !same_path("/ab", "/a/b"));
    }
}
