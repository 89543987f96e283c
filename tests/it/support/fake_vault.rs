//! A small Vault on 127.0.0.1 for tests and the demonstration: real HTTP (and TLS), real envelopes and
//! errors, all state in memory, every request recorded.
//!
//! It is there for what a real server will not do on demand: 429, a seal, a half-open connection, a lie,
//! a token that dies now. It knows no policies beyond [`FakeVault::deny`].
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "shared with the demonstration, which uses less of it than the tests"
)]

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

#[path = "fake_vault/api.rs"]
mod api;
#[path = "fake_vault/http.rs"]
mod http;
#[path = "fake_vault/state.rs"]
mod state;

pub(crate) use http::self_made_tls;
pub(crate) use state::{Engine, Role};

/// How a request is mistreated instead of, or before, being answered.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The connection ends without an answer.
    Close,
    /// The head promises more bytes than come.
    CutBody,
    /// 200 with this body, whatever it is.
    Garbage(&'static str),
    /// The request is read and never answered, until the server goes away.
    Hang,
    /// 307 to the same path at this address.
    Redirect(String),
    /// Answered properly, but only after this time.
    Slow(Duration),
    /// This status with these errors and, if given, `Retry-After` in seconds.
    Status(u16, &'static [&'static str], Option<u64>),
}

impl Fault {
    /// What a sealed Vault says.
    pub(crate) const SEALED: Self = Self::Status(503, &["Vault is sealed"], None);
    /// What a quota says.
    pub(crate) const QUOTA: Self = Self::Status(
        429,
        &["request path \"x\": rate limit quota exceeded, limit 1, interval 1s"],
        Some(1),
    );
}

/// One request as it came, and what was answered.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// `GET`, `PUT`, `POST`, `LIST`, `DELETE`.
    pub(crate) method: String,
    /// Below `/v1/`, as sent.
    pub(crate) path: String,
    /// Without `?`, empty for none.
    pub(crate) query: String,
    /// The accessor of the token that was sent, if it is one of ours.
    pub(crate) accessor: Option<String>,
    /// Whether any token was sent.
    pub(crate) has_token: bool,
    /// `X-Vault-Namespace`
    pub(crate) namespace: Option<String>,
    /// All headers but the token, names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The JSON body, `Null` for none.
    pub(crate) body: Value,
    /// When it was complete.
    pub(crate) at: Instant,
    /// Which connection it came on, counted from 0.
    pub(crate) connection: usize,
    /// What was answered, 0 for nothing.
    pub(crate) status: u16,
}

/// A fault with the requests it is for.
struct Trap {
    pattern: String,
    fault: Fault,
    left: usize,
}

/// Everything that connections share with the test.
struct Inside {
    state: state::State,
    seen: Vec<Seen>,
    traps: Vec<Trap>,
    /// The open connections by number, so that dropping the server ends those that wait.
    streams: BTreeMap<usize, TcpStream>,
    stopping: bool,
}

struct Shared {
    inside: Mutex<Inside>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server. It ends, with all its connections, when this is dropped.
pub(crate) struct FakeVault {
    address: String,
    socket: SocketAddr,
    ca_pem: Option<String>,
    shared: Arc<Shared>,
    acceptor: Option<thread::JoinHandle<()>>,
}

impl FakeVault {
    /// Serves plain HTTP.
    pub(crate) fn start() -> Self {
        Self::serve(None)
    }

    /// Serves TLS with a certificate for `127.0.0.1` and `localhost` of a CA of its own.
    pub(crate) fn start_tls() -> Self {
        Self::serve(Some(self_made_tls(&["127.0.0.1", "localhost"])))
    }

    fn serve(tls: Option<http::SelfMadeTls>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let socket = listener.local_addr().expect("the port just bound");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let inside = Inside {
            state: state::State::fresh(),
            seen: Vec::new(),
            traps: Vec::new(),
            streams: BTreeMap::new(),
            stopping: false,
        };
        let shared = Arc::new(Shared { inside: Mutex::new(inside), changed: Condvar::new() });
        let (ca_pem, config) = tls.map(|tls| (tls.ca_pem, tls.server)).unzip();
        let acceptor = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || http::accept(&listener, &shared, config.as_ref()))
        };
        let address = format!("{scheme}://{socket}");
        Self { address, socket, ca_pem, shared, acceptor: Some(acceptor) }
    }

    /// `http://127.0.0.1:PORT` or `https://127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The CA that clients need, PEM; only of [`FakeVault::start_tls`].
    pub(crate) fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    // What it holds.

    /// Adds or replaces a secrets engine: `mount` without slashes around it.
    pub(crate) fn mount(&self, mount: &str, engine: Engine) {
        self.shared.lock().state.mount(mount, engine);
    }

    /// Adds a login mount below `auth/`; `kubernetes`, `jwt` and `approle` are there from the start.
    pub(crate) fn mount_auth(&self, mount: &str, kind: &'static str) {
        self.shared.lock().state.auth_mounts.insert(mount.to_owned(), kind);
    }

    /// Adds or replaces a login role; `app` is there from the start. Of approle it is the `role_id`.
    pub(crate) fn role(&self, name: &str, role: Role) {
        self.shared.lock().state.roles.insert(name.to_owned(), role);
    }

    /// Writes a secret: `secret/db` of a KV mount of either version, without `data/`.
    pub(crate) fn put(&self, path: &str, data: Value) {
        self.shared.lock().state.put(path, data);
    }

    /// Deletes the newest version of a KV 2 secret, or the whole KV 1 secret.
    pub(crate) fn delete(&self, path: &str) {
        self.shared.lock().state.delete(path, false);
    }

    /// Destroys the newest version of a KV 2 secret.
    pub(crate) fn destroy(&self, path: &str) {
        self.shared.lock().state.delete(path, true);
    }

    /// Adds a role of the dynamic engine: `database/creds/NAME` gives leases of `ttl` seconds, not
    /// renewable beyond `max_ttl`.
    pub(crate) fn dynamic(&self, name: &str, ttl: u64, max_ttl: u64, renewable: bool) {
        self.shared.lock().state.dynamic(name, ttl, max_ttl, renewable);
    }

    /// Makes a token as an operator would, and returns it.
    pub(crate) fn token(&self, role: &Role) -> String {
        self.shared.lock().state.issue(role, "operator").0
    }

    /// Makes a wrapping token around `data`, as created at `creation_path`.
    pub(crate) fn wrap(&self, creation_path: &str, data: Value) -> String {
        self.shared.lock().state.wrap(creation_path, data)
    }

    /// Refuses everything at and below `path` (as in the API: with `data/`) with 403.
    pub(crate) fn deny(&self, path: &str) {
        self.shared.lock().state.capabilities.insert(path.to_owned(), vec!["deny".to_owned()]);
    }

    /// Allows `path` again.
    pub(crate) fn allow(&self, path: &str) {
        self.shared.lock().state.capabilities.remove(path);
    }

    /// Ends every token and what hangs on it, as a revocation by an operator does.
    pub(crate) fn revoke_all_tokens(&self) {
        self.shared.lock().state.revoke_all_tokens();
    }

    /// Ends every lease; tokens live on.
    pub(crate) fn revoke_all_leases(&self) {
        self.shared.lock().state.leases.clear();
    }

    // How it misbehaves.

    /// Mistreats the next `times` requests that match: `*` for all, `secret/data/*` for what starts so,
    /// else a whole path below `/v1/`. Of several faults the newest counts.
    pub(crate) fn fault(&self, pattern: &str, fault: Fault, times: usize) {
        self.shared.lock().traps.push(Trap { pattern: pattern.to_owned(), fault, left: times });
    }

    /// Behaves from now on.
    pub(crate) fn heal(&self) {
        self.shared.lock().traps.clear();
    }

    /// Cuts every open connection, idle or not.
    pub(crate) fn cut_connections(&self) {
        for stream in self.shared.lock().streams.values() {
            // A connection that ended by itself is as good.
            let _gone = stream.shutdown(Shutdown::Both);
        }
    }

    // What it saw.

    /// All requests so far, oldest first.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.shared.lock().seen.clone()
    }

    /// How many requests matched `pattern` (see [`FakeVault::fault`]).
    pub(crate) fn count(&self, pattern: &str) -> usize {
        self.shared.lock().seen.iter().filter(|seen| matches(pattern, &seen.path)).count()
    }

    /// How many logins succeeded.
    pub(crate) fn logins(&self) -> usize {
        let inside = self.shared.lock();
        inside.seen.iter().filter(|s| s.path.ends_with("/login") && s.status == 200).count()
    }

    /// Accessors of the tokens that live now, operators' apart.
    pub(crate) fn live_tokens(&self) -> Vec<String> {
        self.shared.lock().state.live_tokens()
    }

    /// Ids of the leases that live now.
    pub(crate) fn live_leases(&self) -> Vec<String> {
        self.shared.lock().state.live_leases()
    }

    /// Forgets the requests so far.
    pub(crate) fn forget_requests(&self) {
        self.shared.lock().seen.clear();
    }

    /// Waits until `enough` says so of the requests so far; false when `limit` passed first.
    pub(crate) fn wait_for(&self, limit: Duration, enough: impl Fn(&[Seen]) -> bool) -> bool {
        let waiting = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), limit, |inside| !enough(&inside.seen));
        let (inside, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        enough(&inside.seen)
    }

    /// Waits until `times` requests matched `pattern`; false when `limit` passed first.
    pub(crate) fn wait_for_count(&self, pattern: &str, times: usize, limit: Duration) -> bool {
        self.wait_for(limit, |seen| {
            seen.iter().filter(|seen| matches(pattern, &seen.path)).count() >= times
        })
    }
}

impl Drop for FakeVault {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
        self.cut_connections();
        // Wakes the acceptor; one that is gone already needs no waking.
        drop(TcpStream::connect(self.socket));
        if let Some(acceptor) = self.acceptor.take() {
            // Its panic was printed already.
            let _ended = acceptor.join();
        }
    }
}

/// Whether `path` is the one of `pattern`, or begins as `pattern` does before its `*`.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == pattern,
    }
}
