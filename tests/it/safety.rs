//! What every mode does before and besides its work, seen from outside of the process.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::support::program::{Finished, Program};
use crate::support::temp_dir::TempDir;

const SOON: Duration = Duration::from_secs(20);
const BINARY: &str = env!("CARGO_BIN_EXE_vault-injector");

fn agent(words: &[&str], address: &str) -> Finished {
    let document = format!(
        r#"{{"vault":{{"address":"{address}"}},"auto_auth":{{"method":{{"type":"kubernetes",
        "config":{{"role":"app","token_path":"/no/such/token"}}}}}},
        "template":{{"contents":"x","destination":"/no/such/folder/x"}}}}"#
    );
    let program = Program::new(BINARY, words);
    program.env("VAULT_CONFIG", BASE64_STANDARD.encode(document)).run(SOON)
}

#[test]
fn an_address_that_is_none_ends_every_mode_as_a_wrong_configuration() {
    for address in
        ["http://127.0.0.1:82000", "http://127.0.0.1:", "http://[::1]:+8200", "unix:///x"]
    {
        for words in [&["agent-init"] as &[_], &["agent-sidecar"], &["agent-init", "-validate"]] {
            let ended = agent(words, address);
            assert_eq!(ended.code(), 2, "{words:?} {address}: {ended:?}");
            assert!(ended.err.contains("vault.address: "), "{ended:?}");
        }
    }
    for words in [
        &["webhook", "-vault-address=https://vault:82oo"] as &[_],
        &["webhook", "-vault-address=https://vault", "-proxy-address=http://proxy:"],
        &["inject", "-f", "/dev/null", "--vault-address", "vault:8200"],
    ] {
        let ended = Program::new(BINARY, words).run(SOON);
        assert_eq!(ended.code(), 2, "{words:?}: {ended:?}");
    }
    let fine = agent(&["agent-init", "-validate"], "http://127.0.0.1:8200");
    assert_eq!(fine.code(), 0, "{fine:?}");
}

/// A process that waits on its standard input or on a server that is not there. It is killed when this is dropped.
struct Held(Child);

impl Held {
    /// As another user if we are root, whose processes belong to root anyway.
    fn start(binary: &Path, words: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary);
        command.args(words).env_clear().envs(env.iter().copied()).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            command.uid(65534).gid(65534);
        }
        Self(command.spawn().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0.id()))
    }

    /// Whether its memory belongs to root, who alone may read it then.
    fn is_closed(&self) -> bool {
        fs::metadata(self.file("mem")).unwrap().uid() == 0
    }

    fn dumps_no_core(&self) -> bool {
        let limits = fs::read_to_string(self.file("limits")).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        line.split_whitespace().skip(4).take(2).eq(["0", "0"])
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn the_memory_of_every_mode_is_closed_to_other_processes() {
    let folder = TempDir::new("safety");
    // One that other users can run, written by another process: a file that a fork of ours has open for writing
    // cannot be started.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = folder.join("vault-injector");
    assert!(Command::new("cp").args([Path::new(BINARY), &binary]).status().unwrap().success());
    let document = r#"{"vault":{"address":"http://127.0.0.1:1"},"auto_auth":{"method":{"type":"token_file",
        "config":{"token_file_path":"/no/such"}}},"template":{"contents":"x","destination":"/tmp/x"}}"#;
    let config = BASE64_STANDARD.encode(document);
    let agent = [("VAULT_CONFIG", config.as_str())];
    let webhook =
        [("AGENT_INJECT_VAULT_ADDR", "https://vault"), ("AGENT_INJECT_LISTEN", "127.0.0.1:0")];
    for (words, env) in [
        (&["webhook"] as &[_], &webhook as &[_]),
        (&["agent-init"], &agent),
        (&["agent-sidecar"], &agent),
        (&["inject", "-f", "-"], &[]),
        (&["render", "-"], &[]),
    ] {
        let held = Held::start(&binary, words, env);
        let began = Instant::now();
        while !(held.is_closed() && held.dumps_no_core()) {
            assert!(began.elapsed() < SOON, "{words:?} is open to others");
            std::thread::yield_now();
        }
    }
    let other = Held::start(Path::new("/bin/cat"), &[], &[]);
    std::thread::sleep(Duration::from_millis(100));
    assert!(!other.is_closed(), "any process looks closed here");
}
