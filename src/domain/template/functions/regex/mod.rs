//! Regular expressions in RE2's syntax, as Go has them: the same expressions are taken or refused, with the
//! same words, and match the same.

mod class;
mod machine;
mod program;
mod syntax;
mod unicode;

#[cfg(test)]
mod tests;

use std::cell::LazyCell;
use std::collections::VecDeque;
use std::rc::Rc;

use self::machine::{Machine, Subject};
use self::syntax::SyntaxError;
use super::{Arguments, Function, Param, call};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::value::{List, Of, Text, Value};

use Param::{Int, Text as Words};

/// Whether a character is of a category of Unicode, as Go knows them.
pub(super) fn in_category(name: &str) -> impl Fn(char) -> bool + use<> {
    let class = unicode::class(name);
    move |c| class.as_ref().is_some_and(|class| class.contains(c.into()))
}

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call(
        "regexMatch",
        &[Words, Words],
        "whether the expression (RE2 syntax) is found in the text",
        is_match,
    ),
    call(
        "regexReplaceAll",
        &[Words, Words, Words],
        "the last text with every match replaced; $1 and ${name} stand for groups",
        |e, v| replace(e, v, (2, 1), false),
    ),
    call(
        "sprig_mustRegexFind",
        &[Words, Words],
        "the first match of the expression, or an empty text",
        find,
    ),
    call(
        "sprig_mustRegexFindAll",
        &[Words, Words, Int],
        "the matches of the expression, at most so many unless negative",
        find_all,
    ),
    call(
        "sprig_mustRegexMatch",
        &[Words, Words],
        "whether the expression is found in the text",
        is_match,
    ),
    call(
        "sprig_mustRegexReplaceAll",
        &[Words, Words, Words],
        "the second text with every match replaced; $1 and ${name} stand for groups",
        |e, v| replace(e, v, (1, 2), false),
    ),
    call(
        "sprig_mustRegexReplaceAllLiteral",
        &[Words, Words, Words],
        "the second text with every match replaced by the last as it stands",
        |e, v| replace(e, v, (1, 2), true),
    ),
    call(
        "sprig_mustRegexSplit",
        &[Words, Words, Int],
        "the pieces between matches, at most so many unless negative",
        split,
    ),
    call(
        "sprig_regexFind",
        &[Words, Words],
        "the first match of the expression, or an empty text",
        find,
    ),
    call(
        "sprig_regexFindAll",
        &[Words, Words, Int],
        "the matches of the expression, at most so many unless negative",
        find_all,
    ),
    call(
        "sprig_regexMatch",
        &[Words, Words],
        "whether the expression is found in the text; false when it is none",
        is_match_if_valid,
    ),
    call("sprig_regexQuoteMeta", &[Words], "the text as an expression that matches it", quote_meta),
    call(
        "sprig_regexReplaceAll",
        &[Words, Words, Words],
        "the second text with every match replaced; $1 and ${name} stand for groups",
        |e, v| replace(e, v, (1, 2), false),
    ),
    call(
        "sprig_regexReplaceAllLiteral",
        &[Words, Words, Words],
        "the second text with every match replaced by the last as it stands",
        |e, v| replace(e, v, (1, 2), true),
    ),
    call(
        "sprig_regexSplit",
        &[Words, Words, Int],
        "the pieces between matches, at most so many unless negative",
        split,
    ),
];

/// In bytes. Real ones have tens.
const PATTERN_MAX: usize = 4096;
/// Expressions that one render keeps compiled; loops use few.
const KEPT_MAX: usize = 8;

/// The expressions that a render compiled so far. Nothing outlives it.
#[derive(Default)]
pub(crate) struct Expressions(VecDeque<(Box<[u8]>, bool, Rc<Machine>)>);

/// Why there is no machine.
enum Refusal {
    /// Go would not take the expression either, or we find it too large.
    Syntax(String),
    Budget(Fault),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Budget(fault)
    }
}

/// Looks an expression up, or compiles it.
fn machine(
    eval: &mut Eval<'_>,
    pattern: &[u8],
    with_groups: bool,
) -> std::result::Result<Rc<Machine>, Refusal> {
    let kept = eval
        .expressions
        .0
        .iter()
        .find(|(known, groups, _)| **known == *pattern && (*groups || !with_groups));
    if let Some((.., machine)) = kept {
        return Ok(Rc::clone(machine));
    }
    // What comes from data may be a secret.
    let shown = |clause: &str, fragment: &str| {
        let fragment =
            if eval.has_literal_first { format!(": `{fragment}`") } else { String::new() };
        Refusal::Syntax(format!("error parsing regexp: {clause}{fragment}"))
    };
    let text = str::from_utf8(pattern).map_err(|error| {
        let rest = pattern.get(error.valid_up_to()..).unwrap_or_default();
        shown("invalid UTF-8", &String::from_utf8_lossy(rest))
    })?;
    if pattern.len() > PATTERN_MAX {
        return Err(shown(syntax::TOO_LARGE, text));
    }
    let machine = Machine::compile(text, with_groups)
        .map_err(|SyntaxError { clause, fragment }| shown(clause, fragment))?;
    // Compiling takes time that a template could spend over and over.
    eval.meter.steps(machine.compiling)?;
    let machine = Rc::new(machine);
    let kept = &mut eval.expressions.0;
    if kept.len() >= KEPT_MAX {
        kept.pop_front();
    }
    kept.push_back((pattern.into(), with_groups, Rc::clone(&machine)));
    Ok(machine)
}

fn compiled(eval: &mut Eval<'_>, pattern: &[u8], with_groups: bool) -> Result<Rc<Machine>> {
    machine(eval, pattern, with_groups).map_err(|refusal| match refusal {
        Refusal::Syntax(message) => Fault::new(message),
        Refusal::Budget(fault) => fault,
    })
}

/// Whether an expression matches somewhere in a text.
pub(super) fn finds(eval: &mut Eval<'_>, pattern: &str, text: &str) -> Result<bool> {
    let subject = Subject::new(text.as_bytes());
    compiled(eval, pattern.as_bytes(), false)?.is_match(eval, &subject)
}

fn is_match<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let machine = compiled(eval, values.text_at(0), false)?;
    let subject = subject(eval, values.text_at(1))?;
    Ok(Value::Bool(machine.is_match(eval, &subject)?))
}

fn is_match_if_valid<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    match machine(eval, values.text_at(0), false) {
        Ok(_) => is_match(eval, values),
        Err(Refusal::Syntax(_)) => Ok(Value::Bool(false)),
        Err(Refusal::Budget(fault)) => Err(fault),
    }
}

/// Goes over the first `count` matches in the second argument; over all for a negative count.
fn each_place<'a>(
    eval: &mut Eval<'a>,
    values: &[Value<'a>],
    count: i64,
    mut take: impl FnMut(&mut Eval<'a>, usize, usize) -> Result<()>,
) -> Result<()> {
    let machine = compiled(eval, values.text_at(0), false)?;
    let subject = subject(eval, values.text_at(1))?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    machine.each_match(eval, &subject, count, |eval, found| match found.first() {
        Some(Some((start, end))) => take(eval, *start, *end),
        _ => Ok(()),
    })
}

/// A text to search in; what is no UTF-8 has to be copied.
fn subject<'t>(eval: &mut Eval<'_>, text: &'t [u8]) -> Result<Subject<'t>> {
    if str::from_utf8(text).is_err() {
        let invalid = text.utf8_chunks().map(|chunk| chunk.invalid().len()).sum::<usize>();
        eval.meter.places(text.len().saturating_add(invalid.saturating_mul(REPLACED_BYTES)))?;
    }
    Ok(Subject::new(text))
}

/// What stands for a byte that is no UTF-8, and its place.
const REPLACED_BYTES: usize = 2 + 2 * size_of::<usize>();

fn find<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let mut found = Text::Borrowed(b"");
    each_place(eval, values, 1, |_, start, end| {
        found = values.words_at(1).part(start, end);
        Ok(())
    })?;
    Ok(Value::Text(found))
}

/// Go has a nil list where nothing is found.
fn pieces<'a>(mut pieces: Vec<Value<'a>>, is_nil: bool) -> Value<'a> {
    pieces.shrink_to_fit();
    let mut list = List::new(Of::Text, pieces);
    list.is_nil = is_nil;
    Value::List(list)
}

fn find_all<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let (text, mut found) = (values.words_at(1), Vec::new());
    each_place(eval, values, values.int_at(2), |eval, start, end| {
        eval.meter.piece()?;
        found.push(Value::Text(text.part(start, end)));
        Ok(())
    })?;
    let is_nil = found.is_empty();
    Ok(pieces(found, is_nil))
}

fn split<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let (text, count) = (values.words_at(1), values.int_at(2));
    if count == 0 {
        // A wrong expression is wrong all the same.
        compiled(eval, values.text_at(0), false)?;
        return Ok(pieces(Vec::new(), true));
    }
    let last = usize::try_from(count).ok().map(|count| count - 1);
    let mut found = Vec::new();
    let (mut start, mut end, mut is_full) = (0, 0, false);
    each_place(eval, values, count, |eval, match_start, match_end| {
        is_full |= last == Some(found.len());
        if is_full {
            return Ok(());
        }
        end = match_start;
        if match_end != 0 {
            eval.meter.piece()?;
            found.push(Value::Text(text.part(start, end)));
        }
        start = match_end;
        Ok(())
    })?;
    if text.is_empty() && !values.text_at(0).is_empty() {
        return Ok(pieces(vec![Value::EMPTY], false));
    }
    if end != text.len() {
        found.push(Value::Text(text.part(start, text.len())));
    }
    Ok(pieces(found, false))
}

fn replace<'a>(
    eval: &mut Eval<'a>,
    values: &[Value<'a>],
    (text_at, with_at): (usize, usize),
    is_literal: bool,
) -> Result<Value<'a>> {
    let (text, with) = (values.text_at(text_at), values.text_at(with_at));
    let parts = if is_literal { vec![Part::Text(with)] } else { replacement(with) };
    let with_groups = parts.iter().any(|part| !matches!(part, Part::Text(_)));
    let machine = compiled(eval, values.text_at(0), with_groups)?;
    let mut out = Vec::new();
    let mut rest = 0;
    let subject = subject(eval, text)?;
    machine.each_match(eval, &subject, usize::MAX, |eval, places| {
        let Some((start, end)) = places.first().copied().flatten() else { return Ok(()) };
        let from = out.len();
        out.extend_from_slice(text.get(rest..start).unwrap_or_default());
        rest = end;
        for part in &parts {
            let group = |i: usize| places.get(i).copied().flatten();
            let place = match part {
                Part::Text(text) => {
                    out.extend_from_slice(text);
                    continue;
                }
                Part::Group(i) => group(*i),
                Part::Named(name) => {
                    let named =
                        machine.names.iter().zip(1..).filter(|(known, _)| ***known == **name);
                    named.into_iter().find_map(|(_, i)| group(i))
                }
            };
            out.extend_from_slice(place.and_then(|(a, b)| text.get(a..b)).unwrap_or_default());
            if out.len() > eval.meter.text_bytes_max() {
                return eval.meter.text(out.len());
            }
        }
        eval.meter.copy(out.len() - from)
    })?;
    out.extend_from_slice(text.get(rest..).unwrap_or_default());
    eval.copied(out)
}

/// A piece of a replacement.
enum Part<'w> {
    Group(usize),
    Named(&'w str),
    Text(&'w [u8]),
}

/// Splits at `$1`, `${1}`, `$name`, `${name}` and `$$`; another `$` is one.
fn replacement(with: &[u8]) -> Vec<Part<'_>> {
    let letters =
        LazyCell::new(|| ["l", "nd"].map(|name| unicode::class(name).unwrap_or_default()));
    let is_name = |c: char| match c {
        '_' => true,
        c if c.is_ascii() => c.is_ascii_alphanumeric(),
        c => letters.iter().any(|class| class.contains(u32::from(c))),
    };
    let mut parts = Vec::new();
    let mut rest = with;
    while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
        let (before, after) = rest.split_at(at);
        parts.push(Part::Text(before));
        let dollar = after.get(..1).unwrap_or_default();
        let after = after.get(1..).unwrap_or_default();
        let named = group_name(after, is_name);
        rest = named.map_or(after, |(_, rest)| rest);
        parts.push(match named {
            Some((name, _)) => match group_number(name) {
                Some(number) => Part::Group(number),
                None => Part::Named(name),
            },
            None => {
                rest = after.strip_prefix(b"$").unwrap_or(after);
                Part::Text(dollar)
            }
        });
    }
    parts.push(Part::Text(rest));
    parts
}

/// The longest name, or the one in braces, with what follows it.
fn group_name(after_dollar: &[u8], is_name: impl Fn(char) -> bool) -> Option<(&str, &[u8])> {
    let braced = after_dollar.strip_prefix(b"{");
    let text = braced.unwrap_or(after_dollar);
    let valid = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let end = valid.find(|c| !is_name(c)).unwrap_or(valid.len());
    let (name, _) = valid.split_at_checked(end).filter(|(name, _)| !name.is_empty())?;
    let rest = text.get(end..).unwrap_or_default();
    Some((name, if braced.is_some() { rest.strip_prefix(b"}")? } else { rest }))
}

/// A name of digits alone, without a leading zero.
fn group_number(name: &str) -> Option<usize> {
    let is_number = name.bytes().all(|b| b.is_ascii_digit());
    let is_plain = name.len() == 1 || !name.starts_with('0');
    // Longer ones are names for Go, which no group has.
    (is_number && is_plain && name.len() <= 9).then(|| name.parse().ok()).flatten()
}

fn quote_meta<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let text = values.text_at(0);
    eval.meter.text(text.len().saturating_mul(2))?;
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if br"\.+*?()|[]{}^$".contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    eval.made(out)
}
