//! What the kernel says about a process.

use std::time::Duration;

/// CPU time of all threads of a process that are alive.
pub(crate) fn cpu(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// CPU time of all children of this process that ended.
pub(crate) fn children_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("our own figures");
    // The name in parentheses may hold blanks; cutime and cstime are fields 16 and 17 (proc(5)).
    let after_name = stat.rsplit_once(')').expect("a name").1;
    let fields: Vec<u64> =
        after_name.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    // USER_HZ is 100 on every architecture we build for.
    Duration::from_millis((fields[13] + fields[14]) * 10)
}

/// A field of `/proc/PID/status` or `/proc/PID/smaps_rollup`, in its own unit.
pub(crate) fn field(pid: u32, file: &str, name: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("a running process");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the field");
    let value = line.trim_start_matches(':').split_whitespace().next().expect("a value");
    value.parse().expect("a number")
}

/// The value below which `share` of the values lie.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = ((values.len() - 1) as f64 * share).round() as usize;
    values[at]
}
