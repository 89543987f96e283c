//! The webhook under load, one processor for it and another for the load generator.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::siege::{self, Besiegers, Target};
use crate::support::webhook::Webhook;
use crate::{Effort, Row, proc};

/// Bytes of the review, those of a pod with a few containers.
const REVIEW_BYTES: usize = 12_288;
/// Connections of the load generator; an API server keeps a handful.
const CONNECTIONS: usize = 16;
/// The peer's figures, recorded on a machine of two processors: it cannot be had from a registry.
const PEER: &str = "vault-k8s, recorded";

/// A review of exactly `REVIEW_BYTES` bytes for a pod that asks for two files.
fn review() -> String {
    let variables: Vec<Value> = (0..60)
        .map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("value of setting {n}")}))
        .collect();
    let mut review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop",
            "operation": "CREATE",
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "generateName": "web-",
                    "namespace": "shop",
                    "annotations": {
                        "vault.hashicorp.com/agent-inject": "true",
                        "vault.hashicorp.com/role": "app",
                        "vault.hashicorp.com/agent-inject-secret-db": "database/creds/app",
                        "vault.hashicorp.com/agent-inject-template-db":
                            "{{ with secret \"database/creds/app\" }}{{ .Data.password }}{{ end }}",
                        "vault.hashicorp.com/agent-inject-secret-app": "secret/data/app",
                        "padding": "",
                    },
                },
                "spec": {
                    "serviceAccountName": "app",
                    "containers": [{
                        "name": "app",
                        "image": "registry.example/app:1",
                        "env": variables,
                        "volumeMounts": [{
                            "name": "kube-api-access-abcde",
                            "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                            "readOnly": true,
                        }],
                    }],
                    "volumes": [{
                        "name": "kube-api-access-abcde",
                        "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]},
                    }],
                },
            },
        },
    });
    let missing = REVIEW_BYTES - review.to_string().len();
    review["request"]["object"]["metadata"]["annotations"]["padding"] = json!("x".repeat(missing));
    let text = review.to_string();
    assert_eq!(text.len(), REVIEW_BYTES);
    text
}

/// Requests as `h2load` saw them.
struct Load {
    per_second: f64,
    /// Microseconds of each request.
    times: Vec<f64>,
}

/// Sends reviews from processor 1 with `options` and waits for the last answer.
fn load(folder: &Path, port: u16, options: &[String]) -> Load {
    let log = folder.join("requests.log");
    let done = Command::new("taskset")
        .args(["-c", "1", "h2load", "--h1", "-t", "1", "-c", &CONNECTIONS.to_string()])
        .args(["-H", "content-type: application/json", "-d"])
        .arg(folder.join("review.json"))
        .arg(format!("--log-file={}", log.display()))
        .args(options)
        .arg(format!("https://127.0.0.1:{port}/mutate?timeout=10s"))
        .stdin(Stdio::null())
        .output()
        .expect("h2load: run tests/tools/h2load");
    let report = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{report}");
    let text = std::fs::read_to_string(&log).expect("h2load's log");
    std::fs::remove_file(&log).expect("remove h2load's log");
    let mut times = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(fields[1], "200", "an answer that is none: {line}");
        times.push(fields[2].parse().expect("microseconds"));
    }
    assert!(!times.is_empty(), "{report}");
    let per_second = report.split(" req/s").next().and_then(|before| before.rsplit(' ').next());
    Load { per_second: per_second.and_then(|text| text.parse().ok()).unwrap_or(0.0), times }
}

/// Reviews as fast as they go, then at a fixed rate.
pub(crate) fn measure(effort: Effort) -> Vec<Row> {
    let env =
        [("AGENT_INJECT_LOG_LEVEL", "error"), ("AGENT_INJECT_VAULT_ADDR", "https://vault:8200")];
    let webhook = Webhook::start(&["taskset", "-c", "0"], &env);
    let (folder, port, pid) = (&webhook.scratch, webhook.port, webhook.process.id());
    folder.write("review.json", review());
    // Warms up, and proves that each answer is 200.
    load(folder.path(), port, &["-n".into(), "500".into()]);

    let before = proc::cpu(pid);
    let mut full = load(folder.path(), port, &["-n".into(), effort.reviews.to_string()]);
    #[expect(clippy::cast_precision_loss, reason = "a figure to show")]
    let each = (proc::cpu(pid) - before).as_secs_f64() * 1e6 / full.times.len() as f64;

    // 1,000 per second over all connections, which start a millisecond apart: else all of them would send
    // in the same instant, 60 times a second.
    let rate = 1000 / CONNECTIONS;
    let total = 1000 * effort.paced_seconds;
    let options = [
        format!("--rps={rate}"),
        "--rate=1".into(),
        "--rate-period=1ms".into(),
        format!("-n{total}"),
    ];
    let mut paced = load(folder.path(), port, &options);
    std::thread::sleep(Duration::from_secs(2));
    let resident = proc::field(pid, "status", "VmRSS") / 1024.0;

    let row = |what, ours, unit, peer: Option<f64>, budget| Row {
        what,
        ours,
        unit,
        peer: peer.map(|value| (PEER, value)),
        budget,
        is_clock_time: unit == "ms",
    };
    let median = |times: &mut [f64]| proc::percentile(times, 0.5) / 1000.0;
    let p99 = |times: &mut [f64]| proc::percentile(times, 0.99) / 1000.0;
    vec![
        row("webhook: processor time per review", each, "µs", Some(820.0), Some(130.0)),
        row("webhook: reviews per second on one core", full.per_second, "1/s", Some(1200.0), None),
        row("webhook: full load, median", median(&mut full.times), "ms", None, None),
        row("webhook: full load, 99th percentile", p99(&mut full.times), "ms", None, None),
        row("webhook: 1,000 per second, median", median(&mut paced.times), "ms", None, None),
        row(
            "webhook: 1,000 per second, 99th percentile",
            p99(&mut paced.times),
            "ms",
            None,
            Some(2.0),
        ),
        row("webhook: resident memory afterwards", resident, "MiB", Some(43.0), Some(12.0)),
    ]
}

/// Reviews and probes while one address does what it can: idle connections, half handshakes, bodies that trickle,
/// and the largest bodies without a pause.
pub(crate) fn besiege(effort: Effort) -> Vec<Row> {
    let webhook = Webhook::start(&[], &[("AGENT_INJECT_VAULT_ADDR", "https://vault:8200")]);
    let target = Target { address: ([127, 0, 0, 1], webhook.port).into(), trust: webhook.trust() };
    let lasts = Duration::from_secs(effort.paced_seconds.max(10));
    let all = Besiegers { idle: 4500, half_handshakes: 1000, trickling: 100, large: 8 };
    let mut seen = siege::lay(&target, all, lasts);
    let peak = proc::field(webhook.process.id(), "status", "VmHWM") / 1024.0;
    let row = |what, ours, unit, budget| Row {
        what,
        ours,
        unit,
        peer: None,
        budget: Some(budget),
        is_clock_time: unit == "ms",
    };
    #[expect(clippy::cast_precision_loss, reason = "a figure to show")]
    let lost = seen.lost as f64;
    vec![
        row(
            "siege: reviews, 99th percentile",
            proc::percentile(&mut seen.reviews, 0.99),
            "ms",
            100.0,
        ),
        row("siege: slowest probe", proc::percentile(&mut seen.probes, 1.0), "ms", 100.0),
        row("siege: lost", lost, "", 0.0),
        row("siege: most resident memory", peak, "MiB", 76.8),
    ]
}
