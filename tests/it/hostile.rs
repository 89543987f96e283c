//! Hostile templates end by their budget. Here with a small share of it, since this is no release build;
//! `tests/fuzz/hostile.py` measures time and memory of a whole one.

use std::time::{Duration, Instant};

use vault_injector::base::json::Json;
use vault_injector::domain::template::{Budget, Outcome, Snapshot, Template};

/// A fiftieth of the steps that the program gives.
const BUDGET: Budget = Budget { steps: 200_000, depth: 250, output_bytes: 8 * 1024 * 1024 };

/// Twenty milliseconds of work, without optimisation and beside other tests.
const WITHIN: Duration = Duration::from_secs(15);

fn all_end(part: usize) {
    let rows: Vec<&str> = include_str!("../fuzz/hostile.jsonl").lines().collect();
    assert!(rows.len() > 100, "looked in the wrong place");
    for row in rows.into_iter().skip(part).step_by(4) {
        let row = Json::parse(row.as_bytes()).unwrap();
        let text = |name: &str| row.get(name).and_then(Json::as_str).unwrap();
        let start = Instant::now();
        let times = row.get("repeat").and_then(Json::as_u64).unwrap_or(1);
        let hostile = text("t").repeat(usize::try_from(times).unwrap());
        if let Ok(template) = Template::parse("t", &hostile, "", "", BUDGET) {
            let snapshot = Snapshot { complete: true, ..Snapshot::default() };
            let outcome = template.render(&snapshot, false, BUDGET);
            assert!(!matches!(outcome, Outcome::Lack { .. }), "{}", text("name"));
        }
        assert!(start.elapsed() < WITHIN, "{}: {:?}", text("name"), start.elapsed());
    }
}

#[test]
fn hostile_templates_end_1() {
    all_end(0);
}

#[test]
fn hostile_templates_end_2() {
    all_end(1);
}

#[test]
fn hostile_templates_end_3() {
    all_end(2);
}

#[test]
fn hostile_templates_end_4() {
    all_end(3);
}
