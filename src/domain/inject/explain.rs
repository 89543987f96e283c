//! What a decision rests on, line by line, for people.

use super::annotations::{KEYS, Notes, PREFIX, Source};
use super::problems::Shown;
use super::review::{Metadata, Pod};
use super::{Flavor, InjectConfig, Outcome, Verdict};
use crate::base::json::Json;

/// The settings with their sources, then what is added.
pub(crate) fn lines(object: &str, outcome: &Outcome, config: &InjectConfig) -> Vec<String> {
    let Ok(pod) = serde_json::from_str::<Pod<'_>>(object) else { return Vec::new() };
    if outcome.verdict == Verdict::Skip {
        return Vec::new();
    }
    let nothing = Metadata::default();
    let metadata = pod.metadata.as_ref().unwrap_or(&nothing);
    let notes = Notes::read(&metadata.annotations, config);
    let flavor = if notes.flavor() == Flavor::Native { "native" } else { "vault" };
    let mut lines = vec![format!("agent flavour {flavor}")];
    for row in KEYS {
        let value = notes.text(row.key);
        let source = match (notes.given(row.key), row.source) {
            (Some(_), _) => "annotation".to_owned(),
            (None, Source::Process(name, _)) => format!("default, AGENT_INJECT_{name}"),
            (None, Source::Fixed(_) | Source::Nothing) => "default".to_owned(),
        };
        if !row.name.ends_with('-') && (notes.given(row.key).is_some() || !value.is_empty()) {
            lines.push(format!("reads {}: {} ({source})", row.name, Shown(&value)));
        }
    }
    for (key, raw, value) in notes.families() {
        lines.push(format!("reads {}{raw}: {} (annotation)", key.row().name, Shown(value)));
    }
    for name in notes.unknown() {
        lines.push(format!("ignores {PREFIX}{name}"));
    }
    let patch = Json::parse(outcome.patch.as_bytes()).ok();
    for operation in patch.as_ref().and_then(Json::as_array).unwrap_or_default() {
        let path = operation.get("path").and_then(Json::as_str).unwrap_or_default();
        let added = operation.get("value").map(summary).unwrap_or_default();
        lines.push(format!("adds {path}: {added}"));
    }
    lines
}

/// The names in a value, or the value itself when it is short by nature.
fn summary(value: &Json) -> String {
    match value {
        Json::Array(items) => items.iter().map(summary).collect::<Vec<_>>().join(", "),
        Json::Object(_) => {
            let part = |name: &str| value.get(name).and_then(Json::as_str);
            let name = part("name").unwrap_or_default();
            let more = part("mountPath").or_else(|| part("image"));
            more.map_or_else(|| name.to_owned(), |more| format!("{name} ({more})"))
        }
        other => other.to_text(),
    }
}
