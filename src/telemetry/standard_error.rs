//! Standard error as a place that may be full: whoever reads it, such as a container's runtime on a node whose disk
//! is full, may have stopped, and a write would wait for ever. Secrets are renewed, reviews answered and signals
//! heard all the same, and lines are lost instead.

use std::io::{self, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long the first line waits that finds no room; those after it do not, until there is some. A runtime that is
/// merely busy reads on in milliseconds, and the end of an agent has a second for its last words.
const WAIT_MS: u16 = 500;

/// What a pipe with room at all takes without a wait (`PIPE_BUF` of Linux).
const PIECE_BYTES: usize = 4096;

/// What is remembered between lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outlet {
    /// Lines lost since the last that was written.
    lost: u64,
    /// Only the start of a line was written.
    is_cut: bool,
}

impl Outlet {
    /// A new one.
    pub(super) const fn new() -> Self {
        Self { lost: 0, is_cut: false }
    }

    /// Writes one line, or loses it. `confess` makes the line that says how many were lost, once there is room
    /// again.
    pub(super) fn put(
        &mut self,
        mut target: impl Write + AsFd,
        line: &[u8],
        confess: impl FnOnce(u64) -> String,
    ) {
        let wait = if self.lost == 0 { PollTimeout::from(WAIT_MS) } else { PollTimeout::ZERO };
        if !has_room(&target, wait) {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        let mut text = Vec::new();
        if std::mem::take(&mut self.is_cut) {
            text.push(b'\n');
        }
        if self.lost > 0 {
            text.extend_from_slice(confess(self.lost).as_bytes());
        }
        self.lost = 0;
        text.extend_from_slice(line);
        for piece in text.chunks(PIECE_BYTES) {
            if !has_room(&target, PollTimeout::from(WAIT_MS)) {
                (self.is_cut, self.lost) = (true, 1);
                return;
            }
            // A log that cannot be written has no place to say so.
            if target.write_all(piece).is_err() {
                return;
            }
        }
    }
}

/// Whether a write would not wait. What is closed or broken is told by the write.
fn has_room(target: &impl AsFd, wait: PollTimeout) -> bool {
    let mut polled = [PollFd::new(target.as_fd(), PollFlags::POLLOUT)];
    match poll(&mut polled, wait) {
        Ok(count) => count > 0,
        // A signal came while it waited, which is no reason to wait longer.
        Err(Errno::EINTR) => false,
        Err(_) => true,
    }
}

/// Standard error, for one line at a time.
pub(super) fn locked() -> io::StderrLock<'static> {
    io::stderr().lock()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn confess(lost: u64) -> String {
        format!("lost {lost}\n")
    }

    #[test]
    fn a_pipe_that_nobody_reads_holds_nothing_up_and_its_losses_are_told() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut outlet = Outlet::new();
        let line = [&[b'x'; 999][..], b"\n"].concat();
        // At half a second each it would take more than an hour.
        for _ in 0..10_000 {
            outlet.put(&writer, &line, confess);
        }
        let lost = outlet.lost;
        assert!(lost > 9000, "{lost}");
        let mut some = vec![0; 40_000];
        reader.read_exact(&mut some).unwrap();
        outlet.put(&writer, b"again\n", confess);
        assert_eq!(outlet, Outlet::new());
        drop(writer);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with(&format!("x\nlost {lost}\nagain\n")));
    }

    #[test]
    fn a_line_that_was_cut_does_not_run_into_the_next() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut outlet = Outlet::new();
        outlet.put(&writer, &vec![b'y'; 1 << 20], confess);
        assert_eq!(outlet, Outlet { lost: 1, is_cut: true });
        let mut some = vec![0; 40_000];
        reader.read_exact(&mut some).unwrap();
        outlet.put(&writer, b"next\n", confess);
        drop(writer);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("y\nlost 1\nnext\n"));
    }

    #[test]
    fn what_is_closed_is_no_reason_to_stop() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut outlet = Outlet::new();
        outlet.put(&writer, b"nobody hears it\n", confess);
        assert_eq!(outlet, Outlet::new());
    }
}
