//! Listening, signals and the pace of a connection: what the server needs of the operating system.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Sleep};

/// Listens on an address as Go writes it: an empty host is every address, IPv6 where there is any. Of what is
/// sent on its connections the kernel takes so many bytes before the peer does, twice.
pub(crate) fn listen(address: &str, send_buffer: u32) -> io::Result<TcpListener> {
    if let Some(port) = address.strip_prefix(':') {
        let any = |host: &str| listen_on(&format!("{host}:{port}"), send_buffer);
        return any("[::]").or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
            _ => any("0.0.0.0"),
        });
    }
    listen_on(address, send_buffer)
}

/// The first address of a name that can be listened on.
fn listen_on(name: &str, send_buffer: u32) -> io::Result<TcpListener> {
    let mut outcome = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in name.to_socket_addrs()? {
        outcome = bind(address, send_buffer);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn bind(address: SocketAddr, send_buffer: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(send_buffer)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Connections that wait to be accepted; the kernel has a limit of its own, mostly the same.
const BACKLOG: u32 = 4096;

/// The signals that end the process.
pub(crate) struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
}

/// Which of them came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndSignal {
    /// SIGINT: a person.
    Interrupt,
    /// SIGTERM: Kubernetes.
    Terminate,
}

impl EndSignal {
    /// `SIGINT` or `SIGTERM`
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }
}

impl EndSignals {
    /// From now on these signals no longer kill the process.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> EndSignal {
        let interrupt = self.interrupt.recv();
        match race(interrupt, self.terminate.recv()).await {
            First::Left(_) => EndSignal::Interrupt,
            First::Right(_) => EndSignal::Terminate,
        }
    }
}

/// SIGHUP, which would end the process.
pub(crate) struct Hangups(Signal);

impl Hangups {
    /// From now on it no longer does.
    pub(crate) fn catch() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        let _none_is_left_out = self.0.recv().await;
    }
}

/// Which of two futures was ready first.
pub(crate) enum First<A, B> {
    /// The first one, also when both were.
    Left(A),
    /// The second one.
    Right(B),
}

/// Waits for whichever comes first and drops the other.
pub(crate) async fn race<A, B>(
    left: impl Future<Output = A>,
    right: impl Future<Output = B>,
) -> First<A, B> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(move |cx| {
        if let Poll::Ready(a) = left.as_mut().poll(cx) {
            return Poll::Ready(First::Left(a));
        }
        right.as_mut().poll(cx).map(First::Right)
    })
    .await
}

/// Whether a connection starts with a TLS record: a handshake's first byte is 22 (RFC 8446 §5.1).
/// Nothing is taken from the stream.
pub(crate) async fn speaks_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0_u8];
    let count = stream.peek(&mut first).await?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(first == [22])
}

/// Where a connection stands: what is waited for, and since when. hyper's own timer cannot tell waiting for
/// a request from waiting for the rest of its header.
#[derive(Clone, Debug)]
pub(crate) struct Stage(Rc<Place>);

#[derive(Debug)]
struct Place {
    waits: Cell<Waits>,
    since: Cell<Instant>,
    /// Whether the last request needed more memory than is free to all.
    is_heavy: Cell<bool>,
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
    /// For us.
    Answer,
}

impl Stage {
    /// A new connection owes a handshake and a header.
    pub(crate) fn new() -> Self {
        Self(Rc::new(Place {
            waits: Cell::new(Waits::Header),
            since: Cell::new(Instant::now()),
            is_heavy: Cell::new(false),
            stalled: Cell::new(None),
        }))
    }

    fn turn(&self, waits: Waits) {
        self.0.waits.set(waits);
        self.0.since.set(Instant::now());
    }

    /// The header is whole.
    pub(crate) fn request_begins(&self) {
        self.turn(Waits::Answer);
        self.0.is_heavy.set(false);
    }

    /// The request needs more memory than is free to all.
    pub(crate) fn weigh(&self) {
        self.0.is_heavy.set(true);
    }

    /// Whether memory comes free when the connection closes.
    pub(crate) fn is_heavy(&self) -> bool {
        self.0.is_heavy.get()
    }

    /// From now on the client owes its body.
    pub(crate) fn body_begins(&self) {
        self.turn(Waits::Body);
    }

    /// The client waits for us again.
    pub(crate) fn body_ends(&self) {
        self.turn(Waits::Answer);
    }

    /// The answer is ready.
    pub(crate) fn request_ends(&self) {
        self.turn(Waits::Idle);
    }

    /// Whether nothing was asked since the last answer, which was taken.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.waits.get() == Waits::Idle && self.0.stalled.get().is_none()
    }

    /// Since when the client has made us wait; now, while it waits for us.
    pub(crate) fn owed_since(&self) -> Instant {
        match self.0.stalled.get() {
            Some(since) => since,
            None if self.0.waits.get() == Waits::Answer => Instant::now(),
            None => self.0.since.get(),
        }
    }

    /// Whether the peer takes what is sent.
    fn stalls(&self, stalls: bool) {
        let since = stalls.then(|| self.0.stalled.get().unwrap_or_else(Instant::now));
        self.0.stalled.set(since);
    }
}

/// A stream that breaks off when a header comes too slowly or when answers are not taken.
pub(crate) struct Paced<S> {
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
    pub(crate) const fn new(stream: S, stage: Stage, limit: Duration) -> Self {
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
