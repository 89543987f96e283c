//! The modes: wiring, threads and log lines around the decisions of `domain`.

pub(crate) mod agent;
pub(crate) mod config_files;
pub(crate) mod fetching;
pub(crate) mod file_writes;
pub(crate) mod inject;
pub(crate) mod limits;
pub(crate) mod render;
pub(crate) mod webhook;

use crate::telemetry::log::Log;

/// Settles what concerns the whole process. To be called first, in every mode.
pub(crate) fn prepare() {
    crate::adapter::privacy::close();
    crate::adapter::allocator::prepare();
}

/// From now on a panic is one log line that names its place. Its message may hold what was computed on.
pub(crate) fn log_panics(log: Log) {
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        log.error("panicked, this is a bug", &[("place", &place)]);
    }));
}
