//! Renders again whenever something changed, until a signal.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::{End, Session, Told, canned};
use crate::adapter::signals::{self, Signal};
use crate::base::secret::SecretBytes;
use crate::domain::template::{Found, Want};

/// How often files are looked at. A look costs some microseconds.
const LOOK: Duration = Duration::from_millis(300);

/// The part of a lease after which the secret is read again, as of leases that cannot be renewed.
const LEASE_TENTHS: u32 = 9;

/// What tells one state of a file from another: time, length, place.
type Stamp = Option<(i64, i64, u64, u64)>;

fn stamp(path: &str) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.mtime(), metadata.mtime_nsec(), metadata.len(), metadata.ino()))
}

pub(super) fn run(session: &mut Session<'_>, interval: Duration, tell: &dyn Fn(Told<'_>)) -> End {
    let (sender, signals) = mpsc::channel();
    let send = move |signal| {
        // The receiver lives as long as the watch.
        let _ended = sender.send(signal);
    };
    if let Err(error) = signals::watch(send) {
        tell(Told::Words(&format!("signals: {error}\n")));
        return End::Failed;
    }
    let mut watch = Watch { last: None, retry: None, stamps: BTreeMap::new() };
    watch.render(session, "", interval, tell);
    loop {
        let why = match signals.recv_timeout(LOOK) {
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return End::Done,
            Ok(Signal::Reload) => "asked to".to_owned(),
            Err(RecvTimeoutError::Timeout) => {
                let changed = watch.changed(session, tell);
                let due = watch.due(session, interval);
                match changed.into_iter().chain(due).next() {
                    Some(why) => why,
                    None => continue,
                }
            }
        };
        watch.render(session, &why, interval, tell);
    }
}

struct Watch {
    /// What was printed last, unless an error followed.
    last: Option<SecretBytes>,
    /// When to try again after a failure.
    retry: Option<Duration>,
    /// The files as they were when they were read.
    stamps: BTreeMap<String, Stamp>,
}

impl Watch {
    /// Renders, and prints the text if it is another, or why there is none.
    fn render(
        &mut self,
        session: &mut Session<'_>,
        why: &str,
        interval: Duration,
        tell: &dyn Fn(Told<'_>),
    ) {
        if !why.is_empty() {
            tell(Told::Words(&format!("# {why}\n")));
        }
        // Before they are read: a change in between is seen at the next look.
        for file in session.files() {
            self.stamps.insert(file.to_owned(), stamp(file));
        }
        let rendered = session.render(tell);
        for want in &session.used {
            if let Want::File { path } = want {
                self.stamps.entry(path.clone()).or_insert_with(|| stamp(path));
            }
        }
        self.retry = None;
        let done = rendered.and_then(|output| {
            let is_new = self.last.as_ref().is_none_or(|last| last.expose() != output.expose());
            if is_new {
                session.deliver(&output, tell)?;
            }
            self.last = Some(output);
            Ok(())
        });
        if let Err(failure) = done {
            tell(Told::Words(&failure.text));
            self.last = None;
            self.retry = Some(session.clock.now().since_start() + interval);
        }
    }

    /// Why to render again because of a file; forgets what was in it.
    fn changed(&mut self, session: &mut Session<'_>, tell: &dyn Fn(Told<'_>)) -> Option<String> {
        let mut changed = BTreeSet::new();
        for (file, known) in &mut self.stamps {
            let now = stamp(file);
            if now != *known {
                *known = now;
                changed.insert(file.clone());
            }
        }
        let first = changed.first().cloned()?;
        for path in &changed {
            if session.live.is_some() {
                session.snapshot.found.remove(&Want::File { path: path.clone() });
            }
            if let super::Source::Data(file) = &session.options.source
                && file == path
            {
                match canned::read(file) {
                    Ok(snapshot) => session.snapshot = snapshot,
                    Err(line) => {
                        tell(Told::Words(&format!("{line}\n")));
                        self.last = None;
                        return None;
                    }
                }
            }
        }
        Some(format!("{first} changed"))
    }

    /// Why to render again because of a secret; forgets the secrets whose time has come.
    fn due(&mut self, session: &mut Session<'_>, interval: Duration) -> Option<String> {
        let now = session.clock.now();
        if self.retry.is_some_and(|at| now.since_start() >= at) {
            return Some("trying again".to_owned());
        }
        let mut due = Vec::new();
        for (want, since) in &session.fetched {
            let lasts = match (want, session.snapshot.found.get(want)) {
                (Want::File { .. }, _) => None,
                (_, Some(Found::Reading(reading))) if !reading.lease_id.is_empty() => {
                    Some(Duration::from_secs(reading.lease_duration) * LEASE_TENTHS / 10)
                }
                // What was written would be written again.
                (Want::List { .. } | Want::Read { .. }, Some(_)) => Some(interval),
                _ => None,
            };
            if lasts.is_some_and(|lasts| now.since(*since) >= lasts) {
                due.push(want.clone());
            }
        }
        for want in &due {
            session.snapshot.found.remove(want);
            session.fetched.remove(want);
        }
        due.first().map(|want| format!("reading {} again", want.path()))
    }
}
