//! Runs the real executable: chosen argv and environment, output captured, never left behind.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "shared with the demonstration, which uses less of it than the tests"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Standard output and standard error.
const PIPES: u8 = 2;

/// What is to be run.
pub(crate) struct Program {
    binary: PathBuf,
    words: Vec<String>,
    env: BTreeMap<String, String>,
    folder: Option<PathBuf>,
}

impl Program {
    /// `binary` with `words`, and an empty environment.
    pub(crate) fn new(binary: impl Into<PathBuf>, words: &[&str]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self { binary: binary.into(), words, env: BTreeMap::new(), folder: None }
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the working folder.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Starts it.
    pub(crate) fn start(self) -> Running {
        let mut command = Command::new(&self.binary);
        command.args(&self.words).env_clear().envs(&self.env);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let started = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|e| {
            panic!("{}: cannot be started: {e}", self.binary.display());
        });
        let output = Arc::new(Output::default());
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            collect(out, Arc::clone(&output), false);
            collect(err, Arc::clone(&output), true);
        }
        Running { child, output, started }
    }

    /// Runs it to its end; panics when it is not over within `limit`.
    pub(crate) fn run(self, limit: Duration) -> Finished {
        self.start().finish(limit)
    }
}

#[derive(Default)]
struct Lines {
    out: String,
    err: String,
    /// Pipes on which nothing more will come.
    over: u8,
}

#[derive(Default)]
struct Output {
    lines: Mutex<Lines>,
    grown: Condvar,
}

/// Copies a pipe line by line, so that a test can wait for a line.
fn collect(pipe: impl Read + Send + 'static, output: Arc<Output>, is_err: bool) {
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let mut lines = output.lines.lock().unwrap_or_else(PoisonError::into_inner);
            let into = if is_err { &mut lines.err } else { &mut lines.out };
            into.push_str(&String::from_utf8_lossy(&line));
            drop(lines);
            output.grown.notify_all();
            line.clear();
        }
        let mut lines = output.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.over += 1;
        drop(lines);
        output.grown.notify_all();
    });
}

/// A process that runs. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    output: Arc<Output>,
    started: Instant,
}

/// A process that ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// How.
    pub(crate) status: ExitStatus,
    /// What it wrote to standard output.
    pub(crate) out: String,
    /// What it wrote to standard error.
    pub(crate) err: String,
    /// From start to end.
    pub(crate) took: Duration,
}

impl Finished {
    /// The exit code, -1 for a signal.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }
}

impl Running {
    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// When it was started.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// What it wrote to standard error so far.
    pub(crate) fn err(&self) -> String {
        self.output.lines.lock().unwrap_or_else(PoisonError::into_inner).err.clone()
    }

    /// What it wrote to standard output so far.
    pub(crate) fn out(&self) -> String {
        self.output.lines.lock().unwrap_or_else(PoisonError::into_inner).out.clone()
    }

    /// Waits until standard error holds `text`; false when the program ended or `limit` passed first.
    pub(crate) fn wait_for_err(&self, text: &str, limit: Duration) -> bool {
        let lines = self.output.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = self.output.grown.wait_timeout_while(lines, limit, |lines| {
            !lines.err.contains(text) && lines.over < PIPES
        });
        let (lines, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        lines.err.contains(text)
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal, such as `libc::SIGTERM`.
    #[expect(unsafe_code, reason = "std cannot send any signal but SIGKILL")]
    pub(crate) fn signal(&mut self, signal: i32) {
        if !self.is_alive() {
            return; // Its number could belong to another process by now.
        }
        let id = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: kill touches no memory, and the process is our child, not waited for yet.
        let _gone = unsafe { libc::kill(id, signal) };
    }

    /// SIGTERM, then waits for the end.
    pub(crate) fn terminate(mut self, limit: Duration) -> Finished {
        self.signal(libc::SIGTERM);
        self.finish(limit)
    }

    /// Waits for the end; panics with the output so far when it is not over within `limit`.
    pub(crate) fn finish(mut self, limit: Duration) -> Finished {
        let waiting_since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                break status;
            }
            assert!(
                waiting_since.elapsed() < limit,
                "still running after {limit:?}; it wrote:\n{}{}",
                self.out(),
                self.err()
            );
            thread::sleep(Duration::from_millis(1));
        };
        let took = self.started.elapsed();
        // A child of the program may hold the pipes open, which is no reason to wait for long.
        let lines = self.output.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = Duration::from_secs(2);
        let rest = self.output.grown.wait_timeout_while(lines, limit, |l| l.over < PIPES);
        drop(rest);
        Finished { status, out: self.out(), err: self.err(), took }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _dead = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Asks `ready` every few milliseconds; false when `limit` passed before it said yes.
pub(crate) fn wait_until(limit: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let since = Instant::now();
    loop {
        if ready() {
            return true;
        }
        if since.elapsed() >= limit {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
