//! Init container and sidecar beside `bao agent` with the same configuration.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::agent::{Pod, Program, ours};
use crate::support::bao::Bao;
use crate::support::cluster::Cluster;
use crate::support::until;
use crate::{Effort, Row, proc};

const FILES: usize = 10;

/// Size of the executables.
pub(crate) fn sizes() -> Vec<Row> {
    let mebibytes = |path: &Path| {
        #[expect(clippy::cast_precision_loss, reason = "a figure to show")]
        let size = std::fs::metadata(path).expect("an executable").len() as f64;
        size / 1024.0 / 1024.0
    };
    let bao = Bao::executable().expect("OpenBao: run tests/tools/openbao");
    vec![Row {
        what: "executable",
        ours: mebibytes(&ours()),
        unit: "MiB",
        peer: Some(("bao", mebibytes(&bao))),
        budget: Some(7.0),
        times: None,
        is_clock_time: false,
    }]
}

/// Ten KV 2 secrets over TLS with the kubernetes login.
fn ten_secrets() -> Cluster {
    let cluster = Cluster::start_unaudited().expect("OpenBao: run tests/tools/openbao");
    for number in 0..FILES {
        cluster
            .bao
            .put_secret(&format!("app/{number}"), &json!({"value": format!("value-{number}")}));
    }
    cluster
}

fn ten_files(cluster: &Cluster, program: Program) -> Pod<'_> {
    let mut pod = cluster.pod();
    pod.program = program;
    pod.use_tls();
    for number in 0..FILES {
        let contents = format!(
            r#"{{{{ with secret "secret/data/app/{number}" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}"#
        );
        pod.template(&format!("file-{number}"), &contents);
    }
    pod
}

/// Process start to ten files, and the processor time of it.
pub(crate) fn init(effort: Effort) -> Vec<Row> {
    let cluster = ten_secrets();
    let [ours, bao] = [Program::Ours, Program::Bao].map(|program| {
        let pod = ten_files(&cluster, program);
        let config = pod.write_config("agent-init", true);
        let cpu = proc::children_cpu();
        let mut times: Vec<f64> =
            (0..effort.starts).map(|_| start_once(&pod, program, &config)).collect();
        let cpu = (proc::children_cpu() - cpu).as_secs_f64() * 1000.0;
        #[expect(clippy::cast_precision_loss, reason = "a figure to show")]
        let cpu = cpu / effort.starts as f64;
        (proc::percentile(&mut times, 0.5), proc::percentile(&mut times, 0.95), cpu)
    });
    let row = |what, ours, bao, budget: Option<f64>, times| Row {
        what,
        ours,
        unit: "ms",
        peer: Some(("bao agent", bao)),
        budget,
        times,
        is_clock_time: true,
    };
    vec![
        row("init: start to ten files over TLS, median", ours.0, bao.0, Some(20.0), Some(10.0)),
        row("init: the same, 95th percentile", ours.1, bao.1, None, None),
        row("init: processor time", ours.2, bao.2, None, None),
    ]
}

/// One start on an empty pod; milliseconds until its end.
fn start_once(pod: &Pod<'_>, program: Program, config: &Path) -> f64 {
    for folder in ["home", "secrets"] {
        std::fs::remove_dir_all(pod.path(folder)).expect("empty a volume");
        std::fs::create_dir(pod.path(folder)).expect("create a volume");
    }
    let (executable, words) = program.argv("agent-init");
    let mut command = Command::new(executable);
    command.args(words).arg(format!("-config={}", config.display()));
    command.env_clear().env("HOME", pod.path("home"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.spawn().expect("an agent").wait().expect("its end");
    let took = start.elapsed();
    assert!(status.success(), "{program:?} failed");
    let last = format!("value-{}", FILES - 1);
    assert_eq!(pod.secret(&format!("file-{}", FILES - 1)), Some(last));
    took.as_secs_f64() * 1000.0
}

/// Memory, threads and idle processor time of a sidecar with ten files.
pub(crate) fn sidecar(effort: Effort) -> Vec<Row> {
    let cluster = ten_secrets();
    let [ours, bao] = [Program::Ours, Program::Bao].map(|program| {
        let pod = ten_files(&cluster, program);
        let process = pod.start_sidecar();
        until("ten files", Duration::from_secs(20), || pod.secret(&format!("file-{}", FILES - 1)));
        std::thread::sleep(Duration::from_secs(2));
        let pid = process.id();
        let before = proc::cpu(pid);
        std::thread::sleep(Duration::from_secs(effort.idle_seconds));
        let idle = (proc::cpu(pid) - before).as_secs_f64() * 1000.0;
        #[expect(clippy::cast_precision_loss, reason = "a figure to show")]
        let per_minute = idle * 60.0 / effort.idle_seconds as f64;
        [
            proc::field(pid, "status", "VmRSS") / 1024.0,
            proc::field(pid, "smaps_rollup", "Pss") / 1024.0,
            proc::field(pid, "smaps_rollup", "Private_Dirty") / 1024.0,
            proc::field(pid, "status", "Threads"),
            per_minute,
        ]
    });
    let rows = [
        ("sidecar: resident memory", "MiB", Some(4.0)),
        ("sidecar: proportional memory", "MiB", None),
        ("sidecar: private memory", "MiB", None),
        ("sidecar: threads", "", Some(3.0)),
        ("sidecar: processor time per idle minute", "ms", Some(1.0)),
    ];
    let figures = ours.into_iter().zip(bao);
    rows.into_iter()
        .zip(figures)
        .map(|((what, unit, budget), (ours, bao))| Row {
            what,
            ours,
            unit,
            peer: Some(("bao agent", bao)),
            budget,
            times: None,
            is_clock_time: false,
        })
        .collect()
}
