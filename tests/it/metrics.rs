//! What a scraper gets is what the text exposition format says, read by a parser that forgives nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::webhook::{JSON, Webhook, review};

/// Name with suffix, labels, value.
type Sample = (String, Vec<(String, String)>, f64);

#[derive(Debug)]
struct Family {
    kind: String,
    samples: Vec<Sample>,
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `name{label="text",…} value`
fn sample(line: &str) -> Result<Sample, String> {
    let wrong = |what: &str| format!("{what}: {line}");
    let end = line.find(['{', ' ']).ok_or_else(|| wrong("no value"))?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or_else(|| wrong("no label"))?;
            if !is_name(label) || labels.iter().any(|(known, _)| known == label) {
                return Err(wrong("label"));
            }
            let mut text = String::new();
            let mut chars = after.char_indices();
            let close = loop {
                match chars.next().ok_or_else(|| wrong("open quote"))? {
                    (i, '"') => break i,
                    (_, '\\') => match chars.next().map(|(_, c)| c) {
                        Some('n') => text.push('\n'),
                        Some(c @ ('\\' | '"')) => text.push(c),
                        _ => return Err(wrong("escape")),
                    },
                    (_, c) => text.push(c),
                }
            };
            labels.push((label.to_owned(), text));
            rest = after.get(close + 1..).unwrap_or_default();
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            rest = rest.strip_prefix(',').ok_or_else(|| wrong("no comma"))?;
        }
    }
    let value = rest.strip_prefix(' ').ok_or_else(|| wrong("no blank"))?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        // Rust reads words and signs that the format does not have.
        _ if value.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            value.parse().map_err(|error| format!("{error}: {line}"))?
        }
        _ => return Err(wrong("value")),
    };
    if !is_name(name) {
        return Err(wrong("name"));
    }
    Ok((name.to_owned(), labels, value))
}

fn parse(text: &str) -> Result<BTreeMap<String, Family>, String> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let mut seen = BTreeSet::new();
    let mut lines = text.strip_suffix('\n').ok_or("no line end at the end")?.split('\n');
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').ok_or("HELP without text")?;
            let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} ")));
            let kind = kind.ok_or_else(|| format!("no TYPE after HELP of {name}"))?;
            let known = ["counter", "gauge", "histogram"].contains(&kind);
            if !is_name(name) || words.is_empty() || !known {
                return Err(format!("HELP or TYPE of {name}"));
            }
            if (kind == "counter") != name.ends_with("_total") {
                return Err(format!("{name} is a {kind}"));
            }
            current = name.to_owned();
            let family = Family { kind: kind.to_owned(), samples: Vec::new() };
            if families.insert(current.clone(), family).is_some() {
                return Err(format!("{name} twice"));
            }
            continue;
        }
        let sample = sample(line)?;
        let family = families.get_mut(&current).ok_or_else(|| format!("no HELP before {line}"))?;
        let suffix = sample.0.strip_prefix(&current).ok_or_else(|| format!("stray {line}"))?;
        let fits = match family.kind.as_str() {
            "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
            _ => suffix.is_empty(),
        };
        if !fits || !seen.insert(line.rsplit_once(' ').unwrap().0.to_owned()) {
            return Err(format!("stray or twice: {line}"));
        }
        if family.kind == "counter" && (sample.2 < 0.0 || !sample.2.is_finite()) {
            return Err(format!("no count: {line}"));
        }
        family.samples.push(sample);
    }
    for (name, family) in &families {
        if family.samples.is_empty() {
            return Err(format!("{name} has no sample"));
        }
        if family.kind == "histogram" {
            histogram(name, family)?;
        }
    }
    Ok(families)
}

fn histogram(name: &str, family: &Family) -> Result<(), String> {
    let bound = |text: &str| if text == "+Inf" { f64::INFINITY } else { text.parse().unwrap() };
    let buckets: Vec<(f64, f64)> = family
        .samples
        .iter()
        .filter(|(name, ..)| name.ends_with("_bucket"))
        .map(|(_, labels, value)| (bound(&labels[0].1), *value))
        .collect();
    let rises = buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
    let count = family.samples.iter().find(|(name, ..)| name.ends_with("_count"));
    let last = buckets.last().ok_or("no buckets")?;
    if !rises || last.0 != f64::INFINITY || count.map(|(.., value)| *value) != Some(last.1) {
        return Err(format!("buckets of {name}: {buckets:?}"));
    }
    Ok(())
}

#[test]
fn the_parser_forgives_nothing() {
    let head = "# HELP a_total A.\n# TYPE a_total counter\n";
    assert!(parse(&format!("{head}a_total{{b=\"\\\\\\\"\\n\"}} 1\n")).is_ok());
    for wrong in [
        "a_total 1\n".to_owned(),
        format!("{head}a_total 1"),
        format!("{head}a_total x\n"),
        format!("{head}a_total NaN\n"),
        format!("{head}a_total{{b=\"\\q\"}} 1\n"),
        format!("{head}a_total{{b=\"1\" 1\n"),
        format!("{head}a_total{{b=\"1\"}}1\n"),
        format!("{head}a_total 1\na_total 1\n"),
        format!("{head}b_total 1\n"),
        format!("{head}a_total 1\n\n"),
        head.to_owned(),
        format!("{head}a_total 1\n{head}a_total 1\n"),
        "# HELP a A.\n# TYPE a counter\na 1\n".to_owned(),
        "# HELP a_total A.\na_total 1\n".to_owned(),
        "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n"
            .to_owned(),
    ] {
        assert!(parse(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn every_line_is_what_prometheus_reads() {
    let webhook = Webhook::start(&[]);
    let notes = |role: &str| format!(r#""vault.hashicorp.com/agent-inject":"true"{role}"#);
    let role = r#","vault.hashicorp.com/role":"app""#;
    for (namespace, notes) in [
        ("web", notes(role)),
        ("shop-1", notes(role)),
        ("bank", notes("")),
        // No namespace, so no review: it is counted nowhere.
        ("we\\\"b\\n", notes(role)),
        ("", String::new()),
    ] {
        webhook.ask("POST /mutate", JSON, &review(namespace, &notes));
    }
    webhook.ask("POST /mutate", JSON, b"");
    let reply = webhook.ask("GET /metrics", &[], b"");
    let kind = reply.header("content-type");
    assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
    let families = parse(&reply.text()).unwrap_or_else(|error| panic!("{error}"));
    let value = |name: &str, want: &[(&str, &str)]| {
        let family = families.get(name).unwrap_or_else(|| panic!("no {name}"));
        let found = family.samples.iter().find(|(_, labels, _)| {
            labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(want.iter().copied())
        });
        found.unwrap_or_else(|| panic!("{name} has no {want:?}: {family:?}")).2
    };
    let injected = "vault_agent_injector_injections_by_namespace_total";
    for namespace in ["web", "shop-1"] {
        let labels = [("namespace", namespace), ("injection_type", "init_and_sidecar")];
        assert_eq!(value(injected, &labels), 1.0);
    }
    let failed = "vault_agent_injector_failed_injections_by_namespace_total";
    assert_eq!(value(failed, &[("namespace", "bank")]), 1.0);
    assert_eq!(families[injected].samples.len(), 2);
    assert_eq!(value("vault_agent_injector_request_queue_length", &[]), 0.0);
    assert!(families.contains_key("vault_agent_injector_request_processing_duration_ms"));
    // As Prometheus' own clients have them.
    assert!(value("process_cpu_seconds_total", &[]) >= 0.0);
    assert!((1e6..1e8).contains(&value("process_resident_memory_bytes", &[])));
    assert!(value("process_virtual_memory_bytes", &[]) > 1e6);
    assert!((5.0..100.0).contains(&value("process_open_fds", &[])));
    assert!(value("process_max_fds", &[]) > value("process_open_fds", &[]));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let age = now.as_secs_f64() - value("process_start_time_seconds", &[]);
    assert!((-2.0..120.0).contains(&age), "started {age} s ago");
}
