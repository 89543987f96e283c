//! Reading one block of a configuration, as leniently as Vault Agent does, collecting every mistake.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::settings::{self, Treatment, WithoutEffect};
use crate::base::go_duration;
use crate::base::json::Json;

/// One mistake of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigError {
    /// Where: `template[0].perms` or `VAULT_CLIENT_TIMEOUT`.
    pub place: String,
    /// What is wrong and what to write instead; holds the value unless it may be secret.
    pub reason: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

impl std::error::Error for ConfigError {}

/// What is noted while reading.
#[derive(Default)]
pub(super) struct Notes {
    errors: RefCell<Vec<ConfigError>>,
    ignored: RefCell<Vec<WithoutEffect>>,
}

impl Notes {
    /// Notes a mistake.
    pub(super) fn error(&self, place: impl Into<String>, reason: impl Into<String>) {
        let error = ConfigError { place: place.into(), reason: reason.into() };
        self.errors.borrow_mut().push(error);
    }

    /// Notes a setting without effect.
    pub(super) fn ignore(&self, place: String, follows: &'static str) {
        self.ignored.borrow_mut().push(WithoutEffect { place, follows });
    }

    /// Notes a setting deep inside of a block without effect, in each item if the block is a list.
    fn ignore_inside(&self, place: &str, value: &Json, inside: &str, follows: &'static str) {
        match (value, inside.split_once('.')) {
            (Json::Array(items), _) => {
                for (i, item) in items.iter().enumerate() {
                    self.ignore_inside(&format!("{place}[{i}]"), item, inside, follows);
                }
            }
            (Json::Object(_), Some((key, inside))) if value.get(key).is_some() => {
                let inner = value.get(key).unwrap_or(&Json::Null);
                self.ignore_inside(&dotted(place, key), inner, inside, follows);
            }
            (Json::Object(_), None)
                if value.get(inside).is_some_and(|value| !says_nothing(value)) =>
            {
                self.ignore(dotted(place, inside), follows);
            }
            // Under a label: `listener "tcp" { … }`.
            (Json::Object(labels), Some(_)) => {
                for (label, inner) in labels.iter().filter(|(_, inner)| inner.as_object().is_some())
                {
                    self.ignore_inside(&dotted(place, label), inner, inside, follows);
                }
            }
            _ => {}
        }
    }

    /// The mistakes, sorted, and the settings without effect.
    pub(super) fn into_parts(self) -> (Vec<ConfigError>, Vec<WithoutEffect>) {
        let mut errors = self.errors.into_inner();
        errors.sort();
        (errors, self.ignored.into_inner())
    }
}

/// One block: its members and where it stands. Remembers which members were asked for.
pub(super) struct Section<'a> {
    members: &'a BTreeMap<String, Json>,
    place: String,
    /// The place without labels and numbers, as in the table of settings.
    path: String,
    asked: RefCell<BTreeSet<&'static str>>,
    notes: &'a Notes,
}

impl<'a> Section<'a> {
    /// The whole document.
    pub(super) fn new(members: &'a BTreeMap<String, Json>, notes: &'a Notes) -> Self {
        Self {
            members,
            place: String::new(),
            path: String::new(),
            asked: RefCell::default(),
            notes,
        }
    }

    fn inner(&self, members: &'a BTreeMap<String, Json>, place: String, path: String) -> Self {
        Self { members, place, path, asked: RefCell::default(), notes: self.notes }
    }

    /// The section `key` of this one with members from elsewhere.
    pub(super) fn beside<'b>(&self, key: &str, members: &'b BTreeMap<String, Json>) -> Section<'b>
    where
        'a: 'b,
    {
        Section {
            members,
            place: self.at(key),
            path: dotted(&self.path, key),
            asked: RefCell::default(),
            notes: self.notes,
        }
    }

    /// The place of a member.
    pub(super) fn at(&self, key: &str) -> String {
        dotted(&self.place, key)
    }

    /// Notes a mistake of a member.
    pub(super) fn error(&self, key: &str, reason: impl Into<String>) {
        self.notes.error(self.at(key), reason);
    }

    /// The raw member; `null` counts as absent.
    pub(super) fn value(&self, key: &'static str) -> Option<&'a Json> {
        self.asked.borrow_mut().insert(key);
        self.members.get(key).filter(|value| **value != Json::Null)
    }

    /// Whether the member says anything: not absent, null, false, zero or empty.
    pub(super) fn is_set(&self, key: &'static str) -> bool {
        self.value(key).is_some_and(|value| !says_nothing(value))
    }

    /// A text; numbers and truth values count as their text. Empty is absent.
    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        let text = self.value(key).and_then(|value| {
            let text = scalar(value);
            if text.is_none() {
                self.error(key, "want a string");
            }
            text
        });
        text.filter(|text| !text.is_empty())
    }

    /// A text that must be there.
    pub(super) fn required(&self, key: &'static str) -> String {
        self.text(key).unwrap_or_else(|| {
            if self.value(key).and_then(scalar).is_none_or(|text| text.is_empty()) {
                self.error(key, "missing or empty");
            }
            String::new()
        })
    }

    /// A truth value, also as the words and digits that Go reads.
    pub(super) fn truth(&self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.value(key) else { return default };
        match scalar(value).as_deref() {
            Some("") => default,
            Some(text) => parse_truth(text).unwrap_or_else(|| {
                self.error(key, format!("\"{text}\" is not a boolean, want true or false"));
                default
            }),
            None => {
                self.error(key, "want true or false");
                default
            }
        }
    }

    /// A duration: a number of seconds or a text such as `90s`, `1m30s`, `2d`.
    pub(super) fn duration(&self, key: &'static str, default: Duration) -> Duration {
        let Some(text) = self.text(key) else { return default };
        parse_duration(&text).unwrap_or_else(|reason| {
            self.error(key, reason);
            default
        })
    }

    /// A whole number.
    pub(super) fn integer(&self, key: &'static str) -> Option<i64> {
        let text = self.text(key)?;
        let number = text.trim().parse().ok();
        if number.is_none() {
            self.error(key, format!("\"{text}\" is not a whole number"));
        }
        number
    }

    /// Permission bits: octal digits in a string, or a number. Zero and absent are `None`.
    pub(super) fn permissions(&self, key: &'static str, bits_max: u32) -> Option<u32> {
        let value = self.value(key)?;
        let text = scalar(value)?;
        let bits = match value {
            Json::Number(_) => text.parse().ok(),
            _ => u32::from_str_radix(text.strip_prefix("0o").unwrap_or(&text), 8).ok(),
        };
        match bits {
            _ if text.is_empty() => None,
            Some(0) => None,
            Some(bits) if bits <= bits_max => Some(bits),
            Some(_) | None => {
                let reason = format!(
                    "\"{text}\" is no set of permissions, want octal digits such as \"0640\""
                );
                self.error(key, reason);
                None
            }
        }
    }

    /// The block under `key`, of which there may be one.
    pub(super) fn block(&self, key: &'static str) -> Option<Self> {
        let mut blocks = self.blocks(key);
        if blocks.len() > 1 {
            self.error(key, format!("{} blocks, want one", blocks.len()));
        }
        if blocks.is_empty() { None } else { Some(blocks.swap_remove(0)) }
    }

    /// The blocks under `key`: an object, or a list of them.
    pub(super) fn blocks(&self, key: &'static str) -> Vec<Self> {
        let items = match self.value(key) {
            None => return Vec::new(),
            Some(Json::Array(items)) => items.as_slice(),
            Some(single) => std::slice::from_ref(single),
        };
        let is_list = matches!(self.value(key), Some(Json::Array(_)));
        let sections = items.iter().enumerate().filter_map(|(i, item)| {
            let place = if is_list { format!("{}[{i}]", self.at(key)) } else { self.at(key) };
            if let Json::Object(members) = item {
                return Some(self.inner(members, place, dotted(&self.path, key)));
            }
            self.notes.error(place, "want a block or an object");
            None
        });
        sections.collect()
    }

    /// The blocks under `key`, each with its label: `method "jwt" { … }` is `{"method": {"jwt": …}}`. A
    /// block without one has `type` or one of `own_keys`.
    pub(super) fn labelled(
        &self,
        key: &'static str,
        own_keys: &[&str],
    ) -> Vec<(Option<String>, Self)> {
        let mut found = Vec::new();
        for block in self.blocks(key) {
            let is_plain = block
                .members
                .iter()
                .any(|(key, value)| own_keys.contains(&key.as_str()) || scalar(value).is_some());
            if is_plain {
                found.push((None, block));
                continue;
            }
            for (label, value) in block.members {
                let items = match value {
                    Json::Array(items) => items.as_slice(),
                    single => std::slice::from_ref(single),
                };
                let members = items.iter().filter_map(Json::as_object);
                found.extend(members.map(|members| {
                    let place = block.at(label);
                    (Some(label.clone()), self.inner(members, place, block.path.clone()))
                }));
            }
        }
        found
    }

    /// The words of a command: a string is one word, a list its items. A string that holds a list in JSON,
    /// as annotations can give it, is that list.
    pub(super) fn words(&self, key: &'static str) -> Vec<String> {
        match self.value(key) {
            None => Vec::new(),
            Some(Json::Array(items)) => self.list(key, items),
            Some(_) => {
                let text = self.text(key).unwrap_or_default();
                match Json::parse(text.as_bytes()) {
                    Ok(Json::Array(items)) if text.trim_start().starts_with('[') => {
                        self.list(key, &items)
                    }
                    // No shell takes this for anything else.
                    Err(_) if text.split_whitespace().collect::<String>().starts_with("[\"") => {
                        self.error(
                            key,
                            "begins as a list in JSON, and is none: want [\"app\", \"reload\"]",
                        );
                        Vec::new()
                    }
                    _ => Some(text).filter(|text| !text.is_empty()).into_iter().collect(),
                }
            }
        }
    }

    /// A list of words, which may come as one text with commas, too.
    pub(super) fn names(&self, key: &'static str) -> Vec<String> {
        match self.value(key) {
            None => Vec::new(),
            Some(Json::Array(items)) => self.list(key, items),
            Some(_) => {
                let text = self.text(key).unwrap_or_default();
                let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
                names.map(str::to_owned).collect()
            }
        }
    }

    fn list(&self, key: &str, items: &[Json]) -> Vec<String> {
        let words: Vec<String> = items.iter().filter_map(scalar).collect();
        if words.len() < items.len() {
            self.error(key, "want a string or a list of strings");
        }
        words
    }

    /// Says of every member that nobody asked for what becomes of it.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        let rest = self.members.iter().filter(|(key, _)| !asked.contains(key.as_str()));
        for (key, value) in rest.filter(|(_, value)| **value != Json::Null) {
            let path = dotted(&self.path, key);
            match settings::treatment(&path) {
                Some(Treatment::Needless) => {}
                Some(Treatment::Refused(_)) if says_nothing(value) => {}
                Some(Treatment::Refused(why)) => self.error(key, why),
                Some(Treatment::Inert(follows)) => {
                    self.notes.ignore(self.at(key), follows);
                    for (inside, follows) in settings::inert_inside(&path) {
                        self.notes.ignore_inside(&self.at(key), value, inside, follows);
                    }
                }
                Some(Treatment::Followed) => self.notes.ignore(self.at(key), settings::UNUSED),
                None if settings::is_strict(&self.path) => self.error(key, "unknown setting"),
                None => self.notes.ignore(self.at(key), settings::UNKNOWN),
            }
        }
    }
}

/// Whether a member is false, zero or empty.
pub(super) fn says_nothing(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::String(text) => text.is_empty(),
        Json::Number(text) => &**text == "0",
        Json::Array(items) => items.is_empty(),
        Json::Object(_) | Json::Bool(true) => false,
    }
}

/// JSON has names without a character, which people could not see.
fn dotted(place: &str, key: &str) -> String {
    let key = if key.is_empty() { "\"\"" } else { key };
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

/// Go's `strconv.ParseBool`.
pub(super) fn parse_truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A duration as Vault reads it; the error holds the text.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    go_duration::parse_vault(text).map_err(|e| format!("\"{text}\": {e}"))
}

fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::Bool(truth) => Some(truth.to_string()),
        Json::Number(text) => Some(text.to_string()),
        Json::String(text) => Some(text.clone()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}
