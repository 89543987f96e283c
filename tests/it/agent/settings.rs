//! Settings of Vault Agent, followed, told or refused.

use super::*;

/// A template of Vault Agent over `secret/db`, with more settings.
fn template(pod: &Pod, name: &str, more: &Value) -> Value {
    let mut template = json!({
        "destination": pod.folder.join("secrets").join(name),
        "contents": "{{ with secret \"secret/db\" }}{{ .Data.data.password }}{{ end }}",
    });
    template.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    template
}

#[test]
fn a_setting_without_effect_is_told_though_only_warnings_are() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault)
        .file("db", "secret/db", "raw:password")
        .set("/listener", json!([{ "type": "tcp", "agent_api": { "enable_quit": true } }]))
        .set("/cache", json!({ "persist": { "type": "kubernetes" } }))
        .set("/telemetri", json!({}));
    let done = pod.program("agent-init").env("VAULT_LOG_LEVEL", "warn").run(LONG);
    assert_eq!(done.code(), 0, "{}", done.err);
    let told: Vec<&str> = done.err.lines().filter(|line| line.contains("without effect")).collect();
    assert_eq!(told.len(), 4, "{}", done.err);
    for (line, words) in told.iter().zip(["cache", "listener", "enable_quit", "misspelt"]) {
        assert!(line.contains("[WARN]") && line.contains(words), "{line}");
    }
    let checked = Program::new(BINARY, &["agent-init", "-validate"])
        .env("VAULT_CONFIG", base64::prelude::BASE64_STANDARD.encode(pod.config.to_string()))
        .run(LONG);
    assert_eq!(checked.code(), 0, "{}", checked.err);
    assert_eq!(checked.out.lines().filter(|line| line.starts_with("ignored")).count(), 4);
}

#[test]
fn what_would_let_somebody_read_more_is_refused() {
    let vault = FakeVault::start();
    let wrapped = |place| Pod::new(&vault).set(place, json!("5m"));
    for pod in [
        wrapped("/auto_auth/method/wrap_ttl"),
        Pod::new(&vault).set("/exec", json!({ "command": ["app"] })),
        Pod::new(&vault).set("/env_template", json!([{ "A": { "contents": "x" } }])),
    ] {
        let done = pod.init();
        assert_eq!((done.code(), vault.requests().len()), (2, 0), "{}", done.err);
        assert!(!done.err.contains("mode exec"), "{}", done.err);
    }
}

#[test]
fn a_configuration_that_names_no_usable_authority_is_refused_at_once() {
    let vault = FakeVault::start_tls();
    let pod = Pod::new(&vault);
    let none = pod.folder.join("none.pem");
    let empty = pod.folder.write("empty.pem", "no certificate\n");
    let half = pod.folder.write("half.pem", vault.ca_pem().unwrap());
    let unpaired = json!({ "address": vault.address(), "ca_cert": half, "client_cert": half });
    let with_ca = |ca| json!({ "address": vault.address(), "ca_cert": ca });
    let mut pod = pod;
    for connection in [with_ca(none), with_ca(empty), unpaired] {
        pod = pod.set("/vault", connection);
        let text = base64::prelude::BASE64_STANDARD.encode(pod.config.to_string());
        let checked = Program::new(BINARY, &["agent-init", "-validate"]).env("VAULT_CONFIG", text);
        for done in [pod.init(), pod.sidecar().finish(LONG), checked.run(LONG)] {
            assert_eq!(done.code(), 2, "{}", done.err);
            assert!(done.err.contains(".pem") || done.err.contains("client_key"), "{}", done.err);
        }
    }
}

#[test]
fn validating_names_every_template_that_is_none() {
    let vault = FakeVault::start();
    let pod = Pod::new(&vault);
    let none = pod.folder.join("none.tpl");
    let templates = json!([
        template(&pod, "good", &json!({})),
        template(&pod, "unknown", &json!({ "contents": "{{ nosuch }}" })),
        template(&pod, "open", &json!({ "contents": "[[ with", "left_delimiter": "[[", "right_delimiter": "]]" })),
        { "destination": pod.folder.join("lost"), "source": none },
    ]);
    let tiny = json!([{ "destination": pod.folder.join("tiny"), "secret": "secret/db", "engine": "tinytemplate",
        "contents": "{{ if }}" }]);
    let pod = pod.set("/template", templates).set("/injector/template", tiny);
    let text = base64::prelude::BASE64_STANDARD.encode(pod.config.to_string());
    let checked = Program::new(BINARY, &["agent-init", "-validate"]).env("VAULT_CONFIG", text);
    let done = checked.run(LONG);
    assert_eq!(done.code(), 2, "{done:?}");
    for name in ["unknown", "open", "lost", "tiny"] {
        assert!(done.err.contains(&format!("/{name}: ")), "{name}: {}", done.err);
    }
    assert_eq!(done.err.lines().count(), 4, "{}", done.err);
}

#[test]
fn a_template_whose_errors_are_not_fatal_ends_nothing() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault);
    let bad = "{{ with secret \"secret/db\" }}{{ .Data.data.user.name }}{{ end }}";
    let bad = json!({ "error_fatal": false, "error_on_missing_key": true, "contents": bad });
    let templates = json!([template(&pod, "bad", &bad), template(&pod, "good", &json!({}))]);
    let mut pod = pod
        .set("/template", templates)
        .set("/template_config/static_secret_render_interval", json!("200ms"));
    let mut sidecar = pod.sidecar();
    assert!(pod.becomes("good", "one"), "{}", sidecar.err());
    assert!(sidecar.wait_for_err("has no entry", LONG), "{}", sidecar.err());
    assert!(sidecar.is_alive());
    vault.put("secret/db", json!({ "password": "two", "user": { "name": "u" } }));
    assert!(pod.becomes("bad", "u") && pod.becomes("good", "two"), "{}", sidecar.err());
    drop(sidecar);
    put_db(&vault, "three");
    pod.config["template"][0]["error_fatal"] = json!(true);
    assert_eq!(pod.sidecar().finish(LONG).code(), 1, "the default");
}

#[test]
fn a_burst_of_changes_is_one_write_and_one_command() {
    let vault = FakeVault::start();
    let change = |name: &str, value: &str| vault.put(name, json!({ "v": value }));
    change("secret/a", "1");
    change("secret/b", "1");
    let pod = Pod::new(&vault);
    let both = "{{ with secret \"secret/a\" }}{{ .Data.data.v }}{{ end }}\
                {{ with secret \"secret/b\" }}{{ .Data.data.v }}{{ end }}";
    let (file, log) = (pod.folder.join("secrets/both"), pod.folder.join("log"));
    let command = format!("cat {} >> {}; echo >> {}", file.display(), log.display(), log.display());
    let settings = json!({ "contents": both, "command": command, "wait": "6s:30s" });
    let templates = json!([template(&pod, "both", &settings)]);
    let pod = pod
        .set("/template", templates)
        .set("/template_config/static_secret_render_interval", json!("100ms"));
    let sidecar = pod.sidecar();
    assert!(wait_until(LONG, || pod.folder.read("log") == "11\n"), "the first needs no wait");
    let seen_again = |name: &str| {
        vault.forget_requests();
        assert!(vault.wait_for_count(&format!("secret/data/{name}"), 2, LONG));
    };
    change("secret/a", "2");
    seen_again("a");
    change("secret/b", "2");
    seen_again("b");
    assert_eq!(pod.secret("both"), "11", "it still waits");
    assert!(
        wait_until(LONG, || pod.folder.read("log") == "11\n22\n"),
        "{}",
        pod.folder.read("log")
    );
    assert_eq!(sidecar.terminate(Duration::from_secs(1)).code(), 0);
}

#[test]
fn the_file_before_is_kept_where_that_is_wanted() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault);
    let settings = json!({ "backup": true, "perms": "0400" });
    let templates = json!([template(&pod, "kept", &settings), template(&pod, "not", &json!({}))]);
    let pod = pod.set("/template", templates);
    assert_eq!(pod.init().code(), 0);
    assert!(!pod.folder.join("secrets/kept.bak").exists(), "there was none");
    for (value, before) in [("two", "one"), ("three", "two")] {
        put_db(&vault, value);
        fs::remove_file(pod.folder.join("home/state")).unwrap();
        assert_eq!(pod.init().code(), 0);
        assert_eq!((pod.secret("kept").as_str(), pod.secret("kept.bak").as_str()), (value, before));
        assert_eq!(pod.mode("secrets/kept.bak"), 0o400);
    }
    let names = fs::read_dir(pod.folder.join("secrets")).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["kept", "kept.bak", "not"]);
}

#[test]
fn files_and_tokens_get_the_owner_that_is_asked_for() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault);
    let is_root = fs::metadata(pod.folder.path()).unwrap().uid() == 0;
    let owner = json!({ "user": "12345", "group": "23456" });
    let templates = json!([template(&pod, "owned", &owner)]);
    let sink = json!([{ "type": "file", "config": {
        "path": pod.folder.join("token"), "uid": 12345, "gid": 23456, "mode": 288 } }]);
    let pod = pod.set("/template", templates).set("/auto_auth/sink", sink);
    let done = pod.init();
    if is_root {
        assert_eq!(done.code(), 0, "{}", done.err);
        for name in ["secrets/owned", "token"] {
            let found = fs::metadata(pod.folder.join(name)).unwrap();
            assert_eq!((found.uid(), found.gid()), (12345, 23456), "{name}");
        }
        assert_eq!(pod.mode("token"), 0o440);
    } else {
        assert_eq!(done.code(), 1, "what cannot be given is no success: {}", done.err);
    }
    let mut pod = pod;
    pod.config["template"][0]["user"] = json!("no-such-user");
    let done = pod.init();
    assert!(done.code() != 0 && done.err.contains("the user does not stand in"), "{}", done.err);
}

#[test]
fn no_more_requests_are_under_way_than_wanted() {
    let vault = FakeVault::start();
    let mut pod = Pod::new(&vault).env("VAULT_CLIENT_TIMEOUT", "500ms");
    for i in 0..4 {
        vault.put(&format!("secret/app/{i}"), json!({ "key": "value" }));
        vault.fault(&format!("secret/data/app/{i}"), Fault::Hang, 1);
        pod = pod.file(&format!("{i}"), &format!("secret/app/{i}"), "raw:key");
    }
    let limited = pod.set("/template_config/max_connections_per_host", json!(1));
    let begun = std::time::Instant::now();
    assert_eq!(limited.init().code(), 0);
    assert!(begun.elapsed() >= Duration::from_secs(2), "four that hang, one after the other");
}

/// A pod that logs in with a JWT which lies behind a link.
fn with_jwt(vault: &FakeVault, follows: bool) -> Pod {
    vault.role("app", Role { ttl: 3600, ..Role::default() });
    let pod = Pod::new(vault);
    let token = pod.folder.write("real/jwt", "first.j.wt");
    std::os::unix::fs::symlink(&token, pod.folder.join("link")).unwrap();
    let method = json!({
        "type": "jwt",
        "mount_path": "auth/kubernetes",
        "config": {
            "role": "app",
            "path": pod.folder.join("link"),
            "remove_jwt_follows_symlinks": follows,
            "jwt_read_period": "100ms",
        },
    });
    pod.set("/auto_auth/method", method)
}

#[test]
fn a_token_behind_a_link_is_removed_when_that_is_wanted() {
    let vault = FakeVault::start();
    let pod = with_jwt(&vault, true);
    assert_eq!(pod.init().code(), 0);
    assert!(!pod.folder.join("real/jwt").exists(), "the token stays on disk");
    assert!(pod.folder.join("link").is_symlink());
    let pod = with_jwt(&vault, false);
    assert_eq!(pod.init().code(), 0);
    assert!(pod.folder.join("real/jwt").exists() && !pod.folder.join("link").is_symlink());
}

#[test]
fn a_token_that_comes_later_is_taken_long_before_the_next_login() {
    let vault = FakeVault::start();
    let pod = with_jwt(&vault, true);
    let sidecar = pod.sidecar();
    assert!(wait_until(LONG, || vault.logins() == 1), "{}", sidecar.err());
    pod.folder.write("real/jwt", "second.j.wt");
    let is_gone = || !pod.folder.join("real/jwt").exists();
    assert!(wait_until(Duration::from_secs(5), is_gone), "{}", sidecar.err());
    vault.revoke_all_tokens();
    assert_eq!(vault.logins(), 1);
    assert_eq!(sidecar.terminate(Duration::from_secs(1)).code(), 0);
}

#[test]
fn sigterm_ends_a_command_that_hangs_with_all_that_it_started() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    for mode in ["agent-init", "agent-sidecar"] {
        let pod = Pod::new(&vault).file("db", "secret/db", "raw:password");
        let (begun, late) = (pod.folder.join("begun"), pod.folder.join("late"));
        let command = format!(
            "(sleep 3; echo > {}) & echo > {}; sleep 60; true",
            late.display(),
            begun.display()
        );
        let pod = pod.of_file("command", json!(command));
        let agent = pod.program(mode).start();
        assert!(wait_until(LONG, || begun.exists()), "{}", agent.err());
        let code = agent.terminate(Duration::from_secs(1)).code();
        assert_eq!(code, i32::from(mode == "agent-init"));
        std::thread::sleep(Duration::from_millis(3500));
        assert!(!late.exists(), "{mode}: what the command started lives on");
    }
}

#[test]
fn a_command_may_be_a_list_in_a_text() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault).file("db", "secret/db", "raw:password");
    let target = pod.folder.join("made by a command");
    let command = json!(["touch", target]).to_string();
    let pod = pod.of_file("command", json!(command));
    let done = pod.init();
    assert!(done.code() == 0 && target.exists(), "{}", done.err);
}

#[test]
fn sighup_reads_the_level_of_the_log_and_certificates_again() {
    let vault = FakeVault::start_tls();
    put_db(&vault, "one");
    let pod = Pod::new(&vault).file("db", "secret/db", "raw:password");
    let ca = pod.folder.write("ca.pem", FakeVault::start_tls().ca_pem().unwrap());
    let mut pod = pod.set("/vault/ca_cert", json!(ca)).set("/log_level", json!("error"));
    let path = pod.folder.write("config.json", pod.config.to_string());
    let argument = format!("-config={}", path.display());
    let mut sidecar = Program::new(BINARY, &["agent-sidecar", &argument]).start();
    assert!(sidecar.wait_for_err("invalid peer certificate", LONG), "{}", sidecar.err());
    pod.folder.write("ca.pem", vault.ca_pem().unwrap());
    assert!(pod.becomes("db", "one"), "it logs in by itself: {}", sidecar.err());
    assert!(!sidecar.err().contains("[INFO]"), "{}", sidecar.err());
    pod.config["log_level"] = json!("debug");
    pod.folder.write("config.json", pod.config.to_string());
    sidecar.signal(libc::SIGHUP);
    assert!(sidecar.wait_for_err("SIGHUP", LONG), "{}", sidecar.err());
    pod.folder.write("config.json", "{ half");
    sidecar.signal(libc::SIGHUP);
    assert!(sidecar.wait_for_err("configuration not read again", LONG), "{}", sidecar.err());
    assert!(sidecar.is_alive());
    assert_eq!(sidecar.terminate(Duration::from_secs(1)).code(), 0);
}

#[test]
fn the_lines_that_people_wait_for_are_the_peers() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault).file("db", "secret/db", "raw:password");
    let destination = pod.folder.join("secrets/db");
    let done = pod.program("agent-init").env("VAULT_LOG_LEVEL", "info").run(LONG);
    let line = format!("(runner) rendered \"(dynamic)\" => \"{}\"", destination.display());
    assert!(done.err.contains(&line), "{}", done.err);
    assert!(!done.err.contains("accessor"), "an accessor ends a token: {}", done.err);
    fs::remove_file(&destination).unwrap();
    let json = pod.program("agent-init").env("BAO_LOG_FORMAT", "json").run(LONG);
    assert!(json.err.lines().all(|line| line.starts_with('{')), "{}", json.err);
    assert!(json.err.contains("\"accessor\""), "at debug it is told");
    let quiet = pod.program("agent-init").env("BAO_LOG_LEVEL", "error").run(LONG);
    assert_eq!((quiet.code(), quiet.err.as_str()), (0, ""));
}

#[test]
fn the_configuration_may_be_named_by_the_environment() {
    let vault = FakeVault::start();
    put_db(&vault, "one");
    let pod = Pod::new(&vault).file("db", "secret/db", "raw:password");
    let path = pod.folder.write("config.json", pod.config.to_string());
    let program = Program::new(BINARY, &["agent-init"]);
    let done = program.env("BAO_AGENT_CONFIG_PATH", path.to_str().unwrap()).run(LONG);
    assert_eq!((done.code(), pod.secret("db").as_str()), (0, "one"), "{}", done.err);
}
