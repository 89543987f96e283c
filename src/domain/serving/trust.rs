//! What API servers are told to trust, as it was seen.

use std::collections::BTreeMap;

use super::ca::SETTLE;
use crate::base::time::Mono;

/// The CAs of the live `caBundle`, and since when each is there without a break.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// First and last time that it was seen, by fingerprint.
    seen: BTreeMap<String, (Mono, Mono)>,
    is_read: bool,
}

impl Trust {
    /// The fingerprints in the bundle of each of our entries. Counts is what is in all of them.
    pub fn read(&mut self, bundles: &[Vec<String>], now: Mono) {
        let mut bundles = bundles.iter();
        let mut all: Vec<&String> = bundles.next().into_iter().flatten().collect();
        for bundle in bundles {
            all.retain(|fingerprint| bundle.contains(fingerprint));
        }
        let before = std::mem::take(&mut self.seen);
        let first = |name: &String| before.get(name).map_or(now, |(first, _)| *first);
        self.seen = all.into_iter().map(|name| (name.clone(), (first(name), now))).collect();
        self.is_read = true;
    }

    /// Whether there ever was a bundle to look into.
    pub const fn is_read(&self) -> bool {
        self.is_read
    }

    /// Whether it was in the bundle when that was last read.
    pub fn has(&self, fingerprint: &str) -> bool {
        self.seen.contains_key(fingerprint)
    }

    /// Whether it was seen there again after [`SETTLE`].
    pub fn is_settled(&self, fingerprint: &str) -> bool {
        self.seen.get(fingerprint).is_some_and(|(first, last)| last.since(*first) >= SETTLE)
    }

    /// When a look will settle it; `None` when it has settled, or is not there.
    pub fn settles_at(&self, fingerprint: &str) -> Option<Mono> {
        let (first, _) = self.seen.get(fingerprint).filter(|_| !self.is_settled(fingerprint))?;
        Some(*first + SETTLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn settles_only_what_is_in_all_bundles_without_a_break() {
        let names = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let at = |minute: u64| Mono::at(Duration::from_secs(minute * 60));
        let (abc, ab, b) = (names("a b c"), names("b a"), names("b"));
        let mut trust = Trust::default();
        assert!(!trust.is_read() && !trust.has("a"));
        trust.read(&[abc.clone(), ab.clone()], at(0));
        assert!(trust.has("a") && trust.has("b") && !trust.has("c"));
        assert_eq!(trust.settles_at("a"), Some(at(5)));
        trust.read(&[abc.clone(), b], at(3));
        trust.read(&[abc, ab], at(5));
        assert!(trust.is_settled("b") && !trust.is_settled("a") && !trust.is_settled("c"));
        assert_eq!((trust.settles_at("a"), trust.settles_at("b")), (Some(at(10)), None));
        trust.read(&[], at(11));
        assert!(!trust.has("b"));
    }
}
