//! Numbers: parsing, consul-template's arithmetic, and the methods of a number of a secret.

use std::cmp::Ordering;

use super::{Arguments, Function, Param, call, many};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::go::literal;
use crate::domain::template::value::{Countdown, Value};

use Param::Any;

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call("add", &[Any, Any], "the sum", |_, v| {
        arithmetic(v, "add", i64::wrapping_add, u64::wrapping_add, |a, b| a + b)
    }),
    call("divide", &[Any, Any], "the second argument divided by the first", divide),
    many("loop", &[Any], "the integers from 0, or from the first argument, up to the last", count),
    call("maximum", &[Any, Any], "the larger of two numbers", |_, v| {
        choose(v, "maximum", Ordering::Greater)
    }),
    call("minimum", &[Any, Any], "the smaller of two numbers", |_, v| {
        choose(v, "minimum", Ordering::Less)
    }),
    call("modulo", &[Any, Any], "the rest of the second argument divided by the first", modulo),
    call("multiply", &[Any, Any], "the product", |_, v| {
        arithmetic(v, "multiply", i64::wrapping_mul, u64::wrapping_mul, |a, b| a * b)
    }),
    call("parseBool", &[Param::Text], "a boolean of a text, false when it is empty", parse_bool),
    call("parseFloat", &[Param::Text], "a float of a text, 0 when it is empty", parse_float),
    call("parseInt", &[Param::Text], "an integer of a text, 0 when it is empty", parse_int),
    call(
        "parseUint",
        &[Param::Text],
        "an unsigned integer of a text, 0 when it is empty",
        parse_uint,
    ),
    call("subtract", &[Any, Any], "the second argument minus the first", |_, v| {
        arithmetic(v, "subtract", i64::wrapping_sub, u64::wrapping_sub, |a, b| a - b)
    }),
];

/// Of `json.Number`. Sorted by name.
pub(super) const METHODS: &[Function] = &[
    call("Float64", &[], "the number as a float", |_, v| {
        let number = ascii(v.text_at(0)).and_then(literal::parse_float).map(Value::Float);
        number.ok_or_else(|| Fault::new("the number is no float64"))
    }),
    call("Int64", &[], "the number as an integer", |_, v| {
        let number = decimal(v.text_at(0)).map(Value::Int64);
        number.ok_or_else(|| Fault::new("the number is no int64"))
    }),
    call("String", &[], "the text of the number", |_, v| Ok(Value::text(v.text_at(0)))),
];

fn ascii(text: &[u8]) -> Option<&str> {
    str::from_utf8(text).ok().filter(|text| text.is_ascii())
}

/// `strconv.ParseInt(text, 10, 64)`
fn decimal(text: &[u8]) -> Option<i64> {
    ascii(text)?.parse().ok()
}

fn parse_bool<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    match values.text_at(0) {
        b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Ok(Value::Bool(true)),
        b"" | b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Ok(Value::Bool(false)),
        _ => Err(Fault::new("the text is no boolean, want true or false")),
    }
}

fn parse_float<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let text = values.text_at(0);
    if text.is_empty() {
        return Ok(Value::Float(0.0));
    }
    let number = ascii(text).and_then(literal::parse_float).map(Value::Float);
    number.ok_or_else(|| Fault::new("the text is no float"))
}

fn parse_int<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let text = values.text_at(0);
    if text.is_empty() {
        return Ok(Value::Int64(0));
    }
    decimal(text).map(Value::Int64).ok_or_else(|| Fault::new("the text is no integer"))
}

fn parse_uint<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let text = values.text_at(0);
    if text.is_empty() {
        return Ok(Value::Uint64(0));
    }
    let number =
        ascii(text).filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok());
    number.map(Value::Uint64).ok_or_else(|| Fault::new("the text is no unsigned integer"))
}

/// `loop` counts; in Go it is a channel, so it can be ranged over once.
fn count<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let (start, end) = match values {
        [end] => (0, whole(end)?),
        [start, end] => (whole(start)?, whole(end)?),
        _ => return Err(Fault::new("wrong number of arguments, want 1 or 2")),
    };
    Ok(Value::Channel(std::rc::Rc::new(Countdown { next: start.into(), end })))
}

fn whole(value: &Value<'_>) -> Result<i64> {
    let number = match value.unnamed() {
        Value::Int(n) | Value::Int64(n) => Some(n),
        Value::Byte(n) => Some(n.into()),
        Value::Uint64(n) => i64::try_from(n).ok(),
        Value::Text(text) | Value::Number(text) => decimal(&text),
        _ => None,
    };
    number.ok_or_else(|| Fault::new("want integers, or integers in texts"))
}

/// Two numbers on common ground.
enum Pair {
    Floats(f64, f64),
    Ints(i64, i64),
    Uints(u64, u64),
}

/// The operands in the order of the operation: the last argument comes first.
#[expect(
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "Go's conversions between number types"
)]
fn pair(values: &[Value<'_>], name: &str) -> Result<Pair> {
    let [b, a] = values else { return Ok(Pair::Ints(0, 0)) };
    Ok(match (number(a, name)?, number(b, name)?) {
        (Number::Uint(a), Number::Uint(b)) => Pair::Uints(a, b),
        (Number::Int(a), Number::Int(b)) => Pair::Ints(a, b),
        (Number::Int(a), Number::Uint(b)) => Pair::Ints(a, b as i64),
        (Number::Uint(a), Number::Int(b)) => Pair::Ints(a as i64, b),
        (Number::Float(a), b) => Pair::Floats(a, b.float()),
        (Number::Int(a), Number::Float(b)) => Pair::Floats(a as f64, b),
        (Number::Uint(a), Number::Float(b)) => Pair::Floats(a as f64, b),
    })
}

enum Number {
    Float(f64),
    Int(i64),
    Uint(u64),
}

impl Number {
    #[expect(clippy::cast_precision_loss, reason = "Go's conversion")]
    fn float(&self) -> f64 {
        match self {
            Self::Float(n) => *n,
            Self::Int(n) => *n as f64,
            Self::Uint(n) => *n as f64,
        }
    }
}

fn number(value: &Value<'_>, name: &str) -> Result<Number> {
    match value.unnamed() {
        Value::Int(n) | Value::Int64(n) => Ok(Number::Int(n)),
        Value::Byte(n) => Ok(Number::Uint(n.into())),
        Value::Uint64(n) => Ok(Number::Uint(n)),
        Value::Float(n) => Ok(Number::Float(n)),
        other => {
            let found = other.type_name();
            Err(Fault::new(format!("{name} wants numbers, not a {found}")))
        }
    }
}

fn arithmetic<'a>(
    values: &[Value<'a>],
    name: &str,
    ints: fn(i64, i64) -> i64,
    uints: fn(u64, u64) -> u64,
    floats: fn(f64, f64) -> f64,
) -> Result<Value<'a>> {
    Ok(match pair(values, name)? {
        Pair::Floats(a, b) => Value::Float(floats(a, b)),
        Pair::Ints(a, b) => Value::Int64(ints(a, b)),
        Pair::Uints(a, b) => Value::Uint64(uints(a, b)),
    })
}

fn divide<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    match pair(values, "divide")? {
        Pair::Ints(_, 0) | Pair::Uints(_, 0) => Err(Fault::new("division by zero")),
        _ => arithmetic(values, "divide", i64::wrapping_div, u64::wrapping_div, |a, b| a / b),
    }
}

fn modulo<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    match pair(values, "modulo")? {
        Pair::Ints(_, 0) | Pair::Uints(_, 0) => Err(Fault::new("division by zero")),
        Pair::Floats(..) => Err(Fault::new("modulo wants integers, not floats")),
        _ => arithmetic(values, "modulo", i64::wrapping_rem, u64::wrapping_rem, |a, _| a),
    }
}

/// The operand that wins keeps its kind, in its widest type.
fn choose<'a>(values: &[Value<'a>], name: &str, wins: Ordering) -> Result<Value<'a>> {
    let (b, a) = (values.value_at(0), values.value_at(1));
    let order = match pair(values, name)? {
        Pair::Floats(a, b) => a.partial_cmp(&b),
        Pair::Ints(a, b) => Some(a.cmp(&b)),
        Pair::Uints(a, b) => Some(a.cmp(&b)),
    };
    Ok(match if order == Some(wins) { a } else { b } {
        Value::Int(n) => Value::Int64(n),
        Value::Byte(n) => Value::Uint64(n.into()),
        other => other.unnamed(),
    })
}
