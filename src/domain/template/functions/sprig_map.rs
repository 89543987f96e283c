//! Sprig: maps.

use super::collection::{merge, put};
use super::sprig_value::shown;
use super::{Arguments, Code, Function, Param, call, many};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::value::{Entries, List, Map, MapOf, Text, Value};

use Param::{Any, Map as Dict, Text as Words};

const MERGE: Code = |e, v| merged(e, v, false);
const MERGE_OVERWRITE: Code = |e, v| merged(e, v, true);

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    many("sprig_dict", &[Any], "a map of keys and values in turn", dict),
    many("sprig_dig", &[Any], "the value under nested keys, or the default before the map", dig),
    call("sprig_get", &[Dict, Words], "the value of a key, empty without one", |_, v| {
        Ok(v.map_at(0).get(v.text_at(1)).unwrap_or(Value::EMPTY))
    }),
    call("sprig_hasKey", &[Dict, Words], "whether the map has the key", |_, v| {
        Ok(Value::Bool(v.map_at(0).has(v.text_at(1))))
    }),
    many("sprig_keys", &[Dict], "the keys of the maps, sorted by map", |e, v| {
        let mut keys = Vec::new();
        for i in 0..v.len() {
            e.meter.elements(v.map_at(i).len())?;
            keys.extend(v.map_at(i).entries().into_iter().map(|(key, _)| key));
        }
        Ok(List::texts(keys))
    }),
    many(
        "sprig_merge",
        &[Dict, Dict],
        "the first map, filled from the others where it is empty",
        MERGE,
    ),
    many(
        "sprig_mergeOverwrite",
        &[Dict, Dict],
        "the first map with the values of the others over its own",
        MERGE_OVERWRITE,
    ),
    many(
        "sprig_mustMerge",
        &[Dict, Dict],
        "the first map, filled from the others where it is empty",
        MERGE,
    ),
    many(
        "sprig_mustMergeOverwrite",
        &[Dict, Dict],
        "the first map with the values of the others over its own",
        MERGE_OVERWRITE,
    ),
    many("sprig_omit", &[Dict, Words], "the map without these keys", |e, v| chosen(e, v, false)),
    many("sprig_pick", &[Dict, Words], "the map with these keys only", |e, v| chosen(e, v, true)),
    many("sprig_pluck", &[Words, Dict], "the values of a key in all maps that have it", |e, v| {
        e.meter.elements(v.len())?;
        let values = (1..v.len()).filter_map(|i| v.map_at(i).get(v.text_at(0)));
        Ok(List::any(values.collect()))
    }),
    call("sprig_set", &[Dict, Words, Any], "the map with a key set", |e, v| {
        e.meter.text(v.text_at(1).len())?;
        if v.map_at(0).is_nil() {
            return Err(Fault::new("nothing can be put into a map that is nil"));
        }
        put(e, &v.map_at(0), Text::from(v.text_at(1).to_vec()), v.value_at(2))?;
        Ok(v.value_at(0))
    }),
    call("sprig_unset", &[Dict, Words], "the map with a key removed", |_, v| {
        v.map_at(0).remove(v.text_at(1));
        Ok(v.value_at(0))
    }),
    call("sprig_values", &[Dict], "the values of the map, by key", |e, v| {
        e.meter.elements(v.map_at(0).len())?;
        Ok(List::any(v.map_at(0).entries().into_iter().map(|(_, value)| value).collect()))
    }),
];

fn dict<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    eval.meter.maps(1)?;
    eval.meter.elements(values.len())?;
    let mut entries = Entries::new();
    for pair in values.chunks(2) {
        let key = shown(eval, &pair.value_at(0))?;
        entries.insert(key, pair.get(1).cloned().unwrap_or(Value::EMPTY));
    }
    Ok(Map::any(entries))
}

fn dig<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let [keys @ .., default, start] = values else {
        return Err(Fault::new("want keys, a default and a map"));
    };
    if keys.is_empty() {
        return Err(Fault::new("want keys, a default and a map"));
    }
    let wrong = || Fault::new("want texts as keys, and maps under all but the last");
    if !keys.iter().all(|key| matches!(key, Value::Text(_))) {
        return Err(wrong());
    }
    let mut value = start.clone();
    for (i, _) in keys.iter().enumerate() {
        let key = keys.text_at(i);
        let Value::Map(map) = &value else { return Err(wrong()) };
        if map.of() != MapOf::Any {
            return Err(wrong());
        }
        match map.get(key) {
            Some(next) => value = next,
            None => return Ok(default.clone()),
        }
    }
    Ok(value)
}

fn merged<'a>(eval: &mut Eval<'a>, values: &[Value<'a>], overrides: bool) -> Result<Value<'a>> {
    for i in 1..values.len() {
        merge(eval, &values.map_at(0), &values.map_at(i), overrides, 0)?;
    }
    Ok(values.value_at(0))
}

fn chosen<'a>(eval: &mut Eval<'a>, values: &[Value<'a>], wanted: bool) -> Result<Value<'a>> {
    let map = values.map_at(0);
    eval.meter.maps(1)?;
    eval.meter.elements(map.len().saturating_add(values.len()))?;
    let keys: std::collections::BTreeSet<&[u8]> =
        (1..values.len()).map(|i| values.text_at(i)).collect();
    let entries = map.entries().into_iter();
    Ok(Map::any(entries.filter(|(key, _)| keys.contains(&**key) == wanted).collect()))
}
