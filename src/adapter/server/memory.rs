//! The memory for large bodies and answers, as shares that give themselves back.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Stage;
use crate::domain::crowd::Peer;
use crate::domain::crowd::ledger::{Ledger, Sizes};

/// The memory, and word of what comes free.
#[derive(Debug)]
pub(super) struct Memory {
    ledger: Mutex<Ledger>,
    freed: Notify,
}

/// A part of it, given back when it is dropped.
pub(crate) struct Share {
    memory: Arc<Memory>,
    peer: Peer,
    /// What the connection holds in all.
    held: Arc<AtomicUsize>,
    bytes: usize,
    /// Of a body that is not whole yet.
    body: Option<u64>,
}

impl Memory {
    pub(super) fn new(sizes: Sizes) -> Arc<Self> {
        Arc::new(Self { ledger: Mutex::new(Ledger::new(sizes)), freed: Notify::new() })
    }

    /// Nothing yet, for a connection.
    pub(super) fn share(self: &Arc<Self>, stage: &Stage) -> Share {
        Share {
            memory: Arc::clone(self),
            peer: stage.peer(),
            held: Arc::clone(stage.held()),
            bytes: 0,
            body: None,
        }
    }

    /// Waits until somebody gives something back; what comes back from now on counts.
    pub(super) fn freed(&self) -> tokio::sync::futures::Notified<'_> {
        self.freed.notified()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // Each call leaves it whole.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// How much it is.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes it larger for a body that goes on, if there is room.
    pub(super) fn grow_for_body(&mut self, bytes: usize) -> bool {
        let mut ledger = self.memory.ledger();
        let body = *self.body.get_or_insert_with(|| ledger.body_begins());
        let taken = ledger.take_for_body(body, self.peer, bytes);
        drop(ledger);
        self.taken(if taken { bytes } else { 0 });
        taken
    }

    /// The body is whole.
    pub(super) fn body_ends(&mut self) {
        if let Some(body) = self.body.take() {
            self.memory.ledger().body_ends(body);
            // Another one is the first now.
            self.memory.freed.notify_waiters();
        }
    }

    /// Makes it as large as this; larger only if there is room.
    pub(super) fn resize(&mut self, bytes: usize) -> bool {
        if let Some(more) = bytes.checked_sub(self.bytes) {
            let taken = self.memory.ledger().take(self.peer, more);
            self.taken(if taken { more } else { 0 });
            return taken;
        }
        let less = self.bytes - bytes;
        self.memory.ledger().give(self.peer, less);
        self.bytes = bytes;
        let _before = self.held.fetch_sub(less, Ordering::Relaxed);
        self.memory.freed.notify_waiters();
        true
    }

    fn taken(&mut self, bytes: usize) {
        self.bytes += bytes;
        let _before = self.held.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.body_ends();
        let _smaller_always_fits = self.resize(0);
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes)
    }
}
