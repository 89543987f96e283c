//! TOML as github.com/BurntSushi/toml 1.2 encodes it.

use super::text::trim_space;
use super::{Arguments, Function, Param, call};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::builtins::STEPS_PER_FLOAT;
use crate::domain::template::go::eval::Eval;
use crate::domain::template::go::{duration, float, layout};
use crate::domain::template::named::Named;
use crate::domain::template::value::{List, Value};

/// Sorted by name.
pub(super) const TABLE: &[Function] =
    &[call("toTOML", &[Param::Any], "TOML, values before tables, keys sorted", to_toml)];

/// Values nest deeper than this only when a template builds them to.
const NESTING_MAX: usize = 160;

fn to_toml<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let mut encoder = Encoder { out: Vec::new(), eval, depth: 0 };
    encoder.member(&mut Vec::new(), &values.value_at(0))?;
    let text = trim_space(&encoder.out).to_vec();
    eval.made(text)
}

/// The form that a value takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// nil, which is left out.
    None,
    Table,
    Tables,
    Value,
}

type Members<'a> = Vec<(Vec<u8>, Value<'a>)>;

struct Encoder<'e, 'a> {
    out: Vec<u8>,
    eval: &'e mut Eval<'a>,
    depth: usize,
}

impl<'a> Encoder<'_, 'a> {
    /// What stands under a path: `key = value`, `[table]` or `[[table]]` each with what is in it.
    fn member(&mut self, path: &mut Vec<Vec<u8>>, value: &Value<'a>) -> Result<()> {
        match self.form(value)? {
            // Nothing is written for a nil list or map inside of one; at the top Go has no nil to encode.
            Form::None if path.is_empty() => Err(Fault::new("TOML has no nil")),
            Form::None => Ok(()),
            Form::Value => {
                self.key_value(path, value)?;
                if !path.is_empty() {
                    self.new_line();
                }
                Ok(())
            }
            Form::Tables if path.is_empty() => {
                Err(Fault::new("top-level values must be maps, not lists of maps"))
            }
            Form::Tables => {
                let Value::List(list) = value else { return Ok(()) };
                for item in list.iter() {
                    self.new_line();
                    self.header(path, b"[[", b"]]");
                    self.table(path, item)?;
                }
                Ok(())
            }
            Form::Table => {
                if path.len() == 1 {
                    self.new_line();
                }
                if !path.is_empty() {
                    self.header(path, b"[", b"]");
                }
                self.table(path, value)
            }
        }
    }

    fn header(&mut self, path: &[Vec<u8>], open: &[u8], close: &[u8]) {
        self.indent(path);
        self.out.extend_from_slice(open);
        for (i, key) in path.iter().enumerate() {
            if i > 0 {
                self.out.push(b'.');
            }
            self.key(key);
        }
        self.out.extend_from_slice(close);
        self.new_line();
    }

    /// The members of a table, those that are tables last.
    fn table(&mut self, path: &mut Vec<Vec<u8>>, value: &Value<'a>) -> Result<()> {
        self.enter()?;
        let (direct, tables) = self.split(value)?;
        for (key, item) in direct.into_iter().chain(tables) {
            path.push(key);
            self.member(path, &item)?;
            path.pop();
        }
        self.depth -= 1;
        Ok(())
    }

    /// The members that are plain values or nil, and those that are tables or lists of tables.
    fn split(&mut self, value: &Value<'a>) -> Result<(Members<'a>, Members<'a>)> {
        let (mut direct, mut tables) = (Vec::new(), Vec::new());
        for (key, item) in self.members(value)? {
            let is_table = matches!(self.form(&item)?, Form::Table | Form::Tables);
            if is_table { tables.push((key, item)) } else { direct.push((key, item)) }
        }
        Ok((direct, tables))
    }

    fn members(&mut self, value: &Value<'a>) -> Result<Members<'a>> {
        if let Value::Map(map) = value {
            self.eval.meter.elements(map.len())?;
            return Ok(map.entries().into_iter().map(|(key, item)| (key.to_vec(), item)).collect());
        }
        if let Value::AnyMap(_) = value {
            return Err(Fault::new(
                "TOML has no maps with keys of any type, as parseYAML makes them",
            ));
        }
        let fields = value.fields().unwrap_or_default().into_iter();
        Ok(fields.map(|(name, item)| (name.into(), item)).collect())
    }

    fn key_value(&mut self, path: &[Vec<u8>], value: &Value<'a>) -> Result<()> {
        if let Some(key) = path.last() {
            self.indent(path);
            self.key(key);
            self.out.extend_from_slice(b" = ");
        }
        self.element(value)
    }

    /// A value on one line.
    fn element(&mut self, value: &Value<'a>) -> Result<()> {
        self.enter()?;
        match value {
            Value::Bool(truth) => self.raw(truth.to_string()),
            Value::Int(n) | Value::Int64(n) => self.raw(n.to_string()),
            Value::Byte(n) => self.raw(n.to_string()),
            Value::Uint64(n) => self.raw(n.to_string()),
            Value::Float(n) => {
                self.eval.meter.steps(STEPS_PER_FLOAT)?;
                self.raw(float_text(*n));
            }
            Value::Number(text) => self.raw(number_text(text)?),
            Value::Text(text) => {
                // Each character is looked at twice.
                self.eval.meter.read(text.len().saturating_mul(2))?;
                self.quoted(text);
            }
            Value::List(list) => self.list(list)?,
            Value::Named(Named::Location(_)) => return Err(unsupported(value)),
            Value::Named(Named::Time(time)) => {
                self.raw(layout::format(time, layout::RFC3339_NANO));
            }
            Value::Named(Named::Version(version, _)) => {
                self.quoted(version.to_string().as_bytes());
            }
            Value::Named(Named::Duration(n)) => self.quoted(duration::string(*n).as_bytes()),
            Value::Named(named) => self.raw(named.number().unwrap_or(0).to_string()),
            Value::Map(_)
            | Value::AnyMap(_)
            | Value::Secret(_)
            | Value::Auth(_)
            | Value::Wrap(_)
            | Value::Record(_)
            | Value::Scratch => {
                self.inline(value)?;
            }
            _ => return Err(unsupported(value)),
        }
        self.depth -= 1;
        Ok(())
    }

    fn list(&mut self, list: &List<'a>) -> Result<()> {
        self.out.push(b'[');
        for (i, item) in list.iter().enumerate() {
            if i > 0 {
                self.out.extend_from_slice(b", ");
            }
            self.element(item)?;
        }
        self.out.push(b']');
        Ok(())
    }

    /// A table within a list that holds other things too. A member that is nil leaves its comma behind.
    fn inline(&mut self, value: &Value<'a>) -> Result<()> {
        let (direct, tables) = self.split(value)?;
        let direct_count = direct.len();
        let has_tables = !tables.is_empty();
        let table_count = tables.len();
        self.out.push(b'{');
        for (i, (key, item)) in direct.into_iter().chain(tables).enumerate() {
            if self.form(&item)? == Form::None {
                continue;
            }
            self.key_value(&[key], &item)?;
            let is_last = i + 1 == direct_count + table_count;
            if !is_last && (i + 1 != direct_count || has_tables) {
                self.out.extend_from_slice(b", ");
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Refuses nil in lists, wherever it looks.
    fn form(&mut self, value: &Value<'a>) -> Result<Form> {
        self.eval.meter.step()?;
        Ok(match value {
            Value::Absent | Value::Nil | Value::NilPointer(_) => Form::None,
            Value::List(list) if list.is_nil => Form::None,
            Value::Map(map) if map.is_nil() => Form::None,
            Value::List(list) => {
                self.enter()?;
                let mut are_tables = !list.is_empty();
                for item in list.iter() {
                    match self.form(item)? {
                        Form::None => return Err(Fault::new("TOML has no nil in lists")),
                        Form::Table => {}
                        Form::Tables | Form::Value => are_tables = false,
                    }
                }
                self.depth -= 1;
                if are_tables { Form::Tables } else { Form::Value }
            }
            Value::Map(_)
            | Value::AnyMap(_)
            | Value::Secret(_)
            | Value::Auth(_)
            | Value::Wrap(_)
            | Value::Record(_)
            | Value::Scratch => Form::Table,
            Value::Complex(..) | Value::Channel(_) => return Err(unsupported(value)),
            _ => Form::Value,
        })
    }

    fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(Fault::new("a value nested too deeply for TOML"));
        }
        let max = self.eval.meter.text_bytes_max();
        if self.out.len() > max {
            return Err(Fault::new(format!("a text of more than {max} bytes is too long")));
        }
        self.eval.meter.step()
    }

    fn new_line(&mut self) {
        if !self.out.is_empty() {
            self.out.push(b'\n');
        }
    }

    fn indent(&mut self, path: &[Vec<u8>]) {
        let width = 2 * path.len().saturating_sub(1);
        self.out.resize(self.out.len() + width, b' ');
    }

    fn raw(&mut self, text: String) {
        self.out.extend(text.into_bytes());
    }

    fn key(&mut self, key: &[u8]) {
        let is_bare = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !key.is_empty() && key.iter().all(is_bare) {
            self.out.extend_from_slice(key);
        } else {
            self.quoted(key);
        }
    }

    fn quoted(&mut self, text: &[u8]) {
        self.out.push(b'"');
        for byte in text {
            match byte {
                b'"' => self.out.extend_from_slice(b"\\\""),
                b'\\' => self.out.extend_from_slice(b"\\\\"),
                b'\x08' => self.out.extend_from_slice(b"\\b"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\x0c' => self.out.extend_from_slice(b"\\f"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                0..=0x1f | 0x7f => self.raw(format!("\\u{byte:04x}")),
                _ => self.out.push(*byte),
            }
        }
        self.out.push(b'"');
    }
}

fn unsupported(value: &Value<'_>) -> Fault {
    Fault::new(format!("TOML has no such value, a {}", value.type_name()))
}

/// Never an exponent, always a point.
fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+inf" } else { "-inf" }.to_owned();
    }
    let text = float::format(value, b'f', None);
    if text.contains('.') { text } else { text + ".0" }
}

/// A number of a secret: an integer when it is one, else a float.
fn number_text(text: &[u8]) -> Result<String> {
    let text = str::from_utf8(text).unwrap_or_default();
    if text.is_empty() {
        return Ok("0".to_owned());
    }
    if let Ok(int) = text.parse::<i64>() {
        return Ok(int.to_string());
    }
    let float = text.parse().ok().filter(|float: &f64| float.is_finite());
    float.map(float_text).ok_or_else(|| Fault::new("a number out of the range of float64"))
}

#[cfg(test)]
mod tests {
    use crate::domain::template::{Budget, Outcome, Snapshot, Template};

    fn check(pipe: &str, toml: Option<&str>) {
        let budget = Budget { steps: 1_000_000, depth: 100, output_bytes: 1 << 20 };
        let template = Template::parse("t", &format!("{{{{ {pipe} }}}}"), "", "", budget).unwrap();
        let found = match template.render(&Snapshot::default(), false, budget) {
            Outcome::Done(done) => Some(String::from_utf8(done.text.expose().to_vec()).unwrap()),
            _ => None,
        };
        assert_eq!(found.as_deref(), toml, "{pipe}");
    }

    /// Recorded from BurntSushi/toml.
    #[test]
    fn tables_come_last() {
        let json =
            r#"{"t":{"u":{"v":1},"a b":[]},"s":"x\u0001\"","m":[{"x":1},{"y":{}}],"n":null}"#;
        let toml = "s = \"x\\u0001\\\"\"\n\n[[m]]\n  x = 1.0\n\n[[m]]\n  [m.y]\n\n[t]\n  \"a b\" = []\n  [t.u]\n    v = 1.0";
        check(&format!("parseJSON `{json}` | toTOML"), Some(toml));
        let mixed = r#"{"x":[{"a":1,"b":null,"c":{"d":[{}]}},1]}"#;
        let toml = "x = [{a = 1.0, c = {d = [{}]}}, 1.0]";
        check(&format!("parseJSON `{mixed}` | toTOML"), Some(toml));
        check(r#"parseJSON `[{"a":1,"b":null},1]` | toTOML"#, Some("[{a = 1.0, }, 1.0]"));
        check("sprig_dict \"a\" scratch | toTOML", Some("[a]"));
        check("sprig_until 3 | toTOML", Some("[0, 1, 2]"));
    }

    #[test]
    fn what_toml_cannot_say_fails() {
        for pipe in [
            "parseJSON `[null]` | toTOML",
            "parseJSON `[{}]` | toTOML",
            "parseJSON `{\"a\":[[null]]}` | toTOML",
            "parseYAML `a: 1` | toTOML",
            "sprig_dict `a` 1i | toTOML",
        ] {
            check(pipe, None);
        }
    }
}
