//! The parts of an AdmissionReview and of a Pod that a decision reads, borrowed from the body.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::ReviewError;

/// A text that borrows unless it had escapes; `null` is the empty text, as in Go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A list; `null` is the empty one.
#[derive(Debug)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// A map of texts in the order of the body.
#[derive(Debug, Default)]
pub(crate) struct Texts<'a>(pub(crate) Vec<(Text<'a>, Text<'a>)>);

/// What the API server sends.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a, O> {
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    kind: Text<'a>,
    #[serde(borrow)]
    request: Option<Request<'a, O>>,
}

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

impl<'a, O: Deserialize<'a>> Review<'a, O> {
    /// Reads a body with its object as an `O`; a `&RawValue` takes any object.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, ReviewError> {
        let envelope: Envelope<'a, O> = serde_json::from_slice(body).map_err(|e| {
            let what = if e.is_data() { "is not an AdmissionReview" } else { "is not JSON" };
            let place = format!("at line {} column {}", e.line(), e.column());
            ReviewError { message: format!("the body {what}: {place}") }
        })?;
        let known = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];
        if &*envelope.kind != "AdmissionReview" || !known.contains(&&*envelope.api_version) {
            let message = format!("the body is not an AdmissionReview of {}", known.join(" or "));
            return Err(ReviewError { message });
        }
        let Some(request) = envelope.request else {
            return Err(ReviewError { message: "the AdmissionReview has no request".into() });
        };
        Ok(Self { api_version: envelope.api_version, request })
    }
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

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(List(list))
            }

            fn visit_unit<E>(self) -> Result<List<T>, E> {
                Ok(List::default())
            }
        }
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;

        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Texts(pairs))
            }

            fn visit_unit<E>(self) -> Result<Texts<'de>, E> {
                Ok(Texts::default())
            }
        }
        deserializer.deserialize_any(TextsVisitor)
    }
}
