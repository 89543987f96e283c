//! Secrets as values of the template engine, with numbers that keep their text.

use serde_json::{Map, Value};

use crate::base::json::Json;
use crate::base::yaml;

/// The only key of an object that stands for a number whose text the engine would change, such as `1.10`.
const NUMBER: &str = "\0number";

/// A value for templates: loops, conditions and paths work on it as on plain JSON.
pub(super) fn of(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(text) => number(text),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => items.iter().map(of).collect(),
        Json::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), of(value))).collect()
        }
    }
}

/// A value as one text.
pub(super) fn text(json: &Json) -> Value {
    Value::String(match json {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Array(_) | Json::Bool(_) | Json::Number(_) | Json::Object(_) => json.to_text(),
    })
}

fn number(text: &str) -> Value {
    let parsed = serde_json::from_str::<Value>(text).ok();
    let same = parsed.filter(|number| number.to_string().as_bytes() == text.as_bytes());
    same.unwrap_or_else(|| Map::from_iter([(NUMBER.to_owned(), Value::from(text))]).into())
}

/// The text of a number that [`of`] had to keep apart.
fn number_text(value: &Value) -> Option<&str> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    let text = members.get(NUMBER)?.as_str()?;
    // A secret may have such a key itself: then at worst a number is taken for a number.
    serde_json::from_str::<serde_json::Number>(text).is_ok().then_some(text)
}

/// What [`of`] was made of.
pub(super) fn back(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Number(number) => Json::Number(number.to_string().into()),
        Value::String(text) => Json::String(text.clone()),
        Value::Array(items) => Json::Array(items.iter().map(back).collect()),
        Value::Object(members) => match number_text(value) {
            Some(text) => Json::Number(text.into()),
            None => Json::Object(members.iter().map(|(k, v)| (k.clone(), back(v))).collect()),
        },
    }
}

/// Adds a value as text: a string as it is, nothing for null, compact JSON for what is nested.
pub(super) fn write_text(value: &Value, out: &mut String) {
    match value {
        Value::Null => {}
        Value::String(text) => out.push_str(text),
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            write_json(value, out);
        }
    }
}

/// Adds a value as compact JSON, keys sorted, numbers as they were.
pub(super) fn write_json(value: &Value, out: &mut String) {
    out.push_str(&back(value).to_text());
}

/// Adds a value as YAML in one line.
pub(super) fn write_yaml(value: &Value, out: &mut String) {
    yaml::write_inline(&back(value), out);
}

/// Adds the lines of an entry, `{"key": …, "value": …}`, as YAML.
pub(super) fn write_yaml_entry(entry: &Value, out: &mut String) {
    if let (Some(Value::String(key)), Some(value)) = (entry.get("key"), entry.get("value")) {
        yaml::write_member(key, &back(value), out);
    }
}
