//! The modes: wiring, threads and log lines around the decisions of `domain`.

pub(crate) mod inject;
pub(crate) mod limits;
