//! HTTPS on one listener: bounded connections, bounded waits, and an orderly end.
//!
//! Whoever comes is let in at once, and somebody else has to go when there is no room: `domain::crowd` says who.
//! There are two rooms. Strangers have not said a whole word of TLS yet and cost next to nothing. Guests have, and each
//! takes a place with buffers and keys. Memory for large bodies and answers is shared by all guests; who makes
//! others wait for it has to go too. Clients in a hurry never notice any of it.

mod call;
mod door;
mod hello;
mod memory;
mod stage;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
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
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub(crate) use self::call::{Body, BodyError, Call};
use self::door::Door;
use self::hello::{Greeted, Hello};
use self::memory::Memory;
pub(crate) use self::memory::Share;
use self::stage::{Paced, Stage};
use crate::adapter::net::{First, race};
use crate::domain::crowd::ledger::Sizes;
use crate::domain::crowd::{Crowd, Entry, Holder, debtor};

/// A whole answer.
pub(crate) type Reply = Response<Full<Bytes>>;

/// What bounds the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of a body or an answer that need no share of `shared_bytes`.
    pub(crate) free_bytes: usize,
    /// Bytes of all bodies and answers beyond their free ones.
    pub(crate) shared_bytes: usize,
    /// Of these, bytes of one body.
    pub(crate) body_bytes_max: usize,
    /// Of these, bytes of the bodies of one address.
    pub(crate) peer_bytes_max: usize,
    /// Longest wait for a share of `shared_bytes`.
    pub(crate) share_within: Duration,
    /// How long a client may make us wait while others wait for its place or its memory.
    pub(crate) patience: Duration,
    /// Connections that have not said a whole word of TLS.
    pub(crate) strangers_max: usize,
    /// Connections that have.
    pub(crate) guests_max: usize,
    /// Of these, those that brought a whole review and may stay while others come.
    pub(crate) proven_max: usize,
    /// Longest wait for what remains after the listener is closed.
    pub(crate) drain: Duration,
    /// Bytes of a request's header.
    pub(crate) header_bytes_max: usize,
    /// For a first word, for a handshake, for a header, and for a peer that takes nothing.
    pub(crate) header: Duration,
    /// For a connection between two requests.
    pub(crate) idle: Duration,
}

impl Bounds {
    /// The same for a process that may open so many files: strangers are as many as fit beside guests and what else is
    /// open, and a few in any case.
    pub(crate) fn within(self, descriptors: usize) -> Self {
        let fit = descriptors.saturating_sub(self.guests_max + OWN_DESCRIPTORS).max(FEW);
        Self { strangers_max: self.strangers_max.min(fit), ..self }
    }
}

/// Files and sockets that are no connections: some twenty at most.
const OWN_DESCRIPTORS: usize = 64;
/// Strangers where there are too few descriptors for all guests.
const FEW: usize = 16;

/// What happened to a connection, for counters and the log.
#[derive(Debug)]
pub(crate) enum Event {
    /// The kernel refused to hand over a connection; the next try is after a pause.
    AcceptFailed(io::Error),
    /// A connection was closed.
    Closed,
    /// A client had to go, since others came.
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
    let shared = Shared::new(tls, bounds, tell);
    let keeper = Rc::clone(&shared);
    let _keeps_on = tokio::task::spawn_local(async move { keeper.handshakes.keep().await });
    let keeper = Rc::clone(&shared);
    let _keeps_on = tokio::task::spawn_local(async move { keeper.decisions.keep().await });
    let mut end = pin!(end);
    let mut accepted_in_a_row = 0_u32;
    loop {
        match race(end.as_mut(), listener.accept()).await {
            First::Left(()) => break,
            First::Right(Ok((stream, address))) => shared.open(stream, address, &handle),
            First::Right(Err(error)) => {
                (shared.tell)(Event::AcceptFailed(error));
                // Most likely out of file descriptors: a closed connection gives one back.
                shared.dismiss_stranger();
                if let First::Left(()) = race(end.as_mut(), sleep(ACCEPT_PAUSE)).await {
                    break;
                }
            }
        }
        accepted_in_a_row += 1;
        if accepted_in_a_row.is_multiple_of(ACCEPTED_IN_A_ROW) {
            tokio::task::yield_now().await;
        }
    }
    shared.open_queued(listener, &handle);
    shared.end().await
}

/// After a connection could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Connections that are taken before others get their turn: one takes some 20 µs.
const ACCEPTED_IN_A_ROW: u32 = 16;

/// Decisions that are made before others get their turn: one takes some 50 µs.
const DECISIONS_IN_A_ROW: u32 = 16;

/// How long who waits for memory or a place waits before it looks again by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Parts of the time that strangers leave in.
const SPREAD: u32 = 1000;

/// For telling a client at rest that its connection is closed.
const FAREWELL: Duration = Duration::from_millis(100);

/// What connections share.
struct Shared {
    acceptor: TlsAcceptor,
    bounds: Bounds,
    /// Turns for decisions.
    decisions: Door,
    /// Whether no connection may live longer than its request.
    ends: Cell<bool>,
    /// That the last connection is closed.
    empty: Notify,
    guests: RefCell<Crowd>,
    /// Turns for handshakes, each of which takes as much time as some reviews.
    handshakes: Door,
    memory: Arc<Memory>,
    next: Cell<u64>,
    /// Of every connection that is not closed, also of those that have to go.
    stages: RefCell<BTreeMap<u64, Stage>>,
    strangers: RefCell<Crowd>,
    tell: Rc<dyn Fn(Event)>,
}

impl Shared {
    fn new(tls: Arc<rustls::ServerConfig>, bounds: Bounds, tell: Rc<dyn Fn(Event)>) -> Rc<Self> {
        let sizes = Sizes {
            total: bounds.shared_bytes,
            body_max: bounds.body_bytes_max,
            peer_max: bounds.peer_bytes_max,
        };
        Rc::new(Self {
            acceptor: TlsAcceptor::from(tls),
            bounds,
            decisions: Door::new(false, DECISIONS_IN_A_ROW),
            ends: Cell::new(false),
            empty: Notify::new(),
            guests: RefCell::new(Crowd::new(bounds.guests_max, bounds.proven_max, bounds.patience)),
            handshakes: Door::new(true, 1),
            memory: Memory::new(sizes),
            next: Cell::new(0),
            stages: RefCell::default(),
            strangers: RefCell::new(Crowd::new(bounds.strangers_max, 0, bounds.patience)),
            tell,
        })
    }

    fn open<H, F>(self: &Rc<Self>, stream: TcpStream, address: SocketAddr, handle: &H)
    where
        H: Fn(Call) -> F + Clone + 'static,
        F: Future<Output = Reply> + 'static,
    {
        (self.tell)(Event::Opened);
        let (id, stage) = (self.next.get(), Stage::new(address));
        self.next.set(id + 1);
        if self.strangers.borrow().is_full() {
            self.dismiss_stranger();
        }
        self.strangers.borrow_mut().enter(id, stage.peer());
        self.stages.borrow_mut().insert(id, stage.clone());
        let member = Member { id, shared: Rc::clone(self), stage };
        let _detached = tokio::task::spawn_local(connection(stream, member, handle.clone()));
    }

    /// Closes the listener. What waits in the kernel's queue, as far as there is room, is taken first:
    /// closing resets it, and its clients believe that they are connected.
    fn open_queued<H, F>(self: &Rc<Self>, listener: TcpListener, handle: &H)
    where
        H: Fn(Call) -> F + Clone + 'static,
        F: Future<Output = Reply> + 'static,
    {
        let Ok(listener) = listener.into_std() else { return };
        for _ in 0..self.bounds.strangers_max {
            let Ok((stream, address)) = listener.accept() else { break };
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.open(stream, address, handle);
            }
        }
    }

    /// Waits for what has begun. Whether all of it was done within the limit.
    async fn end(&self) -> bool {
        self.ends.set(true);
        self.stages.borrow().values().for_each(Stage::nudge);
        let emptied = async {
            while !self.stages.borrow().is_empty() {
                self.empty.notified().await;
            }
        };
        timeout(self.bounds.drain, emptied).await.is_ok()
    }

    /// Once or twice the time of a header, of each another one: many that came at once do not leave at once, to come
    /// again all at once.
    fn patience_with_stranger(&self, id: u64) -> Duration {
        let part = u32::try_from(id % u64::from(SPREAD)).unwrap_or_default();
        self.bounds.header + self.bounds.header * part / SPREAD
    }

    /// Makes room among those that said nothing, if there is anybody.
    fn dismiss_stranger(&self) {
        let first = self.strangers.borrow().oldest_of_largest();
        first.into_iter().for_each(|id| self.dismiss(id));
    }

    fn dismiss(&self, id: u64) {
        self.forget(id);
        if let Some(stage) = self.stages.borrow().get(&id) {
            stage.dismiss();
            (self.tell)(Event::Cut(stage.address()));
        }
    }

    /// It has no place any more.
    fn forget(&self, id: u64) {
        self.strangers.borrow_mut().leave(id);
        self.guests.borrow_mut().leave(id);
    }

    /// Tries to make a guest of a stranger; false while nobody may be sent away.
    fn admit(&self, id: u64, stage: &Stage) -> bool {
        let stages = self.stages.borrow();
        let look = |id| stages.get(&id).map_or_else(|| stage.look(), Stage::look);
        let entry = self.guests.borrow().entry(stage.peer(), look);
        drop(stages);
        match entry {
            Entry::Later => return false,
            Entry::Instead(other) => self.dismiss(other),
            Entry::Free => {}
        }
        self.strangers.borrow_mut().leave(id);
        self.guests.borrow_mut().enter(id, stage.peer());
        true
    }

    /// Waits until `take` gets what it wants of the shared memory, and has those go who hold it for nothing.
    async fn acquire(&self, mut take: impl FnMut() -> bool) -> Result<(), BodyError> {
        let taken = async {
            loop {
                let freed = self.memory.freed();
                if take() {
                    return;
                }
                self.press();
                let _either = race(freed, sleep(LOOK_AGAIN)).await;
            }
        };
        timeout(self.bounds.share_within, taken).await.map_err(|_elapsed| BodyError::Crowded)
    }

    /// Dismisses one that holds memory and makes us wait.
    fn press(&self) {
        let holders: Vec<Holder> = {
            let stages = self.stages.borrow();
            let holding = stages.iter().filter(|(_, stage)| !stage.is_dismissed());
            let holding = holding.filter(|(_, stage)| stage.held_bytes() > 0);
            holding
                .map(|(id, stage)| Holder {
                    id: *id,
                    peer: stage.peer(),
                    bytes: stage.held_bytes(),
                    look: stage.look(),
                })
                .collect()
        };
        debtor(&holders, self.bounds.patience).into_iter().for_each(|id| self.dismiss(id));
    }
}

/// A connection's place, given up however its task ends.
struct Member {
    id: u64,
    shared: Rc<Shared>,
    stage: Stage,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shared.forget(self.id);
        self.shared.stages.borrow_mut().remove(&self.id);
        (self.shared.tell)(Event::Closed);
        if self.shared.stages.borrow().is_empty() {
            self.shared.empty.notify_one();
        }
    }
}

async fn connection<H, F>(stream: TcpStream, member: Member, handle: H)
where
    H: Fn(Call) -> F + 'static,
    F: Future<Output = Reply> + 'static,
{
    let (shared, stage) = (&member.shared, &member.stage);
    let hello = timeout(shared.patience_with_stranger(member.id), hello::read(stream));
    let event = match stage.unless_dismissed(hello).await {
        None => None,
        // In a box, so that who says nothing takes no memory for what comes after.
        Some(Ok(Ok(Hello::Tls(stream)))) => Box::pin(member.greeted(stream, handle)).await,
        Some(Ok(Ok(Hello::Plain(stream)))) => match refuse_plain(stream).await {
            Ok(()) => Some(Event::Plain(stage.address())),
            Err(error) => failed(stage, error),
        },
        Some(Ok(Err(error))) => failed(stage, error),
        Some(Err(_elapsed)) => failed(stage, io::ErrorKind::TimedOut.into()),
    };
    event.into_iter().for_each(|event| (shared.tell)(event));
}

/// What there is to tell of a connection without a session.
fn failed(stage: &Stage, error: io::Error) -> Option<Event> {
    match error {
        error if is_silent(&error) => None,
        error if is_distrust(&error) => Some(Event::Distrusted(stage.address(), error)),
        error => Some(Event::HandshakeFailed(stage.address(), error)),
    }
}

impl Member {
    /// From the first word on.
    async fn greeted<H, F>(&self, stream: Greeted, handle: H) -> Option<Event>
    where
        H: Fn(Call) -> F + 'static,
        F: Future<Output = Reply> + 'static,
    {
        let shake = timeout(self.shared.bounds.header, self.shake_hands(stream));
        match self.stage.unless_dismissed(shake).await? {
            Ok(Ok(stream)) => {
                self.serve(stream, handle).await;
                None
            }
            Ok(Err(error)) => failed(&self.stage, error),
            Err(_elapsed) => failed(&self.stage, io::ErrorKind::TimedOut.into()),
        }
    }

    async fn shake_hands(&self, stream: Greeted) -> io::Result<TlsStream<Greeted>> {
        self.shared.handshakes.turn(self.stage.peer()).await;
        while !self.shared.admit(self.id, &self.stage) {
            sleep(LOOK_AGAIN).await;
        }
        let mut stream = self.shared.acceptor.accept(stream).await?;
        stream.get_mut().0.believe();
        Ok(stream)
    }

    async fn serve<H, F>(&self, stream: TlsStream<Greeted>, handle: H)
    where
        H: Fn(Call) -> F,
        F: Future<Output = Reply>,
    {
        let (shared, stage) = (&self.shared, &self.stage);
        let bounds = shared.bounds;
        let stream = TokioIo::new(Paced::new(stream, stage.clone(), bounds.header));
        let service = service_fn(|request: Request<Incoming>| {
            stage.request_begins();
            let reply = handle(Call::new(request, stage.clone(), Rc::clone(shared)));
            async {
                let mut reply = reply.await;
                if shared.ends.get() {
                    let _none_before =
                        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                stage.request_ends();
                Ok::<Reply, Infallible>(reply)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.idle)
            .max_buf_size(bounds.header_bytes_max)
            .serve_connection(stream, service);
        let mut connection = pin!(connection);
        loop {
            match race(connection.as_mut(), stage.nudged()).await {
                // A client that goes away is its own business.
                First::Left(_outcome) => return,
                First::Right(()) if stage.is_dismissed() => {
                    if stage.is_idle() {
                        connection.as_mut().graceful_shutdown();
                        let _told_or_not = timeout(FAREWELL, connection).await;
                    }
                    return;
                }
                First::Right(()) if shared.ends.get() => connection.as_mut().graceful_shutdown(),
                First::Right(()) => {}
            }
        }
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

/// Takes what a client has sent, or closing would reset the connection and the answer would be lost. A function of its
/// own, as each connection's task would have room for its buffer.
fn throw_away(stream: &TcpStream) {
    let mut request = [0_u8; 4096];
    let _taken = stream.try_read(&mut request);
}

/// What Go's server says to a client that speaks plain HTTP.
async fn refuse_plain(stream: TcpStream) -> io::Result<()> {
    throw_away(&stream);
    // Nothing was sent yet, so all of it fits the socket's buffer.
    stream.writable().await?;
    let _bytes = stream.try_write(
        b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
          Connection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    )?;
    Ok(())
}
