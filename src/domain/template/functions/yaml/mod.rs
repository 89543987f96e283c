//! YAML as Go's yaml.v2 writes and reads it.

mod emit;
mod order;
mod parse;
mod resolve;

use super::{Arguments, Function, Param, call};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::builtins::STEPS_PER_FLOAT;
use crate::domain::template::go::eval::Eval;
use crate::domain::template::go::{float, layout};
use crate::domain::template::named::Named;
use crate::domain::template::value::{Entries, Map, Value};
use emit::{Emitter, Place, Scalar};

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call(
        "parseYAML",
        &[Param::Text],
        "the first document of a YAML text; keys may be numbers and booleans",
        parse_yaml,
    ),
    call("toYAML", &[Param::Any], "YAML, keys sorted, long lines folded", to_yaml),
];

/// How a text may be written takes so many times as long to find out as reading through it.
const WRITING_COST: usize = 2;

/// Values nest deeper than this only when a template builds them to.
const NESTING_MAX: usize = 160;

fn parse_yaml<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    match values.text_at(0) {
        [] => Ok(Map::any(Entries::new())),
        text => parse::first_document(eval, text),
    }
}

fn to_yaml<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let mut emitter = Emitter::new(eval.meter.text_bytes_max());
    write(eval, &mut emitter, &values.value_at(0), Place::Root, 0)?;
    let mut out = emitter.out;
    out.truncate(out.trim_end().len());
    out.drain(..out.len() - out.trim_start().len());
    eval.made(out.into_bytes())
}

/// A list, a map, or something on one line.
enum Shape<'a> {
    List(Vec<Value<'a>>),
    Map(Vec<(Value<'a>, Value<'a>)>),
    Scalar(Scalar),
}

fn write<'a>(
    eval: &mut Eval<'a>,
    emitter: &mut Emitter,
    value: &Value<'a>,
    place: Place,
    depth: usize,
) -> Result<()> {
    if depth > NESTING_MAX {
        return Err(Fault::new("a value nested too deeply for YAML"));
    }
    let mark = eval.meter.mark();
    match shape(eval, value)? {
        Shape::Scalar(scalar) => emitter.scalar(&scalar, place),
        Shape::List(items) if items.is_empty() => emitter.empty("[]"),
        Shape::Map(members) if members.is_empty() => emitter.empty("{}"),
        Shape::List(items) => {
            let indent = emitter.open(true, place);
            for item in items {
                emitter.mark("-")?;
                write(eval, emitter, &item, Place::Item, depth + 1)?;
            }
            emitter.close(indent);
        }
        Shape::Map(members) => {
            let indent = emitter.open(false, place);
            for (key, item) in members {
                let mark = eval.meter.mark();
                write_key(eval, emitter, &key)?;
                eval.meter.settle(&mark);
                write(eval, emitter, &item, Place::Member, depth + 1)?;
            }
            emitter.close(indent);
        }
    }
    eval.meter.settle(&mark);
    Ok(())
}

/// Keys are scalars. A long one, or one of several lines, is marked.
fn write_key<'a>(eval: &mut Eval<'a>, emitter: &mut Emitter, key: &Value<'a>) -> Result<()> {
    let Shape::Scalar(key) = shape(eval, key)? else {
        return Err(Fault::new("a list or map as a key"));
    };
    if key.is_simple_key() {
        emitter.line()?;
        emitter.scalar(&key, Place::SimpleKey);
        emitter.colon();
        return Ok(());
    }
    emitter.mark("?")?;
    emitter.scalar(&key, Place::Member);
    emitter.mark(":")
}

fn shape<'a>(eval: &mut Eval<'a>, value: &Value<'a>) -> Result<Shape<'a>> {
    eval.meter.step()?;
    Ok(Shape::Scalar(match value {
        Value::Absent | Value::Nil | Value::NilPointer(_) => Scalar::plain("null"),
        Value::Bool(truth) => Scalar::plain(truth.to_string()),
        Value::Int(n) | Value::Int64(n) => Scalar::plain(n.to_string()),
        Value::Byte(n) => Scalar::plain(n.to_string()),
        Value::Uint64(n) => Scalar::plain(n.to_string()),
        Value::Float(n) => {
            eval.meter.steps(STEPS_PER_FLOAT)?;
            Scalar::plain(float_text(*n))
        }
        Value::Number(text) => match number_text(text) {
            Some(text) => Scalar::plain(text),
            None => Scalar::text(text),
        },
        Value::Text(text) => {
            eval.meter.read(text.len().saturating_mul(WRITING_COST))?;
            eval.meter.text(text.len())?;
            Scalar::text(text)
        }
        Value::List(list) => {
            eval.meter.elements(list.len())?;
            return Ok(Shape::List(list.to_vec()));
        }
        Value::Map(map) => {
            eval.meter.elements(map.len().saturating_mul(2))?;
            let members = map.entries().into_iter().map(|(key, item)| (Value::Text(key), item));
            return Ok(Shape::Map(order::sorted(members.collect())));
        }
        Value::AnyMap(map) => {
            eval.meter.elements(map.len().saturating_mul(2))?;
            let members = map.iter().map(|(key, item)| (key.value(), item.clone()));
            return Ok(Shape::Map(order::sorted(members.collect())));
        }
        Value::Scratch => {
            // The one exported field of its type.
            let lock = (Value::text("rwmutex"), Map::any(Entries::new()));
            return Ok(Shape::Map(vec![lock]));
        }
        Value::Secret(_) | Value::Auth(_) | Value::Wrap(_) | Value::Record(_) => {
            let fields = value.fields().unwrap_or_default().into_iter();
            let members = fields.map(|(key, item)| (Value::text(key.to_ascii_lowercase()), item));
            return Ok(Shape::Map(members.collect()));
        }
        Value::Named(named) => match named {
            Named::Duration(_) | Named::Version(..) => Scalar::text(named.string().as_bytes()),
            Named::Time(time) => Scalar::plain(layout::format(time, layout::RFC3339_NANO)),
            Named::Month(n) | Named::Weekday(n) => Scalar::plain(n.to_string()),
            Named::Location(_) => return Ok(Shape::Map(Vec::new())),
        },
        Value::Complex(..) | Value::Channel(_) => {
            let name = value.type_name();
            return Err(Fault::new(format!("YAML has no such value, a {name}")));
        }
    }))
}

/// `strconv.FormatFloat(value, 'g', -1, 64)`, with YAML's infinities.
fn float_text(value: f64) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    float::format(value, b'g', None)
}

/// A number of a secret as an integer when it is one, else as a float; `None` when it is too large.
fn number_text(text: &[u8]) -> Option<String> {
    let text = str::from_utf8(text).ok()?;
    if let Ok(int) = text.parse::<i64>() {
        return Some(int.to_string());
    }
    text.parse().ok().filter(|float: &f64| float.is_finite()).map(float_text)
}

#[cfg(test)]
mod tests;
