//! What operators see: log lines, metrics, health.

pub(crate) mod burst;
pub(crate) mod health;
pub(crate) mod log;
pub(crate) mod metrics;
mod standard_error;
