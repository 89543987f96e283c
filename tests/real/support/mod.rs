//! Real servers for tests: each test starts its own, on free loopback ports, and they end with it.

pub(crate) mod agent;
pub(crate) mod bao;
pub(crate) mod cluster;
pub(crate) mod jwt;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod token_review;
pub(crate) mod webhook;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The uid and gid that servers run as when the tests run as root: PostgreSQL refuses root.
const NOBODY: u32 = 65534;

/// A folder of its own under the system's temporary folder; gone when dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A new empty folder that every user may write to, as servers run as another user.
    pub(crate) fn new(purpose: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vault-injector-{purpose}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("create a scratch folder");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("chmod");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of `name` in this folder.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.join(name);
        std::fs::write(&path, content).expect("write a scratch file");
        path
    }

    /// A file's text, `None` while it is not there.
    pub(crate) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.join(name)).ok()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}

/// Asks `probe` every 20 ms until it answers; panics with `what` when `limit` is over.
pub(crate) fn until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < limit, "gave up after {limit:?} waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A loopback port that nobody used a moment ago.
pub(crate) fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind a loopback port");
    socket.local_addr().expect("its address").port()
}

/// A server's program, or `None` with a loud line where it is not installed. Continuous integration must
/// have it: there, a test that cannot run has failed.
pub(crate) fn program(
    name: &str,
    candidates: impl IntoIterator<Item = PathBuf>,
) -> Option<PathBuf> {
    if let Some(found) = candidates.into_iter().find(|path| path.exists()) {
        return Some(found);
    }
    assert!(std::env::var_os("CI").is_none(), "{name} is not installed: start with tests/run");
    eprintln!("SKIPPED: {name} is not installed, so this test says nothing; start with tests/run");
    None
}

/// The repository's folder.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
