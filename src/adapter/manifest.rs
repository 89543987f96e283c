//! Files of Kubernetes manifests: JSON or YAML in, the same kind out.

use std::io::{self, Read as _};
use std::path::Path;

use super::files;
use crate::base::json::Json;
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

/// The documents of a text. The error is a clause with line and column.
pub(crate) fn parse(text: &str) -> Result<(Form, Vec<Json>), String> {
    if text.trim_start().starts_with(['{', '['])
        && let Ok(json) = Json::parse(text.as_bytes())
    {
        return Ok((Form::Json, vec![json]));
    }
    yaml::parse(text).map(|documents| (Form::Yaml, documents)).map_err(|e| e.to_string())
}

/// One text of all documents.
pub(crate) fn write(form: Form, documents: &[Json]) -> String {
    let mut out = String::new();
    for (i, document) in documents.iter().enumerate() {
        match form {
            Form::Json => {
                out.push_str(&document.to_text());
                out.push('\n');
            }
            Form::Yaml => {
                if i > 0 {
                    out.push_str("---\n");
                }
                yaml::write(document, &mut out);
            }
        }
    }
    out
}
