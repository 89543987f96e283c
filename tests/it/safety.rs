//! What every mode does before and besides its work, seen from outside of the process.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use vault_injector::domain::vault::{Reply, Request};

use crate::support::memory::measure;
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

const MIB: usize = 1024 * 1024;
/// As in the program's limits.
const REPLY_BYTES: usize = 8 * MIB;
const REPLY_MEMORY: usize = 14 * MIB;

/// `{"data":{"k":` and some eight MiB of one shape.
fn filled(head: &str, piece: impl Fn(usize) -> String, tail: &str) -> String {
    let mut text = head.to_owned();
    for number in 0.. {
        let piece = piece(number);
        if text.len() + piece.len() + tail.len() > REPLY_BYTES {
            break;
        }
        text.push_str(&piece);
    }
    text + tail
}

#[test]
fn an_answer_of_any_shape_costs_at_most_24_mib() {
    let of = |piece: &'static str| move |_| piece.to_owned();
    let list = |piece: &'static str| filled(r#"{"data":{"k":["#, of(piece), "0]}}");
    let keys = |value: &str| {
        let value = value.to_owned();
        filled(r#"{"data":{"#, move |i| format!("\"{i}\":{value},"), r#""x":0}}"#)
    };
    let deep = "[".repeat(100) + &"]".repeat(100) + ",";
    let shapes = [
        ("zeros", list("0,")),
        ("nulls", list("null,")),
        ("arrays", list("[],")),
        ("objects", list("{},")),
        ("empty texts", list("\"\",")),
        ("short texts", list("\"a\",")),
        ("lone members", list("{\"\":0},")),
        ("pairs", list("[0,0],")),
        ("deep", filled(r#"{"data":{"k":["#, |_| deep.clone(), "0]}}")),
        ("keys", keys("0")),
        ("keys of arrays", keys("[0]")),
        ("keys of objects", keys("{\"\":0}")),
        ("one text", filled(r#"{"data":{"k":""#, of("x"), r#""}}"#)),
        ("escapes", filled(r#"{"data":{"k":""#, of("\\u0041"), r#""}}"#)),
        ("names", filled(r#"{"data":{"keys":["#, |i| format!("\"name-{i:031}\","), "0]}}")),
        ("errors", filled(r#"{"errors":["#, of("\"x\","), "0]}")),
        ("warnings", filled(r#"{"warnings":["#, of("\"x\","), "0]}")),
        (
            "metadata",
            filled(
                r#"{"auth":{"client_token":"t","metadata":{"#,
                |i| format!("\"{i}\":\"\","),
                r#""x":""}}}"#,
            ),
        ),
        ("policies", filled(r#"{"auth":{"client_token":"t","policies":["#, of("\"x\","), "0]}}")),
        ("a deep one", "[".repeat(REPLY_BYTES)),
        ("members", filled("", of("{\"a\":"), "")),
        ("no end", filled("\"", of("x"), "")),
        ("blanks", filled("", of("\n"), "x")),
        ("a page", filled("<html>", of(" x"), "")),
    ];
    let request = Request::look_up_self();
    for (name, text) in shapes {
        // Words of refusals are found in another way than values.
        let is_refusal = ["errors", "warnings", "a deep one", "a page"].contains(&name);
        for &status in if is_refusal { &[200, 404, 503][..] } else { &[200] } {
            let body = text.clone().into_bytes();
            let reply = Reply {
                status,
                body: body.into(),
                memory_max: REPLY_MEMORY,
                credentials: Vec::new(),
                retry_after: None,
            };
            let taken = measure(|| drop(reply.auth(&request)));
            let cost = taken.peak + reply.body.len();
            assert!(cost <= 24 * MIB, "{name} with {status}: {} KiB", cost / 1024);
        }
    }
}

#[test]
fn what_vault_really_takes_is_read() {
    let request = Request::look_up_self();
    for text in [
        format!(r#"{{"data":{{"data":{{"k":"{}"}}}}}}"#, "x".repeat(REPLY_BYTES - 100)),
        filled(
            r#"{"data":{"keys":["#,
            |i| if i < 100_000 { format!("\"name-{i:015}\",") } else { " ".repeat(MIB) },
            "0]}}",
        ),
        filled(
            r#"{"data":{"#,
            |i| if i < 50_000 { format!("\"key-{i}\":\"value\",") } else { " ".repeat(MIB) },
            r#""x":0}}"#,
        ),
    ] {
        let reply = Reply {
            status: 200,
            body: text.into_bytes().into(),
            memory_max: REPLY_MEMORY,
            credentials: Vec::new(),
            retry_after: None,
        };
        assert!(reply.reading(&request).is_ok(), "{:?}", reply.reading(&request));
    }
}
