//! Log lines that strangers can cause: the first of a burst are written, the rest is counted.

use std::cell::Cell;
use std::time::Duration;

use crate::base::time::Mono;

/// Bounds one kind of line.
#[derive(Debug)]
pub(crate) struct Burst {
    lines_max: u32,
    lasts: Duration,
    began: Cell<Option<Mono>>,
    lines: Cell<u32>,
    left_out: Cell<u64>,
}

impl Burst {
    /// At most `lines_max` lines in each period of this length, which begins with its first line.
    pub(crate) const fn new(lines_max: u32, lasts: Duration) -> Self {
        Self {
            lines_max,
            lasts,
            began: Cell::new(None),
            lines: Cell::new(0),
            left_out: Cell::new(0),
        }
    }

    /// Whether a line may be written now, and how many were left out since the last one.
    pub(crate) fn admit(&self, now: Mono) -> Option<u64> {
        if self.began.get().is_none_or(|began| now.since(began) >= self.lasts) {
            self.began.set(Some(now));
            self.lines.set(0);
        }
        if self.lines.get() >= self.lines_max {
            self.left_out.set(self.left_out.get().saturating_add(1));
            return None;
        }
        self.lines.set(self.lines.get() + 1);
        Some(self.left_out.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_period_are_written_and_the_rest_is_counted() {
        let burst = Burst::new(2, Duration::from_secs(10));
        let at = |seconds| burst.admit(Mono::at(Duration::from_secs(seconds)));
        assert_eq!([at(5), at(6), at(7), at(14)], [Some(0), Some(0), None, None]);
        assert_eq!([at(15), at(15), at(16)], [Some(2), Some(0), None]);
        assert_eq!(at(100), Some(1));
    }
}
