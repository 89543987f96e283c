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
/// Letters without case begin no word, and `ß` begins one as `Ss`.
pub(super) fn title_words(text: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(text.len());
    let mut within = false;
    let mut was_middle = false;
    for (c, _) in runes(text) {
        let is_middle = matches!(c, '\'' | '.' | ':' | '·' | '՟' | '״' | '‘' | '’' | '․' | '‧')
            || matches!(c, '︓' | '﹒' | '﹕' | '＇' | '．' | '：');
        if is_middle && was_middle {
            within = false;
        }
        was_middle = is_middle;
        let is_cased = c.is_lowercase() || c.is_uppercase() || lower_char(c) != c;
        if is_cased && !within {
            push_title(c, &mut out);
        } else {
            out.push(c);
        }
        within = is_cased || within && (is_middle || continues_word(c));
    }
    out.into_bytes()
}

/// One character, or several of which the first letter is the capital.
fn push_title(c: char, out: &mut String) {
    let title = title_char(c);
    if title != c || only(c.to_uppercase()).is_some() {
        out.push(title);
        return;
    }
    let mut is_first = true;
    for part in c.to_uppercase() {
        let is_iota_below = part == '\u{399}' && matches!(c, '\u{1f80}'..='\u{1fff}');
        match part {
            _ if !is_first && is_iota_below => out.push('\u{345}'),
            _ if !is_first => out.push(lower_char(part)),
            _ => out.push(part),
        }
        is_first &= !part.is_uppercase();
    }
}

/// Letters without case, digits, underscores, and marks on other characters or without a look.
fn continues_word(c: char) -> bool {
    let is_mark = || {
        let pair: String = ['a', c].iter().collect();
        c.escape_debug().count() > 1 && pair.escape_debug().count() == 2
    };
    match c {
        '_' | '\u{ad}' | '\u{200d}'..='\u{200f}' | '\u{202a}'..='\u{202f}' => true,
        '\u{203f}' | '\u{2040}' | '\u{2054}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => true,
        // Numbers that are no digits.
        '²' | '³' | '¹' | '¼'..='¾' | '\u{2070}' | '\u{2074}'..='\u{2079}' => false,
        '\u{2080}'..='\u{2089}' | '\u{2150}'..='\u{215f}' | '\u{2189}' => false,
        '\u{2460}'..='\u{249b}' | '\u{24ea}'..='\u{24ff}' | '\u{2776}'..='\u{2793}' => false,
        _ if c.is_alphanumeric() => !has_words_of_one(c),
        _ => !c.is_ascii() && is_mark(),
    }
}

/// Scripts that write no blanks between words: each character counts as one.
fn has_words_of_one(c: char) -> bool {
    matches!(
        c,
        '\u{e01}'..='\u{eff}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1780}'..='\u{17ff}'
            | '\u{1950}'..='\u{19df}'
            | '\u{1a20}'..='\u{1aaf}'
            | '\u{3005}'..='\u{3029}'
            | '\u{3041}'..='\u{309f}'
            | '\u{3400}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}'
    )
}
