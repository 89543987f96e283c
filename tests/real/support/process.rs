//! A child process that cannot outlive its test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{NOBODY, until};

/// A running program with its output in a file.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Starts `command`; standard output and error go to the file `output`.
    pub(crate) fn start(command: &mut Command, output: &Path) -> Self {
        let file = File::create(output).expect("create the output file");
        let other = file.try_clone().expect("a second handle");
        let child = command.stdin(Stdio::null()).stdout(file).stderr(other).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self { child, output: output.to_owned() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything written so far.
    pub(crate) fn output(&self) -> String {
        let bytes = std::fs::read(&self.output).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The exit code once it has ended; 128 and more for a signal.
    pub(crate) fn try_code(&mut self) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt as _;
        let status = self.child.try_wait().expect("wait for a child")?;
        Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    /// Waits for the end and returns the exit code.
    pub(crate) fn code_within(&mut self, limit: Duration) -> i32 {
        let output = self.output.clone();
        let what = move || std::fs::read_to_string(&output).unwrap_or_default();
        let start = std::time::Instant::now();
        while start.elapsed() < limit {
            if let Some(code) = self.try_code() {
                return code;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("still running after {limit:?}; its output:\n{}", what());
    }

    /// Sends `signal`, such as `TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status().expect("run kill");
        assert!(sent.success(), "cannot send SIG{signal} to {id}");
    }

    /// Waits until the output contains `text`.
    pub(crate) fn expect_output(&self, text: &str, limit: Duration) {
        until(&format!("\"{text}\" in the output:\n{}", self.output()), limit, || {
            self.output().contains(text).then_some(())
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A command for a server: it dies with the thread that started it, and never runs as root.
pub(crate) fn server(program: &Path, home: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        let id = NOBODY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command.env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").current_dir(home);
    command
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
