//! Vault's HTTP API as values: requests out, replies in, errors that name what is missing.

mod error;
mod path;
mod reply;
mod request;

pub use error::{VaultError, Verdict};
pub use path::{Mount, MountTable};
pub use reply::{Auth, Reading, Reply, WrapInfo};
pub use request::{Method, Request};
