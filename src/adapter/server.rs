//! HTTPS on one listener: bounded connections, bounded waits, and an orderly end.
//!
//! Connections and the memory for large bodies are shared by all clients. While somebody waits for one of
//! them, none who holds it may make us wait: whoever has owed us a handshake, a header, a body or a next
//! request for longer than our patience loses its connection. Clients in a hurry never notice.

mod call;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::AlertDescription;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub(crate) use self::call::{BodyError, Call, Share};
use crate::adapter::net::{First, Paced, Stage, race, speaks_tls};

/// A whole answer.
pub(crate) type Reply = Response<Full<Bytes>>;

/// What bounds the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of a body or an answer that need no share of `shared_bytes`.
    pub(crate) free_bytes: usize,
    /// Bytes of all bodies and answers beyond their free ones. A body takes three times its length, for what
    /// is made of it.
    pub(crate) shared_bytes: usize,
    /// Longest wait for a share of `shared_bytes`.
    pub(crate) share_within: Duration,
    /// How long a client may make us wait while others wait for its connection or its memory.
    pub(crate) patience: Duration,
    /// Open connections; more wait in the kernel's queue.
    pub(crate) connections_max: usize,
    /// Longest wait for what remains after the listener is closed.
    pub(crate) drain: Duration,
    /// Bytes of a request's header.
    pub(crate) header_bytes_max: usize,
    /// For a handshake, for a header, and for a peer that takes nothing.
    pub(crate) header: Duration,
    /// For a connection between two requests.
    pub(crate) idle: Duration,
}

/// What happened to a connection, for counters and the log.
#[derive(Debug)]
pub(crate) enum Event {
    /// The kernel refused to hand over a connection; the next try is after a pause.
    AcceptFailed(io::Error),
    /// A connection was closed.
    Closed,
    /// A client that took its time was cut off, since others waited.
    Cut(SocketAddr),
    /// A client did not accept our certificate.
    Distrusted(SocketAddr, io::Error),
    /// A client and we found no common ground.
    HandshakeFailed(SocketAddr, io::Error),
    /// A connection was accepted.
    Opened,
    /// A client spoke plain HTTP.
    Plain(SocketAddr),
}

/// Serves until `end` and then until the last request is answered or the drain limit is reached.
/// Returns whether all were answered. To be called on a `LocalSet`.
pub(crate) async fn serve<H, F>(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    bounds: Bounds,
    end: impl Future<Output = ()>,
    tell: Rc<dyn Fn(Event)>,
    handle: H,
) -> bool
where
    H: Fn(Call) -> F + Clone + 'static,
    F: Future<Output = Reply> + 'static,
{
    let shared = Rc::new(Shared {
        acceptor: TlsAcceptor::from(tls),
        bounds,
        ends: Cell::new(false),
        hurry: Notify::new(),
        shares: Arc::new(Semaphore::new(bounds.shared_bytes)),
        slots: Arc::new(Semaphore::new(bounds.connections_max)),
        tell,
    });
    let mut end = pin!(end);
    loop {
        let accepted = match race(end.as_mut(), shared.accept(&listener)).await {
            First::Left(()) => break,
            First::Right(accepted) => accepted,
        };
        match accepted {
            Ok((stream, peer, slot)) => shared.open(stream, peer, slot, &handle),
            Err(error) => {
                (shared.tell)(Event::AcceptFailed(error));
                // Most likely out of file descriptors: a closed connection gives one back.
                if let First::Left(()) = race(end.as_mut(), sleep(ACCEPT_PAUSE)).await {
                    break;
                }
            }
        }
    }
    shared.open_queued(listener, &handle);
    shared.ends.set(true);
    shared.hurry.notify_waiters();
    let all = u32::try_from(bounds.connections_max).unwrap_or(u32::MAX);
    timeout(bounds.drain, shared.slots.acquire_many(all)).await.is_ok()
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How often those who take their time are looked for while somebody waits.
const PRESS_EVERY: Duration = Duration::from_millis(50);

/// What connections share.
struct Shared {
    acceptor: TlsAcceptor,
    bounds: Bounds,
    /// Whether no connection may live longer than its request.
    ends: Cell<bool>,
    /// Wakes all connections: those that end or try our patience close.
    hurry: Notify,
    /// One permit for each byte of `Bounds::shared_bytes`.
    shares: Arc<Semaphore>,
    /// One permit for each connection that may still be opened.
    slots: Arc<Semaphore>,
    tell: Rc<dyn Fn(Event)>,
}

impl Shared {
    fn is_full(&self) -> bool {
        self.slots.available_permits() == 0
    }

    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let slot = self.press_for(Arc::clone(&self.slots).acquire_owned()).await;
        let slot = slot.map_err(io::Error::other)?;
        let (stream, peer) = listener.accept().await?;
        Ok((stream, peer, slot))
    }

    /// Waits for what others hold, and meanwhile has those looked for who hold it for nothing.
    async fn press_for<T>(&self, scarce: impl Future<Output = T>) -> T {
        let mut scarce = pin!(scarce);
        loop {
            match race(scarce.as_mut(), sleep(PRESS_EVERY)).await {
                First::Left(got) => return got,
                First::Right(()) => self.hurry.notify_waiters(),
            }
        }
    }

    fn open<H, F>(
        self: &Rc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        slot: OwnedSemaphorePermit,
        handle: &H,
    ) where
        H: Fn(Call) -> F + Clone + 'static,
        F: Future<Output = Reply> + 'static,
    {
        (self.tell)(Event::Opened);
        let connection = Rc::clone(self).connection(stream, peer, slot, handle.clone());
        let _detached = tokio::task::spawn_local(connection);
    }

    /// Closes the listener. What waits in the kernel's queue, as far as there is room, is taken first:
    /// closing resets it, and its clients believe that they are connected.
    fn open_queued<H, F>(self: &Rc<Self>, listener: TcpListener, handle: &H)
    where
        H: Fn(Call) -> F + Clone + 'static,
        F: Future<Output = Reply> + 'static,
    {
        let Ok(listener) = listener.into_std() else { return };
        while let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            let Ok((stream, peer)) = listener.accept() else { break };
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.open(stream, peer, slot, handle);
            }
        }
    }

    async fn connection<H, F>(
        self: Rc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        slot: OwnedSemaphorePermit,
        handle: H,
    ) where
        H: Fn(Call) -> F + 'static,
        F: Future<Output = Reply> + 'static,
    {
        let _held = slot;
        let _told = Told(Rc::clone(&self.tell));
        // Answers are one write each; waiting for more to send only delays them.
        let _slower_at_worst = stream.set_nodelay(true);
        let stage = Stage::new();
        let shake = timeout(self.bounds.header, self.shake_hands(stream));
        let event = match self.unless_too_slow(&stage, shake).await {
            None => Some(Event::Cut(peer)),
            Some(Ok(Ok(Some(stream)))) => self.serve_connection(stream, peer, stage, handle).await,
            Some(Ok(Ok(None))) => Some(Event::Plain(peer)),
            Some(Ok(Err(error))) if is_silent(&error) => None,
            Some(Ok(Err(error))) if is_distrust(&error) => Some(Event::Distrusted(peer, error)),
            Some(Ok(Err(error))) => Some(Event::HandshakeFailed(peer, error)),
            Some(Err(_elapsed)) => {
                Some(Event::HandshakeFailed(peer, io::ErrorKind::TimedOut.into()))
            }
        };
        event.into_iter().for_each(|event| (self.tell)(event));
    }

    /// `None` when the client took its time while others waited.
    async fn unless_too_slow<T>(&self, stage: &Stage, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            match race(work.as_mut(), self.hurry.notified()).await {
                First::Left(done) => return Some(done),
                First::Right(()) if self.is_too_slow(stage) => return None,
                First::Right(()) => {}
            }
        }
    }

    fn is_too_slow(&self, stage: &Stage) -> bool {
        let helps = self.is_full() || stage.is_heavy();
        helps && !self.ends.get() && stage.owed_since().elapsed() > self.bounds.patience
    }

    /// `None` when the client does not speak TLS and was told.
    async fn shake_hands(&self, stream: TcpStream) -> io::Result<Option<TlsStream<TcpStream>>> {
        if speaks_tls(&stream).await? {
            return self.acceptor.accept(stream).await.map(Some);
        }
        refuse_plain(stream).await.map(|()| None)
    }

    async fn serve_connection<H, F>(
        self: &Rc<Self>,
        stream: TlsStream<TcpStream>,
        peer: SocketAddr,
        stage: Stage,
        handle: H,
    ) -> Option<Event>
    where
        H: Fn(Call) -> F,
        F: Future<Output = Reply>,
    {
        let stream = TokioIo::new(Paced::new(stream, stage.clone(), self.bounds.header));
        let service = service_fn(|request: Request<Incoming>| {
            stage.request_begins();
            let reply = handle(Call::new(request, peer, stage.clone(), Rc::clone(self)));
            async {
                let mut reply = reply.await;
                if self.ends.get() || self.is_full() {
                    let _none_before =
                        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                stage.request_ends();
                Ok::<Reply, Infallible>(reply)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.bounds.idle)
            .max_buf_size(self.bounds.header_bytes_max)
            .serve_connection(stream, service);
        let mut connection = pin!(connection);
        loop {
            match race(connection.as_mut(), self.hurry.notified()).await {
                // A client that goes away or is cut off is its own business.
                First::Left(_outcome) => return None,
                First::Right(()) if self.ends.get() => connection.as_mut().graceful_shutdown(),
                First::Right(()) if !self.is_too_slow(&stage) => {}
                First::Right(()) if stage.is_idle() => connection.as_mut().graceful_shutdown(),
                First::Right(()) => return Some(Event::Cut(peer)),
            }
        }
    }
}

/// Tells that a connection is closed, however its task ends.
struct Told(Rc<dyn Fn(Event)>);

impl Drop for Told {
    fn drop(&mut self) {
        (self.0)(Event::Closed);
    }
}

/// A client that connects and leaves without a word: a TCP probe.
fn is_silent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

/// What clients send that hold another CA for ours, or look for another name (RFC 8446 §6.2). Go says
/// `bad_certificate` to all of it.
fn is_distrust(error: &io::Error) -> bool {
    use AlertDescription::{
        BadCertificate, CertificateExpired, CertificateUnknown, DecryptError, UnknownCA,
    };
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    matches!(
        cause,
        Some(rustls::Error::AlertReceived(
            BadCertificate | CertificateExpired | CertificateUnknown | DecryptError | UnknownCA
        ))
    )
}

/// What Go's server says to a client that speaks plain HTTP.
async fn refuse_plain(stream: TcpStream) -> io::Result<()> {
    // Taken first, or closing would reset the connection and the answer would be lost.
    let mut request = [0_u8; 4096];
    let _taken = stream.try_read(&mut request);
    // Nothing was sent yet, so all of it fits the socket's buffer.
    stream.writable().await?;
    let _bytes = stream.try_write(
        b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
          Connection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    )?;
    Ok(())
}
