//! Decisions where they keep nobody waiting, within the memory that their answers may take.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{spawn_blocking, spawn_local};

use crate::adapter::server::{Body, BodyError, Call, Share};
use crate::domain::inject::{Answer, InjectConfig, ReviewError, answer};
use crate::run::limits;

/// Decides about bodies.
pub(super) struct Decider {
    inject: Arc<InjectConfig>,
    /// One large body at a time, so that one decision's memory is all that decisions take.
    aside: Arc<Semaphore>,
}

/// Why there is no answer.
pub(super) enum Undecided {
    /// It is no review.
    NoReview(ReviewError),
    /// The decision panicked.
    Panic,
    /// There was no memory for the answer.
    Room(BodyError),
}

/// A decision, or nothing when it panicked.
type Decided = Option<Result<Answer, ReviewError>>;

impl Decider {
    pub(super) fn new(inject: InjectConfig) -> Self {
        Self { inject: Arc::new(inject), aside: Arc::new(Semaphore::new(1)) }
    }

    /// The answer to a body, and the share of memory that it takes.
    ///
    /// Nobody knows how large an answer is before it is made. One that finds no room is thrown away, and made again
    /// when there is some: so no more than one of them is in memory that nobody counts.
    pub(super) async fn decide(
        &self,
        call: &Call,
        mut body: Body,
    ) -> Result<(Answer, Share), Undecided> {
        loop {
            let (decided, turn);
            call.turn().await;
            if body.bytes.len() <= limits::SERVER.free_bytes {
                (decided, turn) = (contain(|| answer(&body.bytes, &self.inject)), None);
            } else {
                let aside = self.decide_aside(body).await.ok_or(Undecided::Panic)?;
                (decided, turn) = (aside.decided, Some(aside.turn));
                body = aside.body;
            }
            let answer = decided.ok_or(Undecided::Panic)?.map_err(Undecided::NoReview)?;
            if call.fits(answer.body.len(), &mut body.share) {
                return Ok((answer, body.share));
            }
            let needed = answer.body.len();
            drop((answer, turn));
            call.make_room(needed, &mut body.share).await.map_err(Undecided::Room)?;
        }
    }

    /// Decides on another thread. Goes on when nobody wants the answer any more, and keeps its share as long.
    async fn decide_aside(&self, body: Body) -> Option<Aside> {
        // Never closed.
        let turn = Arc::clone(&self.aside).acquire_owned().await.ok()?;
        let inject = Arc::clone(&self.inject);
        let (sender, receiver) = oneshot::channel();
        let _detached = spawn_local(async move {
            let Body { bytes, share } = body;
            let work = move || (contain(|| answer(&bytes, &inject)), bytes);
            if let Ok((decided, bytes)) = spawn_blocking(work).await {
                let _unwanted = sender.send(Aside { decided, body: Body { bytes, share }, turn });
            }
        });
        receiver.await.ok()
    }
}

/// What comes back from the other thread.
struct Aside {
    decided: Decided,
    body: Body,
    /// To be kept until the answer has a share or is gone.
    turn: OwnedSemaphorePermit,
}

/// Runs `work`, `None` when it panics.
fn contain<T>(work: impl FnOnce() -> T) -> Option<T> {
    // What the work may leave half done is dropped with it: it only reads what it shares.
    catch_unwind(AssertUnwindSafe(work)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_contained() {
        assert_eq!(contain(|| 7), Some(7));
        let none: Option<u8> = contain(|| panic!("hunter2"));
        assert_eq!(none, None);
    }
}
