//! The lock of the election as objects of Kubernetes.

use serde::{Deserialize, Serialize};

use super::asking::{Kube, Quiet};
use crate::adapter::kube::KubeClient;
use crate::domain::serving::Trouble;
use crate::domain::serving::election::{Ask, Heard, Kind, Lock, Owned, Owner, Record};
use crate::domain::serving::objects::{
    ConfigMap, KubeError, KubeLease, LeaseSpec, Metadata, MicroTime, Node, Owned as Writable,
    OwnerReference, Pod, Stored,
};

/// Name of our Lease.
const LEASE: &str = "vault-injector";

/// Name of the ConfigMap that replicas of vault-k8s take for their lock.
const CONFIG_MAP: &str = "vault-k8s-leader";

/// Where client-go keeps its record in objects other than Leases.
const ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";

/// The objects as they were last read or written, which is what an update needs.
#[derive(Default)]
pub(super) struct Locks {
    config_map: Option<Stored<ConfigMap>>,
    lease: Option<Stored<KubeLease>>,
    /// Name of our pod; empty when it is not known.
    pod: String,
    uid: String,
}

impl Locks {
    pub(super) fn new(pod: String) -> Self {
        Self { pod, ..Self::default() }
    }

    pub(super) fn perform(&mut self, kube: &mut Kube, ask: &Ask) -> Heard {
        match ask {
            Ask::Oneself => Heard::Oneself(self.find_oneself(kube)),
            Ask::Owner(owner) => Heard::Owner(self.look_at(kube, owner)),
            Ask::Read(Kind::Lease) => {
                let read = |client: &KubeClient, namespace: &str| client.get(namespace, LEASE);
                let read = kube.ask("lease", Quiet::UNLESS_FAILED, read);
                Heard::Read(kept(&mut self.lease, read).map(|lease| match lease {
                    Some(lease) => Lock::Held(record_of(&lease.object.spec)),
                    None => Lock::Absent,
                }))
            }
            Ask::Read(Kind::ConfigMap) => {
                let read = |client: &KubeClient, namespace: &str| client.get(namespace, CONFIG_MAP);
                let read = kube.ask("leader", Quiet::ABSENT, read);
                Heard::Read(kept(&mut self.config_map, read).map(|map| match map {
                    Some(map) => lock_of(&map.object.metadata),
                    None => Lock::Absent,
                }))
            }
            Ask::Write(Kind::Lease, record) => {
                let spec = spec_of(record);
                let written =
                    write(kube, "lease", LEASE, &mut self.lease, |lease| lease.spec = spec);
                Heard::Written(written)
            }
            Ask::Write(Kind::ConfigMap, record) => {
                let owner = OwnerReference {
                    api_version: "v1".to_owned(),
                    kind: "Pod".to_owned(),
                    name: self.pod.clone(),
                    uid: self.uid.clone(),
                    ..OwnerReference::default()
                };
                let text = serde_json::to_string(&Note::of(record)).unwrap_or_default();
                Heard::Written(write(kube, "leader", CONFIG_MAP, &mut self.config_map, |map| {
                    let _before = map.metadata.annotations.insert(ANNOTATION.to_owned(), text);
                    map.metadata.owner_references = vec![owner];
                }))
            }
        }
    }

    fn find_oneself(&mut self, kube: &mut Kube) -> Result<(), Trouble> {
        if self.pod.is_empty() {
            kube.complain(
                "pod",
                &"POD_NAME is not set: the election of vault-k8s' chart needs the name of this pod, from the \
                  downward API",
            );
            return Err(Trouble::Failed { retry_after: None });
        }
        let get = |client: &KubeClient, namespace: &str| client.get::<Pod>(namespace, &self.pod);
        let pod = kube.ask("pod", Quiet::NEVER, get)?;
        self.uid = pod.object.metadata.uid;
        Ok(())
    }

    /// Never takes anything away from it, and no pod or node: it is enough to know.
    fn look_at(&self, kube: &mut Kube, owner: &Owner) -> Result<Owned, Trouble> {
        if owner.uid == self.uid {
            return Ok(Owned::Gone);
        }
        let get = |client: &KubeClient, namespace: &str| client.get::<Pod>(namespace, &owner.pod);
        let pod = match kube.ask("leader's pod", Quiet::ABSENT, get) {
            Ok(pod) => pod.object,
            Err(Trouble::NotFound) => return Ok(Owned::Gone),
            Err(trouble) => return Err(trouble),
        };
        let has_ended = matches!(pod.status.phase.as_str(), "Failed" | "Succeeded");
        if pod.metadata.uid != owner.uid || has_ended {
            return Ok(Owned::Gone);
        }
        if pod.spec.node_name.is_empty() {
            return Ok(Owned::Alive);
        }
        let get = |client: &KubeClient, _: &str| client.get::<Node>("", &pod.spec.node_name);
        match kube.ask("leader's node", Quiet::ABSENT, get) {
            Ok(node) if node.object.is_ready() => Ok(Owned::Alive),
            Ok(_) | Err(Trouble::NotFound) => Ok(Owned::Gone),
            Err(_) => Ok(Owned::Alive),
        }
    }
}

/// Keeps what was read; absence is no error here.
fn kept<T>(
    slot: &mut Option<Stored<T>>,
    read: Result<Stored<T>, Trouble>,
) -> Result<&Option<Stored<T>>, Trouble> {
    *slot = match read {
        Ok(stored) => Some(stored),
        Err(Trouble::NotFound) => None,
        Err(trouble) => return Err(trouble),
    };
    Ok(slot)
}

/// Updates what was last read, or creates it.
fn write<T: Writable + Named + Clone>(
    kube: &mut Kube,
    what: &'static str,
    name: &str,
    slot: &mut Option<Stored<T>>,
    change: impl FnOnce(&mut T),
) -> Result<(), Trouble> {
    let before = slot.take();
    let written = kube.ask(what, Quiet::UNLESS_FAILED, |client, namespace| match before {
        Some(mut stored) => {
            change(&mut stored.object);
            client.update(&stored)
        }
        None => {
            let mut object = T::named(Metadata::named(namespace, name));
            change(&mut object);
            client.create(&object)
        }
    });
    *slot = Some(written?);
    Ok(())
}

/// An object with nothing but a name.
trait Named {
    fn named(metadata: Metadata) -> Self;
}

impl Named for KubeLease {
    fn named(metadata: Metadata) -> Self {
        Self { metadata, ..Self::default() }
    }
}

impl Named for ConfigMap {
    fn named(metadata: Metadata) -> Self {
        Self { metadata, ..Self::default() }
    }
}

fn record_of(spec: &LeaseSpec) -> Record {
    let micros = |time: Option<MicroTime>| time.map_or(0, |MicroTime(micros)| micros);
    let number = |number: Option<i32>| number.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    Record {
        holder: spec.holder_identity.clone().unwrap_or_default(),
        seconds: number(spec.lease_duration_seconds),
        acquired: micros(spec.acquire_time),
        renewed: micros(spec.renew_time),
        transitions: number(spec.lease_transitions),
    }
}

fn spec_of(record: &Record) -> LeaseSpec {
    let number = |number: u32| i32::try_from(number).ok();
    LeaseSpec {
        holder_identity: Some(record.holder.clone()),
        lease_duration_seconds: number(record.seconds),
        acquire_time: Some(MicroTime(record.acquired)),
        renew_time: Some(MicroTime(record.renewed)),
        lease_transitions: number(record.transitions),
    }
}

/// client-go's record as an annotation.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    holder_identity: String,
    lease_duration_seconds: u32,
    acquire_time: MicroTime,
    renew_time: MicroTime,
    leader_transitions: u32,
}

impl Note {
    fn of(record: &Record) -> Self {
        Self {
            holder_identity: record.holder.clone(),
            lease_duration_seconds: record.seconds,
            acquire_time: MicroTime(record.acquired),
            renew_time: MicroTime(record.renewed),
            leader_transitions: record.transitions,
        }
    }
}

/// Whose a ConfigMap is. Replicas of vault-k8s write no annotation.
fn lock_of(metadata: &Metadata) -> Lock {
    let note = metadata.annotations.get(ANNOTATION);
    if let Some(note) = note.and_then(|text| serde_json::from_str::<Note>(text).ok()) {
        return Lock::Held(Record {
            holder: note.holder_identity,
            seconds: note.lease_duration_seconds,
            acquired: note.acquire_time.0,
            renewed: note.renew_time.0,
            transitions: note.leader_transitions,
        });
    }
    match metadata.owner_references.iter().find(|owner| owner.kind == "Pod") {
        Some(owner) => Lock::Old(Owner { pod: owner.name.clone(), uid: owner.uid.clone() }),
        None => Lock::Free,
    }
}

/// What an error means for decisions.
pub(super) const fn trouble_of(error: &KubeError) -> Trouble {
    match error {
        KubeError::Conflict { .. } => Trouble::Conflict,
        KubeError::Forbidden { .. } => Trouble::Forbidden,
        KubeError::NotFound { .. } => Trouble::NotFound,
        _ => Trouble::Failed { retry_after: error.retry_after() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_map_is_read_by_its_record_or_else_by_its_owner() {
        let record = Record {
            holder: "a".to_owned(),
            seconds: 15,
            acquired: 1_800_000_000_000_000,
            renewed: 1_800_000_001_000_000,
            transitions: 3,
        };
        let text = serde_json::to_string(&Note::of(&record)).unwrap();
        assert!(text.contains(r#""holderIdentity":"a","leaseDurationSeconds":15"#), "{text}");
        let owner = OwnerReference {
            kind: "Pod".to_owned(),
            name: "p".to_owned(),
            uid: "u".to_owned(),
            ..OwnerReference::default()
        };
        let old = Lock::Old(Owner { pod: "p".to_owned(), uid: "u".to_owned() });
        for (note, owner, want) in [
            (Some(text.as_str()), Some(owner.clone()), Lock::Held(record.clone())),
            (Some("{}"), Some(owner.clone()), old.clone()),
            (None, Some(owner), old),
            (None, None, Lock::Free),
        ] {
            let mut metadata = Metadata::named("ns", CONFIG_MAP);
            metadata.owner_references = owner.into_iter().collect();
            if let Some(note) = note {
                metadata.annotations.insert(ANNOTATION.to_owned(), note.to_owned());
            }
            assert_eq!(lock_of(&metadata), want);
        }
        assert_eq!(record_of(&spec_of(&record)), record);
        assert_eq!(record_of(&LeaseSpec::default()), Record::default());
    }
}
