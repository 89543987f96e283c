//! Lists and maps: membership, merging, the store of a render, templates as values.

use super::text::{count_find, find};
use super::{Arguments, Function, Param, call, many};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::value::{Entries, List, Map, MapOf, Text, Value};

use Param::{Any, Anys, Text as Words};

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call("contains", &[Any, Any], "whether the first argument is in the list or text", |e, v| {
        Ok(Value::Bool(is_in(e, &v.value_at(1), &v.value_at(0))?))
    }),
    call("containsAll", &[Anys, Any], "whether all of a list are in the other", |e, v| {
        Ok(Value::Bool(!one_is_in(e, v, false)?))
    }),
    call("containsAny", &[Anys, Any], "whether one of a list is in the other", |e, v| {
        Ok(Value::Bool(one_is_in(e, v, true)?))
    }),
    call("containsNone", &[Anys, Any], "whether none of a list is in the other", |e, v| {
        Ok(Value::Bool(!one_is_in(e, v, true)?))
    }),
    call("containsNotAll", &[Anys, Any], "whether one of a list is not in the other", |e, v| {
        Ok(Value::Bool(one_is_in(e, v, false)?))
    }),
    many("executeTemplate", &[Words, Any], "the output of a defined template", execute_template),
    call("explode", &[Any], "nested maps of Consul pairs; empty for nil", |_, v| match v {
        [value] if !value.is_nil() => {
            Err(Fault::new("wants pairs of Consul, and the agent is connected to Vault only"))
        }
        _ => Ok(Map::any(Entries::new())),
    }),
    call("explodeMap", &[Param::Map], "nested maps of a map whose keys are paths", explode_map),
    call("in", &[Any, Any], "whether the last argument is in the list or text", |e, v| {
        Ok(Value::Bool(is_in(e, &v.value_at(0), &v.value_at(1))?))
    }),
    call(
        "mergeMap",
        &[Param::Map, Param::Map],
        "the first map, filled from the second where it is empty",
        |e, v| merged(e, v, false),
    ),
    call(
        "mergeMapWithOverride",
        &[Param::Map, Param::Map],
        "the first map with the values of the second over its own",
        |e, v| merged(e, v, true),
    ),
    call("scratch", &[], "a store that lasts as long as the render", |_, _| Ok(Value::Scratch)),
];

/// Of the store. Sorted by name.
pub(super) const SCRATCH_METHODS: &[Function] = &[
    call("Get", &[Words], "the value of a key, nil without one", |e, v| {
        Ok(e.scratch.get(v.text_at(1)).cloned().unwrap_or(Value::Nil))
    }),
    call("Key", &[Words], "whether there is such a key", |e, v| {
        Ok(Value::Bool(e.scratch.contains_key(v.text_at(1))))
    }),
    call("MapSet", &[Words, Words, Any], "sets a key of a map in the store", |e, v| {
        map_set(e, v, true)
    }),
    call(
        "MapSetX",
        &[Words, Words, Any],
        "sets a key of a map in the store unless it is there",
        |e, v| map_set(e, v, false),
    ),
    call("MapValues", &[Words], "the values of a map in the store, by key", |e, v| {
        match e.scratch.get(v.text_at(1)).cloned() {
            Some(Value::Map(map)) if map.of() == MapOf::Any => {
                e.meter.elements(map.len())?;
                Ok(List::any(map.entries().into_iter().map(|(_, value)| value).collect()))
            }
            _ => Ok(List::any(Vec::new())),
        }
    }),
    call("Set", &[Words, Any], "sets a key", |e, v| set(e, v, true)),
    call("SetX", &[Words, Any], "sets a key unless it is there", |e, v| set(e, v, false)),
];

/// Values are equal when they have the same kind of type; a number of a secret is no text.
#[expect(clippy::float_cmp, reason = "Go's == on floats")]
fn is_in(eval: &mut Eval<'_>, list: &Value<'_>, value: &Value<'_>) -> Result<bool> {
    let same = |item: &Value<'_>| match (item, value) {
        (Value::Text(a), Value::Text(b)) | (Value::Number(a), Value::Number(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        _ => matches!((whole(item), whole(value)), (Some(a), Some(b)) if a == b),
    };
    if value.is_nothing() {
        return nothing_is_in(eval, list);
    }
    match (list, value) {
        (Value::List(items), _) => {
            eval.meter.look(items.len())?;
            Ok(items.iter().any(same))
        }
        (Value::Text(text), Value::Text(part)) | (Value::Number(text), Value::Number(part)) => {
            count_find(eval, text, part)?;
            Ok(find(text, part).is_some())
        }
        _ => Ok(false),
    }
}

/// Go asks nil for its type as soon as it meets a text, which fails.
fn nothing_is_in(eval: &mut Eval<'_>, list: &Value<'_>) -> Result<bool> {
    let is_text = |value: &Value<'_>| matches!(value, Value::Text(_) | Value::Number(_));
    let meets_text = match list {
        Value::List(items) => {
            eval.meter.look(items.len())?;
            items.iter().any(is_text)
        }
        other => is_text(other),
    };
    if meets_text { Err(Fault::new("nil cannot be looked for among texts")) } else { Ok(false) }
}

fn whole(value: &Value<'_>) -> Option<i128> {
    match value.unnamed() {
        Value::Int(n) | Value::Int64(n) => Some(n.into()),
        Value::Byte(n) => Some(n.into()),
        Value::Uint64(n) => Some(n.into()),
        _ => None,
    }
}

/// Whether one of the first list is in the second argument, or is not. The first one decides: what comes
/// after it may be such that it cannot be looked for.
fn one_is_in(eval: &mut Eval<'_>, values: &[Value<'_>], wanted: bool) -> Result<bool> {
    let list = values.value_at(1);
    for value in values.list_at(0) {
        if is_in(eval, &list, value)? == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

fn execute_template<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let dot = match values.from(1) {
        [] => Value::Absent,
        [dot] => dot.clone(),
        _ => return Err(Fault::new("wrong number of arguments, want a name and one value")),
    };
    let name = values.text_at(0);
    let Some(output) = eval.output_of(name, &dot)? else {
        let name = eval.literal(name);
        return Err(Fault::new(format!("template{name} not defined")));
    };
    Ok(Value::Text(Text::from(output)))
}

/// A key `a/b` becomes `b` in the map `a`; an empty last segment makes the maps only.
fn explode_map<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    eval.meter.maps(1)?;
    let root = Map::new(MapOf::Any, Entries::new());
    for (path, value) in values.map_at(0).entries() {
        eval.meter.text(path.len())?;
        let mut map = root.clone();
        let mut rest: &[u8] = &path;
        while let Some(at) = find(rest, b"/") {
            let (top, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
            eval.meter.maps(1)?;
            map = match map.get(top) {
                Some(Value::Map(inner)) if inner.of() == MapOf::Any => inner,
                Some(_) => return Err(Fault::new("not a map: a key is a leaf and a folder")),
                None => {
                    let inner = Map::new(MapOf::Any, Entries::new());
                    map.insert(Text::from(top.to_vec()), Value::Map(inner.clone()));
                    inner
                }
            };
            rest = tail.get(1..).unwrap_or_default();
        }
        if !rest.is_empty() {
            put(eval, &map, Text::from(rest.to_vec()), value)?;
        }
    }
    Ok(Value::Map(root))
}

/// Sets an entry, unless that would close a circle, in which printing would not end.
pub(super) fn put<'a>(
    eval: &mut Eval<'a>,
    map: &Map<'a>,
    key: Text<'a>,
    value: Value<'a>,
) -> Result<()> {
    eval.meter.elements(1)?;
    if map.is_within(&value, &mut eval.meter)? {
        return Err(Fault::new("a map cannot hold itself"));
    }
    map.insert(key, value);
    Ok(())
}

fn merged<'a>(eval: &mut Eval<'a>, values: &[Value<'a>], overrides: bool) -> Result<Value<'a>> {
    merge(eval, &values.map_at(0), &values.map_at(1), overrides, 0)?;
    Ok(values.value_at(0))
}

/// Maps nest deeper than this only when a template builds them to.
pub(super) const NESTING_MAX: usize = 160;

/// Fills `to` from `from`: what is missing or empty, or everything with `overrides`, then nil and empty
/// values too. Two maps merge. As Go's mergo does it.
pub(super) fn merge<'a>(
    eval: &mut Eval<'a>,
    to: &Map<'a>,
    from: &Map<'a>,
    overrides: bool,
    depth: usize,
) -> Result<()> {
    if depth > NESTING_MAX {
        return Err(Fault::new("maps nested too deeply to merge"));
    }
    // Each is looked up and copied.
    eval.meter.elements(from.len().saturating_mul(2))?;
    if !from.is_nil() {
        to.make();
    }
    for (key, value) in from.entries() {
        match (to.get(&key), &value) {
            (Some(Value::Map(inner)), Value::Map(other)) if inner.len() > 0 => {
                merge(eval, &inner, other, overrides, depth + 1)?;
            }
            (_, Value::Nil) if !overrides => {}
            (Some(own), _) if own.truth() && !overrides => {}
            _ => put(eval, to, key, value)?,
        }
    }
    Ok(())
}

fn set<'a>(eval: &mut Eval<'a>, values: &[Value<'a>], replaces: bool) -> Result<Value<'a>> {
    let key = values.text_at(1);
    if replaces || !eval.scratch.contains_key(key) {
        eval.meter.room(key.len())?;
        eval.meter.elements(1)?;
        eval.scratch.insert(Text::from(key.to_vec()), values.value_at(2));
    }
    Ok(Value::EMPTY)
}

fn map_set<'a>(eval: &mut Eval<'a>, values: &[Value<'a>], replaces: bool) -> Result<Value<'a>> {
    let (name, key) = (values.text_at(1), values.text_at(2));
    let map = match eval.scratch.get(name) {
        Some(Value::Map(map)) if map.of() == MapOf::Any => map.clone(),
        Some(_) => return Err(Fault::new("the value of this key in the store is no map")),
        None => {
            let map = Map::new(MapOf::Any, Entries::new());
            eval.meter.maps(1)?;
            eval.meter.text(name.len())?;
            eval.scratch.insert(Text::from(name.to_vec()), Value::Map(map.clone()));
            map
        }
    };
    if replaces || !map.has(key) {
        eval.meter.text(key.len())?;
        put(eval, &map, Text::from(key.to_vec()), values.value_at(3))?;
    }
    Ok(Value::EMPTY)
}
