//! Sprig: texts. Lengths and positions are bytes, as in Go.

use super::regex::in_category;
use super::sprig_words;
use super::text::{cased, count_find, cut, find, part, pieces, replaced, trim, trim_space};
use super::uppercase::{lower, lower_char, mapped, title_char, upper, upper_char};
use super::{Arguments, Function, Param, call};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::value::{Entries, Map, MapOf, Text, Value};

use Param::{Int, Text as Words};

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call("sprig_abbrev", &[Int, Words], "the text cut to a width, with an ellipsis", |e, v| {
        abbreviated(e, v.text_at(1), 0, v.int_at(0))
    }),
    call(
        "sprig_abbrevboth",
        &[Int, Int, Words],
        "the text cut at both ends, with ellipses",
        |e, v| abbreviated(e, v.text_at(2), v.int_at(0), v.int_at(1)),
    ),
    call("sprig_camelcase", &[Words], "some_words as SomeWords", |e, v| {
        cased(e, v, sprig_words::camel)
    }),
    call("sprig_contains", &[Words, Words], "whether the first text is in the second", |e, v| {
        count_find(e, v.text_at(1), v.text_at(0))?;
        Ok(Value::Bool(find(v.text_at(1), v.text_at(0)).is_some()))
    }),
    call(
        "sprig_hasPrefix",
        &[Words, Words],
        "whether the second text starts with the first",
        |_, v| Ok(Value::Bool(v.text_at(1).starts_with(v.text_at(0)))),
    ),
    call(
        "sprig_hasSuffix",
        &[Words, Words],
        "whether the second text ends with the first",
        |_, v| Ok(Value::Bool(v.text_at(1).ends_with(v.text_at(0)))),
    ),
    call("sprig_indent", &[Int, Words], "blanks before every line", |e, v| indent(e, v, b"")),
    call("sprig_initials", &[Words], "the first letter of each word", |e, v| {
        cased(e, v, |text| {
            let mut after_space = true;
            // Sprig takes every byte for a character.
            let firsts = text.iter().copied().map(char::from).filter(|c| {
                let is_first = after_space && !c.is_whitespace();
                after_space = c.is_whitespace();
                is_first
            });
            firsts.collect::<String>().into_bytes()
        })
    }),
    call("sprig_kebabcase", &[Words], "SomeWords as some-words", |e, v| {
        connected(e, v.text_at(0), '-')
    }),
    call("sprig_lower", &[Words], "the text in lower case", |e, v| cased(e, v, lower)),
    call("sprig_nindent", &[Int, Words], "a newline, and blanks before every line", |e, v| {
        indent(e, v, b"\n")
    }),
    call("sprig_nospace", &[Words], "the text without white space", |e, v| {
        // Sprig takes every byte for a character, unless there is nothing to remove.
        cased(e, v, |text| {
            let chars = || text.iter().copied().map(char::from);
            if chars().any(char::is_whitespace) {
                chars().filter(|c| !c.is_whitespace()).collect::<String>().into_bytes()
            } else {
                text.to_vec()
            }
        })
    }),
    call(
        "sprig_plural",
        &[Words, Words, Int],
        "the first text for a count of 1, else the second",
        |_, v| Ok(v.value_at(usize::from(v.int_at(2) != 1))),
    ),
    call("sprig_repeat", &[Int, Words], "the text so many times", |e, v| {
        let count = usize::try_from(v.int_at(0)).ok();
        let count = count.ok_or_else(|| Fault::new("a negative count"))?;
        let text = v.text_at(1);
        e.meter.text(text.len().saturating_mul(count))?;
        e.made(if text.is_empty() { Vec::new() } else { text.repeat(count) })
    }),
    call(
        "sprig_replace",
        &[Words, Words, Words],
        "the last text with every occurrence of the first replaced by the second",
        |e, v| replaced(e, v.text_at(2), v.text_at(0), v.text_at(1)),
    ),
    call("sprig_snakecase", &[Words], "SomeWords as some_words", |e, v| {
        connected(e, v.text_at(0), '_')
    }),
    call(
        "sprig_split",
        &[Words, Words],
        "the pieces between separators, as a map _0, _1, …",
        |e, v| numbered(e, v.text_at(1), v.text_at(0), usize::MAX),
    ),
    call("sprig_splitList", &[Words, Words], "the pieces between separators", |e, v| {
        cut(e, &v.words_at(1), v.text_at(0))
    }),
    call(
        "sprig_splitn",
        &[Words, Int, Words],
        "at most so many pieces, as a map _0, _1, …",
        |e, v| {
            numbered(
                e,
                v.text_at(2),
                v.text_at(0),
                usize::try_from(v.int_at(1)).unwrap_or(usize::MAX),
            )
        },
    ),
    call("sprig_substr", &[Int, Int, Words], "the text from one byte to before another", |e, v| {
        let text = v.text_at(2);
        let start = usize::try_from(v.int_at(0)).unwrap_or(0);
        let end = usize::try_from(v.int_at(1)).ok();
        let end = if v.int_at(0) < 0 {
            end
        } else {
            Some(end.map_or(text.len(), |end| end.min(text.len())))
        };
        let found = end.and_then(|end| text.get(start..end));
        let found = found.ok_or_else(|| Fault::new("the positions are not within the text"))?;
        e.made(found.to_vec())
    }),
    call("sprig_swapcase", &[Words], "upper case for lower case and the reverse", |e, v| {
        cased(e, v, |text| {
            // Go's letters: others may have cases too, such as the Roman numerals.
            let [lower, upper, title] = ["Ll", "Lu", "Lt"].map(in_category);
            let mut after_space = true;
            mapped(text, |c| {
                let swapped = if lower(c) {
                    if after_space { title_char(c) } else { upper_char(c) }
                } else if upper(c) || title(c) {
                    lower_char(c)
                } else {
                    c
                };
                after_space = c.is_whitespace();
                swapped
            })
        })
    }),
    call(
        "sprig_title",
        &[Words],
        "the text with the first letter of each word in upper case",
        |e, v| {
            cased(e, v, |text| {
                let mut before = ' ';
                mapped(text, |c| {
                    let starts = is_separator(before);
                    before = c;
                    if starts { title_char(c) } else { c }
                })
            })
        },
    ),
    call("sprig_trim", &[Words], "the text without white space at its ends", |e, v| {
        part(e, v.text_at(0), trim_space)
    }),
    call(
        "sprig_trimAll",
        &[Words, Words],
        "the last text without the characters of the first at its ends",
        trim_all,
    ),
    call(
        "sprig_trimPrefix",
        &[Words, Words],
        "the last text without the first at its start",
        |e, v| part(e, v.text_at(1), |text| text.strip_prefix(v.text_at(0)).unwrap_or(text)),
    ),
    call(
        "sprig_trimSuffix",
        &[Words, Words],
        "the last text without the first at its end",
        |e, v| part(e, v.text_at(1), |text| text.strip_suffix(v.text_at(0)).unwrap_or(text)),
    ),
    call(
        "sprig_trimall",
        &[Words, Words],
        "the last text without the characters of the first at its ends",
        trim_all,
    ),
    call(
        "sprig_trunc",
        &[Int, Words],
        "the first bytes, or the last ones for a negative number",
        |e, v| {
            let text = v.text_at(1);
            let length = usize::try_from(v.int_at(0).unsigned_abs()).unwrap_or(usize::MAX);
            let found = if v.int_at(0) < 0 {
                text.get(text.len().saturating_sub(length)..)
            } else {
                text.get(..length.min(text.len()))
            };
            e.made(found.unwrap_or_default().to_vec())
        },
    ),
    call(
        "sprig_untitle",
        &[Words],
        "the text with the first letter of each word in lower case",
        |e, v| {
            cased(e, v, |text| {
                let mut after_space = true;
                mapped(text, |c| {
                    let starts = std::mem::replace(&mut after_space, c.is_whitespace());
                    if starts { lower_char(c) } else { c }
                })
            })
        },
    ),
    call("sprig_upper", &[Words], "the text in upper case", |e, v| cased(e, v, upper)),
    call(
        "sprig_wrap",
        &[Int, Words],
        "the text in lines of at most so many bytes, words kept whole",
        |e, v| wrapped(e, v.text_at(1), v.int_at(0), b"\n", false),
    ),
    call(
        "sprig_wrapWith",
        &[Int, Words, Words],
        "the text in pieces of at most so many bytes, with a separator",
        |e, v| wrapped(e, v.text_at(2), v.int_at(0), v.text_at(1), true),
    ),
];

/// Finding words takes so many times as long as reading through a text.
const WORDS_COST: usize = 16;

fn connected<'a>(eval: &mut Eval<'a>, text: &[u8], connector: char) -> Result<Value<'a>> {
    eval.meter.read(text.len().saturating_mul(WORDS_COST))?;
    eval.meter.text(text.len().saturating_mul(2))?;
    eval.made(sprig_words::connected(text, connector))
}

fn trim_all<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    // Every character of the one is looked for among those of the other.
    eval.meter.read(values.text_at(1).len().saturating_mul(2))?;
    part(eval, values.text_at(1), |text| trim(text, values.text_at(0)))
}

/// What stands between words for Go's `strings.Title`.
fn is_separator(c: char) -> bool {
    if c.is_ascii() {
        return !(c.is_ascii_alphanumeric() || c == '_');
    }
    !c.is_alphanumeric() && c.is_whitespace()
}

fn indent<'a>(eval: &mut Eval<'a>, values: &[Value<'a>], start: &[u8]) -> Result<Value<'a>> {
    let width = usize::try_from(values.int_at(0)).ok();
    let width = width.ok_or_else(|| Fault::new("a negative number of blanks"))?;
    let text = values.text_at(1);
    let lines = text.iter().filter(|byte| **byte == b'\n').count() + 1;
    eval.meter.text(text.len().saturating_add(lines.saturating_mul(width)))?;
    let mut out = start.to_vec();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        out.resize(out.len() + width, b' ');
        out.extend_from_slice(line);
    }
    if text.is_empty() || text.ends_with(b"\n") {
        out.resize(out.len() + width, b' ');
    }
    eval.made(out)
}

fn numbered<'a>(
    eval: &mut Eval<'a>,
    text: &[u8],
    separator: &[u8],
    max: usize,
) -> Result<Value<'a>> {
    let pieces = pieces(eval, text, separator, max)?;
    eval.meter.maps(1)?;
    eval.meter.text(text.len())?;
    let entry =
        |(i, piece): (usize, &[u8])| (Text::from(format!("_{i}").into_bytes()), Value::text(piece));
    let entries: Entries<'a> = pieces.into_iter().enumerate().map(entry).collect();
    Ok(Value::Map(Map::new(MapOf::Text, entries)))
}

const ELLIPSIS: &[u8] = b"...";

/// The text from about `offset` on, at most `width` bytes with its ellipses.
fn abbreviated<'a>(eval: &mut Eval<'a>, text: &[u8], offset: i64, width: i64) -> Result<Value<'a>> {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    if width < 4 || (offset > 0 && width < 7) || length <= width {
        return eval.made(text.to_vec());
    }
    let kept = width - 3;
    let offset = offset.min(length).min(length - kept);
    let at = |n: i64| usize::try_from(n).unwrap_or(0);
    let cut = |from: i64, to: i64| text.get(at(from)..at(to)).unwrap_or_default();
    let out = if offset <= 4 {
        [cut(0, kept), ELLIPSIS].concat()
    } else if offset + kept >= length {
        [ELLIPSIS, cut(length - kept, length)].concat()
    } else {
        [ELLIPSIS, cut(offset, offset + kept - 3), ELLIPSIS].concat()
    };
    eval.made(out)
}

/// Lines of at most `width` bytes. A longer word is broken, or stands on a line of its own.
fn wrapped<'a>(
    eval: &mut Eval<'a>,
    text: &[u8],
    width: i64,
    separator: &[u8],
    breaks_words: bool,
) -> Result<Value<'a>> {
    let separator = if separator.is_empty() { b"\n" } else { separator };
    let width = usize::try_from(width).unwrap_or(0).max(1);
    let mut out = Vec::new();
    let mut rest = text;
    while rest.len() > width {
        if let Some(trimmed) = rest.strip_prefix(b" ") {
            rest = trimmed;
            continue;
        }
        let blank = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b' ');
        let fitting = rest.get(..=width).and_then(|head| head.iter().rposition(|b| *b == b' '));
        let (end, skipped) = match fitting {
            Some(at) => (at, 1),
            None if breaks_words => (width, 0),
            None => match rest.get(width..).and_then(blank) {
                Some(at) => (width + at, 1),
                None => break,
            },
        };
        eval.meter.step()?;
        if out.len() + end + separator.len() > eval.meter.text_bytes_max() {
            eval.meter.text(usize::MAX)?;
        }
        out.extend_from_slice(rest.get(..end).unwrap_or_default());
        out.extend_from_slice(separator);
        rest = rest.get(end + skipped..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    eval.made(out)
}
