//! The part of a kubelet that matters here: containers as processes, volumes as folders.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use vault_injector::base::yaml;

use super::program::{Program, Running};
use super::temp_dir::TempDir;
use super::{Outcome, text_at};

const TOKEN_VOLUME: &str = "kube-api-access-x7k2p";
const NO_ITEMS: &[Value] = &[];

/// The pod that a deployment makes, with the token volume that every API server adds first.
pub(crate) fn of_deployment(text: &str) -> Outcome<Value> {
    let documents = yaml::parse(text).map_err(|e| format!("examples/deployment.yaml: {e}"))?;
    let deployment = documents.first().ok_or("examples/deployment.yaml is empty")?.to_text();
    let deployment: Value = serde_json::from_str(&deployment).map_err(|e| e.to_string())?;
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["generateName"] = "web-6d4cf56db6-".into();
    let token = json!({ "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } });
    pod["spec"]["volumes"] =
        json!([{ "name": TOKEN_VOLUME, "projected": { "sources": [token], "defaultMode": 420 } }]);
    let folder = "/var/run/secrets/kubernetes.io/serviceaccount";
    let mount = json!({ "name": TOKEN_VOLUME, "readOnly": true, "mountPath": folder });
    pod["spec"]["containers"][0]["volumeMounts"] = json!([mount]);
    Ok(pod)
}

/// Key and value of every annotation.
pub(crate) fn annotations(pod: &Value) -> impl Iterator<Item = (&str, &str)> {
    let all = pod["metadata"]["annotations"].as_object().into_iter().flatten();
    all.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or("")))
}

fn items<'v>(pod: &'v Value, list: &str) -> &'v [Value] {
    pod["spec"][list].as_array().map_or(NO_ITEMS, Vec::as_slice)
}

/// The pod after an RFC 6902 patch of `add` operations, which is all the webhook needs.
pub(crate) fn patched(pod: &Value, patch: &Value) -> Outcome<Value> {
    let mut pod = pod.clone();
    for operation in patch.as_array().ok_or("the patch is not a list")? {
        let path = text_at(operation, "/path");
        let refused = || format!("cannot apply {} {path}", operation["op"]);
        let (parent, last) = path.rsplit_once('/').ok_or_else(refused)?;
        let last = last.replace("~1", "/").replace("~0", "~");
        let value = operation["value"].clone();
        match (text_at(operation, "/op"), pod.pointer_mut(parent)) {
            ("add", Some(Value::Object(members))) => drop(members.insert(last, value)),
            ("add", Some(Value::Array(list))) if last == "-" => list.push(value),
            ("add", Some(Value::Array(list))) => {
                let place = last.parse().ok().filter(|place| *place <= list.len());
                list.insert(place.ok_or_else(refused)?, value);
            }
            _ => return Err(refused()),
        }
    }
    Ok(pod)
}

/// What a patched pod has more than before, a line each, names only.
pub(crate) fn differences(before: &Value, after: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for (list, word) in [("initContainers", "init container"), ("containers", "container")] {
        for container in items(after, list) {
            let name = text_at(container, "/name");
            let known = items(before, list).iter().find(|c| c["name"] == container["name"]);
            let mounts = |c: &Value| named(c, "volumeMounts", "mountPath");
            if let Some(known) = known {
                let had = mounts(known);
                let new: Vec<String> =
                    mounts(container).into_iter().filter(|mount| !had.contains(mount)).collect();
                lines.push(format!("{word} {name}: mounts {}", new.join(", ")));
                continue;
            }
            lines.push(format!("new {word} {name}: image {}", text_at(container, "/image")));
            lines.push(format!("    args    {}", strings(&container["args"]).join(" ")));
            lines.push(format!("    env     {}", named(container, "env", "name").join(", ")));
            lines.push(format!("    mounts  {}", mounts(container).join(", ")));
        }
    }
    for volume in items(after, "volumes") {
        if !items(before, "volumes").contains(volume) {
            let memory = volume.pointer("/emptyDir/medium") == Some(&json!("Memory"));
            let kind = if memory { " (in memory)" } else { "" };
            lines.push(format!("new volume {}{kind}", text_at(volume, "/name")));
        }
    }
    for (key, value) in annotations(after) {
        if before["metadata"]["annotations"].get(key).is_none() {
            lines.push(format!("new annotation {key}: {value}"));
        }
    }
    lines
}

fn named(container: &Value, list: &str, key: &str) -> Vec<String> {
    let entries = container[list].as_array().map_or(NO_ITEMS, Vec::as_slice);
    entries.iter().map(|entry| entry[key].as_str().unwrap_or("").to_owned()).collect()
}

fn strings(list: &Value) -> Vec<String> {
    let words = list.as_array().map_or(NO_ITEMS, Vec::as_slice);
    words.iter().map(|word| word.as_str().unwrap_or("").to_owned()).collect()
}

/// A pod whose containers can be started.
pub(crate) struct Pod<'a> {
    manifest: &'a Value,
    binary: &'a Path,
    folder: &'a TempDir,
}

impl<'a> Pod<'a> {
    /// Makes the folders of its volumes; `token` is what Kubernetes projects into them.
    pub(crate) fn new(
        manifest: &'a Value,
        binary: &'a Path,
        folder: &'a TempDir,
        token: &str,
    ) -> Self {
        for volume in items(manifest, "volumes") {
            let name = text_at(volume, "/name");
            // A projected token may stand below any name; ours are the only ones in this pod.
            for source in
                volume.pointer("/projected/sources").and_then(Value::as_array).into_iter().flatten()
            {
                let file = text_at(source, "/serviceAccountToken/path");
                folder.write(&format!("volumes/{name}/{file}"), token);
            }
            let path = folder.join("volumes").join(name);
            fs::create_dir_all(path).expect("a folder in our own folder");
        }
        Self { manifest, binary, folder }
    }

    /// Starts an injected container: its arguments for the image's entrypoint, its environment.
    pub(crate) fn start(&self, list: &str, name: &str) -> Outcome<Running> {
        let container = items(self.manifest, list).iter().find(|c| c["name"] == name);
        let container = container.ok_or_else(|| format!("no {name} among the {list}"))?;
        if !container["command"].is_null() {
            return Err(format!("{name} has a command of its own, so it is not our image"));
        }
        let mounts = self.mounts(container);
        let words = strings(&container["args"]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut program = Program::new(self.binary, &words);
        for entry in container["env"].as_array().map_or(NO_ITEMS, Vec::as_slice) {
            let value = match entry.pointer("/valueFrom/fieldRef/fieldPath").and_then(Value::as_str)
            {
                Some("metadata.namespace") => "demo".to_owned(),
                Some("metadata.name") => "web-6d4cf56db6-9xk2p".to_owned(),
                Some(_) => "127.0.0.1".to_owned(),
                None => text_at(entry, "/value").to_owned(),
            };
            let value = match text_at(entry, "/name") {
                "VAULT_CONFIG" => rebased_config(&value, &mounts)?,
                _ => rebased(&value, &mounts),
            };
            program = program.env(text_at(entry, "/name"), value);
        }
        Ok(program.start())
    }

    /// Mount paths with the folders that stand for them, longest first.
    fn mounts(&self, container: &Value) -> Vec<(String, String)> {
        let list = container["volumeMounts"].as_array().map_or(NO_ITEMS, Vec::as_slice);
        let mut mounts: Vec<(String, String)> = list
            .iter()
            .map(|mount| {
                let volume = self.folder.join("volumes").join(text_at(mount, "/name"));
                (text_at(mount, "/mountPath").to_owned(), volume.display().to_string())
            })
            .collect();
        mounts.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        mounts
    }

    /// A file of the secrets volume, empty when it is not there.
    pub(crate) fn secret(&self, name: &str) -> String {
        self.folder.read(&format!("volumes/vault-secrets/{name}"))
    }

    /// The files of the secrets volume.
    pub(crate) fn secret_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join("volumes/vault-secrets"));
        let entries = entries.into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}

/// A path with its mount replaced by the mount's folder; any other text as it is.
fn rebased(text: &str, mounts: &[(String, String)]) -> String {
    let below = mounts.iter().find_map(|(path, folder)| {
        let rest = text.strip_prefix(path.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{folder}{rest}"))
    });
    below.unwrap_or_else(|| text.to_owned())
}

/// The agent's configuration with every path in it replaced so.
fn rebased_config(config: &str, mounts: &[(String, String)]) -> Outcome<String> {
    fn walk(value: &mut Value, mounts: &[(String, String)]) {
        match value {
            Value::String(text) => *text = rebased(text, mounts),
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, mounts)),
            Value::Object(members) => members.values_mut().for_each(|member| walk(member, mounts)),
            Value::Bool(_) | Value::Null | Value::Number(_) => {}
        }
    }
    let text = STANDARD.decode(config).map_err(|e| format!("VAULT_CONFIG: {e}"))?;
    let mut config = serde_json::from_slice(&text).map_err(|e| format!("VAULT_CONFIG: {e}"))?;
    walk(&mut config, mounts);
    Ok(STANDARD.encode(config.to_string()))
}
