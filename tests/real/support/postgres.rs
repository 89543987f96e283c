//! PostgreSQL, for dynamic credentials.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::process::{Process, server};
use super::temp_dir::TempDir;
use super::{free_port, program, shared_folder, until};

const SUPERUSER_PASSWORD: &str = "superuser-of-this-test";

/// One server with an empty cluster.
#[derive(Debug)]
pub(crate) struct Postgres {
    _process: Process,
    _scratch: TempDir,
    port: u16,
}

impl Postgres {
    /// Makes a cluster and starts the server, or says loudly that it cannot.
    pub(crate) fn start() -> Option<Self> {
        let initdb = installed("initdb")?;
        let scratch = shared_folder("postgres");
        let password = scratch.write("password", SUPERUSER_PASSWORD);
        let data = scratch.join("data");
        let mut command = server(&initdb, scratch.path());
        command.args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8"]);
        command.args(["--locale=C", "--no-sync"]);
        command.arg(format!("--pwfile={}", password.display()));
        command.arg("--pgdata").arg(&data);
        let mut process = Process::start(&mut command, &scratch.join("initdb.log"));
        let code = process.code_within(Duration::from_secs(60));
        assert_eq!(code, 0, "initdb: {}", process.output());

        let port = free_port();
        let mut command = server(&installed("postgres")?, scratch.path());
        command.arg("-D").arg(&data).arg("-k").arg(scratch.path()).arg("-p").arg(port.to_string());
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
        let process = Process::start(&mut command, &scratch.join("server.log"));
        process.expect_output("ready to accept connections", Duration::from_secs(30));
        let postgres = Self { _process: process, _scratch: scratch, port };
        until("PostgreSQL to answer", Duration::from_secs(10), || {
            postgres.query("postgres", SUPERUSER_PASSWORD, "select 1").ok()
        });
        Some(postgres)
    }

    /// The settings of OpenBao's database engine for this server.
    pub(crate) fn connection(&self) -> serde_json::Value {
        serde_json::json!({
            "plugin_name": "postgresql-database-plugin",
            "allowed_roles": "*",
            "connection_url": format!(
                "postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/postgres?sslmode=disable",
                self.port
            ),
            "username": "postgres",
            "password": SUPERUSER_PASSWORD,
        })
    }

    /// Connects as an application would and runs one statement; gives its output or the reason why not.
    pub(crate) fn query(&self, user: &str, password: &str, sql: &str) -> Result<String, String> {
        let psql = installed("psql").ok_or("psql is not installed")?;
        let port = self.port.to_string();
        let done = Command::new(psql)
            .args(["-X", "-A", "-t", "-w", "-h", "127.0.0.1", "-p", &port, "-U", user])
            .args(["-d", "postgres", "-c", sql])
            .env("PGPASSWORD", password)
            .env("PGCONNECT_TIMEOUT", "5")
            .output()
            .map_err(|error| error.to_string())?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned());
        }
        Err(String::from_utf8_lossy(&done.stderr).trim().to_owned())
    }

    /// How many roles a dynamic secret left in the database at this moment.
    pub(crate) fn dynamic_roles(&self) -> usize {
        let sql = "select count(*) from pg_roles where rolname like 'v-%'";
        let count = self.query("postgres", SUPERUSER_PASSWORD, sql).expect("count roles");
        count.parse().expect("a number")
    }
}

/// A program of the newest installed PostgreSQL.
fn installed(name: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort();
    folders.reverse();
    folders.extend(["/usr/local/bin".into(), "/usr/bin".into()]);
    program("PostgreSQL", folders.into_iter().map(|folder| folder.join(name)))
}
