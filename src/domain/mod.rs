//! Decisions as functions of values: no input or output, no clock, no randomness, no threads, no logging.

pub mod agent_config;
pub(crate) mod crowd;
pub mod format;
pub mod handover;
pub mod inject;
pub mod schedule;
pub mod serving;
pub mod template;
pub mod vault;
pub mod x509;
