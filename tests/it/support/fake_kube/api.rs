//! What an API server makes of a request: routes, RBAC, versions, and its own words when it refuses.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::json_patch::{self, Refusal};
use super::{Happening, Inside, Key, NAMESPACE, What};

/// A resource of the API.
struct Resource {
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    is_namespaced: bool,
}

const fn resource(
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    is_namespaced: bool,
) -> Resource {
    Resource { group, plural, kind, is_namespaced }
}

const RESOURCES: &[Resource] = &[
    resource("", "configmaps", "ConfigMap", true),
    resource("", "nodes", "Node", false),
    resource("", "pods", "Pod", true),
    resource("", "secrets", "Secret", true),
    resource(
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        false,
    ),
    resource("coordination.k8s.io", "leases", "Lease", true),
];

impl Resource {
    fn api_version(&self) -> String {
        if self.group.is_empty() { "v1".to_owned() } else { format!("{}/v1", self.group) }
    }

    fn named(plural: &str) -> &'static Self {
        RESOURCES.iter().find(|r| r.plural == plural).unwrap_or_else(|| panic!("no {plural} here"))
    }
}

/// A request as it came over the wire.
pub(super) struct Request {
    pub(super) verb: &'static str,
    /// Empty when the path is none of ours.
    pub(super) resource: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) token: String,
    pub(super) body: Value,
}

/// What is to be answered.
pub(super) enum Answer {
    Document(u16, Value),
    /// Events from this version on, for so long.
    Watch {
        from: u64,
        limit: Duration,
    },
}

/// Reads a request and complains about what a careful client would not have sent.
pub(super) fn request(
    inside: &mut Inside,
    method: &str,
    uri: &str,
    mut headers: BTreeMap<String, String>,
    body: Value,
) -> Request {
    let mut complain = |text: &str| inside.complaints.push(format!("{method} {uri}: {text}"));
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let query: BTreeMap<String, String> =
        pairs.map(|(key, value)| (key.to_owned(), value.replace("%3D", "="))).collect();
    let (resource, namespace, mut name) = route(path).unwrap_or_default();
    let verb = match (method, name.is_empty(), query.contains_key("watch")) {
        ("GET", false, false) => "get",
        ("GET", true, false) => "list",
        ("GET", true, true) => "watch",
        ("PATCH", false, false) => "patch",
        ("POST", true, false) => "create",
        ("PUT", false, false) => "update",
        _ => "",
    };
    if verb.is_empty() || resource.is_empty() {
        complain("nothing is served here");
    }
    if name.is_empty() && verb != "create" {
        let selector = query.get("fieldSelector").and_then(|s| s.strip_prefix("metadata.name="));
        name = selector.unwrap_or_default().to_owned();
        if name.is_empty() {
            complain("a list without a name");
        }
    }
    let wanted_query: &[&str] = match verb {
        "list" => &["fieldSelector"],
        "watch" => {
            &["allowWatchBookmarks", "fieldSelector", "resourceVersion", "timeoutSeconds", "watch"]
        }
        _ => &[],
    };
    if !query.keys().map(String::as_str).eq(wanted_query.iter().copied()) {
        complain("other parameters than expected");
    }
    let content_type = match verb {
        "create" | "update" => Some("application/json"),
        "patch" => Some("application/json-patch+json"),
        _ => None,
    };
    let header = |name: &str| headers.get(name).map(String::as_str);
    for (name, wanted) in [
        ("accept", Some("application/json")),
        ("content-type", content_type),
        ("user-agent", Some(concat!("vault-injector/", env!("CARGO_PKG_VERSION")))),
    ] {
        if header(name) != wanted {
            complain(&format!("{name} is {:?}", header(name)));
        }
    }
    let token = headers.remove("authorization").unwrap_or_default();
    let token = token.strip_prefix("Bearer ").unwrap_or_default().to_owned();
    Request { verb, resource, namespace, name, query, headers, token, body }
}

/// Resource, namespace and name of a path.
fn route(path: &str) -> Option<(&'static str, String, String)> {
    let steps: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let (group, steps) = match steps.as_slice() {
        ["api", "v1", rest @ ..] => ("", rest),
        ["apis", group, "v1", rest @ ..] => (*group, rest),
        _ => return None,
    };
    let (namespace, plural, name) = match steps {
        ["namespaces", namespace, plural] => (*namespace, plural, ""),
        ["namespaces", namespace, plural, name] => (*namespace, plural, *name),
        [plural] => ("", plural, ""),
        [plural, name] => ("", plural, *name),
        _ => return None,
    };
    let is_it = |r: &&Resource| {
        r.group == group && r.plural == *plural && r.is_namespaced != namespace.is_empty()
    };
    let found = RESOURCES.iter().find(is_it)?;
    Some((found.plural, namespace.to_owned(), name.to_owned()))
}

/// A `Status` document.
pub(super) fn status(code: u16, reason: &str, message: &str, details: &Value) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code,
    })
}

fn refuse(code: u16, reason: &str, message: &str) -> Answer {
    Answer::Document(code, status(code, reason, message, &json!({})))
}

/// Of an object that breaks a rule of its kind; the causes are what tells it from a failed `test`.
fn refuse_object(key: &Key, field: &str, message: &str) -> Answer {
    let Resource { group, kind, .. } = Resource::named(key.0);
    let text = format!("{kind} \"{}\" is invalid: {field}: {message}", key.2);
    let causes = json!([{ "reason": "FieldValueInvalid", "message": message, "field": field }]);
    let details = json!({ "name": key.2, "group": group, "kind": kind, "causes": causes });
    Answer::Document(422, status(422, "Invalid", &text, &details))
}

pub(super) fn answer(inside: &mut Inside, request: &Request) -> Answer {
    let Request { verb, resource, namespace, name, .. } = request;
    if resource.is_empty() {
        return refuse(404, "NotFound", "the server could not find the requested resource");
    }
    if !inside.tokens.iter().any(|(token, is_good)| *is_good && *token == request.token) {
        return refuse(401, "Unauthorized", "Unauthorized");
    }
    let rule = |name: &str| ((*verb).to_owned(), (*resource).to_owned(), name.to_owned());
    let is_named = !name.is_empty() && inside.allowed.contains(&rule(name));
    if !is_named && !inside.allowed.contains(&rule("")) {
        return forbidden(request);
    }
    let body_name = request.body.pointer("/metadata/name").and_then(Value::as_str);
    let name = if *verb == "create" { body_name.unwrap_or_default() } else { name };
    let key: Key = (resource, namespace.clone(), name.to_owned());
    match (*verb, inside.objects.get(&key).cloned()) {
        ("create", None) => create(inside, key, &request.body),
        ("create", Some(_)) => {
            refuse(409, "AlreadyExists", &format!("{resource} \"{name}\" already exists"))
        }
        ("list", found) => list(inside, resource, found),
        ("watch", _) => watch(inside, request),
        (_, None) => refuse(404, "NotFound", &format!("{resource} \"{name}\" not found")),
        ("get", Some(object)) => Answer::Document(200, object),
        ("update", Some(object)) => update(inside, key, &object, &request.body),
        ("patch", Some(object)) => patch(inside, key, &object, &request.body),
        _ => refuse(405, "MethodNotAllowed", "the server does not allow this method"),
    }
}

fn forbidden(request: &Request) -> Answer {
    let Request { verb, resource, namespace, name, .. } = request;
    let group = Resource::named(resource).group;
    let dotted = if group.is_empty() { String::new() } else { format!(".{group}") };
    let quoted = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
    let place = match namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace \"{namespace}\""),
    };
    let message = format!(
        "{resource}{dotted}{quoted} is forbidden: User \
         \"system:serviceaccount:{NAMESPACE}:vault-agent-injector\" cannot {verb} resource \
         \"{resource}\" in API group \"{group}\" {place}"
    );
    refuse(403, "Forbidden", &message)
}

fn list(inside: &Inside, resource: &str, found: Option<Value>) -> Answer {
    let Resource { kind, .. } = Resource::named(resource);
    let items: Vec<Value> = found
        .into_iter()
        .map(|mut object| {
            if let Some(members) = object.as_object_mut() {
                members.remove("kind");
                members.remove("apiVersion");
            }
            object
        })
        .collect();
    let body = json!({
        "kind": format!("{kind}List"),
        "apiVersion": Resource::named(resource).api_version(),
        "metadata": { "resourceVersion": inside.version.to_string() },
        "items": items,
    });
    Answer::Document(200, body)
}

fn watch(inside: &mut Inside, request: &Request) -> Answer {
    let number = |key: &str| request.query.get(key).and_then(|text| text.parse::<u64>().ok());
    let flag = |key: &str, word: &str| request.query.get(key).is_some_and(|text| text == word);
    let (from, limit) = (number("resourceVersion"), number("timeoutSeconds"));
    let (Some(from), Some(limit)) = (from, limit) else {
        inside.complaints.push(format!("watch with {:?}", request.query));
        return refuse(400, "BadRequest", "resourceVersion and timeoutSeconds must be numbers");
    };
    if !flag("watch", "1") || !flag("allowWatchBookmarks", "true") {
        inside.complaints.push(format!("watch with {:?}", request.query));
    }
    Answer::Watch { from, limit: Duration::from_secs(limit) }
}

fn create(inside: &mut Inside, key: Key, body: &Value) -> Answer {
    if let Some(refusal) = check(inside, &key, body) {
        return refusal;
    }
    for member in ["/metadata/resourceVersion", "/metadata/uid"] {
        if body.pointer(member).is_some() {
            inside.complaints.push(format!("create {key:?} with {member}"));
            return refuse(
                400,
                "BadRequest",
                "resourceVersion should not be set on objects to be created",
            );
        }
    }
    Answer::Document(201, write(inside, key, body.clone()))
}

fn update(inside: &mut Inside, key: Key, stored: &Value, body: &Value) -> Answer {
    if let Some(refusal) = check(inside, &key, body) {
        return refusal;
    }
    if body.pointer("/metadata/resourceVersion").is_none() {
        inside.complaints.push(format!("update {key:?} without a version"));
        let field = "metadata.resourceVersion";
        return refuse_object(&key, field, "must be specified for an update");
    }
    replace(inside, key, stored, body.clone())
}

fn patch(inside: &mut Inside, key: Key, stored: &Value, patch: &Value) -> Answer {
    match json_patch::apply(stored, patch) {
        Ok(patched) => match check(inside, &key, &patched) {
            Some(refusal) => refusal,
            None => replace(inside, key, stored, patched),
        },
        Err(Refusal::Malformed(why)) => {
            inside.complaints.push(format!("patch {key:?}: {why}"));
            refuse(400, "BadRequest", &why)
        }
        Err(Refusal::Unfit(_)) => {
            refuse(422, "Invalid", "the server rejected our request due to an error in our request")
        }
    }
}

/// Puts a changed object in the place of the stored one; the version does not move when nothing changes.
fn replace(inside: &mut Inside, key: Key, stored: &Value, changed: Value) -> Answer {
    let of = |object: &Value, member: &str| object["metadata"][member].clone();
    if of(&changed, "uid") != of(stored, "uid") {
        let text = format!("Precondition failed: UID in object meta of {}", key.2);
        return refuse(409, "Conflict", &text);
    }
    if of(&changed, "resourceVersion") != of(stored, "resourceVersion") {
        let text = format!(
            "Operation cannot be fulfilled on {} \"{}\": the object has been modified; please apply \
             your changes to the latest version and try again",
            key.0, key.2
        );
        return refuse(409, "Conflict", &text);
    }
    let object = if changed == *stored { changed } else { write(inside, key, changed) };
    Answer::Document(200, object)
}

/// What is wrong with an object.
fn check(inside: &mut Inside, key: &Key, body: &Value) -> Option<Answer> {
    let resource = Resource::named(key.0);
    let text = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (kind, version) = (text("/kind"), text("/apiVersion"));
    if kind != resource.kind || version != resource.api_version() {
        inside.complaints.push(format!("{key:?}: {version} {kind}"));
        return Some(refuse(400, "BadRequest", "the object provided is unrecognized"));
    }
    if text("/metadata/name") != key.2 || text("/metadata/namespace") != key.1 || key.2.is_empty() {
        inside.complaints.push(format!("{key:?}: name or namespace are others in the body"));
        return Some(refuse(400, "BadRequest", "the name of the object does not match the URL"));
    }
    let owners = body.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    for owner in owners.into_iter().flatten() {
        let is_there = |m: &&str| owner[*m].as_str().is_some_and(|text| !text.is_empty());
        if !["apiVersion", "kind", "name", "uid"].iter().all(is_there) {
            return Some(refuse_object(key, "metadata.ownerReferences", "must not be empty"));
        }
    }
    let wrong = match resource.kind {
        "Secret" | "ConfigMap" => values(body, resource.kind == "Secret"),
        "Lease" => lease(&body["spec"]),
        "MutatingWebhookConfiguration" => webhooks(&body["webhooks"]),
        _ => None,
    };
    wrong.map(|(field, message)| refuse_object(key, field, message))
}

type Wrong = Option<(&'static str, &'static str)>;

fn values(body: &Value, is_secret: bool) -> Wrong {
    let data = body["data"].as_object().into_iter().flatten();
    let is_good = |value: &Value| match value.as_str() {
        Some(text) => !is_secret || BASE64_STANDARD.decode(text).is_ok(),
        None => false,
    };
    let all_good = data.into_iter().all(|(_, value)| is_good(value));
    (!all_good).then_some(("data", "illegal base64 data, or no text"))
}

fn lease(spec: &Value) -> Wrong {
    let is_time = |member: &str| match &spec[member] {
        Value::Null => true,
        // MicroTime: exactly six digits behind the point.
        Value::String(text) => text.len() == 27 && OffsetDateTime::parse(text, &Rfc3339).is_ok(),
        _ => false,
    };
    if !is_time("acquireTime") || !is_time("renewTime") {
        return Some(("spec", "cannot parse as 2006-01-02T15:04:05.000000Z07:00"));
    }
    let is_positive = |value: &Value| value.is_null() || value.as_i64().is_some_and(|n| n > 0);
    if !is_positive(&spec["leaseDurationSeconds"]) {
        return Some(("spec.leaseDurationSeconds", "must be greater than 0"));
    }
    None
}

fn webhooks(webhooks: &Value) -> Wrong {
    for webhook in webhooks.as_array().into_iter().flatten() {
        let bundle = &webhook["clientConfig"]["caBundle"];
        let is_base64 = bundle.as_str().is_some_and(|text| BASE64_STANDARD.decode(text).is_ok());
        if !bundle.is_null() && !is_base64 {
            return Some(("webhooks[0].clientConfig.caBundle", "illegal base64 data"));
        }
        if webhook["admissionReviewVersions"].as_array().is_none_or(Vec::is_empty) {
            return Some(("webhooks[0].admissionReviewVersions", "must specify one"));
        }
    }
    None
}

/// Stores an object with the next version and tells the watches.
fn write(inside: &mut Inside, key: Key, mut object: Value) -> Value {
    inside.version += 1;
    let version = inside.version;
    let is_new = !inside.objects.contains_key(&key);
    let metadata = &mut object["metadata"];
    metadata["resourceVersion"] = json!(version.to_string());
    if is_new {
        let stamp = OffsetDateTime::now_utc().replace_nanosecond(0).expect("zero is one");
        metadata["uid"] = json!(format!("uid-{version}"));
        metadata["creationTimestamp"] = json!(stamp.format(&Rfc3339).expect("a time"));
    }
    inside.objects.insert(key.clone(), object.clone());
    let kind = if is_new { "ADDED" } else { "MODIFIED" };
    let what = What::Change(kind, key, object.clone());
    inside.happenings.push(Happening { version, what });
    object
}

/// See `FakeKube::put`.
pub(super) fn put(inside: &mut Inside, mut object: Value) -> String {
    let kind = object["kind"].as_str().expect("a kind").to_owned();
    let resource = RESOURCES.iter().find(|r| r.kind == kind).expect("a kind served here");
    object["apiVersion"] = json!(resource.api_version());
    let text = |member: &str| object["metadata"][member].as_str().unwrap_or_default().to_owned();
    let key = (resource.plural, text("namespace"), text("name"));
    assert_eq!(resource.is_namespaced, !key.1.is_empty(), "{key:?}: namespace");
    let kept = inside.objects.get(&key).map(|stored| stored["metadata"]["uid"].clone());
    if let Some(uid) = kept {
        object["metadata"]["uid"] = uid;
    }
    let written = write(inside, key, object);
    written["metadata"]["resourceVersion"].as_str().expect("a version").to_owned()
}

/// See `FakeKube::remove`.
pub(super) fn remove(inside: &mut Inside, resource: &str, namespace: &str, name: &str) {
    let key = (Resource::named(resource).plural, namespace.to_owned(), name.to_owned());
    let mut object = inside.objects.remove(&key).expect("an object to remove");
    inside.version += 1;
    let version = inside.version;
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    inside.happenings.push(Happening { version, what: What::Change("DELETED", key, object) });
}

/// The event for a watch, if it is about what is watched.
pub(super) fn event(request: &Request, kind: &str, key: &Key, object: &Value) -> Option<String> {
    let is_watched =
        (key.0, &key.1, &key.2) == (request.resource, &request.namespace, &request.name);
    is_watched.then(|| format!("{}\n", json!({ "type": kind, "object": object })))
}

pub(super) fn bookmark(request: &Request, version: u64) -> String {
    let resource = Resource::named(request.resource);
    let object = json!({
        "kind": resource.kind,
        "apiVersion": resource.api_version(),
        "metadata": { "resourceVersion": version.to_string(), "creationTimestamp": null },
    });
    format!("{}\n", json!({ "type": "BOOKMARK", "object": object }))
}
