//! Changes a text so that it says something else, and leaves every line alone that says the same as before:
//! comments, order of keys, quotes, line ends.
//!
//! A document is compared with what it is to say. What is new becomes lines of its own behind what stands
//! before it, or, inside of braces and brackets, another item. Where that cannot be done, the smallest part
//! around it is written anew, in the end the whole document.

mod lines;

use std::collections::BTreeMap;
use std::ops::Range;

use self::lines::Layout;
use super::json::Json;
use super::source::{Document, Member, Node, Shape};
use super::yaml;

/// One replacement in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// In bytes of the text; empty for an insertion.
    pub at: Range<usize>,
    /// What comes there.
    pub text: String,
}

/// What became of what a text says beside its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing is lost beside what was changed.
    All,
    /// Something in the document was written anew: its comments are lost, and its keys are sorted.
    Most,
    /// The document was written anew: its comments are lost, and its keys are sorted.
    ValuesOnly,
}

/// Adds to `edits` what makes the document of `text` say `wanted`. JSON stays JSON.
pub fn rewrite(text: &str, document: &Document, wanted: &Json, edits: &mut Vec<Edit>) -> Kept {
    if document.root.is(wanted) {
        return Kept::All;
    }
    let mut rewriter = Rewriter::new(text, document);
    if let Some(kept) = rewriter.proven(&document.root, wanted) {
        edits.append(&mut rewriter.edits);
        return kept;
    }
    edits.push(rewriter.anew(wanted));
    Kept::ValuesOnly
}

/// Adds to `edits` what makes one part of a document say `wanted`, or nothing when that takes more than changes
/// inside of it.
pub(crate) fn rewrite_part(
    text: &str,
    document: &Document,
    part: &Node,
    wanted: &Json,
    edits: &mut Vec<Edit>,
) -> Option<Kept> {
    let mut rewriter = Rewriter::new(text, document);
    if document.unusual || rewriter.has_lone_returns(part) {
        return None;
    }
    let kept = rewriter.proven(part, wanted)?;
    edits.append(&mut rewriter.edits);
    Some(kept)
}

/// The text with the edits, which may come in any order but may not overlap; of insertions at one place the
/// first comes first.
pub fn apply(text: &str, edits: &[Edit]) -> String {
    apply_to(text, 0..text.len(), edits)
}

fn apply_to(text: &str, range: Range<usize>, edits: &[Edit]) -> String {
    let mut sorted: Vec<&Edit> = edits.iter().collect();
    sorted.sort_by_key(|edit| (edit.at.start, edit.at.end));
    let more: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut out = String::with_capacity(range.len() + more);
    let mut from = range.start;
    for edit in sorted {
        out.push_str(text.get(from..edit.at.start).unwrap_or_default());
        out.push_str(&edit.text);
        from = edit.at.end.max(from);
    }
    out.push_str(text.get(from..range.end).unwrap_or_default());
    out
}

/// How far the end of the first line is looked for; a longer one is a machine's, which writes no returns.
const FIRST_LINE_BYTES_MAX: usize = 4096;

/// `None` of its methods means that a part cannot be changed in its place; edits that were made before count
/// no more.
struct Rewriter<'t> {
    document: &'t Document,
    edits: Vec<Edit>,
    line_end: &'static str,
    /// Where something was written anew that may have held comments or an order of its own.
    lost: Vec<usize>,
    text: &'t str,
}

impl<'t> Rewriter<'t> {
    fn new(text: &'t str, document: &'t Document) -> Self {
        let rest = text.as_bytes().get(document.root.span.start..).unwrap_or_default();
        // For each item of a list: the rest may be one line of megabytes.
        let start = rest.get(..FIRST_LINE_BYTES_MAX).unwrap_or(rest);
        let end = start.iter().position(|byte| *byte == b'\n').unwrap_or_default();
        let has_return = end.checked_sub(1).and_then(|last| start.get(last)) == Some(&b'\r');
        let line_end = if has_return { "\r\n" } else { "\n" };
        Self { document, edits: Vec::new(), line_end, lost: Vec::new(), text }
    }

    /// Changes the inside of a value, or makes no edit.
    fn change(&mut self, node: &Node, wanted: &Json) -> Option<()> {
        let before = (self.edits.len(), self.lost.len());
        let changed = self.change_or_leave_rests(node, wanted);
        if changed.is_none() {
            self.edits.truncate(before.0);
            self.lost.truncate(before.1);
        }
        changed
    }

    fn change_or_leave_rests(&mut self, node: &Node, wanted: &Json) -> Option<()> {
        if self.document.shared.contains(&node.anchor) {
            return None;
        }
        match (&node.shape, wanted) {
            (Shape::Map { flow, members, merged }, Json::Object(wanted)) => {
                let own: BTreeMap<&str, &Member> =
                    members.iter().filter_map(|m| Some((m.key.as_deref()?, m))).collect();
                if own.keys().any(|key| !wanted.contains_key(*key)) {
                    return None;
                }
                let mut changed = Vec::new();
                // In the order of the text, of a key that stands twice the last.
                for member in members {
                    let Some(key) = member.key.as_deref() else { continue };
                    let Some(wanted) = wanted.get(key) else { continue };
                    let counts = own.get(key).is_some_and(|last| last.key_span == member.key_span);
                    if counts && !member.value.is(wanted) {
                        changed.push((key, member, wanted));
                    }
                }
                let is_new = |key: &String, value| {
                    !own.contains_key(key.as_str()) && merged.get(key) != Some(value)
                };
                let added: Vec<(&String, &Json)> =
                    wanted.iter().filter(|(key, value)| is_new(key, value)).collect();
                match flow {
                    None => self.block_map(node, members, &changed, &added),
                    Some(inner) => self.flow_map(node, *inner, members, &changed, &added),
                }
            }
            (Shape::List { flow, items }, Json::Array(wanted)) => match flow {
                None => self.block_list(items, wanted),
                Some(inner) => self.flow_list(node, *inner, items, wanted),
            },
            _ => None,
        }
    }

    fn block_map(
        &mut self,
        node: &Node,
        members: &[Member],
        changed: &[(&str, &Member, &Json)],
        added: &[(&String, &Json)],
    ) -> Option<()> {
        let column = self.key_column(members)?;
        for (key, member, wanted) in changed {
            if self.change(&member.value, wanted).is_none() {
                self.may_go(&member.value)?;
                let end = self.line_after(&member.value)?;
                let mut lines = String::new();
                yaml::write_member_at(key, wanted, column, &mut lines);
                self.keep_comment(member, end, &mut lines);
                self.replaces(&member.value);
                self.lines(member.key_span.start..end, lines);
            }
        }
        if added.is_empty() {
            return Some(());
        }
        let at = self.behind_comments(self.line_after(node)?, column);
        let mut lines = String::new();
        for (key, value) in added {
            lines.extend(std::iter::repeat_n(' ', column));
            yaml::write_member_at(key, value, column, &mut lines);
        }
        self.lines(at..at, lines);
        Some(())
    }

    fn block_list(&mut self, items: &[Node], wanted: &[Json]) -> Option<()> {
        let column = items.iter().find_map(|item| self.column(self.dash(item)?))?;
        let mut old = items.iter().enumerate().peekable();
        for wanted in wanted {
            let mut lines = String::new();
            yaml::write_items(std::slice::from_ref(wanted), column, &mut lines);
            if let Some((_, item)) = old.next_if(|(_, item)| is_for(item, wanted)) {
                if !item.is(wanted) && self.change(item, wanted).is_none() {
                    self.may_go(item)?;
                    let at = self.dash(item)?..self.line_after(item)?;
                    self.replaces(item);
                    self.lines(at, lines.trim_start_matches(' ').to_owned());
                }
                continue;
            }
            let before = match old.peek() {
                Some((i, _)) => i.checked_sub(1).and_then(|i| items.get(i)),
                None => items.last(),
            };
            let at = match before {
                Some(item) => self.behind_comments(self.line_after(item)?, column + 1),
                None => self.blank_line_start(self.dash(items.first()?)?)?,
            };
            self.lines(at..at, lines);
        }
        old.next().is_none().then_some(())
    }

    fn flow_map(
        &mut self,
        node: &Node,
        inner: usize,
        members: &[Member],
        changed: &[(&str, &Member, &Json)],
        added: &[(&String, &Json)],
    ) -> Option<()> {
        let layout = self.layout(node, members.first().map(|member| member.key_span.start));
        for (_, member, wanted) in changed {
            self.flow_value(&member.value, wanted, &layout)?;
        }
        let texts = added.iter().map(|(key, value)| {
            format!("{}: {}", Json::String((*key).clone()).to_text(), layout.text(value))
        });
        self.flow_insert(inner, members.last().map(|last| &last.value), texts, &layout)
    }

    fn flow_list(
        &mut self,
        node: &Node,
        inner: usize,
        items: &[Node],
        wanted: &[Json],
    ) -> Option<()> {
        let layout = self.layout(node, items.first().map(|item| item.span.start));
        let mut old = items.iter().enumerate().peekable();
        for wanted in wanted {
            if let Some((_, item)) = old.next_if(|(_, item)| is_for(item, wanted)) {
                if !item.is(wanted) {
                    self.flow_value(item, wanted, &layout)?;
                }
                continue;
            }
            match old.peek() {
                Some((0, first)) => {
                    let text = format!("{},{}", layout.text(wanted), layout.gap());
                    self.edits.push(Edit { at: first.span.start..first.span.start, text });
                }
                Some((i, _)) => {
                    let before = items.get(i - 1);
                    self.flow_insert(inner, before, [layout.text(wanted)].into_iter(), &layout)?;
                }
                None if items.is_empty() => return None,
                None => {
                    let texts = [layout.text(wanted)].into_iter();
                    self.flow_insert(inner, items.last(), texts, &layout)?;
                }
            }
        }
        old.next().is_none().then_some(())
    }

    fn flow_value(&mut self, node: &Node, wanted: &Json, layout: &Layout) -> Option<()> {
        if self.change(node, wanted).is_some() {
            return Some(());
        }
        self.may_go(node)?;
        if node.span.is_empty() {
            return None;
        }
        self.replaces(node);
        self.edits.push(Edit { at: node.span.clone(), text: layout.text(wanted) });
        Some(())
    }

    /// New parts behind the last of a list or map in flow style, or as its first.
    fn flow_insert(
        &mut self,
        inner: usize,
        last: Option<&Node>,
        texts: impl Iterator<Item = String>,
        layout: &Layout,
    ) -> Option<()> {
        if last.is_some_and(|last| last.span.is_empty()) {
            return None;
        }
        let at = last.map_or(inner, |last| last.span.end);
        let mut text = String::new();
        for part in texts {
            if last.is_some() || !text.is_empty() {
                text.push(',');
                text.push_str(&layout.gap());
            }
            text.push_str(&part);
        }
        if !text.is_empty() {
            self.edits.push(Edit { at: at..at, text });
        }
        Some(())
    }

    /// Whether a part may be written anew: nothing else refers to what stands in it.
    fn may_go(&self, node: &Node) -> Option<()> {
        if self.document.shared.is_empty() {
            return Some(());
        }
        let inside = match &node.shape {
            Shape::List { items, .. } => items.iter().try_for_each(|item| self.may_go(item)),
            Shape::Map { members, .. } => {
                members.iter().try_for_each(|member| self.may_go(&member.value))
            }
            Shape::Block(_) | Shape::Copy(_) | Shape::Leaf(_) => Some(()),
        };
        inside.filter(|()| !self.document.shared.contains(&node.anchor))
    }

    /// The comment behind a value on its key's line, put behind the first of the new lines.
    fn keep_comment(&self, member: &Member, end: usize, lines: &mut String) {
        let whole = self.text.get(member.key_span.start..end).unwrap_or_default();
        let value = self.text.get(member.value.start()..end).unwrap_or_default();
        // The parser counts what follows a text in quotes to it.
        let length = quoted(value)
            .unwrap_or_else(|| member.value.end().saturating_sub(member.value.start()));
        let after = value.get(length..).unwrap_or_default().trim_end();
        if whole.trim_end().contains('\n') || !after.trim_start().starts_with('#') {
            return;
        }
        let first = lines.find('\n').unwrap_or(lines.len());
        lines.insert_str(first, after);
    }

    /// Remembers what is lost with a value that is written anew.
    fn replaces(&mut self, node: &Node) {
        let is_plain = match &node.shape {
            Shape::List { items, .. } => items.is_empty(),
            Shape::Map { members, merged, .. } => members.is_empty() && merged.is_empty(),
            Shape::Block(_) | Shape::Copy(_) | Shape::Leaf(_) => true,
        };
        let own = self.text.get(node.span.clone()).unwrap_or_default();
        let is_text = matches!(node.shape, Shape::Block(_) | Shape::Leaf(_));
        if !is_plain || (!is_text && own.contains('#')) {
            self.lost.push(node.span.start);
        }
    }

    /// Changes a value and reads the new text once more: whatever the styles of the old one, it says what was wanted,
    /// or it is not used.
    fn proven(&mut self, node: &Node, wanted: &Json) -> Option<Kept> {
        self.change(node, wanted)?;
        let is_flow = |shape: &Shape| {
            matches!(shape, Shape::List { flow: Some(_), .. } | Shape::Map { flow: Some(_), .. })
        };
        let kept = if self.lost.is_empty() { Kept::All } else { Kept::Most };
        if is_flow(&node.shape) {
            let text = apply_to(self.text, node.span.clone(), &self.edits);
            let is_json = Json::parse(text.as_bytes()).is_ok_and(|json| json == *wanted);
            return (is_json || says(&text, wanted)).then_some(kept);
        }
        let dash = self.dash(node);
        let start = self.line_start(dash.unwrap_or(node.span.start));
        let ends = self.edits.iter().map(|edit| edit.at.end);
        let end = ends.chain(self.line_after(node)).max().unwrap_or(node.span.end);
        let text = apply_to(self.text, start..end, &self.edits);
        let item = dash.map(|_| Json::Array(vec![wanted.clone()]));
        says(&text, item.as_ref().unwrap_or(wanted)).then_some(kept)
    }

    /// Whether lines end in a way that we do not look for.
    fn has_lone_returns(&self, node: &Node) -> bool {
        let own = self.text.get(node.span.clone()).unwrap_or_default();
        own.split('\r').skip(1).any(|rest| !rest.starts_with('\n'))
    }

    /// The whole document, written anew.
    fn anew(&self, wanted: &Json) -> Edit {
        let root = &self.document.root;
        let is_flow = matches!(
            root.shape,
            Shape::List { flow: Some(_), .. } | Shape::Map { flow: Some(_), .. }
        );
        if is_flow {
            return Edit { at: root.span.clone(), text: wanted.to_text() };
        }
        let end = self.line_after(root).unwrap_or(root.span.end);
        let mut lines = String::new();
        let start = self.blank_line_start(root.span.start).unwrap_or_else(|| {
            lines.push('\n');
            root.span.start
        });
        yaml::write(wanted, &mut lines);
        Edit { at: start..end, text: lines.replace('\n', self.line_end) }
    }
}

/// Bytes of the text in quotes with which this begins.
fn quoted(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote == '"' {
            chars.next();
        } else if c == quote
            && (quote == '"' || chars.next_if(|(_, next)| *next == quote).is_none())
        {
            return Some(at + 1);
        }
    }
    None
}

/// Whether a text is one document that says this.
fn says(text: &str, wanted: &Json) -> bool {
    yaml::parse(text).is_ok_and(|read| matches!(read.as_slice(), [one] if one == wanted))
}

/// Whether an item of a list is what became of an old one: it has its name, or, without one, its texts.
fn is_for(item: &Node, wanted: &Json) -> bool {
    if item.is(wanted) {
        return true;
    }
    let name = item.text("name");
    let Shape::Map { members, .. } = &item.shape else { return false };
    let is_kept = |member: &Member| {
        let wanted = member.key.as_deref().and_then(|key| wanted.get(key));
        let is_leaf = matches!(member.value.shape, Shape::Leaf(_));
        wanted.is_some_and(|wanted| !is_leaf || member.value.is(wanted))
    };
    name == wanted.get("name").and_then(Json::as_str)
        && (name.is_some() || members.iter().all(is_kept))
}

#[cfg(test)]
mod tests;
