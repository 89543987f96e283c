//! Places in lines, and how parts in flow style are laid out.

use std::ops::Range;

use super::{Edit, Rewriter};
use crate::base::json::Json;
use crate::base::source::{Member, Node, Shape};

impl Rewriter<'_> {
    pub(super) fn lines(&mut self, at: Range<usize>, mut lines: String) {
        if at.end == self.text.len() && !self.text.ends_with('\n') {
            lines.truncate(lines.trim_end_matches('\n').len());
            if at.is_empty() {
                lines.insert(0, '\n');
            }
        }
        let text = if self.line_end == "\n" { lines } else { lines.replace('\n', self.line_end) };
        self.edits.push(Edit { at, text });
    }

    pub(super) fn line_start(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        match before.rfind('\n') {
            Some(end) => end + 1,
            None if before.starts_with(BYTE_ORDER_MARK) => BYTE_ORDER_MARK.len_utf8(),
            None => 0,
        }
    }

    /// The start of a line that has only spaces before `at`.
    pub(super) fn blank_line_start(&self, at: usize) -> Option<usize> {
        let start = self.line_start(at);
        self.text.get(start..at)?.bytes().all(|byte| byte == b' ').then_some(start)
    }

    /// Spaces and dashes before `at` on its line; `None` when anything else stands there.
    pub(super) fn column(&self, at: usize) -> Option<usize> {
        let before = self.text.get(self.line_start(at)..at)?;
        let plain = before.bytes().all(|byte| matches!(byte, b' ' | b'-'));
        (plain && !before.starts_with("---")).then_some(before.len())
    }

    /// Where all the keys stand.
    pub(super) fn key_column(&self, members: &[Member]) -> Option<usize> {
        let column = self.column(members.first()?.key_span.start)?;
        let is_there = |member: &Member| {
            let after = self.text.get(member.key_span.end..).unwrap_or_default();
            self.column(member.key_span.start) == Some(column)
                && after.trim_start_matches([' ', '\t']).starts_with(':')
        };
        members.iter().all(is_there).then_some(column)
    }

    /// The dash of an item, when it is on the item's line.
    pub(super) fn dash(&self, item: &Node) -> Option<usize> {
        let before = self.text.get(..item.span.start)?.trim_end_matches([' ', '\t']);
        before.ends_with('-').then(|| before.len() - 1)
    }

    /// The start of the line behind a value, and behind the comment on its last line.
    pub(super) fn line_after(&self, node: &Node) -> Option<usize> {
        let end = node.end();
        if let Shape::Block(_) = node.last_leaf().shape {
            // Ends with its last line, and so does a text that lacks it.
            return self.blank_line_start(end).filter(|at| *at > 0 && *at <= end);
        }
        let rest = self.text.get(end..)?;
        let line = rest.split('\n').next().unwrap_or_default();
        let is_comment = line.trim_start().starts_with('#') && line.starts_with([' ', '\t']);
        if !line.trim().is_empty() && !is_comment {
            return None;
        }
        Some((end + line.len() + 1).min(self.text.len()))
    }

    /// Behind lines of comments that stand `column` or more from the margin: they belong to what is before.
    pub(super) fn behind_comments(&self, mut at: usize, column: usize) -> usize {
        loop {
            let rest = self.text.get(at..).unwrap_or_default();
            let line = rest.split_inclusive('\n').next().unwrap_or_default();
            let comment = line.trim_start_matches(' ');
            if !comment.starts_with('#') || line.len() - comment.len() < column {
                return at;
            }
            at += line.len();
        }
    }

    /// How new parts of a list or map in flow style are written: each on its line where the first is.
    pub(super) fn layout(&self, node: &Node, first: Option<usize>) -> Layout {
        let indent = first.and_then(|first| self.blanks(node.span.start..first));
        let close = node.span.end.saturating_sub(1);
        let outer = indent.and_then(|_| self.blanks(0..close));
        let unit = indent.zip(outer).and_then(|(indent, outer)| indent.strip_prefix(outer));
        let unit = unit.filter(|unit| !unit.is_empty()).unwrap_or("  ").to_owned();
        Layout { indent: indent.map(str::to_owned), line_end: self.line_end, unit }
    }

    /// What stands before the end of a range on its line, if that line begins in the range and is blank so far. Looks at
    /// blanks alone: a line may be the whole text.
    pub(super) fn blanks(&self, range: Range<usize>) -> Option<&str> {
        let text = self.text.get(range)?;
        let start = text.trim_end_matches(|c: char| c.is_whitespace() && c != '\n').len();
        let before = text.get(..start)?;
        if before.ends_with('\n') { text.get(start..) } else { None }
    }
}

/// The mark that some editors put before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// How parts in flow style are laid out.
pub(super) struct Layout {
    /// Before each part on its own line; `None` where parts share a line.
    pub(super) indent: Option<String>,
    pub(super) line_end: &'static str,
    pub(super) unit: String,
}

impl Layout {
    /// Between two parts, behind the comma.
    pub(super) fn gap(&self) -> String {
        match &self.indent {
            Some(indent) => format!("{}{indent}", self.line_end),
            None => " ".to_owned(),
        }
    }

    pub(super) fn text(&self, value: &Json) -> String {
        let Some(indent) = &self.indent else { return value.to_text() };
        let mut out = String::new();
        self.pretty(value, &format!("{}{indent}", self.line_end), &mut out);
        out
    }

    /// `start` is a line's end with the next line's indentation.
    pub(super) fn pretty(&self, value: &Json, start: &str, out: &mut String) {
        let inside = format!("{start}{}", self.unit);
        match value {
            Json::Array(items) if !items.is_empty() => {
                for (i, item) in items.iter().enumerate() {
                    out.push(if i == 0 { '[' } else { ',' });
                    out.push_str(&inside);
                    self.pretty(item, &inside, out);
                }
                out.push_str(start);
                out.push(']');
            }
            Json::Object(members) if !members.is_empty() => {
                for (i, (key, value)) in members.iter().enumerate() {
                    out.push(if i == 0 { '{' } else { ',' });
                    out.push_str(&inside);
                    out.push_str(&Json::String(key.clone()).to_text());
                    out.push_str(": ");
                    self.pretty(value, &inside, out);
                }
                out.push_str(start);
                out.push('}');
            }
            other => out.push_str(&other.to_text()),
        }
    }
}
