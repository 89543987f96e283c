//! What people read: one line for each decision that somebody may want to know of.

use std::fmt;
use std::time::Duration;

use super::Driver;
use crate::domain::schedule::{Ending, Tried, canonical};

impl Driver {
    pub(super) fn log_retry(&self, tried: &Tried, attempt: u32, wait: Duration) {
        let after = format!("{wait:.1?}");
        let auth = self.log.named("agent.auth.handler");
        let error = &self.last_failure;
        match tried {
            Tried::Fetch(want) => self.log.warn(
                "(view) request failed, retry attempt follows",
                &[
                    ("dependency", want),
                    ("files", &self.files.destinations(&self.spellings(want))),
                    ("error", error),
                    ("attempt", &attempt),
                    ("after", &after),
                ],
            ),
            Tried::Lease(want) => self.log.warn(
                "lease not renewed, retry attempt follows",
                &[("dependency", want), ("error", error), ("attempt", &attempt), ("after", &after)],
            ),
            Tried::Login => {
                let error = self.login_failure.as_deref().unwrap_or_default();
                auth.error(
                    "error authenticating",
                    &[("error", &error), ("attempt", &attempt), ("backoff", &after)],
                );
            }
            Tried::Token => auth.warn(
                "token not renewed, retry attempt follows",
                &[("error", error), ("attempt", &attempt), ("after", &after)],
            ),
        }
    }

    /// Before the end: the state, and one line for each file that is not there.
    pub(super) fn last_words(&mut self, ending: Ending) {
        self.save_state();
        if ending == Ending::Done {
            return self.log.info("agent stopped", &[]);
        }
        if let Some(error) = &self.login_failure {
            self.log.named("agent.auth.handler").error("error authenticating", &[("error", error)]);
        }
        for file in self.files.unwritten() {
            let name = |want| canonical(want, self.machine.mounts());
            let lacking = file.used.iter().find_map(|want| self.failures.get(&name(want)));
            let reason = file.error.or(lacking.map(String::as_str));
            let reason = reason.or(self.login_failure.as_deref()).unwrap_or("not finished");
            let fields: [(&str, &dyn fmt::Display); 2] =
                [("destination", &file.destination), ("error", &reason)];
            self.log.error("file not written", &fields);
        }
    }
}

/// `1h0m0s`, as Vault writes times to live.
pub(super) struct Seconds(pub(super) u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        match (hours, minutes) {
            (0, 0) => write!(f, "{seconds}s"),
            (0, _) => write!(f, "{minutes}m{seconds}s"),
            _ => write!(f, "{hours}h{minutes}m{seconds}s"),
        }
    }
}
