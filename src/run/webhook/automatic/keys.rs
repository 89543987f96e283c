//! CAs with their keys, and the Secret that replicas share them in.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::adapter::authority::{Ca, Der, authority, read_bundle, to_pem};
use crate::adapter::tls::TlsError;
use crate::base::secret::SecretBytes;
use crate::domain::serving::Now;
use crate::domain::serving::ca::{Change, Shelf};

/// The CAs of one place.
#[derive(Clone, Default)]
pub(super) struct Keys {
    /// Signs.
    pub(super) current: Option<Arc<Ca>>,
    next: Option<Arc<Ca>>,
    past: Vec<Der>,
}

type Data = BTreeMap<String, SecretBytes>;

/// Keys of the Secret. The first three are those of the type `kubernetes.io/tls`.
const CURRENT: (&str, &str) = ("tls.crt", "tls.key");
const ALL: &str = "ca.crt";
const NEXT: (&str, &str) = ("next.crt", "next.key");

impl Keys {
    pub(super) fn of(current: Ca) -> Self {
        Self { current: Some(Arc::new(current)), ..Self::default() }
    }

    /// What decisions need to know.
    pub(super) fn shelf(&self) -> Shelf {
        let facts = |ca: &Arc<Ca>| ca.facts.clone();
        Shelf {
            current: self.current.as_ref().map(facts),
            next: self.next.as_ref().map(facts),
            past: self.past.iter().map(authority).collect(),
        }
    }

    /// All certificates.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &Der> {
        let signers = self.next.iter().chain(&self.current);
        self.past.iter().chain(signers.map(|ca| ca.certificate()))
    }

    /// The CA with this fingerprint, if it can sign.
    pub(super) fn signer(&self, fingerprint: &str) -> Option<&Arc<Ca>> {
        self.current.iter().chain(&self.next).find(|ca| ca.facts.fingerprint == fingerprint)
    }

    /// These after a change. New CAs live for so many seconds.
    pub(super) fn changed(&self, change: Change, seconds: u64, now: Now) -> Result<Self, TlsError> {
        let fresh = match change {
            Change::Create | Change::Announce => Some(Arc::new(Ca::make(now.wall, seconds)?)),
            Change::Promote => None,
        };
        let facts = fresh.as_ref().map(|ca| ca.facts.clone());
        let shelf = self.shelf().changed(change, facts, now);
        let signers = || self.current.iter().chain(&self.next).chain(&fresh);
        let find = |name: &str| signers().find(|ca| ca.facts.fingerprint == name).cloned();
        let is_past = |der: &&Der| shelf.past.contains(&authority(der));
        Ok(Self {
            current: shelf.current.as_ref().and_then(|ca| find(&ca.fingerprint)),
            next: shelf.next.as_ref().and_then(|ca| find(&ca.fingerprint)),
            past: self.certificates().filter(is_past).cloned().collect(),
        })
    }

    /// As a Secret has them.
    pub(super) fn to_data(&self) -> Result<Data, TlsError> {
        let mut data = Data::new();
        let mut put = |key: &str, bytes: Vec<u8>| {
            let _none_before = data.insert(key.to_owned(), SecretBytes::new(bytes));
        };
        for ((certificate, key), ca) in [(CURRENT, &self.current), (NEXT, &self.next)] {
            if let Some(ca) = ca {
                put(certificate, to_pem([ca.certificate()]).into_bytes());
                put(key, ca.key_pem()?.expose().as_bytes().to_vec());
            }
        }
        put(ALL, to_pem(self.certificates()).into_bytes());
        Ok(data)
    }

    /// From a Secret. Without a current CA the second is why.
    pub(super) fn of_data(data: &Data, now: Now) -> (Self, Option<&'static str>) {
        let get = |key: &str| data.get(key).map_or(&[][..], |value| value.expose());
        let load = |(certificate, key)| Ca::load(get(certificate), get(key), now.wall);
        let (current, why) = match load(CURRENT) {
            Ok(ca) if ca.facts.is_expired(now) => (None, Some("it has expired")),
            Ok(ca) => (Some(Arc::new(ca)), None),
            Err(why) => (None, Some(why)),
        };
        let next = load(NEXT).ok().filter(|ca| !ca.facts.is_expired(now)).map(Arc::new);
        let mut keys = Self { current, next, past: Vec::new() };
        let (listed, _other) = read_bundle(get(ALL));
        let known: Vec<Der> = keys.certificates().cloned().collect();
        let past = listed.into_iter().filter(|(listed, der)| {
            listed.is_ours && !listed.authority.is_expired(now) && !known.contains(der)
        });
        keys.past = past.map(|(_, der)| der).collect();
        (keys, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Mono;

    const NOW: Now = Now { mono: Mono::at(std::time::Duration::ZERO), wall: 1_800_000_000 };

    #[test]
    fn a_secret_keeps_all_cas_through_their_changes() {
        let mut keys = Keys::default();
        for change in [Change::Create, Change::Announce, Change::Promote, Change::Announce] {
            keys = keys.changed(change, 1000, NOW).unwrap();
            let (again, why) = Keys::of_data(&keys.to_data().unwrap(), NOW);
            assert_eq!((again.shelf(), why), (keys.shelf(), None));
        }
        assert_eq!(keys.certificates().count(), 3);
        let name = keys.shelf().next.unwrap().fingerprint;
        assert!(keys.signer(&name).is_some() && keys.signer("x").is_none());
    }

    #[test]
    fn content_of_no_use_is_told_by_its_reason() {
        let keys = Keys::default().changed(Change::Create, 1000, NOW).unwrap();
        let data = keys.to_data().unwrap();
        let without = |name: &str| {
            let mut data = data.clone();
            data.remove(name);
            data
        };
        let late = Now { wall: NOW.wall + 1000, ..NOW };
        for (data, now, why) in [
            (Data::new(), NOW, "no PEM certificate"),
            (without("tls.key"), NOW, "no PEM key"),
            (data.clone(), late, "it has expired"),
        ] {
            let (keys, told) = Keys::of_data(&data, now);
            assert_eq!((told, keys.shelf().current), (Some(why), None));
        }
        assert_eq!(Keys::of_data(&without("ca.crt"), NOW).0.shelf(), keys.shelf());
    }
}
