//! One file per outside thing. Adapters return errors; they do not log and do not decide.

pub(crate) mod allocator;
pub(crate) mod authority;
pub(crate) mod clock;
pub(crate) mod entropy;
pub(crate) mod files;
pub(crate) mod http_client;
pub(crate) mod interfaces;
pub(crate) mod kube;
pub(crate) mod manifest;
pub(crate) mod net;
pub(crate) mod owners;
pub(crate) mod privacy;
pub(crate) mod process;
pub(crate) mod procfs;
pub(crate) mod resolver;
pub(crate) mod server;
pub(crate) mod signals;
pub(crate) mod tls;
pub(crate) mod tls_client;
pub(crate) mod trust;
pub(crate) mod vault;
