//! HTTPS on one listener: bounded connections, bounded waits, and an orderly end.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::AlertDescription;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::adapter::net::{First, Paced, Stage, race, speaks_tls};

/// A request as handlers get it.
pub(crate) type Call = Request<Incoming>;

/// A whole answer.
pub(crate) type Reply = Response<Full<Bytes>>;

/// What bounds the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
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
    /// A client did not accept our certificate.
    Distrusted(io::Error),
    /// A client and we found no common ground.
    HandshakeFailed(io::Error),
    /// A connection was accepted.
    Opened,
    /// A client spoke plain HTTP.
    Plain,
}

/// Serves until `end` and then until the last request is answered or the drain limit is reached.
/// Returns whether all were answered. To be called on a `LocalSet`.
///
/// With all connections taken those between two requests are closed, so that nobody keeps others out
/// by doing nothing.
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
            Ok((stream, slot)) => shared.open(stream, slot, &handle),
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

/// What connections share.
struct Shared {
    acceptor: TlsAcceptor,
    bounds: Bounds,
    /// Whether no connection may live longer than its request.
    ends: Cell<bool>,
    /// Wakes all connections: those that are not needed close.
    hurry: Notify,
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
    ) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
        if self.is_full() {
            self.hurry.notify_waiters();
        }
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, _peer) = listener.accept().await?;
        Ok((stream, slot))
    }

    fn open<H, F>(self: &Rc<Self>, stream: TcpStream, slot: OwnedSemaphorePermit, handle: &H)
    where
        H: Fn(Call) -> F + Clone + 'static,
        F: Future<Output = Reply> + 'static,
    {
        (self.tell)(Event::Opened);
        let connection = Rc::clone(self).connection(stream, slot, handle.clone());
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
            let Ok((stream, _peer)) = listener.accept() else { break };
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.open(stream, slot, handle);
            }
        }
    }

    async fn connection<H, F>(
        self: Rc<Self>,
        stream: TcpStream,
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
        match timeout(self.bounds.header, self.shake_hands(stream)).await {
            Ok(Ok(Some(stream))) => self.serve_connection(stream, handle).await,
            Ok(Ok(None)) => (self.tell)(Event::Plain),
            Ok(Err(error)) if is_silent(&error) => {}
            Ok(Err(error)) if is_distrust(&error) => (self.tell)(Event::Distrusted(error)),
            Ok(Err(error)) => (self.tell)(Event::HandshakeFailed(error)),
            Err(_elapsed) => {
                (self.tell)(Event::HandshakeFailed(io::ErrorKind::TimedOut.into()));
            }
        }
    }

    /// `None` when the client does not speak TLS and was told.
    async fn shake_hands(&self, stream: TcpStream) -> io::Result<Option<TlsStream<TcpStream>>> {
        if speaks_tls(&stream).await? {
            return self.acceptor.accept(stream).await.map(Some);
        }
        refuse_plain(stream).await.map(|()| None)
    }

    async fn serve_connection<H, F>(self: &Rc<Self>, stream: TlsStream<TcpStream>, handle: H)
    where
        H: Fn(Call) -> F,
        F: Future<Output = Reply>,
    {
        let stage = Stage::new();
        let stream = TokioIo::new(Paced::new(stream, stage.clone(), self.bounds.header));
        let service = service_fn(|call: Call| {
            stage.request_begins();
            let reply = handle(call);
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
                First::Left(_outcome) => break,
                First::Right(()) if self.ends.get() || stage.is_idle() => {
                    connection.as_mut().graceful_shutdown();
                }
                First::Right(()) => {}
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

/// Why there is no body.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The client broke off.
    Break(hyper::Error),
    /// It did not come in time.
    Late,
    /// More than this many bytes.
    Long(usize),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Break(error) => write!(f, "request body broken off: {error}"),
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
            Self::Late => StatusCode::REQUEST_TIMEOUT,
            Self::Long(_) => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}

/// A body and its part of the budget, given back when both are dropped.
pub(crate) struct Body<'a> {
    /// All of it.
    pub(crate) bytes: Vec<u8>,
    _share: SemaphorePermit<'a>,
}

/// Reads a whole body of at most `bytes_max` bytes. `budget` holds as many permits as bytes may be kept
/// for all clients together; a body waits until it may have its announced length.
pub(crate) async fn read_body<'a>(
    body: &mut Incoming,
    bytes_max: usize,
    budget: &'a Semaphore,
    within: Duration,
) -> Result<Body<'a>, BodyError> {
    let hint = body.size_hint();
    let announced = usize::try_from(hint.upper().unwrap_or(0)).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(BodyError::Long(bytes_max));
    }
    let length_max = if hint.upper().is_some() { announced } else { bytes_max };
    let whole = async {
        let permits = u32::try_from(length_max).unwrap_or(u32::MAX);
        let share = budget.acquire_many(permits).await.map_err(|_closed| BodyError::Late)?;
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(BodyError::Break)?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len().saturating_add(data.len()) > bytes_max {
                return Err(BodyError::Long(bytes_max));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Body { bytes, _share: share })
    };
    timeout(within, whole).await.map_err(|_elapsed| BodyError::Late)?
}

/// Takes what a client still sends and throws it away, within bounds, so that it reads our answer
/// instead of a reset connection.
pub(crate) async fn discard_body(body: &mut Incoming, bytes_max: usize, within: Duration) {
    let mut left = bytes_max;
    let rest = async {
        while let Some(Ok(frame)) = body.frame().await {
            let count = frame.data_ref().map_or(0, Bytes::len);
            left = left.saturating_sub(count);
            if left == 0 {
                break;
            }
        }
    };
    let _out_of_time = timeout(within, rest).await;
}
