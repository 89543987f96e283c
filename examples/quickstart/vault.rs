//! A Vault for the demonstration: the small one of the tests, or a real server that somebody has.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::fake_vault::FakeVault;
use super::jwt::Issuer;
use super::program::{Program, Running, wait_until};
use super::temp_dir::TempDir;
use super::token_review::TokenReview;
use super::{Outcome, PATIENCE, screen};

const ROOT_TOKEN: &str = "root-of-the-demonstration";

/// A server that lets the service account `web` of the namespace `demo` log in with the role `app` and
/// read `secret/`, a KV engine of version 2.
pub(crate) struct Vault {
    server: Server,
    pod_token: String,
}

enum Server {
    Fake(FakeVault),
    Real { address: String, client: ureq::Agent, _process: Running, _reviews: TokenReview },
}

impl Vault {
    pub(crate) fn start(folder: &TempDir, binary: Option<&Path>) -> Outcome<Self> {
        let issuer = Issuer::new();
        let pod_token = issuer.service_account("demo", "web");
        let server = match binary {
            None => Server::Fake(FakeVault::start_tls()),
            Some(binary) => start_real(binary, folder, &issuer, &pod_token)?,
        };
        Ok(Self { server, pod_token })
    }

    pub(crate) fn address(&self) -> &str {
        match &self.server {
            Server::Fake(vault) => vault.address(),
            Server::Real { address, .. } => address,
        }
    }

    /// The CA of its certificate; empty without TLS.
    pub(crate) fn ca_pem(&self) -> &str {
        match &self.server {
            Server::Fake(vault) => vault.ca_pem().unwrap_or(""),
            Server::Real { .. } => "",
        }
    }

    /// What Kubernetes would project into the pod.
    pub(crate) fn pod_token(&self) -> &str {
        &self.pod_token
    }

    /// Writes a secret below `secret/`.
    pub(crate) fn put(&self, name: &str, data: &Value) -> Outcome<()> {
        match &self.server {
            Server::Fake(vault) => vault.put(&format!("secret/{name}"), data.clone()),
            Server::Real { address, client, .. } => {
                post(client, address, &format!("secret/data/{name}"), &json!({ "data": data }))?;
            }
        }
        Ok(())
    }

    /// Logins, and reads of the secret `db`, where they were counted.
    pub(crate) fn requests(&self) -> Option<(usize, usize)> {
        match &self.server {
            Server::Fake(vault) => Some((vault.logins(), vault.count("secret/data/db"))),
            Server::Real { .. } => None,
        }
    }
}

/// Starts `vault server -dev` or `bao server -dev` and configures it over its API.
fn start_real(
    binary: &Path,
    folder: &TempDir,
    issuer: &Issuer,
    pod_token: &str,
) -> Outcome<Server> {
    // Somebody may take the port in between; then the server says so and ends.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let port = port.map_err(|e| format!("no free port: {e}"))?.port();
    let words = [
        "server",
        "-dev",
        "-dev-no-store-token",
        &format!("-dev-root-token-id={ROOT_TOKEN}"),
        &format!("-dev-listen-address=127.0.0.1:{port}"),
    ];
    let home = folder.path().display().to_string();
    let mut process = Program::new(binary, &words).folder(folder.path()).env("HOME", home).start();
    let address = format!("http://127.0.0.1:{port}");
    let client: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .into();
    let health = format!("{address}/v1/sys/health");
    wait_until(PATIENCE, || {
        screen::interrupted()
            || !process.is_alive()
            || client.get(&health).call().is_ok_and(|reply| reply.status() == 200)
    });
    if !process.is_alive() || screen::interrupted() {
        return Err(format!("{} does not serve:\n{}", binary.display(), process.err()));
    }

    let reviewer = issuer.service_account("vault", "reviewer");
    let reviews = TokenReview::start(&reviewer);
    reviews.know(pod_token, "demo", "web");
    let policy = "path \"secret/*\" { capabilities = [\"read\", \"list\"] }";
    let login = json!({
        "kubernetes_host": reviews.url(),
        "kubernetes_ca_cert": reviews.certificate,
        "token_reviewer_jwt": reviewer,
        "disable_local_ca_jwt": true,
    });
    let role = json!({
        "bound_service_account_names": ["web"],
        "bound_service_account_namespaces": ["demo"],
        "token_policies": ["app"],
        "token_ttl": "1h",
    });
    for (path, body) in [
        ("sys/policies/acl/app", json!({ "policy": policy })),
        ("sys/auth/kubernetes", json!({ "type": "kubernetes" })),
        ("auth/kubernetes/config", login),
        ("auth/kubernetes/role/app", role),
    ] {
        post(&client, &address, path, &body)?;
    }
    Ok(Server::Real { address, client, _process: process, _reviews: reviews })
}

fn post(client: &ureq::Agent, address: &str, path: &str, body: &Value) -> Outcome<()> {
    let reply = client
        .post(format!("{address}/v1/{path}"))
        .header("X-Vault-Token", ROOT_TOKEN)
        .send(body.to_string());
    match reply {
        Ok(reply) if reply.status().is_success() => Ok(()),
        Ok(mut reply) => {
            let text = reply.body_mut().read_to_string().unwrap_or_default();
            Err(format!("POST {path}: HTTP {} {text}", reply.status()))
        }
        Err(error) => Err(format!("POST {path}: {error}")),
    }
}
