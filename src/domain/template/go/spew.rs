//! Values with their types, as go-spew shows them with its default settings. Maps are sorted here.

use super::float;
use super::print::{ADDRESS, NESTING_MAX, Printer};
use super::quote;
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::value::{List, Of, Value};

/// `spew.Sdump`
pub(crate) fn sdump(values: &[Value<'_>], bytes_max: usize) -> Result<Vec<u8>> {
    let mut printer = Printer::new(bytes_max);
    for value in values {
        dump(&mut printer, value, 0, Lead::Type)?;
        printer.push(b"\n")?;
    }
    Ok(printer.out)
}

/// What stands before a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lead {
    /// Its type; the indent is there already.
    Type,
    Nothing,
}

fn indent(printer: &mut Printer, depth: usize) -> Result<()> {
    printer.push(" ".repeat(depth).as_bytes())
}

/// What a pointer points to has its type without the star.
fn pointed(value: &Value<'_>) -> Option<String> {
    (value.kind_name() == "ptr").then(|| value.type_name().trim_start_matches('*').to_owned())
}

fn dump(printer: &mut Printer, value: &Value<'_>, depth: usize, lead: Lead) -> Result<()> {
    if depth > NESTING_MAX {
        return Err(Fault::new("a value nested too deeply to be shown"));
    }
    if let Value::NilPointer(name) = value {
        return printer.push(format!("({name})(<nil>)").as_bytes());
    }
    if let Some(name) = pointed(value) {
        printer.push(format!("(*{name})(0x{ADDRESS:x})(").as_bytes())?;
        dump_content(printer, value, depth)?;
        return printer.push(b")");
    }
    if lead == Lead::Type {
        let name = if value.is_nothing() { "interface {}" } else { value.type_name() };
        printer.push(format!("({name}) ").as_bytes())?;
    }
    let (length, capacity) = match value {
        Value::List(list) => (list.len(), list.capacity()),
        Value::Map(map) => (map.len(), 0),
        Value::AnyMap(map) => (map.len(), 0),
        Value::Text(text) | Value::Number(text) => (text.len(), 0),
        _ => (0, 0),
    };
    if length > 0 {
        let capacity = if capacity > 0 { format!(" cap={capacity}") } else { String::new() };
        printer.push(format!("(len={length}{capacity}) ").as_bytes())?;
    }
    dump_content(printer, value, depth)
}

fn dump_content(printer: &mut Printer, value: &Value<'_>, depth: usize) -> Result<()> {
    match value {
        Value::Text(text) => printer.push(quote::quote(text, false).as_bytes()),
        Value::List(list) if !list.is_nil => {
            let items: Vec<Member<'_>> = list.iter().map(|item| (None, item.clone())).collect();
            members(printer, items, depth)
        }
        Value::Map(map) if !map.is_nil() => {
            let entries = map.entries().into_iter();
            let entries = entries.map(|(key, item)| (Some(Key::Value(Value::Text(key))), item));
            members(printer, entries.collect(), depth)
        }
        Value::AnyMap(map) => {
            let entries = map.iter();
            let entries = entries.map(|(key, item)| (Some(Key::Value(key.value())), item.clone()));
            members(printer, entries.collect(), depth)
        }
        Value::Secret(_) | Value::Auth(_) | Value::Wrap(_) | Value::Scratch => {
            let fields = value.fields().unwrap_or_default().into_iter();
            let fields = fields.map(|(name, item)| (Some(Key::Field(name)), item));
            members(printer, fields.collect(), depth)
        }
        other => scalar(printer, other),
    }
}

enum Key<'a> {
    Field(&'static str),
    Value(Value<'a>),
}

type Member<'a> = (Option<Key<'a>>, Value<'a>);

fn members(printer: &mut Printer, members: Vec<Member<'_>>, depth: usize) -> Result<()> {
    printer.push(b"{\n")?;
    let count = members.len();
    for (i, (key, item)) in members.into_iter().enumerate() {
        indent(printer, depth + 1)?;
        match key {
            None => {}
            Some(Key::Field(name)) => printer.push(format!("{name}: ").as_bytes())?,
            Some(Key::Value(key)) => {
                dump(printer, &key, depth + 1, Lead::Type)?;
                printer.push(b": ")?;
            }
        }
        dump(printer, &item, depth + 1, Lead::Type)?;
        printer.push(if i + 1 < count { b",\n" } else { b"\n" })?;
    }
    indent(printer, depth)?;
    printer.push(b"}")
}

/// What has no members.
fn scalar(printer: &mut Printer, value: &Value<'_>) -> Result<()> {
    let float = |n: f64| float::format(n, b'g', None);
    let text = match value {
        Value::Bool(truth) => truth.to_string(),
        Value::Int(n) | Value::Int64(n) => n.to_string(),
        Value::Byte(n) => n.to_string(),
        Value::Uint64(n) => n.to_string(),
        Value::Float(n) => float(*n),
        Value::Complex(re, im) => {
            let plus = if *im >= 0.0 { "+" } else { "" };
            format!("({}{plus}{}i)", float(*re), float(*im))
        }
        Value::Text(text) | Value::Number(text) => return printer.push(text),
        Value::Named(named) => named.string(),
        Value::Channel(_) => format!("0x{ADDRESS:x}"),
        _ => "<nil>".to_owned(),
    };
    printer.push(text.as_bytes())
}

/// `%v` of an argument of `spew.Sprintf`.
pub(crate) fn formatted(printer: &mut Printer, value: &Value<'_>) -> Result<()> {
    format(printer, value, 0, Lead::Type)
}

fn format(printer: &mut Printer, value: &Value<'_>, depth: usize, lead: Lead) -> Result<()> {
    if depth > NESTING_MAX {
        return Err(Fault::new("a value nested too deeply to be shown"));
    }
    let shows_types = printer.flags.sharp_v && lead == Lead::Type;
    if let Value::NilPointer(name) = value {
        let name = if shows_types { format!("({name})") } else { String::new() };
        return printer.push(format!("{name}<nil>").as_bytes());
    }
    if let Some(name) = pointed(value) {
        let shown = if shows_types { format!("(*{name})") } else { "<*>".to_owned() };
        printer.push(shown.as_bytes())?;
        if printer.flags.plus_v {
            printer.push(format!("(0x{ADDRESS:x})").as_bytes())?;
        }
    } else if shows_types {
        let name = if value.is_nothing() { "interface {}" } else { value.type_name() };
        printer.push(format!("({name})").as_bytes())?;
    }
    match value {
        Value::List(list) if !list.is_nil => format_list(printer, list, depth),
        Value::Map(map) if !map.is_nil() => {
            let of_any = value.type_name().ends_with("interface {}");
            let entries = map.entries().into_iter().map(|(key, item)| (Value::Text(key), item));
            format_map(printer, entries.collect(), (false, of_any), depth)
        }
        Value::AnyMap(map) => {
            let entries = map.iter().map(|(key, item)| (key.value(), item.clone()));
            format_map(printer, entries.collect(), (true, true), depth)
        }
        Value::Secret(_) | Value::Auth(_) | Value::Wrap(_) | Value::Scratch => {
            let flags = printer.flags;
            printer.push(b"{")?;
            for (i, (name, item)) in value.fields().unwrap_or_default().iter().enumerate() {
                if i > 0 {
                    printer.push(b" ")?;
                }
                if flags.plus_v || flags.sharp_v {
                    printer.push(format!("{name}:").as_bytes())?;
                }
                format(printer, item, depth + 1, Lead::Type)?;
            }
            printer.push(b"}")
        }
        other => scalar(printer, other),
    }
}

/// The types of elements are shown where the list says nothing of them.
fn format_list(printer: &mut Printer, list: &List<'_>, depth: usize) -> Result<()> {
    let lead = if list.of == Of::Any { Lead::Type } else { Lead::Nothing };
    printer.push(b"[")?;
    for (i, item) in list.iter().enumerate() {
        if i > 0 {
            printer.push(b" ")?;
        }
        format(printer, item, depth + 1, lead)?;
    }
    printer.push(b"]")
}

fn format_map(
    printer: &mut Printer,
    entries: Vec<(Value<'_>, Value<'_>)>,
    (any_keys, any_items): (bool, bool),
    depth: usize,
) -> Result<()> {
    let lead = |is_any| if is_any { Lead::Type } else { Lead::Nothing };
    printer.push(b"map[")?;
    for (i, (key, item)) in entries.into_iter().enumerate() {
        if i > 0 {
            printer.push(b" ")?;
        }
        format(printer, &key, depth + 1, lead(any_keys))?;
        printer.push(b":")?;
        format(printer, &item, depth + 1, lead(any_items))?;
    }
    printer.push(b"]")
}
