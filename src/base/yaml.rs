//! YAML as Kubernetes reads and prints it: plain words mean what YAML 1.1 says (`yes` is true, `010` is 8),
//! and what either version of YAML could misread is quoted.

mod plain;
mod read;
mod write;

use std::fmt;

use crate::base::json::Json;
use crate::base::source::Document;

pub use self::write::{write, write_inline, write_member};
pub(crate) use self::write::{write_items, write_member_at};

/// Why a text is not YAML that we read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// In characters, from 1.
    pub column: usize,
    /// From 1.
    pub line: usize,
    /// One clause.
    pub reason: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}: {}", self.line, self.column, self.reason)
    }
}

impl std::error::Error for YamlError {}

/// All documents of a text; empty ones are left out.
pub fn parse(text: &str) -> Result<Vec<Json>, YamlError> {
    read(text).map(|document| Ok(document?.root.into_json())).collect()
}

/// All documents of a text one after the other, with the places of their parts; empty ones are left out.
pub fn read(text: &str) -> impl Iterator<Item = Result<Document, YamlError>> {
    read::Documents::new(text)
}

#[cfg(test)]
mod tests;
