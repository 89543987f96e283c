//! Texts, lists and maps of a review, borrowed from the body, each read to a bound.
//!
//! Three bytes of a body, `{},`, may become a container of eighty. So what counts is not how long a body is but
//! what it becomes: reading stops where a list is longer than that of any pod.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Containers with their mounts, volumes with their sources, entries of a map: each of these together. The largest
/// pods have some hundreds, and etcd keeps no object in which many more than these would fit.
const ITEMS_MAX: usize = 16_384;

/// Containers with their mounts and variables, where these are read; sixteen bytes each.
const VERBATIM_MAX: usize = 65_536;

/// How errors of ours begin, which may be shown: those of the parser may quote what they read.
const TOO_MANY: &str = "more than ";

/// Something that lists hold.
pub(crate) trait Item {
    /// Items of one list, together with what these hold.
    const MAX: usize = ITEMS_MAX;
    /// What they are.
    const WHAT: &'static str;

    /// Itself and what it holds.
    fn count(&self) -> usize {
        1
    }
}

impl Item for &RawValue {
    const MAX: usize = VERBATIM_MAX;
    const WHAT: &'static str = "items in a list";
}

impl Item for i64 {
    const WHAT: &'static str = "groups";
}

/// What an error of the parser says, when that is a bound of ours: safe to show.
pub(crate) fn too_many(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.starts_with(TOO_MANY).then(|| text.strip_suffix(&place).unwrap_or(&text).to_owned())
}

fn over<E: Error>(max: usize, what: &str) -> E {
    E::custom(format_args!("{TOO_MANY}{max} {what}"))
}

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

impl<'de, T: Deserialize<'de> + Item> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de> + Item> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List<T>, A::Error> {
                let (mut list, mut count) = (Vec::new(), 0_usize);
                while let Some(item) = items.next_element::<T>()? {
                    count = count.saturating_add(item.count());
                    if count > T::MAX {
                        return Err(over(T::MAX, T::WHAT));
                    }
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
                    if pairs.len() >= ITEMS_MAX {
                        return Err(over(ITEMS_MAX, "entries in a map"));
                    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inject::review::{Container, Mount, Pod, Source, Verbatim, Volume};

    fn pod_of(spec: &str) -> Result<(), String> {
        let text = format!(r#"{{"spec":{spec}}}"#);
        let pod = serde_json::from_str::<Pod<'_>>(&text).map(drop);
        pod.map_err(|error| too_many(&error).unwrap_or_else(|| error.to_string()))
    }

    fn many(count: usize, item: &str) -> String {
        vec![item; count].join(",")
    }

    #[test]
    fn every_list_has_an_end() {
        let wrap = [
            (r#"{"containers":[@]}"#, Container::WHAT),
            (r#"{"initContainers":[@]}"#, Container::WHAT),
            (r#"{"containers":[{"volumeMounts":[@]}]}"#, Mount::WHAT),
            (r#"{"initContainers":[{"volumeMounts":[@]}]}"#, Mount::WHAT),
            (r#"{"volumes":[@]}"#, Volume::WHAT),
            (r#"{"volumes":[{"projected":{"sources":[@]}}]}"#, Source::WHAT),
        ];
        for (text, what) in wrap {
            let few = text.replace('@', &many(ITEMS_MAX / 2, "{}"));
            assert_eq!(pod_of(&few), Ok(()), "{text}");
            let over = text.replace('@', &many(ITEMS_MAX + 1, "{}"));
            assert_eq!(pod_of(&over), Err(format!("more than {ITEMS_MAX} {what}")), "{text}");
        }
        let entries = |count: usize| -> String {
            (0..count).map(|i| format!(r#""{i}":"""#)).collect::<Vec<_>>().join(",")
        };
        assert_eq!(pod_of(&format!(r#"{{"nodeSelector":{{{}}}}}"#, entries(ITEMS_MAX))), Ok(()));
        let over = pod_of(&format!(r#"{{"nodeSelector":{{{}}}}}"#, entries(ITEMS_MAX + 1)));
        assert_eq!(over, Err(format!("more than {ITEMS_MAX} entries in a map")));
    }

    #[test]
    fn what_items_hold_counts_with_them() {
        for (list, inner) in
            [("containers", r#""volumeMounts":[@]"#), ("volumes", r#""projected":{"sources":[@]}"#)]
        {
            let item = format!("{{{}}}", inner.replace('@', &many(1000, "{}")));
            let of = |count| pod_of(&format!(r#"{{"{list}":[{}]}}"#, many(count, &item)));
            assert_eq!(of(16), Ok(()), "{list}");
            assert!(of(17).is_err_and(|text| text.starts_with(TOO_MANY)), "{list}");
        }
        let item = format!(r#"{{"env":[{}]}}"#, many(10_000, "{}"));
        for (count, fits) in [(6, true), (7, false)] {
            let text = format!(r#"{{"spec":{{"containers":[{}]}}}}"#, many(count, &item));
            assert_eq!(serde_json::from_str::<Verbatim<'_>>(&text).is_ok(), fits, "{count}");
        }
    }

    #[test]
    fn errors_that_quote_are_not_shown() {
        for text in [r#"{"kind":5}"#, r#"{"metadata":"more than one"}"#, "{"] {
            let error = serde_json::from_str::<Pod<'_>>(text).map(drop).unwrap_err();
            assert_eq!(too_many(&error), None, "{text}");
        }
    }
}
