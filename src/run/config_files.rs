//! The files that `-config` names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::limits::FILE_BYTES_MAX;
use crate::adapter::files;
use crate::domain::agent_config::Source;

/// Reads a file, or every `*.hcl` and `*.json` of a folder in the order of their names. Each error is a
/// clause that names the file.
pub(crate) fn load(path: &str) -> Result<Vec<Source>, String> {
    let path = Path::new(path);
    if !path.is_dir() {
        return Ok(vec![load_file(path)?]);
    }
    let mut paths = in_folder(path).map_err(|e| format!("{}: {e}", path.display()))?;
    if paths.is_empty() {
        return Err(format!("{}: no *.hcl and no *.json in it", path.display()));
    }
    paths.sort();
    paths.iter().map(|path| load_file(path)).collect()
}

fn load_file(path: &Path) -> Result<Source, String> {
    let text = files::read_named(path, FILE_BYTES_MAX).map_err(|e| e.to_string())?;
    Source::parse(&path.display().to_string(), &text)
}

/// What editors leave behind is passed over.
fn in_folder(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_config = name.ends_with(".hcl") || name.ends_with(".json");
        let is_dropping = name.starts_with(".#") || name.starts_with('#') || name.ends_with('~');
        if is_config && !is_dropping && path.is_file() {
            paths.push(path);
        }
    }
    Ok(paths)
}
