//! One file per outside thing. Adapters return errors; they do not log and do not decide.

pub(crate) mod allocator;
pub(crate) mod net;
pub(crate) mod server;
pub(crate) mod tls;
