//! JSON patches (RFC 6902) as API servers apply them.

use serde_json::Value;

/// Why a patch is not applied.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no patch.
    Malformed(String),
    /// It does not fit the object, or a test says no.
    Unfit(String),
}

/// Applies all operations or none.
pub(super) fn apply(object: &Value, patch: &Value) -> Result<Value, Refusal> {
    let malformed = |text: &str| Refusal::Malformed(text.to_owned());
    let operations = patch.as_array().ok_or_else(|| malformed("not a list of operations"))?;
    let mut patched = object.clone();
    for operation in operations {
        let text = |member: &str| operation.get(member).and_then(Value::as_str);
        let op = text("op").ok_or_else(|| malformed("an operation without op"))?;
        let path = text("path").ok_or_else(|| malformed("an operation without path"))?;
        let value = || operation.get("value").cloned().ok_or_else(|| malformed("no value"));
        let from = || text("from").ok_or_else(|| malformed("no from"));
        let unfit = || Refusal::Unfit(format!("{op} operation does not apply at {path}"));
        let done = match op {
            "add" => add(&mut patched, path, value()?),
            "copy" => {
                let value = patched.pointer(from()?).cloned().ok_or_else(unfit)?;
                add(&mut patched, path, value)
            }
            "move" => {
                let value = take(&mut patched, from()?).ok_or_else(unfit)?;
                add(&mut patched, path, value)
            }
            "remove" => take(&mut patched, path).map(drop),
            "replace" => patched.pointer_mut(path).zip(Some(value()?)).map(|(at, v)| *at = v),
            "test" => (patched.pointer(path) == Some(&value()?)).then_some(()),
            _ => return Err(malformed("an unknown operation")),
        };
        done.ok_or_else(unfit)?;
    }
    Ok(patched)
}

/// The value that holds what `path` names, and the last step to it.
fn parent<'v>(object: &'v mut Value, path: &str) -> Option<(&'v mut Value, String)> {
    let (above, last) = path.rsplit_once('/')?;
    Some((object.pointer_mut(above)?, last.replace("~1", "/").replace("~0", "~")))
}

fn add(object: &mut Value, path: &str, value: Value) -> Option<()> {
    match parent(object, path)? {
        (Value::Object(members), last) => drop(members.insert(last, value)),
        (Value::Array(items), last) => {
            let place = if last == "-" { items.len() } else { last.parse().ok()? };
            (place <= items.len()).then(|| items.insert(place, value))?;
        }
        _ => return None,
    }
    Some(())
}

fn take(object: &mut Value, path: &str) -> Option<Value> {
    match parent(object, path)? {
        (Value::Object(members), last) => members.remove(&last),
        (Value::Array(items), last) => {
            let place: usize = last.parse().ok()?;
            (place < items.len()).then(|| items.remove(place))
        }
        _ => None,
    }
}
