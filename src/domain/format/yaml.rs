//! YAML that readers of versions 1.1 (PyYAML, Go's yaml.v2) and 1.2 take alike.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::context;
use crate::base::json::Json;

/// Longest key that may stand in one line with its value (YAML 1.2.2 §7.4.2).
pub(super) const KEY_MAX: usize = 1024;

/// Words that some version reads as null, boolean, not-a-number, merge key or default value.
const WORDS: &[&str] =
    &["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", ".nan", "<<", "="];

/// A key at any depth that is too long for YAML.
pub(super) fn long_key(members: &BTreeMap<String, Json>) -> Option<&str> {
    members.iter().find_map(|(key, value)| {
        let mut written = String::new();
        scalar(key, &mut written);
        if written.chars().count() > KEY_MAX { Some(key.as_str()) } else { long_key_in(value) }
    })
}

fn long_key_in(json: &Json) -> Option<&str> {
    match json {
        Json::Array(items) => items.iter().find_map(long_key_in),
        Json::Object(members) => long_key(members),
        Json::Bool(_) | Json::Null | Json::Number(_) | Json::String(_) => None,
    }
}

/// Adds a value in one line: a scalar, or JSON, which is YAML.
pub(super) fn write_inline(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::String(text) => scalar(text, out),
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            context::write_json(value, out);
        }
    }
}

/// Adds what follows the `:` of a key of the outermost level, without the last line feed.
pub(super) fn write_block(value: &Value, out: &mut String) {
    after_key(value, 0, out);
}

fn after_key(value: &Value, depth: usize, out: &mut String) {
    if is_block(value) {
        out.push('\n');
        block(value, depth + 1, out);
    } else {
        out.push(' ');
        write_inline(value, out);
    }
}

/// Whether `value` takes lines of its own.
fn is_block(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty() && context::number_text(value).is_none(),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => false,
    }
}

/// Adds the lines of a list or mapping, without the last line feed.
fn block(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "\n" } else { "" });
                out.push_str(&indent);
                out.push_str("- ");
                if is_block(item) {
                    // The dash and its blank are the first line's indentation.
                    let mut lines = String::new();
                    block(item, depth + 1, &mut lines);
                    out.push_str(lines.trim_start_matches(' '));
                } else {
                    write_inline(item, out);
                }
            }
        }
        Value::Object(members) => {
            for (i, (key, value)) in members.iter().enumerate() {
                out.push_str(if i > 0 { "\n" } else { "" });
                out.push_str(&indent);
                scalar(key, out);
                out.push(':');
                after_key(value, depth, out);
            }
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {
            write_inline(value, out);
        }
    }
}

/// Adds a string, quoted when a reader would take it for something else.
fn scalar(text: &str, out: &mut String) {
    if is_plain(text) {
        return out.push_str(text);
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c => {
                let code = u32::from(c);
                // Writing to a String cannot fail.
                let _infallible = write!(out, "\\u{code:04x}");
            }
        }
    }
    out.push('"');
}

/// Whether YAML lets `c` stand for itself in a line (1.2.2 §5.1 without line ends of 1.1).
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether every reader takes the bare `text` for this very string.
fn is_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let starts_well = match (chars.next(), chars.next()) {
        (None, _) | (Some('-' | '?' | ':'), None | Some(' ')) => false,
        (Some(first), _) => !" ,[]{}#&*!|>'\"%@`".contains(first),
    };
    starts_well
        && text.chars().all(is_printable)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !is_word(text)
        && !is_number(text)
        && !is_date(text)
}

fn is_word(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    WORDS.contains(&lower.as_str()) || lower.strip_prefix(['-', '+']).unwrap_or(&lower) == ".inf"
}

/// Integers and floats of both versions: underscores, bases, colons of base 60, several dots.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let based = |prefix: &str, digits: fn(char) -> bool| {
        let rest = unsigned.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.chars().all(|c| c == '_' || digits(c)))
    };
    if based("0x", |c| c.is_ascii_hexdigit())
        || based("0X", |c| c.is_ascii_hexdigit())
        || based("0o", |c| c.is_ascii_digit())
        || based("0b", |c| c.is_ascii_digit())
    {
        return true;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent),
        None => (unsigned, "0"),
    };
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    mantissa.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && mantissa.chars().all(|c| c.is_ascii_digit() || matches!(c, '_' | '.' | ':'))
        && !exponent.is_empty()
        && exponent.chars().all(|c| c.is_ascii_digit() || c == '_')
}

/// A timestamp of 1.1: `2026-11-23`, also with a time of day.
fn is_date(text: &str) -> bool {
    let end = text.find(['T', 't', ' ']).unwrap_or(text.len());
    let (date, _) = text.split_at(end);
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    let is_part = |part: Option<&str>, most: usize| {
        part.is_some_and(|p| {
            !p.is_empty() && p.len() <= most && p.chars().all(|c| c.is_ascii_digit())
        })
    };
    is_part(year, 4) && is_part(month, 2) && is_part(day, 2) && parts.next().is_none()
}
