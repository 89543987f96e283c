//! Values as templates see them: Go's dynamic types, as far as a template can meet them.
//!
//! Text and numbers of a secret are borrowed from the snapshot; a map of a secret is unpacked one level
//! at a time, when something looks into it. Maps are shared and mutable, as in Go (`sprig_set`, `mergeMap`).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

use super::any_map::AnyMap;
use super::budget::Meter;
use super::error::Result;
use super::live::{Counted, Held};
use super::named::Named;
use crate::base::json::Json;
use crate::domain::vault::{Auth, Reading, WrapInfo};

/// A Go string: bytes, usually UTF-8.
#[derive(Clone)]
pub(crate) enum Text<'a> {
    /// Of the snapshot or the template.
    Borrowed(&'a [u8]),
    /// Made by a function.
    Shared(Rc<Counted<Box<[u8]>>>),
    /// So many bytes of such a text, from one on, as Go cuts its strings.
    Part(Rc<Counted<Box<[u8]>>>, u32, u32),
}

impl Text<'_> {
    /// A part of this text, without a copy; the whole stays as long as the part.
    pub(crate) fn part(&self, from: usize, to: usize) -> Self {
        let (whole, start) = match self {
            Self::Borrowed(bytes) => {
                return Self::Borrowed(bytes.get(from..to).unwrap_or_default());
            }
            Self::Shared(whole) => (whole, 0),
            Self::Part(whole, start, _) => (whole, *start),
        };
        match (u32::try_from(from), u32::try_from(to)) {
            (Ok(from), Ok(to)) if self.get(from as usize..to as usize).is_some() => {
                Self::Part(Rc::clone(whole), start + from, to - from)
            }
            _ => Self::from(self.get(from..to).unwrap_or_default().to_vec()),
        }
    }
}

/// What a text takes beside its bytes: counters, and what the allocator adds to two pieces of memory.
const BYTES_PER_TEXT: usize = 64;

/// The same for the items of a list.
const BYTES_PER_LIST: usize = 80;

/// What a map takes beside its entries.
const BYTES_PER_MAP: usize = 112;

impl Deref for Text<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
            Self::Part(bytes, start, length) => {
                let (start, length) = (*start as usize, *length as usize);
                bytes.get(start..start + length).unwrap_or_default()
            }
        }
    }
}

impl From<Vec<u8>> for Text<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        let held = bytes.len().saturating_add(BYTES_PER_TEXT);
        Self::Shared(Rc::new(Counted::new(bytes.into_boxed_slice(), held)))
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text<'_> {}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl AsRef<[u8]> for Text<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::borrow::Borrow<[u8]> for Text<'_> {
    fn borrow(&self) -> &[u8] {
        self
    }
}

/// A value with its Go type.
#[derive(Clone)]
pub(crate) enum Value<'a> {
    /// No value at all (Go's invalid `reflect.Value`): what a pipeline makes of nil.
    Absent,
    /// nil in a place of type `interface {}`: a JSON null, a missing key of a map.
    Nil,
    /// A nil pointer of the named type.
    NilPointer(&'static str),
    Bool(bool),
    /// `int`
    Int(i64),
    Int64(i64),
    /// `uint8`: an element of a string.
    Byte(u8),
    Uint64(u64),
    Float(f64),
    Complex(f64, f64),
    Text(Text<'a>),
    /// `json.Number`: a number of a secret, as it was written. Its kind is string.
    Number(Text<'a>),
    List(List<'a>),
    Map(Map<'a>),
    AnyMap(AnyMap<'a>),
    /// `<-chan int64`: what `loop` returns; can be read once.
    Channel(Rc<Countdown>),
    Secret(SecretView<'a>),
    Auth(&'a Auth),
    Wrap(&'a WrapInfo),
    /// A time, a version, and what belongs to them.
    Named(Named),
    Record(Rc<Record<'a>>),
    /// The store of one render.
    Scratch,
}

/// What is left of a `loop`.
pub(crate) struct Countdown {
    pub(crate) next: Cell<i64>,
    pub(crate) end: i64,
}

/// A response of Vault (`*dependency.Secret`).
#[derive(Clone)]
pub(crate) struct SecretView<'a> {
    pub(crate) reading: &'a Reading,
    pub(crate) data: Map<'a>,
}

/// A struct of Go by value: a certificate with its key.
pub(crate) struct Record<'a> {
    pub(crate) type_name: &'static str,
    /// In Go's order. Texts and lists of texts only, so that values cannot nest through here.
    pub(super) fields: Vec<(&'static str, Value<'a>)>,
}

impl<'a> Record<'a> {
    pub(crate) fn value(
        type_name: &'static str,
        fields: Vec<(&'static str, Value<'a>)>,
    ) -> Value<'a> {
        Value::Record(Rc::new(Self { type_name, fields }))
    }

    /// A field that is a text.
    pub(crate) fn text(&self, name: &str) -> &[u8] {
        match self.fields.iter().find(|(field, _)| *field == name) {
            Some((_, Value::Text(text))) => text,
            _ => b"",
        }
    }
}

/// The element type of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// `[]interface {}`
    Any,
    /// `[]int`
    Int,
    /// `[][]interface {}`
    Lists,
    /// `[]string`
    Text,
}

/// A Go slice.
#[derive(Clone)]
pub(crate) struct List<'a> {
    pub(crate) of: Of,
    /// A nil slice: empty, but `null` in JSON.
    pub(crate) is_nil: bool,
    /// Whether Go appends its items one by one, as it does when it reads JSON.
    is_grown: bool,
    items: Rc<Items<'a>>,
}

/// Capacities of a growing list of interfaces.
const GROWN: [usize; 13] = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 848, 1280];

struct Items<'a> {
    values: Vec<Value<'a>>,
    _held: Held,
}

impl<'a> List<'a> {
    pub(crate) fn new(of: Of, items: Vec<Value<'a>>) -> Self {
        let bytes = items.capacity().saturating_mul(size_of::<Value<'_>>());
        let held = Held::new(bytes.saturating_add(BYTES_PER_LIST));
        Self {
            of,
            is_nil: false,
            is_grown: false,
            items: Rc::new(Items { values: items, _held: held }),
        }
    }

    /// A list of a JSON text.
    pub(crate) fn of_json(items: Vec<Value<'a>>) -> Value<'a> {
        Value::List(Self { is_grown: true, ..Self::new(Of::Any, items) })
    }

    /// Go's `cap`.
    pub(crate) fn capacity(&self) -> usize {
        let mut capacity = self.len();
        if self.is_grown || self.of == Of::Int {
            // Doubled up to 256, then by ever less; the larger steps are those of Go's allocator.
            let steps = GROWN.iter().copied();
            capacity = steps.into_iter().find(|step| *step >= capacity).unwrap_or(capacity);
        }
        capacity
    }

    pub(crate) fn any(items: Vec<Value<'a>>) -> Value<'a> {
        Value::List(Self::new(Of::Any, items))
    }

    /// Go's nil slice.
    pub(crate) fn nil(of: Of) -> Value<'a> {
        Value::List(Self { is_nil: true, ..Self::new(of, Vec::new()) })
    }

    pub(crate) fn texts(items: Vec<Text<'a>>) -> Value<'a> {
        Value::List(Self::new(Of::Text, items.into_iter().map(Value::Text).collect()))
    }
}

impl<'a> Deref for List<'a> {
    type Target = [Value<'a>];

    fn deref(&self) -> &[Value<'a>] {
        &self.items.values
    }
}

/// The element type of a map; keys are strings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapOf {
    /// `map[string]interface {}`
    Any,
    /// `map[string]string`
    Text,
}

pub(crate) use super::entries::Entries;

/// A Go map: shared, mutable, sorted.
#[derive(Clone)]
pub(crate) struct Map<'a>(Rc<MapCell<'a>>);

struct MapCell<'a> {
    of: MapOf,
    /// What the map is made of as long as nothing looked inside it.
    source: Cell<Option<&'a BTreeMap<String, Json>>>,
    entries: RefCell<Entries<'a>>,
    /// A nil map: empty, but `null` in JSON. Until something is put into it.
    is_nil: Cell<bool>,
    _held: Held,
}

impl<'a> Map<'a> {
    pub(crate) fn new(of: MapOf, entries: Entries<'a>) -> Self {
        Self(Rc::new(MapCell {
            of,
            source: Cell::new(None),
            entries: RefCell::new(entries),
            is_nil: Cell::new(false),
            _held: Held::new(BYTES_PER_MAP),
        }))
    }

    /// Go's nil map.
    pub(crate) fn nil(of: MapOf) -> Self {
        let map = Self::new(of, Entries::new());
        map.0.is_nil.set(true);
        map
    }

    pub(crate) fn is_nil(&self) -> bool {
        self.0.is_nil.get()
    }

    /// From now on the map is none that is nil.
    pub(crate) fn make(&self) {
        self.0.is_nil.set(false);
    }

    pub(crate) fn any(entries: Entries<'a>) -> Value<'a> {
        Value::Map(Self::new(MapOf::Any, entries))
    }

    /// A view of an object of a secret.
    pub(crate) fn of_json(source: &'a BTreeMap<String, Json>) -> Self {
        let map = Self::new(MapOf::Any, Entries::new());
        map.0.source.set(Some(source));
        map
    }

    pub(crate) fn of(&self) -> MapOf {
        self.0.of
    }

    pub(crate) fn len(&self) -> usize {
        self.0.source.get().map_or_else(|| self.0.entries.borrow().len(), BTreeMap::len)
    }

    /// Only what can be mutated must be unpacked before it is handed out.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Value<'a>> {
        if let Some(source) = self.0.source.get() {
            let child = source.get(str::from_utf8(key).ok()?)?;
            if is_fixed(child) {
                return Some(Value::of_json(child));
            }
        }
        self.unpack();
        self.0.entries.borrow().get(key).cloned()
    }

    pub(crate) fn has(&self, key: &[u8]) -> bool {
        match self.0.source.get() {
            Some(source) => str::from_utf8(key).is_ok_and(|key| source.contains_key(key)),
            None => self.0.entries.borrow().contains_key(key),
        }
    }

    pub(crate) fn insert(&self, key: Text<'a>, value: Value<'a>) {
        self.unpack();
        self.0.is_nil.set(false);
        self.0.entries.borrow_mut().insert(key, value);
    }

    pub(crate) fn remove(&self, key: &[u8]) {
        self.unpack();
        self.0.entries.borrow_mut().remove(key);
    }

    /// All entries as they are now; later changes of the map do not disturb who walks them.
    pub(crate) fn entries(&self) -> Vec<(Text<'a>, Value<'a>)> {
        if let Some(source) = self.0.source.get().filter(|source| source.values().all(is_fixed)) {
            return source.iter().map(entry).collect();
        }
        self.unpack();
        self.0.entries.borrow().iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    fn unpack(&self) {
        if let Some(source) = self.0.source.take() {
            *self.0.entries.borrow_mut() = source.iter().map(entry).collect();
        }
    }

    /// Whether `value` is this very map or holds it: putting it inside would make a circle.
    pub(crate) fn is_within(&self, value: &Value<'a>, meter: &mut Meter) -> Result<bool> {
        let mut queue = vec![value.clone()];
        while let Some(value) = queue.pop() {
            meter.step()?;
            match value {
                Value::Map(map) if Rc::ptr_eq(&map.0, &self.0) => return Ok(true),
                Value::Map(map) => {
                    queue.extend(map.0.entries.borrow().iter().map(|(_, value)| value.clone()));
                }
                Value::List(list) => queue.extend(list.iter().cloned()),
                Value::Secret(view) => queue.push(Value::Map(view.data.clone())),
                _ => {}
            }
        }
        Ok(false)
    }
}

fn entry<'a>((key, value): (&'a String, &'a Json)) -> (Text<'a>, Value<'a>) {
    (Text::Borrowed(key.as_bytes()), Value::of_json(value))
}

/// Whether nothing can change inside a value of a secret.
fn is_fixed(value: &Json) -> bool {
    !matches!(value, Json::Object(_) | Json::Array(_))
}

/// Values can nest as deep as a template has steps, so they are dropped without recursion.
impl Drop for Items<'_> {
    fn drop(&mut self) {
        if self.values.iter().any(|value| matches!(value, Value::List(_) | Value::Map(_))) {
            bury(std::mem::take(&mut self.values));
        }
    }
}

impl Drop for MapCell<'_> {
    fn drop(&mut self) {
        let mut values = Vec::new();
        self.entries.get_mut().take_values(&mut values);
        bury(values);
    }
}

fn bury(mut queue: Vec<Value<'_>>) {
    while let Some(value) = queue.pop() {
        match value {
            Value::List(mut list) => {
                if let Some(items) = Rc::get_mut(&mut list.items) {
                    queue.append(&mut items.values);
                }
            }
            Value::Map(mut map) => {
                if let Some(cell) = Rc::get_mut(&mut map.0) {
                    cell.entries.get_mut().take_values(&mut queue);
                }
            }
            _ => {}
        }
    }
}

impl<'a> Value<'a> {
    pub(crate) const EMPTY: Self = Value::Text(Text::Borrowed(b""));

    pub(crate) fn text(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Text(Text::from(bytes.into()))
    }

    /// A value of a response; numbers keep their text.
    pub(crate) fn of_json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Nil,
            Json::Bool(truth) => Self::Bool(*truth),
            Json::Number(text) => Self::Number(Text::Borrowed(text.as_bytes())),
            Json::String(text) => Self::Text(Text::Borrowed(text.as_bytes())),
            Json::Array(items) => List::of_json(items.iter().map(Self::of_json).collect()),
            Json::Object(members) => Self::Map(Map::of_json(members)),
        }
    }

    /// Go's truth: not the zero value of its kind, not empty.
    pub(crate) fn truth(&self) -> bool {
        match self {
            Self::Absent | Self::Nil | Self::NilPointer(_) => false,
            Self::Bool(truth) => *truth,
            Self::Int(n) | Self::Int64(n) => *n != 0,
            Self::Byte(n) => *n != 0,
            Self::Uint64(n) => *n != 0,
            Self::Float(n) => *n != 0.0,
            Self::Complex(re, im) => *re != 0.0 || *im != 0.0,
            Self::Text(text) | Self::Number(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => map.len() != 0,
            Self::AnyMap(map) => !map.is_empty(),
            Self::Named(named) => named.number() != Some(0),
            Self::Channel(_)
            | Self::Secret(_)
            | Self::Auth(_)
            | Self::Wrap(_)
            | Self::Record(_)
            | Self::Scratch => true,
        }
    }

    pub(crate) fn is_nil(&self) -> bool {
        matches!(self, Self::Absent | Self::Nil | Self::NilPointer(_))
    }

    /// nil without a type.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Absent | Self::Nil)
    }

    /// Go's name of the type, as `%T` prints it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Absent | Self::Nil => "<nil>",
            Self::NilPointer(name) => name,
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Byte(_) => "uint8",
            Self::Uint64(_) => "uint64",
            Self::Float(_) => "float64",
            Self::Complex(..) => "complex128",
            Self::Text(_) => "string",
            Self::Number(_) => "json.Number",
            Self::List(list) => match list.of {
                Of::Any => "[]interface {}",
                Of::Int => "[]int",
                Of::Lists => "[][]interface {}",
                Of::Text => "[]string",
            },
            Self::Map(map) => match map.of() {
                MapOf::Any => "map[string]interface {}",
                MapOf::Text => "map[string]string",
            },
            Self::AnyMap(_) => "map[interface {}]interface {}",
            Self::Channel(_) => "<-chan int64",
            Self::Secret(_) => "*dependency.Secret",
            Self::Auth(_) => "*dependency.SecretAuth",
            Self::Wrap(_) => "*dependency.SecretWrapInfo",
            Self::Named(named) => named.type_name(),
            Self::Record(record) => record.type_name,
            Self::Scratch => "*template.Scratch",
        }
    }

    /// Go's name of the kind (`reflect.Kind`).
    pub(crate) fn kind_name(&self) -> &'static str {
        match self {
            Self::Absent | Self::Nil => "invalid",
            Self::Number(_) => "string",
            Self::List(_) => "slice",
            Self::Map(_) | Self::AnyMap(_) => "map",
            Self::Named(named) => named.kind_name(),
            Self::Channel(_) => "chan",
            Self::Record(_) => "struct",
            Self::NilPointer(_)
            | Self::Secret(_)
            | Self::Auth(_)
            | Self::Wrap(_)
            | Self::Scratch => "ptr",
            Self::Bool(_)
            | Self::Int(_)
            | Self::Int64(_)
            | Self::Byte(_)
            | Self::Uint64(_)
            | Self::Float(_)
            | Self::Complex(..)
            | Self::Text(_) => self.type_name(),
        }
    }
}
