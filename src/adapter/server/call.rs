//! One request: who asks, its body, and the memory that body and answer take.

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::{Share, Shared, Stage};

/// A request as handlers get it.
pub(crate) struct Call {
    /// Method, path and header fields.
    pub(crate) head: Parts,
    /// Who asks.
    pub(crate) peer: SocketAddr,
    body: Incoming,
    shared: Rc<Shared>,
    stage: Stage,
}

/// Bytes by which a body's share grows: so little is held for what has not arrived.
const STEP: usize = 64 * 1024;

/// A whole body.
pub(crate) struct Body {
    /// All of it.
    pub(crate) bytes: Vec<u8>,
    /// For the body, and then for its answer.
    pub(crate) share: Share,
}

/// Why there is no body, or no room for an answer.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The client broke off.
    Break(hyper::Error),
    /// Others hold the memory.
    Crowded,
    /// It did not come in time.
    Late,
    /// More than this many bytes.
    Long(usize),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Break(error) => write!(f, "request body broken off: {error}"),
            Self::Crowded => f.write_str("too many large requests at once, try again"),
            Self::Late => f.write_str("request body did not come in time"),
            Self::Long(max) => write!(f, "request body larger than {max} bytes"),
        }
    }
}

impl BodyError {
    /// The HTTP status that says so.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Break(_) => StatusCode::BAD_REQUEST,
            Self::Crowded => StatusCode::TOO_MANY_REQUESTS,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
            Self::Long(_) => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}

impl Call {
    pub(super) fn new(request: Request<Incoming>, stage: Stage, shared: Rc<Shared>) -> Self {
        let (head, body) = request.into_parts();
        Self { head, peer: stage.address(), body, shared, stage }
    }

    /// Reads the whole body, at most `bytes_max` bytes. What outgrows its free bytes takes of the shared memory as it
    /// arrives; nothing is held for what was only announced.
    pub(crate) async fn read(
        &mut self,
        bytes_max: usize,
        within: Duration,
    ) -> Result<Body, BodyError> {
        let announced = self.body.size_hint().upper();
        let announced = announced.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if announced.is_some_and(|bytes| bytes > bytes_max) {
            return Err(BodyError::Long(bytes_max));
        }
        self.stage.body_begins();
        let whole = self.read_whole(bytes_max, announced.unwrap_or(bytes_max));
        let body = timeout(within, whole).await.map_err(|_elapsed| BodyError::Late);
        self.stage.body_ends();
        body?
    }

    async fn read_whole(&mut self, bytes_max: usize, most: usize) -> Result<Body, BodyError> {
        let free = self.shared.bounds.free_bytes;
        let mut share = self.shared.memory.share(&self.stage);
        let mut bytes = Vec::with_capacity(most.min(free));
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(BodyError::Break)?;
            let Ok(data) = frame.into_data() else { continue };
            let length = bytes.len().saturating_add(data.len());
            if length > bytes_max {
                return Err(BodyError::Long(bytes_max));
            }
            let held = free + share.bytes();
            if length > held {
                let step = (length - held).max(STEP.min(most.saturating_sub(held)));
                let grown = self.shared.acquire(|| share.grow_for_body(step));
                self.stage.waits_for_memory(grown).await?;
                // Pages that nothing is written to are none, so this takes no more than the share.
                bytes.reserve_exact(most.saturating_sub(bytes.len()));
            }
            bytes.extend_from_slice(&data);
            // Who sends fast does not keep those waiting who send little.
            if share.bytes() > 0 {
                yield_now().await;
            }
        }
        share.body_ends();
        Ok(Body { bytes, share })
    }

    /// Waits for the turn of this client's address: one that asks a lot waits for itself.
    pub(crate) async fn turn(&self) {
        self.shared.decisions.turn(self.stage.peer()).await;
    }

    /// Makes a share large enough for an answer, if that can be done at once.
    pub(crate) fn fits(&self, answer_bytes: usize, share: &mut Share) -> bool {
        share.resize(answer_bytes.saturating_sub(self.shared.bounds.free_bytes))
    }

    /// Waits until it can be done.
    pub(crate) async fn make_room(
        &self,
        answer_bytes: usize,
        share: &mut Share,
    ) -> Result<(), BodyError> {
        self.shared.acquire(|| self.fits(answer_bytes, share)).await
    }

    /// The client brought a whole review.
    pub(crate) fn prove(&self) {
        self.stage.prove();
    }

    /// An answer that holds its share of the memory until the client has taken it.
    pub(crate) fn keep(answer: Vec<u8>, share: Share) -> Bytes {
        Bytes::from_owner(Kept { bytes: answer, _share: share })
    }

    /// Takes what the client still sends and throws it away, within bounds, so that it reads our answer
    /// instead of a reset connection.
    pub(crate) async fn discard(&mut self, bytes_max: usize, within: Duration) {
        let mut left = bytes_max;
        self.stage.body_begins();
        let rest = async {
            while let Some(Ok(frame)) = self.body.frame().await {
                let count = frame.data_ref().map_or(0, Bytes::len);
                left = left.saturating_sub(count);
                if left == 0 {
                    break;
                }
                yield_now().await;
            }
        };
        let _out_of_time = timeout(within, rest).await;
        self.stage.body_ends();
    }
}

/// An answer and its share.
struct Kept {
    bytes: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
