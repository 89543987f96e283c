//! JSON that keeps the text of its numbers and never shows its values.
//!
//! Vault's own client keeps numbers as they were sent (`json.Number`), and templates print them so.
//! `serde_json::Value` would turn `1.10` into `1.1` and a long integer into a float.

mod parse;

use std::collections::BTreeMap;
use std::fmt;

use self::parse::Parser;

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
    /// It would take more memory than it may.
    Large,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { line, column } => write!(f, "not JSON at line {line} column {column}"),
            Self::Deep => write!(f, "JSON nested deeper than {DEPTH_MAX}"),
            Self::Large => f.write_str("its values take too much memory"),
        }
    }
}

impl std::error::Error for JsonError {}

impl Json {
    /// Reads one JSON text; white space around it is allowed, anything else after it is not.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        Self::parse_within(text, usize::MAX)
    }

    /// The same, of a text that may hold anything: a value that would take more than `memory` bytes is refused
    /// before it has taken them.
    pub fn parse_within(text: &[u8], memory: usize) -> Result<Self, JsonError> {
        Parser::new(text, memory)?.whole()
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
        // Counted first: a text that grows takes its memory twice and leaves copies behind.
        let mut length = Length(0);
        self.write(&mut length);
        let mut out = String::with_capacity(length.0);
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut impl Sink) {
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

/// What a value is written to.
trait Sink {
    fn push_str(&mut self, text: &str);

    fn push(&mut self, c: char) {
        self.push_str(c.encode_utf8(&mut [0; 4]));
    }
}

impl Sink for String {
    fn push_str(&mut self, text: &str) {
        Self::push_str(self, text);
    }
}

struct Length(usize);

impl Sink for Length {
    fn push_str(&mut self, text: &str) {
        self.0 += text.len();
    }
}

/// The escapes that `serde_json` writes.
fn write_string(text: &str, out: &mut impl Sink) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || b"\"\\".contains(&byte)) {
        let (plain, escaped) = rest.split_at(at);
        out.push_str(plain);
        let mut escaped = escaped.chars();
        match escaped.next() {
            Some('\u{8}') => out.push_str("\\b"),
            Some('\t') => out.push_str("\\t"),
            Some('\n') => out.push_str("\\n"),
            Some('\u{c}') => out.push_str("\\f"),
            Some('\r') => out.push_str("\\r"),
            Some(c @ ('"' | '\\')) => {
                out.push('\\');
                out.push(c);
            }
            Some(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            None => {}
        }
        rest = escaped.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// Of [`lists_of_texts`].
pub(crate) type Lists = Vec<Option<Vec<String>>>;

/// The lists of texts that stand in an object under `names`, in the order of these: of each the first `texts_max`
/// texts with their first `chars_max` characters, `None` for what is no list. Nothing else of the text is made.
/// `None` for a value that is no object.
pub(crate) fn lists_of_texts(
    text: &[u8],
    names: &[&str],
    texts_max: usize,
    chars_max: usize,
) -> Result<Option<Lists>, JsonError> {
    Parser::new(text, usize::MAX)?.lists(names, texts_max, chars_max)
}

#[cfg(test)]
mod tests;
