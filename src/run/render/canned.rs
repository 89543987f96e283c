//! Canned data: a file with all that a template can see.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use crate::adapter::{entropy, files};
use crate::base::json::Json;
use crate::base::near::near;
use crate::base::secret::SecretBytes;
use crate::base::time::Wall;
use crate::domain::template::{Flags, Found, Interface, Snapshot, Want};
use crate::domain::vault::Reading;
use crate::run::limits::FILE_BYTES_MAX;

pub(super) fn read(file: &str) -> Result<Snapshot, String> {
    let bytes = files::read_named(Path::new(file), FILE_BYTES_MAX).map_err(|e| e.to_string())?;
    let bytes = zeroize::Zeroizing::new(bytes);
    let json = Json::parse(&bytes).map_err(|e| format!("{file}: {e}"))?;
    snapshot(&json).map_err(|clause| format!("{file}: {clause}"))
}

/// `{"secrets": {PATH: response of Vault}, "lists": {PATH: [name]}, "files": {PATH: text},
/// "env": {NAME: value}, "now": seconds,
/// "interfaces": [{"name": NAME, "flags": [FLAG], "addresses": ["10.0.0.1/24"], "default": true}]}`.
/// What is not in it does not exist.
fn snapshot(data: &Json) -> Result<Snapshot, String> {
    let members = data.as_object().ok_or("want a JSON object")?;
    let seed = entropy::seed().ok();
    let mut snapshot = Snapshot { complete: true, seed, ..Snapshot::default() };
    for (key, value) in members {
        match key.as_str() {
            "secrets" => {
                for (path, response) in object(key, value)? {
                    let reading = Reading::decode(response)
                        .map_err(|clause| format!("secrets, {path:?}: {clause}"))?;
                    let path = trimmed(path);
                    snapshot.found.insert(Want::Read { path }, Found::Reading(Arc::new(reading)));
                }
            }
            "lists" => {
                for (path, names) in object(key, value)? {
                    let names = names.as_array().and_then(|names| {
                        names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
                    });
                    let mut names: Vec<String> =
                        names.ok_or_else(|| format!("lists, {path:?}: want an array of names"))?;
                    names.sort_unstable();
                    snapshot.found.insert(Want::List { path: trimmed(path) }, Found::List(names));
                }
            }
            "files" => {
                for (path, text) in object(key, value)? {
                    let text = text.as_str();
                    let text = text.ok_or_else(|| format!("files, {path:?}: want a string"))?;
                    let want = Want::File { path: path.clone(), sandbox: None };
                    let bytes = SecretBytes::new(text.as_bytes().to_vec());
                    snapshot.found.insert(want, Found::File(bytes));
                }
            }
            "env" => {
                for (name, text) in object(key, value)? {
                    let text = text.as_str();
                    let text = text.ok_or_else(|| format!("env, {name:?}: want a string"))?;
                    snapshot.env.insert(name.clone(), text.to_owned());
                }
            }
            "now" => {
                let milliseconds = value.as_i64().and_then(|seconds| seconds.checked_mul(1000));
                snapshot.now = Some(Wall(milliseconds.ok_or("now: want whole seconds")?));
            }
            "interfaces" => {
                let items = value.as_array().ok_or("interfaces: want an array")?;
                let interfaces = items.iter().map(interface).collect::<Option<_>>();
                snapshot.interfaces = interfaces.ok_or(WANT_INTERFACES)?;
            }
            other => {
                let known = "secrets, lists, files, env, interfaces and now";
                return Err(format!("unknown key {other:?}, there are {known}"));
            }
        }
    }
    add_spellings(&mut snapshot);
    Ok(snapshot)
}

/// A secret of KV 2 is found with and without the `data/` of its API, as it is by an agent that knows the mount.
fn add_spellings(snapshot: &mut Snapshot) {
    let mut added = Vec::new();
    for (want, found) in &snapshot.found {
        if let (Want::Read { path }, Found::Reading(reading)) = (want, found)
            && has_kv2_shape(&reading.data)
        {
            added.extend(spellings(path).into_iter().map(|path| (path, found.clone())));
        }
    }
    for (path, found) in added {
        let _written = snapshot.found.entry(Want::Read { path }).or_insert(found);
    }
}

/// Whether the data is that of a KV 2 secret, which may lack its metadata in canned answers.
fn has_kv2_shape(data: &Json) -> bool {
    let Some(members) = data.as_object() else { return false };
    let is_data = matches!(members.get("data"), Some(Json::Object(_) | Json::Null));
    is_data && members.keys().all(|key| key == "data" || key == "metadata")
}

/// The other ways to write the path of a KV 2 secret. Where its mount ends is not known, so that `data` may stand
/// after any part of it.
fn spellings(path: &str) -> Vec<String> {
    let parts: Vec<&str> = path.split('/').collect();
    let of = |parts: &[&[&str]]| parts.concat().join("/");
    let after_mount = parts.iter().skip(1).position(|part| *part == "data");
    if let Some(at) = after_mount
        && let (Some(before), Some(after)) = (parts.get(..=at), parts.get(at + 2..))
    {
        return vec![of(&[before, after])];
    }
    let cuts = (1..parts.len()).filter_map(|at| parts.split_at_checked(at));
    cuts.map(|(before, after)| of(&[before, &["data"], after])).collect()
}

/// What the formats take for the data of a secret: a canned answer of KV 2 needs no metadata.
pub(super) fn with_version(data: &Json) -> Json {
    let mut data = data.clone();
    if has_kv2_shape(&data)
        && let Json::Object(members) = &mut data
    {
        let version = BTreeMap::from([("version".to_owned(), Json::Number("1".into()))]);
        members.entry("metadata".to_owned()).or_insert(Json::Object(version));
    }
    data
}

const WANT_INTERFACES: &str = "interfaces: want each to be {\"name\": NAME, \"flags\": [FLAG], \"addresses\": [\"10.0.0.1/24\"]}";

fn interface(value: &Json) -> Option<Interface> {
    let members = value.as_object()?;
    let texts = |key: &str| -> Option<Vec<&str>> {
        members.get(key).map_or(Some(&[][..]), Json::as_array)?.iter().map(Json::as_str).collect()
    };
    let addresses = texts("addresses")?.into_iter().map(|text| {
        let (ip, prefix) = text.split_once('/')?;
        let ip: IpAddr = ip.parse().ok()?;
        let width = if ip.is_ipv4() { 32 } else { 128 };
        Some((ip, prefix.parse().ok().filter(|bits| *bits <= width)?))
    });
    Some(Interface {
        name: members.get("name")?.as_str()?.to_owned(),
        flags: Flags::of_names(texts("flags")?),
        addresses: addresses.collect::<Option<_>>()?,
        has_default_route: members.get("default").and_then(Json::as_bool).unwrap_or(false),
    })
}

fn object<'j>(key: &str, value: &'j Json) -> Result<&'j BTreeMap<String, Json>, String> {
    value.as_object().ok_or_else(|| format!("{key}: want a JSON object"))
}

/// As templates' paths are looked up: empty parts are none.
pub(super) fn trimmed(path: &str) -> String {
    let parts = path.trim().split('/').filter(|part| !part.is_empty());
    parts.collect::<Vec<&str>>().join("/")
}

/// A line for each thing that was asked for and is not in the file: what there is instead.
pub(super) fn missing(file: &str, wants: &BTreeSet<Want>, snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for want in wants {
        let there = match want {
            // A write has the response that stands for its path.
            Want::Write { path, .. } => Want::Read { path: path.clone() },
            want => want.clone(),
        };
        if snapshot.found.contains_key(&there) {
            continue;
        }
        let kind = std::mem::discriminant(&there);
        let same = snapshot.found.keys().filter(|known| std::mem::discriminant(*known) == kind);
        let mut known: Vec<&str> = same.map(Want::path).collect();
        // One spelling of each is enough to read.
        let others: Vec<String> = known.iter().flat_map(|path| spellings(path)).collect();
        if matches!(there, Want::Read { .. }) {
            known.retain(|path| !path.contains("/data/") || !others.iter().any(|o| o == path));
        }
        let (one, key) = match there {
            Want::Certificate { .. } => ("certificate", "certificates"),
            Want::File { .. } => ("file", "files"),
            Want::List { .. } => ("list", "lists"),
            Want::Read { .. } | Want::Write { .. } => ("secret", "secrets"),
        };
        let path = want.path();
        // Writing to a String cannot fail.
        let _infallible = write!(text, "no {one} {path:?} in {file}");
        let _infallible = match (near(path, known.iter().copied()), known.as_slice()) {
            (Some(names), _) => writeln!(text, ", did you mean {names}?"),
            (None, []) => writeln!(text, ", which has no {key}"),
            (None, known) => writeln!(text, ", which has {}", listed(known)),
        };
    }
    text
}

/// Paths that are listed.
const LISTED_MAX: usize = 8;

fn listed(known: &[&str]) -> String {
    let quoted = known.iter().take(LISTED_MAX).map(|path| format!("{path:?}"));
    let mut text = quoted.collect::<Vec<String>>().join(", ");
    if let Some(rest) = known.len().checked_sub(LISTED_MAX + 1) {
        // Writing to a String cannot fail.
        let _infallible = write!(text, " and {} more", rest + 1);
    }
    text
}
