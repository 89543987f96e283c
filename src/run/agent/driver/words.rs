//! What people read: one line for each decision that somebody may want to know of.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::Driver;
use crate::base::reason::Reason;
use crate::domain::schedule::{Ending, Tried, canonical};
use crate::domain::template::Want;

impl Driver {
    pub(super) fn log_retry(
        &mut self,
        tried: &Tried,
        attempt: u32,
        wait: Duration,
        error: &Reason,
    ) {
        let after = format!("{wait:.1?}");
        let auth = self.log.named("agent.auth.handler");
        match tried {
            Tried::Fetch(want) => {
                let spellings = self.spellings(want);
                self.log.warn(
                    "(view) request failed, retry attempt follows",
                    &[
                        ("dependency", want),
                        ("files", &self.files.destinations(&spellings).join(" ")),
                        ("error", error),
                        ("attempt", &attempt),
                        ("after", &after),
                    ],
                );
            }
            Tried::Lease(want) => self.log.warn(
                "lease not renewed, retry attempt follows",
                &[("dependency", want), ("error", error), ("attempt", &attempt), ("after", &after)],
            ),
            Tried::Login => auth.error(
                "error authenticating",
                &[("error", error), ("attempt", &attempt), ("backoff", &after)],
            ),
            Tried::Token => auth.warn(
                "token not renewed, retry attempt follows",
                &[("error", error), ("attempt", &attempt), ("after", &after)],
            ),
        }
    }

    /// What files failed with, under all spellings.
    fn suspects(&self) -> BTreeSet<Want> {
        let suspects = self.files.suspects();
        let name = |want: &&Want| canonical(want, self.machine.mounts());
        let names: BTreeSet<Want> = suspects.iter().map(name).collect();
        names.into_iter().chain(suspects.into_iter().cloned()).collect()
    }

    /// Before the end: the state, and one line for each file that is not there.
    pub(super) fn last_words(&mut self, ending: Ending) {
        let suspects = self.suspects();
        if ending == Ending::Failed && !suspects.is_empty() {
            // Nothing that a file failed with stays for the next process.
            self.hand_over(&suspects);
        } else {
            self.save_state();
        }
        if ending == Ending::Done {
            return self.log.info("agent stopped", &[]);
        }
        if let Some(error) = &self.login_failure {
            self.log.named("agent.auth.handler").error("error authenticating", &[("error", error)]);
        }
        for file in self.files.unwritten() {
            let name = |want| canonical(want, self.machine.mounts());
            let failed = file.used.iter().find_map(|want| self.machine.reason(&name(want)));
            let lacking = file.used.iter().find(|want| !self.snapshot.found.contains_key(*want));
            let reason = match (file.error, failed.or(self.login_failure.as_ref()), lacking) {
                (Some(error), _, _) => error.to_owned(),
                (None, Some(reason), _) => reason.to_string(),
                (None, None, Some(want)) => format!("there was no answer yet for {want}"),
                (None, None, None) => "not finished".to_owned(),
            };
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
