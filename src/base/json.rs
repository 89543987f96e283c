//! JSON that keeps the text of its numbers and never shows its values.
//!
//! Vault's own client keeps numbers as they were sent (`json.Number`), and templates print them so.
//! `serde_json::Value` would turn `1.10` into `1.1` and a long integer into a float.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

/// How deep arrays and objects may nest: what `serde_json` itself allows.
pub const DEPTH_MAX: usize = 128;

/// A JSON value. `Debug` shows its shape only, since most of these hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, exactly as it was written.
    Number(Box<str>),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Self>),
    /// An object, sorted by key; of repeated keys the last counts.
    Object(BTreeMap<String, Self>),
}

/// Why a text is not JSON. Holds positions, never content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// Malformed at this line and column (both from 1).
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// Nested deeper than [`DEPTH_MAX`].
    Deep,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { line, column } => write!(f, "not JSON at line {line} column {column}"),
            Self::Deep => write!(f, "JSON nested deeper than {DEPTH_MAX}"),
        }
    }
}

impl std::error::Error for JsonError {}

impl Json {
    /// Reads one JSON text; white space around it is allowed, anything else after it is not.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        let raw: &RawValue = serde_json::from_slice(text).map_err(|e| syntax(&e))?;
        of_raw(raw, 0)
    }

    /// The member `key` of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(key),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::Array(_) => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// A whole number.
    pub fn as_u64(&self) -> Option<u64> {
        if let Self::Number(text) = self { text.parse().ok() } else { None }
    }

    /// A whole number, possibly negative.
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Number(text) = self { text.parse().ok() } else { None }
    }

    /// `true` or `false`.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// The members of an object.
    pub fn as_object(&self) -> Option<&BTreeMap<String, Self>> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// The items of an array.
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// Compact JSON text, keys sorted, no HTML escapes.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Self::Number(text) => out.push_str(text),
            Self::String(text) => write_string(text, out),
            Self::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (i, (key, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_string(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(_) => f.write_str("bool"),
            Self::Number(_) => f.write_str("number"),
            Self::String(_) => f.write_str("string"),
            Self::Array(items) => write!(f, "array of {}", items.len()),
            Self::Object(members) => write!(f, "object of {}", members.len()),
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

fn syntax(error: &serde_json::Error) -> JsonError {
    JsonError::Syntax { line: error.line(), column: error.column() }
}

/// `RawValue` hands over each value's own text; the first byte tells its kind.
fn of_raw(raw: &RawValue, depth: usize) -> Result<Json, JsonError> {
    if depth >= DEPTH_MAX {
        return Err(JsonError::Deep);
    }
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> =
                serde_json::from_str(text).map_err(|e| syntax(&e))?;
            let members = members.into_iter().map(|(k, v)| Ok((k, of_raw(v, depth + 1)?)));
            Ok(Json::Object(members.collect::<Result<_, JsonError>>()?))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| syntax(&e))?;
            let items = items.into_iter().map(|v| of_raw(v, depth + 1));
            Ok(Json::Array(items.collect::<Result<_, _>>()?))
        }
        Some(b'"') => Ok(Json::String(serde_json::from_str(text).map_err(|e| syntax(&e))?)),
        Some(b't') => Ok(Json::Bool(true)),
        Some(b'f') => Ok(Json::Bool(false)),
        Some(b'n') | None => Ok(Json::Null),
        Some(_) => Ok(Json::Number(text.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_text_of_numbers() {
        let text = br#"{"b":[1.10,1e3,12345678901234567890,-0.0],"a":"\u00e9\n"}"#;
        let json = Json::parse(text).unwrap();
        assert_eq!(json.to_text(), r#"{"a":"é\n","b":[1.10,1e3,12345678901234567890,-0.0]}"#);
    }

    #[test]
    fn refuses_garbage_and_depth_without_showing_content() {
        assert!(matches!(Json::parse(b"{\"a\": hunter2}"), Err(JsonError::Syntax { .. })));
        assert!(Json::parse(b"{} x").is_err());
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(Json::parse(deep.as_bytes()), Err(JsonError::Deep));
        let debug = format!("{:?}", Json::parse(br#"{"k":"hunter2"}"#).unwrap());
        assert_eq!(debug, "object of 1");
    }
}
