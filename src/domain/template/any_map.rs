//! Go's `map[interface {}]interface {}`: what YAML is read into. Nothing changes such a map.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::live::Counted;
use super::value::{Text, Value};

/// Entries in the order in which Go prints and ranges over them.
#[derive(Clone)]
pub(crate) struct AnyMap<'a>(Rc<Counted<Box<[Entry<'a>]>>>);

type Entry<'a> = (Key<'a>, Value<'a>);

/// What a map takes beside its entries.
const BYTES_PER_MAP: usize = 64;

impl<'a> AnyMap<'a> {
    pub(crate) fn new(entries: BTreeMap<Key<'a>, Value<'a>>) -> Self {
        let entries: Box<[Entry<'a>]> = entries.into_iter().collect();
        let bytes = size_of_val(&*entries).saturating_add(BYTES_PER_MAP);
        Self(Rc::new(Counted::new(entries, bytes)))
    }

    pub(crate) fn get(&self, key: &Key<'_>) -> Option<&Value<'a>> {
        let at = self.0.binary_search_by(|(own, _)| own.cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// An entry by its place in the order.
    pub(crate) fn at(&self, i: usize) -> Option<&Entry<'a>> {
        self.0.get(i)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key<'a>, &Value<'a>)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A key. Keys of different types are different, whatever their values.
#[derive(Clone)]
pub(crate) enum Key<'a> {
    Nil,
    Text(Text<'a>),
    Uint(u64),
    Int(i64),
    Float(f64),
    Bool(bool),
}

impl<'a> Key<'a> {
    /// `None` for what can be no key.
    pub(crate) fn of(value: Value<'a>) -> Option<Self> {
        Some(match value {
            Value::Absent | Value::Nil => Self::Nil,
            Value::Text(text) => Self::Text(text),
            Value::Uint64(n) => Self::Uint(n),
            Value::Int(n) => Self::Int(n),
            Value::Float(n) => Self::Float(n),
            Value::Bool(truth) => Self::Bool(truth),
            _ => return None,
        })
    }

    pub(crate) fn value(&self) -> Value<'a> {
        match self {
            Self::Nil => Value::Nil,
            Self::Text(text) => Value::Text(text.clone()),
            Self::Uint(n) => Value::Uint64(*n),
            Self::Int(n) => Value::Int(*n),
            Self::Float(n) => Value::Float(*n),
            Self::Bool(truth) => Value::Bool(*truth),
        }
    }

    /// Go orders types by where they lie in the program; this is the order in its builds.
    fn rank(&self) -> u8 {
        match self {
            Self::Nil => 0,
            Self::Text(_) => 1,
            Self::Uint(_) => 2,
            Self::Int(_) => 3,
            Self::Float(_) => 4,
            Self::Bool(_) => 5,
        }
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Uint(a), Self::Uint(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            // What is no number comes first.
            (Self::Float(a), Self::Float(b)) => {
                a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
            }
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key<'_> {}
