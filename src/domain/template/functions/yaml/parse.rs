//! Reads YAML as yaml.v2 does into an `interface {}`: the first document, words by the rules of YAML 1.1,
//! maps with keys of any plain type.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::resolve::{Meaning, resolve};
use crate::base::json::DEPTH_MAX;
use crate::domain::template::any_map::{AnyMap, Key};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::value::{List, Value};

/// Values that aliases may add to a document: a few short lines could else make billions.
const ALIASED_MAX: usize = 100_000;

/// What a token and the text before it take in the parser, in elements of a list.
const ELEMENTS_PER_TOKEN: usize = 4;

/// What a value takes until the list or map that it is in is finished.
const ELEMENTS_PER_VALUE: usize = 4;

/// Parsing takes so many times as long as reading through a text.
const PARSING_COST: usize = 8;

/// Why there is no document.
enum Failure {
    Fault(Fault),
    /// The parser stopped at this line and column, from 1.
    Stopped(usize, usize),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The first document; `nil` when there is none. The text itself stays out of errors, it may be a secret.
pub(super) fn first_document<'a>(eval: &mut Eval<'a>, text: &[u8]) -> Result<Value<'a>> {
    eval.meter.text(text.len())?;
    let text = str::from_utf8(text).map_err(|error| {
        Fault::new(format!("the YAML is not UTF-8 from byte {} on", error.valid_up_to() + 1))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.chars().all(is_allowed) {
        return Err(Fault::new("control characters are not allowed in YAML"));
    }
    if text.lines().any(is_of_another_version) {
        return Err(Fault::new("the YAML is of another version than 1.1"));
    }
    // YAML 1.1 has one more line end.
    let mut text = Cow::Borrowed(text);
    if text.contains('\u{85}') {
        text = text.replace('\u{85}', "\n").into();
    }
    loop {
        let mark = eval.meter.mark();
        let document = parsed(eval, &text);
        eval.meter.settle(&mark);
        match document {
            Ok(value) => return Ok(value),
            Err(Failure::Fault(fault)) => return Err(fault),
            Err(Failure::Stopped(line, column)) => match aligned(&text, line, column) {
                Some(with_blanks) => text = with_blanks.into(),
                None => {
                    let message = format!("no YAML from line {line} column {column} on");
                    return Err(Fault::new(message));
                }
            },
        }
    }
}

fn is_of_another_version(line: &str) -> bool {
    let version = line.strip_prefix("%YAML").map(str::trim);
    version.is_some_and(|version| !version.starts_with("1.1"))
}

/// The text with blanks for the tabs between a colon and the place where the parser stopped, if there are any:
/// YAML 1.1 may have them before a plain value, but this parser may not.
fn aligned(text: &str, line: usize, column: usize) -> Option<String> {
    let start: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let rest = text.get(start..)?;
    let length: usize = rest.chars().take(column.checked_sub(1)?).map(char::len_utf8).sum();
    let (before, after) = text.split_at_checked(start + length)?;
    let kept = before.trim_end_matches([' ', '\t']);
    let gap = before.get(kept.len()..)?;
    let is_gap = kept.ends_with(':') && gap.contains('\t');
    is_gap.then(|| format!("{kept}{}{after}", " ".repeat(gap.len())))
}

/// The first document of a text.
fn parsed<'a>(eval: &mut Eval<'a>, text: &str) -> std::result::Result<Value<'a>, Failure> {
    eval.meter.read(text.len().saturating_mul(PARSING_COST))?;
    if text.contains(['[', '{']) {
        // Of what stands in brackets the parser may hold every token at a time.
        eval.meter.elements(tokens_at_once(text).saturating_mul(ELEMENTS_PER_TOKEN))?;
    }
    let mut builder = Builder::default();
    let last_line = text.rsplit(['\n', '\r']).next().unwrap_or_default();
    // No break ends the last line, so none ends a block that it belongs to.
    let unended = Some(text.chars().count()).filter(|_| !last_line.is_empty());
    let ends_blank = is_blank(last_line);
    let (mut place, mut marks) = ((1, 1), Vec::new());
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let mark = error.marker();
            Failure::Stopped(mark.line(), mark.col() + 1)
        })?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        if span.start.line() > 0 {
            place = (span.start.line(), span.start.col() + 1);
        }
        let event = match event {
            Event::Scalar(text, style, anchor, tag)
                if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded)
                    && unended == Some(span.end.index()) =>
            {
                // A blank line is one of the block only when it is indented far enough.
                let is_its_line = |body: &&str| {
                    !ends_blank || body.rsplit_once('\n').is_some_and(|(_, line)| is_blank(line))
                };
                let body = text.strip_suffix('\n').filter(is_its_line);
                let text = body.unwrap_or(&text).to_owned();
                Event::Scalar(text.into(), style, anchor, tag)
            }
            event => event,
        };
        // What is in a finished list or map counts by itself.
        match &event {
            Event::Scalar(text, ..) => eval.meter.room(text.len())?,
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                eval.meter.maps(1)?;
                marks.push(eval.meter.mark());
            }
            Event::SequenceEnd | Event::MappingEnd => {
                marks.pop().iter().for_each(|mark| eval.meter.settle(mark));
            }
            _ => {}
        }
        eval.meter.elements(ELEMENTS_PER_VALUE)?;
        builder.take(event).map_err(|reason| {
            let (line, column) = place;
            Failure::Fault(Fault::new(format!("line {line} column {column} of the YAML: {reason}")))
        })?;
    }
    Ok(builder.document.map_or(Value::Nil, |node| node.value))
}

/// Tokens that the parser may hold at a time, at most: all of a line on which brackets are opened and closed, as
/// what they hold could turn out to be a key. From the first line on that is not as simple as that, all.
fn tokens_at_once(text: &str) -> usize {
    let (mut of_line, mut rest, mut is_simple) = (0, 0, true);
    for line in text.split(['\n', '\r']) {
        let (mut tokens, mut depth, mut is_odd) = (0, 0_usize, false);
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' if depth == 0 => is_odd = true,
                b']' | b'}' => depth -= 1,
                b',' | b':' | b'?' => {}
                // What is quoted may hold brackets that are none.
                b'"' | b'\'' => {
                    is_odd |= line.contains(['[', '{', ']', '}']);
                    continue;
                }
                _ => continue,
            }
            tokens += 1;
        }
        is_simple &= !is_odd && depth == 0;
        if is_simple {
            of_line = of_line.max(tokens);
        } else {
            rest += tokens;
        }
    }
    of_line.max(rest)
}

fn is_blank(line: &str) -> bool {
    line.bytes().all(|byte| byte == b' ')
}

fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
}

type Reasoned<T> = std::result::Result<T, &'static str>;

/// A finished value.
#[derive(Clone)]
struct Node<'a> {
    value: Value<'a>,
    /// Levels of lists and maps in it.
    depth: usize,
    /// Values in it, itself included.
    count: usize,
    /// Whether an alias stands for it.
    is_alias: bool,
    /// A plain `<<`.
    is_merge: bool,
}

impl<'a> Node<'a> {
    fn leaf(value: Value<'a>) -> Self {
        Self { value, depth: 0, count: 1, is_alias: false, is_merge: false }
    }
}

/// A list or map that is still open.
struct Open<'a> {
    content: Content<'a>,
    anchor: usize,
    depth: usize,
    count: usize,
}

enum Content<'a> {
    /// The items, and whether each may be merged into a map.
    List(Vec<Value<'a>>, bool),
    Map {
        entries: BTreeMap<Key<'a>, Value<'a>>,
        /// The key whose value comes next; `Some(None)` merges it.
        key: Option<Option<Key<'a>>>,
    },
}

#[derive(Default)]
struct Builder<'a> {
    anchors: BTreeMap<usize, Node<'a>>,
    aliased: usize,
    document: Option<Node<'a>>,
    open: Vec<Open<'a>>,
}

impl<'a> Builder<'a> {
    fn take(&mut self, event: Event<'_>) -> Reasoned<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref().map(tag_name).unwrap_or_default();
                let is_implicit = tag == "!" || (tag.is_empty() && style == ScalarStyle::Plain);
                let is_merge = text == "<<" && (is_implicit || tag == "tag:yaml.org,2002:merge");
                let value = scalar(&text, &tag, is_implicit)?;
                self.value(Node { is_merge, ..Node::leaf(value) }, anchor)
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).ok_or("an alias inside of its own anchor")?;
                let node = Node { is_alias: true, is_merge: false, ..node.clone() };
                self.aliased += node.count;
                if self.aliased > ALIASED_MAX {
                    return Err("aliases add too many values");
                }
                self.value(node, 0)
            }
            Event::SequenceStart(anchor, _) => self.begin(Content::List(Vec::new(), true), anchor),
            Event::MappingStart(anchor, _) => {
                self.begin(Content::Map { entries: BTreeMap::new(), key: None }, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::Nothing
            | Event::StreamEnd
            | Event::StreamStart => Ok(()),
        }
    }

    fn begin(&mut self, content: Content<'a>, anchor: usize) -> Reasoned<()> {
        if self.open.len() >= DEPTH_MAX {
            return Err("nested too deeply");
        }
        self.open.push(Open { content, anchor, depth: 0, count: 1 });
        Ok(())
    }

    fn end(&mut self) -> Reasoned<()> {
        let Some(Open { content, anchor, depth, count }) = self.open.pop() else { return Ok(()) };
        let (value, is_alias) = match content {
            // A list of other things is as little to be merged as one that an alias stands for.
            Content::List(items, is_mergeable) => (List::any(items), !is_mergeable),
            Content::Map { entries, .. } => (Value::AnyMap(AnyMap::new(entries)), false),
        };
        self.value(Node { value, depth: depth + 1, count, is_alias, is_merge: false }, anchor)
    }

    /// Puts a finished value into what is open.
    fn value(&mut self, node: Node<'a>, anchor: usize) -> Reasoned<()> {
        if self.open.len() + node.depth > DEPTH_MAX {
            return Err("nested too deeply");
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.document = Some(node);
            return Ok(());
        };
        open.depth = open.depth.max(node.depth);
        open.count += node.count;
        match &mut open.content {
            Content::List(items, is_mergeable) => {
                *is_mergeable &= matches!(node.value, Value::AnyMap(_));
                items.push(node.value);
            }
            Content::Map { key: key @ None, .. } if node.is_merge => *key = Some(None),
            Content::Map { key: key @ None, .. } => {
                *key = Some(Some(Key::of(node.value).ok_or("a list or map as a key")?));
            }
            Content::Map { entries, key } => match key.take().flatten() {
                Some(key) => drop(entries.insert(key, node.value)),
                None => merge(entries, &node)?,
            },
        }
        Ok(())
    }
}

/// Later members of the map win over merged ones, these over earlier ones, and the first of a list over the
/// rest of it.
fn merge<'a>(entries: &mut BTreeMap<Key<'a>, Value<'a>>, node: &Node<'a>) -> Reasoned<()> {
    let mut take = |value: &Value<'a>| match value {
        Value::AnyMap(map) => {
            entries.extend(map.iter().map(|(key, value)| (key.clone(), value.clone())));
            Ok(())
        }
        _ => Err("<< needs a map or a list of maps"),
    };
    match &node.value {
        Value::List(list) if !node.is_alias => list.iter().rev().try_for_each(take),
        value => take(value),
    }
}

/// The tag in full.
fn tag_name(tag: &Tag) -> String {
    format!("{}{}", tag.handle, tag.suffix)
}

fn scalar<'a>(text: &str, tag: &str, is_implicit: bool) -> Reasoned<Value<'a>> {
    let words = || Value::text(text);
    let meaning = || match resolve(text) {
        Meaning::Bool(truth) => Value::Bool(truth),
        Meaning::Float(n) => Value::Float(n),
        Meaning::Int(n) => Value::Int(n),
        Meaning::Nil => Value::Nil,
        Meaning::Text | Meaning::Time => words(),
        Meaning::Uint(n) => Value::Uint64(n),
    };
    const MISMATCH: &str = "the value is not what its tag says";
    Ok(match tag.strip_prefix("tag:yaml.org,2002:") {
        _ if tag.is_empty() => {
            if is_implicit {
                meaning()
            } else {
                words()
            }
        }
        Some("binary") => {
            let bare: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
            let bytes = base64::engine::general_purpose::STANDARD.decode(bare);
            Value::text(bytes.ok().ok_or("the value of !!binary is no base64")?)
        }
        Some("bool") => Some(meaning()).filter(|v| matches!(v, Value::Bool(_))).ok_or(MISMATCH)?,
        Some("float") => match meaning() {
            Value::Float(n) => Value::Float(n),
            #[expect(clippy::cast_precision_loss, reason = "Go's conversion")]
            Value::Int(n) => Value::Float(n as f64),
            _ => return Err(MISMATCH),
        },
        Some("int") => match meaning() {
            value @ (Value::Int(_) | Value::Uint64(_)) => value,
            _ => return Err(MISMATCH),
        },
        Some("null") => Some(meaning()).filter(|v| matches!(v, Value::Nil)).ok_or(MISMATCH)?,
        Some("timestamp") if resolve(text) != Meaning::Time => return Err(MISMATCH),
        _ => words(),
    })
}
