//! Go's predefined functions. `and` and `or` are the evaluator's, since they do not evaluate all arguments.

use std::cmp::Ordering;

use super::compare;
use super::eval::{Eval, int_of};
use super::print;
use super::printf;
use super::quote::is_printable;
use crate::domain::template::any_map::Key;
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::functions::{Function, Param, Run, call, many};
use crate::domain::template::value::{List, MapOf, Text, Value};

use Param::{Any, Reflect, Text as Words};

/// Printing a value takes so many times as long as copying its text.
pub(crate) const PRINTING_COST: usize = 12;

/// Finding the digits of a float takes as long as this, and more for each digit that is printed.
pub(crate) const STEPS_PER_FLOAT: usize = 10;

/// Sorted by name.
pub(crate) const TABLE: &[Function] = &[
    Function {
        run: Run::And,
        ..many("and", &[Reflect, Reflect], "the first empty argument, or the last", not)
    },
    many("call", &[Reflect, Reflect], "calls a function value; templates have none", call_value),
    many("eq", &[Reflect, Reflect], "whether the first argument equals one of the others", eq),
    call("ge", &[Reflect, Reflect], "a >= b", |e, v| decide(e, v, |o| o != Some(Ordering::Less))),
    call("gt", &[Reflect, Reflect], "a > b", |e, v| {
        decide(e, v, |o| !matches!(o, Some(Ordering::Less | Ordering::Equal)))
    }),
    many("html", &[Any], "escapes < > & ' \" for HTML", |e, v| escaped(e, v, html)),
    many(
        "index",
        &[Reflect, Reflect],
        "an element of a map, list or text; several indices go deeper",
        index,
    ),
    many("js", &[Any], "escapes for a JavaScript string", |e, v| escaped(e, v, js)),
    call("le", &[Reflect, Reflect], "a <= b", |e, v| {
        decide(e, v, |o| matches!(o, Some(Ordering::Less | Ordering::Equal)))
    }),
    call("len", &[Reflect], "how many elements, or bytes of a text", len),
    call("lt", &[Reflect, Reflect], "a < b", |e, v| decide(e, v, |o| o == Some(Ordering::Less))),
    call("ne", &[Reflect, Reflect], "a != b", ne),
    call("not", &[Reflect], "true when the argument is empty", not),
    Function {
        run: Run::Or,
        ..many("or", &[Reflect, Reflect], "the first argument that is not empty, or the last", not)
    },
    Function {
        counts_itself: true,
        ..many(
            "print",
            &[Any],
            "the arguments as text, blanks between those that are no texts",
            |e, v| e.printed(v, |max| print::sprint(v, max)),
        )
    },
    Function {
        counts_itself: true,
        ..many("printf", &[Words, Any], "the arguments by Go's format", |e, v| {
            match v.split_first() {
                Some((Value::Text(format), values)) => {
                    let floats = values.iter().filter(|v| matches!(v, Value::Float(_))).count();
                    e.meter.steps(floats.saturating_mul(STEPS_PER_FLOAT))?;
                    // The format is gone over character by character.
                    e.meter.read(format.len())?;
                    // What these verbs print of a text is the text itself.
                    let mut verbs = format.split(|byte| *byte == b'%').skip(1);
                    if !verbs.all(|verb| matches!(verb.first(), Some(b's' | b'v' | b'd'))) {
                        e.meter.read(bytes(values))?;
                    }
                    e.printed(values, |max| printf::sprintf(format, values, max))
                }
                _ => Ok(Value::EMPTY),
            }
        })
    },
    Function {
        counts_itself: true,
        ..many(
            "println",
            &[Any],
            "the arguments as text, blanks between them, and a newline",
            |e, v| e.printed(v, |max| print::sprintln(v, max)),
        )
    },
    many("slice", &[Reflect, Reflect], "a part of a list or text", slice),
    many("urlquery", &[Any], "escapes for the query of a URL", |e, v| escaped(e, v, urlquery)),
];

impl<'a> Eval<'a> {
    /// What a printing function made of `values`, counted. Texts are copied as they are.
    pub(crate) fn printed(
        &mut self,
        values: &[Value<'a>],
        print: impl FnOnce(usize) -> Result<Vec<u8>>,
    ) -> Result<Value<'a>> {
        let text = print(self.meter.text_bytes_max())?;
        let made = text.len().saturating_sub(bytes(values));
        self.meter.read(made.saturating_mul(PRINTING_COST))?;
        self.copied(text)
    }

    /// A text that a function made of parts of others, counted.
    pub(crate) fn copied(&mut self, text: Vec<u8>) -> Result<Value<'a>> {
        self.meter.copied(text.len())?;
        Ok(Value::Text(Text::from(text)))
    }

    /// A text that a function made, counted.
    pub(crate) fn made(&mut self, text: Vec<u8>) -> Result<Value<'a>> {
        self.meter.text(text.len())?;
        Ok(Value::Text(Text::from(text)))
    }
}

/// Of the texts among some values.
fn bytes(values: &[Value<'_>]) -> usize {
    let lengths = values.iter().map(|value| match value {
        Value::Text(text) | Value::Number(text) => text.len(),
        _ => 0,
    });
    lengths.fold(0, usize::saturating_add)
}

fn not<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    Ok(Value::Bool(!values.first().is_some_and(Value::truth)))
}

fn call_value<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let found = values.first().map_or("<nil>", Value::type_name);
    Err(Fault::new(format!("non-function of type {found}")))
}

fn eq<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let Some((first, others)) = values.split_first() else { return Ok(Value::Bool(false)) };
    if others.is_empty() {
        return Err(Fault::new("missing argument for comparison"));
    }
    for other in others {
        count_comparison(eval, first, other)?;
        if compare::equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn ne<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let [a, b] = values else { return Ok(Value::Absent) };
    count_comparison(eval, a, b)?;
    Ok(Value::Bool(!compare::equal(a, b)?))
}

/// Comparing two texts takes as long as the shorter one.
fn count_comparison<'a>(eval: &mut Eval<'a>, a: &Value<'a>, b: &Value<'a>) -> Result<()> {
    match (a, b) {
        (Value::Text(a) | Value::Number(a), Value::Text(b) | Value::Number(b)) => {
            eval.meter.read(a.len().min(b.len()))
        }
        _ => Ok(()),
    }
}

fn decide<'a>(
    eval: &mut Eval<'a>,
    values: &[Value<'a>],
    holds: impl FnOnce(Option<Ordering>) -> bool,
) -> Result<Value<'a>> {
    let [a, b] = values else { return Ok(Value::Absent) };
    count_comparison(eval, a, b)?;
    Ok(Value::Bool(holds(compare::order(a, b)?)))
}

fn len<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let length = match values.first() {
        Some(Value::Text(text) | Value::Number(text)) => text.len(),
        Some(Value::List(list)) => list.len(),
        Some(Value::Map(map)) => map.len(),
        Some(Value::AnyMap(map)) => map.len(),
        Some(Value::Channel(_)) => 0,
        Some(other) if !other.is_nil() => {
            return Err(Fault::new(format!("len of type {}", other.type_name())));
        }
        _ => return Err(Fault::new("len of nil pointer")),
    };
    Ok(Value::Int(int_of(length)))
}

fn index<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let Some((first, indices)) = values.split_first() else { return Ok(Value::Absent) };
    if matches!(first, Value::Absent | Value::Nil) {
        return Err(Fault::new("index of untyped nil"));
    }
    let mut item = first.clone();
    for index in indices {
        if let Value::Text(key) = index {
            eval.meter.read(key.len())?;
        }
        item = match &item {
            value if value.is_nil() => return Err(Fault::new("index of nil pointer")),
            Value::List(list) => {
                let at = position(index, list.len())?;
                list.get(at).cloned().ok_or_else(|| Fault::new("index out of range"))?
            }
            Value::Text(text) | Value::Number(text) => {
                let at = position(index, text.len())?;
                let byte = text.get(at).ok_or_else(|| Fault::new("index out of range"))?;
                Value::Byte(*byte)
            }
            Value::Map(map) => match index {
                Value::Text(key) => match map.get(key) {
                    Some(value) => value,
                    None if map.of() == MapOf::Text => Value::EMPTY,
                    None => Value::Nil,
                },
                other if other.is_nil() => {
                    return Err(Fault::new("value is nil; should be of type string"));
                }
                other => {
                    let found = other.type_name();
                    return Err(Fault::new(format!("value has type {found}; should be string")));
                }
            },
            Value::AnyMap(map) => match Key::of(index.clone()) {
                Some(key) => map.get(&key).cloned().unwrap_or(Value::Nil),
                None if matches!(index.kind_name(), "map" | "slice") => {
                    return Err(Fault::new("a list or map is no key"));
                }
                None => Value::Nil,
            },
            other => {
                let of = other.type_name();
                return Err(Fault::new(format!("can't index item of type {of}")));
            }
        };
    }
    Ok(item)
}

/// An index as a position from 0 to `length`.
fn position(index: &Value<'_>, length: usize) -> Result<usize> {
    let number = match index.unnamed() {
        Value::Int(n) | Value::Int64(n) => usize::try_from(n).ok(),
        Value::Byte(n) => Some(n.into()),
        Value::Uint64(n) => usize::try_from(n).ok(),
        other if other.is_nil() => return Err(Fault::new("cannot index slice/array with nil")),
        other => {
            let found = other.type_name();
            return Err(Fault::new(format!("cannot index slice/array with type {found}")));
        }
    };
    number.filter(|n| *n <= length).ok_or_else(|| Fault::new("index out of range"))
}

fn slice<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let Some((item, indices)) = values.split_first() else { return Ok(Value::Absent) };
    let length = match item {
        Value::Text(text) | Value::Number(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Absent | Value::Nil => return Err(Fault::new("slice of untyped nil")),
        other => {
            return Err(Fault::new(format!("can't slice item of type {}", other.type_name())));
        }
    };
    if indices.len() > 3 {
        return Err(Fault::new(format!("too many slice indexes: {}", indices.len())));
    }
    if indices.len() == 3 && !matches!(item, Value::List(_)) {
        return Err(Fault::new("cannot 3-index slice a string"));
    }
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indices) {
        *bound = position(index, length)?;
    }
    let [from, to, cap] = bounds;
    if from > to || to > cap {
        return Err(Fault::new("invalid slice index: the end is before the start"));
    }
    let part = |text: &[u8]| text.get(from..to).unwrap_or_default().to_vec();
    match item {
        Value::Text(text) => {
            let text = part(text);
            eval.made(text)
        }
        Value::Number(text) => Ok(Value::Number(part(text).into())),
        Value::List(list) => {
            eval.meter.elements(to - from)?;
            let items = list.get(from..to).unwrap_or_default().to_vec();
            Ok(Value::List(List::new(list.of, items)))
        }
        _ => Ok(Value::Absent),
    }
}

fn escaped<'a>(
    eval: &mut Eval<'a>,
    values: &[Value<'a>],
    escape: fn(&[u8]) -> Vec<u8>,
) -> Result<Value<'a>> {
    // Escapes are at most six times as long as what they stand for.
    let max = eval.meter.text_bytes_max();
    let text = match values {
        [Value::Text(text)] => text.to_vec(),
        _ => print::sprint_shown(values, max)?,
    };
    eval.meter.text(text.len())?;
    let text = escape(&text);
    eval.made(text)
}

fn html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'\0' => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            other => out.push(*other),
        }
    }
    out
}

fn js(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.extend_from_slice(b"\\\\"),
                '\'' => out.extend_from_slice(b"\\'"),
                '"' => out.extend_from_slice(b"\\\""),
                '<' | '>' | '&' | '=' | '\0'..=' ' if c != ' ' => {
                    out.extend_from_slice(format!("\\u{:04X}", u32::from(c)).as_bytes());
                }
                c if c.is_ascii() || is_printable(c) => {
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                c => out.extend_from_slice(format!("\\u{:04X}", u32::from(c)).as_bytes()),
            }
        }
        out.extend_from_slice(chunk.invalid());
    }
    out
}

fn urlquery(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(*byte),
            b' ' => out.push(b'+'),
            other => out.extend_from_slice(format!("%{other:02X}").as_bytes()),
        }
    }
    out
}
