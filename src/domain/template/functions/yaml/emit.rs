//! Writes YAML as libyaml's emitter does in its Go translation (yaml.v2 2.4): block style, indentation of
//! two, lists not indented under their key, lines folded behind column 80.

use super::resolve::{Meaning, is_base_60, resolve};
use crate::domain::template::error::{Fault, Result};

/// A line is folded at the first blank behind this column.
const WIDTH: usize = 80;
const INDENT: usize = 2;
/// A longer key stands behind a `?`, in bytes.
const SIMPLE_KEY_MAX: usize = 128;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Double,
    Literal,
    Plain,
    Single,
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Item,
    /// A key, or the value of one.
    Member,
    Root,
    /// A key on one line with its value.
    SimpleKey,
}

/// A text that was looked at before it is written.
pub(super) struct Scalar {
    /// `!!binary`, or empty.
    tag: &'static str,
    text: String,
    style: Style,
    facts: Facts,
}

impl Scalar {
    /// A number, a boolean or null.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { tag: "", facts: Facts::of(&text), style: Style::Plain, text }
    }

    /// A text; quoted when it would read as something else. What is not UTF-8 becomes base64.
    pub(super) fn text(bytes: &[u8]) -> Self {
        let (tag, text) = match str::from_utf8(bytes) {
            Ok(text) => ("", text.to_owned()),
            Err(_) => ("!!binary", base64_lines(bytes)),
        };
        let is_text = || resolve(&text) == Meaning::Text && !is_base_60(&text);
        let style = if text.contains('\n') {
            Style::Literal
        } else if !tag.is_empty() || is_text() {
            Style::Plain
        } else {
            Style::Double
        };
        Self { tag, facts: Facts::of(&text), style, text }
    }

    pub(super) fn is_simple_key(&self) -> bool {
        !self.facts.multiline && self.tag.len() + self.text.len() <= SIMPLE_KEY_MAX
    }

    fn style_at(&self, place: Place) -> Style {
        let facts = &self.facts;
        let mut style = self.style;
        if style == Style::Plain && !facts.plain_allowed {
            style = Style::Single;
        }
        if style == Style::Single && !facts.single_allowed {
            style = Style::Double;
        }
        if style == Style::Literal && (!facts.block_allowed || place == Place::SimpleKey) {
            style = Style::Double;
        }
        style
    }
}

/// Lines of 70 characters when it does not fit one.
fn base64_lines(bytes: &[u8]) -> String {
    use base64::Engine as _;
    const LINE: usize = 70;
    let whole = base64::engine::general_purpose::STANDARD.encode(bytes);
    if whole.len() < LINE {
        return whole;
    }
    let mut lines = String::with_capacity(whole.len() + whole.len() / LINE + 1);
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && i % LINE == 0 {
            lines.push('\n');
        }
        lines.push(c);
    }
    lines.push('\n');
    lines
}

/// What the emitter needs to know of a text.
#[derive(Default)]
struct Facts {
    multiline: bool,
    plain_allowed: bool,
    single_allowed: bool,
    block_allowed: bool,
}

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// Tabs are not, and nothing beyond U+FFFD is.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{fffd}') && c != '\u{feff}'
}

impl Facts {
    fn of(text: &str) -> Self {
        let (Some(first), Some(last)) = (text.chars().next(), text.chars().next_back()) else {
            return Self { plain_allowed: true, single_allowed: true, ..Self::default() };
        };
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut multiline, mut special) = (false, false);
        let (mut break_space, mut space_break) = (false, false);
        let mut before = '\0';
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let is_first = rest.as_str().len() + c.len_utf8() == text.len();
            let ends = || rest.clone().next().is_none_or(is_blank);
            indicators |= match c {
                ':' => ends(),
                '?' | '-' => is_first && ends(),
                '#' => is_first || is_blank(before) || is_break(before) || before == '\0',
                _ => is_first && ",[]{}&*!|>'\"%@`".contains(c),
            };
            special |= !is_printable(c);
            multiline |= is_break(c);
            break_space |= c == ' ' && !is_first && is_break(before);
            space_break |= is_break(c) && !is_first && before == ' ';
            before = c;
        }
        let is_edge = |c| c == ' ' || is_break(c);
        let is_simple = !is_edge(first) && !is_edge(last) && !multiline && !indicators;
        let is_odd = space_break || special;
        Self {
            multiline,
            plain_allowed: is_simple && !break_space && !is_odd,
            single_allowed: !break_space && !is_odd,
            block_allowed: last != ' ' && !is_odd,
        }
    }
}

/// The text so far, and where the next character goes.
pub(super) struct Emitter {
    pub(super) out: String,
    bytes_max: usize,
    column: usize,
    /// `None` before the first list or map.
    indent: Option<usize>,
    /// Whether only blanks and indicators stand in the line.
    indention: bool,
    /// Whether the last character was a blank, or there is none yet.
    whitespace: bool,
}

impl Emitter {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            out: String::new(),
            bytes_max,
            column: 0,
            indent: None,
            indention: true,
            whitespace: true,
        }
    }

    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn put_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn write_break(&mut self, c: char) {
        self.out.push(c);
        self.column = 0;
        self.indention = true;
    }

    /// To the indentation, on a line of its own.
    fn write_indent(&mut self) {
        let indent = self.indent.unwrap_or(0);
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.put_break();
        }
        while self.column < indent {
            self.put(' ');
        }
        self.whitespace = true;
        self.indention = true;
    }

    fn indicator(&mut self, text: &str, needs_space: bool, is_space: bool, is_indention: bool) {
        if needs_space && !self.whitespace {
            self.put(' ');
        }
        text.chars().for_each(|c| self.put(c));
        self.whitespace = is_space;
        self.indention &= is_indention;
    }

    /// An empty list or map.
    pub(super) fn empty(&mut self, text: &str) {
        self.indicator(text, true, false, false);
    }

    /// Begins a list in block style, or a map; gives what [`Self::close`] needs.
    pub(super) fn open(&mut self, is_list: bool, place: Place) -> Option<usize> {
        let is_flat = is_list && place == Place::Member && !self.indention;
        let step = if is_flat { 0 } else { INDENT };
        self.indent.replace(self.indent.map_or(0, |indent| indent + step))
    }

    pub(super) fn close(&mut self, indent: Option<usize>) {
        self.indent = indent;
    }

    /// The dash of an item, or the `?` or `:` of a key that is not simple.
    pub(super) fn mark(&mut self, text: &str) -> Result<()> {
        self.write_indent();
        self.indicator(text, true, false, true);
        self.check_length()
    }

    /// Before a key that stands on one line with its value.
    pub(super) fn line(&mut self) -> Result<()> {
        self.write_indent();
        self.check_length()
    }

    pub(super) fn colon(&mut self) {
        self.indicator(":", false, false, false);
    }

    fn check_length(&self) -> Result<()> {
        if self.out.len() > self.bytes_max {
            let max = self.bytes_max;
            return Err(Fault::new(format!("a text of more than {max} bytes is too long")));
        }
        Ok(())
    }

    pub(super) fn scalar(&mut self, scalar: &Scalar, place: Place) {
        if !scalar.tag.is_empty() {
            self.indicator(scalar.tag, true, false, false);
        }
        let indent = self.indent.replace(self.indent.map_or(INDENT, |indent| indent + INDENT));
        let folds = place != Place::SimpleKey;
        match scalar.style_at(place) {
            Style::Plain => {
                if !self.whitespace {
                    self.put(' ');
                }
                self.flowed(&scalar.text, folds, false);
                self.whitespace = false;
                self.indention = false;
            }
            Style::Single => {
                self.indicator("'", true, false, false);
                self.flowed(&scalar.text, folds, true);
                self.indicator("'", false, false, false);
                self.indention = false;
            }
            Style::Double => self.double_quoted(&scalar.text, folds),
            Style::Literal => self.literal(&scalar.text),
        }
        self.indent = indent;
    }

    /// A text without escapes: breaks are doubled, long lines end at single blanks.
    fn flowed(&mut self, text: &str, folds: bool, is_quoted: bool) {
        let (mut after_space, mut after_break) = (false, false);
        let mut rest = text.chars();
        let mut is_first = true;
        while let Some(c) = rest.next() {
            if c == ' ' {
                let next = rest.clone().next();
                let is_inner = !is_quoted || (!is_first && next.is_some());
                let may_fold = folds && !after_space && is_inner && next != Some(' ');
                if may_fold && self.column > WIDTH {
                    self.write_indent();
                } else {
                    self.put(c);
                }
                after_space = true;
            } else if is_break(c) {
                if !after_break && c == '\n' {
                    self.put_break();
                }
                self.write_break(c);
                after_break = true;
            } else {
                if after_break {
                    self.write_indent();
                }
                if is_quoted && c == '\'' {
                    self.put('\'');
                }
                self.put(c);
                self.indention = false;
                after_space = false;
                after_break = false;
            }
            is_first = false;
        }
    }

    fn double_quoted(&mut self, text: &str, folds: bool) {
        self.indicator("\"", true, false, false);
        // The original looks for a byte order mark at the start only, whatever character it is at.
        let escapes_all = text.starts_with('\u{feff}');
        let mut after_space = false;
        let mut is_first = true;
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let next = rest.clone().next();
            if escapes_all || !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') {
                self.escape(c);
                after_space = false;
            } else if c == ' ' {
                let is_inner = !is_first && next.is_some();
                if folds && !after_space && is_inner && self.column > WIDTH {
                    self.write_indent();
                    if next == Some(' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(c);
                }
                after_space = true;
            } else {
                self.put(c);
                after_space = false;
            }
            is_first = false;
        }
        self.indicator("\"", false, false, false);
        self.indention = false;
    }

    fn escape(&mut self, c: char) {
        let code = u32::from(c);
        let escape = match c {
            '\0' => "\\0",
            '\x07' => "\\a",
            '\x08' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\x0b' => "\\v",
            '\x0c' => "\\f",
            '\r' => "\\r",
            '\x1b' => "\\e",
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{85}' => "\\N",
            '\u{a0}' => "\\_",
            '\u{2028}' => "\\L",
            '\u{2029}' => "\\P",
            _ if code <= 0xff => &format!("\\x{code:02X}"),
            _ if code <= 0xffff => &format!("\\u{code:04X}"),
            _ => &format!("\\U{code:08X}"),
        };
        escape.chars().for_each(|c| self.put(c));
    }

    fn literal(&mut self, text: &str) {
        self.indicator("|", true, false, false);
        if text.starts_with(|c| c == ' ' || is_break(c)) {
            self.indicator("2", false, false, false);
        }
        let mut backwards = text.chars().rev();
        match (backwards.next().is_some_and(is_break), backwards.next()) {
            (false, _) => self.indicator("-", false, false, false),
            (true, None) => self.indicator("+", false, false, false),
            (true, Some(c)) if is_break(c) => self.indicator("+", false, false, false),
            (true, Some(_)) => {}
        }
        self.put_break();
        self.indention = true;
        self.whitespace = true;
        let mut after_break = true;
        for c in text.chars() {
            if is_break(c) {
                self.write_break(c);
                after_break = true;
            } else {
                if after_break {
                    self.write_indent();
                }
                self.put(c);
                self.indention = false;
                after_break = false;
            }
        }
    }
}
