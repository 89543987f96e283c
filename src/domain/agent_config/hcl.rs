//! HCL 1.

use std::fmt;

use crate::base::json::Json;

/// Why a text is not HCL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HclError {
    /// From 1.
    pub line: usize,
    /// One clause.
    pub reason: &'static str,
}

impl fmt::Display for HclError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for HclError {}

/// Reads a text.
pub fn parse(_text: &str) -> Result<Json, HclError> {
    Ok(Json::Null)
}
