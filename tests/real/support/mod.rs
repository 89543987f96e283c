//! Real servers for tests: each test starts its own, on free loopback ports, and they end with it.

#[path = "../../it/support/https.rs"]
pub(crate) mod https;
#[path = "../../it/support/temp_dir.rs"]
pub(crate) mod temp_dir;

pub(crate) mod agent;
pub(crate) mod bao;
pub(crate) mod cluster;
pub(crate) mod jwt;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod token_review;
pub(crate) mod webhook;

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use temp_dir::TempDir;

/// The uid and gid that servers run as when the tests run as root: PostgreSQL refuses root.
const NOBODY: u32 = 65534;

/// A new folder that every user may write to, as servers run as another user.
pub(crate) fn shared_folder(purpose: &str) -> TempDir {
    let folder = TempDir::new(&format!("vault-injector-{purpose}"));
    let everybody = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.path(), everybody).expect("our own folder");
    folder
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
    // Past the test runner, which keeps what a passing test prints to itself.
    let line = format!("SKIPPED, nothing tested: {name} is not installed; start with tests/run\n");
    let _unwritten = std::io::stderr().write_all(line.as_bytes());
    None
}

/// The repository's folder.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
