//! YAML as Kubernetes reads and prints it: plain words mean what YAML 1.1 says (`yes` is true, `010` is 8),
//! and what either version of YAML could misread is quoted.

use std::collections::BTreeMap;
use std::fmt;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use crate::base::json::{DEPTH_MAX, Json};

/// Values that aliases may add to a document: a few short lines could else make billions.
const ALIASED_MAX: usize = 100_000;

/// Why a text is not YAML that we read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// In characters, from 1.
    pub column: usize,
    /// From 1.
    pub line: usize,
    /// One clause.
    pub reason: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}: {}", self.line, self.column, self.reason)
    }
}

impl std::error::Error for YamlError {}

fn wrong(mark: Marker, reason: impl Into<String>) -> YamlError {
    YamlError { column: mark.col() + 1, line: mark.line(), reason: reason.into() }
}

/// All documents of a text; empty ones are left out.
pub fn parse(text: &str) -> Result<Vec<Json>, YamlError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| wrong(*e.marker(), e.info()))?;
        builder.take(event, span)?;
    }
    Ok(builder.documents)
}

/// A list or map that is still open.
enum Open {
    List(Vec<Json>),
    Map {
        /// The key whose value comes next.
        key: Option<Key>,
        members: BTreeMap<String, Json>,
        /// Maps under `<<`, the first wins.
        merged: Vec<Json>,
    },
}

/// A key; a plain `<<` merges its value into the map.
enum Key {
    Merge,
    Name(String),
}

#[derive(Default)]
struct Builder {
    aliased: usize,
    anchors: BTreeMap<usize, Json>,
    documents: Vec<Json>,
    /// Open lists and maps with their anchors.
    open: Vec<(Open, usize)>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let mark = span.start;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let value = scalar(&text, plain, tag.as_deref(), mark)?;
                self.value(value, anchor, plain && text == "<<", mark)
            }
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned();
                let value =
                    value.ok_or_else(|| wrong(mark, "an alias inside of its own anchor"))?;
                self.copied(&value, mark)?;
                if self.open.len() + depth(&value) > DEPTH_MAX {
                    return Err(wrong(mark, format!("nested deeper than {DEPTH_MAX}")));
                }
                self.value(value, 0, false, mark)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(Open::List(Vec::new()), anchor, tag.as_deref(), mark)
            }
            Event::MappingStart(anchor, tag) => {
                let map = Open::Map { key: None, members: BTreeMap::new(), merged: Vec::new() };
                self.open(map, anchor, tag.as_deref(), mark)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(mark),
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::Nothing
            | Event::StreamEnd
            | Event::StreamStart => Ok(()),
        }
    }

    /// Counts the values that anchors and aliases copy.
    fn copied(&mut self, value: &Json, mark: Marker) -> Result<(), YamlError> {
        self.aliased += count(value);
        if self.aliased > ALIASED_MAX {
            return Err(wrong(mark, format!("aliases add more than {ALIASED_MAX} values")));
        }
        Ok(())
    }

    fn open(
        &mut self,
        open: Open,
        anchor: usize,
        tag: Option<&Tag>,
        mark: Marker,
    ) -> Result<(), YamlError> {
        if let Some((Open::Map { key: None, .. }, _)) = self.open.last() {
            return Err(wrong(mark, "a list or map as a key"));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(wrong(mark, format!("nested deeper than {DEPTH_MAX}")));
        }
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && matches!(&*tag.suffix, "map" | "seq"))
        {
            return Err(wrong(mark, "a tag that Kubernetes does not know"));
        }
        self.open.push((open, anchor));
        Ok(())
    }

    fn close(&mut self, mark: Marker) -> Result<(), YamlError> {
        let Some((open, anchor)) = self.open.pop() else { return Ok(()) };
        let value = match open {
            Open::List(items) => Json::Array(items),
            Open::Map { mut members, merged, .. } => {
                for map in merged {
                    let Json::Object(more) = map else {
                        return Err(wrong(mark, "<< needs a map or a list of maps"));
                    };
                    for (key, value) in more {
                        members.entry(key).or_insert(value);
                    }
                }
                Json::Object(members)
            }
        };
        self.value(value, anchor, false, mark)
    }

    /// Puts a finished value into what is open.
    fn value(
        &mut self,
        value: Json,
        anchor: usize,
        merge: bool,
        mark: Marker,
    ) -> Result<(), YamlError> {
        if anchor > 0 {
            self.copied(&value, mark)?;
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut() {
            None if value == Json::Null => {}
            None => self.documents.push(value),
            Some((Open::List(items), _)) => items.push(value),
            Some((Open::Map { key: key @ None, .. }, _)) => {
                *key = Some(if merge { Key::Merge } else { Key::Name(key_text(value, mark)?) });
            }
            Some((Open::Map { key, members, merged }, _)) => match (key.take(), value) {
                (Some(Key::Merge), Json::Array(maps)) => merged.extend(maps),
                (Some(Key::Merge), map) => merged.push(map),
                (Some(Key::Name(name)), _) if members.contains_key(&name) => {
                    return Err(wrong(mark, format!("the key {name:?} stands twice")));
                }
                (Some(Key::Name(name)), value) => drop(members.insert(name, value)),
                (None, _) => {}
            },
        }
        Ok(())
    }
}

/// Keys are texts in JSON; other plain words become their text.
fn key_text(value: Json, mark: Marker) -> Result<String, YamlError> {
    match value {
        Json::String(text) => Ok(text),
        Json::Bool(truth) => Ok(truth.to_string()),
        Json::Number(number) => Ok(number.into()),
        Json::Null | Json::Array(_) | Json::Object(_) => Err(wrong(mark, "a key that is no text")),
    }
}

fn count(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Json::Object(members) => 1 + members.values().map(count).sum::<usize>(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => 1,
    }
}

fn depth(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => 0,
    }
}

fn scalar(text: &str, plain: bool, tag: Option<&Tag>, mark: Marker) -> Result<Json, YamlError> {
    match tag {
        None if plain => resolve(text).ok_or_else(|| wrong(mark, "JSON has no such number")),
        None => Ok(Json::String(text.to_owned())),
        Some(tag) if tag.is_yaml_core_schema() => match &*tag.suffix {
            "str" => Ok(Json::String(text.to_owned())),
            "bool" | "float" | "int" | "null" => {
                resolve(text).ok_or_else(|| wrong(mark, "JSON has no such number"))
            }
            _ => Err(wrong(mark, "a tag that Kubernetes does not know")),
        },
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => {
            Ok(Json::String(text.to_owned()))
        }
        Some(_) => Err(wrong(mark, "a tag that Kubernetes does not know")),
    }
}

/// What a plain word means, as the YAML library of Kubernetes has it. `None` for infinities.
fn resolve(text: &str) -> Option<Json> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Json::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
            Json::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
            Json::Bool(false)
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF"
        | ".nan" | ".NaN" | ".NAN" => return None,
        _ => number(text).map_or_else(|| Json::String(text.to_owned()), Json::Number),
    })
}

/// The JSON text of a plain number.
fn number(text: &str) -> Option<Box<str>> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let digits = text.replace('_', "");
    let (sign, unsigned) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let radix = |prefix: &str, radix: u32| {
        let rest = unsigned.strip_prefix(prefix)?;
        let digit = rest.starts_with(|c: char| c.is_digit(radix));
        digit.then(|| u64::from_str_radix(rest, radix).ok()).flatten()
    };
    let whole = radix("0x", 16)
        .or_else(|| radix("0X", 16))
        .or_else(|| radix("0b", 2))
        .or_else(|| radix("0o", 8))
        .or_else(|| if unsigned == "0" { Some(0) } else { radix("0", 8) });
    if let Some(whole) = whole {
        return Some(format!("{sign}{whole}").into());
    }
    let decimal = !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit());
    if decimal && !unsigned.starts_with('0') && unsigned.parse::<u64>().is_ok() {
        return Some(format!("{sign}{unsigned}").into());
    }
    float(sign, unsigned)
}

/// `1.5`, `.5`, `1.5e+3`; an exponent without a sign makes a text, as in the library of Kubernetes.
fn float(sign: &str, unsigned: &str) -> Option<Box<str>> {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or(("", mantissa));
    if fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    if let Some(exponent) = exponent {
        let rest = exponent.strip_prefix(['+', '-'])?;
        if rest.is_empty() || !all_digits(rest) {
            return None;
        }
    }
    let value: f64 = format!("{sign}{unsigned}").parse().ok()?;
    if !value.is_finite() {
        return None;
    }
    let size = value.abs();
    let text = if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        if size >= 1.0 { text.replace('e', "e+") } else { text }
    } else {
        format!("{value}")
    };
    Some(text.into())
}

/// Bytes of a key that needs no `?` before it: in characters it is the limit of YAML 1.2.2 §7.4.2.
const SIMPLE_KEY_MAX: usize = 1024;

/// Writes one document as `kubectl` prints it: keys sorted, two spaces, lists not indented.
pub fn write(value: &Json, out: &mut String) {
    match value {
        Json::Array(items) if !items.is_empty() => list(items, 0, out),
        Json::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(key, value)| member(key, value, 0, out));
        }
        other => {
            leaf(other, 0, out);
            out.push('\n');
        }
    }
}

/// Writes the lines of one key of a document.
pub fn write_member(key: &str, value: &Json, out: &mut String) {
    member(key, value, 0, out);
}

/// Writes a value into a line, without its end: lists and maps as JSON, which is YAML too.
pub fn write_inline(value: &Json, out: &mut String) {
    match value {
        Json::String(string) if string.contains('\n') => double_quoted(string, out),
        Json::String(string) => text(string, 0, out),
        other => out.push_str(&portable(other).to_text()),
    }
}

/// The value with every number in a form that all readers take for one: those of YAML 1.1 want a point and
/// a sign where JSON has `1e7`.
fn portable(value: &Json) -> Json {
    match value {
        Json::Number(number) => Json::Number(match number.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                let point = if mantissa.contains('.') { "" } else { ".0" };
                let sign = if exponent.starts_with(['+', '-']) { "" } else { "+" };
                format!("{mantissa}{point}e{sign}{exponent}").into()
            }
            None => number.clone(),
        }),
        Json::Array(items) => Json::Array(items.iter().map(portable).collect()),
        Json::Object(members) => Json::Object(
            members.iter().map(|(key, value)| (key.clone(), portable(value))).collect(),
        ),
        other => other.clone(),
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A key with its value; the indentation before the key is there already.
fn member(key: &str, value: &Json, indent: usize, out: &mut String) {
    let start = out.len();
    if key.contains('\n') {
        double_quoted(key, out);
    } else {
        text(key, indent, out);
    }
    if out.len() - start > SIMPLE_KEY_MAX {
        out.insert_str(start, "? ");
        out.push('\n');
        pad(indent, out);
    }
    out.push(':');
    match value {
        Json::Array(items) if !items.is_empty() => {
            out.push('\n');
            list(items, indent, out);
        }
        Json::Object(members) if !members.is_empty() => {
            out.push('\n');
            for (key, value) in members {
                pad(indent + 2, out);
                member(key, value, indent + 2, out);
            }
        }
        other => {
            out.push(' ');
            leaf(other, indent + 2, out);
            out.push('\n');
        }
    }
}

fn list(items: &[Json], indent: usize, out: &mut String) {
    for item in items {
        pad(indent, out);
        match item {
            Json::Array(inner) if !inner.is_empty() => {
                out.push_str("-\n");
                list(inner, indent + 2, out);
            }
            Json::Object(members) if !members.is_empty() => {
                for (i, (key, value)) in members.iter().enumerate() {
                    if i == 0 {
                        out.push_str("- ")
                    } else {
                        pad(indent + 2, out)
                    }
                    member(key, value, indent + 2, out);
                }
            }
            other => {
                out.push_str("- ");
                leaf(other, indent + 2, out);
                out.push('\n');
            }
        }
    }
}

fn leaf(value: &Json, indent: usize, out: &mut String) {
    match value {
        Json::String(string) => text(string, indent, out),
        Json::Array(_) => out.push_str("[]"),
        Json::Object(_) => out.push_str("{}"),
        other => out.push_str(&portable(other).to_text()),
    }
}

fn text(string: &str, indent: usize, out: &mut String) {
    let printable = string.chars().all(|c| {
        c == '\n' || !(c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'))
    });
    if !printable || ambiguous(string) {
        double_quoted(string, out);
    } else if string.contains('\n') {
        block(string, indent, out);
    } else if is_plain(string) {
        out.push_str(string);
    } else {
        out.push('\'');
        out.push_str(&string.replace('\'', "''"));
        out.push('\'');
    }
}

/// Whether YAML 1.1 or 1.2 could read the word as something else than a text, or Ruby's reader: `1,000` is a
/// number to it, `:x` a symbol.
fn ambiguous(string: &str) -> bool {
    const WORDS: [&str; 14] =
        ["", "~", "=", "<<", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan"];
    let lower = string.to_ascii_lowercase();
    let number = |c: char| {
        c.is_ascii_hexdigit()
            || matches!(
                c,
                'x' | 'X'
                    | 'o'
                    | 'O'
                    | '_'
                    | '+'
                    | '-'
                    | '.'
                    | ','
                    | ':'
                    | 'T'
                    | 't'
                    | 'Z'
                    | 'z'
                    | ' '
            )
    };
    let unsigned = string.strip_prefix(['+', '-']).unwrap_or(string);
    let point = unsigned.strip_prefix('.');
    let numeric_start = point.unwrap_or(unsigned).starts_with(|c: char| c.is_ascii_digit());
    let no_number = point
        .is_some_and(|rest| rest.eq_ignore_ascii_case("inf") || rest.eq_ignore_ascii_case("nan"));
    WORDS.contains(&&*lower)
        || string.starts_with(':')
        || no_number
        || (numeric_start && string.chars().all(number))
}

/// Whether a text needs no quotes: no indicator in front, nothing that ends a plain text inside.
fn is_plain(string: &str) -> bool {
    let first = |c: char| !"-?:,[]{}#&*!|>'\"%@` ".contains(c);
    let dash = string
        .strip_prefix(['-', '?', ':'])
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with([' ', '-']));
    (string.starts_with(first) || dash)
        && !string.ends_with([' ', ':'])
        && !string.contains(": ")
        && !string.contains(" #")
        && !string.starts_with("---")
        && !string.starts_with("...")
}

/// A literal block, when it can say the text; else double quotes.
fn block(string: &str, indent: usize, out: &mut String) {
    let body = string.strip_suffix('\n').unwrap_or(string);
    let simple = !body.is_empty() && !body.starts_with([' ', '\n']) && !body.ends_with('\n');
    if !simple {
        double_quoted(string, out);
        return;
    }
    out.push_str(if string.ends_with('\n') { "|" } else { "|-" });
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(indent.max(2), out);
            out.push_str(line);
        }
    }
}

fn double_quoted(string: &str, out: &mut String) {
    out.push('"');
    for c in string.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                out.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
