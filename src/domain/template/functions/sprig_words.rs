//! Words of identifiers, as `sprig_camelcase`, `sprig_kebabcase` and `sprig_snakecase` see them.

use super::regex::in_category;
use super::text::runes;
use super::uppercase::{lower_char, upper_char};

/// What a word is made of. Letters of Chinese and its kin count as other signs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No word at all, or bytes that are no text.
    Nothing,
    Number,
    Upper,
    Letters,
    Connector,
    Punctuation,
    Other,
}

fn is_connector(c: char) -> bool {
    matches!(c, '-' | '_') || c.is_whitespace()
}

/// Connectors at the start stay, and of several in a row all but one.
pub(super) fn camel(text: &[u8]) -> Vec<u8> {
    let mut out = String::new();
    let mut chars = runes(text).map(|(c, _)| c).peekable();
    while let Some(c) = chars.next_if(|c| is_connector(*c)) {
        out.push(c);
    }
    let Some(first) = chars.next() else { return out.into_bytes() };
    let mut last = upper_char(first);
    for c in chars {
        match (is_connector(last), is_connector(c)) {
            (true, true) => {
                out.push(last);
                last = c;
            }
            (true, false) => last = upper_char(c),
            (false, _) => {
                out.push(last);
                last = c;
            }
        }
    }
    out.push(last);
    out.into_bytes()
}

/// The words with `connector` between them, capitals in lower case. Punctuation joins the words around it, and
/// digits belong to the letters after them, or else to those before.
pub(super) fn connected(text: &[u8], connector: char) -> Vec<u8> {
    let words = words(text);
    let kind = |i: usize| words.get(i).map_or(Kind::Nothing, |(kind, _)| *kind);
    let mut out = Output { bytes: Vec::with_capacity(text.len()), connector };
    let put = |out: &mut Output, i: usize| {
        if let Some((kind, bytes)) = words.get(i) {
            out.word(*kind, bytes);
        }
    };
    let put_letters_and_numbers = |out: &mut Output, mut i: usize| {
        while matches!(kind(i), Kind::Letters | Kind::Number) {
            put(out, i);
            i += 1;
        }
        if !matches!(kind(i), Kind::Nothing | Kind::Punctuation | Kind::Connector) {
            out.connect();
        }
        i
    };
    let mut i = 0;
    while i + 1 < words.len() {
        put(&mut out, i);
        let before = kind(i);
        i += 1;
        match (before, kind(i)) {
            (Kind::Number, _) => i = put_letters_and_numbers(&mut out, i),
            (Kind::Connector | Kind::Punctuation, _) | (_, Kind::Connector | Kind::Punctuation) => {
            }
            (_, Kind::Number) if i + 1 == words.len() => {}
            (_, Kind::Number) if kind(i + 1) == Kind::Letters => {
                out.connect();
                i = put_letters_and_numbers(&mut out, i);
            }
            (_, Kind::Number) => {
                put(&mut out, i);
                i += 1;
                if !matches!(kind(i), Kind::Punctuation | Kind::Connector) {
                    out.connect();
                }
            }
            _ => out.connect(),
        }
    }
    put(&mut out, i);
    out.bytes
}

struct Output {
    bytes: Vec<u8>,
    connector: char,
}

impl Output {
    fn push(&mut self, c: char) {
        self.bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn connect(&mut self) {
        self.push(self.connector);
    }

    fn word(&mut self, kind: Kind, bytes: &[u8]) {
        if !matches!(kind, Kind::Upper | Kind::Connector) {
            self.bytes.extend_from_slice(bytes);
            return;
        }
        for (c, _) in runes(bytes) {
            let c = if is_connector(c) { self.connector } else { lower_char(c) };
            self.push(c);
        }
    }
}

/// The text in words. Bytes that are no text belong to the character after them, at the end to the one before.
fn words(text: &[u8]) -> Vec<(Kind, &[u8])> {
    let (letter, punctuation) = (in_category("L"), in_category("P"));
    let (upper, number) = (in_category("Lu"), in_category("N"));
    let kind_of = |c: char| match c {
        c if is_connector(c) => Kind::Connector,
        c if punctuation(c) => Kind::Punctuation,
        c if upper(c) => Kind::Upper,
        '\u{3400}'..='\u{4d85}' | '\u{4e00}'..='\u{9fcc}' | '\u{20000}'..='\u{2b81d}' => {
            Kind::Other
        }
        c if letter(c) => Kind::Letters,
        c if number(c) => Kind::Number,
        _ => Kind::Other,
    };
    // The kind of each character, and where it ends.
    let mut signs: Vec<(Kind, usize)> = Vec::with_capacity(text.len());
    let mut end = 0;
    for (c, width) in runes(text) {
        end += width;
        if c != char::REPLACEMENT_CHARACTER {
            signs.push((kind_of(c), end));
        }
    }
    let (last, known) = signs.last().copied().unwrap_or((Kind::Nothing, 0));
    if known < text.len() {
        signs.push((last, text.len()));
    }
    let mut words = Vec::new();
    let mut start = 0;
    let mut rest = signs.as_slice();
    while let Some((kind, _)) = rest.first() {
        let (word, next) = rest.split_at(word_length(rest));
        let end = word.last().map_or(text.len(), |(_, end)| *end);
        words.push((*kind, text.get(start..end).unwrap_or_default()));
        (start, rest) = (end, next);
    }
    words
}

/// How many characters the first word has: of several capitals the last one starts the next word when a
/// small letter follows; a single capital takes the small letters with it.
fn word_length(signs: &[(Kind, usize)]) -> usize {
    let run = |from: usize, kind: Kind| {
        signs.iter().skip(from).take_while(|(found, _)| *found == kind).count()
    };
    let Some((kind, _)) = signs.first() else { return 0 };
    let length = run(0, *kind);
    match (kind, length, run(length, Kind::Letters)) {
        (Kind::Upper, 1, small) => 1 + small,
        (Kind::Upper, _, small) if small > 0 => length - 1,
        _ => length,
    }
}
