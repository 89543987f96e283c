//! Turns for work that takes processor time: so many in a row, then everybody else has a chance.

use std::cell::RefCell;

use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;

use crate::domain::crowd::Peer;
use crate::domain::crowd::queue::Queue;

/// Where one waits for a turn.
pub(super) struct Door {
    queue: RefCell<Queue<oneshot::Sender<()>>>,
    knock: Notify,
    in_a_row: u32,
}

impl Door {
    /// Gives `in_a_row` turns before all others that can go on do.
    pub(super) fn new(newest_first: bool, in_a_row: u32) -> Self {
        Self { queue: RefCell::new(Queue::new(newest_first)), knock: Notify::new(), in_a_row }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self, peer: Peer) {
        let (sender, receiver) = oneshot::channel();
        self.queue.borrow_mut().push(peer, sender, oneshot::Sender::is_closed);
        self.knock.notify_one();
        // Without a keeper nobody has to wait.
        let _given_or_no_keeper = receiver.await;
    }

    /// Gives turns, for ever.
    pub(super) async fn keep(&self) {
        loop {
            let mut given = 0;
            while given < self.in_a_row {
                let Some(next) = self.queue.borrow_mut().next() else { break };
                // Some went away while they waited.
                given += u32::from(next.send(()).is_ok());
            }
            if given == 0 {
                self.knock.notified().await;
            } else {
                yield_now().await;
            }
        }
    }
}
