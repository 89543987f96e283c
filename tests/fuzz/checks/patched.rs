//! A checker of patches that shares no code with what it checks.

use vault_injector::base::json::Json;

/// Applies the operations of an RFC 6902 patch as the API server does; only `add` is ours to use.
pub fn apply(document: &Json, patch: &Json) -> Json {
    let mut document = document.clone();
    for operation in patch.as_array().expect("a patch is a list") {
        let text = |name: &str| operation.get(name).and_then(Json::as_str).unwrap();
        assert_eq!(text("op"), "add");
        let path = text("path").strip_prefix('/').expect("a path from the root");
        let parts: Vec<String> =
            path.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
        let (last, parents) = parts.split_last().unwrap();
        let mut node = &mut document;
        for part in parents {
            node = match node {
                Json::Object(members) => members.get_mut(part),
                Json::Array(items) => items.get_mut(part.parse::<usize>().unwrap()),
                _ => None,
            }
            .unwrap_or_else(|| panic!("nothing at {path}"));
        }
        let value = operation.get("value").expect("add has a value").clone();
        match node {
            Json::Object(members) => drop(members.insert(last.clone(), value)),
            Json::Array(items) if last == "-" => items.push(value),
            Json::Array(items) => items.insert(last.parse().unwrap(), value),
            _ => panic!("{path} is in no object or list"),
        }
    }
    document
}

/// Where something of `old` is not in `new`: members stay with what they hold, items stay in their order.
/// What is null counts as not there, and `replaced` names the members that may change.
pub fn lost(old: &Json, new: &Json, replaced: &[&str]) -> Option<String> {
    match (old, new) {
        (Json::Null, _) => None,
        (Json::Object(old), Json::Object(new)) => {
            let mut stay = old.iter().filter(|(key, _)| !replaced.contains(&key.as_str()));
            stay.find_map(|(key, value)| {
                let kept = new.get(key).unwrap_or(&Json::Null);
                lost(value, kept, replaced).map(|place| format!("/{key}{place}"))
            })
        }
        (Json::Array(old), Json::Array(new)) => {
            let mut rest = new.iter();
            let is_lost = |item| !rest.any(|kept| lost(item, kept, replaced).is_none());
            old.iter().position(is_lost).map(|at| format!("/{at}"))
        }
        _ => (old != new).then(String::new),
    }
}
