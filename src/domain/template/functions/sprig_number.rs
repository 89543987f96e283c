//! Sprig: arithmetic on whatever can be read as a number; what cannot is 0.

use std::num::IntErrorKind;

use super::sprig_value::shown;
use super::{Arguments, Code, Function, Param, call, many};
use crate::domain::template::decimal::Decimal;
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::go::literal;
use crate::domain::template::named::Named;
use crate::domain::template::value::Value;

use Param::{Any, Float, Int, Text as Words};

const MAX: Code = |_, v| fold(v, i64::max);

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    many("sprig_add", &[Any], "the sum of integers", |_, v| fold(v, i64::wrapping_add)),
    call("sprig_add1", &[Any], "one more", |_, v| {
        Ok(Value::Int64(int(&v.value_at(0)).wrapping_add(1)))
    }),
    call("sprig_add1f", &[Any], "one more, of a decimal", |e, v| {
        decimals(e, &[v.value_at(0), Value::Float(1.0)], '+')
    }),
    many("sprig_addf", &[Any], "the sum of decimals", |e, v| decimals(e, v, '+')),
    call("sprig_atoi", &[Words], "an integer of a text, 0 when it is none", |_, v| {
        let number = str::from_utf8(v.text_at(0)).unwrap_or_default().parse::<i64>();
        // Beside its error Go gives the number that comes closest.
        Ok(Value::Int(number.unwrap_or_else(|error| match error.kind() {
            IntErrorKind::PosOverflow => i64::MAX,
            IntErrorKind::NegOverflow => i64::MIN,
            _ => 0,
        })))
    }),
    many("sprig_biggest", &[Any, Any], "the largest integer", MAX),
    call("sprig_ceil", &[Any], "the next whole number up", |_, v| {
        Ok(Value::Float(float(&v.value_at(0)).ceil()))
    }),
    call("sprig_div", &[Any, Any], "the quotient of integers", |_, v| {
        divided(v, i64::wrapping_div)
    }),
    many("sprig_divf", &[Any, Any], "the quotient of decimals", |e, v| decimals(e, v, '/')),
    call("sprig_float64", &[Any], "the value as a float", |_, v| {
        Ok(Value::Float(float(&v.value_at(0))))
    }),
    call("sprig_floor", &[Any], "the next whole number down", |_, v| {
        Ok(Value::Float(float(&v.value_at(0)).floor()))
    }),
    call("sprig_int", &[Any], "the value as an integer", |_, v| {
        Ok(Value::Int(int(&v.value_at(0))))
    }),
    call("sprig_int64", &[Any], "the value as an integer", |_, v| {
        Ok(Value::Int64(int(&v.value_at(0))))
    }),
    many("sprig_max", &[Any, Any], "the largest integer", MAX),
    many("sprig_maxf", &[Any, Any], "the largest float", |_, v| folded(v, larger)),
    many("sprig_min", &[Any, Any], "the smallest integer", |_, v| fold(v, i64::min)),
    many("sprig_minf", &[Any, Any], "the smallest float", |_, v| folded(v, |a, b| -larger(-a, -b))),
    call("sprig_mod", &[Any, Any], "the rest of a division of integers", |_, v| {
        divided(v, i64::wrapping_rem)
    }),
    many("sprig_mul", &[Any, Any], "the product of integers", |_, v| fold(v, i64::wrapping_mul)),
    many("sprig_mulf", &[Any, Any], "the product of decimals", |e, v| decimals(e, v, '*')),
    many("sprig_round", &[Any, Int, Float], "the value with so many decimal places", round),
    call("sprig_sub", &[Any, Any], "the difference of integers", |_, v| fold(v, i64::wrapping_sub)),
    many("sprig_subf", &[Any, Any], "the difference of decimals", |e, v| decimals(e, v, '-')),
    call("sprig_toDecimal", &[Any], "an integer of octal digits, 0 when they are none", |e, v| {
        let text = shown(e, &v.value_at(0))?;
        let number = str::from_utf8(&text).ok().and_then(|text| i64::from_str_radix(text, 8).ok());
        Ok(Value::Int64(number.unwrap_or(0)))
    }),
];

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// As Go's `cast` does it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "Go's conversions between number types"
)]
pub(super) fn int(value: &Value<'_>) -> i64 {
    match value {
        Value::Int(n) | Value::Int64(n) => *n,
        Value::Named(Named::Month(n) | Named::Weekday(n)) => *n,
        Value::Byte(n) => (*n).into(),
        Value::Uint64(n) => *n as i64,
        // What does not fit is the lowest number, as on the machines that agents run on.
        Value::Float(n) if !(-TWO_TO_63..TWO_TO_63).contains(n) => i64::MIN,
        Value::Float(n) => *n as i64,
        Value::Bool(truth) => (*truth).into(),
        Value::Text(text) | Value::Number(text) => {
            let text = str::from_utf8(text).unwrap_or_default();
            let whole = text
                .split_once('.')
                .filter(|(_, zeros)| !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0'));
            literal::parse_int_any_base(whole.map_or(text, |(whole, _)| whole)).unwrap_or(0)
        }
        _ => 0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "Go's conversions between number types")]
fn float(value: &Value<'_>) -> f64 {
    match value {
        Value::Float(n) => *n,
        Value::Text(text) | Value::Number(text) => {
            str::from_utf8(text).ok().and_then(literal::parse_float).unwrap_or(0.0)
        }
        Value::Uint64(n) => *n as f64,
        other => int(other) as f64,
    }
}

fn fold<'a>(values: &[Value<'a>], combine: fn(i64, i64) -> i64) -> Result<Value<'a>> {
    Ok(Value::Int64(values.iter().map(int).reduce(combine).unwrap_or(0)))
}

/// Go's `math.Max`: infinity before NaN before any other number.
fn larger(a: f64, b: f64) -> f64 {
    if (a.is_nan() || b.is_nan()) && a != f64::INFINITY && b != f64::INFINITY {
        return f64::NAN;
    }
    if a == 0.0 && b == 0.0 && a.is_sign_negative() { b } else { a.max(b) }
}

fn folded<'a>(values: &[Value<'a>], combine: fn(f64, f64) -> f64) -> Result<Value<'a>> {
    Ok(Value::Float(values.iter().map(float).reduce(combine).unwrap_or(0.0)))
}

fn divided<'a>(values: &[Value<'a>], combine: fn(i64, i64) -> i64) -> Result<Value<'a>> {
    if int(&values.value_at(1)) == 0 {
        return Err(Fault::new("division by zero"));
    }
    fold(values, combine)
}

fn decimals<'a>(eval: &mut Eval<'a>, values: &[Value<'a>], operator: char) -> Result<Value<'a>> {
    if values.iter().any(|value| !float(value).is_finite()) {
        return Err(Fault::new("infinity, or no number at all, is no decimal"));
    }
    if operator == '/' && values.from(1).iter().any(|value| float(value) == 0.0) {
        return Err(Fault::new("division by zero"));
    }
    let mut numbers = values.iter().map(|value| Decimal::of(float(value)));
    let Some(mut result) = numbers.next() else { return Ok(Value::Float(0.0)) };
    for number in numbers {
        eval.meter.steps(result.cost(&number, operator))?;
        result = result.combined(&number, operator);
    }
    eval.meter.steps(result.length())?;
    Ok(Value::Float(result.float()))
}

fn round<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let border = if let Some(Value::Float(border)) = values.get(2) { *border } else { 0.5 };
    let places = i32::try_from(values.int_at(1).clamp(-400, 400)).unwrap_or(0);
    let power = 10.0_f64.powi(places);
    let digits = power * float(&values.value_at(0));
    let rounded = if digits.fract() >= border { digits.ceil() } else { digits.floor() };
    Ok(Value::Float(rounded / power))
}
