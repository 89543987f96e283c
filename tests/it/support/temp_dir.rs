//! A folder that vanishes with the test.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "shared with the demonstration, which uses less of it than the tests"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static MADE: AtomicU32 = AtomicU32::new(0);

/// A fresh folder, mode 0700, deleted with all its content when this is dropped.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    /// Makes one; `name` is for people who look into `/tmp`.
    pub(crate) fn new(name: &str) -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let unique = format!("{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(unique);
        // A run that was killed may have left one under the same process id.
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).expect("a folder for temporary files");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&path, private).expect("our own folder");
        Self(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A path in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file in it, making folders on the way, and returns its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a path below the folder")).expect("a folder");
        fs::write(&path, content).expect("a file in our own folder");
        path
    }

    /// A file's text, empty when it is not there.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // Nobody could do anything about it.
        drop(fs::remove_dir_all(&self.0));
    }
}
