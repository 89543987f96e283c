//! From a document to a checked configuration.

use std::fmt;

use super::{AgentConfig, Environment};
use crate::base::json::Json;

/// One mistake of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where: `template[0].perms` or `VAULT_CLIENT_TIMEOUT`.
    pub place: String,
    /// What is wrong and what to write instead; holds the value unless it may be secret.
    pub reason: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

impl std::error::Error for ConfigError {}

/// Lays several documents over each other.
pub fn merge(documents: Vec<Json>) -> Json {
    documents.into_iter().next().unwrap_or(Json::Null)
}

/// Decodes a document.
pub fn decode(_document: &Json, _env: &Environment) -> Result<AgentConfig, Vec<ConfigError>> {
    Err(Vec::new())
}
