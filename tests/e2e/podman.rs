//! podman with the storage that `tests/e2e/run` prepared.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// One pod at a time, named `web`.
#[derive(Debug)]
pub(crate) struct Podman(PathBuf);

impl Podman {
    pub(crate) fn new() -> Self {
        let folder = std::env::var_os("E2E_FOLDER").expect("E2E_FOLDER: start with tests/e2e/run");
        Self(folder.into())
    }

    /// An empty folder for a volume, writable for every user.
    pub(crate) fn folder(&self, volume: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.0.join("volumes").join(volume);
        let _absent = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("create a volume");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("chmod");
        path
    }

    /// Names of the files in a volume's folder.
    pub(crate) fn files(&self, volume: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join("volumes").join(volume)).expect("a volume");
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Starts the pod; init containers have ended when this returns.
    pub(crate) fn play(&self, pod: &Value) {
        assert!(
            self.try_play(pod),
            "the pod did not start:\n{}",
            self.logs("web-vault-agent-init")
        );
    }

    /// Whether the pod started.
    pub(crate) fn try_play(&self, pod: &Value) -> bool {
        let file = self.0.join("pod.json");
        std::fs::write(&file, pod.to_string()).expect("write the pod");
        let done = self.output(&["kube", "play", &file.to_string_lossy()]);
        let text = [done.stdout, done.stderr].concat();
        println!("{}", String::from_utf8_lossy(&text).trim());
        done.status.success()
    }

    pub(crate) fn remove_pod(&self) {
        self.run(&["pod", "rm", "--force", "--time", "1", "web"]);
    }

    /// Standard output and error of a container.
    pub(crate) fn logs(&self, container: &str) -> String {
        let done = self.output(&["logs", container]);
        String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
    }

    pub(crate) fn exit_code(&self, container: &str) -> i32 {
        self.inspect(container, "{{.State.ExitCode}}").parse().expect("an exit code")
    }

    pub(crate) fn inspect(&self, container: &str, format: &str) -> String {
        self.run(&["inspect", "--format", format, container])
    }

    /// Runs a command of podman that must succeed.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        let done = self.output(words);
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "podman {words:?}: {error}");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    fn output(&self, words: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.args(["60", "podman"]).args(words).stdin(Stdio::null());
        command.output().expect("podman")
    }
}
