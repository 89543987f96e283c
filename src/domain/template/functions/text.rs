//! Texts: splitting, trimming, letter case. Nothing here fails on bytes that are no UTF-8.

use super::uppercase::{lower, title_words, upper};
use memchr::memmem;

use super::{Arguments, Function, Param, call};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::value::{Entries, List, Map, MapOf, Of, Text, Value};

use Param::Text as Words;

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call("indent", &[Param::Int, Words], "blanks before every line that is not empty", indent),
    call("join", &[Words, Param::Texts], "a list of texts as one, with a separator", join),
    call(
        "replaceAll",
        &[Words, Words, Words],
        "the last text with every occurrence of the first replaced by the second",
        |e, v| replaced(e, v.text_at(2), v.text_at(0), v.text_at(1)),
    ),
    call("split", &[Words, Words], "a text cut at a separator", |e, v| {
        let text = v.words_at(1);
        let (start, end) = without(&text, char::is_whitespace);
        if start == end {
            return Ok(List::texts(Vec::new()));
        }
        cut(e, &text.part(start, end), v.text_at(0))
    }),
    call(
        "splitToMap",
        &[Words, Words, Words],
        "a map of a text with one separator between pairs and one within",
        split_to_map,
    ),
    call("toLower", &[Words], "the text in lower case", |e, v| cased(e, v, lower)),
    call(
        "toTitle",
        &[Words],
        "the text with the first letter of each word in upper case",
        |e, v| cased(e, v, title_words),
    ),
    call("toUpper", &[Words], "the text in upper case", |e, v| cased(e, v, upper)),
    call(
        "trim",
        &[Words, Words],
        "the last text without the characters of the first at its ends",
        |e, v| {
            e.meter.steps(v.text_at(0).len())?;
            part(e, v.text_at(1), |text| trim(text, v.text_at(0)))
        },
    ),
    call("trimPrefix", &[Words, Words], "the last text without the first at its start", |e, v| {
        part(e, v.text_at(1), |text| text.strip_prefix(v.text_at(0)).unwrap_or(text))
    }),
    call("trimSpace", &[Words], "the text without white space at its ends", |e, v| {
        part(e, v.text_at(0), trim_space)
    }),
    call("trimSuffix", &[Words, Words], "the last text without the first at its end", |e, v| {
        part(e, v.text_at(1), |text| text.strip_suffix(v.text_at(0)).unwrap_or(text))
    }),
];

/// The characters with their lengths in bytes; a byte that belongs to none is U+FFFD, as in Go.
pub(super) fn runes(text: &[u8]) -> impl Iterator<Item = (char, usize)> + '_ {
    text.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid().chars().map(|c| (c, c.len_utf8()));
        valid.chain(chunk.invalid().iter().map(|_| (char::REPLACEMENT_CHARACTER, 1)))
    })
}

/// A part of a text as a text of its own.
pub(super) fn part<'a>(
    eval: &mut Eval<'a>,
    text: &[u8],
    choose: impl FnOnce(&[u8]) -> &[u8],
) -> Result<Value<'a>> {
    eval.meter.read(text.len())?;
    eval.copied(choose(text).to_vec())
}

pub(super) fn cased<'a>(
    eval: &mut Eval<'a>,
    values: &[Value<'a>],
    change: fn(&[u8]) -> Vec<u8>,
) -> Result<Value<'a>> {
    eval.meter.text(values.text_at(0).len())?;
    eval.made(change(values.text_at(0)))
}

pub(super) fn trim_space(text: &[u8]) -> &[u8] {
    trim_matches(text, char::is_whitespace)
}

/// Without the characters of `cutset` at both ends.
pub(super) fn trim<'t>(text: &'t [u8], cutset: &[u8]) -> &'t [u8] {
    let cutset: std::collections::BTreeSet<char> = runes(cutset).map(|(c, _)| c).collect();
    trim_matches(text, |c| cutset.contains(&c))
}

fn trim_matches(text: &[u8], matches: impl Fn(char) -> bool) -> &[u8] {
    let (start, end) = without(text, matches);
    text.get(start..end).unwrap_or_default()
}

/// Where what is left of a text starts and ends without such characters at both ends.
fn without(text: &[u8], matches: impl Fn(char) -> bool) -> (usize, usize) {
    let (mut at, mut start, mut end) = (0, None, 0);
    for (c, length) in runes(text) {
        if !matches(c) {
            start.get_or_insert(at);
            end = at + length;
        }
        at += length;
    }
    (start.unwrap_or(end), end)
}

/// Where `part` is in `text`. Both are bytes, so there is no `str::find`.
pub(super) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memmem::find(text, part)
}

/// What [`find`] costs: each byte is looked at a few times at most, however the one repeats in the other.
pub(super) fn count_find(eval: &mut Eval<'_>, text: &[u8], part: &[u8]) -> Result<()> {
    eval.meter.read(text.len().saturating_add(part.len()))
}

/// The pieces between the separators; between all characters when it is empty. At most `max` pieces.
pub(super) fn pieces<'t>(
    eval: &mut Eval<'_>,
    text: &'t [u8],
    separator: &[u8],
    max: usize,
) -> Result<Vec<&'t [u8]>> {
    count_find(eval, text, separator)?;
    let finder = memmem::Finder::new(separator);
    let mut out = Vec::new();
    let mut rest = text;
    while out.len() + 1 < max {
        let at = if separator.is_empty() {
            runes(rest.get(..4).unwrap_or(rest)).next().map(|(_, length)| length)
        } else {
            finder.find(rest)
        };
        let Some((head, tail)) = at.and_then(|at| rest.split_at_checked(at)) else { break };
        if separator.is_empty() && tail.is_empty() {
            break;
        }
        eval.meter.elements(1)?;
        out.push(head);
        rest = tail.get(separator.len()..).unwrap_or_default();
    }
    if max > 0 && !(separator.is_empty() && rest.is_empty()) {
        eval.meter.elements(1)?;
        out.push(rest);
    }
    Ok(out)
}

/// The pieces between the separators; the characters when it is empty.
pub(super) fn cut<'a>(eval: &mut Eval<'a>, text: &Text<'a>, separator: &[u8]) -> Result<Value<'a>> {
    count_find(eval, text, separator)?;
    let finder = memmem::Finder::new(separator);
    let count =
        if separator.is_empty() { runes(text).count() } else { finder.find_iter(text).count() + 1 };
    eval.meter.steps(count)?;
    eval.meter.copies(count)?;
    let mut pieces = Vec::with_capacity(count);
    let mut start = 0;
    if separator.is_empty() {
        for (_, length) in runes(text) {
            pieces.push(Value::Text(text.part(start, start + length)));
            start += length;
        }
    } else {
        while let Some(at) = finder.find(text.get(start..).unwrap_or_default()) {
            pieces.push(Value::Text(text.part(start, start + at)));
            start += at + separator.len();
        }
        pieces.push(Value::Text(text.part(start, text.len())));
    }
    Ok(Value::List(List::new(Of::Text, pieces)))
}

/// Every occurrence replaced; an empty `from` stands between all characters and at both ends.
pub(super) fn replaced<'a>(
    eval: &mut Eval<'a>,
    text: &[u8],
    from: &[u8],
    to: &[u8],
) -> Result<Value<'a>> {
    if from.is_empty() {
        let count = runes(text).count() + 1;
        eval.meter.copied(text.len().saturating_add(to.len().saturating_mul(count)))?;
        let mut out = to.to_vec();
        let mut rest = text;
        for (_, length) in runes(text) {
            let (head, tail) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            out.extend_from_slice(head);
            out.extend_from_slice(to);
            rest = tail;
        }
        return eval.copied(out);
    }
    count_find(eval, text, from)?;
    let finder = memmem::Finder::new(from);
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = finder.find(rest) {
        let (head, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        if out.len() + head.len() + to.len() > eval.meter.text_bytes_max() {
            eval.meter.text(usize::MAX)?;
        }
        out.extend_from_slice(head);
        out.extend_from_slice(to);
        rest = tail.get(from.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    eval.copied(out)
}

fn indent<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let Ok(width) = usize::try_from(values.int_at(0)) else {
        return Err(Fault::new("a negative number of blanks"));
    };
    let text = values.text_at(1);
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    eval.meter.text(text.len().saturating_add(lines.saturating_mul(width)))?;
    let mut out = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if line != b"\n" {
            out.resize(out.len() + width, b' ');
        }
        out.extend_from_slice(line);
    }
    eval.copied(out)
}

fn join<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let list = values.list_at(1);
    joined(
        eval,
        values.text_at(0),
        list.iter().map(|item| match item {
            Value::Text(text) => &**text,
            _ => &[],
        }),
    )
}

/// Texts as one, with a separator between them.
pub(super) fn joined<'a>(
    eval: &mut Eval<'a>,
    separator: &[u8],
    texts: impl Iterator<Item = impl AsRef<[u8]>>,
) -> Result<Value<'a>> {
    let mut out = Vec::new();
    for (i, text) in texts.enumerate() {
        eval.meter.step()?;
        let text = text.as_ref();
        if out.len() + text.len() + separator.len() > eval.meter.text_bytes_max() {
            eval.meter.text(usize::MAX)?;
        }
        if i > 0 {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(text);
    }
    eval.copied(out)
}

fn split_to_map<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    eval.meter.maps(1)?;
    let mut entries = Entries::new();
    let text = trim_space(values.text_at(2));
    let between = values.text_at(1);
    for pair in pieces(eval, text, values.text_at(0), usize::MAX)? {
        count_find(eval, pair, between)?;
        let Some((key, rest)) = find(pair, between).and_then(|at| pair.split_at_checked(at)) else {
            continue;
        };
        eval.meter.text(pair.len())?;
        let value = rest.get(between.len()..).unwrap_or_default();
        entries.insert(Text::from(key.to_vec()), Value::text(value));
    }
    Ok(Value::Map(Map::new(MapOf::Text, entries)))
}
