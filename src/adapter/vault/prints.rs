//! What tells that a file of certificates is another one: its size, time and number.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::domain::agent_config::Connection;

/// Of one file; nothing where there is none.
type Print = Option<(u64, i64, i64, u64)>;

/// The files that a connection takes its certificates and keys from, as they are on disk.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Prints(Vec<(PathBuf, Print)>);

impl Prints {
    /// Looks at every file, and at those of the folder, of which at most `files_max` count.
    pub(super) fn take(connection: &Connection, bundles: &[&str], files_max: usize) -> Self {
        let Connection { ca_cert, ca_path, system_ca_file, client_cert, client_key, .. } =
            connection;
        let named = [ca_cert, ca_path, system_ca_file, client_cert, client_key];
        let named = named.into_iter().flatten().map(String::as_str);
        let mut paths: Vec<PathBuf> = named
            .chain(bundles.iter().copied())
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .collect();
        let folder = ca_path.iter().filter_map(|path| std::fs::read_dir(path).ok());
        let in_folder = folder.flatten().take(files_max).flatten().map(|entry| entry.path());
        let mut in_folder: Vec<PathBuf> = in_folder.collect();
        in_folder.sort();
        paths.append(&mut in_folder);
        let look = |path: PathBuf| {
            let print = print(&path);
            (path, print)
        };
        Self(paths.into_iter().map(look).collect())
    }
}

/// Through links, as volumes of Kubernetes are replaced by another link.
fn print(path: &Path) -> Print {
    let found = std::fs::metadata(path).ok()?;
    Some((found.size(), found.mtime(), found.mtime_nsec(), found.ino()))
}
