//! Sprig: paths and URLs.

use super::{Arguments, Code, Function, Param, call};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::value::{Entries, Map, Text, Value};

use Param::Text as Words;

const BASE: Code = |e, v| e.made(base(v.text_at(0)).to_vec());
const CLEAN: Code = |e, v| e.made(clean(v.text_at(0)));
const DIR: Code = |e, v| {
    let path = v.text_at(0);
    let end = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    e.made(clean(path.get(..end).unwrap_or_default()))
};
const EXT: Code = |e, v| {
    let name = v.text_at(0).rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let dot = name.iter().rposition(|byte| *byte == b'.').unwrap_or(name.len());
    e.made(name.get(dot..).unwrap_or_default().to_vec())
};
const IS_ABS: Code = |_, v| Ok(Value::Bool(v.text_at(0).starts_with(b"/")));

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call("sprig_base", &[Words], "the last element of a path", BASE),
    call("sprig_clean", &[Words], "the shortest path to the same place", CLEAN),
    call("sprig_dir", &[Words], "a path without its last element", DIR),
    call("sprig_ext", &[Words], "the file name extension", EXT),
    call("sprig_isAbs", &[Words], "whether a path is absolute", IS_ABS),
    call("sprig_osBase", &[Words], "the last element of a path", BASE),
    call("sprig_osClean", &[Words], "the shortest path to the same place", CLEAN),
    call("sprig_osDir", &[Words], "a path without its last element", DIR),
    call("sprig_osExt", &[Words], "the file name extension", EXT),
    call("sprig_osIsAbs", &[Words], "whether a path is absolute", IS_ABS),
    call("sprig_urlJoin", &[Param::Map], "a URL of a map of its parts", url_join),
    call("sprig_urlParse", &[Words], "the parts of a URL as a map", url_parse),
];

fn base(path: &[u8]) -> &[u8] {
    if path.is_empty() {
        return b".";
    }
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
    let path = path.get(..end).unwrap_or_default();
    if path.is_empty() {
        return b"/";
    }
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

fn clean(path: &[u8]) -> Vec<u8> {
    let is_rooted = path.starts_with(b"/");
    // Every part with a slash before it.
    let mut out: Vec<u8> = Vec::with_capacity(path.len() + 1);
    for part in path.split(|byte| *byte == b'/') {
        let last = || out.iter().rposition(|byte| *byte == b'/');
        let above = if part == b".." { last() } else { None };
        match (part, above) {
            (b"" | b".", _) => {}
            (b"..", Some(above)) if out.get(above..) != Some(b"/..") => out.truncate(above),
            (b"..", _) if is_rooted => {}
            _ => {
                out.push(b'/');
                out.extend_from_slice(part);
            }
        }
    }
    match (is_rooted, out.is_empty()) {
        (true, true) => b"/".to_vec(),
        (true, false) => out,
        (false, true) => b".".to_vec(),
        (false, false) => out.split_off(1),
    }
}

fn url_parse<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let bad = |what: &str| Fault::new(format!("not a URL: {what}"));
    let text = str::from_utf8(values.text_at(0)).ok().ok_or_else(|| bad("not UTF-8"))?;
    eval.meter.maps(1)?;
    eval.meter.text(text.len().saturating_mul(4))?;
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(bad("a control character"));
    }
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (scheme, rest) = scheme(text).ok_or_else(|| bad("no scheme before the colon"))?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_opaque = !scheme.is_empty() && !rest.is_empty() && !rest.starts_with('/');
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (name, port) = match host.rfind(':').filter(|at| !host.ends_with(']') && *at < host.len()) {
        Some(at) => host.split_at(at),
        None => (host, ""),
    };
    if !port.bytes().skip(1).all(|byte| byte.is_ascii_digit()) {
        return Err(bad("the port is no number"));
    }
    let decoded = |text: &str| unescaped(text).ok_or_else(|| bad("a wrong percent escape"));
    let path = if is_opaque { Vec::new() } else { decoded(path)? };
    let parts: [(&str, Vec<u8>); 8] = [
        ("fragment", decoded(fragment)?),
        ("host", decoded(host)?),
        ("hostname", decoded(name.trim_start_matches('[').trim_end_matches(']'))?),
        ("opaque", if is_opaque { rest.into() } else { Vec::new() }),
        ("path", path),
        ("query", query.into()),
        ("scheme", scheme.to_ascii_lowercase().into_bytes()),
        ("userinfo", user.into()),
    ];
    let entry = |(key, value): (&'static str, Vec<u8>)| {
        (Text::Borrowed(key.as_bytes()), Value::text(value))
    };
    let entries: Entries<'a> = parts.into_iter().map(entry).collect();
    Ok(Map::any(entries))
}

/// The scheme and what follows its colon; `None` when there is only the colon.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
    let Some((scheme, rest)) = end.and_then(|end| text.split_at_checked(end)) else {
        return Some(("", text));
    };
    match rest.strip_prefix(':') {
        Some(_) if scheme.is_empty() => None,
        Some(rest) if scheme.starts_with(|c: char| c.is_ascii_alphabetic()) => Some((scheme, rest)),
        _ => Some(("", text)),
    }
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            let digits = str::from_utf8(digits).ok().filter(|d| !d.starts_with('+'))?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail;
        } else {
            out.push(*byte);
        }
    }
    Some(out)
}

fn escaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@!'()*".contains(byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

fn url_join<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let map = values.map_at(0);
    let text = |key: &str| match map.get(key.as_bytes()) {
        Some(Value::Text(text)) => Ok(text.to_vec()),
        None | Some(Value::Nil) => Ok(Vec::new()),
        Some(other) => {
            Err(Fault::new(format!("{key}: want a string, not a {}", other.type_name())))
        }
    };
    let (scheme, opaque, host) = (text("scheme")?, text("opaque")?, text("host")?);
    let (path, user) = (escaped(&text("path")?), text("userinfo")?);
    let mut out = Vec::new();
    if !scheme.is_empty() {
        out.extend_from_slice(&scheme);
        out.push(b':');
    }
    if opaque.is_empty() {
        if !host.is_empty() || !user.is_empty() {
            out.extend_from_slice(b"//");
            if !user.is_empty() {
                out.extend_from_slice(&user);
                out.push(b'@');
            }
            out.extend_from_slice(&host);
            if !path.is_empty() && !path.starts_with(b"/") {
                out.push(b'/');
            }
        }
        out.extend_from_slice(&path);
    } else {
        out.extend_from_slice(&opaque);
    }
    for (mark, part) in [(b'?', text("query")?), (b'#', escaped(&text("fragment")?))] {
        if !part.is_empty() {
            out.push(mark);
            out.extend_from_slice(&part);
        }
    }
    eval.made(out)
}
