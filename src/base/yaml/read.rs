//! From the parser's events to documents with the places of their parts.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::ops::Range;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};

use super::YamlError;
use super::plain::resolve;
use crate::base::json::{DEPTH_MAX, Json};
use crate::base::source::{Document, Member, Node, Shape};

/// Values that aliases may add to a document: a few short lines could else make billions.
const ALIASED_MAX: usize = 100_000;

fn wrong(mark: Marker, reason: impl Into<String>) -> YamlError {
    YamlError { column: mark.col() + 1, line: mark.line(), reason: reason.into() }
}

/// The documents of a text, one after the other, so that only one is in memory.
pub(super) struct Documents<'t> {
    builder: Builder,
    is_over: bool,
    parser: Parser<'t, StrInput<'t>>,
    places: Places<'t>,
}

impl<'t> Documents<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            builder: Builder::default(),
            is_over: false,
            parser: Parser::new_from_str(text),
            places: Places::new(text),
        }
    }

    fn step(&mut self) -> Option<Result<Document, YamlError>> {
        loop {
            let read = match self.parser.next_event()? {
                Ok((Event::DocumentEnd, _)) => {
                    if let Some(document) = mem::take(&mut self.builder).finish() {
                        return Some(Ok(document));
                    }
                    Ok(())
                }
                Ok((event, span)) => self.builder.take(event, span, &self.places),
                Err(error) => Err(wrong(*error.marker(), error.info())),
            };
            if let Err(error) = read {
                return Some(Err(error));
            }
        }
    }
}

impl Iterator for Documents<'_> {
    type Item = Result<Document, YamlError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.step();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

/// From the parser's places, which count characters, to bytes.
struct Places<'t> {
    /// The byte of every [`STRIDE`]th character; empty where characters are bytes.
    marks: Vec<usize>,
    text: &'t str,
}

/// Characters that are counted for each place: few, and the marks stay a small part of the text.
const STRIDE: usize = 64;

impl<'t> Places<'t> {
    fn new(text: &'t str) -> Self {
        let starts = text.char_indices().map(|(byte, _)| byte).step_by(STRIDE);
        Self { marks: if text.is_ascii() { Vec::new() } else { starts.collect() }, text }
    }

    fn byte(&self, mark: Marker) -> usize {
        let index = mark.index();
        if self.marks.is_empty() {
            return index.min(self.text.len());
        }
        let Some(start) = self.marks.get(index / STRIDE) else { return self.text.len() };
        let rest = self.text.get(*start..).unwrap_or_default();
        let after = rest.char_indices().nth(index % STRIDE).map(|(byte, _)| byte);
        start + after.unwrap_or(rest.len())
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start);
        start..self.byte(span.end).max(start)
    }

    /// Behind the bracket that ends a list or map in flow style. Of a map whose last member has a comma behind it,
    /// the parser gives the place of that comma, with what follows on its line.
    fn behind_bracket(&self, span: Span) -> usize {
        let start = self.byte(span.start);
        let rest = self.text.get(start..).unwrap_or_default();
        let rest = rest.strip_prefix(',').map_or(rest, behind_blanks);
        self.text.len() - rest.len() + usize::from(rest.starts_with(['}', ']']))
    }
}

/// What follows blanks, line ends and comments.
fn behind_blanks(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        let Some(comment) = text.strip_prefix('#') else { return text };
        text = comment.find('\n').and_then(|end| comment.get(end..)).unwrap_or_default();
    }
}

/// A list or map that is still open.
enum Open {
    List(Vec<Node>),
    Map {
        /// The key whose value comes next.
        key: Option<(Option<String>, Range<usize>)>,
        keys: BTreeSet<String>,
        members: Vec<Member>,
        /// Maps under `<<`, the first wins.
        merged: Vec<Json>,
    },
}

/// What is known of a list or map before its parts.
struct Start {
    anchor: usize,
    flow: Option<usize>,
    start: usize,
}

#[derive(Default)]
struct Builder {
    aliased: usize,
    anchors: BTreeMap<usize, Json>,
    open: Vec<(Open, Start)>,
    root: Option<Node>,
    shared: BTreeSet<usize>,
    unusual: bool,
}

impl Builder {
    fn finish(self) -> Option<Document> {
        let Self { root, shared, unusual, .. } = self;
        let root = root.filter(|root| !root.is(&Json::Null))?;
        Some(Document { root, shared, unusual })
    }

    fn take(&mut self, event: Event<'_>, span: Span, at: &Places<'_>) -> Result<(), YamlError> {
        let mark = span.start;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.unusual |= tag.is_some();
                let plain = style == ScalarStyle::Plain;
                let value = scalar(&text, plain, tag.as_deref(), mark)?;
                let shape = match style {
                    ScalarStyle::Literal | ScalarStyle::Folded => Shape::Block(value),
                    _ => Shape::Leaf(value),
                };
                let nothing = plain && text.is_empty() && anchor == 0 && tag.is_none();
                let span = if nothing { self.place_of_nothing(span, at) } else { at.range(span) };
                self.value(Node { anchor, span, shape }, plain && text == "<<", mark)
            }
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned();
                let value =
                    value.ok_or_else(|| wrong(mark, "an alias inside of its own anchor"))?;
                self.shared.insert(anchor);
                self.aliased += count(&value);
                if self.aliased > ALIASED_MAX {
                    let reason = format!("aliases add more than {ALIASED_MAX} values");
                    return Err(wrong(mark, reason));
                }
                if self.open.len() + depth(&value) > DEPTH_MAX {
                    return Err(wrong(mark, format!("nested deeper than {DEPTH_MAX}")));
                }
                let node = Node { anchor: 0, span: at.range(span), shape: Shape::Copy(value) };
                self.value(node, false, mark)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(Open::List(Vec::new()), anchor, tag.as_deref(), span, at)
            }
            Event::MappingStart(anchor, tag) => {
                let (keys, members, merged) = (BTreeSet::new(), Vec::new(), Vec::new());
                let map = Open::Map { key: None, keys, members, merged };
                self.open(map, anchor, tag.as_deref(), span, at)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span, at),
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::Nothing
            | Event::StreamEnd
            | Event::StreamStart => Ok(()),
        }
    }

    /// Where a value would stand that is not there: the parser says something around its key.
    fn place_of_nothing(&self, span: Span, at: &Places<'_>) -> Range<usize> {
        let start = at.byte(span.start);
        let place = match self.open.last() {
            Some((Open::Map { key: Some((_, key)), .. }, _)) => {
                let rest = at.text.get(key.end..).unwrap_or_default();
                let after = rest.trim_start_matches([' ', '\t']).strip_prefix(':');
                after.map_or(start, |after| at.text.len() - after.len())
            }
            _ => start,
        };
        place..place
    }

    fn open(
        &mut self,
        open: Open,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
        at: &Places<'_>,
    ) -> Result<(), YamlError> {
        let mark = span.start;
        if let Some((Open::Map { key: None, .. }, _)) = self.open.last() {
            return Err(wrong(mark, "a list or map as a key"));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(wrong(mark, format!("nested deeper than {DEPTH_MAX}")));
        }
        if let Some(tag) = tag {
            self.unusual = true;
            if !(tag.is_yaml_core_schema() && matches!(&*tag.suffix, "map" | "seq")) {
                return Err(wrong(mark, "a tag that Kubernetes does not know"));
            }
        }
        let range = at.range(span);
        let start = range.start;
        let text = at.text.get(range).unwrap_or_default();
        let flow = bracket(text).map(|bracket| start + bracket + 1);
        self.open.push((open, Start { anchor, flow, start }));
        Ok(())
    }

    fn close(&mut self, span: Span, at: &Places<'_>) -> Result<(), YamlError> {
        let mark = span.start;
        let Some((open, Start { anchor, flow, start })) = self.open.pop() else { return Ok(()) };
        let shape = match open {
            Open::List(mut items) => {
                items.shrink_to_fit();
                Shape::List { flow, items }
            }
            Open::Map { keys, mut members, merged: maps, .. } => {
                members.shrink_to_fit();
                let mut merged = BTreeMap::new();
                for map in maps {
                    let Json::Object(more) = map else {
                        return Err(wrong(mark, "<< needs a map or a list of maps"));
                    };
                    for (key, value) in more.into_iter().filter(|(key, _)| !keys.contains(key)) {
                        merged.entry(key).or_insert(value);
                    }
                }
                Shape::Map { flow, members, merged }
            }
        };
        // A bracket, or whatever comes behind a block.
        let end = if flow.is_some() { at.behind_bracket(span) } else { at.byte(span.start) };
        let mut node = Node { anchor, span: start..end.max(start), shape };
        let is_inside = |(_, outer): &(Open, Start)| outer.flow.is_some();
        if flow.is_none() && self.open.last().is_some_and(is_inside) {
            // The one pair of `[key: value]`, which has no room for another.
            let span = start..node.end();
            node = Node { anchor, span, shape: Shape::Leaf(node.into_json()) };
        }
        self.value(node, false, mark)
    }

    /// Puts a finished value into what is open.
    fn value(&mut self, node: Node, merge: bool, mark: Marker) -> Result<(), YamlError> {
        if node.anchor > 0 {
            self.unusual = true;
            self.anchors.insert(node.anchor, node.to_json());
        }
        let unusual = merge || matches!(node.shape, Shape::Copy(_));
        self.unusual |= unusual;
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some((Open::List(items), _)) => items.push(node),
            Some((Open::Map { key: key @ None, keys, .. }, _)) => {
                let span = node.span.clone();
                let name = if merge { None } else { Some(key_text(node.into_json(), mark)?) };
                if let Some(name) = &name
                    && !keys.insert(name.clone())
                {
                    return Err(wrong(mark, format!("the key {name:?} stands twice")));
                }
                *key = Some((name, span));
            }
            Some((Open::Map { key, members, merged, .. }, _)) => {
                let Some((key, key_span)) = key.take() else { return Ok(()) };
                if key.is_none() {
                    match node.to_json() {
                        Json::Array(maps) => merged.extend(maps),
                        map => merged.push(map),
                    }
                }
                members.push(Member { key, key_span, value: node });
            }
        }
        Ok(())
    }
}

/// The bracket of a list or map in flow style, behind its anchor and tag, perhaps before a comment.
fn bracket(start: &str) -> Option<usize> {
    let mut is_comment = false;
    start.char_indices().find_map(|(at, c)| {
        is_comment = (is_comment || c == '#') && c != '\n';
        (!is_comment && matches!(c, '[' | '{')).then_some(at)
    })
}

/// Keys are texts in JSON; other plain words become their text.
fn key_text(value: Json, mark: Marker) -> Result<String, YamlError> {
    match value {
        Json::String(text) => Ok(text),
        Json::Bool(truth) => Ok(truth.to_string()),
        Json::Number(number) => Ok(number.into()),
        Json::Null | Json::Array(_) | Json::Object(_) => Err(wrong(mark, "a key that is no text")),
    }
}

fn count(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Json::Object(members) => 1 + members.values().map(count).sum::<usize>(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => 1,
    }
}

fn depth(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => 0,
    }
}

fn scalar(text: &str, plain: bool, tag: Option<&Tag>, mark: Marker) -> Result<Json, YamlError> {
    match tag {
        None if plain => resolve(text).ok_or_else(|| wrong(mark, "JSON has no such number")),
        None => Ok(Json::String(text.to_owned())),
        Some(tag) if tag.is_yaml_core_schema() => match &*tag.suffix {
            "str" => Ok(Json::String(text.to_owned())),
            "bool" | "float" | "int" | "null" => {
                resolve(text).ok_or_else(|| wrong(mark, "JSON has no such number"))
            }
            _ => Err(wrong(mark, "a tag that Kubernetes does not know")),
        },
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => {
            Ok(Json::String(text.to_owned()))
        }
        Some(_) => Err(wrong(mark, "a tag that Kubernetes does not know")),
    }
}
