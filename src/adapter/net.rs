//! Listening, signals and file descriptors: what the server needs of the operating system.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::pin::pin;
use std::task::Poll;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Lets this process open as many files as it is allowed to, and says how many that is. Many container runtimes start
/// it with 1,024 and let it have hundreds of thousands: the low number is for programs that call select(2), which we
/// do not.
pub(crate) fn raise_descriptors() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return USUAL_DESCRIPTORS };
    let now = if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        hard
    } else {
        soft
    };
    usize::try_from(now).unwrap_or(usize::MAX)
}

/// The low number.
const USUAL_DESCRIPTORS: usize = 1024;

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
