//! Vault's HTTP API as values: requests out, replies in, errors that name what is missing.

mod error;
mod path;
mod rate;
mod reply;
mod request;

pub use error::{Gone, TokenState, VaultError, Verdict};
pub use path::{Mount, MountTable, PathError, SecretPath};
pub use rate::{Bucket, RateLimit};
pub use reply::{Auth, Operation, Reading, Reply, WrapInfo, missing_capabilities};
pub use request::{Method, Request};
