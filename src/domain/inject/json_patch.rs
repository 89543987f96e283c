//! JSON patches (RFC 6902), also in the looser dialect of the library that the original uses.

use std::fmt;

use crate::base::json::{DEPTH_MAX, Json};

/// How strictly a patch is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `replace` of an absent member adds it, indices may be negative, `copy` of an absent member and a
    /// missing `value` mean null, and a `test` for null holds for an absent member.
    Lenient,
    /// As the standard says.
    Strict,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    from: Option<String>,
    op: String,
    path: Option<String>,
    value: Option<Json>,
}

/// Why a patch does not apply. Shows places, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchError {
    /// Which operation, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {}: {}", self.index, self.reason)
    }
}

impl std::error::Error for PatchError {}

/// What all `copy` operations of a patch may make: each could double the document. In bytes of text, and
/// [`VALUE_WEIGHT`] for each value, since a value takes more memory than it has bytes.
const COPIED_MAX: usize = 1 << 20;

/// See [`COPIED_MAX`]: an object of one member takes 700 bytes.
const VALUE_WEIGHT: usize = 350;

/// Values in a patch that an annotation brings. A variable takes three, so that is more than a thousand of them; as
/// objects of one member they take 3 MiB, a few times over while the patch is applied.
const FOREIGN_VALUES_MAX: usize = 4096;

/// Bytes of a patch. A pod's annotations hold 256 KiB; a patch of ours holds two agents.
const PATCH_BYTES_MAX: usize = 4 << 20;

/// Operations of a patch. Each may move a whole array; one of ours has a few more than 20,000.
const OPERATIONS_MAX: usize = 25_000;

/// Reads a patch that an annotation brings, which may be anybody's.
pub(crate) fn parse_foreign(text: &str) -> Result<Vec<Operation>, String> {
    let (mut values, mut in_text, mut escaped) = (1_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' | b',' if !in_text => values += 1,
            _ => {}
        }
    }
    // Before anything is made of them.
    if values > FOREIGN_VALUES_MAX {
        return Err(format!("more than {FOREIGN_VALUES_MAX} values"));
    }
    parse(text)
}

/// Reads a patch: an array of operations; `null` is an empty one. The error is a clause.
pub fn parse(text: &str) -> Result<Vec<Operation>, String> {
    if text.len() > PATCH_BYTES_MAX {
        return Err(format!("longer than {PATCH_BYTES_MAX} bytes"));
    }
    let json = Json::parse(text.as_bytes()).map_err(|e| e.to_string())?;
    let items = match &json {
        Json::Null => return Ok(Vec::new()),
        Json::Array(items) => items,
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => {
            return Err("not a JSON array of operations".into());
        }
    };
    if items.len() > OPERATIONS_MAX {
        return Err(format!("more than {OPERATIONS_MAX} operations"));
    }
    let operations = items.iter().enumerate().map(|(i, item)| {
        if item.as_object().is_none() {
            return Err(format!("operation {i} is not an object"));
        }
        let text = |name: &str| match item.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("\"{name}\" of operation {i} is not a string")),
        };
        Ok(Operation {
            from: text("from")?,
            op: text("op")?.unwrap_or_default(),
            path: text("path")?,
            value: item.get("value").cloned(),
        })
    });
    operations.collect()
}

/// Applies all operations in order; stops at the first that fails.
pub fn apply(doc: &mut Json, patch: &[Operation], dialect: Dialect) -> Result<(), PatchError> {
    let mut copied = 0;
    for (index, operation) in patch.iter().enumerate() {
        operation
            .apply(doc, dialect, &mut copied)
            .map_err(|reason| PatchError { index, reason })?;
    }
    Ok(())
}

impl Operation {
    fn apply(&self, doc: &mut Json, dialect: Dialect, copied: &mut usize) -> Result<(), String> {
        let lenient = dialect == Dialect::Lenient;
        let path = || pointer("path", self.path.as_deref());
        match self.op.as_str() {
            "add" => add(doc, &path()?, self.value(lenient)?, lenient),
            "replace" => replace(doc, &path()?, self.value(lenient)?, lenient),
            "remove" => remove(doc, &path()?, lenient).map(drop),
            "move" => {
                let (from, to) = (pointer("from", self.from.as_deref())?, path()?);
                if to.len() > from.len() && to.starts_with(&from) {
                    return Err("move into itself".into());
                }
                let value = remove(doc, &from, lenient)?;
                add(doc, &to, value, lenient)
            }
            "copy" => {
                let from = pointer("from", self.from.as_deref())?;
                if lenient && from.is_empty() {
                    return Err("copy of the whole document".into());
                }
                let value = match find(doc, &from, lenient)? {
                    Some(value) => {
                        *copied = copied.saturating_add(weight(value));
                        if *copied > COPIED_MAX {
                            return Err(format!("copies make more than {COPIED_MAX} bytes"));
                        }
                        value.clone()
                    }
                    None if lenient => Json::Null,
                    None => return Err(absent(&from)),
                };
                add(doc, &path()?, value, lenient)
            }
            "test" => {
                let path = path()?;
                let wanted = self.value(lenient)?;
                match find(doc, &path, lenient)? {
                    Some(value) if same(value, &wanted) => Ok(()),
                    None if lenient && wanted == Json::Null => Ok(()),
                    _ => Err(format!("test of \"/{}\" failed", path.join("/"))),
                }
            }
            other => {
                Err(format!("unknown op {other:?}, want add, remove, replace, move, copy or test"))
            }
        }
    }

    fn value(&self, lenient: bool) -> Result<Json, String> {
        match &self.value {
            Some(value) => Ok(value.clone()),
            None if lenient => Ok(Json::Null),
            None => Err("has no \"value\"".into()),
        }
    }
}

/// Numbers are equal when their values are.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            a == b || a.parse::<f64>().is_ok_and(|a| b.parse::<f64>().is_ok_and(|b| a == b))
        }
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && same(a, b))
        }
        _ => a == b,
    }
}

/// The unescaped parts of a JSON pointer.
fn pointer(name: &str, text: Option<&str>) -> Result<Vec<String>, String> {
    let text = text.ok_or_else(|| format!("has no \"{name}\""))?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let parts =
        text.strip_prefix('/').ok_or_else(|| format!("{name} {text:?} does not begin with /"))?;
    let parts: Vec<String> =
        parts.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    if parts.len() > DEPTH_MAX {
        return Err(format!("{name} is deeper than {DEPTH_MAX}"));
    }
    Ok(parts)
}

fn absent(path: &[String]) -> String {
    format!("there is no \"/{}\"", path.join("/"))
}

/// The value at a path; `None` when only its last part is missing from an object.
fn find<'a>(
    doc: &'a mut Json,
    path: &[String],
    lenient: bool,
) -> Result<Option<&'a mut Json>, String> {
    let Some((last, before)) = path.split_last() else { return Ok(Some(doc)) };
    match parent(doc, before, path, lenient)? {
        Json::Object(members) => Ok(members.get_mut(last)),
        Json::Array(items) => {
            let at = index(last, items.len(), lenient).ok_or_else(|| absent(path))?;
            items.get_mut(at).map(Some).ok_or_else(|| absent(path))
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Err(absent(path)),
    }
}

fn parent<'a>(
    doc: &'a mut Json,
    before: &[String],
    path: &[String],
    lenient: bool,
) -> Result<&'a mut Json, String> {
    let mut node = doc;
    for part in before {
        let next = match node {
            Json::Object(members) => members.get_mut(part),
            Json::Array(items) => {
                index(part, items.len(), lenient).and_then(|at| items.get_mut(at))
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
        };
        node = next.ok_or_else(|| absent(path))?;
    }
    Ok(node)
}

/// An index of an array of `len` items, or its end.
fn index(part: &str, len: usize, lenient: bool) -> Option<usize> {
    if lenient {
        let at: i64 = part.parse().ok()?;
        let size = usize::try_from(at.unsigned_abs()).ok()?;
        return if at < 0 { len.checked_sub(size) } else { Some(size) };
    }
    let digits = part.bytes().all(|b| b.is_ascii_digit());
    let plain = digits && (part == "0" || !part.starts_with('0'));
    if plain { part.parse().ok() } else { None }
}

fn add(doc: &mut Json, path: &[String], value: Json, lenient: bool) -> Result<(), String> {
    if path.len() + depth(&value) > DEPTH_MAX {
        return Err(format!("nests deeper than {DEPTH_MAX}"));
    }
    let Some((last, before)) = path.split_last() else {
        if lenient {
            return Err("add to the whole document: use replace".into());
        }
        *doc = value;
        return Ok(());
    };
    match parent(doc, before, path, lenient)? {
        Json::Object(members) => {
            members.insert(last.clone(), value);
            Ok(())
        }
        Json::Array(items) => {
            // A negative index counts from the end that the array will have.
            let at =
                if last == "-" { Some(items.len()) } else { index(last, items.len() + 1, lenient) };
            let at = at.filter(|at| *at <= items.len()).ok_or_else(|| absent(path))?;
            items.insert(at, value);
            Ok(())
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Err(absent(path)),
    }
}

fn replace(doc: &mut Json, path: &[String], value: Json, lenient: bool) -> Result<(), String> {
    if path.len() + depth(&value) > DEPTH_MAX {
        return Err(format!("nests deeper than {DEPTH_MAX}"));
    }
    if lenient && path.is_empty() && !matches!(value, Json::Object(_)) {
        return Err("the whole document must be an object".into());
    }
    match find(doc, path, lenient)? {
        Some(place) => {
            *place = value;
            Ok(())
        }
        None if lenient => add(doc, path, value, lenient),
        None => Err(absent(path)),
    }
}

fn remove(doc: &mut Json, path: &[String], lenient: bool) -> Result<Json, String> {
    let Some((last, before)) = path.split_last() else {
        return Err("remove of the whole document".into());
    };
    match parent(doc, before, path, lenient)? {
        Json::Object(members) => members.remove(last).ok_or_else(|| absent(path)),
        Json::Array(items) => {
            let at = index(last, items.len(), lenient).filter(|at| *at < items.len());
            at.map(|at| items.remove(at)).ok_or_else(|| absent(path))
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Err(absent(path)),
    }
}

/// About what a copy of this takes.
fn weight(value: &Json) -> usize {
    VALUE_WEIGHT
        + match value {
            Json::Null | Json::Bool(_) => 0,
            Json::Number(text) => text.len(),
            Json::String(text) => text.len(),
            Json::Array(items) => items.iter().map(weight).sum(),
            Json::Object(members) => {
                members.iter().map(|(name, value)| name.len() + weight(value)).sum()
            }
        }
}

fn depth(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => 0,
    }
}

#[cfg(test)]
mod tests;
