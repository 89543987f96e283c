//! Who has to go when there is no room: connections as facts, without sockets and clocks.
//!
//! Room is shared by address: whose address has most connections gives one up, so that nobody can take from others
//! by being many. Of one address, who makes us wait goes before who rests, who never brought a whole review before
//! who did, and the oldest before the youngest. Who waits for us stays.

pub(crate) mod ledger;
pub(crate) mod queue;

use std::collections::BTreeMap;
use std::time::Duration;

/// Where a connection comes from: an IP address as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Peer(pub(crate) u128);

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It waits for us.
    Busy,
    /// We wait for it: for a handshake, a header, a body, or for it to take its answer.
    Owing,
    /// Nothing was asked since the last answer.
    Resting,
    /// It waits for memory that others hold, half its body in hand.
    Waiting,
}

/// One connection at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) standing: Standing,
    /// Since it stands like that.
    pub(crate) age: Duration,
    /// Whether it ever brought a whole review.
    pub(crate) is_proven: bool,
}

/// Whether one more can come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// There is room.
    Free,
    /// When this one goes.
    Instead(u64),
    /// When somebody has got an answer: nobody may be sent away.
    Later,
}

/// Connections in a room.
#[derive(Debug)]
pub(crate) struct Crowd {
    places: usize,
    /// Of these, those that proven ones may keep while others wait.
    proven_places: usize,
    /// From which age on a debt is one.
    patience: Duration,
    /// In the order in which they came.
    members: BTreeMap<u64, Peer>,
    sizes: BTreeMap<Peer, usize>,
}

/// Who goes first, of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// Owes for longer than our patience.
    Debt,
    /// Has what it came for, or can come again.
    Rest,
    /// Has just begun to owe, as everybody does who comes in or asks.
    Begun,
}

impl Crowd {
    /// Room for so many, of which `proven_places` may be kept by those that brought a review.
    pub(crate) const fn new(places: usize, proven_places: usize, patience: Duration) -> Self {
        Self { places, proven_places, patience, members: BTreeMap::new(), sizes: BTreeMap::new() }
    }

    /// One more is in, even if there was no room. Numbers only grow.
    pub(crate) fn enter(&mut self, id: u64, peer: Peer) {
        if self.members.insert(id, peer).is_none() {
            *self.sizes.entry(peer).or_default() += 1;
        }
    }

    /// One is out; again is no harm.
    pub(crate) fn leave(&mut self, id: u64) {
        let Some(peer) = self.members.remove(&id) else { return };
        if let Some(size) = self.sizes.get_mut(&peer) {
            *size = size.saturating_sub(1);
            if *size == 0 {
                self.sizes.remove(&peer);
            }
        }
    }

    /// Whether one more is one too many.
    pub(crate) fn is_full(&self) -> bool {
        self.members.len() >= self.places
    }

    /// The first that came from the address with the most: of a crowd in which all owe the same.
    pub(crate) fn oldest_of_largest(&self) -> Option<u64> {
        let (largest, _) = self.sizes.iter().max_by_key(|(_, size)| **size)?;
        self.members.iter().find(|(_, peer)| *peer == largest).map(|(id, _)| *id)
    }

    /// Whether another one of this address can come in; `look` knows how each one stands.
    pub(crate) fn entry(&self, newcomer: Peer, look: impl Fn(u64) -> Look) -> Entry {
        if !self.is_full() {
            return Entry::Free;
        }
        let looks: Vec<(u64, Peer, Look)> =
            self.members.iter().map(|(id, peer)| (*id, *peer, look(*id))).collect();
        let proven = looks.iter().filter(|(.., look)| look.is_proven).count();
        let gives_proven = proven > self.proven_places;
        // The newcomer counts: of two addresses that are equal without it, its own gives.
        let size = |peer: Peer| {
            let own = usize::from(peer == newcomer);
            self.sizes.get(&peer).map_or(0, |size| size + own)
        };
        let of_class = |(_, peer, look): &&(u64, Peer, Look)| {
            (look.is_proven == gives_proven).then(|| size(*peer))
        };
        let largest = looks.iter().filter_map(|one| of_class(&one)).max();
        let candidates =
            looks.iter().filter(|one| of_class(one) == largest && one.2.standing != Standing::Busy);
        let first =
            candidates.min_by_key(|(_, _, look)| (self.turn(*look), std::cmp::Reverse(look.age)));
        first.map_or(Entry::Later, |(id, ..)| Entry::Instead(*id))
    }

    fn turn(&self, look: Look) -> Turn {
        match look.standing {
            Standing::Owing if look.age >= self.patience => Turn::Debt,
            Standing::Resting | Standing::Waiting => Turn::Rest,
            Standing::Owing | Standing::Busy => Turn::Begun,
        }
    }
}

/// A connection that holds memory of those that others wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) id: u64,
    pub(crate) peer: Peer,
    pub(crate) bytes: usize,
    pub(crate) look: Look,
}

/// Who has to give back what others need: of those that have owed for longer than our patience the largest, of the
/// address that holds most.
pub(crate) fn debtor(holders: &[Holder], patience: Duration) -> Option<u64> {
    let mut held: BTreeMap<Peer, usize> = BTreeMap::new();
    for holder in holders {
        *held.entry(holder.peer).or_default() += holder.bytes;
    }
    let owes = |holder: &&Holder| {
        holder.bytes > 0 && holder.look.standing == Standing::Owing && holder.look.age >= patience
    };
    let most = holders.iter().filter(owes).max_by_key(|holder| {
        (held.get(&holder.peer).copied().unwrap_or_default(), holder.bytes, holder.look.age)
    });
    most.map(|holder| holder.id)
}

#[cfg(test)]
mod tests;
