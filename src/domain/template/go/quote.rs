//! Go's quoted strings (`strconv.Quote`), and what Go takes for printable.

use std::fmt::Write as _;

/// Whether Go prints the character as it is (`strconv.IsPrint`).
pub(crate) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    // Rust knows the same categories; a combining mark counts as printable only after another character.
    let pair: String = ['a', c].iter().collect();
    pair.escape_debug().count() == 2
}

/// `strconv.Quote`, or `QuoteToASCII`.
pub(crate) fn quote(text: &[u8], ascii_only: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            escape(c, '"', ascii_only, &mut out);
        }
        for byte in chunk.invalid() {
            let _infallible = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

/// `strconv.QuoteRune`, or `QuoteRuneToASCII`.
pub(crate) fn quote_char(c: char, ascii_only: bool) -> String {
    let mut out = String::from("'");
    escape(c, '\'', ascii_only, &mut out);
    out.push('\'');
    out
}

/// Whether Go would write it between backquotes.
pub(crate) fn can_backquote(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok_and(|text| {
        text.chars().all(|c| c == '\t' || !(c.is_ascii_control() || matches!(c, '`' | '\u{feff}')))
    })
}

fn escape(c: char, quote: char, ascii_only: bool, out: &mut String) {
    let code = u32::from(c);
    let short = match c {
        '\x07' => 'a',
        '\x08' => 'b',
        '\x0c' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\x0b' => 'v',
        c if c == quote || c == '\\' => c,
        c if is_printable(c) && (c.is_ascii() || !ascii_only) => {
            out.push(c);
            return;
        }
        _ => {
            let _infallible = match code {
                0..=0x7f => write!(out, "\\x{code:02x}"),
                0x80..=0xffff => write!(out, "\\u{code:04x}"),
                _ => write!(out, "\\U{code:08x}"),
            };
            return;
        }
    };
    out.extend(['\\', short]);
}
