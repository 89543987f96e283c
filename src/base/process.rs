//! What is known of a process from outside.

/// Figures of this process; each is absent when the kernel does not say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProcessFigures {
    /// Processor time in user and kernel mode, seconds.
    pub(crate) cpu_seconds: Option<f64>,
    /// File descriptors that may be open, infinite without a limit.
    pub(crate) max_fds: Option<f64>,
    /// Open file descriptors.
    pub(crate) open_fds: Option<f64>,
    /// Bytes in memory.
    pub(crate) resident_bytes: Option<f64>,
    /// Seconds between the epoch and the start.
    pub(crate) start_seconds: Option<f64>,
    /// Bytes of address space.
    pub(crate) virtual_bytes: Option<f64>,
}
