//! Files of Kubernetes manifests, alone or in folders, in JSON or YAML.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use super::files;
use crate::base::source::{self, Document};
use crate::base::yaml;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Yaml,
}

/// Reads a file, or standard input for `-`. The error names it.
pub(crate) fn read(name: &str, bytes_max: usize) -> Result<String, String> {
    let bytes = if name == "-" {
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        let read = io::stdin().lock().take(limit).read_to_end(&mut bytes);
        read.map_err(|e| format!("-: {e}"))?;
        if bytes.len() > bytes_max {
            return Err(format!("-: larger than {bytes_max} bytes"));
        }
        bytes
    } else {
        files::read_named(Path::new(name), bytes_max).map_err(|e| e.to_string())?
    };
    String::from_utf8(bytes)
        .map_err(|e| format!("{name}: not UTF-8 after byte {}", e.utf8_error().valid_up_to()))
}

/// The manifests that a name stands for: itself, or of a folder those below it, sorted. What starts with a
/// dot is left out, and folders behind links are.
pub(crate) fn list(name: &str) -> Result<Vec<String>, String> {
    if name == "-" || !Path::new(name).is_dir() {
        return Ok(vec![name.to_owned()]);
    }
    let mut found = Vec::new();
    below(Path::new(name), &mut found)?;
    if found.is_empty() {
        return Err(format!("{name}: no file below it ends in .yaml, .yml or .json"));
    }
    Ok(found)
}

fn below(folder: &Path, found: &mut Vec<String>) -> Result<(), String> {
    let wrong = |e: &io::Error| format!("{}: {e}", folder.display());
    let entries = fs::read_dir(folder).map_err(|e| wrong(&e))?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(|e| wrong(&e))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let extension = path.extension().and_then(OsStr::to_str);
        if is_hidden {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            below(&path, found)?;
        } else if matches!(extension, Some("json" | "yaml" | "yml")) && !path.is_dir() {
            found.push(
                path.to_str()
                    .map(str::to_owned)
                    .ok_or_else(|| format!("{}: not a name in UTF-8", path.display()))?,
            );
        }
    }
    Ok(())
}

/// The documents of a text, one after the other. The error is a clause with line and column.
pub(crate) fn documents(
    text: &str,
) -> (Form, Box<dyn Iterator<Item = Result<Document, String>> + '_>) {
    if text.trim_start().starts_with(['{', '['])
        && let Ok(found) = source::read_json(text)
    {
        return (Form::Json, Box::new(found.into_iter().map(Ok)));
    }
    (Form::Yaml, Box::new(yaml::read(text).map(|read| read.map_err(|e| e.to_string()))))
}
