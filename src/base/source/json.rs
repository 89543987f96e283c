//! JSON texts, one after the other, with the places of their parts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::{Document, Member, Node, Shape};
use crate::base::json::{DEPTH_MAX, Json, JsonError};

/// All JSON texts of a text; only white space may stand between them.
pub fn read(text: &str) -> Result<Vec<Document>, JsonError> {
    let mut documents = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    while let Some(raw) = stream.next() {
        let length = raw.map_err(|e| wrong(&e))?.get().len();
        let at = stream.byte_offset().saturating_sub(length);
        let root = Reader { text, at }.value(0)?;
        documents.push(Document { root, shared: BTreeSet::new(), unusual: false });
    }
    Ok(documents)
}

fn wrong(error: &serde_json::Error) -> JsonError {
    JsonError::Syntax { line: error.line(), column: error.column() }
}

/// Walks over a text that is known to be JSON.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    /// The next byte that is no white space; 0 at the end.
    fn peek(&mut self) -> u8 {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(byte) => return *byte,
                None => return 0,
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, JsonError> {
        if depth >= DEPTH_MAX {
            return Err(JsonError::Deep);
        }
        let first = self.peek();
        let start = self.at;
        let shape = match first {
            b'{' => self.map(depth)?,
            b'[' => self.list(depth)?,
            b'"' => Shape::Leaf(Json::String(self.string()?)),
            _ => Shape::Leaf(self.word()),
        };
        Ok(Node { anchor: 0, span: start..self.at, shape })
    }

    fn map(&mut self, depth: usize) -> Result<Shape, JsonError> {
        self.at += 1;
        let flow = Some(self.at);
        let mut members = Vec::new();
        while self.peek() == b'"' {
            let start = self.at;
            let key = Some(self.string()?);
            let key_span = start..self.at;
            self.peek();
            self.at += 1; // the colon
            members.push(Member { key, key_span, value: self.value(depth + 1)? });
            if self.peek() == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
        members.shrink_to_fit();
        Ok(Shape::Map { flow, members, merged: BTreeMap::new() })
    }

    fn list(&mut self, depth: usize) -> Result<Shape, JsonError> {
        self.at += 1;
        let flow = Some(self.at);
        let mut items = Vec::new();
        while !matches!(self.peek(), b']' | 0) {
            items.push(self.value(depth + 1)?);
            if self.peek() == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
        items.shrink_to_fit();
        Ok(Shape::List { flow, items })
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let start = self.at;
        let rest = self.text.as_bytes().get(start + 1..).unwrap_or_default();
        let mut escaped = false;
        let length = rest.iter().position(|&byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        self.at = start + 2 + length.unwrap_or(rest.len());
        let text = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(text).map_err(|e| wrong(&e))
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Json {
        let rest = self.text.get(self.at..).unwrap_or_default();
        // Texts follow each other without white space as well: `1{"a":2}"b"`.
        let ends = |c: char| !matches!(c, 'a'..='z' | 'E' | '0'..='9' | '-' | '+' | '.');
        let word = rest.split(ends).next().unwrap_or_default();
        self.at += word.len().max(1);
        match word {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            "null" | "" => Json::Null,
            number => Json::Number(number.into()),
        }
    }
}
