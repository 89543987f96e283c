//! What others may see of this process: nothing of its memory.

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

/// Closes this process' memory to everybody but root, before there is a secret in it: a process of the same user
/// may neither trace it nor read its files in `/proc` (prctl(2), proc(5)), and no core is dumped. Programs that are
/// started from here dump no core either; who may look at them is for them to say.
pub(crate) fn close() {
    // Where the kernel refuses, as a sandbox may make it, the process is as open as any other, and works.
    let _stays_open = prctl::set_dumpable(false);
    let _stays_unlimited = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}
