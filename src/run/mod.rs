//! The modes: wiring, threads and log lines around the decisions of `domain`.

pub(crate) mod agent;
pub(crate) mod config_files;
pub(crate) mod fetching;
pub(crate) mod file_writes;
pub(crate) mod inject;
pub(crate) mod limits;
pub(crate) mod render;
pub(crate) mod webhook;

/// Settles what concerns the whole process. To be called first, in every mode.
pub(crate) fn prepare() {
    crate::adapter::allocator::prepare();
}
