//! One request: who asks, its body, and the memory that body and answer take.

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::Shared;
use crate::adapter::net::Stage;

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

/// Bytes that win a client our patience anew: a large body may take its time on a slow line, at 4 Mbit/s.
const PROGRESS: usize = 256 * 1024;

/// What a review takes for each byte of its body: itself, the patch that is made of it, and that in base64.
const GROWTH: usize = 3;

/// A whole body.
pub(crate) struct Body {
    /// All of it.
    pub(crate) bytes: Vec<u8>,
    /// For the body and what is made of it.
    pub(crate) share: Share,
}

/// A part of the memory for large bodies and answers, given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Share(Option<OwnedSemaphorePermit>);

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
    pub(super) fn new(
        request: Request<Incoming>,
        peer: SocketAddr,
        stage: Stage,
        shared: Rc<Shared>,
    ) -> Self {
        let (head, body) = request.into_parts();
        Self { head, peer, body, shared, stage }
    }

    /// Reads the whole body, at most `bytes_max` bytes. One that outgrows its free bytes waits until there
    /// is room for all of it, so that no two wait for each other; nothing is held for what was only announced.
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
        let mut share = Share::default();
        let mut bytes = Vec::with_capacity(most.min(free));
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(BodyError::Break)?;
            let Ok(data) = frame.into_data() else { continue };
            let length = bytes.len().saturating_add(data.len());
            if length > bytes_max {
                return Err(BodyError::Long(bytes_max));
            }
            if length > free && share.0.is_none() {
                // Meanwhile the client waits for us.
                self.stage.body_ends();
                share = self.shared.share(most.saturating_mul(GROWTH), &self.stage).await?;
                self.stage.body_begins();
                bytes.reserve_exact(most - bytes.len());
            }
            if length / PROGRESS > bytes.len() / PROGRESS {
                self.stage.body_begins();
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Body { bytes, share })
    }

    /// An answer that holds its share of the memory until the client has taken it. It takes over the share
    /// of its body.
    pub(crate) async fn keep(&self, answer: Vec<u8>, mut share: Share) -> Result<Bytes, BodyError> {
        let needed = answer.len().saturating_sub(self.shared.bounds.free_bytes);
        let has = share.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if has < needed {
            drop(share);
            share = self.shared.share(answer.len(), &self.stage).await?;
        } else if let Some(permits) = &mut share.0 {
            drop(permits.split(has - needed));
        }
        Ok(Bytes::from_owner(Kept { bytes: answer, _share: share }))
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
            }
        };
        let _out_of_time = timeout(within, rest).await;
        self.stage.body_ends();
    }
}

impl Shared {
    /// Room for so many bytes, free ones apart, in the order in which it was asked for.
    async fn share(&self, bytes: usize, stage: &Stage) -> Result<Share, BodyError> {
        let beyond = bytes.saturating_sub(self.bounds.free_bytes);
        if beyond == 0 {
            return Ok(Share::default());
        }
        stage.weigh();
        // What is larger than all there is has to be alone.
        let permits = u32::try_from(beyond.min(self.bounds.shared_bytes)).unwrap_or(u32::MAX);
        let share = self.press_for(Arc::clone(&self.shares).acquire_many_owned(permits));
        let share = timeout(self.bounds.share_within, share).await;
        let permits = share.map_err(|_elapsed| BodyError::Crowded)?;
        permits.map(|permits| Share(Some(permits))).map_err(|_closed| BodyError::Crowded)
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
