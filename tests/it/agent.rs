//! The agent modes from outside: the real executable against a Vault that misbehaves on demand.

mod settings;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::fake_vault::{FakeVault, Fault, Role, Seen};
use crate::support::program::{Finished, Program, Running, wait_until};
use crate::support::temp_dir::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_vault-injector");
const LONG: Duration = Duration::from_secs(20);

/// A pod: a folder for its volumes, and what its two agents are told.
struct Pod {
    folder: TempDir,
    config: Value,
    env: Vec<(&'static str, String)>,
}

impl Pod {
    fn new(vault: &FakeVault) -> Self {
        let folder = TempDir::new("agent");
        let jwt = folder.write("jwt", "service.account.token\n");
        fs::create_dir(folder.join("home")).unwrap();
        fs::create_dir(folder.join("secrets")).unwrap();
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let config = json!({
            "auto_auth": {
                "method": {
                    "type": "kubernetes",
                    "mount_path": "auth/kubernetes",
                    "min_backoff": "100ms",
                    "max_backoff": "500ms",
                    "config": { "role": "app", "token_path": jwt.to_str() },
                },
                "sink": [{ "type": "file", "config": { "path": path("home/.vault-token") } }],
            },
            "pid_file": path("home/.pid"),
            "vault": { "address": vault.address() },
            "template_config": { "exit_on_retry_failure": true },
            "injector": { "state_file": path("home/state"), "template": [] },
        });
        Self { folder, config, env: Vec::new() }
    }

    /// A file with one secret in some format.
    fn file(mut self, name: &str, secret: &str, format: &str) -> Self {
        let destination = self.folder.join("secrets").join(name);
        let template = json!({ "destination": destination, "secret": secret, "format": format });
        self.config["injector"]["template"].as_array_mut().unwrap().push(template);
        self
    }

    fn set(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = self.config.pointer_mut(parent).unwrap();
        parent.as_object_mut().unwrap().insert(key.to_owned(), value);
        self
    }

    /// A setting of the newest file.
    fn of_file(mut self, key: &str, value: Value) -> Self {
        let templates = self.config["injector"]["template"].as_array_mut().unwrap();
        templates.last_mut().unwrap()[key] = value;
        self
    }

    fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    fn program(&self, mode: &str) -> Program {
        let mut config = self.config.clone();
        config["exit_after_auth"] = json!(mode == "agent-init");
        let text = base64::prelude::BASE64_STANDARD.encode(config.to_string());
        let program = Program::new(BINARY, &[mode]).env("VAULT_CONFIG", text);
        let path = std::env::var("PATH").unwrap();
        let program = program.env("PATH", path).env("VAULT_LOG_LEVEL", "trace");
        self.env.iter().fold(program, |program, (name, value)| program.env(name, value.clone()))
    }

    fn init(&self) -> Finished {
        self.program("agent-init").run(LONG)
    }

    fn sidecar(&self) -> Running {
        self.program("agent-sidecar").start()
    }

    fn secret(&self, name: &str) -> String {
        self.folder.read(&format!("secrets/{name}"))
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.folder.join(name)).unwrap().permissions().mode() & 0o7777
    }

    fn becomes(&self, name: &str, text: &str) -> bool {
        wait_until(LONG, || self.secret(name) == text)
    }
}

fn paths(vault: &FakeVault) -> Vec<String> {
    vault.requests().iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect()
}

fn put_db(vault: &FakeVault, password: &str) {
    vault.put("secret/db", json!({ "password": password }));
}

#[test]
fn init_writes_everything_and_asks_for_nothing_twice() {
    let vault = FakeVault::start_tls();
    let mut pod = Pod::new(&vault);
    let ca = pod.folder.write("ca.pem", vault.ca_pem().unwrap());
    pod = pod.set("/vault/ca_cert", json!(ca));
    for i in 0..10 {
        vault.put(&format!("secret/app/{i}"), json!({ "key": format!("hunter{i}") }));
        pod = pod.file(&format!("{i}"), &format!("secret/app/{i}"), "raw:key");
    }
    pod = pod.file("again", "/secret/data/app/3", "env").of_file("perms", json!("0400"));
    let done = pod.init();
    assert_eq!(done.code(), 0, "{}", done.err);
    for i in 0..10 {
        assert_eq!(pod.secret(&format!("{i}")), format!("hunter{i}"));
    }
    assert_eq!(pod.secret("again"), "export key='hunter3'\n");
    assert_eq!((pod.mode("secrets/0"), pod.mode("secrets/again")), (0o644, 0o400));
    assert_eq!((pod.mode("home/.vault-token"), pod.mode("home/state")), (0o640, 0o600));
    let token = pod.folder.read("home/.vault-token");
    assert!(token.starts_with("hvs.") && !token.ends_with('\n'));
    assert!(!pod.folder.join("home/.pid").exists());
    let mut asked = paths(&vault);
    assert_eq!(asked.len(), 12, "{asked:#?}");
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 12, "{asked:#?}");
    assert_eq!((vault.logins(), vault.count("sys/internal/ui/mounts/*")), (1, 1));
    for word in ["hunter", token.as_str(), "service.account"] {
        assert!(!done.err.contains(word) && !done.out.contains(word), "{word}: {}", done.err);
    }
}

#[test]
fn thousands_of_secrets_take_time_by_their_number_and_not_by_its_square() {
    const COUNT: usize = 3000;
    let vault = FakeVault::start();
    for i in 0..COUNT {
        vault.put(&format!("secret/app/{i}"), json!({ "key": "v" }));
    }
    let pod = Pod::new(&vault);
    let contents = format!(
        "{{{{ range sprig_until {COUNT} }}}}{{{{ with secret (printf \"secret/app/%d\" .) }}}}\
         {{{{ .Data.data.key }}}}{{{{ end }}}}{{{{ end }}}}"
    );
    let template = json!({ "contents": contents, "destination": pod.folder.join("secrets/all") });
    let pod = pod.set("/template", json!([template]));
    // Far longer than it takes, and far shorter than it took.
    let done = pod.program("agent-init").run(LONG);
    assert_eq!(done.code(), 0, "{}", done.err);
    assert_eq!(pod.secret("all").len(), COUNT);
    assert_eq!(vault.requests().len(), COUNT + 2);
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_files_nor_the_end() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault).file("db", "secret/db", "raw:password");
    let pod = pod.set("/template_config/static_secret_render_interval", json!("1s"));
    let text = base64::prelude::BASE64_STANDARD.encode(pod.config.to_string());
    let (_unread, mut full) = std::io::pipe().unwrap();
    // The usual size of a pipe.
    full.write_all(&[b'x'; 65_536]).unwrap();
    let mut command = std::process::Command::new(BINARY);
    let mut sidecar = command
        .arg("agent-sidecar")
        .env("VAULT_CONFIG", text)
        .env("VAULT_LOG_LEVEL", "trace")
        .stderr(full)
        .spawn()
        .unwrap();
    let is_there = wait_until(LONG, || pod.folder.join("secrets/db").exists());
    put_db(&vault, "two");
    let is_new = is_there && pod.becomes("db", "two");
    let id = nix::unistd::Pid::from_raw(sidecar.id().try_into().unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    let has_ended = wait_until(Duration::from_secs(5), || sidecar.try_wait().unwrap().is_some());
    sidecar.kill().unwrap();
    sidecar.wait().unwrap();
    assert!(is_new && has_ended, "{is_there} {is_new} {has_ended}");
}

#[test]
fn the_sidecar_goes_on_where_init_ended() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    vault.dynamic("app", 3600, 86_400, true);
    let pod = Pod::new(&vault).file("db", "secret/db", "raw:password").file(
        "user",
        "database/creds/app",
        "raw:username",
    );
    assert_eq!(pod.init().code(), 0);
    let (user, token) = (pod.secret("user"), pod.folder.read("home/.vault-token"));
    let asked = vault.requests().len();
    fs::remove_file(pod.folder.join("home/.vault-token")).unwrap();
    fs::remove_file(pod.folder.join("secrets/db")).unwrap();

    let sidecar = pod.sidecar();
    assert!(pod.becomes("db", "one"), "{}", sidecar.err());
    assert!(wait_until(LONG, || pod.folder.read("home/.vault-token") == token));
    let pid = pod.folder.read("home/.pid");
    assert_eq!(pid, sidecar.id().to_string());
    assert!(wait_until(LONG, || vault.count("sys/leases/lookup") == 1));
    let done = sidecar.terminate(Duration::from_secs(1));
    assert_eq!(done.code(), 0, "{}", done.err);
    assert!(!pod.folder.join("home/.pid").exists());
    // A container that was restarted goes on, too.
    let sidecar = pod.sidecar();
    assert!(sidecar.wait_for_err("going on with", LONG), "{}", sidecar.err());
    assert!(wait_until(LONG, || pod.folder.join("home/.pid").exists()));
    assert!(wait_until(LONG, || vault.count("sys/leases/lookup") == 2));
    assert_eq!(sidecar.terminate(Duration::from_secs(1)).code(), 0);
    assert_eq!(pod.secret("user"), user);
    // Each asks whether the lease is there still, which tells of the token, too, and nothing else.
    let since = &paths(&vault)[asked..];
    assert_eq!(since, ["PUT sys/leases/lookup", "PUT sys/leases/lookup"]);
    assert_eq!((vault.live_tokens().len(), vault.live_leases().len()), (1, 1));
}

#[test]
fn a_state_that_cannot_be_used_only_means_a_login() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault).file("db", "secret/db", "raw:password");
    pod.folder.write("home/state", "{\"token\": \"hvs.garbage\"");
    let done = pod.init();
    assert_eq!(done.code(), 0, "{}", done.err);
    assert!(done.err.contains("not taken over") && !done.err.contains("garbage"), "{}", done.err);
    // So does one that others could have written.
    let state = pod.folder.join("home/state");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o666)).unwrap();
    let done = pod.init();
    assert!(done.code() == 0 && done.err.contains("mode 0600"), "{}", done.err);
    assert_eq!((vault.logins(), pod.mode("home/state")), (2, 0o600));
    fs::rename(&state, pod.folder.join("home/elsewhere")).unwrap();
    std::os::unix::fs::symlink(pod.folder.join("home/elsewhere"), &state).unwrap();
    assert_eq!((pod.init().code(), vault.logins()), (0, 3));
    assert!(fs::symlink_metadata(&state).unwrap().is_file());
    // The token in it is dead: one more login, and the same files.
    vault.revoke_all_tokens();
    put_db(&vault, "two");
    let pod = pod.set("/template_config/static_secret_render_interval", json!("1s"));
    let sidecar = pod.sidecar();
    assert!(pod.becomes("db", "two"), "{}", sidecar.err());
    assert_eq!(vault.logins(), 4);
    // Another role is another configuration.
    drop(sidecar);
    vault.role("other", Role::default());
    let pod = pod.set("/auto_auth/method/config/role", json!("other"));
    assert_eq!(pod.init().code(), 0);
    assert_eq!(vault.logins(), 5);
}

#[test]
fn a_state_that_cannot_be_written_fails_nothing() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault).file("db", "secret/db", "raw:password");
    let pod = pod.set("/injector/state_file", json!("/proc/none/state"));
    let done = pod.init();
    assert_eq!(done.code(), 0, "{}", done.err);
    assert!(done.err.contains("state not written"), "{}", done.err);
}

#[test]
fn the_sidecar_keeps_files_fresh_and_leaves_equal_ones_alone() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    vault.put("secret/other", json!({ "a": "b" }));
    let pod = Pod::new(&vault)
        .file("db", "secret/db", "raw:password")
        .of_file("command", json!("echo \"$VAULT_ADDR\" >> commands; test -z \"$VAULT_TOKEN\""))
        .file("other", "secret/other", "env")
        .set("/template_config/static_secret_render_interval", json!("1s"));
    let program = pod.program("agent-sidecar").folder(pod.folder.path());
    let sidecar = program.start();
    assert!(
        pod.becomes("db", "one") && pod.becomes("other", "export a='b'\n"),
        "{}",
        sidecar.err()
    );
    let inode = || fs::metadata(pod.folder.join("secrets/other")).unwrap().ino();
    let before = inode();
    assert!(vault.wait_for_count("secret/data/other", 3, LONG));
    put_db(&vault, "two");
    assert!(pod.becomes("db", "two"));
    assert!(wait_until(LONG, || pod.folder.read("commands").lines().count() == 2));
    assert_eq!(inode(), before);
    assert!(pod.folder.read("commands").lines().all(|line| line == vault.address()));
    let done = sidecar.terminate(Duration::from_secs(1));
    assert_eq!((done.code(), vault.logins()), (0, 1), "{}", done.err);
    assert!(!done.err.contains("one\"") && !done.err.contains("hvs."), "{}", done.err);
}

#[test]
fn one_failing_secret_leaves_the_others_fresh() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    vault.deny("secret/data/bad");
    vault.put("secret/bad", json!({ "password": "x" }));
    vault.dynamic("app", 3600, 86_400, true);
    let pod = Pod::new(&vault)
        .file("db", "secret/db", "raw:password")
        .file("bad", "secret/bad", "raw:password")
        .file("user", "database/creds/app", "raw:username")
        .set("/template_config/exit_on_retry_failure", json!(false))
        .set("/template_config/static_secret_render_interval", json!("1s"));
    let sidecar = pod.sidecar();
    assert!(pod.becomes("db", "one"), "{}", sidecar.err());
    assert!(wait_until(LONG, || !pod.secret("user").is_empty()));
    put_db(&vault, "two");
    assert!(pod.becomes("db", "two"));
    assert!(sidecar.err().contains("the token lacks read on secret/data/bad"), "{}", sidecar.err());
    assert_eq!(vault.count("sys/capabilities-self"), 1);
    vault.allow("secret/data/bad");
    assert!(pod.becomes("bad", "x"));
    assert_eq!((vault.logins(), vault.count("database/creds/app")), (1, 1));
}

#[test]
fn init_says_which_file_failed_and_why() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault)
        .file("db", "secret/db", "raw:password")
        .file("gone", "secret/gone", "raw:password")
        .file("key", "secret/db", "raw:nokey")
        .set("/vault/retry", json!({ "num_retries": 2 }));
    let done = pod.init();
    assert_eq!((done.code(), pod.secret("db").as_str()), (1, "one"), "{}", done.err);
    assert_eq!(vault.count("secret/data/gone"), 3);
    let last: Vec<&str> =
        done.err.lines().filter(|line| line.contains("file not written")).collect();
    assert_eq!(last.len(), 2, "{}", done.err);
    assert!(last[0].contains("secrets/gone") && last[0].contains("no secret exists"), "{last:?}");
    assert!(last[1].contains("secrets/key") && last[1].contains("nokey"), "{last:?}");
}

#[test]
fn a_sealed_and_a_busy_vault_are_waited_for() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    vault.fault("auth/kubernetes/login", Fault::SEALED, 2);
    vault.fault("sys/internal/*", Fault::Close, 1);
    vault.fault("secret/data/db", Fault::QUOTA, 1);
    let pod = Pod::new(&vault).file("db", "secret/db", "raw:password");
    let done = pod.init();
    assert_eq!((done.code(), pod.secret("db").as_str()), (0, "one"), "{}", done.err);
    assert!(done.err.contains("Vault is sealed") && done.err.contains("HTTP 429"), "{}", done.err);
    let reads: Vec<Seen> =
        vault.requests().into_iter().filter(|seen| seen.path == "secret/data/db").collect();
    assert!(reads[1].at - reads[0].at >= Duration::from_secs(1), "Retry-After was not respected");
    // The KV version is never guessed: the mount was looked up again.
    assert_eq!((vault.count("sys/internal/*"), vault.count("secret/db")), (2, 0));
}

#[test]
fn nonsense_is_an_error_and_not_the_end() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    vault.fault("auth/kubernetes/login", Fault::Garbage("<html>hunter2</html>"), 1);
    vault.fault("secret/data/db", Fault::CutBody, 1);
    let pod = Pod::new(&vault).file("db", "secret/db", "raw:password");
    let done = pod.init();
    assert_eq!((done.code(), pod.secret("db").as_str()), (0, "one"), "{}", done.err);
    assert!(done.err.contains("a web page") && !done.err.contains("hunter2"), "{}", done.err);
}

#[test]
fn sigterm_ends_it_within_a_second_whatever_hangs() {
    for hanging in ["auth/kubernetes/login", "sys/internal/*", "secret/data/db"] {
        let vault = FakeVault::start();
        put_db(&vault, "one");
        vault.fault(hanging, Fault::Hang, 9);
        let pod = Pod::new(&vault).file("db", "secret/db", "raw:password");
        let sidecar = pod.sidecar();
        assert!(vault.wait_for_count(hanging, 1, LONG), "{hanging}: {}", sidecar.err());
        let done = sidecar.terminate(Duration::from_secs(1));
        assert_eq!(done.code(), 0, "{hanging}: {}", done.err);
        assert!(!pod.folder.join("home/.pid").exists());
    }
}

#[test]
fn an_init_container_that_is_stopped_has_not_succeeded() {
    let vault = FakeVault::start();
    vault.fault("*", Fault::Hang, 9);
    let pod = Pod::new(&vault).file("db", "secret/db", "raw:password");
    let init = pod.program("agent-init").start();
    assert!(vault.wait_for_count("*", 1, LONG));
    assert_eq!(init.terminate(Duration::from_secs(1)).code(), 1);
}

#[test]
fn revokes_at_the_end_when_asked_to() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    vault.dynamic("app", 3600, 86_400, true);
    let pod = Pod::new(&vault)
        .file("db", "secret/db", "raw:password")
        .file("user", "database/creds/app", "raw:username")
        .set("/injector/revoke_on_shutdown", json!(true))
        .set("/injector/revoke_grace", json!("1s"));
    let sidecar = pod.sidecar();
    assert!(wait_until(LONG, || pod.folder.join("home/state").exists()), "{}", sidecar.err());
    let done = sidecar.terminate(Duration::from_secs(4));
    assert_eq!((done.code(), vault.live_leases().len()), (0, 0), "{}", done.err);
    assert!(vault.live_tokens().is_empty() && !pod.folder.join("home/state").exists());
    assert_eq!(pod.secret("db"), "one");

    // A second signal cuts the grace short.
    let pod = pod.set("/injector/revoke_grace", json!("1h"));
    let mut sidecar = pod.sidecar();
    assert!(wait_until(LONG, || pod.folder.join("home/state").exists()));
    sidecar.signal(libc::SIGTERM);
    assert!(sidecar.wait_for_err("shutdown triggered", LONG));
    drop(sidecar.terminate(Duration::from_secs(2)));
    assert!(vault.live_tokens().is_empty());
}

#[test]
fn near_max_ttl_new_credentials_come_before_the_old_ones_end() {
    let vault = FakeVault::start();
    vault.role("app", Role { ttl: 6, max_ttl: 6, ..Role::default() });
    vault.dynamic("app", 3600, 86_400, true);
    let pod = Pod::new(&vault).file("user", "database/creds/app", "raw:username");
    let sidecar = pod.sidecar();
    assert!(wait_until(LONG, || !pod.secret("user").is_empty()), "{}", sidecar.err());
    let first = pod.secret("user");
    assert!(wait_until(LONG, || pod.secret("user") != first));
    // The first token and its lease still live, so there is no moment without a good credential.
    assert_eq!(vault.live_leases().len(), 2, "{}", sidecar.err());
    // The sink is written at once, the state once the new readings are in.
    let is_handed_over = || {
        let state: Value = serde_json::from_str(&pod.folder.read("home/state")).unwrap();
        state["token"]["client_token"] == pod.folder.read("home/.vault-token").as_str()
    };
    assert!(wait_until(LONG, is_handed_over), "{}", sidecar.err());
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault).file("db", "secret/db", "raw:password");
    let pod = pod.of_file("destination", json!("/proc/none/db"));
    let done = pod.init();
    assert_eq!(done.code(), 1);
    assert!(done.err.contains("/proc/none"), "{}", done.err);
    let pod = Pod::new(&vault).file("db", "secret/db", "raw:password");
    let sink = json!([{ "type": "file", "config": { "path": "/proc/none/token" } }]);
    let logins = vault.logins();
    let done = pod.set("/auto_auth/sink", sink).init();
    assert_eq!(done.code(), 1);
    assert!(done.err.contains("/proc/none"), "{}", done.err);
    assert_eq!(vault.logins(), logins, "a token that has nowhere to go is not asked for");
}

#[test]
fn a_template_that_is_not_there_ends_it_before_the_login() {
    let vault = FakeVault::start();
    let pod = Pod::new(&vault)
        .set("/template", json!([{ "source": "/none.tpl", "destination": "/tmp/none" }]))
        .set("/template_config/exit_on_retry_failure", json!(false));
    let done = pod.init();
    assert_eq!((done.code(), vault.logins()), (1, 0), "{}", done.err);
    assert!(done.err.contains("template source: /none.tpl: No such file"), "{}", done.err);
}

#[test]
fn a_pipe_in_the_place_of_a_file_holds_nothing_up() {
    let vault = FakeVault::start();
    let pod = Pod::new(&vault);
    let (pipe, target) = (pod.folder.join("pipe"), pod.folder.join("secrets/x"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let contents = format!("{{{{ file \"{}\" }}}}", pipe.display());
    let pod = pod.set("/template", json!([{ "contents": contents, "destination": target }]));
    let sidecar = pod.sidecar();
    assert!(sidecar.wait_for_err("not a regular file", LONG), "{}", sidecar.err());
    assert_eq!(sidecar.terminate(Duration::from_secs(1)).code(), 0);
}

#[test]
fn files_beside_the_templates_own_are_written_once_it_is_whole() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault);
    let (log, outside) = (pod.folder.join("secrets/log"), pod.folder.join("outside"));
    pod.folder.write("secrets/note", "inside");
    pod.folder.write("secret", "not for templates");
    std::os::unix::fs::symlink(pod.folder.join("secret"), pod.folder.join("secrets/link")).unwrap();
    let template = |name: &str, contents: String| {
        json!({
            "destination": pod.folder.join("secrets").join(name),
            "contents": contents,
            "sandbox_path": pod.folder.join("secrets"),
            "error_on_missing_key": true,
        })
    };
    let write = |path: &std::path::Path| {
        format!("{{{{ . | writeToFile {path:?} \"\" \"\" \"0640\" \"append,newline\" }}}}")
    };
    let with = |body: &str| {
        format!(
            "{{{{ with secret \"secret/db\" }}}}{{{{ with .Data.data.password }}}}{body}{{{{ end }}}}{{{{ end }}}}"
        )
    };
    let file = |name: &str| format!("{{{{ file {:?} }}}}", pod.folder.join("secrets").join(name));
    let good = template("good", with(&write(&log)) + &file("note"));
    let write_out = template("writes", with(&write(&outside)));
    let read_out = template("reads", file("link"));
    let mut pod = pod.set("/template", json!([good]));
    let told = pod.init();
    assert_eq!(told.code(), 0, "{}", told.err);
    assert_eq!((pod.secret("good"), pod.secret("log")), ("inside".into(), "one\n".into()));
    assert_eq!(pod.mode("secrets/log"), 0o640);
    for wrong in [write_out, read_out] {
        pod = pod.set("/template", json!([wrong]));
        let sidecar = pod.sidecar();
        assert!(sidecar.wait_for_err("outside of the sandbox", LONG), "{}", sidecar.err());
        drop(sidecar.terminate(Duration::from_secs(2)));
    }
    assert!(!pod.folder.join("outside").exists());
}

#[test]
fn a_failing_command_ends_the_sidecar_only_and_when_configured_so() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault)
        .file("db", "secret/db", "raw:password")
        .of_file("command", json!(["false"]));
    let done = pod.init();
    assert_eq!((done.code(), pod.secret("db").as_str()), (0, "one"), "{}", done.err);
    assert!(done.err.contains("command failed"), "{}", done.err);
    fs::remove_file(pod.folder.join("secrets/db")).unwrap();
    assert_eq!(pod.sidecar().finish(LONG).code(), 1);
    fs::remove_file(pod.folder.join("secrets/db")).unwrap();
    let pod = pod.set("/template_config/exit_on_retry_failure", json!(false));
    let sidecar = pod.sidecar();
    assert!(sidecar.wait_for_err("command failed", LONG), "{}", sidecar.err());
    assert_eq!(sidecar.terminate(Duration::from_secs(1)).code(), 0);
}

#[test]
fn a_failed_login_ends_it_only_when_configured_so() {
    let vault = FakeVault::start();
    let pod = Pod::new(&vault)
        .set("/auto_auth/method/config/role", json!("nobody"))
        .set("/auto_auth/method/exit_on_err", json!(true));
    let done = pod.init();
    assert_eq!((done.code(), vault.requests().len()), (1, 1), "{}", done.err);
    assert!(done.err.contains("invalid role name"), "{}", done.err);
    let pod = pod.set("/auto_auth/method/exit_on_err", json!(false));
    let init = pod.program("agent-init").start();
    assert!(vault.wait_for_count("auth/kubernetes/login", 4, LONG));
    vault.role("nobody", Role::default());
    assert_eq!(init.finish(LONG).code(), 0);
}

#[test]
fn a_batch_token_is_replaced_before_it_expires() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    vault.role("app", Role { ttl: 3, renewable: false, ..Role::default() });
    let pod = Pod::new(&vault)
        .file("db", "secret/db", "raw:password")
        .set("/template_config/static_secret_render_interval", json!("1s"));
    let sidecar = pod.sidecar();
    assert!(wait_until(LONG, || vault.logins() >= 3), "{}", sidecar.err());
    assert_eq!(vault.count("auth/token/renew-self"), 0);
    assert!(!sidecar.err().contains("[WARN]"), "{}", sidecar.err());
}

#[test]
fn a_given_token_is_looked_up_and_used() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault).file("db", "secret/db", "raw:password");
    let token = vault.token(&Role { ttl: 0, ..Role::default() });
    let file = pod.folder.write("given", format!("{token}\n"));
    let method = json!({ "type": "token_file", "config": { "token_file_path": file } });
    let pod = pod.set("/auto_auth/method", method);
    let done = pod.init();
    assert_eq!((done.code(), pod.secret("db").as_str()), (0, "one"), "{}", done.err);
    assert_eq!((vault.logins(), vault.count("auth/token/lookup-self")), (0, 1));
    // The state is of that token: another one in the file is looked up.
    assert_eq!((pod.init().code(), vault.count("auth/token/lookup-self")), (0, 1));
    pod.folder.write("given", vault.token(&Role::default()));
    assert_eq!((pod.init().code(), vault.count("auth/token/lookup-self")), (0, 2));
}

#[test]
fn a_sidecar_at_rest_has_few_threads_and_asks_nothing() {
    let vault = FakeVault::start();
    let mut pod = Pod::new(&vault);
    for i in 0..10 {
        vault.put(&format!("secret/app/{i}"), json!({ "key": "value" }));
        pod = pod.file(&format!("{i}"), &format!("secret/app/{i}"), "raw:key");
    }
    let sidecar = pod.sidecar();
    assert!(wait_until(LONG, || pod.folder.join("home/state").exists()), "{}", sidecar.err());
    let threads = || fs::read_dir(format!("/proc/{}/task", sidecar.id())).unwrap().count();
    assert!(wait_until(Duration::from_secs(5), || threads() <= 3), "{} threads", threads());
    assert_eq!(vault.requests().len(), 12);
}

#[test]
fn settings_of_the_environment_reach_commands_and_logs_stay_silent() {
    let vault = FakeVault::start();
    put_db(&vault, "hunter2");
    let pod = Pod::new(&vault)
        .file("db", "secret/db", "raw:password")
        .of_file("command", json!("test \"$GREETING\" = hello"))
        .env("GREETING", "hello")
        .env("VAULT_LOG_FORMAT", "json");
    let done = pod.init();
    assert_eq!(done.code(), 0, "{}", done.err);
    assert!(!done.err.contains("hunter2"));
    let lines = done.err.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(lines.into_iter().any(|line| line["@module"] == "agent.auth.handler"));
}

#[test]
fn tokens_and_leases_are_renewed_and_stay_the_same() {
    let vault = FakeVault::start();
    // A container that starts on a busy machine may take a second.
    vault.role("app", Role { ttl: 6, ..Role::default() });
    vault.dynamic("app", 6, 86_400, true);
    let pod = Pod::new(&vault).file("user", "database/creds/app", "raw:username");
    let sidecar = pod.sidecar();
    assert!(vault.wait_for_count("auth/token/renew-self", 3, LONG), "{}", sidecar.err());
    assert!(vault.wait_for_count("sys/leases/renew", 3, LONG), "{}", sidecar.err());
    assert_eq!((vault.logins(), vault.count("database/creds/app")), (1, 1));
    assert!(sidecar.err().contains("renewed auth token"));
    // What a restarted container takes over knows of the renewals: the first lease were over by now.
    let user = pod.secret("user");
    drop(sidecar);
    let sidecar = pod.sidecar();
    assert!(vault.wait_for_count("auth/token/renew-self", 4, LONG), "{}", sidecar.err());
    assert_eq!((vault.logins(), pod.secret("user")), (1, user));
}

#[test]
fn a_lease_that_ended_is_replaced_alone() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    vault.dynamic("app", 3, 86_400, true);
    let pod = Pod::new(&vault).file("user", "database/creds/app", "raw:username").file(
        "db",
        "secret/db",
        "raw:password",
    );
    let sidecar = pod.sidecar();
    assert!(wait_until(LONG, || !pod.secret("user").is_empty()), "{}", sidecar.err());
    let first = pod.secret("user");
    vault.revoke_all_leases();
    assert!(wait_until(LONG, || pod.secret("user") != first), "{}", sidecar.err());
    assert_eq!((vault.logins(), vault.count("secret/data/db")), (1, 1));
}

#[test]
fn an_approle_logs_in_again_from_memory_when_its_file_is_gone() {
    let vault = FakeVault::start();
    vault.role("role-id", Role { ttl: 3, renewable: false, ..Role::default() });
    let pod = Pod::new(&vault);
    let role = pod.folder.write("role", "role-id\n");
    let wrapped = vault.wrap("auth/approle/role/app/secret-id", json!({ "secret_id": "s3cret" }));
    let secret = pod.folder.write("secret-id", &wrapped);
    let method = json!({
        "type": "approle",
        "config": {
            "role_id_file_path": role,
            "secret_id_file_path": secret,
            "secret_id_response_wrapping_path": "auth/approle/role/app/secret-id",
        },
    });
    let pod = pod.set("/auto_auth/method", method);
    // A Vault that is sealed when the pod starts costs no secret id.
    vault.fault("sys/wrapping/*", Fault::SEALED, 1);
    let sidecar = pod.sidecar();
    assert!(wait_until(LONG, || vault.logins() >= 2), "{}", sidecar.err());
    assert!(sidecar.err().contains("sealed") && !secret.exists(), "{}", sidecar.err());
    let logins = vault.requests().into_iter().filter(|seen| seen.path.ends_with("/login"));
    assert!(logins.into_iter().all(|seen| seen.body["secret_id"] == "s3cret"));
    assert_eq!(vault.count("sys/wrapping/unwrap"), 1);

    // One that was wrapped by somebody else is refused, and not spent.
    let wrapped = vault.wrap("auth/approle/role/evil/secret-id", json!({ "secret_id": "s3cret" }));
    pod.folder.write("secret-id", &wrapped);
    drop(sidecar);
    fs::remove_file(pod.folder.join("home/state")).unwrap();
    let done = pod.set("/auto_auth/method/exit_on_err", json!(true)).init();
    assert!(done.code() == 1 && done.err.contains("intercepted"), "{}", done.err);
    assert!(!done.err.contains(&wrapped) && !done.err.contains("s3cret"), "{}", done.err);
}

#[test]
fn sighup_is_no_reason_to_end() {
    let vault = FakeVault::start();
    let pod = Pod::new(&vault);
    let mut sidecar = pod.sidecar();
    assert!(wait_until(LONG, || pod.folder.join("home/state").exists()), "{}", sidecar.err());
    sidecar.signal(libc::SIGHUP);
    assert!(sidecar.wait_for_err("SIGHUP", LONG));
    assert!(sidecar.is_alive());
    assert_eq!(sidecar.terminate(Duration::from_secs(1)).code(), 0);
}

#[test]
fn a_revoked_token_costs_one_login_and_one_new_lease() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    vault.dynamic("app", 3600, 86_400, true);
    let pod = Pod::new(&vault)
        .file("db", "secret/db", "raw:password")
        .file("user", "database/creds/app", "raw:username")
        .set("/template_config/static_secret_render_interval", json!("1s"));
    let sidecar = pod.sidecar();
    assert!(wait_until(LONG, || !pod.secret("user").is_empty()), "{}", sidecar.err());
    let first = pod.secret("user");
    vault.revoke_all_tokens();
    put_db(&vault, "two");
    assert!(pod.becomes("db", "two"), "{}", sidecar.err());
    assert!(wait_until(LONG, || pod.secret("user") != first), "{}", sidecar.err());
    assert!(wait_until(LONG, || vault.count("secret/data/db") >= 5));
    assert_eq!((vault.logins(), vault.count("database/creds/app")), (2, 2));
    assert!(sidecar.err().contains("invalid token found"), "{}", sidecar.err());
}

#[test]
fn connections_that_break_are_no_reason_to_log_in() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault)
        .file("db", "secret/db", "raw:password")
        .set("/template_config/static_secret_render_interval", json!("1s"));
    let sidecar = pod.sidecar();
    assert!(pod.becomes("db", "one"), "{}", sidecar.err());
    for number in 0..3 {
        vault.cut_connections();
        put_db(&vault, &number.to_string());
        assert!(pod.becomes("db", &number.to_string()), "{}", sidecar.err());
    }
    assert_eq!(vault.logins(), 1);
}

#[test]
fn requests_that_hang_hold_up_no_other() {
    let vault = FakeVault::start();
    let mut pod = Pod::new(&vault);
    for i in 0..6 {
        vault.put(&format!("secret/app/{i}"), json!({ "key": "value" }));
        pod = pod.file(&format!("{i}"), &format!("secret/app/{i}"), "raw:key");
    }
    for i in 0..4 {
        vault.fault(&format!("secret/data/app/{i}"), Fault::Hang, 1);
    }
    let sidecar = pod.sidecar();
    assert!(wait_until(Duration::from_secs(2), || pod.secret("5") == "value"), "{}", sidecar.err());
    assert_eq!(pod.secret("4"), "value");
}

#[test]
fn a_wrapping_that_stays_is_unwrapped_once() {
    let vault = FakeVault::start();
    vault.role("role-id", Role { ttl: 3, renewable: false, ..Role::default() });
    let pod = Pod::new(&vault);
    let role = pod.folder.write("role", "role-id\n");
    let wrapped = vault.wrap("auth/approle/role/app/secret-id", json!({ "secret_id": "s3cret" }));
    let method = json!({
        "type": "approle",
        "config": {
            "role_id_file_path": role,
            "secret_id_file_path": pod.folder.write("secret-id", &wrapped),
            "secret_id_response_wrapping_path": "auth/approle/role/app/secret-id",
            "remove_secret_id_file_after_reading": false,
        },
    });
    let pod = pod.set("/auto_auth/method", method);
    let sidecar = pod.sidecar();
    assert!(wait_until(LONG, || vault.logins() >= 2), "{}", sidecar.err());
    assert_eq!(vault.count("sys/wrapping/unwrap"), 1);
}

/// A gateway before Vault forbids to look mounts up.
#[test]
fn a_path_that_says_data_itself_needs_no_look_up_of_its_mount() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    for status in [400, 403, 405] {
        let forbidden = Fault::Status(status, &["blocked by the gateway"], None);
        vault.fault("sys/internal/ui/mounts/*", forbidden, usize::MAX);
        let pod = Pod::new(&vault).file("db", "secret/data/db", "raw:password");
        let done = pod.init();
        assert_eq!((done.code(), pod.secret("db").as_str()), (0, "one"), "{status}: {}", done.err);
        // In an engine of unknown version nothing is guessed.
        let done = Pod::new(&vault)
            .file("db", "secret/db", "raw:password")
            .set("/vault/retry", json!({ "num_retries": 1 }))
            .init();
        assert_eq!(done.code(), 1);
        assert!(done.err.contains("sys/internal/ui/mounts/secret/db"), "{}", done.err);
    }
    assert_eq!(vault.count("secret/data/db"), 3);
}

#[test]
fn what_cannot_be_rendered_stays_in_no_state() {
    let vault = FakeVault::start();
    vault.put("secret/db", json!({ "hunter-in-the-state": "hunter2" }));
    vault.dynamic("app", 3600, 86_400, true);
    let pod = Pod::new(&vault).file("db", "secret/db", "raw:password").file(
        "user",
        "database/creds/app",
        "raw:username",
    );
    assert_eq!(pod.init().code(), 1);
    let state = pod.folder.read("home/state");
    assert!(!state.contains("hunter") && state.contains("database/creds/app"));
    // What dies while nobody saves a state is no trap either.
    put_db(&vault, "one");
    assert_eq!((pod.init().code(), pod.secret("db").as_str()), (0, "one"));
    assert_eq!((vault.logins(), vault.count("database/creds/app")), (1, 1));
}
