//! YAML as `kubectl` prints it; what either version of YAML could misread is quoted.

use crate::base::json::Json;

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

/// Writes a key with its value as lines of a map that stands `indent` spaces from the margin, the first
/// line without its indentation.
pub(crate) fn write_member_at(key: &str, value: &Json, indent: usize, out: &mut String) {
    member(key, value, indent, out);
}

/// Writes items as lines of a list whose dashes stand `indent` spaces from the margin.
pub(crate) fn write_items(items: &[Json], indent: usize, out: &mut String) {
    list(items, indent, out);
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
