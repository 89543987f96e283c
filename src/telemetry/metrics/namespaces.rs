//! Counts by namespace, of a bounded number of them.
//!
//! Nobody can check here which namespaces there are, and whoever reaches the port can name some. So a table that is
//! full takes in who is new and lets go who was seen least, and of those who was not seen for longest: what goes on
//! stays in it, whatever was in it before.

use std::collections::BTreeMap;

/// Where those are counted that are not told apart; it is no valid name of one.
const OTHER: &str = "_other";

/// Of one namespace.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Denied pods.
    pub(super) denied: u64,
    /// Injected pods, by kind.
    pub(super) injected: BTreeMap<&'static str, u64>,
    /// When it was seen last, as a number that grows.
    seen: u64,
}

impl Counts {
    fn total(&self) -> u64 {
        self.denied + self.injected.values().sum::<u64>()
    }

    fn add(&mut self, other: &Self) {
        self.denied += other.denied;
        for (kind, count) in &other.injected {
            *self.injected.entry(kind).or_default() += count;
        }
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct Namespaces {
    max: usize,
    now: u64,
    known: BTreeMap<String, Counts>,
    other: Counts,
}

impl Namespaces {
    /// Tells so many apart.
    pub(super) const fn new(max: usize) -> Self {
        let other = Counts { denied: 0, injected: BTreeMap::new(), seen: 0 };
        Self { max, now: 0, known: BTreeMap::new(), other }
    }

    /// Where to count for this one. `may_be_new` is asked only when it is.
    pub(super) fn entry(
        &mut self,
        namespace: &str,
        may_be_new: impl FnOnce() -> bool,
    ) -> &mut Counts {
        self.now += 1;
        if !self.known.contains_key(namespace) {
            if self.max == 0 || !may_be_new() {
                return &mut self.other;
            }
            if self.known.len() >= self.max {
                self.let_one_go();
            }
        }
        let counts = self.known.entry(namespace.to_owned()).or_default();
        counts.seen = self.now;
        counts
    }

    fn let_one_go(&mut self) {
        let least = self.known.iter().min_by_key(|(_, counts)| (counts.total(), counts.seen));
        let name = least.map(|(name, _)| name.clone());
        if let Some(counts) = name.and_then(|name| self.known.remove(&name)) {
            self.other.add(&counts);
        }
    }

    /// All of them, those that are not told apart last.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Counts)> {
        let known = self.known.iter().map(|(name, counts)| (name.as_str(), counts));
        known.chain([(OTHER, &self.other)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(table: &mut Namespaces, name: &str) {
        table.entry(name, || true).denied += 1;
    }

    fn names(table: &Namespaces) -> Vec<(&str, u64)> {
        table.all().map(|(name, counts)| (name, counts.total())).collect()
    }

    #[test]
    fn who_is_new_takes_the_place_of_who_was_seen_least() {
        let mut table = Namespaces::new(3);
        for name in ["shop", "shop", "old", "web", "web"] {
            seen(&mut table, name);
        }
        (0..1000).for_each(|i| seen(&mut table, &format!("made-up-{i}")));
        assert_eq!(names(&table), [("made-up-999", 1), ("shop", 2), ("web", 2), (OTHER, 1000)]);
        seen(&mut table, "production");
        assert_eq!(names(&table), [("production", 1), ("shop", 2), ("web", 2), (OTHER, 1001)]);
        // Nothing is lost of what was counted, but its name.
        *table.entry("x", || true).injected.entry("init_only").or_default() += 1;
        seen(&mut table, "y");
        assert_eq!(table.other.injected.get("init_only"), Some(&1));
    }

    #[test]
    fn who_may_not_be_new_is_counted_with_others() {
        let mut table = Namespaces::new(3);
        seen(&mut table, "web");
        table.entry("made-up", || false).denied += 1;
        table.entry("web", || panic!("it is known")).denied += 1;
        assert_eq!(names(&table), [("web", 2), (OTHER, 1)]);
    }
}
