//! The webhook as a cluster runs it, asked over TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::agent::ours;
use super::https::{Ca, Client};
use super::process::Process;
use super::temp_dir::TempDir;
use super::{free_port, shared_folder, until};

/// A running webhook with a certificate of its own.
pub(crate) struct Webhook {
    pub(crate) process: Process,
    pub(crate) scratch: TempDir,
    pub(crate) port: u16,
    ca: Ca,
}

impl Webhook {
    /// Starts ours with `env`, behind the command `prefix`.
    pub(crate) fn start(prefix: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start_program(prefix, &ours(), "webhook", env)
    }

    /// Starts `program` in `mode`: ours, or one that reads the same variables.
    pub(crate) fn start_program(
        prefix: &[&str],
        program: &Path,
        mode: &str,
        env: &[(&str, &str)],
    ) -> Self {
        let scratch = shared_folder("webhook");
        let port = free_port();
        let ca = Ca::new();
        let (certificate, key) = ca.issue();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(prefix).arg(program).arg(mode);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("AGENT_INJECT_LISTEN", format!("127.0.0.1:{port}"))
            .env("AGENT_INJECT_TLS_CERT_FILE", scratch.write("tls.crt", certificate))
            .env("AGENT_INJECT_TLS_KEY_FILE", scratch.write("tls.key", key))
            .envs(env.iter().copied());
        let mut process = Process::start(&mut command, &scratch.join("webhook.log"));
        until("the webhook to listen", Duration::from_secs(10), || {
            assert_eq!(process.try_code(), None, "{}", process.output());
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { process, scratch, port, ca }
    }

    /// What a client needs that trusts it.
    pub(crate) fn trust(&self) -> std::sync::Arc<rustls::ClientConfig> {
        self.ca.client()
    }

    /// Sends a review as an API server does and returns the answer.
    pub(crate) fn ask(&self, review: &Value) -> Value {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let mut client =
            Client::connect(address, self.ca.client(), "127.0.0.1").expect("a TLS connection");
        let body = review.to_string();
        let reply = client
            .ask("POST /mutate?timeout=10s", &["Content-Type: application/json"], body.as_bytes())
            .expect("an answer");
        assert_eq!(reply.status, 200, "{}", reply.text());
        serde_json::from_slice(&reply.body).expect("an AdmissionReview")
    }
}
