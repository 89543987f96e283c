//! Turns for work that takes processor time: so many in a row, then everybody else has a chance.

use std::cell::{Cell, RefCell};

use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;

use crate::domain::crowd::Peer;
use crate::domain::crowd::queue::Queue;

/// Where one waits for a turn.
pub(super) struct Door {
    /// Turns given since everybody else had a chance.
    given: Cell<u32>,
    in_a_row: u32,
    knock: Notify,
    queue: RefCell<Queue<oneshot::Sender<()>>>,
}

impl Door {
    /// Gives `in_a_row` turns before all others that can go on do. Needs a keeper.
    pub(super) fn new(newest_first: bool, in_a_row: u32) -> Self {
        Self {
            given: Cell::new(0),
            in_a_row,
            knock: Notify::new(),
            queue: RefCell::new(Queue::new(newest_first)),
        }
    }

    /// Waits for a turn; there is one at once while few want one.
    pub(super) async fn turn(&self, peer: Peer) {
        self.knock.notify_one();
        if self.given.get() < self.in_a_row && self.queue.borrow().is_empty() {
            self.given.set(self.given.get() + 1);
            return;
        }
        let (sender, receiver) = oneshot::channel();
        self.queue.borrow_mut().push(peer, sender, oneshot::Sender::is_closed);
        let _given = receiver.await;
    }

    /// Gives turns, for ever.
    pub(super) async fn keep(&self) {
        loop {
            self.knock.notified().await;
            loop {
                yield_now().await;
                self.given.set(0);
                while self.given.get() < self.in_a_row {
                    let Some(next) = self.queue.borrow_mut().next() else { break };
                    // Some went away while they waited.
                    if next.send(()).is_ok() {
                        self.given.set(self.given.get() + 1);
                    }
                }
                if self.given.get() == 0 {
                    break;
                }
            }
        }
    }
}
