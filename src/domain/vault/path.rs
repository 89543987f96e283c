//! Mounts, and how a path of a template becomes a path of the API.

use std::collections::BTreeMap;

/// A secrets engine's mount, as `sys/internal/ui/mounts/PATH` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// With a trailing slash: `secret/`.
    pub path: String,
    /// KV version 2: reads go through `data/`.
    pub is_kv2: bool,
}

/// The mounts known so far, by path. Mounts never nest, so a path has at most one.
#[derive(Clone, Debug, Default)]
pub struct MountTable {
    mounts: BTreeMap<String, Mount>,
}

impl MountTable {
    /// Remembers a mount.
    pub fn insert(&mut self, mount: Mount) {
        self.mounts.insert(mount.path.clone(), mount);
    }

    /// The mount that `path` lies in, if it is known.
    pub fn of(&self, path: &str) -> Option<&Mount> {
        let slashed = format!("{path}/");
        self.mounts.values().find(|mount| slashed.starts_with(&mount.path))
    }

    /// All of them, for the hand-over.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.mounts.values()
    }
}
