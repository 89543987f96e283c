//! From a review to an answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::annotations::{Key, Notes};
use super::container::container;
use super::doubts::{of_label, of_skipped};
use super::json_text::JsonText;
use super::lists::too_many;
use super::names;
use super::plan::{INIT_NAME, Plan, SIDECAR_NAME, Side};
use super::problems::{LISTED_MAX, Problems, Shown, bounded, warning};
use super::review::{Container, Metadata, Pod, Review, Spec, Text, check_depth};
use super::shape::POD;
use super::value::parse_bool;
use super::{Answer, Decision, InjectConfig, ReviewError, Verdict, patch};
use crate::base::json::Json;

/// What was decided about one object.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// `init_and_sidecar`, `init_only` or `sidecar_only` of an injection, else empty.
    pub injection_type: &'static str,
    /// One sentence for people; of a denial, what the API server shows.
    pub message: String,
    /// The pod's name, or its `generateName`.
    pub name: String,
    /// RFC 6902 operations as JSON; empty unless injected.
    pub patch: String,
    /// A fixed word for metrics.
    pub reason: &'static str,
    /// What was decided.
    pub verdict: Verdict,
    /// What `kubectl` shows as warnings.
    pub warnings: Vec<String>,
}

impl Outcome {
    fn new(verdict: Verdict, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            injection_type: "",
            message: message.into(),
            name: String::new(),
            patch: String::new(),
            reason,
            verdict,
            warnings: Vec::new(),
        }
    }
}

/// Bytes of an object whose mistakes are looked for: doing so makes a tree of it. Most pods have a tenth of that.
const EXPLAINED_BYTES_MAX: usize = 128 * 1024;
/// Bytes of all keys and values, which the API server checks after us (`TotalAnnotationSizeLimitB`).
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
/// Bytes that may be added to a pod: etcd keeps no larger object.
pub(super) const ADDED_BYTES_MAX: usize = 1536 * 1024;
/// Where nothing is injected: the cluster itself would depend on Vault.
const SYSTEM_NAMESPACES: [&str; 2] = ["kube-public", "kube-system"];

/// Decides about one AdmissionReview. Total: nonsense gets an answer or a [`ReviewError`], never a panic.
pub fn answer(body: &[u8], config: &InjectConfig) -> Result<Answer, ReviewError> {
    check_depth(body)?;
    // Nearly always the object is a pod: one pass over the body. Else a second look tells what it is.
    if let Ok(review) = Review::<'_, Pod<'_>>::parse(body) {
        let metadata = review.request.object.as_ref().and_then(|pod| pod.metadata.as_ref());
        if let Some(metadata) = metadata {
            names::object(&metadata.name, false)?;
            names::object(&metadata.generate_name, true)?;
        }
        let object = || Some(Review::<'_, &RawValue>::parse(body).ok()?.request.object?.get());
        let namespace = &review.request.namespace;
        let outcome = about_request(&review, |pod| about_object(pod, &object, namespace, config));
        return Ok(respond(&review, outcome));
    }
    let review: Review<'_, &RawValue> = Review::parse(body)?;
    let namespace = &review.request.namespace;
    let outcome = about_request(&review, |object| decide(object.get(), namespace, config));
    Ok(respond(&review, outcome))
}

fn about_request<O>(review: &Review<'_, O>, decide: impl FnOnce(&O) -> Outcome) -> Outcome {
    match &review.request.object {
        _ if !review.request.creates_a_pod() => {
            Outcome::new(Verdict::Skip, "not-a-new-pod", "not the creation of a pod")
        }
        None => Outcome::new(Verdict::Skip, "not-a-new-pod", "the request has no object"),
        Some(object) => decide(object),
    }
}

/// Decides about the text of one object, which is about to be created in `namespace`.
pub fn decide(object: &str, namespace: &str, config: &InjectConfig) -> Outcome {
    match serde_json::from_str(object) {
        Ok(pod) => about_object(&pod, &|| Some(object), namespace, config),
        Err(error) => undecodable(object, &error),
    }
}

/// The text of the object, for the rare annotations that copy out of it.
type ObjectText<'f, 'a> = &'f dyn Fn() -> Option<&'a str>;

fn about_object(
    pod: &Pod<'_>,
    object: ObjectText<'_, '_>,
    namespace: &str,
    config: &InjectConfig,
) -> Outcome {
    if !pod.kind.is_empty() && &*pod.kind != "Pod" {
        return Outcome::new(Verdict::Skip, "not-a-new-pod", "not a pod");
    }
    let nothing = Metadata::default();
    let metadata = pod.metadata.as_ref().unwrap_or(&nothing);
    let name = if metadata.name.is_empty() { &metadata.generate_name } else { &metadata.name };
    let mut outcome = about_pod(pod, metadata, object, namespace, config);
    outcome.name = name.to_string();
    outcome
}

fn about_pod(
    pod: &Pod<'_>,
    metadata: &Metadata<'_>,
    object: ObjectText<'_, '_>,
    namespace: &str,
    config: &InjectConfig,
) -> Outcome {
    let notes = Notes::read(&metadata.annotations, config);
    let mut warnings = Vec::new();
    match notes.given(Key::Inject).map(parse_bool) {
        None => {
            let message = format!("no annotation {}", Key::Inject);
            let outcome = Outcome::new(Verdict::Skip, "not-annotated", message);
            return Outcome { warnings: of_skipped(&notes), ..outcome };
        }
        Some(Some(false)) => {
            let message = format!("{} is false", Key::Inject);
            return Outcome::new(Verdict::Skip, "not-wanted", message);
        }
        // A value that is no boolean is a problem among the others.
        Some(None | Some(true)) => {}
    }
    warnings.extend(of_label(&metadata.labels));
    let certain = notes.given(Key::Inject).and_then(parse_bool).is_some();
    if certain && let Some(outcome) = settled(pod, &notes, &mut warnings) {
        return outcome;
    }
    if SYSTEM_NAMESPACES.contains(&namespace) {
        let message = format!(
            "nothing is injected in the namespace {namespace}: take the annotation {} off, or run the pod elsewhere",
            Key::Inject
        );
        return Outcome::new(Verdict::Deny, "system-namespace", message);
    }
    // Each value may come back many times, so this is looked at before anything is made of them.
    let bytes: usize = metadata.annotations.0.iter().map(|(k, v)| k.len() + v.len()).sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        let message = format!(
            "cannot inject: metadata.annotations: {bytes} bytes, and Kubernetes allows {ANNOTATIONS_BYTES_MAX}"
        );
        return Outcome::new(Verdict::Deny, "invalid-annotations", message);
    }
    let mut problems = Problems::default();
    if namespace.is_empty() && notes.given(Key::RequestNamespace).is_none() {
        problems.note(Key::RequestNamespace, "is missing and the request has no namespace");
    }
    let no_spec = Spec::default();
    let spec = pod.spec.as_ref().unwrap_or(&no_spec);
    if spec.containers.0.is_empty() {
        problems.note("spec.containers", "the pod has no container");
    }
    inject(pod, spec, object, notes, config, problems, warnings)
}

/// Pods that need nothing more.
fn settled(pod: &Pod<'_>, notes: &Notes<'_>, warnings: &mut Vec<String>) -> Option<Outcome> {
    let phase = pod.status.as_ref().map_or("", |status| &status.phase);
    if !matches!(phase, "" | "Pending") {
        let message = format!("the pod is {} already", Shown(phase));
        warnings.push(format!("status.phase: {message}, so nothing is injected: leave it out"));
        let outcome = Outcome::new(Verdict::Skip, "already-running", message);
        return Some(Outcome { warnings: std::mem::take(warnings), ..outcome });
    }
    if notes.given(Key::Status) != Some("injected") {
        return None;
    }
    let spec = pod.spec.as_ref()?;
    let mut containers = spec.containers.0.iter().chain(&spec.init_containers.0);
    let is_home = |name: &str| name == "home-init" || name == "home-sidecar";
    // A JSON patch may have renamed the containers, but not their homes.
    let has_home = |container: &Container<'_>| {
        container.volume_mounts.0.iter().any(|mount| is_home(&mount.name))
    };
    let named = [INIT_NAME, SIDECAR_NAME];
    let present = containers.clone().find(|c| named.contains(&&*c.name) || has_home(c));
    if let Some(container) = present {
        let message = format!("{} is injected", Key::Status);
        // What the webhook made has its volumes; else it is the author's words alone that keep the agent away.
        let is_whole =
            containers.any(has_home) && spec.volumes.0.iter().any(|volume| is_home(&volume.name));
        if !is_whole {
            warnings.push(format!(
                "{message} and there is a container {}, but without the agent's volumes: nothing is injected, take the \
                 annotation off to have it",
                Shown(&container.name)
            ));
        }
        let outcome = Outcome::new(Verdict::Skip, "already-injected", message);
        return Some(Outcome { warnings: std::mem::take(warnings), ..outcome });
    }
    warnings.push(format!("{} says injected, but the pod has no agent: injecting", Key::Status));
    None
}

fn inject(
    pod: &Pod<'_>,
    spec: &Spec<'_>,
    object: ObjectText<'_, '_>,
    notes: Notes<'_>,
    config: &InjectConfig,
    mut problems: Problems,
    mut warnings: Vec<String>,
) -> Outcome {
    let verbatim = || {
        let parsed = object().and_then(|text| serde_json::from_str(text).ok());
        parsed.unwrap_or_default()
    };
    let plan = Plan::make(pod, spec, &verbatim, notes, config, &mut problems, &mut warnings);
    let init = container(&plan, Side::Init, &mut problems, &mut warnings);
    let sidecar = container(&plan, Side::Sidecar, &mut problems, &mut warnings);
    let bytes = [&init, &sidecar].into_iter().flatten().map(String::len).sum::<usize>();
    if bytes > ADDED_BYTES_MAX {
        problems.note(
            "the agents' containers",
            format_args!(
                "{bytes} bytes, and no pod may have more than {ADDED_BYTES_MAX}: copy fewer mounts"
            ),
        );
    }
    if let Some(message) = problems.message() {
        let outcome = Outcome::new(Verdict::Deny, "invalid-annotations", message);
        return Outcome { warnings, ..outcome };
    }
    let patch = patch::operations(&plan, init.as_deref(), sidecar.as_deref(), &mut warnings);
    let message = match (plan.init, plan.sidecar) {
        (true, true) => "injected init container and sidecar",
        (true, false) => "injected init container",
        (false, _) => "injected sidecar",
    };
    let injection_type = plan.injection_type();
    let outcome = Outcome::new(Verdict::Inject, "injected", message);
    Outcome { injection_type, patch, warnings, ..outcome }
}

/// Says where an object is not what the API defines, without quoting it.
fn undecodable(object: &str, error: &serde_json::Error) -> Outcome {
    let clause = too_many(error).unwrap_or_else(|| wrong_place(object, error));
    let message = format!("the object is not a valid Pod: {clause}");
    Outcome::new(Verdict::Deny, "not-decodable", message)
}

fn wrong_place(object: &str, error: &serde_json::Error) -> String {
    let vague = "something in it has the wrong type, stands twice or is null";
    if object.len() > EXPLAINED_BYTES_MAX {
        return format!("{vague}, at line {} column {} of it", error.line(), error.column());
    }
    let place = Json::parse(object.as_bytes()).map_err(|e| e.to_string());
    let place = place.and_then(|json| POD.conform(&json, "", &mut Vec::new()));
    // Of the object itself the place is empty.
    let named = |clause: String| match clause.strip_prefix(": ") {
        Some(rest) => rest.to_owned(),
        None => clause,
    };
    place.err().map_or_else(|| vague.into(), |clause| bounded(named(clause)))
}

fn respond<O>(review: &Review<'_, O>, mut outcome: Outcome) -> Answer {
    if outcome.warnings.len() > LISTED_MAX {
        outcome.warnings.truncate(LISTED_MAX);
        outcome.warnings.push("and more".into());
    }
    outcome.warnings = outcome.warnings.into_iter().map(warning).collect();
    let mut out = JsonText::with_capacity(512 + outcome.patch.len() * 4 / 3);
    out.object(|out| {
        out.member("kind", "AdmissionReview");
        out.member("apiVersion", &review.api_version);
        out.key("response").object(|out| response(&review.request.uid, &outcome, out));
    });
    let decision = Decision {
        injection_type: outcome.injection_type,
        message: outcome.message,
        name: outcome.name,
        namespace: review.request.namespace.to_string(),
        reason: outcome.reason,
        uid: review.request.uid.to_string(),
        verdict: outcome.verdict,
        warnings: outcome.warnings,
    };
    Answer { body: out.into_text().into_bytes(), decision }
}

fn response(uid: &Text<'_>, outcome: &Outcome, out: &mut JsonText) {
    let allowed = outcome.verdict != Verdict::Deny;
    out.member("uid", uid);
    out.key("allowed").raw(if allowed { "true" } else { "false" });
    if !allowed {
        out.key("status").object(|out| {
            out.key("metadata").object(|_| {});
            out.member("message", &outcome.message);
        });
    }
    if !outcome.patch.is_empty() {
        out.plain_member("patch", &STANDARD.encode(&outcome.patch));
        out.member("patchType", "JSONPatch");
    }
    let decision = match outcome.verdict {
        Verdict::Deny => "deny",
        Verdict::Inject => "inject",
        Verdict::Skip => "skip",
    };
    out.key("auditAnnotations").object(|out| {
        out.member("decision", decision);
        out.member("reason", outcome.reason);
    });
    if !outcome.warnings.is_empty() {
        out.strings("warnings", outcome.warnings.iter().map(String::as_str));
    }
}
