//! What Vault answers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::base::json::Json;
use crate::base::secret::Secret;

/// A response as it came over the wire.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// At most `limits::VAULT_REPLY_BYTES_MAX` bytes.
    pub body: Zeroizing<Vec<u8>>,
    /// The header `Retry-After`, when it is a number of seconds.
    pub retry_after: Option<Duration>,
}

/// The envelope of a response (`api.Secret` of Vault's client). `Debug` shows no content.
#[derive(Clone)]
pub struct Reading {
    /// `request_id`
    pub request_id: String,
    /// `lease_id`, empty without a lease.
    pub lease_id: String,
    /// `lease_duration` in seconds.
    pub lease_duration: u64,
    /// Whether the lease can be renewed.
    pub renewable: bool,
    /// `data`: an object, or `Null` when there is none.
    pub data: Json,
    /// `warnings`
    pub warnings: Vec<String>,
    /// `auth`, of a login or a token creation.
    pub auth: Option<Auth>,
    /// `wrap_info`, of a wrapped response.
    pub wrap_info: Option<WrapInfo>,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Reading(lease {:?} for {} s, data {:?})",
            self.lease_id, self.lease_duration, self.data
        )
    }
}

/// `auth` of a response.
#[derive(Clone, Debug)]
pub struct Auth {
    /// `client_token`
    pub client_token: Secret,
    /// `accessor`: safe to log.
    pub accessor: String,
    /// `policies`
    pub policies: Vec<String>,
    /// `metadata`
    pub metadata: BTreeMap<String, String>,
    /// `lease_duration` in seconds; 0 never expires.
    pub lease_duration: u64,
    /// Whether the token can be renewed.
    pub renewable: bool,
}

/// `wrap_info` of a response.
#[derive(Clone, Debug)]
pub struct WrapInfo {
    /// The wrapping token.
    pub token: Secret,
    /// Seconds.
    pub ttl: u64,
    /// RFC 3339.
    pub creation_time: String,
    /// `wrapped_accessor`
    pub wrapped_accessor: String,
}
