//! The webhook under load, one processor for it and another for the load generator.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::review::review;
use crate::siege::{self, Besiegers, Target};
use crate::support::agent::ours;
use crate::support::temp_dir::TempDir;
use crate::support::webhook::Webhook;
use crate::{Effort, Row, proc};

/// Connections of the load generator; an API server keeps a handful.
const CONNECTIONS: usize = 16;
/// Reviews come in so many turns, ours and the peer's one after the other, so that what else the machine does
/// hits both.
const TURNS: usize = 5;
/// The peer gets a part of the reviews, since each takes it many times as long.
const PEERS_PART: usize = 8;

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

/// What one side was seen to take.
struct Side {
    webhook: Webhook,
    /// Microseconds of processor time per review, of each turn.
    each: Vec<f64>,
    /// Reviews per second, of each turn.
    per_second: Vec<f64>,
    /// Microseconds of each review at full load.
    times: Vec<f64>,
    /// The same at 1,000 a second.
    paced: Vec<f64>,
}

impl Side {
    fn of(webhook: Webhook) -> Self {
        webhook.scratch.write("review.json", review());
        let side = Self { webhook, each: vec![], per_second: vec![], times: vec![], paced: vec![] };
        // Warms up, and proves that each answer is 200.
        side.load(&["-n".into(), "500".into()]);
        side
    }

    fn load(&self, options: &[String]) -> Load {
        load(self.webhook.scratch.path(), self.webhook.port, options)
    }

    /// Reviews as fast as they go.
    fn turn(&mut self, reviews: usize) {
        let pid = self.webhook.process.id();
        let before = proc::cpu(pid);
        let full = self.load(&["-n".into(), reviews.to_string()]);
        #[expect(clippy::cast_precision_loss, reason = "a figure to show")]
        let each = (proc::cpu(pid) - before).as_secs_f64() * 1e6 / full.times.len() as f64;
        self.each.push(each);
        self.per_second.push(full.per_second);
        self.times.extend(full.times);
    }

    /// 1,000 per second over all connections, which start a millisecond apart: else all of them would send
    /// in the same instant, 60 times a second.
    fn pace(&mut self, seconds: u64) {
        let options = [
            format!("--rps={}", 1000 / CONNECTIONS),
            "--rate=1".into(),
            "--rate-period=1ms".into(),
            format!("-n{}", 1000 * seconds),
        ];
        self.paced = self.load(&options).times;
    }

    fn resident(&self) -> f64 {
        proc::field(self.webhook.process.id(), "status", "VmRSS") / 1024.0
    }
}

/// Same work for both: with this image our pods are those of vault-k8s.
const ENV: [(&str, &str); 3] = [
    ("AGENT_INJECT_LOG_LEVEL", "error"),
    ("AGENT_INJECT_VAULT_ADDR", "https://vault:8200"),
    ("AGENT_INJECT_VAULT_IMAGE", "hashicorp/vault:1.20.0"),
];

/// vault-k8s, if `VAULT_K8S` names its executable. It wants the files of a service account and an address of an
/// API server, and goes on when that one does not answer.
fn peer(account: &TempDir) -> Option<Webhook> {
    let program = PathBuf::from(std::env::var_os("VAULT_K8S")?);
    let (certificate, _) = crate::support::https::Ca::new().issue();
    account.write("token", "token");
    account.write("ca.crt", certificate);
    let folder = account.path().display().to_string();
    let files = "mount -t tmpfs tmpfs /run && target=/run/secrets/kubernetes.io/serviceaccount && \
                 mkdir -p $target && cp \"$0\"/* $target && exec \"$@\"";
    let prefix = ["taskset", "-c", "0", "unshare", "--mount", "--map-root-user", "sh", "-c", files];
    let prefix: Vec<&str> = prefix.into_iter().chain([folder.as_str()]).collect();
    let own = [("KUBERNETES_SERVICE_HOST", "127.0.0.1"), ("KUBERNETES_SERVICE_PORT", "1")];
    let env: Vec<_> = ENV.into_iter().chain(own).collect();
    Some(Webhook::start_program(&prefix, &program, "agent-inject", &env))
}

/// Reviews as fast as they go, then at a fixed rate.
pub(crate) fn measure(effort: Effort) -> Vec<Row> {
    let account = crate::support::shared_folder("account");
    let mut we =
        Side::of(Webhook::start_program(&["taskset", "-c", "0"], &ours(), "webhook", &ENV));
    let mut they = peer(&account).map(Side::of);
    for _ in 0..TURNS {
        we.turn(effort.reviews / TURNS);
        they.iter_mut().for_each(|peer| peer.turn(effort.reviews / TURNS / PEERS_PART));
    }
    we.pace(effort.paced_seconds);
    // The peer on one processor cannot always keep up with this rate: no figure of its own.
    std::thread::sleep(Duration::from_secs(2));

    let mut figures = |what, unit, of: &dyn Fn(&mut Side) -> f64| {
        let peer = they.as_mut().map(|peer| ("vault-k8s", of(peer)));
        Row {
            what,
            ours: of(&mut we),
            unit,
            peer,
            budget: None,
            times: None,
            is_clock_time: unit == "ms",
        }
    };
    let each = figures("webhook: processor time per review", "µs", &|side| {
        proc::percentile(&mut side.each, 0.5)
    });
    let per_second = figures("webhook: reviews per second on one core", "1/s", &|side| {
        proc::percentile(&mut side.per_second, 0.5)
    });
    let full_median = figures("webhook: full load, median", "ms", &|side| {
        proc::percentile(&mut side.times, 0.5) / 1000.0
    });
    let full_p99 = figures("webhook: full load, 99th percentile", "ms", &|side| {
        proc::percentile(&mut side.times, 0.99) / 1000.0
    });
    let resident = figures("webhook: resident memory afterwards", "MiB", &|side| side.resident());
    let paced = |what, share, budget| Row {
        what,
        ours: proc::percentile(&mut we.paced.clone(), share) / 1000.0,
        unit: "ms",
        peer: None,
        budget,
        times: None,
        is_clock_time: true,
    };
    vec![
        Row { budget: Some(85.0), times: Some(7.5), ..each },
        per_second,
        full_median,
        full_p99,
        paced("webhook: 1,000 per second, median", 0.5, None),
        paced("webhook: 1,000 per second, 99th percentile", 0.99, Some(2.0)),
        Row { budget: Some(12.0), ..resident },
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
        times: None,
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
