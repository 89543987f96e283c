//! What strangers can cause, bounded in time: the first of a burst, then a few as time goes on, and the rest is counted.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::base::time::Mono;

/// A supply that is used up and comes back with time.
#[derive(Clone, Copy, Debug)]
struct Supply {
    left: f64,
    since: Mono,
}

/// How much there is at once, and how much comes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// At once, and after a long pause.
    pub(crate) burst: f64,
    /// What comes back in each second.
    pub(crate) per_second: f64,
}

impl Supply {
    const fn full(rate: Rate, now: Mono) -> Self {
        Self { left: rate.burst, since: now }
    }

    /// Takes so much, if there is any left; a last one may take more than is left.
    fn take(&mut self, rate: Rate, now: Mono, amount: f64) -> bool {
        let back = now.since(self.since).as_secs_f64() * rate.per_second;
        (self.left, self.since) = (rate.burst.min(self.left + back), now);
        let takes = self.left >= amount.min(1.0);
        if takes {
            self.left -= amount;
        }
        takes
    }
}

/// Bounds log lines of one kind.
#[derive(Debug)]
pub(crate) struct Burst {
    rate: Rate,
    supply: Cell<Option<Supply>>,
    left_out: Cell<u64>,
}

impl Burst {
    /// So many lines at once, and so many as time goes on.
    pub(crate) const fn new(rate: Rate) -> Self {
        Self { rate, supply: Cell::new(None), left_out: Cell::new(0) }
    }

    /// Whether a line may be written now, and how many were left out since the last one.
    pub(crate) fn admit(&self, now: Mono) -> Option<u64> {
        let mut supply = self.supply.get().unwrap_or(Supply::full(self.rate, now));
        let admitted = supply.take(self.rate, now, 1.0);
        self.supply.set(Some(supply));
        if !admitted {
            self.left_out.set(self.left_out.get().saturating_add(1));
            return None;
        }
        Some(self.left_out.take())
    }
}

/// What each address may cause by itself, so that nobody uses up what is others'.
#[derive(Debug)]
pub(crate) struct PerAddress {
    rate: Rate,
    addresses: RefCell<BTreeMap<IpAddr, (Supply, u64)>>,
}

/// Addresses that are told apart: more than there are API servers and nodes' proxies before them.
const ADDRESSES_MAX: usize = 256;

impl PerAddress {
    /// So much at once, and so much as time goes on, for each address.
    pub(crate) const fn new(rate: Rate) -> Self {
        Self { rate, addresses: RefCell::new(BTreeMap::new()) }
    }

    /// Takes so much for an address: how many were left out since the last one, or nothing when this one is, too.
    pub(crate) fn admit(&self, address: IpAddr, now: Mono, amount: f64) -> Option<u64> {
        let mut addresses = self.addresses.borrow_mut();
        if addresses.len() >= ADDRESSES_MAX && !addresses.contains_key(&address) {
            // The one that was away for longest loses least by being forgotten.
            let oldest = addresses.iter().min_by_key(|(_, (supply, _))| supply.since);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                addresses.remove(&oldest);
            }
        }
        let fresh = (Supply::full(self.rate, now), 0);
        let (supply, left_out) = addresses.entry(address).or_insert(fresh);
        if supply.take(self.rate, now, amount) {
            return Some(std::mem::take(left_out));
        }
        *left_out += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::at(Duration::from_secs(seconds))
    }

    const RATE: Rate = Rate { burst: 2.0, per_second: 0.1 };

    #[test]
    fn the_first_of_a_burst_are_written_then_a_few_and_the_rest_is_counted() {
        let burst = Burst::new(RATE);
        let lines = [5, 6, 7, 15, 16].map(|seconds| burst.admit(at(seconds)));
        assert_eq!(lines, [Some(0), Some(0), None, Some(1), None]);
        // After a long pause there is a burst again, and no more than one.
        let lines = [1000, 1000, 1000].map(|seconds| burst.admit(at(seconds)));
        assert_eq!(lines, [Some(1), Some(0), None]);
        let hour = (2000..5600).filter(|seconds| burst.admit(at(*seconds)).is_some()).count();
        assert!((300..=370).contains(&hour), "{hour} lines in an hour");
    }

    #[test]
    fn each_address_has_its_own() {
        let all = PerAddress::new(RATE);
        let admit = |last, seconds| all.admit([10, 0, 0, last].into(), at(seconds), 1.0);
        assert_eq!([admit(1, 1), admit(1, 1), admit(1, 1)], [Some(0), Some(0), None]);
        assert_eq!(admit(2, 1), Some(0));
        assert_eq!(admit(1, 12), Some(1));
        // What is large is let through once, and paid for later.
        let large = |seconds| all.admit([10, 0, 0, 3].into(), at(seconds), 4.0).is_some();
        assert_eq!([large(1), large(12), large(60)], [true, false, true]);
    }

    #[test]
    fn many_addresses_take_no_memory() {
        let all = PerAddress::new(RATE);
        let admit = |address: u32, seconds| {
            all.admit(std::net::Ipv4Addr::from_bits(address).into(), at(seconds), 1.0)
        };
        (0..100_000).for_each(|address| assert_eq!(admit(address, 5), Some(0)));
        assert_eq!(all.addresses.borrow().len(), ADDRESSES_MAX);
    }
}
