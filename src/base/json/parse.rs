//! JSON text to values, in one pass, with every byte of memory counted before it is taken.
//!
//! Small texts make large values: `[{},{},…` takes four bytes for an item and some 50 in memory. So what bounds a
//! text bounds nothing, and what is made of it is bounded here.

use std::collections::BTreeMap;

use super::{DEPTH_MAX, Json, JsonError, Lists};

/// One node of a map has room for eleven members, and five at least are used.
const NODE_BYTES: usize =
    block(11 * (size_of::<String>() + size_of::<Json>()) + 16 * size_of::<usize>());
/// Of one member of a map, in nodes that are as empty as they can be.
const MEMBER_BYTES: usize = NODE_BYTES / 5 + 16;
/// Items that an array has room for at first.
const ITEMS_MIN: usize = 4;

/// What the allocator takes for so many bytes: eight of its own, in sixteens, thirty-two at least.
const fn block(bytes: usize) -> usize {
    let taken = (bytes.saturating_add(8 + 15) / 16) * 16;
    if bytes == 0 {
        0
    } else if taken < 32 {
        32
    } else {
        taken
    }
}

/// A place in a text, and the memory that may still be taken.
pub(super) struct Parser<'t> {
    text: &'t str,
    at: usize,
    memory: usize,
}

/// A string as it stands in the text, checked.
struct Quoted<'t> {
    /// Between the quotes.
    raw: &'t str,
    /// Bytes of what it means.
    length: usize,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t [u8], memory: usize) -> Result<Self, JsonError> {
        match str::from_utf8(text) {
            Ok(text) => Ok(Self { text, at: 0, memory }),
            Err(error) => Err(syntax(text, error.valid_up_to())),
        }
    }

    /// The one value of the text.
    pub(super) fn whole(mut self) -> Result<Json, JsonError> {
        let value = self.value(0)?;
        self.end()?;
        Ok(value)
    }

    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.wrong()) }
    }

    /// Takes memory, before it is taken indeed.
    fn charge(&mut self, bytes: usize) -> Result<(), JsonError> {
        self.memory = self.memory.checked_sub(bytes).ok_or(JsonError::Large)?;
        Ok(())
    }

    fn refund(&mut self, bytes: usize) {
        self.memory = self.memory.saturating_add(bytes);
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn need(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.take(byte) { Ok(()) } else { Err(self.wrong()) }
    }

    fn wrong(&self) -> JsonError {
        syntax(self.text.as_bytes(), self.at)
    }

    fn word(&mut self, word: &str) -> Result<(), JsonError> {
        for byte in word.bytes() {
            if self.byte() != Some(byte) {
                return Err(self.wrong());
            }
            self.at += 1;
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        if depth >= DEPTH_MAX {
            return Err(JsonError::Deep);
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Json::String(self.string()?)),
            Some(b't') => self.word("true").map(|()| Json::Bool(true)),
            Some(b'f') => self.word("false").map(|()| Json::Bool(false)),
            Some(b'n') => self.word("null").map(|()| Json::Null),
            Some(b'-' | b'0'..=b'9') => {
                let number = self.number()?;
                self.charge(block(number.len()))?;
                Ok(Json::Number(number.into()))
            }
            Some(_) | None => Err(self.wrong()),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.need(b'[')?;
        let mut items: Vec<Json> = Vec::new();
        if self.take(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            let item = self.value(depth + 1)?;
            if items.len() == items.capacity() {
                let before = items.capacity();
                let room = (2 * before).max(ITEMS_MIN);
                // The old room is there until the new one is filled.
                self.charge(block(room * size_of::<Json>()))?;
                items.reserve_exact(room - before);
                self.refund(block(before * size_of::<Json>()));
            }
            items.push(item);
            if self.take(b']') {
                return Ok(Json::Array(items));
            }
            self.need(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.need(b'{')?;
        let mut members = BTreeMap::new();
        if self.take(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.wrong());
            }
            let room = if members.is_empty() { NODE_BYTES } else { MEMBER_BYTES };
            self.charge(room)?;
            let key = self.string()?;
            self.need(b':')?;
            let value = self.value(depth + 1)?;
            members.insert(key, value);
            if self.take(b'}') {
                return Ok(Json::Object(members));
            }
            self.need(b',')?;
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let quoted = self.quoted()?;
        self.charge(block(quoted.length))?;
        Ok(quoted.text(usize::MAX))
    }

    /// Passes a string, and checks it.
    fn quoted(&mut self) -> Result<Quoted<'t>, JsonError> {
        self.need(b'"')?;
        let start = self.at;
        let mut length = 0;
        loop {
            match self.byte() {
                Some(b'"') => {
                    let raw = self.text.get(start..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok(Quoted { raw, length });
                }
                Some(b'\\') => {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    let (meant, taken) = escape(rest).ok_or_else(|| self.wrong())?;
                    length += meant.len_utf8();
                    self.at += taken;
                }
                None | Some(..0x20) => return Err(self.wrong()),
                Some(_) => {
                    length += 1;
                    self.at += 1;
                }
            }
        }
    }

    fn number(&mut self) -> Result<&'t str, JsonError> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        // `01` is no number, and no two of them.
        if matches!(self.byte(), Some(b'0'..=b'9')) {
            return Err(self.wrong());
        }
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.wrong()) } else { Ok(()) }
    }

    /// Passes a value without making it.
    fn skip(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth >= DEPTH_MAX {
            return Err(JsonError::Deep);
        }
        match self.peek() {
            Some(b'{') => self.each_member(|parser, _key| parser.skip(depth + 1)),
            Some(b'[') => self.each_item(|parser| parser.skip(depth + 1)),
            Some(b'"') => self.quoted().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            _ => self.value(depth).map(drop),
        }
    }

    fn each_item(
        &mut self,
        mut with: impl FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.need(b'[')?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            with(self)?;
            if self.take(b']') {
                return Ok(());
            }
            self.need(b',')?;
        }
    }

    fn each_member(
        &mut self,
        mut with: impl FnMut(&mut Self, &Quoted<'t>) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.need(b'{')?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.peek();
            let key = self.quoted()?;
            self.need(b':')?;
            with(self, &key)?;
            if self.take(b'}') {
                return Ok(());
            }
            self.need(b',')?;
        }
    }

    /// The lists of texts that members of an object are, by the names of the members; see
    /// [`super::lists_of_texts`].
    pub(super) fn lists(
        mut self,
        names: &[&str],
        texts_max: usize,
        chars_max: usize,
    ) -> Result<Option<Lists>, JsonError> {
        if self.peek() != Some(b'{') {
            self.skip(0)?;
            self.end()?;
            return Ok(None);
        }
        let mut found: Lists = vec![None; names.len()];
        self.each_member(|parser, key| {
            let place = names.iter().position(|name| key.is(name));
            let list = place.and_then(|place| found.get_mut(place));
            let (Some(list), Some(b'[')) = (list, parser.peek()) else { return parser.skip(1) };
            let mut texts = Vec::new();
            parser.each_item(|parser| {
                if parser.peek() == Some(b'"') && texts.len() < texts_max {
                    texts.push(parser.quoted()?.text(chars_max));
                    return Ok(());
                }
                parser.skip(2)
            })?;
            *list = Some(texts);
            Ok(())
        })?;
        self.end()?;
        Ok(Some(found))
    }
}

impl Quoted<'_> {
    /// What it means, at most so many characters of it. Room for all of it is taken at once: what grows leaves
    /// copies behind.
    fn text(&self, chars_max: usize) -> String {
        let room = self.length.min(chars_max.saturating_mul(char::MAX.len_utf8()));
        if self.length == self.raw.len() && self.length <= chars_max {
            return self.raw.to_owned();
        }
        let mut text = String::with_capacity(room);
        text.extend(self.characters().take(chars_max));
        text
    }

    fn is(&self, text: &str) -> bool {
        self.length == text.len() && self.characters().eq(text.chars())
    }

    fn characters(&self) -> impl Iterator<Item = char> {
        let mut rest = self.raw;
        std::iter::from_fn(move || {
            let (next, taken) = match rest.chars().next()? {
                '\\' => escape(rest)?,
                next => (next, next.len_utf8()),
            };
            rest = rest.get(taken..)?;
            Some(next)
        })
    }
}

/// What an escape at the start of a text means, and its bytes. Half of a pair means nothing.
fn escape(text: &str) -> Option<(char, usize)> {
    let simple = |meant| Some((meant, 2));
    match text.as_bytes().get(1)? {
        b'"' => simple('"'),
        b'\\' => simple('\\'),
        b'/' => simple('/'),
        b'b' => simple('\u{8}'),
        b'f' => simple('\u{c}'),
        b'n' => simple('\n'),
        b'r' => simple('\r'),
        b't' => simple('\t'),
        b'u' => {
            let unit = |at: usize| {
                let digits =
                    text.get(at..at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
                u32::from_str_radix(digits?, 16).ok()
            };
            let first = unit(2)?;
            if let Some(meant) = char::from_u32(first) {
                return Some((meant, 6));
            }
            let second = unit(8).filter(|_| text.get(6..8) == Some("\\u"))?;
            let is_pair = (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(&second);
            let code = 0x10000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
            is_pair.then(|| char::from_u32(code)).flatten().map(|meant| (meant, 12))
        }
        _ => None,
    }
}

/// Line and column of what cannot be read; of the last byte when more was to come.
fn syntax(text: &[u8], at: usize) -> JsonError {
    let before = text.get(..at).unwrap_or(text);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let column = (before.len() - start) + usize::from(at < text.len());
    JsonError::Syntax { line, column }
}
