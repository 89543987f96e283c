//! The entries of a map, sorted by key. Most maps of real documents have a handful of them, for which a tree
//! is several times larger than what stands in it.

use std::collections::BTreeMap;

use super::live::Held;
use super::value::{Text, Value};

/// The entries of a map, sorted by key. What they take is counted, the texts and values inside of them by
/// themselves.
pub(crate) struct Entries<'a> {
    store: Store<'a>,
    held: Held,
}

type Entry<'a> = (Text<'a>, Value<'a>);

enum Store<'a> {
    /// At most [`FEW`], sorted.
    Few(Vec<Entry<'a>>),
    Many(BTreeMap<Text<'a>, Value<'a>>),
}

/// Up to here moving entries is cheaper than a tree.
const FEW: usize = 16;

/// A tree is made full, and at least half full once something was put into it.
const TREE_BYTES_PER_ENTRY: usize = 2 * size_of::<Entry<'_>>();

impl<'a> Entries<'a> {
    pub(crate) const fn new() -> Self {
        Self { store: Store::Few(Vec::new()), held: Held::none() }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.store {
            Store::Few(entries) => entries.len(),
            Store::Many(entries) => entries.len(),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Value<'a>> {
        match &self.store {
            Store::Few(entries) => {
                let at = place(entries, key).ok()?;
                entries.get(at).map(|(_, value)| value)
            }
            Store::Many(entries) => entries.get(key),
        }
    }

    pub(crate) fn contains_key(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn insert(&mut self, key: Text<'a>, value: Value<'a>) {
        match &mut self.store {
            Store::Few(entries) => match place(entries, &key) {
                Ok(at) => {
                    if let Some(entry) = entries.get_mut(at) {
                        entry.1 = value;
                    }
                }
                Err(at) => entries.insert(at, (key, value)),
            },
            Store::Many(entries) => drop(entries.insert(key, value)),
        }
        self.settle();
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        match &mut self.store {
            Store::Few(entries) => {
                if let Ok(at) = place(entries, key) {
                    drop(entries.remove(at));
                }
            }
            Store::Many(entries) => drop(entries.remove(key)),
        }
        self.settle();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Text<'a>, &Value<'a>)> {
        let (few, many) = match &self.store {
            Store::Few(entries) => (Some(entries), None),
            Store::Many(entries) => (None, Some(entries)),
        };
        let few = few.into_iter().flatten().map(|(key, value)| (key, value));
        few.chain(many.into_iter().flatten())
    }

    /// Takes all values out.
    pub(super) fn take_values(&mut self, into: &mut Vec<Value<'a>>) {
        match std::mem::replace(&mut self.store, Store::Few(Vec::new())) {
            Store::Few(entries) => into.extend(entries.into_iter().map(|(_, value)| value)),
            Store::Many(entries) => into.extend(entries.into_values()),
        }
        self.settle();
    }

    /// Chooses the store for so many entries and counts it.
    fn settle(&mut self) {
        let bytes = match &mut self.store {
            Store::Few(entries) if entries.len() > FEW => {
                let entries: BTreeMap<_, _> = std::mem::take(entries).into_iter().collect();
                let bytes = entries.len() * TREE_BYTES_PER_ENTRY;
                self.store = Store::Many(entries);
                bytes
            }
            Store::Few(entries) => entries.capacity() * size_of::<Entry<'_>>(),
            Store::Many(entries) => entries.len() * TREE_BYTES_PER_ENTRY,
        };
        self.held.become_of(bytes);
    }
}

fn place(entries: &[Entry<'_>], key: &[u8]) -> Result<usize, usize> {
    entries.binary_search_by(|(own, _)| (**own).cmp(key))
}

/// The last of several entries with the same key counts.
impl<'a> FromIterator<Entry<'a>> for Entries<'a> {
    fn from_iter<I: IntoIterator<Item = Entry<'a>>>(entries: I) -> Self {
        let mut entries: Vec<Entry<'a>> = entries.into_iter().collect();
        if !entries.is_sorted_by(|(a, _), (b, _)| a < b) {
            // A tree keeps the last one of those that are equal.
            let sorted: BTreeMap<_, _> = entries.into_iter().collect();
            entries = sorted.into_iter().collect();
        }
        entries.shrink_to_fit();
        let mut made = Self { store: Store::Few(entries), held: Held::default() };
        made.settle();
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::template::live;

    fn entry<'a>(n: i64) -> Entry<'a> {
        (Text::from(format!("{n:04}").into_bytes()), Value::Int(n))
    }

    fn keys(entries: &Entries<'_>) -> Vec<String> {
        entries.iter().map(|(key, _)| String::from_utf8(key.to_vec()).unwrap()).collect()
    }

    #[test]
    fn entries_are_those_of_a_tree_whatever_their_number() {
        let before = live::bytes();
        for count in [0, 1, 2, 15, 16, 17, 18, 100] {
            let (mut made, mut tree) = (Entries::new(), BTreeMap::new());
            for n in (0..count).map(|n| n * 7919 % 101).chain([3, 3]) {
                let (key, value) = entry(n);
                made.insert(key.clone(), value);
                tree.insert(key, n);
                let at_once: Entries<'_> = tree.values().rev().map(|n| entry(*n)).collect();
                assert_eq!(keys(&made), keys(&at_once));
                assert_eq!((made.len(), keys(&made).len()), (tree.len(), tree.len()));
            }
            for n in (0..count).step_by(2) {
                made.remove(&entry(n).0);
                tree.remove(&entry(n).0);
            }
            for n in 0..count {
                let held = made.get(&entry(n).0).is_some();
                assert_eq!(held, tree.contains_key(&entry(n).0), "{n} of {count}");
                assert_eq!(held, made.contains_key(&entry(n).0));
            }
        }
        let twice: Entries<'_> =
            [(entry(1).0, Value::Int(1)), (entry(1).0, Value::Int(2))].into_iter().collect();
        assert!(matches!(twice.get(b"0001"), Some(Value::Int(2))) && twice.len() == 1);
        drop(twice);
        assert_eq!(live::bytes(), before, "what is dropped is held no longer");
    }
}
