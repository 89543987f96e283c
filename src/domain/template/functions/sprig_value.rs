//! Sprig: defaults, kinds of values, values as text.

use std::rc::Rc;

use super::text::joined;
use super::{Arguments, Code, Function, Param, call, many};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::builtins::PRINTING_COST;
use crate::domain::template::go::eval::Eval;
use crate::domain::template::go::{print, quote};
use crate::domain::template::named::Named;
use crate::domain::template::value::{Entries, List, Map, Text, Value};

use super::collection::NESTING_MAX;
use Param::{Any, Bool, Text as Words};

const COPY: Code = |e, v| match v.value_at(0) {
    value if value.is_nothing() => Err(Fault::new("nil cannot be copied")),
    value => copy(e, &value, 0),
};

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    many("sprig_all", &[Any], "whether no argument is empty", |_, v| {
        Ok(Value::Bool(v.iter().all(Value::truth)))
    }),
    many("sprig_any", &[Any], "whether one argument is not empty", |_, v| {
        Ok(Value::Bool(v.iter().any(Value::truth)))
    }),
    many("sprig_cat", &[Any], "the arguments as text with blanks between, without nil", |e, v| {
        let texts = texts(e, v)?;
        joined(e, b" ", texts.into_iter())
    }),
    many("sprig_coalesce", &[Any], "the first argument that is not empty", |_, v| {
        Ok(v.iter().find(|value| value.truth()).cloned().unwrap_or(Value::Nil))
    }),
    call("sprig_deepCopy", &[Any], "a copy that shares nothing", COPY),
    call(
        "sprig_deepEqual",
        &[Any, Any],
        "whether two values are equal all the way down",
        |e, v| Ok(Value::Bool(same(e, &v.value_at(0), &v.value_at(1), 0)?)),
    ),
    many(
        "sprig_default",
        &[Any, Any],
        "the last argument, or the first when it is empty",
        |_, v| Ok(v.get(1).filter(|value| value.truth()).cloned().unwrap_or_else(|| v.value_at(0))),
    ),
    call("sprig_empty", &[Any], "whether the argument is empty", |_, v| {
        Ok(Value::Bool(!v.value_at(0).truth()))
    }),
    call("sprig_fail", &[Words], "ends the render with a message", |e, v| {
        Err(Fault::new(format!("the template gave up{}", e.literal(v.text_at(0)))))
    }),
    call("sprig_hello", &[], "Hello!", |_, _| Ok(Value::text("Hello!"))),
    call("sprig_kindIs", &[Words, Any], "whether the value is of this kind", |_, v| {
        Ok(Value::Bool(v.value_at(1).kind_name().as_bytes() == v.text_at(0)))
    }),
    call("sprig_kindOf", &[Any], "Go's name of the value's kind", |_, v| {
        Ok(Value::text(v.value_at(0).kind_name()))
    }),
    call("sprig_mustDeepCopy", &[Any], "a copy that shares nothing", COPY),
    many("sprig_quote", &[Any], "the arguments in double quotes, without nil", |e, v| {
        let texts = texts(e, v)?;
        let bytes = texts.iter().map(|text| text.len()).fold(0, usize::saturating_add);
        e.meter.read(bytes.saturating_mul(QUOTING_COST))?;
        joined(e, b" ", texts.into_iter().map(|text| quote::quote(&text, false).into_bytes()))
    }),
    many("sprig_squote", &[Any], "the arguments in single quotes, without nil", |e, v| {
        let texts = texts(e, v)?;
        joined(e, b" ", texts.into_iter().map(|text| [b"'", &*text, b"'"].concat()))
    }),
    call(
        "sprig_ternary",
        &[Any, Any, Bool],
        "the first argument when the last is true, else the second",
        |_, v| Ok(v.value_at(usize::from(!v.value_at(2).truth()))),
    ),
    call("sprig_toString", &[Any], "the value as text", |e, v| {
        Ok(Value::Text(shown(e, &v.value_at(0))?))
    }),
    call("sprig_toStrings", &[Any], "a list of the values as texts, without nil", |e, v| {
        let texts = strings(e, &v.value_at(0))?;
        Ok(List::texts(texts))
    }),
    call("sprig_typeIs", &[Words, Any], "whether the value is of this type", |_, v| {
        Ok(Value::Bool(v.value_at(1).type_name().as_bytes() == v.text_at(0)))
    }),
    call(
        "sprig_typeIsLike",
        &[Words, Any],
        "whether the value is of this type or points to one",
        |_, v| {
            let (value, wanted) = (v.value_at(1), v.text_at(0));
            let name = value.type_name();
            let pointed = name.strip_prefix('*').unwrap_or(name);
            Ok(Value::Bool(name.as_bytes() == wanted || pointed.as_bytes() == wanted))
        },
    ),
    call("sprig_typeOf", &[Any], "Go's name of the value's type", |_, v| {
        Ok(Value::text(v.value_at(0).type_name()))
    }),
];

/// Quoting a text takes so many times as long as reading through it.
const QUOTING_COST: usize = 4;

/// A value as `%v` prints it.
pub(super) fn shown<'a>(eval: &mut Eval<'a>, value: &Value<'a>) -> Result<Text<'a>> {
    if let Value::Text(text) | Value::Number(text) = value {
        return Ok(text.clone());
    }
    let text = print::sprint(std::slice::from_ref(value), eval.meter.text_bytes_max())?;
    eval.meter.read(text.len().saturating_mul(PRINTING_COST))?;
    eval.meter.room(text.len())?;
    Ok(Text::from(text))
}

fn texts<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Vec<Text<'a>>> {
    let values = values.iter().filter(|value| !value.is_nothing());
    let shown = values.map(|value| {
        eval.meter.piece()?;
        shown(eval, value)
    });
    shown.collect()
}

/// A list as texts; anything else is a list of one.
pub(super) fn strings<'a>(eval: &mut Eval<'a>, value: &Value<'a>) -> Result<Vec<Text<'a>>> {
    match value {
        Value::List(list) => texts(eval, list),
        other => texts(eval, std::slice::from_ref(other)),
    }
}

fn copy<'a>(eval: &mut Eval<'a>, value: &Value<'a>, depth: usize) -> Result<Value<'a>> {
    if depth > NESTING_MAX {
        return Err(Fault::new("a value nested too deeply to copy"));
    }
    match value {
        Value::Map(map) if map.is_nil() => Ok(Value::Map(Map::nil(map.of()))),
        // Sprig copies no fields that a package keeps to itself.
        Value::Named(Named::Version(_, holding)) => {
            Ok(Value::Named(Named::Version(Rc::default(), *holding)))
        }
        Value::List(list) if list.is_nil => Ok(List::nil(list.of)),
        Value::List(list) => {
            eval.meter.elements(list.len())?;
            let items = list.iter().map(|item| copy(eval, item, depth + 1));
            Ok(Value::List(List::new(list.of, items.collect::<Result<_>>()?)))
        }
        Value::Map(map) => {
            eval.meter.maps(1)?;
            eval.meter.elements(map.len())?;
            let entries = map.entries().into_iter();
            let entries = entries.map(|(key, item)| Ok((key, copy(eval, &item, depth + 1)?)));
            Ok(Value::Map(Map::new(map.of(), entries.collect::<Result<Entries<'a>>>()?)))
        }
        other => Ok(other.clone()),
    }
}

/// `reflect.DeepEqual`: types count. Whoever compares many values counts them.
#[expect(clippy::float_cmp, reason = "Go's == on floats")]
pub(super) fn same<'a>(
    eval: &mut Eval<'_>,
    a: &Value<'a>,
    b: &Value<'a>,
    depth: usize,
) -> Result<bool> {
    // What most lists hold, without a look at names of types.
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => return Ok(a == b),
        (Value::Float(a), Value::Float(b)) => return Ok(a == b),
        (Value::Text(a), Value::Text(b)) if a.len() != b.len() => return Ok(false),
        _ if std::mem::discriminant(a) != std::mem::discriminant(b) => {
            return Ok(a.is_nothing() && b.is_nothing());
        }
        _ => eval.meter.step()?,
    }
    if depth > NESTING_MAX {
        return Err(Fault::new("values nested too deeply to compare"));
    }
    if a.type_name() != b.type_name() {
        return Ok(false);
    }
    match (a, b) {
        (Value::List(a), Value::List(b)) => {
            if a.len() != b.len() || a.is_nil != b.is_nil {
                return Ok(false);
            }
            eval.meter.steps(a.len())?;
            for (a, b) in a.iter().zip(b.iter()) {
                if !same(eval, a, b, depth + 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Map(a), Value::Map(b)) => {
            if a.len() != b.len() || a.is_nil() != b.is_nil() {
                return Ok(false);
            }
            eval.meter.steps(a.len().saturating_mul(2))?;
            for ((a_key, a), (b_key, b)) in a.entries().into_iter().zip(b.entries()) {
                if *a_key != *b_key || !same(eval, &a, &b, depth + 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Text(a) | Value::Number(a), Value::Text(b) | Value::Number(b)) => {
            // Texts of different lengths are told apart at once.
            if a.len() != b.len() {
                return Ok(false);
            }
            eval.meter.copy(a.len())?;
            Ok(**a == **b)
        }
        (Value::Named(a), Value::Named(b)) => Ok(a.is_alike(b)),
        _ if a.is_nil() => Ok(b.is_nil()),
        _ => crate::domain::template::go::compare::equal(a, b).or(Ok(false)),
    }
}
