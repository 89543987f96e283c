//! What a render costs: allocations, counted, and processor time with room for a busy machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vault_injector::base::json::Json;
use vault_injector::domain::template::{Budget, Found, Outcome, Snapshot, Template, Want};
use vault_injector::domain::vault::Reading;

use crate::support::memory;

const BUDGET: Budget = Budget { steps: 10_000_000, depth: 250, output_bytes: 16 * 1024 * 1024 };

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot { complete: true, ..Snapshot::default() };
    for (path, data) in [
        ("database/creds/app", r#"{"username":"v-app-x1","password":"p@ss-w0rd"}"#),
        ("secret/wide", &wide()),
    ] {
        let response =
            format!(r#"{{"lease_id":"l","lease_duration":3600,"renewable":true,"data":{data}}}"#);
        let reading = Reading::decode(&Json::parse(response.as_bytes()).unwrap()).unwrap();
        snapshot
            .found
            .insert(Want::Read { path: path.to_owned() }, Found::Reading(Arc::new(reading)));
    }
    snapshot
}

/// A secret with many keys.
fn wide() -> String {
    let members: Vec<String> = (0..200).map(|i| format!("\"key{i:03}\":\"value {i}\"")).collect();
    format!("{{{}}}", members.join(","))
}

const URL: &str = "{{ with secret \"database/creds/app\" }}\
    postgres://{{ .Data.username }}:{{ .Data.password }}@db.example.com:5432/shop?sslmode=verify-full\n{{ end }}";
const LINES: &str = "{{ with secret \"secret/wide\" }}{{ range $k, $v := .Data }}{{ $k }}={{ $v }}\n{{ end }}{{ end }}";

fn parsed(text: &str) -> Template {
    Template::parse("t", text, "", "", BUDGET).unwrap()
}

fn render(template: &Template, snapshot: &Snapshot) -> usize {
    match template.render(snapshot, false, BUDGET) {
        Outcome::Done(done) => done.text.expose().len(),
        _ => panic!("does not render"),
    }
}

/// Allocations of one render, once it has settled.
fn allocations(text: &str) -> usize {
    let (template, snapshot) = (parsed(text), snapshot());
    let one = || memory::measure(|| assert!(render(&template, &snapshot) > 0)).allocations;
    let first = one();
    assert!((0..5).all(|_| one() == first), "renders differ in what they allocate");
    first
}

#[test]
fn a_render_allocates_for_itself_and_not_for_what_it_prints() {
    let url = allocations(URL);
    // The output, what is open, and the map of the secret, which a template may change.
    assert_eq!(url, 3, "allocations for a database URL");
    assert_eq!(allocations("{{ env \"HOME\" }}x"), 2, "allocations for an output alone");
    // The list of the entries, what goes over it, the two variables, and an output that doubles as it grows.
    let lines = allocations(LINES);
    assert!(lines <= url + 10, "{lines} allocations for 200 lines");
}

/// A template is parsed once: rendering again must not come near the cost of parsing.
#[test]
fn ten_thousand_renders_fit_into_a_second() {
    let (template, snapshot) = (parsed(URL), snapshot());
    // The best of some: other processes may take the processor for a while. This profile is slower than a
    // release by far, so nothing is left to chance there.
    let batch = || {
        let start = Instant::now();
        (0..100).for_each(|_| assert!(render(&template, &snapshot) > 0));
        start.elapsed()
    };
    let best = (0..50).map(|_| batch()).min().unwrap();
    assert!(best < Duration::from_millis(10), "{best:?} for 100 renders");
}
