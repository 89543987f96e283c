//! Sprig: paths and URLs.

use core::net::Ipv6Addr;

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
    if scheme.is_empty() && rest.split('/').next().is_some_and(|first| first.contains(':')) {
        return Err(bad("a colon before the first slash, and no scheme"));
    }
    let is_rooted = scheme.is_empty() && rest.starts_with("///");
    let (authority, path) = match rest.strip_prefix("//").filter(|_| !is_rooted) {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, hostname) = url_host(host).map_err(bad)?;
    let decoded = |text: &str| unescaped(text).ok_or_else(|| bad("a wrong percent escape"));
    let path = if is_opaque { Vec::new() } else { decoded(path)? };
    let parts: [(&str, Vec<u8>); 8] = [
        ("fragment", decoded(fragment)?),
        ("host", host),
        ("hostname", hostname),
        ("opaque", if is_opaque { rest.into() } else { Vec::new() }),
        ("path", path),
        ("query", query.into()),
        ("scheme", scheme.to_ascii_lowercase().into_bytes()),
        ("userinfo", url_user(user).map_err(bad)?),
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

/// What stays as it is in a host, beside letters, digits and `-_.~`.
const HOST: &[u8] = b"!$&'()*+,;=:[]<>\"";

/// The host with its port, and without. A colon is for a port, or inside of brackets.
fn url_host(text: &str) -> std::result::Result<(Vec<u8>, Vec<u8>), &'static str> {
    let address_end = match text.strip_prefix('[') {
        Some(rest) => {
            let end = rest.rfind(']').ok_or("a bracket without its other one")?;
            let address = rest.get(..end).unwrap_or_default();
            let (address, zone) = address.split_once("%25").unwrap_or((address, "0"));
            if address.parse::<Ipv6Addr>().is_err() || zone.is_empty() {
                return Err("no IPv6 address in the brackets");
            }
            end + 2
        }
        None => text.find(':').unwrap_or(text.len()),
    };
    let (name, port) = text.split_at(address_end);
    let digits = port.strip_prefix(':').unwrap_or(port);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the port is no number");
    }
    // In a host only bytes beyond ASCII, and the sign itself, may be escaped.
    let has_plain_escape =
        name.split('%').skip(1).any(|after| !after.starts_with("25") && after < "8");
    let is_odd = |byte: u8| {
        byte.is_ascii()
            && !byte.is_ascii_alphanumeric()
            && !b"-_.~%".contains(&byte)
            && !HOST.contains(&byte)
    };
    if has_plain_escape || name.bytes().any(is_odd) {
        return Err("a character that no host has");
    }
    let name = unescaped(name).ok_or("a wrong percent escape")?;
    let bare = name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]")).unwrap_or(&name);
    Ok(([name.as_slice(), port.as_bytes()].concat(), bare.to_vec()))
}

/// Name and password, escaped in the usual way.
fn url_user(text: &str) -> std::result::Result<Vec<u8>, &'static str> {
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte))
    {
        return Err(
            "a user or password with a character that has to be escaped, such as %2F for /",
        );
    }
    let part = |text| unescaped(text).map(|text| escaped(&text, b"$&+,;="));
    let parts: Option<Vec<Vec<u8>>> = text.splitn(2, ':').map(part).collect();
    Ok(parts.ok_or("a wrong percent escape")?.join(&b':'))
}

/// All but letters, digits, `-_.~` and what else stays.
fn escaped(text: &[u8], stays: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) || stays.contains(byte) {
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
    let (path, fragment) = (text("path")?, text("fragment")?);
    let path = if path == b"*" { path } else { escaped(&path, b"$&+,/:;=@") };
    let user = text("userinfo")?;
    let user = str::from_utf8(&user).ok().ok_or("not UTF-8").and_then(url_user);
    let user = user.map_err(|what| Fault::new(format!("userinfo: {what}")))?;
    let mut out = Vec::new();
    if !scheme.is_empty() {
        out.extend_from_slice(&scheme);
        out.push(b':');
    }
    if opaque.is_empty() {
        let is_local = host.is_empty() && user.is_empty();
        if !is_local || (!scheme.is_empty() && !path.is_empty()) {
            out.extend_from_slice(b"//");
        }
        if !user.is_empty() {
            out.extend_from_slice(&user);
            out.push(b'@');
        }
        out.extend_from_slice(&escaped(&host, HOST));
        let first = path.split(|byte| *byte == b'/').next().unwrap_or_default();
        if !host.is_empty() && !path.is_empty() && !path.starts_with(b"/") {
            out.push(b'/');
        } else if out.is_empty() && first.contains(&b':') {
            out.extend_from_slice(b"./");
        }
        out.extend_from_slice(&path);
    } else {
        out.extend_from_slice(&opaque);
    }
    for (mark, part) in [(b'?', text("query")?), (b'#', escaped(&fragment, b"$&+,/:;=?@!()*"))] {
        if !part.is_empty() {
            out.push(mark);
            out.extend_from_slice(&part);
        }
    }
    eval.made(out)
}
