//! A small API server of Kubernetes on 127.0.0.1: real HTTPS, objects with versions in memory, RBAC, watches,
//! and every request checked and recorded.
//!
//! It serves what the webhook asks and nothing else. Whatever a careful client would not send is a complaint,
//! and a test with complaints fails when the server is dropped.
#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::disallowed_methods,
    reason = "tests may touch the outside; each uses a part of it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use serde_json::Value;

use super::https::Ca;
use super::temp_dir::TempDir;

#[path = "fake_kube/api.rs"]
mod api;
#[path = "fake_kube/http.rs"]
mod http;
#[path = "fake_kube/json_patch.rs"]
mod json_patch;

/// The namespace of the service account.
pub(crate) const NAMESPACE: &str = "vault";

/// How a request is mistreated instead of, or before, being answered.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The connection ends without an answer.
    Close,
    /// The head promises more than comes: half an object, or half an event of a watch.
    CutBody,
    /// 200 and a body, or an event, that never ends.
    Endless,
    /// 200 with this body, whatever it is.
    Garbage(&'static str),
    /// The request is read and never answered, until the server goes away.
    Hang,
    /// A watch begins and is silent for ever, whatever happens and however long it was to last.
    HalfOpen,
    /// Carried out properly, but only after this time.
    Slow(Duration),
    /// This status with a `Status` document and, if given, `Retry-After` in seconds.
    Status(u16, Option<u64>),
    /// This status with a body that no API server would send.
    Foreign(u16, &'static str),
}

/// One request as it came, and what was answered.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// As RBAC calls it: `get`, `list`, `watch`, `create`, `update`, `patch`.
    pub(crate) verb: &'static str,
    /// `secrets`
    pub(crate) resource: String,
    pub(crate) namespace: String,
    /// Empty for a `create`; of a list or watch the name that the selector asks for.
    pub(crate) name: String,
    pub(crate) query: BTreeMap<String, String>,
    /// All headers but the token, names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// Which token was sent: 0 for the first that the service account had.
    pub(crate) token: Option<usize>,
    /// `Null` for none.
    pub(crate) body: Value,
    /// When it was complete.
    pub(crate) at: Instant,
    /// Which connection it came on, counted from 0.
    pub(crate) connection: usize,
    /// What was answered, 0 for nothing.
    pub(crate) status: u16,
}

/// Something that watches hear of.
struct Happening {
    version: u64,
    what: What,
}

enum What {
    /// A bookmark to every watch.
    Bookmark,
    /// `ADDED`, `MODIFIED` or `DELETED`, and the object.
    Change(&'static str, Key, Value),
    /// `ERROR` with 410 to every watch.
    Expiry,
}

/// Resource, namespace, name.
type Key = (&'static str, String, String);

/// A fault with the requests it is for.
struct Trap {
    verb: String,
    resource: String,
    fault: Fault,
    left: usize,
}

/// Everything that connections share with the test.
struct Inside {
    objects: BTreeMap<Key, Value>,
    /// Of the whole store; every write takes the next one.
    version: u64,
    happenings: Vec<Happening>,
    /// Watches from versions below this one are told to list again.
    forgotten: u64,
    /// Verb, resource, name or nothing.
    allowed: BTreeSet<(String, String, String)>,
    /// Every token the service account ever had, and whether it still counts.
    tokens: Vec<(String, bool)>,
    traps: Vec<Trap>,
    seen: Vec<Seen>,
    complaints: Vec<String>,
    /// Watches that began before the last of these are over.
    watch_rounds: u64,
    open_watches: usize,
    tls: Arc<ServerConfig>,
    /// The open connections by number.
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

    /// Does something and wakes whoever waits for it.
    fn change<T>(&self, change: impl FnOnce(&mut Inside) -> T) -> T {
        let done = change(&mut self.lock());
        self.changed.notify_all();
        done
    }
}

/// The server. It ends, with all its connections, when this is dropped.
pub(crate) struct FakeKube {
    socket: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<thread::JoinHandle<()>>,
    service_account: TempDir,
}

impl FakeKube {
    /// Allows nothing yet.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let socket = listener.local_addr().expect("the port just bound");
        let service_account = TempDir::new("service-account");
        service_account.write("namespace", NAMESPACE);
        let inside = Inside {
            objects: BTreeMap::new(),
            version: 100,
            happenings: Vec::new(),
            forgotten: 0,
            allowed: BTreeSet::new(),
            tokens: Vec::new(),
            traps: Vec::new(),
            seen: Vec::new(),
            complaints: Vec::new(),
            watch_rounds: 0,
            open_watches: 0,
            tls: Ca::new().server(),
            streams: BTreeMap::new(),
            stopping: false,
        };
        let shared = Arc::new(Shared { inside: Mutex::new(inside), changed: Condvar::new() });
        let acceptor = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || http::accept(&listener, &shared))
        };
        let server = Self { socket, shared, acceptor: Some(acceptor), service_account };
        server.rotate_ca();
        server.rotate_token();
        server
    }

    /// Allows everything that the official chart's roles allow an injector with several replicas.
    pub(crate) fn start_as_charted() -> Self {
        let server = Self::start();
        server.allow("get list watch patch", "mutatingwebhookconfigurations", "");
        server.allow("get", "nodes", "");
        server.allow("create get watch list update", "secrets", "");
        server.allow("create get watch list update", "configmaps", "");
        server.allow("get", "pods", "");
        server
    }

    /// `127.0.0.1`
    pub(crate) fn host(&self) -> String {
        self.socket.ip().to_string()
    }

    pub(crate) fn port(&self) -> String {
        self.socket.port().to_string()
    }

    /// The folder of `token`, `ca.crt` and `namespace`.
    pub(crate) fn service_account(&self) -> &Path {
        self.service_account.path()
    }

    /// Overwrites a file of the service account and returns what it held.
    pub(crate) fn write_file(&self, name: &str, content: &str) -> String {
        let before = self.service_account.read(name);
        self.service_account.write(name, content);
        before
    }

    /// What the executable needs to find this server instead of its cluster's.
    pub(crate) fn env(&self) -> [(&'static str, String); 3] {
        let folder = self.service_account().to_str().expect("a path in UTF-8").to_owned();
        [
            ("KUBERNETES_SERVICE_HOST", self.host()),
            ("KUBERNETES_SERVICE_PORT", self.port()),
            ("AGENT_INJECT_SERVICE_ACCOUNT_DIR", folder),
        ]
    }

    // Who may do what.

    /// Adds a rule: verbs apart by spaces, a resource, and a name or nothing for all.
    pub(crate) fn allow(&self, verbs: &str, resource: &str, name: &str) {
        let rule = |verb: &str| (verb.to_owned(), resource.to_owned(), name.to_owned());
        self.shared.lock().allowed.extend(verbs.split(' ').map(rule));
    }

    /// Takes all rules for these verbs of a resource away.
    pub(crate) fn forbid(&self, verbs: &str, resource: &str) {
        let is_meant = |verb: &str| verbs.split(' ').any(|meant| meant == verb);
        self.shared.lock().allowed.retain(|(verb, r, _)| r != resource || !is_meant(verb));
    }

    /// Gives the service account a new token; older ones are good for nothing any more.
    pub(crate) fn rotate_token(&self) {
        let token = self.shared.change(|inside| {
            let token = format!("token-{}", inside.tokens.len());
            inside.tokens.iter_mut().for_each(|(_, is_good)| *is_good = false);
            inside.tokens.push((token.clone(), true));
            token
        });
        self.service_account.write("token", token);
    }

    /// Takes the token's worth without giving a new one.
    pub(crate) fn revoke_token(&self) {
        self.shared.change(|inside| inside.tokens.iter_mut().for_each(|token| token.1 = false));
    }

    /// Serves with a certificate of a new CA from the next connection on.
    pub(crate) fn rotate_ca(&self) {
        let ca = Ca::new();
        self.service_account.write("ca.crt", ca.pem());
        self.shared.change(|inside| inside.tls = ca.server());
        self.cut_connections();
    }

    // What it holds.

    /// Creates or replaces an object, as anybody else would; returns its version.
    pub(crate) fn put(&self, object: Value) -> String {
        self.shared.change(|inside| api::put(inside, object))
    }

    /// Changes an object, as anybody else would.
    pub(crate) fn edit(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        edit: impl FnOnce(&mut Value),
    ) {
        let mut object = self.object(resource, namespace, name).expect("an object to edit");
        edit(&mut object);
        self.put(object);
    }

    /// Removes an object, as anybody else would.
    pub(crate) fn remove(&self, resource: &str, namespace: &str, name: &str) {
        self.shared.change(|inside| api::remove(inside, resource, namespace, name));
    }

    pub(crate) fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let inside = self.shared.lock();
        let wanted = |key: &Key| (key.0, &*key.1, &*key.2) == (resource, namespace, name);
        inside.objects.iter().find(|(key, _)| wanted(key)).map(|(_, object)| object.clone())
    }

    // What becomes of watches.

    /// Moves the version on, as a write to something else does, and tells it to every watch.
    pub(crate) fn bookmark(&self) -> String {
        self.shared.change(|inside| {
            inside.version += 1;
            let version = inside.version;
            inside.happenings.push(Happening { version, what: What::Bookmark });
            version.to_string()
        })
    }

    /// Forgets the past: watches from a version before the present one are told to list again.
    pub(crate) fn compact(&self) {
        self.shared.change(|inside| {
            inside.forgotten = inside.version;
            inside.happenings.clear();
        });
    }

    /// Tells every open watch that its version is too old.
    pub(crate) fn expire_watches(&self) {
        self.shared.change(|inside| {
            let version = inside.version;
            inside.happenings.push(Happening { version, what: What::Expiry });
        });
    }

    /// Ends every open watch in order.
    pub(crate) fn end_watches(&self) {
        self.shared.change(|inside| inside.watch_rounds += 1);
    }

    /// Waits until so many watches are open.
    pub(crate) fn wait_for_watches(&self, count: usize) -> bool {
        self.wait_until(Duration::from_secs(10), |inside| inside.open_watches == count)
    }

    // How it misbehaves.

    /// Mistreats the next `times` requests of a verb for a resource; `*` is any.
    pub(crate) fn fault(&self, verb: &str, resource: &str, fault: Fault, times: usize) {
        let (verb, resource) = (verb.to_owned(), resource.to_owned());
        self.shared.lock().traps.push(Trap { verb, resource, fault, left: times });
    }

    /// Behaves from now on.
    pub(crate) fn heal(&self) {
        self.shared.lock().traps.clear();
    }

    /// Cuts every open connection, idle or not.
    pub(crate) fn cut_connections(&self) {
        self.shared.change(|inside| {
            for stream in inside.streams.values() {
                // A connection that ended by itself is as good.
                let _gone = stream.shutdown(Shutdown::Both);
            }
            inside.watch_rounds += 1;
        });
    }

    // What it saw.

    /// All requests so far, oldest first.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.shared.lock().seen.clone()
    }

    /// How many requests there were of a verb for a resource; `*` is any.
    pub(crate) fn count(&self, verb: &str, resource: &str) -> usize {
        self.shared.lock().count(verb, resource)
    }

    /// Forgets the requests so far.
    pub(crate) fn forget_requests(&self) {
        self.shared.lock().seen.clear();
    }

    /// Waits until there were so many requests; false when `limit` passed first.
    pub(crate) fn wait_for_count(
        &self,
        verb: &str,
        resource: &str,
        times: usize,
        limit: Duration,
    ) -> bool {
        self.wait_until(limit, |inside| inside.count(verb, resource) >= times)
    }

    /// Waits until an object is there and `enough` says so of it.
    pub(crate) fn wait_for_object(
        &self,
        (resource, namespace, name): (&'static str, &str, &str),
        limit: Duration,
        enough: impl Fn(&Value) -> bool,
    ) -> bool {
        let key = (resource, namespace.to_owned(), name.to_owned());
        self.wait_until(limit, |inside| inside.objects.get(&key).is_some_and(&enough))
    }

    fn wait_until(&self, limit: Duration, is_so: impl Fn(&Inside) -> bool) -> bool {
        let waiting = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), limit, |inside| !is_so(inside));
        is_so(&waiting.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// What a careful client would not have sent.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.shared.lock().complaints.clone()
    }

    /// Forgets the complaints of a test that means to cause some.
    pub(crate) fn forgive(&self) {
        self.shared.lock().complaints.clear();
    }
}

impl Inside {
    fn count(&self, verb: &str, resource: &str) -> usize {
        let fits = |seen: &&Seen| fits(verb, seen.verb) && fits(resource, &seen.resource);
        self.seen.iter().filter(fits).count()
    }
}

fn fits(pattern: &str, word: &str) -> bool {
    pattern == "*" || pattern == word
}

impl Drop for FakeKube {
    fn drop(&mut self) {
        self.shared.change(|inside| inside.stopping = true);
        self.cut_connections();
        // Wakes the acceptor; one that is gone already needs no waking.
        drop(TcpStream::connect(self.socket));
        if let Some(acceptor) = self.acceptor.take() {
            // Its panic was printed already.
            let _ended = acceptor.join();
        }
        let complaints = self.complaints();
        assert!(complaints.is_empty() || thread::panicking(), "{}", complaints.join("\n"));
    }
}
