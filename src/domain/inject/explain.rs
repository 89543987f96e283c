//! What a decision rests on and what it comes to, for people and for their programs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::annotations::{KEYS, Key, Notes, PREFIX, Source};
use super::plan::{INIT_NAME, SIDECAR_NAME};
use super::problems::Shown;
use super::review::{Metadata, Pod};
use super::{Flavor, InjectConfig, Outcome, Verdict};
use crate::base::json::Json;

/// Why a pod becomes what it becomes. Empty for pods that are left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// What the patch adds.
    pub added: Vec<Added>,
    /// The agents' configuration, the sidecar's when there is one; `None` when a ConfigMap has it.
    pub configuration: Option<Json>,
    /// Files that the agents will write, as their configuration has them; none when it is in a ConfigMap.
    pub files: Vec<File>,
    /// `native` or `vault`.
    pub flavor: &'static str,
    /// Full keys of annotations below our prefix that mean nothing.
    pub ignored: Vec<String>,
    /// `kubernetes at auth/kubernetes as app`; empty when a ConfigMap says it.
    pub login: String,
    /// Every setting with its source, sorted by key.
    pub settings: Vec<Setting>,
    /// The token that the login sends; empty for methods that send none.
    pub token: String,
}

/// One setting of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Whether it is what counts where nobody says anything.
    pub is_default: bool,
    /// The annotation's key without our prefix.
    pub name: String,
    /// `annotation`, `default`, or the variable of the webhook: `AGENT_INJECT_VAULT_ADDR`.
    pub source: String,
    /// Its whole value.
    pub value: String,
}

/// A file that the agents write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What is in it: `env of secret/db`.
    pub content: String,
    /// In octal digits: `0644`.
    pub mode: String,
    /// In the containers.
    pub path: String,
}

/// One operation of the patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// A JSON pointer.
    pub path: String,
    /// The names in it, or the value itself when it is short by nature.
    pub what: String,
}

/// What agents give a file when nothing is said of it.
const USUAL_MODE: &str = "0644";

/// `object` is the pod's text before and `pod` the pod after the injection.
pub(crate) fn explain(
    object: &str,
    pod: &Json,
    outcome: &Outcome,
    config: &InjectConfig,
) -> Explanation {
    let mut explanation = Explanation::default();
    let Ok(before) = serde_json::from_str::<Pod<'_>>(object) else { return explanation };
    if outcome.verdict == Verdict::Skip {
        return explanation;
    }
    let nothing = Metadata::default();
    let metadata = before.metadata.as_ref().unwrap_or(&nothing);
    let notes = Notes::read(&metadata.annotations, config);
    explanation.flavor = if notes.flavor() == Flavor::Native { "native" } else { "vault" };
    explanation.settings = settings(&notes, config);
    explanation.ignored = notes.unknown().map(|name| format!("{PREFIX}{name}")).collect();
    let patch = Json::parse(outcome.patch.as_bytes()).ok();
    for operation in patch.as_ref().and_then(Json::as_array).unwrap_or_default() {
        let path = operation.get("path").and_then(Json::as_str).unwrap_or_default().to_owned();
        let what = operation.get("value").map(summary).unwrap_or_default();
        explanation.added.push(Added { path, what });
    }
    if outcome.verdict == Verdict::Inject
        && let Some((agent, document)) = agent(pod)
    {
        explanation.files = files(&document);
        (explanation.login, explanation.token) = login(&document, agent, pod);
        explanation.configuration = Some(document);
    }
    explanation
}

impl Explanation {
    /// One line each: what differs from the defaults, or everything.
    pub fn lines(&self, all: bool) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.flavor.is_empty() {
            lines.push(format!("agent flavour {}", self.flavor));
        }
        for File { content, mode, path } in &self.files {
            lines.push(format!("writes {path} (mode {mode}): {content}"));
        }
        if !self.login.is_empty() {
            let with = if self.token.is_empty() { "" } else { " with " };
            lines.push(format!("logs in by {}{with}{}", self.login, self.token));
        }
        for setting in &self.settings {
            if all || !(setting.is_default || self.tells(&setting.name)) {
                let Setting { name, source, value, .. } = setting;
                let default = if source.starts_with("AGENT_INJECT_") { "default, " } else { "" };
                lines.push(format!("reads {name}: {} ({default}{source})", Shown(value)));
            }
        }
        for key in &self.ignored {
            lines.push(format!("ignores {key}"));
        }
        if all {
            for Added { path, what } in &self.added {
                lines.push(format!("adds {path}: {what}"));
            }
            let configuration = self.configuration.as_ref().map(Json::to_text);
            lines.extend(configuration.map(|text| format!("configures the agent with {text}")));
        }
        lines
    }
}

impl Explanation {
    /// Whether the lines about files and the login tell the same as a setting.
    fn tells(&self, name: &str) -> bool {
        let families = [Key::Format, Key::Perms, Key::SecretPath, Key::Template, Key::File];
        let exact = [Key::Inject, Key::Role, Key::AuthPath, Key::AuthType];
        let is_of = |key: &Key| {
            name.starts_with(key.row().name) && !name.starts_with(Key::TemplateFile.row().name)
        };
        (!self.login.is_empty() && exact.iter().any(|key| key.row().name == name))
            || (!self.files.is_empty() && families.iter().any(is_of))
    }
}

fn settings(notes: &Notes<'_>, config: &InjectConfig) -> Vec<Setting> {
    let built_in = InjectConfig::default();
    let mut settings = Vec::new();
    for row in KEYS {
        let value = notes.text(row.key);
        let given = notes.given(row.key);
        let (source, is_default) = match (given, row.source) {
            (Some(_), _) => ("annotation".to_owned(), false),
            (None, Source::Process(name, read)) => {
                let usual = read(&built_in, notes.flavor()) == read(config, notes.flavor());
                (format!("AGENT_INJECT_{name}"), usual)
            }
            (None, Source::Fixed(_) | Source::Nothing) => ("default".to_owned(), true),
        };
        if !row.name.ends_with('-') && (given.is_some() || !value.is_empty()) {
            let (name, value) = (row.name.to_owned(), value.into_owned());
            settings.push(Setting { is_default, name, source, value });
        }
    }
    for (key, raw, value) in notes.families() {
        settings.push(Setting {
            is_default: false,
            name: format!("{}{raw}", key.row().name),
            source: "annotation".to_owned(),
            value: value.to_owned(),
        });
    }
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    settings
}

/// The container of an agent and its configuration; the sidecar's when there is one.
fn agent(pod: &Json) -> Option<(&Json, Json)> {
    let spec = pod.get("spec")?;
    let groups = ["containers", "initContainers"];
    let containers = groups.iter().filter_map(|group| spec.get(group)?.as_array()).flatten();
    let named = |name: &str| {
        containers.clone().find(|item| item.get("name").and_then(Json::as_str) == Some(name))
    };
    let agent = named(SIDECAR_NAME).or_else(|| named(INIT_NAME))?;
    let variables = agent.get("env")?.as_array()?;
    let config = variables.iter().find_map(|variable| {
        let is_config = variable.get("name")?.as_str()? == "VAULT_CONFIG";
        is_config.then(|| variable.get("value")?.as_str()).flatten()
    })?;
    let document = Json::parse(&STANDARD.decode(config).ok()?).ok()?;
    Some((agent, document))
}

fn files(document: &Json) -> Vec<File> {
    let ours = document.get("injector").and_then(|own| own.get("template"));
    let lists = [document.get("template"), ours];
    let templates = lists.into_iter().flatten().filter_map(Json::as_array).flatten();
    let mut files: Vec<File> = templates
        .map(|template| {
            let text = |name: &str| template.get(name).and_then(Json::as_str);
            let content = match (text("secret"), text("contents"), text("source")) {
                (Some(secret), Some(_), _) => format!("tinytemplate of {secret}"),
                (Some(secret), None, _) => {
                    format!("{} of {secret}", text("format").unwrap_or_default())
                }
                (None, Some(contents), _) => format!("template of {} bytes", contents.len()),
                (None, None, source) => format!("template {}", source.unwrap_or_default()),
            };
            File {
                content,
                mode: text("perms").unwrap_or(USUAL_MODE).to_owned(),
                path: text("destination").unwrap_or_default().to_owned(),
            }
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The method, and the token that it sends.
fn login(document: &Json, agent: &Json, pod: &Json) -> (String, String) {
    let method = document.get("auto_auth").and_then(|auth| auth.get("method"));
    let text = |name: &str| method.and_then(|m| m.get(name)).and_then(Json::as_str);
    let config = method.and_then(|method| method.get("config"));
    let setting = |name: &str| config.and_then(|config| config.get(name)).and_then(Json::as_str);
    let kind = text("type").unwrap_or_default();
    let mount = text("mount_path").map(|at| format!(" at {at}")).unwrap_or_default();
    let role = setting("role").map(|role| format!(" as {role}")).unwrap_or_default();
    let path = match kind {
        "kubernetes" => setting("token_path"),
        "jwt" => setting("path").or_else(|| setting("token_path")),
        _ => None,
    };
    let token = path.map(|path| token(path, agent, pod)).unwrap_or_default();
    (format!("{kind}{mount}{role}"), token)
}

/// What the file of a token is: where it is mounted from, for whom it is, for how long.
fn token(path: &str, agent: &Json, pod: &Json) -> String {
    let text = |value: &Json, name: &str| value.get(name).and_then(Json::as_str).map(str::to_owned);
    let mounts = agent.get("volumeMounts").and_then(Json::as_array).unwrap_or_default();
    let holds = |mount: &&Json| {
        let at = text(mount, "mountPath").unwrap_or_default();
        path.strip_prefix(at.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
    };
    let length = |mount: &&Json| text(mount, "mountPath").map_or(0, |at| at.len());
    let name = mounts.iter().filter(holds).max_by_key(length).and_then(|m| text(m, "name"));
    let Some(name) = name else { return format!("the token in {path}") };
    if name == super::manifest::STAND_IN {
        return format!("the pod's own service account token, which the API server mounts: {path}");
    }
    let volumes = pod.get("spec").and_then(|spec| spec.get("volumes")).and_then(Json::as_array);
    let volume = volumes
        .unwrap_or_default()
        .iter()
        .find(|volume| text(volume, "name").as_deref() == Some(&*name));
    let sources = volume.and_then(|v| v.get("projected")?.get("sources")?.as_array());
    let projection = sources.unwrap_or_default().iter().find_map(|s| s.get("serviceAccountToken"));
    let Some(projection) = projection else {
        return format!("the token of the volume {name}: {path}");
    };
    let audience = text(projection, "audience")
        .map_or_else(|| "for the API server".to_owned(), |audience| format!("for {audience}"));
    let seconds = projection.get("expirationSeconds").map_or("3600".to_owned(), Json::to_text);
    format!("the token of the volume {name}, {audience}, for {seconds} s: {path}")
}

/// The names in a value, or the value itself when it is short by nature.
fn summary(value: &Json) -> String {
    match value {
        Json::Array(items) => items.iter().map(summary).collect::<Vec<_>>().join(", "),
        Json::Object(_) => {
            let part = |name: &str| value.get(name).and_then(Json::as_str);
            let name = part("name").unwrap_or_default();
            let more = part("mountPath").or_else(|| part("image"));
            more.map_or_else(|| name.to_owned(), |more| format!("{name} ({more})"))
        }
        other => other.to_text(),
    }
}
