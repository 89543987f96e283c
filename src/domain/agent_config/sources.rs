//! Configurations as texts: JSON or HCL, one or several, and which of them says what.

use std::collections::BTreeMap;

use super::hcl::{self, Lines};
use super::section::{ConfigError, parse_truth, says_nothing};
use crate::base::json::{Json, JsonError};

/// One text and what is known of its places.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    document: Json,
    lines: Lines,
}

impl Source {
    /// Reads a configuration: JSON when it begins with a brace, else HCL. The error is a clause behind the
    /// name.
    pub fn parse(name: &str, text: &[u8]) -> Result<Self, String> {
        let read = if text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
            Json::parse(text)
                .map(|document| (document, Lines::default()))
                .map_err(|error| with_hint(&error, text))
        } else {
            match std::str::from_utf8(text) {
                Ok(text) => hcl::parse_with_lines(text).map_err(|error| error.to_string()),
                Err(error) => Err(format!("not UTF-8: {error}")),
            }
        };
        let (document, lines) = read.map_err(|reason| format!("{name}: {reason}"))?;
        Ok(Self { name: name.to_owned(), document, lines })
    }
}

/// A quote inside of a string ends it, and what follows is no JSON.
fn with_hint(error: &JsonError, text: &[u8]) -> String {
    const ESCAPED: &str = "; a quote inside of a string is written \\\"";
    let JsonError::Syntax { line, column } = error else { return error.to_string() };
    let line = text.split(|byte| *byte == b'\n').nth(line.saturating_sub(1)).unwrap_or_default();
    let at = column.saturating_sub(1);
    let before = line.get(..at).unwrap_or_default().trim_ascii_end();
    let is_text = line.get(at).is_some_and(|byte| !b",:]}".contains(byte));
    let is_after_string = before.last() == Some(&b'"') && is_text;
    format!("{error}{}", if is_after_string { ESCAPED } else { "" })
}

/// Which text a place of the merged configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    texts: Vec<(String, Lines)>,
    /// For each member of the top: the texts that make it, and how many items each adds to a list.
    of: BTreeMap<String, Vec<(usize, usize)>>,
}

/// Lists that grow with each text.
const LISTS: &[&str] = &["env_template", "listener", "template"];

/// Lays documents over each other as Vault Agent does with several `-config`: later settings and blocks
/// replace earlier ones, templates and listeners add up.
///
/// A setting that is empty, false or zero replaces nothing: there is no way to take back what an earlier
/// file says.
pub fn merge(sources: Vec<Source>) -> (Json, Origins) {
    let mut merged = BTreeMap::new();
    let mut origins = Origins::default();
    for (number, Source { name, document, lines }) in sources.into_iter().enumerate() {
        origins.texts.push((name, lines));
        let Json::Object(members) = document else { return (document, origins) };
        for (key, value) in members {
            let count = value.as_array().map_or(1, <[Json]>::len);
            let made_of = origins.of.entry(key.clone()).or_default();
            let value = match merged.remove(&key) {
                Some(before) if LISTS.contains(&key.as_str()) => {
                    made_of.push((number, count));
                    Json::Array(items(before).into_iter().chain(items(value)).collect())
                }
                Some(before) if says_nothing(&value) || is_false(&value) => before,
                Some(_) | None => {
                    *made_of = vec![(number, count)];
                    value
                }
            };
            merged.insert(key, value);
        }
    }
    (Json::Object(merged), origins)
}

impl Origins {
    /// A mistake with the name of its text and the line, where they are known, and its place as it is in
    /// that text.
    pub fn describe(&self, error: &ConfigError) -> String {
        let place = error.place.as_str();
        let (key, inside) = place.split_at(place.find(['.', '[']).unwrap_or(place.len()));
        let Some(made_of) = self.of.get(key) else { return self.of_all(error) };
        let (number, rest) = inside
            .strip_prefix('[')
            .and_then(|inside| inside.split_once(']'))
            .and_then(|(number, rest)| Some((number.parse::<usize>().ok()?, rest)))
            .unwrap_or((0, inside));
        let mut left = number;
        for (text, count) in made_of {
            if left < *count {
                let Some((name, lines)) = self.texts.get(*text) else { break };
                let is_list = inside.starts_with('[') && *count > 1;
                let place =
                    if is_list { format!("{key}[{left}]{rest}") } else { format!("{key}{rest}") };
                let line = lines.of(&place).map(|line| format!("line {line}: "));
                return format!("{name}: {}{place}: {}", line.unwrap_or_default(), error.reason);
            }
            left -= count;
        }
        self.of_all(error)
    }

    /// A mistake of no text alone: what is missing is missing in all of them.
    fn of_all(&self, error: &ConfigError) -> String {
        match self.texts.as_slice() {
            [(name, _)] if !is_variable(&error.place) => format!("{name}: {error}"),
            _ => error.to_string(),
        }
    }
}

fn is_variable(place: &str) -> bool {
    place.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

fn is_false(value: &Json) -> bool {
    value.as_str().and_then(parse_truth) == Some(false)
}

fn items(value: Json) -> Vec<Json> {
    if let Json::Array(items) = value { items } else { vec![value] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(texts: &[&str]) -> (Json, Origins) {
        let names = ["/a.hcl", "/b.hcl", "/c.json"];
        let sources = texts.iter().zip(names);
        merge(sources.map(|(text, name)| Source::parse(name, text.as_bytes()).unwrap()).collect())
    }

    #[test]
    fn later_documents_replace_blocks_and_add_templates() {
        let (merged, _) = merged(&[
            r#"{"a":1,"vault":{"address":"x"},"template":{"n":1}}"#,
            r#"{"a":2,"template":[{"n":2}]}"#,
        ]);
        let text = r#"{"a":2,"template":[{"n":1},{"n":2}],"vault":{"address":"x"}}"#;
        assert_eq!(merged.to_text(), text);
    }

    #[test]
    fn what_says_nothing_takes_nothing_back() {
        let merged = |first: &str, second: &str| merged(&[first, second]).0.to_text();
        for nothing in ["false", "0", r#""""#, "null", r#""false""#] {
            let second = format!(r#"{{"exit_after_auth":{nothing}}}"#);
            let first = r#"{"exit_after_auth":true}"#;
            assert_eq!(merged(first, &second), first);
        }
        assert_eq!(merged(r#"{"pid_file":"/a"}"#, r#"{"pid_file":"/b"}"#), r#"{"pid_file":"/b"}"#);
        assert_eq!(merged(r#"{"vault":{"address":"a"}}"#, r#"{"vault":{}}"#), r#"{"vault":{}}"#);
    }

    #[test]
    fn a_mistake_names_the_file_and_the_line() {
        let (_, origins) = merged(&[
            "\ntemplate {\n}\nvault {\n  address = 1\n}\n",
            "template {\n  contents = 1\n}\n\ntemplate {\n  perms = 9\n}\nvault {\n  address = 2\n}\n",
            "{\"template\":{}, \"pid_file\": \"x\"}",
        ]);
        for (place, told) in [
            ("template[0].destination", "/a.hcl: line 2: template.destination: wrong"),
            ("template[1].contents", "/b.hcl: line 2: template[0].contents: wrong"),
            ("template[2].perms", "/b.hcl: line 6: template[1].perms: wrong"),
            ("template[3].perms", "/c.json: template.perms: wrong"),
            ("template[9].perms", "template[9].perms: wrong"),
            ("vault.address", "/b.hcl: line 9: vault.address: wrong"),
            ("vault.ca_cert", "/b.hcl: line 8: vault.ca_cert: wrong"),
            ("pid_file", "/c.json: pid_file: wrong"),
            ("auto_auth", "auto_auth: wrong"),
            ("VAULT_RATE_LIMIT", "VAULT_RATE_LIMIT: wrong"),
        ] {
            let error = ConfigError { place: place.to_owned(), reason: "wrong".to_owned() };
            assert_eq!(origins.describe(&error), told);
        }
        let (_, one) = merged(&["vault {}"]);
        let error =
            |place: &str| ConfigError { place: place.to_owned(), reason: "wrong".to_owned() };
        assert_eq!(one.describe(&error("auto_auth")), "/a.hcl: auto_auth: wrong");
        assert_eq!(one.describe(&error("VAULT_ADDR")), "VAULT_ADDR: wrong");
    }

    #[test]
    fn quotes_inside_of_quotes_are_told_in_json_too() {
        for (text, is_told) in [
            (r#"{"contents": "{{ with secret "kv/a" }}"}"#, true),
            (r#"{"contents": "{{ secret " kv/a" }}"}"#, true),
            (r#"{"command": ["sh", "echo "x""]}"#, true),
            (r#"{"contents": "a" "b": 1}"#, true),
            (r#"{"contents": "a",}"#, false),
            (r#"{"contents": x}"#, false),
            (r#"{"contents": "x""#, false),
        ] {
            let error = Source::parse("c", text.as_bytes()).unwrap_err();
            assert_eq!(error.contains("a quote inside"), is_told, "{text}: {error}");
            assert!(error.starts_with("c: not JSON at line 1 column "), "{error}");
        }
    }
}
