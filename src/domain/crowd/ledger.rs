//! Memory that connections share, as numbers: who may take how much of it, so that nobody holds what others need and
//! no two wait for each other.
//!
//! A body takes memory as it arrives. The one that was first always finds room for all of itself: the others leave
//! as much free as the longest body takes, so that it ends, and after it the next. One address has at most
//! its share. Answers take what is free: they are whole, and go away by themselves or with their connection.

use std::collections::BTreeMap;

use super::Peer;

/// Bounds of the memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Of all.
    pub(crate) total: usize,
    /// Of one body.
    pub(crate) body_max: usize,
    /// Of the bodies of one address, but for the first of all.
    pub(crate) peer_max: usize,
}

/// Who holds how much.
#[derive(Debug)]
pub(crate) struct Ledger {
    sizes: Sizes,
    free: usize,
    next: u64,
    /// What bodies hold that are not whole yet, in the order in which they asked first.
    bodies: BTreeMap<u64, usize>,
    peers: BTreeMap<Peer, usize>,
}

impl Ledger {
    /// All of it free.
    pub(crate) const fn new(sizes: Sizes) -> Self {
        Self { sizes, free: sizes.total, next: 0, bodies: BTreeMap::new(), peers: BTreeMap::new() }
    }

    /// A body that is going to take memory; its number.
    pub(crate) fn body_begins(&mut self) -> u64 {
        self.next += 1;
        self.bodies.insert(self.next, 0);
        self.next
    }

    /// A body is whole, or given up. What it holds stays taken.
    pub(crate) fn body_ends(&mut self, body: u64) {
        self.bodies.remove(&body);
    }

    /// Takes so many bytes for a body, or none.
    pub(crate) fn take_for_body(&mut self, body: u64, peer: Peer, bytes: usize) -> bool {
        let first = self.bodies.first_key_value().filter(|(first, _)| **first != body);
        if let Some((_, held)) = first {
            let reserved = self.sizes.body_max.saturating_sub(*held);
            let of_peer = self.peers.get(&peer).copied().unwrap_or_default();
            if of_peer + bytes > self.sizes.peer_max || self.free < bytes.saturating_add(reserved) {
                return false;
            }
        }
        if self.free < bytes {
            return false;
        }
        if let Some(held) = self.bodies.get_mut(&body) {
            *held += bytes;
        }
        self.take(peer, bytes)
    }

    /// Takes so many bytes for an answer, or none.
    pub(crate) fn take(&mut self, peer: Peer, bytes: usize) -> bool {
        if self.free < bytes {
            return false;
        }
        // Who takes nothing leaves no trace.
        if bytes == 0 {
            return true;
        }
        self.free -= bytes;
        *self.peers.entry(peer).or_default() += bytes;
        true
    }

    /// Gives so many bytes back.
    pub(crate) fn give(&mut self, peer: Peer, bytes: usize) {
        self.free += bytes;
        if let Some(held) = self.peers.get_mut(&peer) {
            *held = held.saturating_sub(bytes);
            if *held == 0 {
                self.peers.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::dice::dice;

    const SIZES: Sizes = Sizes { total: 120, body_max: 30, peer_max: 60 };
    const MANY: Peer = Peer(1);
    const ONE: Peer = Peer(2);

    #[test]
    fn what_an_address_holds_leaves_room_for_others() {
        let mut ledger = Ledger::new(SIZES);
        let bodies: Vec<u64> = (0..10).map(|_| ledger.body_begins()).collect();
        let mut taken = 0;
        for _ in 0..10 {
            for body in &bodies[1..] {
                taken += usize::from(ledger.take_for_body(*body, MANY, 3)) * 3;
            }
        }
        assert_eq!(taken, 60);
        let other = ledger.body_begins();
        assert!(ledger.take_for_body(other, ONE, 30));
        assert!(!ledger.take_for_body(other, ONE, 1), "what the first may need is left");
        assert!(ledger.take_for_body(bodies[0], MANY, 30), "the first has no share to keep to");
        ledger.body_ends(bodies[0]);
        ledger.give(MANY, 30);
        assert!(ledger.take_for_body(bodies[1], MANY, 15), "then the next is first");
    }

    #[test]
    fn bodies_that_come_are_all_read_to_their_end() {
        // All ask again and again in any order, hold what they have, and give it back when they are whole.
        let mut dice = dice(0x9E37_79B9_7F4A_7C15);
        for _ in 0..200 {
            let mut ledger = Ledger::new(SIZES);
            let mut open: Vec<(u64, Peer, usize, usize)> =
                (0..40).map(|i| (ledger.body_begins(), Peer(i % 3), 0, 1 + dice(30))).collect();
            let mut idle = 0;
            while !open.is_empty() {
                let at = dice(open.len());
                let (body, peer, held, wants) = &mut open[at];
                let step = (1 + dice(8)).min(*wants - *held);
                idle += 1;
                if ledger.take_for_body(*body, *peer, step) {
                    *held += step;
                    idle = 0;
                }
                assert!(idle < 5000, "they wait for each other: {open:?}");
                let (body, peer, held, wants) = open[at];
                if held == wants {
                    ledger.body_ends(body);
                    ledger.give(peer, held);
                    open.remove(at);
                }
            }
            assert_eq!((ledger.free, ledger.peers.len(), ledger.bodies.len()), (120, 0, 0));
        }
    }

    #[test]
    fn answers_take_what_is_free() {
        let mut ledger = Ledger::new(SIZES);
        assert!(ledger.take(MANY, 120));
        assert!(!ledger.take(ONE, 1));
        ledger.give(MANY, 1);
        assert!(ledger.take(ONE, 1));
    }
}
