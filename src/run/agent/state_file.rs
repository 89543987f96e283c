//! The file through which one agent process hands over to the next.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ring::digest;

use crate::adapter::files;
use crate::base::report::OneLine;
use crate::base::time::Wall;
use crate::domain::agent_config::{AgentConfig, AuthKind};
use crate::domain::handover::Handover;
use crate::run::limits::{FILE_BYTES_MAX, STATE_BYTES_MAX};
use crate::telemetry::log::Log;

/// Where the state is kept, and for whom.
pub(super) struct StateFile {
    path: String,
    /// Hash of what decides whose token it is.
    pub(super) config: String,
    log: Log,
    has_warned: bool,
}

impl StateFile {
    pub(super) fn of(config: &AgentConfig, log: Log) -> Option<Self> {
        let path = config.injector.state_file.clone()?;
        Some(Self { path, config: identity(config), log, has_warned: false })
    }

    /// What another process left. Whatever is wrong with it only means a login. A link, or a file that
    /// others may touch, is not what was left: `save` makes it for its owner alone.
    pub(super) fn load(&self, now: Wall) -> Option<Handover> {
        let path = Path::new(&self.path);
        let found = std::fs::symlink_metadata(path).ok()?;
        let is_ours = found.is_file() && found.mode() & 0o077 == 0;
        let readable =
            if is_ours { Ok(path) } else { Err("it is not a file of mode 0600".to_owned()) };
        let loaded = readable
            .and_then(|path| {
                files::read_bounded(path, STATE_BYTES_MAX).map_err(|error| error.to_string())
            })
            .and_then(|bytes| {
                Handover::decode(&zeroize::Zeroizing::new(bytes), &self.config, now)
                    .map_err(|error| OneLine(&error).to_string())
            });
        match loaded {
            Ok(handover) => Some(handover),
            Err(reason) => {
                let fields: [(&str, &dyn std::fmt::Display); 2] =
                    [("path", &self.path), ("reason", &reason)];
                self.log.info("state of an earlier agent not taken over, logging in", &fields);
                None
            }
        }
    }

    /// Leaves the state for the next process. A failure costs that one a login, and nothing else.
    pub(super) fn save(&mut self, handover: &Handover) {
        let document = handover.encode();
        let bytes = document.expose().as_bytes();
        let written = files::replace(Path::new(&self.path), bytes, Some(0o600), true);
        if let Err(error) = written
            && !self.has_warned
        {
            self.has_warned = true;
            self.log
                .warn("state not written, the next agent will log in anew", &[("error", &error)]);
        }
    }

    /// The token in it is revoked.
    pub(super) fn remove(&self) {
        if let Err(error) = files::remove(Path::new(&self.path)) {
            self.log.warn("state not removed", &[("error", &error)]);
        }
    }
}

/// A hash of everything that decides whose token it is and where it is good: the method with its role,
/// the server and the namespace; of `token_file` the token itself, so that a new one is noticed. Templates
/// are no part of it, as each reading is kept under what it is.
fn identity(config: &AgentConfig) -> String {
    let method = &config.method;
    let what = format!(
        "{:?} {:?} {:?} {:?}",
        method.kind, method.mount_path, method.namespace, config.vault.address
    );
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(what.as_bytes());
    if let AuthKind::TokenFile { token_file_path } = &method.kind
        && let Ok(token) = files::read_bounded(Path::new(token_file_path), FILE_BYTES_MAX)
    {
        hash.update(&zeroize::Zeroizing::new(token));
    }
    hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
