//! Words of identifiers, as `sprig_camelcase`, `sprig_kebabcase` and `sprig_snakecase` see them: the rules of
//! xstrings, one by one, since no others give the same for odd texts.

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

/// Connectors at the start stay, the last one twice when nothing follows, and of several in a row later on all but
/// one. Capitals stay: the release of xstrings after the one that agents have makes small letters of them.
pub(super) fn camel(text: &[u8]) -> Vec<u8> {
    let mut out = String::new();
    let mut last = None;
    let mut chars = runes(text).map(|(c, _)| c);
    for c in chars.by_ref() {
        if !is_connector(c) {
            last = Some(upper_char(c));
            break;
        }
        out.push(c);
        last = Some(c);
    }
    let Some(mut last) = last else { return out.into_bytes() };
    for c in chars {
        match (is_connector(last), is_connector(c)) {
            (true, false) => last = upper_char(c),
            _ => {
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
    let out = Vec::with_capacity(text.len());
    let mut writer = Writer { words: Words::new(text), out, connector };
    let mut word = writer.words.next_word();
    while !writer.words.rest.is_empty() {
        if word.kind != Kind::Connector {
            writer.put(word);
        }
        let before = word;
        word = writer.words.next_word();
        match (before.kind, word.kind) {
            (Kind::Number, _) => word = writer.letters_and_numbers(word),
            (Kind::Connector, _) => writer.put(before),
            (Kind::Punctuation, _) | (_, Kind::Connector | Kind::Punctuation) => {}
            // A number at the end belongs to the word before it.
            (_, Kind::Number) if writer.words.rest.is_empty() => {}
            (_, Kind::Number) => {
                let number = word;
                word = writer.words.next_word();
                if word.kind == Kind::Letters {
                    writer.connect();
                    writer.put(number);
                    word = writer.letters_and_numbers(word);
                } else {
                    writer.put(number);
                    if !matches!(word.kind, Kind::Connector | Kind::Punctuation) {
                        writer.connect();
                    }
                }
            }
            _ => writer.connect(),
        }
    }
    writer.put(word);
    writer.out
}

#[derive(Clone, Copy)]
struct Word<'t> {
    kind: Kind,
    bytes: &'t [u8],
}

struct Writer<'t> {
    words: Words<'t>,
    out: Vec<u8>,
    connector: char,
}

impl<'t> Writer<'t> {
    fn push(&mut self, c: char) {
        self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn connect(&mut self) {
        self.push(self.connector);
    }

    fn put(&mut self, word: Word<'_>) {
        if !matches!(word.kind, Kind::Upper | Kind::Connector) {
            self.out.extend_from_slice(word.bytes);
            return;
        }
        for (c, _) in runes(word.bytes) {
            let is_upper = self.words.kind(c) == Kind::Upper;
            let c = if is_connector(c) { self.connector } else { c };
            self.push(if is_upper { lower_char(c) } else { c });
        }
    }

    /// Writes letters and numbers from `word` on without anything between them; the word after them.
    fn letters_and_numbers(&mut self, mut word: Word<'t>) -> Word<'t> {
        while matches!(word.kind, Kind::Letters | Kind::Number) {
            self.put(word);
            word = self.words.next_word();
        }
        if !matches!(word.kind, Kind::Nothing | Kind::Punctuation | Kind::Connector) {
            self.connect();
        }
        word
    }
}

type Category = Box<dyn Fn(char) -> bool>;

struct Words<'t> {
    rest: &'t [u8],
    letter: Category,
    number: Category,
    punctuation: Category,
    upper: Category,
}

/// The characters one by one: nothing after the one that is asked for is looked at, since words are short and texts
/// may be long.
fn characters(mut text: &[u8]) -> impl Iterator<Item = (char, usize)> + '_ {
    std::iter::from_fn(move || {
        let (c, width) = runes(text.get(..4).unwrap_or(text)).next()?;
        text = text.get(width..).unwrap_or_default();
        Some((c, width))
    })
}

impl<'t> Words<'t> {
    fn new(rest: &'t [u8]) -> Self {
        let category = |name: &str| -> Category { Box::new(in_category(name)) };
        Self {
            rest,
            letter: category("L"),
            number: category("N"),
            punctuation: category("P"),
            upper: category("Lu"),
        }
    }

    fn kind(&self, c: char) -> Kind {
        match c {
            'a'..='z' => Kind::Letters,
            'A'..='Z' => Kind::Upper,
            '0'..='9' => Kind::Number,
            c if is_connector(c) => Kind::Connector,
            c if (self.punctuation)(c) => Kind::Punctuation,
            c if (self.upper)(c) => Kind::Upper,
            '\u{3400}'..='\u{4d85}' | '\u{4e00}'..='\u{9fcc}' | '\u{20000}'..='\u{2b81d}' => {
                Kind::Other
            }
            c if (self.letter)(c) => Kind::Letters,
            c if (self.number)(c) => Kind::Number,
            _ => Kind::Other,
        }
    }

    /// The length of what belongs to a word from `offset` on. Bytes that are no text belong to the character
    /// after them, at the end to the one before.
    fn run(&self, offset: usize, belongs: impl Fn(char) -> bool) -> usize {
        let rest = self.rest.get(offset..).unwrap_or_default();
        let (mut length, mut end) = (0, 0);
        for (c, width) in characters(rest) {
            end += width;
            if c == char::REPLACEMENT_CHARACTER {
                continue;
            }
            if !belongs(c) {
                return length;
            }
            length = end;
        }
        end
    }

    /// The length of the first character with the bytes before it that are no text.
    fn first(&self) -> (Option<char>, usize) {
        let mut length = 0;
        for (c, width) in characters(self.rest) {
            length += width;
            if c != char::REPLACEMENT_CHARACTER {
                return (Some(c), length);
            }
        }
        (None, length)
    }

    /// The next word, which is none at the end. Of several capitals the last one starts the next word when a small
    /// letter follows; a single capital takes the small letters with it.
    fn next_word(&mut self) -> Word<'t> {
        let (first, width) = self.first();
        let kind = first.map_or(Kind::Nothing, |c| self.kind(c));
        let is_letter = |c: char| self.kind(c) == Kind::Letters;
        let length = match kind {
            Kind::Nothing => width,
            Kind::Connector => width + self.run(width, is_connector),
            // These are punctuation as well, where they do not come first.
            Kind::Punctuation => width + self.run(width, |c| (self.punctuation)(c)),
            Kind::Upper => self.capitals(width),
            Kind::Letters => width + self.run(width, is_letter),
            Kind::Number => width + self.run(width, |c| (self.number)(c)),
            Kind::Other => width + self.run(width, |c| self.kind(c) == Kind::Other),
        };
        let (bytes, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, &[]));
        self.rest = rest;
        Word { kind, bytes }
    }

    fn capitals(&self, width: usize) -> usize {
        let is_upper = |c: char| self.kind(c) == Kind::Upper;
        let more = self.run(width, is_upper);
        let length = width + more;
        let small = self.run(length, |c| self.kind(c) == Kind::Letters);
        if more == 0 {
            return length + small;
        }
        if small == 0 {
            return length;
        }
        // Back to before the last capital.
        let run = self.rest.get(..length).unwrap_or_default();
        let (mut last, mut end) = (0, 0);
        let mut after = 0;
        for (c, width) in characters(run) {
            end += width;
            if c != char::REPLACEMENT_CHARACTER {
                (last, after) = (after, end);
            }
        }
        last
    }
}
