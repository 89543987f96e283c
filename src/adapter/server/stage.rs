//! Where a connection stands, and a stream that keeps to its pace.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

use crate::adapter::net::{First, race};
use crate::domain::crowd::{Look, Peer, Standing};

/// Where a connection stands: what is waited for, and since when. hyper's own timer cannot tell waiting for
/// a request from waiting for the rest of its header.
#[derive(Clone, Debug)]
pub(crate) struct Stage(Rc<Place>);

#[derive(Debug)]
struct Place {
    address: SocketAddr,
    waits: Cell<Waits>,
    since: Cell<Instant>,
    /// Whether it ever brought a whole review.
    is_proven: Cell<bool>,
    /// Whether it has to go.
    is_dismissed: Cell<bool>,
    /// Bytes of the shared memory that its bodies and answers hold.
    held: Arc<AtomicUsize>,
    /// That there is something to look at: it has to go, or the server ends.
    nudge: Notify,
    /// Since when the peer has taken nothing of what was sent.
    stalled: Cell<Option<Instant>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// For the first byte of a request.
    Idle,
    /// For the rest of a header.
    Header,
    /// For the rest of a body.
    Body,
    /// For memory that others hold.
    Memory,
    /// For us.
    Answer,
}

impl Stage {
    /// A new connection owes a handshake and a header.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self(Rc::new(Place {
            address,
            waits: Cell::new(Waits::Header),
            since: Cell::new(Instant::now()),
            is_proven: Cell::new(false),
            is_dismissed: Cell::new(false),
            held: Arc::default(),
            nudge: Notify::new(),
            stalled: Cell::new(None),
        }))
    }

    /// The other end.
    pub(super) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// The other end's address, as a number.
    pub(super) fn peer(&self) -> Peer {
        Peer(match self.0.address.ip().to_canonical() {
            IpAddr::V4(address) => address.to_bits().into(),
            IpAddr::V6(address) => address.to_bits(),
        })
    }

    /// Bytes of the shared memory that it holds, to be kept up by those who hold them.
    pub(super) fn held(&self) -> &Arc<AtomicUsize> {
        &self.0.held
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    fn turn(&self, waits: Waits) {
        self.0.waits.set(waits);
        self.0.since.set(Instant::now());
    }

    /// The header is whole.
    pub(super) fn request_begins(&self) {
        self.turn(Waits::Answer);
    }

    /// From now on the client owes its body.
    pub(super) fn body_begins(&self) {
        self.turn(Waits::Body);
    }

    /// While `work` lasts, the client's body waits for memory; what it owed before, it owes after.
    pub(super) async fn waits_for_memory<T>(&self, work: impl Future<Output = T>) -> T {
        let owed = self.0.since.get().elapsed();
        self.turn(Waits::Memory);
        let done = work.await;
        let now = Instant::now();
        self.0.waits.set(Waits::Body);
        self.0.since.set(now.checked_sub(owed).unwrap_or(now));
        done
    }

    /// The client waits for us again.
    pub(super) fn body_ends(&self) {
        self.turn(Waits::Answer);
    }

    /// The client brought a whole review.
    pub(super) fn prove(&self) {
        self.0.is_proven.set(true);
    }

    /// The answer is ready.
    pub(super) fn request_ends(&self) {
        self.turn(Waits::Idle);
    }

    /// Whether nothing was asked since the last answer, which was taken.
    pub(super) fn is_idle(&self) -> bool {
        self.0.waits.get() == Waits::Idle && self.0.stalled.get().is_none()
    }

    /// How it stands now.
    pub(super) fn look(&self) -> Look {
        let (standing, since) = match (self.0.stalled.get(), self.0.waits.get()) {
            (Some(since), _) => (Standing::Owing, since),
            (None, Waits::Idle) => (Standing::Resting, self.0.since.get()),
            (None, Waits::Header | Waits::Body) => (Standing::Owing, self.0.since.get()),
            (None, Waits::Memory) => (Standing::Waiting, self.0.since.get()),
            (None, Waits::Answer) => (Standing::Busy, self.0.since.get()),
        };
        Look { standing, age: since.elapsed(), is_proven: self.0.is_proven.get() }
    }

    /// It has to go.
    pub(super) fn dismiss(&self) {
        self.0.is_dismissed.set(true);
        self.nudge();
    }

    pub(super) fn is_dismissed(&self) -> bool {
        self.0.is_dismissed.get()
    }

    /// Wakes the connection, so that it looks at what has changed.
    pub(super) fn nudge(&self) {
        self.0.nudge.notify_one();
    }

    /// Waits for the next nudge.
    pub(super) async fn nudged(&self) {
        self.0.nudge.notified().await;
    }

    /// `None` when the connection had to go before `work` was done.
    pub(super) async fn unless_dismissed<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            match race(work.as_mut(), self.nudged()).await {
                First::Left(done) => return Some(done),
                First::Right(()) if self.is_dismissed() => return None,
                First::Right(()) => {}
            }
        }
    }

    /// Whether the peer takes what is sent.
    fn stalls(&self, stalls: bool) {
        let since = stalls.then(|| self.0.stalled.get().unwrap_or_else(Instant::now));
        self.0.stalled.set(since);
    }
}

/// A stream that breaks off when a header comes too slowly or when answers are not taken.
pub(super) struct Paced<S> {
    stream: S,
    stage: Stage,
    limit: Duration,
    /// Running while a header is owed.
    header: Option<Pin<Box<Sleep>>>,
    /// Running while the peer takes nothing.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    /// `limit` is for one whole header, and for one pause of a peer that takes nothing.
    pub(super) const fn new(stream: S, stage: Stage, limit: Duration) -> Self {
        Self { stream, stage, limit, header: None, stall: None }
    }

    /// A pending operation is cut off when its timer has run out; the timer starts at the first call.
    fn wait<T>(
        timer: &mut Option<Pin<Box<Sleep>>>,
        limit: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        let timer =
            timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.stage.stalls(result.is_pending());
        match result {
            Poll::Ready(result) => {
                self.stall = None;
                Poll::Ready(result)
            }
            Poll::Pending => Self::wait(&mut self.stall, self.limit, cx),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.stage.0.waits.get() != Waits::Header {
            this.header = None;
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(cx, buf);
        if this.stage.0.waits.get() == Waits::Idle && buf.filled().len() > before {
            this.stage.turn(Waits::Header);
        }
        if this.stage.0.waits.get() != Waits::Header {
            return result;
        }
        // Bytes that trickle in do not stop the clock.
        match Self::wait(&mut this.header, this.limit, cx) {
            Poll::Ready(late) => Poll::Ready(late),
            Poll::Pending => result,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(cx, result)
    }

    // Else every answer would be copied once more, and its memory not be accounted for.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.written(cx, result)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_flush(cx);
        this.written(cx, result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.written(cx, result)
    }
}
