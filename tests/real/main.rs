//! Tests against real servers: OpenBao and PostgreSQL. `tests/run` installs both.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    dead_code,
    reason = "a test that cannot set up should stop; bench and e2e share the support"
)]

mod support;

mod certificates;
mod lifecycle;
mod login;
mod paths;
mod recovery;
mod secrets;
