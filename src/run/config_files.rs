//! The files that `-config` names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::limits::FILE_BYTES_MAX;
use crate::adapter::files;
use crate::base::json::Json;
use crate::domain::agent_config::parse_hcl;

/// Reads a file, or every `*.hcl` and `*.json` of a folder in the order of their names. Each error is a
/// clause that names the file.
pub(crate) fn load(path: &str) -> Result<Vec<Json>, String> {
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

/// Reads a configuration from its text: JSON when it begins with a brace, else HCL.
pub(crate) fn parse(text: &[u8]) -> Result<Json, String> {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'{') {
        return Json::parse(text).map_err(|e| e.to_string());
    }
    let text = std::str::from_utf8(text).map_err(|e| format!("not UTF-8: {e}"))?;
    parse_hcl(text).map_err(|e| e.to_string())
}

fn load_file(path: &Path) -> Result<Json, String> {
    let text = files::read_named(path, FILE_BYTES_MAX).map_err(|e| e.to_string())?;
    parse(&text).map_err(|reason| format!("{}: {reason}", path.display()))
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
