//! Users' own templates in tinytemplate's language, over the fields of one secret.
//!
//! `{password}` prints a field, `{{ if x }}…{{ else }}…{{ endif }}` and `{{ for x in list }}…{{ endfor }}`
//! choose and repeat, `{x | sh}` quotes, `\{` is a brace. Formatters: `base64`, `dotenv`, `json`,
//! `properties_key`, `properties_value`, `sh`, `unescaped`, `yaml`. Nothing is escaped that is not told to be.
//!
//! The engine panics on three kinds of text and does not bound its work, so both are checked before it
//! sees anything; a panic that is left is caught. Its error texts list neighbouring fields, so they are
//! replaced by ours.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tinytemplate::TinyTemplate;
use tinytemplate::error::Error as EngineError;

use super::{ShapeError, context, fields, quote};
use crate::base::json::Json;
use crate::base::secret::Secret;

/// Bytes of a template: an annotation cannot be longer (Kubernetes allows 256 KiB of them per object).
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Bytes of output, the same as for Go templates; also the bound of repeated template text, as loops
/// cannot be stopped once they run.
const OUTPUT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Why a template cannot be rendered. Holds places and words of the template, never a value and no key
/// that the template does not name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TinyError {
    /// The template is malformed.
    Compile {
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
        /// One clause.
        message: String,
    },
    /// The template asks for what is not there or not of that kind.
    Evaluate {
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
        /// The tag at that place.
        tag: String,
        /// One clause.
        reason: &'static str,
    },
    /// The text, its loops or its output exceed a bound.
    Large {
        /// Which.
        what: &'static str,
    },
    /// The engine broke off: a bug of it.
    Panic,
    /// The response has no fields.
    Shape(ShapeError),
}

impl fmt::Display for TinyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compile { line, column, message } => {
                write!(f, "template {line}:{column}: {message}")
            }
            Self::Evaluate { line, column, tag, reason } => {
                write!(f, "template {line}:{column}: {reason} at {tag:?}")
            }
            Self::Large { what } => write!(f, "template: {what}"),
            Self::Panic => f.write_str("template: the engine broke off"),
            Self::Shape(_) => f.write_str("template: no fields to use"),
        }
    }
}

impl std::error::Error for TinyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Shape(cause) = self { Some(cause) } else { None }
    }
}

/// Renders `text` with the fields of a response; of KV 2 those inside of its `data`.
pub fn render(text: &str, reading_data: &Json) -> Result<Secret, TinyError> {
    let fields = fields(reading_data).map_err(TinyError::Shape)?;
    let data = Value::Object(fields.iter().map(|(k, v)| (k.clone(), context::of(v))).collect());
    let loops = check(text)?;
    let longest =
        u32::try_from(loops).ok().and_then(|loops| longest_list(&data).checked_pow(loops));
    if longest.and_then(|n| n.checked_mul(text.len())).is_none_or(|work| work > OUTPUT_BYTES_MAX) {
        return Err(TinyError::Large { what: "its loops over these lists are too long" });
    }
    render_value(text, &data)
}

/// Whether a text is a template at all; what it asks for is seen when it is rendered.
pub fn compile(text: &str) -> Result<(), TinyError> {
    let _loops = check(text)?;
    let compiled = catch_unwind(AssertUnwindSafe(|| {
        let mut engine = TinyTemplate::new();
        add_formatters(&mut engine);
        engine.add_template("\n", text)
    }));
    match compiled {
        Ok(compiled) => compiled.map_err(|error| told(&error, text))?,
        Err(_) => return Err(TinyError::Panic),
    }
    unknown_formatter(text).map_or(Ok(()), Err)
}

/// The first tag with a formatter that does not exist. The engine sees that only when it prints.
fn unknown_formatter(text: &str) -> Option<TinyError> {
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (literal, tag) = rest.split_at(open);
        let is_value = !literal.ends_with('\\') && !tag.starts_with("{{") && !tag.starts_with("{#");
        let close = match tag.get(..2) {
            Some("{#") => "#}",
            Some("{{") => "}}",
            _ if is_value => "}",
            _ => "{",
        };
        let inside = tag.split_once(close)?.0;
        let formatter = inside.split_once('|').map(|(_, name)| name.trim());
        if let Some(name) = formatter.filter(|name| is_value && !FORMATTERS.contains(name)) {
            let known = FORMATTERS.join(", ");
            let message = format!("unknown formatter {name:?}, want one of {known}");
            return Some(malformed(text, text.len() - tag.len(), &message));
        }
        rest = tag.get(inside.len() + close.len()..).unwrap_or_default();
    }
    None
}

/// What may stand behind a field of a user's template.
const FORMATTERS: [&str; 8] =
    ["base64", "dotenv", "json", "properties_key", "properties_value", "sh", "unescaped", "yaml"];

/// Renders a text that was checked, or is our own.
pub(super) fn render_value(text: &str, data: &Value) -> Result<Secret, TinyError> {
    // The messages of its panics hold words of the template at most, and no panic is known beyond
    // those that `check` keeps away.
    let rendered = catch_unwind(AssertUnwindSafe(|| {
        let mut engine = TinyTemplate::new();
        add_formatters(&mut engine);
        // No `call` can name it, so nothing recurses.
        engine.add_template("\n", text)?;
        engine.render("\n", data)
    }));
    match rendered {
        Ok(Ok(text)) => Ok(Secret::new(text)),
        Ok(Err(error)) => Err(told(&error, text)),
        Err(_) => Err(TinyError::Panic),
    }
}

fn add_formatters(engine: &mut TinyTemplate<'_>) {
    type Quoting = fn(&str, &mut String);
    const QUOTINGS: [(&str, Quoting); 5] = [
        ("base64", |text, out| STANDARD.encode_string(text, out)),
        ("dotenv", quote::dotenv),
        ("properties_key", quote::properties_key),
        ("properties_value", quote::properties_value),
        ("sh", quote::sh),
    ];
    type Writing = fn(&Value, &mut String);
    const WRITINGS: [(&str, Writing); 4] = [
        ("json", context::write_json),
        ("unescaped", context::write_text),
        ("yaml", context::write_yaml),
        ("yaml_entry", context::write_yaml_entry),
    ];
    for (name, quoting) in QUOTINGS {
        engine.add_formatter(name, move |value, out| {
            let mut text = String::new();
            context::write_text(value, &mut text);
            quoting(&text, out);
            within_bounds(out)
        });
    }
    for (name, writing) in WRITINGS {
        engine.add_formatter(name, move |value, out| {
            writing(value, out);
            within_bounds(out)
        });
    }
    engine.set_default_formatter(&format_text);
}

/// The engine's `format_unescaped`, but for the exact text of numbers and JSON for nested values.
fn format_text(value: &Value, out: &mut String) -> Result<(), EngineError> {
    match value {
        Value::Array(_) | Value::Object(_) => context::write_text(value, out),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {
            tinytemplate::format_unescaped(value, out)?;
        }
    }
    within_bounds(out)
}

fn within_bounds(out: &str) -> Result<(), EngineError> {
    if out.len() > OUTPUT_BYTES_MAX {
        return Err(EngineError::GenericError { msg: String::new() });
    }
    Ok(())
}

/// The engine's error in our words.
fn told(error: &EngineError, text: &str) -> TinyError {
    match error {
        EngineError::ParseError { msg, line, column } => {
            TinyError::Compile { line: *line, column: column + 1, message: msg.clone() }
        }
        EngineError::RenderError { msg, line, column } => TinyError::Evaluate {
            line: *line,
            column: column + 1,
            tag: tag_at(text, *line, *column),
            reason: reason(msg),
        },
        EngineError::CalledFormatterError { .. } | EngineError::GenericError { msg: _ } => {
            let is_index =
                matches!(error, EngineError::GenericError { msg } if msg.contains("@index"));
            TinyError::Large {
                what: if is_index {
                    "@index, @first or @last outside of a loop"
                } else {
                    "its output is too long"
                },
            }
        }
        _ => TinyError::Panic,
    }
}

/// By the start of the engine's message; the rest of it may name fields.
fn reason(message: &str) -> &'static str {
    const KNOWN: [(&str, &str); 4] = [
        ("Failed to find", "no such field"),
        ("Expected an array", "not a list"),
        ("Tried to call an unknown formatter", "unknown formatter"),
        ("Tried to call an unknown template", "templates cannot call each other"),
    ];
    let known = KNOWN.iter().find(|(start, _)| message.starts_with(start));
    known.map_or("cannot be evaluated", |(_, reason)| reason)
}

/// The inside of the tag around a place of the template, cut when it is long.
fn tag_at(text: &str, line: usize, column: usize) -> String {
    let line = text.split('\n').nth(line.saturating_sub(1)).unwrap_or_default();
    let (before, after) = line.split_at_checked(column).unwrap_or((line, ""));
    let before = before.rsplit('{').next().unwrap_or_default();
    let after = after.split('}').next().unwrap_or_default();
    format!("{before}{after}").trim().chars().take(80).collect()
}

/// The longest list in it, at least 1.
fn longest_list(data: &Value) -> usize {
    match data {
        Value::Array(items) => items.iter().map(longest_list).fold(items.len().max(1), usize::max),
        Value::Object(members) => members.values().map(longest_list).fold(1, usize::max),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => 1,
    }
}

/// Refuses the texts that make the engine panic, and says how deep the loops nest. It goes over the
/// text as the engine's compiler does; what that would refuse by itself is left to it.
fn check(text: &str) -> Result<usize, TinyError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(TinyError::Large { what: "it is longer than 256 KiB" });
    }
    let (mut rest, mut loops, mut deepest) = (text, 0_usize, 0_usize);
    while let Some(open) = rest.find('{') {
        let (literal, tag) = rest.split_at(open);
        let is_escaped = literal.ends_with('\\');
        let close = if is_escaped {
            "{"
        } else if tag.starts_with("{#") {
            "#}"
        } else if tag.starts_with("{{") {
            "}}"
        } else {
            "}"
        };
        let line = tag.lines().next().unwrap_or_default();
        let Some((inside, _)) = line.split_once(close) else { return Ok(deepest) };
        let refused = |message: &str| {
            let before = text.len() - tag.len();
            Err(malformed(text, before, message))
        };
        match close {
            "#}" if inside.len() < 2 => return refused("a comment is written {# … #}"),
            "}}" => {
                let words = inside.trim_start_matches('{').trim().trim_matches('-').trim();
                let (word, operand) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
                let operand = operand.trim();
                let negated = operand.strip_prefix("not");
                if word == "if" && negated.is_some_and(|path| !path.starts_with([' ', '\t'])) {
                    return refused("after \"if\" comes a path, or \"not\", a blank and a path");
                }
                match word {
                    "for" => loops += 1,
                    "endfor" => loops = loops.saturating_sub(1),
                    _ => {}
                }
                deepest = deepest.max(loops);
            }
            _ => {}
        }
        rest = tag.get(inside.len() + close.len()..).unwrap_or_default();
    }
    if rest.ends_with('\\') {
        return Err(malformed(text, text.len() - 1, "a backslash may not stand at the end"));
    }
    Ok(deepest)
}

fn malformed(text: &str, offset: usize, message: &str) -> TinyError {
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1) + 1;
    TinyError::Compile { line, column, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formatter_is_known_before_anything_is_printed() {
        for text in [
            "{x}",
            "{x | sh}{ y|json }",
            "\\{x | nope}",
            "{# {x | nope} #}",
            "{{ if x }}{x | yaml}{{ endif }}",
            "{x | nope",
        ] {
            assert_eq!(unknown_formatter(text), None, "{text}");
        }
        for text in ["{x | nope}", "a\n{x|}", "{{ if x }}{y | Sh}{{ endif }}", "\\{x}{y | html}"] {
            let error = compile(text).unwrap_err();
            assert!(error.to_string().contains("unknown formatter"), "{text}: {error}");
        }
        for name in FORMATTERS {
            let text = format!("{{x | {name}}}");
            compile(&text).unwrap();
            let data = Json::parse(br#"{"x":"y"}"#).unwrap();
            render(&text, &data).unwrap();
        }
    }
}
