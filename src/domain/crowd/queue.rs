//! Who is next, of many that want work of us: one of each address in turn, so that who asks a lot waits for itself.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use super::Peer;

/// Those that wait, by address.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    newest_first: bool,
    waiting: BTreeMap<Peer, VecDeque<T>>,
    /// Whose turn it was.
    last: Option<Peer>,
}

/// Of one address, before those that went away are taken out.
const LOOKED_THROUGH: usize = 1024;

impl<T> Queue<T> {
    /// Of one address the newest is next where old ones are most likely lost, or else the oldest.
    pub(crate) const fn new(newest_first: bool) -> Self {
        Self { newest_first, waiting: BTreeMap::new(), last: None }
    }

    /// One more waits. `is_gone` knows of those that need not be kept.
    pub(crate) fn push(&mut self, peer: Peer, one: T, is_gone: impl Fn(&T) -> bool) {
        let line = self.waiting.entry(peer).or_default();
        if line.len() >= LOOKED_THROUGH && line.len().is_power_of_two() {
            line.retain(|one| !is_gone(one));
        }
        line.push_back(one);
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Option<T> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut later = self.waiting.range_mut((after, Bound::Unbounded));
        let peer = match later.next() {
            Some((peer, _)) => *peer,
            None => *self.waiting.first_key_value()?.0,
        };
        let line = self.waiting.get_mut(&peer)?;
        let one = if self.newest_first { line.pop_back() } else { line.pop_front() };
        if line.is_empty() {
            self.waiting.remove(&peer);
        }
        self.last = Some(peer);
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(newest_first: bool, all: &[(u128, u32)]) -> Vec<u32> {
        let mut queue = Queue::new(newest_first);
        for (peer, one) in all {
            queue.push(Peer(*peer), *one, |_| false);
        }
        std::iter::from_fn(|| queue.next()).collect()
    }

    #[test]
    fn each_address_has_its_turn() {
        let all = [(1, 10), (1, 11), (1, 12), (1, 13), (2, 20), (3, 30), (3, 31)];
        assert_eq!(order(false, &all), [10, 20, 30, 11, 31, 12, 13]);
        assert_eq!(order(true, &all), [13, 20, 31, 12, 30, 11, 10]);
    }

    #[test]
    fn who_comes_late_to_a_long_line_of_others_is_next() {
        let mut queue = Queue::new(false);
        (0..5000).for_each(|one| queue.push(Peer(5), one, |_| false));
        assert!(!queue.is_empty());
        assert_eq!((queue.next(), queue.next()), (Some(0), Some(1)));
        for peer in [1, 9] {
            queue.push(Peer(peer), 7000 + u32::try_from(peer).unwrap(), |_| false);
        }
        assert_eq!([queue.next(), queue.next(), queue.next()], [Some(7009), Some(7001), Some(2)]);
    }

    #[test]
    fn those_that_went_away_take_no_memory() {
        let mut queue = Queue::new(true);
        (0..100_000).for_each(|one| queue.push(Peer(1), one, |_| true));
        assert!(queue.waiting[&Peer(1)].len() <= 2 * LOOKED_THROUGH);
    }
}
