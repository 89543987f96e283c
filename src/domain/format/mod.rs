//! Secret formats that need no template: `env`, `dotenv`, `properties`, `yaml`, `raw:KEY`.
//!
//! They are tinytemplate templates over the sorted keys of one secret, with formatters of ours for the
//! quoting. Users' own templates of that kind are in [`tiny`].
//!
//! Every format but `yaml` shows a value as text: a string as it is, a number as Vault sent it, `true` and
//! `false`, nothing for null, and compact JSON for what is nested. The fields of a KV 2 secret are those
//! of its inner `data`.

mod context;
mod quote;
pub mod tiny;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::base::json::Json;
use crate::base::secret::Secret;
use crate::base::yaml;

/// Characters of a key that stands in one line with its value (YAML 1.2.2 §7.4.2).
const YAML_KEY_MAX: usize = 1024;

/// A format. What each writes:
///
/// - `env`: `export NAME='value'` lines for `sh`'s `.`.
/// - `dotenv`: `NAME="value"` lines. Values without `"`, `\`, `$` and backtick stand in double quotes
///   with `\n` and `\r` for line ends; most others in single quotes as they are. The parsers of Node,
///   Python, Ruby, Go, Rust and Docker Compose agree about these two. A value of the second kind that also
///   has a single quote, two backslashes in a row or one at its end stands without quotes, unless it has
///   `#`, `$`, a line end, a quote in front or blanks at its ends: so Node, Python, Go and Compose take it
///   as it is (Ruby drops backslashes there, Rust takes no blanks and drops quotes). What is left needs
///   `\"`, `\\` and `\$` in double quotes, for Go, Ruby, Rust and Compose (Python keeps the backslash of
///   `\$`, Node every backslash but those of line ends).
/// - `properties`: `java.util.Properties`, as its `store` escapes, pure ASCII.
/// - `yaml`: a YAML document that readers of 1.1 and 1.2 take alike.
/// - `raw:KEY`: the value of one key and not a byte more; a dotted path leads into nested values where
///   no key has that very name.
///
/// In `env` and `dotenv` a key becomes a variable name: every character but ASCII letters, digits and
/// `_` turns into `_`, and a digit in front gets one; two keys with one name are an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// `NAME="value"` lines.
    Dotenv,
    /// Lines for a shell.
    Env,
    /// Java's.
    Properties,
    /// One value.
    Raw {
        /// Its key, or a dotted path.
        key: String,
    },
    /// A YAML document.
    Yaml,
}

/// Why a format cannot be written. Names keys, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// Two keys have one variable name.
    Clash {
        /// The one.
        first: String,
        /// The other.
        second: String,
        /// The name of both.
        name: String,
    },
    /// A key of no characters cannot be a variable.
    EmptyKey,
    /// A key that YAML cannot hold in a line.
    LongKey {
        /// Its start.
        start: String,
    },
    /// `raw:KEY` of a key that is not there.
    MissingKey {
        /// As configured.
        key: String,
    },
    /// A value with a NUL byte, which no variable can hold.
    Nul {
        /// The key of that value.
        key: String,
    },
    /// The response has no fields.
    Shape(ShapeError),
    /// The engine under the formats refused.
    Template(tiny::TinyError),
    /// No such format.
    Unknown {
        /// As configured.
        format: String,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clash { first, second, name } => {
                write!(f, "keys {first:?} and {second:?} both become the variable {name}")
            }
            Self::EmptyKey => f.write_str("an empty key cannot become a variable"),
            Self::LongKey { start } => {
                write!(f, "key {start:?}… is longer than the {} characters of YAML", YAML_KEY_MAX)
            }
            Self::MissingKey { key } => write!(f, "the secret has no key {key:?}"),
            Self::Nul { key } => write!(f, "the value of {key:?} holds a NUL byte, use raw:{key}"),
            Self::Shape(_) => f.write_str("no fields to write"),
            Self::Template(_) => f.write_str("cannot be written"),
            Self::Unknown { format } => {
                write!(
                    f,
                    "unknown format {format:?}, want env, dotenv, properties, yaml or raw:KEY"
                )
            }
        }
    }
}

impl std::error::Error for FormatError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Shape(cause) => Some(cause),
            Self::Template(cause) => Some(cause),
            Self::Clash { .. }
            | Self::EmptyKey
            | Self::LongKey { .. }
            | Self::MissingKey { .. }
            | Self::Nul { .. }
            | Self::Unknown { .. } => None,
        }
    }
}

/// Why a response has no fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShapeError {
    /// A version of a KV 2 secret that was deleted or destroyed.
    Deleted,
    /// No object.
    NoFields,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deleted => "this version of the secret was deleted or destroyed",
            Self::NoFields => "the response holds no data",
        })
    }
}

impl std::error::Error for ShapeError {}

impl Format {
    /// Reads a format's name as in an annotation.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        match text.trim() {
            "dotenv" => Ok(Self::Dotenv),
            "env" => Ok(Self::Env),
            "properties" => Ok(Self::Properties),
            "yaml" => Ok(Self::Yaml),
            other => match other.strip_prefix("raw:") {
                Some(key) if !key.is_empty() => Ok(Self::Raw { key: key.to_owned() }),
                _ => Err(FormatError::Unknown { format: text.to_owned() }),
            },
        }
    }

    /// The tinytemplate text.
    const fn template(&self) -> &'static str {
        match self {
            Self::Dotenv => "{{ for e in entries }}{e.key}={e.value | dotenv}\n{{ endfor }}",
            Self::Env => "{{ for e in entries }}export {e.key}={e.value | sh}\n{{ endfor }}",
            Self::Properties => {
                "{{ for e in entries }}{e.key | properties_key}={e.value | properties_value}\n\
                 {{ endfor }}"
            }
            Self::Raw { .. } => "{value}",
            Self::Yaml => {
                "{{ if entries }}{{ for e in entries }}{e | yaml_entry}{{ endfor }}{{ else }}\\{}\n{{ endif }}"
            }
        }
    }
}

/// Writes the data of a response in `format`. Lines end with a line feed; `raw:KEY` adds none.
pub fn render(format: &Format, reading_data: &Json) -> Result<Secret, FormatError> {
    let fields = fields(reading_data).map_err(FormatError::Shape)?;
    let data = match format {
        Format::Dotenv | Format::Env => {
            json!({ "entries": entries(&variables(fields)?, context::text) })
        }
        Format::Properties => json!({ "entries": entries(&by_reference(fields), context::text) }),
        Format::Raw { key } => json!({ "value": context::of(value_at(fields, key)?) }),
        Format::Yaml => {
            if let Some(key) = long_key(fields) {
                return Err(FormatError::LongKey { start: key.chars().take(40).collect() });
            }
            json!({ "entries": entries(&by_reference(fields), context::of) })
        }
    };
    tiny::render_value(format.template(), &data).map_err(FormatError::Template)
}

/// The fields of a secret: those inside of `data` for KV 2, which is known by its exact shape.
pub(crate) fn fields(reading_data: &Json) -> Result<&BTreeMap<String, Json>, ShapeError> {
    let outer = reading_data.as_object().ok_or(ShapeError::NoFields)?;
    let has_version = outer.get("metadata").is_some_and(|m| m.get("version").is_some());
    match outer.get("data") {
        Some(Json::Object(inner)) if outer.len() == 2 && has_version => Ok(inner),
        Some(Json::Null) if outer.len() == 2 && has_version => Err(ShapeError::Deleted),
        _ => Ok(outer),
    }
}

/// A key at any depth that is too long for YAML, in characters as written.
fn long_key(members: &BTreeMap<String, Json>) -> Option<&str> {
    fn inside(json: &Json) -> Option<&str> {
        match json {
            Json::Array(items) => items.iter().find_map(inside),
            Json::Object(members) => long_key(members),
            Json::Bool(_) | Json::Null | Json::Number(_) | Json::String(_) => None,
        }
    }
    members.iter().find_map(|(key, value)| {
        let mut written = String::new();
        yaml::write_inline(&Json::String(key.clone()), &mut written);
        if written.chars().count() > YAML_KEY_MAX { Some(key.as_str()) } else { inside(value) }
    })
}

/// `[{"key": …, "value": …}]`, what the templates go over.
fn entries(fields: &BTreeMap<String, &Json>, value: fn(&Json) -> Value) -> Vec<Value> {
    fields.iter().map(|(key, field)| json!({ "key": key, "value": value(field) })).collect()
}

fn by_reference(fields: &BTreeMap<String, Json>) -> BTreeMap<String, &Json> {
    fields.iter().map(|(key, value)| (key.clone(), value)).collect()
}

/// The fields by the names of variables.
fn variables(fields: &BTreeMap<String, Json>) -> Result<BTreeMap<String, &Json>, FormatError> {
    let mut named: BTreeMap<String, &String> = BTreeMap::new();
    let mut variables = BTreeMap::new();
    for (key, value) in fields {
        if key.is_empty() {
            return Err(FormatError::EmptyKey);
        }
        if context::text(value).as_str().is_some_and(|text| text.contains('\0')) {
            return Err(FormatError::Nul { key: key.clone() });
        }
        let name = quote::variable_name(key);
        if let Some(first) = named.insert(name.clone(), key) {
            let (first, second) = (first.clone(), key.clone());
            return Err(FormatError::Clash { first, second, name });
        }
        variables.insert(name, value);
    }
    Ok(variables)
}

/// The field `key`, or what the dotted path `key` leads to.
fn value_at<'f>(fields: &'f BTreeMap<String, Json>, key: &str) -> Result<&'f Json, FormatError> {
    let missing = || FormatError::MissingKey { key: key.to_owned() };
    if let Some(value) = fields.get(key) {
        return Ok(value);
    }
    let mut steps = key.split('.');
    let first = steps.next().and_then(|step| fields.get(step)).ok_or_else(missing)?;
    steps.try_fold(first, |value, step| value.get(step)).ok_or_else(missing)
}
