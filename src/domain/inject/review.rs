//! The parts of an AdmissionReview and of a Pod that a decision reads, borrowed from the body.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::lists::Item;
pub(crate) use super::lists::{List, Text, Texts};
use super::{ReviewError, names};

/// What the API server sends.
struct Envelope<'a, O> {
    api_version: Text<'a>,
    kind: Text<'a>,
    request: Option<Request<'a, O>>,
}

/// What `apiVersion` may be.
const VERSIONS: [&str; 2] = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];

/// What `kind` must be.
const KIND: &str = "AdmissionReview";

/// How deep a body may nest, also where nobody looks: what Go's decoder reads.
const DEPTH_MAX: usize = 10_000;

/// A review that has a request.
pub(crate) struct Review<'a, O> {
    pub(crate) api_version: Text<'a>,
    pub(crate) request: Request<'a, O>,
}

/// `request`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request<'a, O> {
    #[serde(borrow, default)]
    pub(crate) uid: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) namespace: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) operation: Text<'a>,
    #[serde(borrow)]
    kind: Option<GroupKind<'a>>,
    #[serde(borrow)]
    resource: Option<Resource<'a>>,
    #[serde(borrow, default)]
    sub_resource: Text<'a>,
    pub(crate) object: Option<O>,
}

#[derive(Deserialize)]
struct GroupKind<'a> {
    #[serde(borrow, default)]
    group: Text<'a>,
    #[serde(borrow, default)]
    kind: Text<'a>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow, default)]
    resource: Text<'a>,
}

/// A pod, as far as a decision looks at it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub(crate) struct Pod<'a> {
    #[serde(borrow)]
    pub(crate) kind: Text<'a>,
    #[serde(borrow)]
    pub(crate) metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    pub(crate) spec: Option<Spec<'a>>,
    #[serde(borrow)]
    pub(crate) status: Option<Status<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub(crate) struct Metadata<'a> {
    #[serde(borrow)]
    pub(crate) annotations: Texts<'a>,
    #[serde(borrow)]
    pub(crate) generate_name: Text<'a>,
    #[serde(borrow)]
    pub(crate) labels: Texts<'a>,
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub(crate) struct Spec<'a> {
    #[serde(borrow)]
    pub(crate) containers: List<Container<'a>>,
    #[serde(borrow)]
    pub(crate) init_containers: List<Container<'a>>,
    #[serde(borrow)]
    pub(crate) node_selector: Texts<'a>,
    #[serde(borrow)]
    pub(crate) os: Option<Named<'a>>,
    #[serde(borrow)]
    pub(crate) restart_policy: Text<'a>,
    #[serde(borrow)]
    pub(crate) volumes: List<Volume<'a>>,
    pub(crate) security_context: Option<SecurityContext>,
    pub(crate) share_process_namespace: Option<bool>,
}

impl Spec<'_> {
    /// Whether the pod asks for a node with Windows.
    pub(crate) fn on_windows(&self) -> bool {
        let labels = ["kubernetes.io/os", "beta.kubernetes.io/os"];
        let mut selected = self.node_selector.0.iter();
        self.os.as_ref().is_some_and(|os| &*os.name == "windows")
            || selected.any(|(label, value)| labels.contains(&&**label) && &**value == "windows")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status<'a> {
    #[serde(borrow)]
    pub(crate) phase: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub(crate) struct Container<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    #[serde(borrow)]
    pub(crate) restart_policy: Text<'a>,
    #[serde(borrow)]
    pub(crate) volume_mounts: List<Mount<'a>>,
    pub(crate) security_context: Option<SecurityContext>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub(crate) struct Mount<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    #[serde(borrow)]
    pub(crate) mount_path: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SecurityContext {
    /// Of pods only.
    pub(crate) fs_group: Option<i64>,
    pub(crate) run_as_group: Option<i64>,
    pub(crate) run_as_user: Option<i64>,
    /// Of pods only.
    pub(crate) supplemental_groups: List<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub(crate) struct Volume<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    #[serde(borrow)]
    pub(crate) projected: Option<Projected<'a>>,
    #[serde(borrow)]
    pub(crate) secret: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Projected<'a> {
    #[serde(borrow)]
    pub(crate) sources: List<Source<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Source<'a> {
    #[serde(borrow)]
    pub(crate) service_account_token: Option<TokenSource<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TokenSource<'a> {
    #[serde(borrow)]
    pub(crate) audience: Text<'a>,
    #[serde(borrow)]
    pub(crate) path: Text<'a>,
}

/// The same pod again, with what only rare annotations copy out of it word for word.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Verbatim<'a> {
    #[serde(borrow)]
    pub(crate) spec: Option<VerbatimSpec<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct VerbatimSpec<'a> {
    #[serde(borrow)]
    pub(crate) containers: List<VerbatimContainer<'a>>,
    #[serde(borrow)]
    pub(crate) init_containers: List<VerbatimContainer<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct VerbatimContainer<'a> {
    #[serde(borrow)]
    pub(crate) env: List<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    #[serde(borrow)]
    pub(crate) volume_mounts: List<&'a RawValue>,
}

/// The name in an entry of `env`, or of an operating system.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Named<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
}

/// Derived readers also take an array for an object, which no path of a patch would fit.
macro_rules! only_objects {
    ($($name:ident)*) => { $(
        impl<'de: 'a, 'a> Deserialize<'de> for $name<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectVisitor;

                impl<'de> Visitor<'de> for ObjectVisitor {
                    type Value = $name<'de>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$name<'de>, A::Error> {
                        $name::deserialize(MapAccessDeserializer::new(map))
                    }
                }
                deserializer.deserialize_map(ObjectVisitor)
            }
        }
    )* };
}

only_objects! { Container Metadata Mount Pod Spec Volume }

impl Item for Container<'_> {
    const WHAT: &'static str = "containers with their mounts";

    fn count(&self) -> usize {
        1 + self.volume_mounts.0.len()
    }
}

impl Item for Mount<'_> {
    const WHAT: &'static str = "mounts in one container";
}

impl Item for Volume<'_> {
    const WHAT: &'static str = "volumes with their sources";

    fn count(&self) -> usize {
        1 + self.projected.as_ref().map_or(0, |projected| projected.sources.0.len())
    }
}

impl Item for Source<'_> {
    const WHAT: &'static str = "sources in one volume";
}

impl Item for VerbatimContainer<'_> {
    const MAX: usize = <&RawValue>::MAX;
    const WHAT: &'static str = "containers with their mounts and variables";

    fn count(&self) -> usize {
        1 + self.env.0.len() + self.volume_mounts.0.len()
    }
}

/// Written out, since a body that says of itself that it is no review is not read any further.
impl<'de, O: Deserialize<'de>> Deserialize<'de> for Envelope<'de, O> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EnvelopeVisitor<O>(PhantomData<O>);

        impl<'de, O: Deserialize<'de>> Visitor<'de> for EnvelopeVisitor<O> {
            type Value = Envelope<'de, O>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an AdmissionReview")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut api_version, mut kind, mut request) = (None, None, None);
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    let twice = match &*name {
                        "apiVersion" => {
                            api_version.replace(map.next_value::<Text<'de>>()?).is_some()
                        }
                        "kind" => kind.replace(map.next_value::<Text<'de>>()?).is_some(),
                        "request" => request.replace(map.next_value()?).is_some(),
                        _ => {
                            let _skipped = map.next_value::<IgnoredAny>()?;
                            false
                        }
                    };
                    let other = kind.as_ref().is_some_and(|kind| **kind != *KIND);
                    let version = api_version.as_deref();
                    if twice || other || version.is_some_and(|name| !VERSIONS.contains(&name)) {
                        return Err(A::Error::custom(NO_REVIEW));
                    }
                }
                let (api_version, kind) =
                    (api_version.unwrap_or_default(), kind.unwrap_or_default());
                Ok(Envelope { api_version, kind, request: request.flatten() })
            }
        }
        deserializer.deserialize_map(EnvelopeVisitor(PhantomData))
    }
}

/// How the error begins that a body without the right `kind` or `apiVersion` causes.
const NO_REVIEW: &str = "not a review";

impl<'a, O: Deserialize<'a>> Review<'a, O> {
    /// Reads a body with its object as an `O`; a `&RawValue` takes any object.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, ReviewError> {
        let envelope: Envelope<'a, O> =
            serde_json::from_slice(body).map_err(|error| no_review(&error))?;
        if &*envelope.kind != KIND || !VERSIONS.contains(&&*envelope.api_version) {
            return Err(ReviewError { message: unlike_a_review() });
        }
        let Some(request) = envelope.request else {
            return Err(ReviewError { message: "the AdmissionReview has no request".into() });
        };
        names::uid(&request.uid)?;
        names::namespace(&request.namespace)?;
        Ok(Self { api_version: envelope.api_version, request })
    }
}

fn no_review(error: &serde_json::Error) -> ReviewError {
    if error.to_string().starts_with(NO_REVIEW) {
        return ReviewError { message: unlike_a_review() };
    }
    let what = if error.is_data() { "is not an AdmissionReview" } else { "is not JSON" };
    let place = format!("at line {} column {}", error.line(), error.column());
    ReviewError { message: format!("the body {what}: {place}") }
}

fn unlike_a_review() -> String {
    format!("the body is not an {KIND} of {}", VERSIONS.join(" or "))
}

/// Refuses what nests deeper than [`DEPTH_MAX`]. Each level takes two bytes, so usual bodies are not looked at.
pub(crate) fn check_depth(body: &[u8]) -> Result<(), ReviewError> {
    if body.len() / 2 <= DEPTH_MAX {
        return Ok(());
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            let message = format!("the body nests deeper than {DEPTH_MAX}");
            return Err(ReviewError { message });
        }
    }
    Ok(())
}

impl<O> Request<'_, O> {
    /// Whether this is about a pod that is being made, as far as the request itself tells.
    pub(crate) fn creates_a_pod(&self) -> bool {
        let create = self.operation.is_empty() || &*self.operation == "CREATE";
        let kind = self.kind.as_ref().is_none_or(|k| k.group.is_empty() && &*k.kind == "Pod");
        let resource = self.resource.as_ref().is_none_or(|r| &*r.resource == "pods");
        create && kind && resource && self.sub_resource.is_empty()
    }
}
