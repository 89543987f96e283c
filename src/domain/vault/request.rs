//! One request to Vault, complete but for the connection.

use std::time::Duration;

use crate::base::secret::Secret;

/// The verb of a request. Listing is `GET` with `list=true`, as proxies refuse unknown verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read, or list with `list=true`.
    Get,
    /// Write; Vault treats `POST` and `PUT` alike and its client sends `PUT`.
    Put,
}

/// A request: what `adapter::vault` sends. Built by the functions of this module only.
#[derive(Clone, Debug)]
pub struct Request {
    /// The verb.
    pub method: Method,
    /// Below `/v1/`, percent-encoded, without a leading slash.
    pub path: String,
    /// Encoded query without `?`, empty for none.
    pub query: String,
    /// A JSON text.
    pub body: Option<Secret>,
    /// `X-Vault-Token`.
    pub token: Option<Secret>,
    /// `X-Vault-Namespace`: no leading slash, one trailing slash.
    pub namespace: Option<String>,
    /// `X-Vault-Wrap-TTL`.
    pub wrap_ttl: Option<Duration>,
}
