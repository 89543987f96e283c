//! Signals as values, on a thread of their own.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGHUP
    Reload,
    /// SIGTERM or SIGINT
    Stop,
}

/// From now on hands every signal to `take`, on a thread that lives as long as the process.
pub(crate) fn watch(take: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let watching = move || {
        for signal in signals.forever() {
            take(if signal == SIGHUP { Signal::Reload } else { Signal::Stop });
        }
    };
    // It only passes numbers on.
    thread::Builder::new().name("signals".to_owned()).stack_size(64 * 1024).spawn(watching)?;
    Ok(())
}
