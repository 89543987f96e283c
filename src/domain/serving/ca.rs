//! Which CA signs, which is to come, and when they change.
//!
//! A CA is trusted before it signs: its certificate stands in the `caBundle` for a while first. It stays there until it
//! expires, and no leaf outlives its CA, so that no replica ever has to know what the others still serve.

use std::time::Duration;

use super::Now;
use super::trust::Trust;

/// The certificate of a CA, as far as decisions go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Authority {
    /// SHA-256 of the certificate, lower-case hex.
    pub fingerprint: String,
    /// Seconds since the epoch.
    pub not_before: u64,
    /// Seconds since the epoch; the largest number when it cannot be told.
    pub not_after: u64,
}

impl Authority {
    /// Whether it has ended.
    pub const fn is_expired(&self, now: Now) -> bool {
        self.not_after <= now.wall
    }

    /// Whether it lives on for an hour. Leaves that live for minutes would be signed again and again.
    pub const fn outlasts(&self, now: Now) -> bool {
        self.not_after > now.wall.saturating_add(3600)
    }

    /// Whether leaves can be signed with it that live as long as they should, and count now. One that begins later was
    /// made by a clock that ran ahead, and API servers refuse it until then; where it is our clock that runs behind,
    /// the one that takes its place counts for everybody.
    const fn can_sign(&self, now: Now) -> bool {
        self.not_after > now.wall.saturating_add(2 * LEAF_SECONDS)
            && self.not_before <= now.wall.saturating_add(SKEW_SECONDS)
    }

    /// Whether two thirds of its life are over.
    const fn is_old(&self, now: Now) -> bool {
        let life = self.not_after.saturating_sub(self.not_before);
        now.wall >= self.not_after.saturating_sub(life / 3)
    }
}

/// A certificate that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// SHA-256 of the certificate, lower-case hex.
    pub fingerprint: String,
    /// Fingerprint of the CA that signed it; empty when that is not known.
    pub ca: String,
    /// Seconds since the epoch.
    pub not_before: u64,
    /// Seconds since the epoch.
    pub not_after: u64,
}

impl Leaf {
    /// Whether it begins later: our clock ran ahead when it was made. Leaves are dated back by a minute.
    const fn is_early(&self, now: Now) -> bool {
        self.not_before > now.wall
    }

    /// Whether less than this part of its life is left.
    pub const fn is_near_end(&self, now: Now, part: u64) -> bool {
        let life = self.not_after.saturating_sub(self.not_before);
        now.wall >= self.not_after.saturating_sub(life / part)
    }
}

/// So far clocks of replicas may be apart. More, and a CA of the one that runs ahead is replaced.
const SKEW_SECONDS: u64 = 300;

/// Life of a leaf: a day, as vault-k8s has it, so that a stolen key is of use for a day.
pub const LEAF_SECONDS: u64 = 24 * 3600;

/// Life of a CA that all replicas share. It is replaced after eight months without anybody noticing; that happens often
/// enough to be no rarity, and a cluster that was switched off for months comes back by itself.
pub const SHARED_SECONDS: u64 = 365 * 24 * 3600;

/// Life of a CA that only one process has. Each start leaves one behind in the `caBundle`, so that it must be short.
pub const MEMORY_SECONDS: u64 = 7 * 24 * 3600;

/// The CAs of one place, a Secret or a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shelf {
    /// Signs; there is none when what was found cannot be used.
    pub current: Option<Authority>,
    /// Will sign once API servers trust it.
    pub next: Option<Authority>,
    /// Signed once; to be trusted until they expire.
    pub past: Vec<Authority>,
}

/// What is to be done to a shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new CA signs from now on: there is none to wait for.
    Create,
    /// A new CA is made known.
    Announce,
    /// The announced CA signs from now on, and the present one is past.
    Promote,
}

impl Shelf {
    /// All that must be in the `caBundle`.
    pub fn all(&self) -> impl Iterator<Item = &Authority> {
        self.current.iter().chain(&self.next).chain(&self.past)
    }

    /// What this shelf needs, if anything.
    pub fn change(&self, trust: &Trust, now: Now) -> Option<Change> {
        let next = self.next.as_ref().filter(|next| next.can_sign(now));
        let Some(current) = self.current.as_ref().filter(|current| current.can_sign(now)) else {
            // Untrusted for a moment is better than expired.
            return Some(if next.is_some() { Change::Promote } else { Change::Create });
        };
        match next {
            _ if !current.is_old(now) => None,
            None => Some(Change::Announce),
            Some(next) => trust.is_settled(&next.fingerprint).then_some(Change::Promote),
        }
    }

    /// The shelf after a change. `fresh` is the new CA of those changes that need one.
    #[must_use]
    pub fn changed(self, change: Change, fresh: Option<Authority>, now: Now) -> Self {
        let Self { current, next, mut past } = self;
        let (current, next) = match change {
            Change::Create => {
                past.extend(current.into_iter().chain(next));
                (fresh, None)
            }
            Change::Announce => {
                past.extend(next);
                (current, fresh)
            }
            Change::Promote => {
                past.extend(current);
                (next, None)
            }
        };
        past.retain(|authority| !authority.is_expired(now));
        Self { current, next, past }
    }
}

/// Whether a leaf of the CA `target` is to be served instead of `served`.
pub fn is_due(served: Option<&Leaf>, target: &str, trust: &Trust, now: Now) -> bool {
    let Some(served) = served else { return true };
    if served.ca == target {
        return served.is_near_end(now, 3) || served.is_early(now);
    }
    // To another CA: when API servers trust it by now, or do not believe the present one either.
    !trust.has(&served.ca)
        || trust.is_settled(target)
        || served.is_near_end(now, 10)
        || served.is_early(now)
}

/// So long a CA is in the live `caBundle` before leaves are signed by it. API servers see a change within
/// milliseconds, one that was cut off from its etcd within a minute or two; replicas look at the CAs every
/// [`LOOK`].
pub const SETTLE: Duration = Duration::from_mins(5);

/// How often the shared CAs are read.
pub const LOOK: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Mono;

    const DAY: u64 = 24 * 3600;

    fn authority(name: &str, from_day: i64, to_day: i64) -> Option<Authority> {
        let at = |day: i64| u64::try_from(1_800_000_000 + day * 86_400).unwrap();
        Some(Authority {
            fingerprint: name.to_owned(),
            not_before: at(from_day),
            not_after: at(to_day),
        })
    }

    fn now(minutes: u64) -> Now {
        Now { mono: Mono::at(Duration::from_secs(minutes * 60)), wall: 1_800_000_000 }
    }

    fn trusting(names: &[&str], from_minute: u64, to_minute: u64) -> Trust {
        let mut trust = Trust::default();
        let bundle = [names.iter().map(|name| (*name).to_owned()).collect()];
        trust.read(&bundle, now(from_minute).mono);
        trust.read(&bundle, now(to_minute).mono);
        trust
    }

    #[test]
    fn a_shelf_changes_by_age_and_trust() {
        let (young, old, dying) =
            (authority("a", -10, 355), authority("a", -250, 115), authority("a", -364, 1));
        let next = authority("b", -1, 364);
        let future = |seconds| {
            let not_before = now(6).wall + SKEW_SECONDS + seconds;
            authority("f", 0, 365).map(|ca| Authority { not_before, ..ca })
        };
        let none = Trust::default();
        let fresh = trusting(&["a", "b"], 0, 4);
        let settled = trusting(&["a", "b"], 0, 5);
        for (current, next, trust, want) in [
            (None, None, &none, Some(Change::Create)),
            (dying.clone(), None, &none, Some(Change::Create)),
            (None, next.clone(), &none, Some(Change::Promote)),
            (dying.clone(), next.clone(), &none, Some(Change::Promote)),
            (dying.clone(), dying, &settled, Some(Change::Create)),
            (future(0), None, &none, None),
            (future(1), None, &none, Some(Change::Create)),
            (future(1), next.clone(), &none, Some(Change::Promote)),
            (old.clone(), future(1), &settled, Some(Change::Announce)),
            (young.clone(), None, &none, None),
            (young, next.clone(), &settled, None),
            (old.clone(), None, &none, Some(Change::Announce)),
            (old.clone(), next.clone(), &none, None),
            (old.clone(), next.clone(), &fresh, None),
            (old, next, &settled, Some(Change::Promote)),
        ] {
            let shelf = Shelf { current, next, past: Vec::new() };
            assert_eq!(shelf.change(trust, now(6)), want, "{shelf:?}");
        }
    }

    #[test]
    fn what_signed_once_is_trusted_until_it_expires() {
        let shelf = Shelf {
            current: authority("a", -250, 115),
            next: authority("b", -1, 364),
            past: authority("gone", -400, -35).into_iter().chain(authority("z", -364, 1)).collect(),
        };
        let names = |shelf: Shelf| {
            let name = |authority: &Authority| authority.fingerprint.clone();
            let past: Vec<_> = shelf.past.iter().map(name).collect();
            (shelf.current.as_ref().map(name), shelf.next.as_ref().map(name), past.join(","))
        };
        let text = |text: &str| Some(text.to_owned());
        let fresh = || authority("c", 0, 365);
        let after = |change| names(shelf.clone().changed(change, fresh(), now(0)));
        assert_eq!(after(Change::Create), (text("c"), None, "z,a,b".to_owned()));
        assert_eq!(after(Change::Announce), (text("a"), text("c"), "z,b".to_owned()));
        assert_eq!(after(Change::Promote), (text("b"), None, "z,a".to_owned()));
    }

    #[test]
    fn a_leaf_is_renewed_early_and_changes_its_ca_late() {
        let leaf = |ca: &str, hours: u64| {
            let not_before = 1_800_000_000 - hours * 3600;
            let not_after = not_before + DAY;
            Leaf { fingerprint: "l".to_owned(), ca: ca.to_owned(), not_before, not_after }
        };
        let early = |ca: &str| Leaf { not_before: now(6).wall + 1, ..leaf(ca, 0) };
        let none = Trust::default();
        let both_fresh = trusting(&["a", "b"], 0, 4);
        let both = trusting(&["a", "b"], 0, 5);
        let only_new = trusting(&["b"], 0, 0);
        for (served, target, trust, want) in [
            (None, "a", &none, true),
            (Some(leaf("a", 15)), "a", &none, false),
            (Some(leaf("a", 16)), "a", &none, true),
            (Some(leaf("a", 1)), "b", &none, true),
            (Some(leaf("a", 16)), "b", &both_fresh, false),
            (Some(leaf("a", 22)), "b", &both_fresh, true),
            (Some(leaf("a", 1)), "b", &both, true),
            (Some(leaf("a", 1)), "b", &only_new, true),
            (Some(leaf("", 1)), "b", &only_new, true),
            (Some(early("a")), "a", &both, true),
            (Some(early("a")), "b", &both_fresh, true),
        ] {
            assert_eq!(is_due(served.as_ref(), target, trust, now(6)), want, "{served:?} {target}");
        }
    }
}
