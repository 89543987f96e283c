//! Text into tokens, on demand. White space inside an action is a token: Go's grammar needs it.

use crate::domain::template::error::{Fault, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Assign,
    Block,
    Bool,
    Break,
    /// A printable ASCII character without a meaning of its own.
    Char,
    CharConstant,
    Complex,
    Continue,
    Declare,
    Define,
    Dot,
    Else,
    End,
    Eof,
    Field,
    Identifier,
    If,
    LeftDelimiter,
    LeftParen,
    Nil,
    Number,
    Pipe,
    Range,
    RawString,
    RightDelimiter,
    RightParen,
    Space,
    String,
    Template,
    Text,
    Variable,
    With,
}

#[derive(Clone, Copy)]
pub(crate) struct Token<'t> {
    pub(crate) kind: Kind,
    pub(crate) at: usize,
    pub(crate) text: &'t str,
}

pub(crate) struct Lexer<'t> {
    input: &'t str,
    left: &'t str,
    right: &'t str,
    at: usize,
    inside: bool,
    /// Where the current action starts.
    action_at: usize,
    /// Where the parentheses are that are not closed yet.
    open_parens: Vec<usize>,
}

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];
const TRIM_MARKER_BYTES: usize = 2;

impl<'t> Lexer<'t> {
    pub(crate) fn new(input: &'t str, left: &'t str, right: &'t str) -> Self {
        let left = if left.is_empty() { "{{" } else { left };
        let right = if right.is_empty() { "}}" } else { right };
        Self { input, left, right, at: 0, inside: false, action_at: 0, open_parens: Vec::new() }
    }

    pub(crate) fn next(&mut self) -> Result<Token<'t>> {
        if self.inside { self.in_action() } else { self.in_text() }
    }

    /// Where the current action starts, when `at` is in another line of it.
    pub(crate) fn action_of_lines(&self, at: usize) -> Option<usize> {
        let between = self.input.get(self.action_at..at).filter(|_| self.inside)?;
        between.contains('\n').then_some(self.action_at)
    }

    fn rest(&self) -> &'t str {
        self.input.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn token(&mut self, kind: Kind, bytes: usize) -> Token<'t> {
        let at = self.at;
        self.at += bytes;
        Token { kind, at, text: self.input.get(at..self.at).unwrap_or_default() }
    }

    fn fault<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(Fault::new(message).at(self.at, ""))
    }

    fn in_text(&mut self) -> Result<Token<'t>> {
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return Ok(self.token(Kind::Eof, 0));
            }
            let Some(length) = rest.find(self.left) else {
                return Ok(self.token(Kind::Text, rest.len()));
            };
            let after = rest.get(length + self.left.len()..).unwrap_or_default();
            let trims = is_left_trim(after);
            if length > 0 {
                let mut token = self.token(Kind::Text, length);
                if trims {
                    token.text = token.text.trim_end_matches(SPACE);
                }
                if !token.text.is_empty() {
                    return Ok(token);
                }
            }
            let marker = if trims { TRIM_MARKER_BYTES } else { 0 };
            if after.get(marker..).is_some_and(|text| text.starts_with("/*")) {
                self.comment(self.left.len() + marker)?;
                continue;
            }
            let token = self.token(Kind::LeftDelimiter, self.left.len());
            self.action_at = token.at;
            self.at += marker;
            self.inside = true;
            self.open_parens.clear();
            return Ok(token);
        }
    }

    fn comment(&mut self, opening: usize) -> Result<()> {
        let body = self.rest().get(opening + 2..).unwrap_or_default();
        let Some(length) = body.find("*/") else { return self.fault("unclosed comment") };
        let Some(trims) = self.at_right(body.get(length + 2..).unwrap_or_default()) else {
            return self.fault("comment ends before closing delimiter");
        };
        self.at += opening + 2 + length + 2;
        self.close(trims);
        Ok(())
    }

    /// Whether `rest` starts with the right delimiter, and whether that trims.
    fn at_right(&self, rest: &str) -> Option<bool> {
        let after_marker = rest
            .strip_prefix(SPACE)
            .and_then(|text| text.strip_prefix('-'))
            .is_some_and(|text| text.starts_with(self.right));
        if after_marker {
            return Some(true);
        }
        rest.starts_with(self.right).then_some(false)
    }

    fn close(&mut self, trims: bool) {
        self.at += self.right.len();
        self.inside = false;
        if trims {
            self.at += TRIM_MARKER_BYTES;
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches(SPACE).len();
        }
    }

    fn in_action(&mut self) -> Result<Token<'t>> {
        if let Some(trims) = self.at_right(self.rest()) {
            if let Some(paren) = self.open_parens.last() {
                let fault = Fault::new("unclosed left paren").at(self.at, "");
                return Err(fault.noting("the parenthesis opens", Some(*paren)));
            }
            let token = Token { kind: Kind::RightDelimiter, at: self.at, text: self.right };
            self.close(trims);
            return Ok(token);
        }
        let Some(c) = self.peek() else {
            let fault = Fault::new("unclosed action").at(self.at, "");
            return Err(fault.noting("the action opens", Some(self.action_at)));
        };
        match c {
            ' ' | '\t' | '\r' | '\n' => Ok(self.space()),
            '=' => Ok(self.token(Kind::Assign, 1)),
            ':' if self.rest().starts_with(":=") => Ok(self.token(Kind::Declare, 2)),
            ':' => self.fault("expected :="),
            '|' => Ok(self.token(Kind::Pipe, 1)),
            '"' => self.quoted('"', Kind::String, "unterminated quoted string"),
            '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '`' => self.raw_quoted(),
            '$' => self.name_after_mark(Kind::Variable, Kind::Variable),
            '.' if !self.rest().as_bytes().get(1).is_some_and(u8::is_ascii_digit) => {
                self.name_after_mark(Kind::Field, Kind::Dot)
            }
            '.' | '+' | '-' | '0'..='9' => self.number(),
            '(' => {
                self.open_parens.push(self.at);
                Ok(self.token(Kind::LeftParen, 1))
            }
            ')' if self.open_parens.is_empty() => self.fault("unexpected right paren"),
            ')' => {
                self.open_parens.pop();
                Ok(self.token(Kind::RightParen, 1))
            }
            c if is_name(c) => self.word(),
            '!'..='~' => Ok(self.token(Kind::Char, 1)),
            c => self.fault(format!("unrecognized character in action: U+{:04X}", u32::from(c))),
        }
    }

    /// White space up to, but not with, the blank of a trimming right delimiter.
    fn space(&mut self) -> Token<'t> {
        let rest = self.rest();
        let length = rest.len() - rest.trim_start_matches(SPACE).len();
        let last = rest.get(length.saturating_sub(1)..).unwrap_or_default();
        let kept = if self.at_right(last) == Some(true) { length - 1 } else { length };
        self.token(Kind::Space, kept)
    }

    fn quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Result<Token<'t>> {
        let mut escaped = false;
        for (i, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == quote => return Ok(self.token(kind, i + 1)),
                _ => {}
            }
        }
        self.fault(unterminated)
    }

    fn raw_quoted(&mut self) -> Result<Token<'t>> {
        let body = self.rest().get(1..).unwrap_or_default();
        match body.find('`') {
            Some(length) => Ok(self.token(Kind::RawString, length + 2)),
            None => self.fault("unterminated raw quoted string"),
        }
    }

    /// `.name` or `$name`; the mark alone is of kind `bare`.
    fn name_after_mark(&mut self, kind: Kind, bare: Kind) -> Result<Token<'t>> {
        let length = 1 + name_bytes(self.rest().get(1..).unwrap_or_default());
        self.check_end(length)?;
        Ok(self.token(if length == 1 { bare } else { kind }, length))
    }

    fn word(&mut self) -> Result<Token<'t>> {
        let length = name_bytes(self.rest());
        self.check_end(length)?;
        let word = self.rest().get(..length).unwrap_or_default();
        Ok(self.token(keyword(word), length))
    }

    /// A name must end where something else can begin.
    fn check_end(&self, length: usize) -> Result<()> {
        let after = self.rest().get(length..).unwrap_or_default();
        let ends = match after.chars().next() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | '(' | ')') => true,
            Some(_) => after.starts_with(self.right),
        };
        if ends {
            return Ok(());
        }
        let c = after.chars().next().unwrap_or_default();
        let fault = Fault::new(format!("bad character U+{:04X} '{c}'", u32::from(c)));
        let fault = match self.indexed() {
            Some(way_out) => fault.noting(way_out, None),
            None => fault,
        };
        Err(fault.at(self.at + length, ""))
    }

    /// How to read a key that is no name, when this is one.
    fn indexed(&self) -> Option<String> {
        let is_end = |c: char| c.is_whitespace() || "()|,\"`".contains(c);
        let key = self.rest().strip_prefix('.')?;
        let key = key.split(self.right).next()?.split(is_end).next()?;
        let before = self.input.get(..self.at)?;
        let start = before.rfind(|c: char| is_end(c) || c == '{').map_or(0, |at| at + 1);
        let of = before.get(start..).filter(|of| !of.is_empty()).unwrap_or(".");
        Some(format!("a key that is no name is read by index: index {of} {key:?}"))
    }

    fn number(&mut self) -> Result<Token<'t>> {
        let rest = self.rest();
        let mut length = number_bytes(rest);
        let mut kind = Kind::Number;
        if rest.get(length..).unwrap_or_default().starts_with(['+', '-']) {
            length += number_bytes(rest.get(length..).unwrap_or_default());
            kind = Kind::Complex;
        }
        let after = rest.get(length..).unwrap_or_default().chars().next();
        let text = rest.get(..length).unwrap_or_default();
        if after.is_some_and(is_name) || (kind == Kind::Complex && !text.ends_with('i')) {
            return self.fault("bad number syntax");
        }
        Ok(self.token(kind, length))
    }
}

fn is_left_trim(after: &str) -> bool {
    after.strip_prefix('-').is_some_and(|text| text.starts_with(SPACE))
}

fn is_name(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn name_bytes(text: &str) -> usize {
    text.find(|c| !is_name(c)).unwrap_or(text.len())
}

fn keyword(word: &str) -> Kind {
    match word {
        "block" => Kind::Block,
        "break" => Kind::Break,
        "continue" => Kind::Continue,
        "define" => Kind::Define,
        "else" => Kind::Else,
        "end" => Kind::End,
        "false" | "true" => Kind::Bool,
        "if" => Kind::If,
        "nil" => Kind::Nil,
        "range" => Kind::Range,
        "template" => Kind::Template,
        "with" => Kind::With,
        _ => Kind::Identifier,
    }
}

/// The longest start of `text` that looks like a number; whether it is one is found out later.
fn number_bytes(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = usize::from(text.starts_with(['+', '-']));
    let run = |from: usize, digits: fn(&u8) -> bool| {
        bytes.iter().skip(from).take_while(|b| digits(b) || **b == b'_').count()
    };
    let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|b| wanted.contains(b));
    let is_binary: fn(&u8) -> bool = |b| matches!(b, b'0' | b'1');
    let is_octal: fn(&u8) -> bool = |b| (b'0'..=b'7').contains(b);
    let mut digits: fn(&u8) -> bool = u8::is_ascii_digit;
    let mut exponent: &[u8] = b"eE";
    if is(at, b"0") {
        at += 1;
        if is(at, b"xX") {
            (digits, exponent) = (u8::is_ascii_hexdigit, b"pP");
            at += 1;
        } else if is(at, b"oO") {
            (digits, exponent) = (is_octal, b"");
            at += 1;
        } else if is(at, b"bB") {
            (digits, exponent) = (is_binary, b"");
            at += 1;
        }
    }
    at += run(at, digits);
    if is(at, b".") {
        at += 1;
        at += run(at, digits);
    }
    if is(at, exponent) {
        at += 1;
        at += usize::from(is(at, b"+-"));
        at += run(at, u8::is_ascii_digit);
    }
    at + usize::from(is(at, b"i"))
}
