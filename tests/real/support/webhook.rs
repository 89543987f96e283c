//! The webhook as a cluster runs it, asked over TLS.

use std::process::Command;
use std::time::Duration;

use super::agent::ours;
use super::process::Process;
use super::{Scratch, free_port, until};

/// A running webhook with a certificate of its own.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) process: Process,
    pub(crate) scratch: Scratch,
    pub(crate) port: u16,
}

impl Webhook {
    /// Starts it with `env`, behind the command `prefix`.
    pub(crate) fn start(prefix: &[&str], env: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new("webhook");
        let port = free_port();
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(prefix).arg(ours()).arg("webhook");
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("AGENT_INJECT_LISTEN", format!("127.0.0.1:{port}"))
            .env("AGENT_INJECT_TLS_CERT_FILE", scratch.write("tls.crt", &cert.pem()))
            .env(
                "AGENT_INJECT_TLS_KEY_FILE",
                scratch.write("tls.key", &signing_key.serialize_pem()),
            )
            .envs(env.iter().copied());
        let mut process = Process::start(&mut command, &scratch.join("webhook.log"));
        until("the webhook to listen", Duration::from_secs(10), || {
            assert_eq!(process.try_code(), None, "{}", process.output());
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { process, scratch, port }
    }

    /// The file with its certificate.
    pub(crate) fn certificate(&self) -> std::path::PathBuf {
        self.scratch.join("tls.crt")
    }
}
