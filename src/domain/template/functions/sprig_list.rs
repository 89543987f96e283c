//! Sprig: lists. Those named `must…` behave the same: a wrong argument is an error in both.

use std::collections::BTreeSet;

use super::sprig_value::{same, shown, strings};
use super::text::joined;
use super::{Arguments, Code, Function, Param, call, many};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::value::{List, Of, Value};

use Param::{Any, Int, Text as Words};

const APPEND: Code = |e, v| Ok(List::any([items(e, &v.value_at(0))?, &[v.value_at(1)]].concat()));
const CHUNK: Code = |e, v| {
    let list = v.value_at(1);
    let items = items(e, &list)?;
    let size = usize::try_from(v.int_at(0)).ok().filter(|size| *size > 0);
    let size = size.ok_or_else(|| Fault::new("chunks of less than one element"))?;
    e.meter.maps(items.len().div_ceil(size))?;
    let chunks = items.chunks(size).map(|chunk| List::any(chunk.to_vec()));
    Ok(Value::List(List::new(Of::Lists, chunks.collect())))
};
const COMPACT: Code = |e, v| {
    let list = v.value_at(0);
    let items = items(e, &list)?.iter().filter(|item| item.truth());
    Ok(List::any(items.cloned().collect()))
};
const FIRST: Code = |_, v| match v.value_at(0) {
    Value::List(items) => Ok(items.first().cloned().unwrap_or(Value::Nil)),
    other => Err(not_a_list(&other)),
};
const HAS: Code = |e, v| match v.value_at(1) {
    list if list.is_nothing() => Ok(Value::Bool(false)),
    list => {
        let Value::List(items) = &list else {
            return Err(not_a_list(&list));
        };
        Ok(Value::Bool(holds(e, items, &v.value_at(0))?))
    }
};
const INITIAL: Code = |e, v| {
    let list = v.value_at(0);
    let items = items(e, &list)?.split_last();
    Ok(items.map_or_else(|| List::nil(Of::Any), |(_, rest)| List::any(rest.to_vec())))
};
const LAST: Code = |_, v| match v.value_at(0) {
    Value::List(items) => Ok(items.last().cloned().unwrap_or(Value::Nil)),
    other => Err(not_a_list(&other)),
};
const LIST: Code = |e, v| {
    e.meter.elements(v.len())?;
    Ok(List::any(v.to_vec()))
};
const PREPEND: Code = |e, v| Ok(List::any([&[v.value_at(1)], items(e, &v.value_at(0))?].concat()));
const REST: Code = |e, v| {
    let list = v.value_at(0);
    let items = items(e, &list)?.split_first();
    Ok(items.map_or_else(|| List::nil(Of::Any), |(_, rest)| List::any(rest.to_vec())))
};
const REVERSE: Code = |e, v| {
    let list = v.value_at(0);
    Ok(List::any(items(e, &list)?.iter().rev().cloned().collect()))
};
const UNIQ: Code = |e, v| {
    let list = v.value_at(0);
    let (mut texts, mut ints, mut others) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let mut out: Vec<Value<'_>> = Vec::new();
    for item in items(e, &list)? {
        // Finding one among the others takes some comparisons, and a place in a tree.
        e.meter.elements(1)?;
        let is_new = match item {
            Value::Int(n) => ints.insert(*n),
            Value::Text(text) => {
                e.meter.read(text.len())?;
                texts.insert(text)
            }
            other if holds(e, &others, other)? => false,
            other => {
                others.push(other.clone());
                true
            }
        };
        if is_new {
            out.push(item.clone());
        }
    }
    Ok(List::any(out))
};
const WITHOUT: Code = |e, v| {
    let list = v.value_at(0);
    let mut out = Vec::new();
    for item in items(e, &list)? {
        if !holds(e, v.from(1), item)? {
            out.push(item.clone());
        }
    }
    Ok(List::any(out))
};

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call("sprig_append", &[Any, Any], "the list and one more element", APPEND),
    call("sprig_chunk", &[Int, Any], "the list in pieces of so many elements", CHUNK),
    call("sprig_compact", &[Any], "the elements that are not empty", COMPACT),
    many("sprig_concat", &[Any], "the lists as one", |e, v| {
        let mut out = Vec::new();
        for list in v {
            out.extend_from_slice(items(e, list)?);
        }
        Ok(if out.is_empty() { List::nil(Of::Any) } else { List::any(out) })
    }),
    call("sprig_first", &[Any], "the first element, nil without one", FIRST),
    call("sprig_has", &[Any, Any], "whether the value is in the list", HAS),
    call("sprig_initial", &[Any], "all elements but the last", INITIAL),
    call("sprig_join", &[Words, Any], "the elements as one text, without nil", |e, v| {
        let list = v.value_at(1);
        let items = if let Value::List(list) = &list { list } else { std::slice::from_ref(&list) };
        let (separator, mut out, mut is_first) = (v.text_at(0), Vec::new(), true);
        for item in items.iter().filter(|item| !item.is_nothing()) {
            e.meter.step()?;
            let text = shown(e, item)?;
            e.meter.fits_text(out.len() + text.len() + separator.len())?;
            if !std::mem::take(&mut is_first) {
                out.extend_from_slice(separator);
            }
            out.extend_from_slice(&text);
        }
        e.copied(out)
    }),
    call("sprig_last", &[Any], "the last element, nil without one", LAST),
    many("sprig_list", &[Any], "a list of the arguments", LIST),
    call("sprig_mustAppend", &[Any, Any], "the list and one more element", APPEND),
    call("sprig_mustChunk", &[Int, Any], "the list in pieces of so many elements", CHUNK),
    call("sprig_mustCompact", &[Any], "the elements that are not empty", COMPACT),
    call("sprig_mustFirst", &[Any], "the first element, nil without one", FIRST),
    call("sprig_mustHas", &[Any, Any], "whether the value is in the list", HAS),
    call("sprig_mustInitial", &[Any], "all elements but the last", INITIAL),
    call("sprig_mustLast", &[Any], "the last element, nil without one", LAST),
    call("sprig_mustPrepend", &[Any, Any], "one more element before the list", PREPEND),
    call("sprig_mustPush", &[Any, Any], "the list and one more element", APPEND),
    call("sprig_mustRest", &[Any], "all elements but the first", REST),
    call("sprig_mustReverse", &[Any], "the elements from the last to the first", REVERSE),
    many("sprig_mustSlice", &[Any, Any], "the elements from one index to before another", slice),
    call("sprig_mustUniq", &[Any], "the elements, each once", UNIQ),
    many(
        "sprig_mustWithout",
        &[Any, Any],
        "the elements that are not among the other arguments",
        WITHOUT,
    ),
    call("sprig_prepend", &[Any, Any], "one more element before the list", PREPEND),
    call("sprig_push", &[Any, Any], "the list and one more element", APPEND),
    call("sprig_rest", &[Any], "all elements but the first", REST),
    call("sprig_reverse", &[Any], "the elements from the last to the first", REVERSE),
    many("sprig_seq", &[Int], "the integers from one to another, as text", seq),
    many("sprig_slice", &[Any, Any], "the elements from one index to before another", slice),
    call("sprig_sortAlpha", &[Any], "the elements as texts, sorted", |e, v| {
        let list = v.value_at(0);
        let mut texts = match list {
            Value::List(_) => strings(e, &list)?,
            other => vec![shown(e, &other)?],
        };
        let comparisons = texts.len().checked_ilog2().unwrap_or(0);
        let bytes = texts.iter().map(|text| text.len()).sum::<usize>();
        e.meter.look(texts.len().saturating_mul(comparisons as usize))?;
        e.meter.copy(bytes.saturating_mul(comparisons as usize))?;
        texts.sort_unstable();
        Ok(List::texts(texts))
    }),
    many("sprig_tuple", &[Any], "a list of the arguments", LIST),
    call("sprig_uniq", &[Any], "the elements, each once", UNIQ),
    call("sprig_until", &[Int], "the integers from 0 to before another", |e, v| {
        let end = v.int_at(0);
        ints(e, 0, end, end.signum().max(-1))
    }),
    call(
        "sprig_untilStep",
        &[Int, Int, Int],
        "the integers from one to before another, by a step",
        |e, v| ints(e, v.int_at(0), v.int_at(1), v.int_at(2)),
    ),
    many(
        "sprig_without",
        &[Any, Any],
        "the elements that are not among the other arguments",
        WITHOUT,
    ),
];

fn items<'v, 'a>(eval: &mut Eval<'a>, value: &'v Value<'a>) -> Result<&'v [Value<'a>]> {
    match value {
        Value::List(list) => {
            eval.meter.copies(list.len() + 1)?;
            Ok(list)
        }
        other => Err(not_a_list(other)),
    }
}

fn not_a_list(value: &Value<'_>) -> Fault {
    Fault::new(format!("want a list, not a {}", value.type_name()))
}

fn holds<'a>(eval: &mut Eval<'a>, items: &[Value<'a>], wanted: &Value<'a>) -> Result<bool> {
    for (i, item) in items.iter().enumerate() {
        if same(eval, item, wanted, 0)? {
            eval.meter.look(i)?;
            return Ok(true);
        }
    }
    eval.meter.look(items.len())?;
    Ok(false)
}

fn slice<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let Value::List(list) = values.value_at(0) else {
        return Err(not_a_list(&values.value_at(0)));
    };
    if list.is_empty() {
        return Ok(Value::Nil);
    }
    let index = |i: usize, usual: usize| match values.get(i) {
        Some(value) => usize::try_from(super::sprig_number::int(value)).ok(),
        None => Some(usual),
    };
    let part = index(1, 0).zip(index(2, list.len())).and_then(|(from, to)| list.get(from..to));
    let part = part.ok_or_else(|| Fault::new("the indices are not within the list"))?;
    eval.meter.copies(part.len())?;
    Ok(Value::List(List::new(list.of, part.to_vec())))
}

/// From `start` to before `end`; empty when the step leads away.
fn steps(eval: &mut Eval<'_>, start: i64, end: i64, step: i64) -> Result<Vec<i64>> {
    let leads_there = if end < start { step < 0 } else { step > 0 };
    if !leads_there {
        return Ok(Vec::new());
    }
    let count = start.abs_diff(end).div_ceil(step.unsigned_abs());
    eval.meter.elements(usize::try_from(count).unwrap_or(usize::MAX))?;
    let mut out = Vec::new();
    let mut next = Some(start);
    while let Some(n) = next.filter(|n| if step > 0 { *n < end } else { *n > end }) {
        out.push(n);
        next = n.checked_add(step);
    }
    Ok(out)
}

fn ints<'a>(eval: &mut Eval<'a>, start: i64, end: i64, step: i64) -> Result<Value<'a>> {
    let numbers = steps(eval, start, end, step)?;
    Ok(Value::List(List::new(Of::Int, numbers.into_iter().map(Value::Int).collect())))
}

/// The end is included; with three arguments the step is the second.
fn seq<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let int = |i: usize| values.int_at(i);
    let towards = |start: i64, end: i64| if end < start { -1 } else { 1 };
    let (start, step, end) = match values.len() {
        1 => (1, towards(1, int(0)), int(0)),
        2 => (int(0), towards(int(0), int(1)), int(1)),
        3 => (int(0), int(1), int(2)),
        _ => return Ok(Value::EMPTY),
    };
    if end < start && step > 0 {
        return Ok(Value::EMPTY);
    }
    let numbers = steps(eval, start, end.saturating_add(towards(start, end)), step)?;
    let numbers = numbers.into_iter().map(|n| n.to_string().into_bytes());
    joined(eval, b" ", numbers)
}
