//! What the example prints. Colours only where a person looks at a terminal and has not said NO_COLOR.

use std::cell::Cell;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on Ctrl-C and SIGTERM end the story at its next wait, so that everything is cleaned up.
pub(crate) fn note_interrupts() {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(flag))
            .expect("a signal that may be handled");
    }
}

/// Whether somebody wants the story to end.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

pub(crate) struct Screen {
    colours: bool,
    steps: Cell<u32>,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colours: wanted && std::io::stdout().is_terminal(), steps: Cell::new(0) }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A new chapter.
    pub(crate) fn step(&self, title: &str) {
        self.steps.set(self.steps.get() + 1);
        println!("\n{}", self.paint("1;36", &format!("{}. {title}", self.steps.get())));
    }

    pub(crate) fn line(&self, text: &str) {
        println!("   {text}");
    }

    /// `name: value`
    pub(crate) fn fact(&self, name: &str, value: &str) {
        let value = value.trim_end().replace('\n', "\n      ");
        println!("   {} {value}", self.paint("2", &format!("{name}:")));
    }

    /// A measured time.
    pub(crate) fn took(&self, what: &str, time: Duration) {
        let millis = time.as_secs_f64() * 1000.0;
        self.fact(what, &self.paint("32", &format!("{millis:.1} ms")));
    }

    /// A file with its content. The secrets of this example are made up.
    pub(crate) fn file(&self, path: &str, content: &str) {
        println!("   {}", self.paint("1", path));
        for line in content.lines() {
            println!("   {} {line}", self.paint("2", "│"));
        }
    }

    pub(crate) fn failed(&self, reason: &str) {
        eprintln!("\n{} {reason}", self.paint("1;31", "failed:"));
    }

    pub(crate) fn finished(&self, time: Duration) {
        let seconds = format!("{:.1} s", time.as_secs_f64());
        println!("\n{} {seconds}", self.paint("1;32", "All as expected, in"));
    }
}
