//! `eq`, `lt` and their kin: Go compares basic kinds only, and converts none.

use std::cmp::Ordering;

use crate::domain::template::error::{Fault, Result};
use crate::domain::template::value::Value;

/// The kinds that Go's comparisons tell apart.
enum Basic<'v> {
    Bool(bool),
    Complex(f64, f64),
    Float(f64),
    Int(i64),
    Text(&'v [u8]),
    Uint(u64),
}

fn basic<'v>(value: &'v Value<'_>) -> Option<Basic<'v>> {
    Some(match value {
        Value::Bool(truth) => Basic::Bool(*truth),
        Value::Int(n) | Value::Int64(n) => Basic::Int(*n),
        Value::Named(named) => Basic::Int(named.number()?),
        Value::Byte(n) => Basic::Uint((*n).into()),
        Value::Uint64(n) => Basic::Uint(*n),
        Value::Float(n) => Basic::Float(*n),
        Value::Complex(re, im) => Basic::Complex(*re, *im),
        Value::Text(text) | Value::Number(text) => Basic::Text(text),
        _ => return None,
    })
}

/// Whether two values are equal, as `eq` sees it.
#[expect(clippy::float_cmp, reason = "Go's == on floats")]
pub(crate) fn equal(a: &Value<'_>, b: &Value<'_>) -> Result<bool> {
    match (basic(a), basic(b)) {
        (Some(Basic::Bool(a)), Some(Basic::Bool(b))) => Ok(a == b),
        (Some(Basic::Complex(ar, ai)), Some(Basic::Complex(br, bi))) => Ok(ar == br && ai == bi),
        (Some(Basic::Float(a)), Some(Basic::Float(b))) => Ok(a == b),
        (Some(Basic::Int(a)), Some(Basic::Int(b))) => Ok(a == b),
        (Some(Basic::Text(a)), Some(Basic::Text(b))) => Ok(a == b),
        (Some(Basic::Uint(a)), Some(Basic::Uint(b))) => Ok(a == b),
        (Some(Basic::Int(a)), Some(Basic::Uint(b)))
        | (Some(Basic::Uint(b)), Some(Basic::Int(a))) => Ok(u64::try_from(a) == Ok(b)),
        (None, None) => equal_others(a, b),
        _ if a.is_nothing() || b.is_nothing() => Ok(false),
        _ => Err(Fault::new("incompatible types for comparison")),
    }
}

fn equal_others(a: &Value<'_>, b: &Value<'_>) -> Result<bool> {
    if !a.is_nothing() && !b.is_nothing() && a.kind_name() != b.kind_name() {
        return Err(Fault::new("incompatible types for comparison"));
    }
    if a.is_nil() || b.is_nil() {
        return Ok(a.is_nil() && b.is_nil());
    }
    match (a, b) {
        (Value::Map(_) | Value::AnyMap(_) | Value::List(_) | Value::Record(_), _)
        | (_, Value::Map(_) | Value::AnyMap(_) | Value::List(_) | Value::Record(_)) => {
            Err(Fault::new("non-comparable type, only basic kinds can be compared"))
        }
        (Value::NilPointer(_), Value::NilPointer(_)) => Ok(true),
        (Value::Secret(a), Value::Secret(b)) => Ok(std::ptr::eq(a.reading, b.reading)),
        (Value::Channel(a), Value::Channel(b)) => Ok(std::rc::Rc::ptr_eq(a, b)),
        (Value::Auth(a), Value::Auth(b)) => Ok(std::ptr::eq(*a, *b)),
        (Value::Wrap(a), Value::Wrap(b)) => Ok(std::ptr::eq(*a, *b)),
        (Value::Named(a), Value::Named(b)) => Ok(a.is_same(b)),
        (Value::Scratch, Value::Scratch) => Ok(true),
        _ => Ok(false),
    }
}

/// The order of two values, as `lt` sees it; `None` when one is not a number.
pub(crate) fn order(a: &Value<'_>, b: &Value<'_>) -> Result<Option<Ordering>> {
    let (Some(a), Some(b)) = (basic(a), basic(b)) else {
        return Err(Fault::new("invalid type for comparison"));
    };
    match (a, b) {
        (Basic::Float(a), Basic::Float(b)) => Ok(a.partial_cmp(&b)),
        (Basic::Int(a), Basic::Int(b)) => Ok(Some(a.cmp(&b))),
        (Basic::Text(a), Basic::Text(b)) => Ok(Some(a.cmp(b))),
        (Basic::Uint(a), Basic::Uint(b)) => Ok(Some(a.cmp(&b))),
        (Basic::Int(a), Basic::Uint(b)) => Ok(Some(i128::from(a).cmp(&i128::from(b)))),
        (Basic::Uint(a), Basic::Int(b)) => Ok(Some(i128::from(a).cmp(&i128::from(b)))),
        (Basic::Bool(_), Basic::Bool(_)) | (Basic::Complex(..), Basic::Complex(..)) => {
            Err(Fault::new("invalid type for comparison"))
        }
        _ => Err(Fault::new("incompatible types for comparison")),
    }
}
