//! Reads JSON as Go's encoding/json does into an `interface {}`, straight into values: what stands in a text of
//! the snapshot without escapes is not copied.

use std::collections::BTreeMap;

use crate::base::json::DEPTH_MAX;
use crate::domain::template::budget::Meter;
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::value::{Entries, List, Map, Text, Value};

/// What a text says, and whether a number of it was out of range and reads as 0.
pub(super) struct Document<'a> {
    pub(super) value: Value<'a>,
    pub(super) is_out_of_range: bool,
}

/// Reads one JSON text. Errors name a position, never the text: it may be a secret.
pub(super) fn document<'a>(meter: &mut Meter, text: &Text<'a>) -> Result<Document<'a>> {
    let bytes: &[u8] = text;
    let lasting = if let Text::Borrowed(bytes) = text { Some(*bytes) } else { None };
    let mut reader = Reader {
        meter,
        text: bytes,
        lasting,
        at: 0,
        depth: 0,
        keys: BTreeMap::new(),
        is_out_of_range: false,
    };
    let value = reader.value()?;
    reader.blanks();
    if reader.at < bytes.len() {
        return reader.fault();
    }
    Ok(Document { value, is_out_of_range: reader.is_out_of_range })
}

/// Keys that a document shares between its objects; more are copied.
const KEYS_MAX: usize = 1024;

struct Reader<'m, 't, 'a> {
    meter: &'m mut Meter,
    text: &'t [u8],
    /// The same text, when it outlives the value.
    lasting: Option<&'a [u8]>,
    at: usize,
    depth: usize,
    /// Objects of a list mostly have the same keys.
    keys: BTreeMap<&'t [u8], Text<'a>>,
    is_out_of_range: bool,
}

impl<'t, 'a> Reader<'_, 't, 'a> {
    fn fault<T>(&self) -> Result<T> {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default().len() + 1;
        Err(Fault::new(format!("not JSON at line {line} column {column}")))
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Goes past `wanted` when it comes next.
    fn takes(&mut self, wanted: u8) -> bool {
        let is_next = self.peek() == Some(wanted);
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self) -> Result<Value<'a>> {
        self.meter.step()?;
        self.blanks();
        match self.peek() {
            Some(b'n') => self.word("null", Value::Nil),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b'[') => self.nested(Self::array),
            Some(b'{') => self.nested(Self::object),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>> {
        for byte in word.bytes() {
            if !self.takes(byte) {
                return self.fault();
            }
        }
        Ok(value)
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value<'a>>) -> Result<Value<'a>> {
        if self.depth >= DEPTH_MAX {
            return Err(Fault::new(format!("JSON nested deeper than {DEPTH_MAX}")));
        }
        self.depth += 1;
        self.at += 1;
        let mark = self.meter.mark();
        let value = read(self)?;
        self.meter.settle(&mark);
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Value<'a>> {
        let mut items = Vec::new();
        self.blanks();
        if !self.takes(b']') {
            loop {
                self.meter.elements(1)?;
                items.push(self.value()?);
                self.blanks();
                if self.takes(b']') {
                    break;
                }
                if !self.takes(b',') {
                    return self.fault();
                }
            }
        }
        items.shrink_to_fit();
        Ok(List::of_json(items))
    }

    fn object(&mut self) -> Result<Value<'a>> {
        let mut entries = Vec::new();
        self.meter.maps(1)?;
        self.blanks();
        if !self.takes(b'}') {
            loop {
                self.meter.elements(2)?;
                self.blanks();
                let key = self.key()?;
                self.blanks();
                if !self.takes(b':') {
                    return self.fault();
                }
                entries.push((key, self.value()?));
                self.blanks();
                if self.takes(b'}') {
                    break;
                }
                if !self.takes(b',') {
                    return self.fault();
                }
            }
        }
        Ok(Map::any(entries.into_iter().collect::<Entries<'a>>()))
    }

    fn key(&mut self) -> Result<Text<'a>> {
        let start = self.at;
        if self.lasting.is_none() && self.peek() == Some(b'"') {
            let (plain, end) = self.plain();
            if self.text.get(end) == Some(&b'"')
                && let Some(known) = self.keys.get(plain)
            {
                self.at = end + 1;
                return Ok(known.clone());
            }
        }
        let key = self.string()?;
        let written = self.text.get(start + 1..self.at - 1).unwrap_or_default();
        if self.lasting.is_none() && *key == *written && self.keys.len() < KEYS_MAX {
            self.meter.elements(1)?;
            self.keys.insert(written, key.clone());
        }
        Ok(key)
    }

    /// What stands in quotes up to the first byte that is not simply itself, and where that is.
    fn plain(&self) -> (&'t [u8], usize) {
        let start = self.at + 1;
        let rest = self.text.get(start..).unwrap_or_default();
        let is_plain = |byte: &u8| *byte >= b' ' && !matches!(byte, b'"' | b'\\');
        let length = rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
        (rest.get(..length).unwrap_or_default(), start + length)
    }

    fn string(&mut self) -> Result<Text<'a>> {
        if self.peek() != Some(b'"') {
            return self.fault();
        }
        let (plain, end) = self.plain();
        if self.text.get(end) == Some(&b'"') && str::from_utf8(plain).is_ok() {
            let start = self.at + 1;
            self.at = end + 1;
            if let Some(lasting) = self.lasting.and_then(|text| text.get(start..end)) {
                return Ok(Text::Borrowed(lasting));
            }
            self.meter.room(plain.len())?;
            return Ok(Text::from(plain.to_vec()));
        }
        let mut out = Vec::new();
        self.at += 1;
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte >= b' ' && !matches!(byte, b'"' | b'\\')) {
                self.at += 1;
            }
            for chunk in self.text.get(start..self.at).unwrap_or_default().utf8_chunks() {
                out.extend_from_slice(chunk.valid().as_bytes());
                for _ in chunk.invalid() {
                    put(&mut out, char::REPLACEMENT_CHARACTER);
                }
            }
            if self.takes(b'"') {
                self.meter.room(out.len())?;
                return Ok(Text::from(out));
            }
            if !self.takes(b'\\') {
                return self.fault();
            }
            let c = self.escaped()?;
            put(&mut out, c);
        }
    }

    /// What follows a backslash. Half of a surrogate pair is U+FFFD.
    fn escaped(&mut self) -> Result<char> {
        let c = match self.peek() {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                let Some(unit) = self.unit(self.at) else { return self.fault() };
                self.at += 4;
                let low = match unit {
                    0xd800..0xdc00 if self.text.get(self.at..self.at + 2) == Some(b"\\u") => {
                        self.unit(self.at + 2).filter(|low| (0xdc00..0xe000).contains(low))
                    }
                    _ => None,
                };
                let code = match low {
                    Some(low) => {
                        self.at += 6;
                        0x1_0000 + ((unit - 0xd800) << 10 | (low - 0xdc00))
                    }
                    None => unit,
                };
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ => return self.fault(),
        };
        self.at += 1;
        Ok(c)
    }

    /// Four hexadecimal digits.
    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 4)?;
        let digits = str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        u32::from_str_radix(digits, 16).ok()
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Value<'a>> {
        let start = self.at;
        self.takes(b'-');
        if !self.takes(b'0') && self.digits() == 0 {
            return self.fault();
        }
        if self.takes(b'.') && self.digits() == 0 {
            return self.fault();
        }
        if self.takes(b'e') || self.takes(b'E') {
            let _sign = self.takes(b'+') || self.takes(b'-');
            if self.digits() == 0 {
                return self.fault();
            }
        }
        let written = self.text.get(start..self.at).unwrap_or_default();
        let number = str::from_utf8(written).ok().and_then(|text| text.parse().ok());
        let number = number.filter(|number: &f64| number.is_finite());
        self.is_out_of_range |= number.is_none();
        Ok(Value::Float(number.unwrap_or(0.0)))
    }
}

fn put(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}
