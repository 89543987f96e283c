//! A document together with where each of its parts stands in the text that it was read from.

mod json;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

pub use self::json::read as read_json;
use super::json::Json;

/// One document of a text.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// What it says.
    pub root: Node,
    /// Anchors that an alias refers to: what stands there counts in other places, too.
    pub(crate) shared: BTreeSet<usize>,
    /// Whether it uses anchors, aliases, merges or tags.
    pub(crate) unusual: bool,
}

/// A value and its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    /// Number of its anchor, 0 for none.
    pub(crate) anchor: usize,
    /// In bytes. That of a list or map in block style goes on to what comes next: see [`Node::end`].
    pub(crate) span: Range<usize>,
    pub(crate) shape: Shape,
}

/// What a value is made of.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A text in the block style, `|` or `>`, which ends with its last line.
    Block(Json),
    /// An alias: a copy of what stands elsewhere.
    Copy(Json),
    /// Any other text, number or word.
    Leaf(Json),
    List {
        /// The place behind the bracket; `None` in block style.
        flow: Option<usize>,
        items: Vec<Node>,
    },
    Map {
        /// The place behind the bracket; `None` in block style.
        flow: Option<usize>,
        members: Vec<Member>,
        /// What comes from other maps by `<<`, and is not among the members.
        merged: BTreeMap<String, Json>,
    },
}

/// A key of a map with its value.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// `None` for `<<`, whose values are merged into the map.
    pub(crate) key: Option<String>,
    /// Where the key stands.
    pub(crate) key_span: Range<usize>,
    pub(crate) value: Node,
}

impl Node {
    /// Where the value starts, in bytes.
    pub fn start(&self) -> usize {
        self.span.start
    }

    /// Where the text of the value ends; what follows on the line may be a comment.
    pub(crate) fn end(&self) -> usize {
        let last = match &self.shape {
            Shape::List { flow: None, items } => items.last(),
            Shape::Map { flow: None, members, .. } => members.last().map(|member| &member.value),
            _ => None,
        };
        last.map_or(self.span.end, Self::end)
    }

    /// The last value of a list or map in block style, however deep.
    pub(crate) fn last_leaf(&self) -> &Self {
        match &self.shape {
            Shape::List { flow: None, items } => items.last().map_or(self, Self::last_leaf),
            Shape::Map { flow: None, members, .. } => {
                members.last().map_or(self, |member| member.value.last_leaf())
            }
            _ => self,
        }
    }

    /// The value without its places.
    pub fn into_json(self) -> Json {
        match self.shape {
            Shape::Block(json) | Shape::Copy(json) | Shape::Leaf(json) => json,
            Shape::List { items, .. } => {
                Json::Array(items.into_iter().map(Self::into_json).collect())
            }
            Shape::Map { members, mut merged, .. } => {
                let own = members
                    .into_iter()
                    .filter_map(|member| Some((member.key?, member.value.into_json())));
                merged.extend(own);
                Json::Object(merged)
            }
        }
    }

    /// A copy of the value without its places.
    pub fn to_json(&self) -> Json {
        match &self.shape {
            Shape::Block(json) | Shape::Copy(json) | Shape::Leaf(json) => json.clone(),
            Shape::List { items, .. } => Json::Array(items.iter().map(Self::to_json).collect()),
            Shape::Map { members, merged, .. } => {
                let mut all = merged.clone();
                let own = members
                    .iter()
                    .filter_map(|member| Some((member.key.clone()?, member.value.to_json())));
                all.extend(own);
                Json::Object(all)
            }
        }
    }

    /// The list under a key of a map.
    pub(crate) fn items(&self, name: &str) -> Option<&[Self]> {
        let Shape::Map { members, .. } = &self.shape else { return None };
        let mut named = members.iter().filter(|member| member.key.as_deref() == Some(name));
        match (&named.next()?.value.shape, named.next()) {
            (Shape::List { items, .. }, None) => Some(items),
            _ => None,
        }
    }

    /// A copy of a map, in which the list under a key is empty.
    pub(crate) fn to_json_without(&self, name: &str) -> Json {
        let Shape::Map { members, .. } = &self.shape else { return self.to_json() };
        let of_member = |member: &Member| {
            let key = member.key.clone()?;
            let is_left_out = key == name;
            let value = if is_left_out { Json::Array(Vec::new()) } else { member.value.to_json() };
            Some((key, value))
        };
        Json::Object(members.iter().filter_map(of_member).collect())
    }

    /// Whether it is this value.
    pub(crate) fn is(&self, wanted: &Json) -> bool {
        match (&self.shape, wanted) {
            (Shape::Block(own) | Shape::Copy(own) | Shape::Leaf(own), wanted) => own == wanted,
            (Shape::List { items, .. }, Json::Array(wanted)) => {
                items.len() == wanted.len()
                    && items.iter().zip(wanted).all(|(item, wanted)| item.is(wanted))
            }
            (Shape::Map { members, merged, .. }, Json::Object(wanted)) => {
                let mut own = BTreeMap::new();
                for member in members {
                    let Some(key) = &member.key else { continue };
                    own.insert(key.as_str(), &member.value);
                }
                let same = |(key, value): (&String, &Json)| match own.get(key.as_str()) {
                    Some(node) => node.is(value),
                    None => merged.get(key) == Some(value),
                };
                own.len() + merged.keys().filter(|key| !own.contains_key(key.as_str())).count()
                    == wanted.len()
                    && wanted.iter().all(same)
            }
            _ => false,
        }
    }

    /// The text under a key of a map.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let Shape::Map { members, .. } = &self.shape else { return None };
        let member = members.iter().rfind(|member| member.key.as_deref() == Some(name))?;
        match &member.value.shape {
            Shape::Block(json) | Shape::Copy(json) | Shape::Leaf(json) => json.as_str(),
            Shape::List { .. } | Shape::Map { .. } => None,
        }
    }
}
