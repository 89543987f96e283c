//! Objects as texts: read with what we do not model, written back with it.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{Object, Owned};
use crate::base::secret::{Secret, SecretBytes};

/// An object as the API server has it, with all that we do not model.
#[derive(Clone)]
pub struct Stored<T> {
    /// Our fields, free to change before an update.
    pub object: T,
    whole: Zeroizing<Vec<u8>>,
}

impl<T: fmt::Debug> fmt::Debug for Stored<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored").field("object", &self.object).finish_non_exhaustive()
    }
}

impl<T: Object> Stored<T> {
    /// Of an answer's body. The error says where the body breaks its promise and shows nothing of it.
    pub fn decode(body: Zeroizing<Vec<u8>>) -> Result<Self, String> {
        let object: T = serde_json::from_slice(&body).map_err(|e| misread(&e))?;
        if object.metadata().name.is_empty() || object.metadata().resource_version.is_empty() {
            return Err(format!("not a {}: without name or version", T::KIND.kind));
        }
        Ok(Self { object, whole: body })
    }
}

impl<T: Owned> Stored<T> {
    /// The text of an update.
    pub fn encode(&self) -> Result<Secret, String> {
        written(&self.object, &self.whole)
    }
}

/// The text of an object that is to be created.
pub fn encode_new<T: Owned>(object: &T) -> Result<Secret, String> {
    written(object, b"{}")
}

/// `object` written over `whole`.
fn written<T: Owned>(object: &T, whole: &[u8]) -> Result<Secret, String> {
    // Buffers get their size at once: a growing one leaves copies behind that nobody wipes.
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, object).map_err(|e| e.to_string())?;
    let mut ours = Zeroizing::new(Vec::with_capacity(counter.0));
    serde_json::to_writer(&mut *ours, object).map_err(|e| e.to_string())?;
    let kind = json!({ "apiVersion": T::KIND.api_version(), "kind": T::KIND.kind }).to_string();
    let mut out = String::with_capacity(whole.len() + ours.len() + kind.len());
    let layers = [whole, &ours, kind.as_bytes()];
    overlay(&layers, &["metadata", "spec"], &mut out).map_err(|e| misread(&e))?;
    Ok(Secret::new(out))
}

struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Members of several objects, of which the last that has it counts. Those named in `merged` are overlaid
/// member by member.
fn overlay(layers: &[&[u8]], merged: &[&str], out: &mut String) -> Result<(), serde_json::Error> {
    let mut members: BTreeMap<String, Vec<&RawValue>> = BTreeMap::new();
    for layer in layers {
        for (key, value) in serde_json::from_slice::<BTreeMap<String, &RawValue>>(layer)? {
            members.entry(key).or_default().push(value);
        }
    }
    out.push('{');
    for (i, (key, values)) in members.iter().enumerate() {
        out.push_str(if i > 0 { "," } else { "" });
        out.push_str(&serde_json::to_string(key)?);
        out.push(':');
        if merged.contains(&key.as_str()) {
            let values: Vec<&[u8]> = values.iter().map(|value| value.get().as_bytes()).collect();
            overlay(&values, &[], out)?;
        } else {
            out.push_str(values.last().map_or("null", |value| value.get()));
        }
    }
    out.push('}');
    Ok(())
}

/// Where a text is not what it should be. serde's own words may quote values.
pub(crate) fn misread(error: &serde_json::Error) -> String {
    let what = if error.is_data() { "a field of another type" } else { "not JSON" };
    format!("{what} at line {} column {}", error.line(), error.column())
}

/// Go writes an empty list or map as `null`, or not at all.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// Bytes in base64, decoded from the text where it stands: no copy of the text is made.
#[derive(Default)]
struct Base64(Zeroizing<Vec<u8>>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Decoder;

        impl Visitor<'_> for Decoder {
            type Value = Base64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Base64, E> {
                let bytes =
                    BASE64_STANDARD.decode(text).map_err(|_may_quote| E::custom("base64"))?;
                Ok(Base64(Zeroizing::new(bytes)))
            }
        }

        from.deserialize_str(Decoder)
    }
}

pub(super) fn ca_bundle<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    or_default(from).map(|Base64(bytes)| bytes.to_vec())
}

pub(super) fn secret_values<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<String, SecretBytes>, D::Error> {
    let values: BTreeMap<String, Option<Base64>> = or_default(from)?;
    let taken = |value: Option<Base64>| {
        SecretBytes::new(
            value.map(|Base64(mut bytes)| std::mem::take(&mut *bytes)).unwrap_or_default(),
        )
    };
    Ok(values.into_iter().map(|(key, value)| (key, taken(value))).collect())
}

pub(super) fn secret_texts<S: Serializer>(
    values: &BTreeMap<String, SecretBytes>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(values.iter().map(|(key, value)| (key, Encoded(value))))
}

struct Encoded<'a>(&'a SecretBytes);

impl Serialize for Encoded<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&Zeroizing::new(BASE64_STANDARD.encode(self.0.expose())))
    }
}
