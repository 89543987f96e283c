//! JSON as Go's encoding/json writes and reads it.

use super::{Arguments, Function, Param, call};
use crate::base::json::Json;
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::go::{float, layout};
use crate::domain::template::named::Named;
use crate::domain::template::value::{Entries, List, Map, Text, Value};

use Param::Any;

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call("parseJSON", &[Param::Text], "the value of a JSON text; numbers are floats", parse_json),
    call(
        "sprig_fromJson",
        &[Param::Text],
        "the value of a JSON text, nil when it is none",
        |e, v| parse_json_strictly(e, v).or(Ok(Value::Nil)),
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
    /// Entries of maps so far.
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
            Value::Float(n) if n.is_finite() => self.raw(&number(*n)),
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

/// The text itself stays out of errors; it may be a secret.
fn parse_json_strictly<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let text = values.text_at(0);
    count_document(eval, text)?;
    let json = Json::parse(text).map_err(|error| Fault::new(error.to_string()))?;
    of_json(eval, json)
}

/// Before a text is read: its values stand in memory twice for a while, and what is nested is read once for
/// every level around it.
fn count_document(eval: &mut Eval<'_>, text: &[u8]) -> Result<()> {
    let (mut elements, mut maps, mut depth, mut depth_max) = (0, 0, 0_usize, 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b',' => elements += 1,
            b'[' | b'{' => {
                elements += 1;
                maps += usize::from(*byte == b'{');
                depth += 1;
                depth_max = depth_max.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    eval.meter.text(text.len())?;
    eval.meter.read(text.len().saturating_mul(depth_max) / BYTES_SKIPPED)?;
    eval.meter.elements(elements)?;
    eval.meter.maps(maps)
}

/// Bytes that are passed over in the time of one that is read.
const BYTES_SKIPPED: usize = 4;

/// Owned values, numbers as floats.
fn of_json<'a>(eval: &mut Eval<'a>, json: Json) -> Result<Value<'a>> {
    Ok(match json {
        Json::Null => Value::Nil,
        Json::Bool(truth) => Value::Bool(truth),
        Json::Number(text) => {
            let number = text.parse().ok().filter(|n: &f64| n.is_finite());
            Value::Float(number.ok_or_else(|| Fault::new("a JSON number that is out of range"))?)
        }
        Json::String(text) => Value::Text(Text::from(text.into_bytes())),
        Json::Array(items) => {
            eval.meter.elements(items.len())?;
            let items = items.into_iter().map(|item| of_json(eval, item));
            List::of_json(items.collect::<Result<_>>()?)
        }
        Json::Object(members) => {
            eval.meter.maps(1)?;
            eval.meter.elements(members.len())?;
            let entries = members.into_iter();
            let entries = entries.map(|(k, v)| Ok((k.into_bytes().into(), of_json(eval, v)?)));
            Map::any(entries.collect::<Result<_>>()?)
        }
    })
}
