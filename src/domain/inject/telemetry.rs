//! `agent-telemetry-*`: settings of Vault's `telemetry` stanza, checked one by one.

use super::annotations::{Key, Notes};
use super::json_text::JsonText;
use super::problems::Problems;
use crate::base::json::Json;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Flag,
    Int,
    List,
    Text,
}

use Type::{Flag, Int, List, Text};

/// The stanza's fields in the order of Vault's own structure.
const FIELDS: [(&str, Type); 31] = [
    ("usage_gauge_period", Text),
    ("maximum_gauge_cardinality", Int),
    ("disable_hostname", Flag),
    ("enable_hostname_label", Flag),
    ("lease_metrics_epsilon", Text),
    ("num_lease_metrics_buckets", Int),
    ("add_lease_metrics_namespace_labels", Flag),
    ("filter_default", Flag),
    ("prefix_filter", List),
    ("statsite_address", Text),
    ("statsd_address", Text),
    ("circonus_api_token", Text),
    ("circonus_api_app", Text),
    ("circonus_api_url", Text),
    ("circonus_submission_interval", Text),
    ("circonus_submission_url", Text),
    ("circonus_check_id", Text),
    ("circonus_check_force_metric_activation", Flag),
    ("circonus_check_instance_id", Text),
    ("circonus_check_search_tag", Text),
    ("circonus_check_display_name", Text),
    ("circonus_check_tags", Text),
    ("circonus_broker_id", Text),
    ("circonus_broker_select_tag", Text),
    ("dogstatsd_addr", Text),
    ("dogstatsd_tags", List),
    ("prometheus_retention_time", Text),
    ("stackdriver_project_id", Text),
    ("stackdriver_location", Text),
    ("stackdriver_namespace", Text),
    ("stackdriver_debug_logs", Flag),
];

/// Bytes of one setting.
const VALUE_BYTES_MAX: usize = 1 << 16;

/// The stanza as JSON, or nothing when no annotation asks for one.
///
/// Values are not quoted in problems: one of them is an API token.
pub(crate) fn stanza(
    notes: &Notes<'_>,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> Option<String> {
    let mut values: [Option<String>; FIELDS.len()] = [const { None }; FIELDS.len()];
    let mut any = false;
    let mut whole = true;
    for (raw, text) in notes.family(Key::Telemetry) {
        any = true;
        let name = raw.replace('-', "_");
        let slot = FIELDS.iter().zip(&mut values).find(|((n, _), _)| n.eq_ignore_ascii_case(&name));
        let Some(((_, wanted), slot)) = slot else { continue };
        if text.len() > VALUE_BYTES_MAX {
            let clause = format_args!("is longer than {VALUE_BYTES_MAX} bytes");
            problems.note(Key::Telemetry.of(raw), clause);
            continue;
        }
        let parsed = Json::parse(text.as_bytes()).ok();
        let bare = parsed.is_none();
        let value = parsed.unwrap_or_else(|| Json::String(text.to_owned()));
        match fit(*wanted, &value) {
            Ok(json) => *slot = json,
            // Pods with a bare comma list run today, without telemetry; they must go on running.
            Err(want) if bare && *wanted == List => {
                whole = false;
                warnings
                    .push(format!("{} is not {want}: telemetry is off", Key::Telemetry.of(raw)));
            }
            Err(want) => problems.note(Key::Telemetry.of(raw), format_args!("is not {want}")),
        }
    }
    (any && whole).then(|| {
        let mut out = JsonText::default();
        out.object(|out| {
            for ((name, _), value) in FIELDS.iter().zip(&values) {
                if let Some(value) = value {
                    out.key(name).raw(value);
                }
            }
        });
        out.into_text()
    })
}

/// The JSON to write, nothing for a zero value, or what was wanted instead.
fn fit(wanted: Type, value: &Json) -> Result<Option<String>, &'static str> {
    let mut out = JsonText::default();
    match (wanted, value) {
        (_, Json::Null) | (Flag, Json::Bool(false)) => return Ok(None),
        (Flag, Json::Bool(true)) => out.raw("true"),
        (Text, Json::String(text)) if text.is_empty() => return Ok(None),
        (Text, Json::String(text)) => out.string(text),
        (List, Json::Array(items)) if items.is_empty() => return Ok(None),
        (List, Json::Array(items)) if items.iter().all(|item| item.as_str().is_some()) => {
            out.array(|out| {
                items.iter().filter_map(Json::as_str).for_each(|item| out.string(item))
            });
        }
        (Int, Json::Number(text)) => match whole_number(text) {
            Some(0) => return Ok(None),
            Some(number) => out.raw(&number.to_string()),
            None => return Err("a whole number"),
        },
        (Flag, _) => return Err("true or false"),
        (Int, _) => return Err("a whole number"),
        (List, _) => return Err("a JSON list of strings, such as [\"+a\",\"-b\"]"),
        (Text, _) => return Err("a text: put JSON quotes around it, such as \"24h\""),
    }
    Ok(Some(out.into_text()))
}

/// `3`, `3.0` and `3e0`.
fn whole_number(text: &str) -> Option<i64> {
    let float = || {
        // Above 2^53 a float is no longer sure of its last digits.
        let value: f64 = text.parse().ok()?;
        let sure = value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0;
        sure.then(|| format!("{value}").parse().ok())?
    };
    text.parse().ok().or_else(float)
}
