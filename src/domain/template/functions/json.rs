//! JSON as Go's encoding/json writes and reads it.

use super::json_read::{self, Document};
use super::{Arguments, Function, Param, call};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::builtins::STEPS_PER_FLOAT;
use crate::domain::template::go::eval::Eval;
use crate::domain::template::go::{float, layout};
use crate::domain::template::named::Named;
use crate::domain::template::value::{Entries, Map, Value};

use Param::Any;

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call("parseJSON", &[Param::Text], "the value of a JSON text; numbers are floats", parse_json),
    call(
        "sprig_fromJson",
        &[Param::Text],
        "the value of a JSON text, nil when it is none",
        parse_json_leniently,
    ),
    call("sprig_mustFromJson", &[Param::Text], "the value of a JSON text", parse_json_strictly),
    call("sprig_mustToJson", &[Any], "JSON", |e, v| to_json(e, v, HTML, false)),
    call("sprig_mustToPrettyJson", &[Any], "JSON, indented", |e, v| to_json(e, v, HTML, true)),
    call("sprig_mustToRawJson", &[Any], "JSON without HTML escapes", |e, v| {
        to_json(e, v, RAW, false)
    }),
    call("sprig_toJson", &[Any], "JSON, empty for what has none", |e, v| {
        to_json(e, v, HTML, false).or(Ok(Value::EMPTY))
    }),
    call("sprig_toPrettyJson", &[Any], "JSON, indented, empty for what has none", |e, v| {
        to_json(e, v, HTML, true).or(Ok(Value::EMPTY))
    }),
    call("sprig_toRawJson", &[Any], "JSON without HTML escapes", |e, v| to_json(e, v, RAW, false)),
    call("toJSON", &[Any], "JSON", |e, v| to_json(e, v, HTML, false)),
    call("toJSONPretty", &[Any], "JSON, indented", |e, v| to_json(e, v, HTML, true)),
    call("toUnescapedJSON", &[Any], "JSON without HTML escapes", |e, v| to_json(e, v, RAW, false)),
    call("toUnescapedJSONPretty", &[Any], "JSON without HTML escapes, indented", |e, v| {
        to_json(e, v, RAW, true)
    }),
];

const HTML: bool = true;
const RAW: bool = false;

/// Values nest deeper than this only when a template builds them to.
const NESTING_MAX: usize = 160;

fn to_json<'a>(
    eval: &mut Eval<'a>,
    values: &[Value<'a>],
    escapes_html: bool,
    is_pretty: bool,
) -> Result<Value<'a>> {
    let bytes_max = eval.meter.affordable();
    let mut writer = Writer { out: Vec::new(), entries: 0, escapes_html, is_pretty, bytes_max };
    let written = writer.value(&values.value_at(0), 0);
    // What comes of it may be an error that the template does not see.
    eval.meter.steps(writer.entries)?;
    eval.meter.read(writer.out.len())?;
    written?;
    eval.made(writer.out)
}

struct Writer {
    out: Vec<u8>,
    /// Steps beside those for the text: entries of maps, digits of floats.
    entries: usize,
    escapes_html: bool,
    is_pretty: bool,
    bytes_max: usize,
}

impl Writer {
    fn value(&mut self, value: &Value<'_>, depth: usize) -> Result<()> {
        if depth > NESTING_MAX {
            return Err(Fault::new("a value nested too deeply for JSON"));
        }
        if self.out.len() > self.bytes_max {
            return Err(Fault::new("a JSON text that is too long"));
        }
        match value {
            Value::Absent | Value::Nil | Value::NilPointer(_) => self.raw("null"),
            Value::List(list) if list.is_nil => self.raw("null"),
            Value::Map(map) if map.is_nil() => self.raw("null"),
            Value::Bool(true) => self.raw("true"),
            Value::Bool(false) => self.raw("false"),
            Value::Int(n) | Value::Int64(n) => self.raw(&n.to_string()),
            Value::Byte(n) => self.raw(&n.to_string()),
            Value::Uint64(n) => self.raw(&n.to_string()),
            Value::Float(n) if n.is_finite() => {
                self.entries += STEPS_PER_FLOAT;
                self.raw(&number(*n));
            }
            Value::Number(text) if text.is_empty() => self.raw("0"),
            Value::Number(text) => self.out.extend_from_slice(text),
            Value::Text(text) => self.text(text),
            Value::List(list) => {
                self.members('[', ']', list.iter(), depth, |writer, item| {
                    writer.value(item, depth + 1)
                })?;
            }
            Value::Map(map) => {
                self.entries += map.len();
                self.members('{', '}', map.entries().iter(), depth, |writer, (key, item)| {
                    writer.key(key);
                    writer.value(item, depth + 1)
                })?;
            }
            Value::Secret(_) | Value::Auth(_) | Value::Wrap(_) | Value::Record(_) => {
                let fields = value.fields().unwrap_or_default();
                self.members('{', '}', fields.iter(), depth, |writer, (key, item)| {
                    writer.key(key.as_bytes());
                    writer.value(item, depth + 1)
                })?;
            }
            Value::Named(named) => self.named(named)?,
            Value::AnyMap(_)
            | Value::Float(_)
            | Value::Complex(..)
            | Value::Channel(_)
            | Value::Scratch => {
                let name = value.type_name();
                return Err(Fault::new(format!("JSON has no such value, a {name}")));
            }
        }
        Ok(())
    }

    fn named(&mut self, named: &Named) -> Result<()> {
        match named {
            Named::Duration(n) | Named::Month(n) | Named::Weekday(n) => self.raw(&n.to_string()),
            Named::Location(_) => self.raw("{}"),
            Named::Time(time) if !(0..=9999).contains(&time.civil().year) => {
                return Err(Fault::new("JSON has no time of a year outside of 0 to 9999"));
            }
            Named::Time(time) => {
                self.text(layout::format(time, layout::RFC3339_NANO).as_bytes());
            }
            Named::Version(version, _) => self.text(version.to_string().as_bytes()),
        }
        Ok(())
    }

    fn members<T>(
        &mut self,
        open: char,
        close: char,
        items: impl ExactSizeIterator<Item = T>,
        depth: usize,
        mut write: impl FnMut(&mut Self, T) -> Result<()>,
    ) -> Result<()> {
        self.raw(open.encode_utf8(&mut [0; 4]));
        let is_empty = items.len() == 0;
        for (i, item) in items.enumerate() {
            if i > 0 {
                self.raw(",");
            }
            self.new_line(depth + 1);
            write(self, item)?;
        }
        if !is_empty {
            self.new_line(depth);
        }
        self.raw(close.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    fn new_line(&mut self, depth: usize) {
        if self.is_pretty {
            self.raw("\n");
            self.raw(&"  ".repeat(depth));
        }
    }

    fn key(&mut self, key: &[u8]) {
        self.text(key);
        self.raw(if self.is_pretty { ": " } else { ":" });
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        self.raw("\"");
        for chunk in text.utf8_chunks() {
            for c in chunk.valid().chars() {
                self.character(c);
            }
            for _ in chunk.invalid() {
                self.raw("\\ufffd");
            }
        }
        self.raw("\"");
    }

    fn character(&mut self, c: char) {
        match c {
            '"' => self.raw("\\\""),
            '\\' => self.raw("\\\\"),
            '\n' => self.raw("\\n"),
            '\r' => self.raw("\\r"),
            '\t' => self.raw("\\t"),
            '\x08' => self.raw("\\b"),
            '\x0c' => self.raw("\\f"),
            '<' | '>' | '&' if self.escapes_html => self.escape(c),
            '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => self.escape(c),
            _ => self.raw(c.encode_utf8(&mut [0; 4])),
        }
    }

    fn escape(&mut self, c: char) {
        self.raw(&format!("\\u{:04x}", u32::from(c)));
    }
}

/// The shortest digits; an exponent below 1e-6 and from 1e21 on, as in ECMAScript.
fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return float::format(value, b'f', None);
    }
    float::format(value, b'e', None).replace("e-0", "e-")
}

fn parse_json<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    if values.text_at(0).is_empty() {
        return Ok(Map::any(Entries::new()));
    }
    parse_json_strictly(eval, values)
}

fn read_document<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Document<'a>> {
    let Some(Value::Text(text) | Value::Number(text)) = values.first() else {
        return Err(Fault::new("no JSON"));
    };
    json_read::document(&mut eval.meter, text)
}

fn parse_json_strictly<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let document = read_document(eval, values)?;
    if document.is_out_of_range {
        return Err(Fault::new("a JSON number that is out of range"));
    }
    Ok(document.value)
}

/// Sprig hands out what Go made of a text whose numbers are out of range, and nothing of what is no JSON.
fn parse_json_leniently<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    Ok(read_document(eval, values).map_or(Value::Nil, |document| document.value))
}
