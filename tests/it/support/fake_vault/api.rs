//! The part of Vault's API that agents use, in Vault's envelopes and words.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::http::Request;
use super::state::{DynamicRole, Engine, Lease, Role, State, metadata, now_text};

/// Status and body; `Null` for no body.
type Answer = (u16, Value);

/// Answers one request.
pub(super) fn answer(state: &mut State, request: &Request) -> Answer {
    state.expire();
    let path = percent_decoded(&request.path);
    let path = path.trim_end_matches('/');
    if path == "sys/health" {
        return (200, json!({ "initialized": true, "sealed": false, "standby": false }));
    }
    if let Some(mount) = path.strip_prefix("auth/").and_then(|rest| rest.strip_suffix("/login")) {
        return log_in(state, mount, &request.body);
    }
    if let Some(verb) = path.strip_prefix("sys/wrapping/") {
        return wrapping(state, verb, request);
    }
    let Some(token) = &request.token else {
        return errors(400, &["missing client token"]);
    };
    let Some(known) = state.tokens.get_mut(token) else {
        let text = "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n";
        return errors(403, &[text]);
    };
    if let Some(left) = &mut known.uses_left {
        *left -= 1;
    }
    match path {
        "auth/token/lookup-self" => look_up_self(state, token),
        "auth/token/renew-self" => renew_self(state, token),
        "auth/token/revoke-self" => {
            state.revoke(token);
            (204, Value::Null)
        }
        "sys/capabilities-self" => capabilities_self(state, &request.body),
        "sys/leases/lookup" => match state.leases.contains_key(text(&request.body, "lease_id")) {
            true => ok(state, json!({ "data": {} })),
            false => errors(400, &["invalid lease"]),
        },
        "sys/leases/renew" => renew_lease(state, text(&request.body, "lease_id")),
        "sys/leases/revoke" => {
            state.leases.remove(text(&request.body, "lease_id"));
            (204, Value::Null)
        }
        _ => match path.strip_prefix("sys/internal/ui/mounts/") {
            Some(inner) => mount_of(state, inner),
            None if state.capabilities(path) == ["deny"] => denied(),
            None => secrets(state, path, token, request),
        },
    }
}

fn text<'b>(body: &'b Value, key: &str) -> &'b str {
    body.get(key).and_then(Value::as_str).unwrap_or("")
}

fn errors(status: u16, errors: &[&str]) -> Answer {
    (status, json!({ "errors": errors }))
}

fn denied() -> Answer {
    errors(403, &["1 error occurred:\n\t* permission denied\n\n"])
}

/// A 200 in the envelope that every answer has; `parts` replaces some of its members.
fn ok(state: &mut State, parts: Value) -> Answer {
    let number = state.next();
    let mut envelope = json!({
        "request_id": format!("00000000-0000-4000-8000-{number:012}"),
        "lease_id": "",
        "renewable": false,
        "lease_duration": 0,
        "data": null,
        "wrap_info": null,
        "warnings": null,
        "auth": null,
    });
    if let (Value::Object(envelope), Value::Object(parts)) = (&mut envelope, parts) {
        envelope.extend(parts);
    }
    (200, envelope)
}

fn log_in(state: &mut State, mount: &str, body: &Value) -> Answer {
    let Some(kind) = state.auth_mounts.get(mount).copied() else {
        return errors(403, &["permission denied"]);
    };
    let (name, credential) = if kind == "approle" {
        (text(body, "role_id"), text(body, "secret_id"))
    } else {
        (text(body, "role"), text(body, "jwt"))
    };
    if name.is_empty() {
        return errors(400, &["missing role"]);
    }
    if credential.is_empty() {
        return errors(400, &["missing jwt"]);
    }
    let Some(role) = state.roles.get(name).cloned() else {
        return errors(400, &[&format!("invalid role name \"{name}\"")]);
    };
    if role.jwt.as_ref().is_some_and(|jwt| jwt != credential) {
        return errors(403, &["permission denied"]);
    }
    let (token, accessor) = state.issue(&role, &format!("auth/{mount}/login"));
    let mut auth = auth_of(&role, &token, &accessor, role.ttl);
    if let Some(auth) = auth.as_object_mut() {
        auth.insert("metadata".into(), json!({ "role": name }));
    }
    ok(state, json!({ "auth": auth }))
}

fn auth_of(role: &Role, token: &str, accessor: &str, seconds: u64) -> Value {
    json!({
        "client_token": token,
        "accessor": accessor,
        "policies": role.policies,
        "token_policies": role.policies,
        "metadata": null,
        "lease_duration": seconds,
        "renewable": role.renewable,
        "entity_id": "",
        "token_type": if role.renewable { "service" } else { "batch" },
        "orphan": true,
        "num_uses": role.uses,
    })
}

/// Whole seconds from now, rounded up as nobody wants to read 0 of a living thing.
fn seconds_to(moment: Instant) -> u64 {
    let left = moment.saturating_duration_since(Instant::now());
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}

fn look_up_self(state: &mut State, id: &str) -> Answer {
    let Some(token) = state.tokens.get(id) else { return denied() };
    let data = json!({
        "id": id,
        "accessor": token.accessor,
        "ttl": token.ends.map_or(0, seconds_to),
        "creation_ttl": token.role.ttl,
        "explicit_max_ttl": token.role.max_ttl,
        "renewable": token.role.renewable,
        "type": if token.role.renewable { "service" } else { "batch" },
        "policies": token.role.policies,
        "num_uses": token.uses_left.unwrap_or(0),
        "path": token.path,
        "orphan": true,
        "meta": null,
        "expire_time": null,
    });
    ok(state, json!({ "data": data }))
}

/// The end of a thing that is renewed now, for `ttl` seconds but not beyond its longest life.
fn renewed(since: Instant, ttl: u64, max_ttl: u64) -> Instant {
    let end = Instant::now() + Duration::from_secs(ttl);
    if max_ttl == 0 { end } else { end.min(since + Duration::from_secs(max_ttl)) }
}

fn renew_self(state: &mut State, id: &str) -> Answer {
    let Some(token) = state.tokens.get_mut(id) else { return denied() };
    if !token.role.renewable {
        return errors(400, &["batch tokens cannot be renewed"]);
    }
    if token.role.ttl > 0 {
        token.ends = Some(renewed(token.since, token.role.ttl, token.role.max_ttl));
    }
    let seconds = token.ends.map_or(0, seconds_to);
    let auth = auth_of(&token.role, id, &token.accessor, seconds);
    ok(state, json!({ "auth": auth }))
}

fn renew_lease(state: &mut State, id: &str) -> Answer {
    let Some(lease) = state.leases.get_mut(id) else {
        return errors(400, &["lease not found"]);
    };
    if !lease.renewable {
        return errors(400, &["lease is not renewable"]);
    }
    lease.ends = renewed(lease.since, lease.ttl, lease.max_ttl);
    let seconds = seconds_to(lease.ends);
    ok(state, json!({ "lease_id": id, "lease_duration": seconds, "renewable": true }))
}

fn capabilities_self(state: &mut State, body: &Value) -> Answer {
    let asked = body.get("paths").or_else(|| body.get("path"));
    let paths: Vec<&str> = match asked {
        Some(Value::String(path)) => vec![path],
        Some(Value::Array(paths)) => paths.iter().filter_map(Value::as_str).collect(),
        _ => return errors(400, &["paths must be supplied"]),
    };
    let mut data = Map::new();
    for path in &paths {
        data.insert((*path).to_owned(), json!(state.capabilities(path)));
    }
    if let [path] = paths.as_slice() {
        data.insert("capabilities".into(), json!(state.capabilities(path)));
    }
    ok(state, json!({ "data": data }))
}

fn mount_of(state: &mut State, path: &str) -> Answer {
    let Some((mount, engine, _)) = state.mount_of(path) else {
        let text = format!(
            "preflight capability check returned 403, please ensure client's policies grant access to path \"{path}/\""
        );
        return errors(403, &[&text]);
    };
    let (kind, options) = match engine {
        Engine::Database => ("database", Value::Null),
        Engine::Kv1 => ("kv", json!({ "version": "1" })),
        Engine::Kv2 => ("kv", json!({ "version": "2" })),
    };
    let data = json!({ "path": mount, "type": kind, "options": options, "accessor": "mount" });
    ok(state, json!({ "data": data }))
}

fn wrapping(state: &mut State, verb: &str, request: &Request) -> Answer {
    let named = text(&request.body, "token");
    let sent = request.token.as_deref().unwrap_or("");
    let id = if named.is_empty() { sent } else { named }.to_owned();
    let Some(wrapped) = state.wrapped.get(&id) else {
        return errors(400, &["wrapping token is not valid or does not exist"]);
    };
    if verb == "lookup" {
        let data = json!({
            "creation_path": wrapped.creation_path,
            "creation_time": now_text(),
            "creation_ttl": 300,
        });
        return ok(state, json!({ "data": data }));
    }
    let data = state.wrapped.remove(&id).map(|wrapped| wrapped.data);
    ok(state, json!({ "data": data }))
}

fn secrets(state: &mut State, path: &str, token: &str, request: &Request) -> Answer {
    let Some((mount, engine, rest)) = state.mount_of(path) else {
        return errors(404, &[&format!("no handler for route \"{path}\". route entry not found.")]);
    };
    let is_list = request.method == "LIST" || request.query.contains("list=true");
    let is_write = request.method == "PUT" || request.method == "POST";
    match engine {
        Engine::Database => dynamic(state, rest, token),
        Engine::Kv1 if is_list => {
            let keys = names_below(&state.kv1, path);
            listed(state, &keys)
        }
        Engine::Kv1 if is_write => {
            state.kv1.insert(path.to_owned(), request.body.clone());
            (204, Value::Null)
        }
        Engine::Kv1 => match state.kv1.get(path).cloned() {
            Some(data) => ok(state, json!({ "data": data, "lease_duration": 2_764_800 })),
            None => errors(404, &[]),
        },
        Engine::Kv2 => kv2(state, &mount, rest, is_list, is_write, request),
    }
}

fn kv2(
    state: &mut State,
    mount: &str,
    rest: &str,
    is_list: bool,
    is_write: bool,
    request: &Request,
) -> Answer {
    let (kind, key) = rest.split_once('/').unwrap_or((rest, ""));
    let full = format!("{mount}{key}");
    match kind {
        "metadata" if is_list => {
            let keys = names_below(&state.kv2, full.trim_end_matches('/'));
            listed(state, &keys)
        }
        "metadata" => match state.kv2.get(&full).map(Vec::len) {
            Some(newest) => ok(state, json!({ "data": { "current_version": newest } })),
            None => errors(404, &[]),
        },
        "data" if is_write => {
            let data = request.body.get("data").cloned().unwrap_or_default();
            if !data.is_object() {
                return errors(400, &["no data provided"]);
            }
            let metadata = state.put_version(&full, data);
            ok(state, json!({ "data": metadata }))
        }
        "data" => read_version(state, &full, &request.query),
        _ => {
            let text = "Invalid path for a versioned K/V secrets engine. See the API docs for the \
                        appropriate API endpoints to use. If using the Vault CLI, use 'vault kv get' \
                        for this operation.";
            let (_, envelope) = ok(state, json!({ "warnings": [text] }));
            (404, envelope)
        }
    }
}

fn read_version(state: &mut State, path: &str, query: &str) -> Answer {
    let Some(versions) = state.kv2.get(path) else { return errors(404, &[]) };
    let asked = query.split('&').find_map(|pair| pair.strip_prefix("version="));
    let number = match asked.map(str::parse) {
        None | Some(Ok(0)) => versions.len(),
        Some(Ok(number)) => number,
        Some(Err(_)) => return errors(400, &["invalid version"]),
    };
    let Some(version) = number.checked_sub(1).and_then(|i| versions.get(i)) else {
        return errors(404, &[]);
    };
    let is_there = version.deleted.is_empty() && !version.destroyed;
    let data = json!({ "data": version.data, "metadata": metadata(versions, number) });
    let (_, envelope) = ok(state, json!({ "data": data }));
    (if is_there { 200 } else { 404 }, envelope)
}

/// Names one level below `path`, folders with their slash, each once.
fn names_below<V>(secrets: &BTreeMap<String, V>, path: &str) -> Vec<String> {
    let below = format!("{path}/");
    let mut names: Vec<String> = secrets
        .keys()
        .filter_map(|key| key.strip_prefix(&below))
        .map(|rest| match rest.split_once('/') {
            Some((folder, _)) => format!("{folder}/"),
            None => rest.to_owned(),
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

fn listed(state: &mut State, keys: &[String]) -> Answer {
    if keys.is_empty() {
        return errors(404, &[]);
    }
    ok(state, json!({ "data": { "keys": keys } }))
}

fn dynamic(state: &mut State, rest: &str, token: &str) -> Answer {
    let name = rest.strip_prefix("creds/").unwrap_or("");
    let Some(DynamicRole { ttl, max_ttl, renewable }) = state.dynamic.get(name).copied() else {
        return errors(400, &[&format!("unknown role: {name}")]);
    };
    let accessor = state.accessor(token).unwrap_or_default();
    let number = state.next();
    let id = format!("database/creds/{name}/lease{number}");
    let since = Instant::now();
    let ends = since + Duration::from_secs(ttl);
    state.leases.insert(id.clone(), Lease { accessor, since, ends, ttl, max_ttl, renewable });
    ok(
        state,
        json!({
            "lease_id": id,
            "lease_duration": ttl,
            "renewable": renewable,
            "data": { "username": format!("v-{name}-{number}"), "password": format!("pw-{number}") },
        }),
    )
}

/// `%2F` and its kin as bytes; what is no such escape stays.
fn percent_decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
