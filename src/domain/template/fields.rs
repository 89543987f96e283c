//! Structs of Go, field by field: a response of Vault and its parts.

use super::go::layout;
use super::moment::Moment;
use super::value::{List, Map, MapOf, Of, SecretView, Text, Value};
use crate::domain::vault::{Auth, WrapInfo};

impl Value<'_> {
    /// The exported fields of a struct, in Go's order; `None` for what is no struct.
    pub(crate) fn fields(&self) -> Option<Vec<(&'static str, Self)>> {
        match self {
            Self::Secret(view) => Some(all(SECRET_FIELDS, view)),
            Self::Auth(auth) => Some(all(AUTH_FIELDS, auth)),
            Self::Wrap(wrap) => Some(all(WRAP_FIELDS, wrap)),
            Self::Record(record) => Some(record.fields.clone()),
            _ => None,
        }
    }

    /// One of these fields, without making the others.
    pub(crate) fn field(&self, name: &str) -> Option<Self> {
        match self {
            Self::Secret(view) => one(SECRET_FIELDS, view, name),
            Self::Auth(auth) => one(AUTH_FIELDS, auth, name),
            Self::Wrap(wrap) => one(WRAP_FIELDS, wrap, name),
            Self::Record(record) => {
                let mut fields = record.fields.iter();
                fields.find_map(|(field, value)| (*field == name).then(|| value.clone()))
            }
            _ => None,
        }
    }
}

fn all<S, V>(fields: &[(&'static str, impl Fn(S) -> V)], of: S) -> Vec<(&'static str, V)>
where
    S: Copy,
{
    fields.iter().map(|(name, get)| (*name, get(of))).collect()
}

fn one<S, V>(fields: &[(&'static str, impl Fn(S) -> V)], of: S, name: &str) -> Option<V> {
    fields.iter().find(|(field, _)| *field == name).map(|(_, get)| get(of))
}

/// A field of a response: its name, and how it is had.
type SecretField = (&'static str, for<'a> fn(&SecretView<'a>) -> Value<'a>);

/// The same of a part of one.
type Field<S> = (&'static str, fn(&S) -> Value<'_>);

const SECRET_FIELDS: &[SecretField] = &[
    ("RequestID", |view| borrowed(&view.reading.request_id)),
    ("LeaseID", |view| borrowed(&view.reading.lease_id)),
    ("LeaseDuration", |view| seconds(view.reading.lease_duration)),
    ("Renewable", |view| Value::Bool(view.reading.renewable)),
    ("Data", |view| Value::Map(view.data.clone())),
    ("Warnings", |view| borrowed_list(&view.reading.warnings)),
    ("Auth", |view| {
        let auth = view.reading.auth.as_ref();
        auth.map_or(Value::NilPointer("*dependency.SecretAuth"), Value::Auth)
    }),
    ("WrapInfo", |view| {
        let wrap = view.reading.wrap_info.as_ref();
        wrap.map_or(Value::NilPointer("*dependency.SecretWrapInfo"), Value::Wrap)
    }),
];

const AUTH_FIELDS: &[Field<Auth>] = &[
    ("ClientToken", |auth| borrowed(auth.client_token.expose())),
    ("Accessor", |auth| borrowed(&auth.accessor)),
    ("Policies", |auth| borrowed_list(&auth.policies)),
    ("Metadata", |auth| {
        let metadata = auth.metadata.iter();
        let metadata = metadata.map(|(k, v)| (Text::Borrowed(k.as_bytes()), borrowed(v)));
        Value::Map(Map::new(MapOf::Text, metadata.collect()))
    }),
    ("LeaseDuration", |auth| seconds(auth.lease_duration)),
    ("Renewable", |auth| Value::Bool(auth.renewable)),
];

const WRAP_FIELDS: &[Field<WrapInfo>] = &[
    ("Token", |wrap| borrowed(wrap.token.expose())),
    ("TTL", |wrap| seconds(wrap.ttl)),
    ("CreationTime", |wrap| Value::time(time_of(&wrap.creation_time))),
    ("WrappedAccessor", |wrap| borrowed(&wrap.wrapped_accessor)),
];

/// A time of a response; the zero time when it is missing.
fn time_of(text: &str) -> Moment {
    layout::parse(layout::RFC3339, text.as_bytes()).unwrap_or(Moment::ZERO)
}

fn borrowed(text: &str) -> Value<'_> {
    Value::Text(Text::Borrowed(text.as_bytes()))
}

fn borrowed_list(texts: &[String]) -> Value<'_> {
    let mut list = List::new(Of::Text, texts.iter().map(|text| borrowed(text)).collect());
    list.is_nil = texts.is_empty();
    Value::List(list)
}

fn seconds<'a>(n: u64) -> Value<'a> {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}
