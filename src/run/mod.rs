//! The modes: wiring, threads and log lines around the decisions of `domain`.

pub(crate) mod agent;
pub(crate) mod config_files;
pub(crate) mod limits;
