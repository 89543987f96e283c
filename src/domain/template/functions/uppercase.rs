//! Letter case as Go maps it: one character to one character.

use super::text::runes;

/// Rust maps some characters to several; Go keeps those, but for the Greek letters with iota below.
pub(super) fn upper_char(c: char) -> char {
    match (only(c.to_uppercase()), u32::from(c)) {
        (Some(upper), _) => upper,
        (None, code @ (0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7)) => shifted(code, 8),
        (None, code @ (0x1fb3 | 0x1fc3 | 0x1ff3)) => shifted(code, 9),
        (None, _) => c,
    }
}

/// Only U+0130, the dotted capital I, maps to several characters in Rust.
pub(super) fn lower_char(c: char) -> char {
    only(c.to_lowercase()).unwrap_or('i')
}

/// Letters that are two in one glyph have a form of their own for the start of a word.
pub(super) fn title_char(c: char) -> char {
    match c {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian has capitals only for whole words.
        '\u{10d0}'..='\u{10ff}' => c,
        other => upper_char(other),
    }
}

fn only(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    mapped.next().filter(|_| mapped.next().is_none())
}

fn shifted(code: u32, by: u32) -> char {
    char::from_u32(code + by).unwrap_or_default()
}

pub(super) fn upper(text: &[u8]) -> Vec<u8> {
    mapped(text, upper_char)
}

pub(super) fn lower(text: &[u8]) -> Vec<u8> {
    mapped(text, lower_char)
}

pub(super) fn mapped(text: &[u8], mut map: impl FnMut(char) -> char) -> Vec<u8> {
    runes(text).map(|(c, _)| map(c)).collect::<String>().into_bytes()
}

/// The first letter of each word by Unicode's rules: `don't` and `a.b` are one word, `a-b` are two.
pub(super) fn title_words(text: &[u8]) -> Vec<u8> {
    let mut within = false;
    let mut was_middle = false;
    mapped(text, |c| {
        let is_middle = matches!(c, '\'' | '.' | ':' | '·' | '’' | '‘' | '․' | '‧');
        let is_letter = c.is_alphabetic();
        let out = if is_letter && !within { title_char(c) } else { c };
        within = match c {
            _ if is_letter => true,
            _ if is_middle => within && !was_middle,
            _ => within && (c.is_numeric() || c == '_'),
        };
        was_middle = is_middle;
        out
    })
}
