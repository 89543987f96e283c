//! Text as others read it back: shells, dotenv parsers, `java.util.Properties`.

use std::fmt::Write as _;

/// A key as the name of a variable: `db-password` becomes `db_password`, `2fa` becomes `_2fa`.
pub(super) fn variable_name(key: &str) -> String {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut name: String = key.chars().map(|c| if is_fine(c) { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// Inside of single quotes nothing is special to a POSIX shell but the single quote.
pub(super) fn sh(text: &str, out: &mut String) {
    out.push('\'');
    out.push_str(&text.replace('\'', r"'\''"));
    out.push('\'');
}

/// See [`super::Format`] for the four ways and who reads them.
pub(super) fn dotenv(text: &str, out: &mut String) {
    let has_special = text.contains(['"', '\\', '$', '`']);
    let has_line_end = text.contains(['\n', '\r']);
    // Some parsers read `\\` and `\'` as escapes even there.
    let is_literal =
        !has_line_end && !text.contains(['\'']) && !text.contains(r"\\") && !text.ends_with('\\');
    // Without quotes a comment, a variable and blanks at the ends would be none of the value.
    let is_bare = !has_line_end
        && !text.contains(['#', '$'])
        && !text.starts_with(['"', '\'', '`'])
        && text.trim().len() == text.len();
    if has_special && is_literal {
        out.push('\'');
        out.push_str(text);
        out.push('\'');
        return;
    }
    if has_special && is_bare {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' | '$' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// A key as `java.util.Properties.store` writes it: all blanks escaped.
pub(super) fn properties_key(text: &str, out: &mut String) {
    properties(text, true, out);
}

/// A value as `java.util.Properties.store` writes it: a blank in front escaped.
pub(super) fn properties_value(text: &str, out: &mut String) {
    properties(text, false, out);
}

fn properties(text: &str, escapes_blanks: bool, out: &mut String) {
    for (i, c) in text.chars().enumerate() {
        match c {
            ' ' if i == 0 || escapes_blanks => out.push_str("\\ "),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{c}' => out.push_str("\\f"),
            '\\' | '=' | ':' | '#' | '!' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _infallible = write!(out, "\\u{unit:04X}");
                }
            }
        }
    }
}
