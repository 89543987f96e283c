//! `wait` of a template: one write for a burst of changes. A timer without a clock.

use std::time::Duration;

use crate::base::time::Mono;

/// Waits for an end of the changes.
#[derive(Clone, Debug)]
pub struct QuietTimer {
    min: Duration,
    max: Duration,
    /// The first change that waits, and the last one.
    changes: Option<(Mono, Mono)>,
}

impl QuietTimer {
    /// Due `min` after the last change, but at most `max` after the first.
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, changes: None }
    }

    /// Something changed.
    pub fn changed(&mut self, now: Mono) {
        let first = self.changes.map_or(now, |(first, _)| first);
        self.changes = Some((first, now));
    }

    /// When to write; `None` when nothing waits.
    pub fn due(&self) -> Option<Mono> {
        let (first, last) = self.changes?;
        Some((last + self.min).min(first + self.max))
    }

    /// It was written.
    pub const fn done(&mut self) {
        self.changes = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::at(Duration::from_secs(seconds))
    }

    fn due_after(changes: &[u64]) -> Option<Mono> {
        let mut timer = QuietTimer::new(Duration::from_secs(3), Duration::from_secs(9));
        changes.iter().for_each(|&seconds| timer.changed(at(seconds)));
        timer.due()
    }

    #[test]
    fn each_change_begins_the_wait_anew_up_to_the_longest() {
        assert_eq!(due_after(&[]), None);
        assert_eq!(due_after(&[10]), Some(at(13)));
        assert_eq!(due_after(&[10, 12]), Some(at(15)));
        assert_eq!(due_after(&[10, 12, 14, 16]), Some(at(19)));
        assert_eq!(due_after(&[10, 12, 14, 16, 18]), Some(at(19)), "nine seconds after the first");
    }

    #[test]
    fn what_was_written_waits_for_nothing() {
        let mut timer = QuietTimer::new(Duration::from_secs(3), Duration::from_secs(9));
        timer.changed(at(1));
        timer.done();
        assert_eq!(timer.due(), None);
        timer.changed(at(100));
        assert_eq!(timer.due(), Some(at(103)), "a new burst has its own nine seconds");
    }
}
