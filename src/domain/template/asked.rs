//! What a render asks for. What it asked for before, and is in the snapshot, takes no memory here.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::Want;
use super::value::SecretView;

/// A [`Want`] in borrowed parts, to look one up without making it. The variants and their fields stand in
/// the same order, so that both sort alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ask<'k> {
    Certificate { path: &'k str, fields: &'k BTreeMap<String, String> },
    File { path: &'k str, sandbox: Option<&'k str> },
    List { path: &'k str },
    Read { path: &'k str },
    Write { path: &'k str, fields: &'k BTreeMap<String, String> },
}

impl Ask<'_> {
    pub(crate) fn to_want(self) -> Want {
        match self {
            Self::Certificate { path, fields } => {
                Want::Certificate { path: path.to_owned(), fields: fields.clone() }
            }
            Self::File { path, sandbox } => {
                Want::File { path: path.to_owned(), sandbox: sandbox.map(str::to_owned) }
            }
            Self::List { path } => Want::List { path: path.to_owned() },
            Self::Read { path } => Want::Read { path: path.to_owned() },
            Self::Write { path, fields } => {
                Want::Write { path: path.to_owned(), fields: fields.clone() }
            }
        }
    }
}

/// What a map of wants can be searched for: a want, or one in borrowed parts.
pub(crate) trait Asking {
    fn ask(&self) -> Ask<'_>;
}

impl Asking for Ask<'_> {
    fn ask(&self) -> Ask<'_> {
        *self
    }
}

impl Asking for Want {
    fn ask(&self) -> Ask<'_> {
        match self {
            Self::Certificate { path, fields } => Ask::Certificate { path, fields },
            Self::File { path, sandbox } => Ask::File { path, sandbox: sandbox.as_deref() },
            Self::List { path } => Ask::List { path },
            Self::Read { path } => Ask::Read { path },
            Self::Write { path, fields } => Ask::Write { path, fields },
        }
    }
}

impl<'k> Borrow<dyn Asking + 'k> for Want {
    fn borrow(&self) -> &(dyn Asking + 'k) {
        self
    }
}

impl Ord for dyn Asking + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ask().cmp(&other.ask())
    }
}

impl PartialOrd for dyn Asking + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Asking + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.ask() == other.ask()
    }
}

impl Eq for dyn Asking + '_ {}

/// Everything that a render asked for. The first takes no memory: most templates ask for one thing.
#[derive(Default)]
pub struct Asked<'a> {
    first: Option<Entry<'a>>,
    more: BTreeMap<Cow<'a, Want>, Option<SecretView<'a>>>,
}

/// Borrowed from the snapshot when it is there. With the secret that was handed out, so that what a
/// template changes in one stays changed during this render.
type Entry<'a> = (Cow<'a, Want>, Option<SecretView<'a>>);

impl<'a> Asked<'a> {
    pub(crate) fn contains(&self, want: &Want) -> bool {
        self.first.as_ref().is_some_and(|(first, _)| **first == *want)
            || self.more.contains_key(want)
    }

    /// What was handed out for `want`, which counts as asked for from now on.
    pub(crate) fn slot(&mut self, want: Cow<'a, Want>) -> &mut Option<SecretView<'a>> {
        let (first, slot) = self.first.get_or_insert_with(|| (want.clone(), None));
        if *first == want { slot } else { self.more.entry(want).or_default() }
    }

    /// What is not in the snapshot.
    pub(crate) fn unknown(&self) -> BTreeSet<Want> {
        self.keys().filter(|want| matches!(want, Cow::Owned(_))).map(|w| (**w).clone()).collect()
    }

    fn keys(&self) -> impl Iterator<Item = &Cow<'a, Want>> {
        self.first.iter().map(|(want, _)| want).chain(self.more.keys())
    }

    /// Each once, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Want> {
        self.keys().map(|want| &**want)
    }

    /// Makes `set` the set of it all; when it is already, nothing is copied.
    pub fn copy_to(&self, set: &mut BTreeSet<Want>) {
        if self.iter().count() != set.len() || !self.iter().all(|want| set.contains(want)) {
            *set = self.iter().cloned().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wants in their order, of every kind and with every field at work.
    fn wants() -> Vec<Want> {
        let text = |text: &str| text.to_owned();
        let fields = |value: &str| BTreeMap::from([(text("k"), text(value))]);
        let certificate =
            |path, value| Want::Certificate { path: text(path), fields: fields(value) };
        let file = |path, sandbox: Option<&str>| Want::File {
            path: text(path),
            sandbox: sandbox.map(str::to_owned),
        };
        let write = |path, value| Want::Write { path: text(path), fields: fields(value) };
        vec![
            certificate("a", "1"),
            certificate("a", "2"),
            certificate("b", "1"),
            file("a", None),
            file("a", Some("/")),
            file("b", None),
            Want::List { path: text("a") },
            Want::List { path: text("b") },
            Want::Read { path: text("a") },
            Want::Read { path: text("b") },
            write("a", "1"),
            write("a", "2"),
            write("b", "1"),
        ]
    }

    #[test]
    fn borrowed_parts_find_the_want_they_are_of() {
        let wants = wants();
        assert!(wants.is_sorted() && wants.iter().is_sorted_by_key(|want| want.ask()));
        let set: BTreeSet<Want> = wants.iter().cloned().collect();
        for want in &wants {
            assert!(set.get(&want.ask() as &dyn Asking) == Some(want), "{want}");
            assert!(want.ask().to_want() == *want, "{want}");
        }
        assert!(!set.contains(&Ask::Read { path: "c" } as &dyn Asking));
    }

    #[test]
    fn a_set_follows_what_was_asked_for() {
        let wants = wants();
        let (mut asked, mut set) = (Asked::default(), BTreeSet::new());
        for (i, want) in wants.iter().enumerate() {
            assert!(!asked.contains(want), "{want}");
            for _ in 0..2 {
                asked.slot(if i % 2 == 0 { Cow::Borrowed(want) } else { Cow::Owned(want.clone()) });
                assert!(asked.contains(want), "{want}");
            }
            asked.copy_to(&mut set);
            assert!(set.iter().eq(&wants[..=i]));
        }
        assert_eq!(asked.unknown().len(), wants.len() / 2);
        let mut other = Asked::default();
        other.slot(Cow::Borrowed(&wants[1]));
        other.copy_to(&mut set);
        assert!(set.iter().eq(&wants[1..2]));
        Asked::default().copy_to(&mut set);
        assert!(set.is_empty());
    }
}
