//! Any template over a known snapshot.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use vault_injector::base::json::Json;
use vault_injector::base::time::Wall;
use vault_injector::domain::template::{Budget, Found, Outcome, Snapshot, Template, Want};
use vault_injector::domain::vault::Reading;

use super::Input;

/// A thousandth of what the program gives a template.
const BUDGET: Budget = Budget { steps: 10_000, depth: 100, output_bytes: 16 * 1024 };

/// Processor time: ten milliseconds of work, with room for slow machines and instrumented code.
const WITHIN: Duration = Duration::from_millis(250);

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(snapshot);

/// The secrets of the recorded renderings.
fn snapshot() -> Snapshot {
    let head = include_str!("../../golden/template.jsonl").lines().next().expect("a first line");
    let head = Json::parse(head.as_bytes()).expect("JSON");
    let data = head.get("data").expect("data");
    let mut snapshot = Snapshot { now: Some(Wall(1_700_000_000_123)), ..Snapshot::default() };
    for (path, text) in data.get("secrets_text").and_then(Json::as_object).expect("secrets") {
        let response = Json::parse(text.as_str().unwrap().as_bytes()).expect("a response");
        let reading = Reading::decode(&response).expect("a reading");
        let want = Want::Read { path: path.clone() };
        snapshot.found.insert(want, Found::Reading(Arc::new(reading)));
    }
    snapshot.env.insert("HOME".into(), "/root".into());
    snapshot
}

/// The first byte chooses the settings, the rest is the template.
pub fn check(input: &[u8]) {
    let mut input = Input(input);
    let choice = input.byte();
    let text = String::from_utf8_lossy(input.0);
    let start = processor_time();
    let first = rendered(&text, choice);
    let took = processor_time().saturating_sub(start);
    assert!(took <= WITHIN, "the budget does not stop it within {WITHIN:?}");
    assert!(first == rendered(&text, choice), "another output for the same template");
}

/// What this thread has had of a processor: a machine that does something else for a while is no reason to
/// fail. See proc(5), `schedstat`.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux's statistics");
    let nanoseconds = text.split(' ').next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanoseconds.expect("nanoseconds"))
}

fn rendered(text: &str, choice: u8) -> Result<Vec<u8>, String> {
    let (left, right) = if choice & 1 == 0 { ("", "") } else { ("<", ">") };
    let template = Template::parse("t", text, left, right, BUDGET).map_err(|e| e.to_string())?;
    let snapshot = Snapshot { complete: choice & 2 == 0, ..SNAPSHOT.clone() };
    match template.render(&snapshot, choice & 4 != 0, BUDGET) {
        Outcome::Done(done) => {
            let text = done.text.expose();
            assert!(text.len() <= BUDGET.output_bytes, "{} bytes", text.len());
            Ok(text.to_vec())
        }
        Outcome::Lack { lacking, used } => {
            assert!(!snapshot.complete && lacking.is_subset(&used));
            Err("lacks something".into())
        }
        Outcome::Fail(error, _) => {
            assert!(error.line > 0 && error.column > 0, "an error without a place");
            Err(error.to_string())
        }
    }
}
