//! What operators see: log lines, metrics, health.

pub(crate) mod log;
