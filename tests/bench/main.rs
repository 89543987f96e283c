//! Figures of the release build beside those of the programs it replaces, taken in the same run.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    dead_code,
    reason = "a measurement that cannot set up should stop; the shared support has more than it needs"
)]

#[path = "../real/support/mod.rs"]
mod support;

mod agents;
mod proc;
mod review;
mod siege;
mod webhook;

use std::process::ExitCode;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Starts of an init container, per program.
    pub(crate) starts: usize,
    /// Seconds to watch an idle sidecar.
    pub(crate) idle_seconds: u64,
    /// Reviews sent as fast as possible.
    pub(crate) reviews: usize,
    /// Seconds of reviews at a fixed rate.
    pub(crate) paced_seconds: u64,
}

const FULL: Effort = Effort { starts: 40, idle_seconds: 60, reviews: 1_000_000, paced_seconds: 20 };
const SHORT: Effort = Effort { starts: 20, idle_seconds: 5, reviews: 20_000, paced_seconds: 5 };

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    /// Our figure.
    pub(crate) ours: f64,
    pub(crate) unit: &'static str,
    /// Name and figure of the peer.
    pub(crate) peer: Option<(&'static str, f64)>,
    /// The highest figure we promise.
    pub(crate) budget: Option<f64>,
    /// How many times better than the peer's it is to be.
    pub(crate) times: Option<f64>,
    /// Whether it was read off the clock.
    pub(crate) is_clock_time: bool,
}

impl Row {
    /// How many times better ours is.
    fn factor(&self) -> Option<f64> {
        let (_, peer) = self.peer?;
        Some(if self.unit == "1/s" { self.ours / peer } else { peer / self.ours })
    }

    /// Whether it is over its budget, or behind its promise, by more than the factor `slack`.
    fn is_over(&self, slack: f64) -> bool {
        let is_above = self.budget.is_some_and(|most| self.ours > most * slack);
        let is_behind = self.times.zip(self.factor()).is_some_and(|(least, is)| is * slack < least);
        is_above || is_behind
    }

    /// Above its budget by this factor a figure cannot be the noise of a machine that does other things
    /// as well: times on the clock suffer from those more than sizes and processor time do.
    const fn far_off(&self) -> f64 {
        if self.is_clock_time { 25.0 } else { 3.0 }
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_short = words.iter().any(|word| word == "--short");
    let effort = if is_short { SHORT } else { FULL };
    let parts: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let wants = |part: &str| parts.is_empty() || parts.iter().any(|word| *word == part);

    let mut rows = Vec::new();
    if wants("size") {
        rows.extend(agents::sizes());
    }
    if wants("init") {
        rows.extend(agents::init(effort));
    }
    if wants("sidecar") {
        rows.extend(agents::sidecar(effort));
    }
    if wants("webhook") {
        rows.extend(webhook::measure(effort));
    }
    if wants("siege") {
        rows.extend(webhook::besiege(effort));
    }

    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load averages of this machine, this run included: {}", load.trim());
    println!(
        "{:<52} {:>12} {:>12}  {:<32} {:>8} {:>8}",
        "", "ours", "budget", "peer", "factor", "budget"
    );
    for row in &rows {
        let number = |value: f64| format!("{value:.*}", if value < 10.0 { 2 } else { 0 });
        let budget = row.budget.map_or_else(String::new, number);
        let peer = row
            .peer
            .map_or_else(String::new, |(name, value)| format!("{} ({name})", number(value)));
        let factor = row.factor().map_or_else(String::new, |factor| format!("{factor:.1}"));
        let times = row.times.map_or_else(String::new, |least| format!("{least:.1}"));
        let what = format!("{} [{}]", row.what, row.unit);
        let ours = number(row.ours);
        println!("{what:<52} {ours:>12} {budget:>12}  {peer:<32} {factor:>8} {times:>8}");
    }
    let over = |strict: bool| {
        let is_over = move |row: &&Row| row.is_over(if strict { 1.0 } else { row.far_off() });
        rows.iter().filter(is_over).map(|row| row.what).collect::<Vec<_>>()
    };
    println!("over budget: {:?}", over(true));
    if over(!is_short).is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
