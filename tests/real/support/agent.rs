//! A pod's agents: the programs under test with what a pod would give them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::bao::Bao;
use super::process::Process;
use super::temp_dir::TempDir;
use super::{shared_folder, until};

/// Longest time an init container may take against a server that is there.
const INIT_LIMIT: Duration = Duration::from_secs(20);

/// Whose agent to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// This package's executable.
    Ours,
    /// `bao agent`, the program whose configuration we read.
    Bao,
}

impl Program {
    /// Ours; `bao agent` when AGENT_UNDER_TEST says so, to try the tests themselves.
    pub(crate) fn under_test() -> Self {
        match std::env::var("AGENT_UNDER_TEST").as_deref() {
            Ok("bao") => Self::Bao,
            _ => Self::Ours,
        }
    }

    /// The executable, and the words before its options.
    pub(crate) fn argv(self, mode: &str) -> (PathBuf, Vec<String>) {
        match self {
            Self::Ours => (ours(), vec![mode.to_owned()]),
            Self::Bao => (Bao::executable().expect("OpenBao"), vec!["agent".to_owned()]),
        }
    }
}

/// Our executable; VAULT_INJECTOR names another build of it.
pub(crate) fn ours() -> PathBuf {
    std::env::var_os("VAULT_INJECTOR")
        .map_or_else(|| env!("CARGO_BIN_EXE_vault-injector").into(), PathBuf::from)
}

/// A pod: a folder with volumes, one configuration, one or two agents.
#[derive(Debug)]
pub(crate) struct Pod<'a> {
    bao: &'a Bao,
    scratch: TempDir,
    /// The agents' configuration but for `exit_after_auth`.
    pub(crate) config: Value,
    /// The agents' environment beside HOME.
    pub(crate) env: Vec<(String, String)>,
    /// Whose agent runs.
    pub(crate) program: Program,
    /// Whether the configuration travels as the webhook sends it, in the environment.
    pub(crate) use_variable: bool,
}

/// An agent that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) log: String,
    pub(crate) took: Duration,
}

impl<'a> Pod<'a> {
    /// A pod that logs in with `method` and has no templates yet.
    pub(crate) fn new(bao: &'a Bao, method: &Value) -> Self {
        let scratch = shared_folder("pod");
        for folder in ["home", "secrets"] {
            std::fs::create_dir(scratch.join(folder)).expect("create a volume");
        }
        let config = json!({
            "auto_auth": {
                "method": method,
                "sink": [{"type": "file", "config": {"path": scratch.join("home/.vault-token")}}],
            },
            "pid_file": scratch.join("home/.pid"),
            "vault": {"address": bao.address},
            "template": [],
            "template_config": {"exit_on_retry_failure": true},
            "injector": {"state_file": scratch.join("home/.state")},
        });
        let program = Program::under_test();
        Self { bao, scratch, config, env: Vec::new(), program, use_variable: false }
    }

    /// Adds a file of the secrets volume.
    pub(crate) fn template(&mut self, file: &str, contents: &str) -> &mut Value {
        let template = json!({
            "destination": self.scratch.join("secrets").join(file),
            "contents": contents,
            "left_delimiter": "{{",
            "right_delimiter": "}}",
        });
        let templates = self.config["template"].as_array_mut().expect("a list of templates");
        templates.push(template);
        templates.last_mut().expect("the template just added")
    }

    /// Lets the agents use the server's TLS address.
    pub(crate) fn use_tls(&mut self) {
        self.config["vault"] =
            json!({"address": self.bao.tls_address, "ca_cert": self.bao.ca_cert()});
    }

    /// Sets a key of `auto_auth.method`.
    pub(crate) fn method(&mut self, key: &str, value: Value) {
        self.config["auto_auth"]["method"][key] = value;
    }

    /// Path of a file in the pod's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Writes a file of the pod, such as a token, and returns its path.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        self.scratch.write(name, content)
    }

    /// A rendered file, `None` while it is not there.
    pub(crate) fn secret(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.path("secrets").join(file)).ok()
    }

    /// The token in the sink.
    pub(crate) fn token(&self) -> Option<String> {
        std::fs::read_to_string(self.path("home/.vault-token")).ok()
    }

    /// Runs the init container to its end.
    pub(crate) fn init(&self) -> Ended {
        let start = Instant::now();
        let mut process = self.start_init();
        let code = process.code_within(INIT_LIMIT);
        Ended { code, log: process.output(), took: start.elapsed() }
    }

    /// Runs the init container, which must succeed.
    pub(crate) fn init_ok(&self) -> Ended {
        let ended = self.init();
        assert_eq!(ended.code, 0, "{}", ended.log);
        ended
    }

    /// Starts the init container.
    pub(crate) fn start_init(&self) -> Process {
        self.start("agent-init", true)
    }

    /// Starts the sidecar.
    pub(crate) fn start_sidecar(&self) -> Process {
        self.start("agent-sidecar", false)
    }

    /// Waits until `file` holds `text`.
    pub(crate) fn expect_secret(&self, file: &str, text: &str, limit: Duration) {
        let what = format!("\"{text}\" in {file} (which holds {:?})", self.secret(file));
        until(&what, limit, || (self.secret(file).as_deref() == Some(text)).then_some(()));
    }

    /// Writes the configuration of one agent and returns its path.
    pub(crate) fn write_config(&self, mode: &str, exit_after_auth: bool) -> PathBuf {
        let mut config = self.config.clone();
        config["exit_after_auth"] = json!(exit_after_auth);
        if config["template"] == json!([]) {
            // As the webhook does; `bao agent` takes an empty list for a mistake.
            config.as_object_mut().expect("a configuration").remove("template");
        }
        self.write(&format!("{mode}.json"), &config.to_string())
    }

    fn start(&self, mode: &str, exit_after_auth: bool) -> Process {
        let config = self.write_config(mode, exit_after_auth);
        let number = self.logs().len();
        let log = self.path(&format!("{number}-{mode}.log"));
        Process::start(&mut self.command(mode, &config), &log)
    }

    fn command(&self, mode: &str, config: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        let (executable, words) = self.program.argv(mode);
        command.arg(executable).args(words);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.path("home"));
        if self.use_variable {
            let text = std::fs::read(config).expect("the configuration just written");
            command.env("VAULT_CONFIG", STANDARD.encode(text));
        } else {
            command.arg(format!("-config={}", config.display()));
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    fn logs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.scratch.path()).expect("the pod's folder");
        let paths = entries.flatten().map(|entry| entry.path());
        paths.filter(|path| path.extension().is_some_and(|end| end == "log")).collect()
    }
}

/// No test ends without a look at its logs: nothing secret may stand there.
impl Drop for Pod<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let secrets = self.bao.secrets_handed_out();
        for log in self.logs() {
            let text = std::fs::read(&log).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let told = secrets.iter().find(|secret| text.contains(secret.as_str()));
            assert_eq!(told, None, "a secret in {}:\n{text}", log.display());
        }
    }
}
