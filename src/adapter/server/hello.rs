//! The first words of a connection, read before anything is made for it: most that come to do harm say none.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes of a record with a ClientHello. Those of API servers have 250 to 2,000, the larger ones with keys for
/// quantum computers.
const HELLO_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a client until the handshake is done, what it sends ahead included.
const HANDSHAKE_BYTES_MAX: usize = 32 * 1024;

/// Bytes of a record's header (RFC 8446 §5.1).
const HEADER_BYTES: usize = 5;

/// The type of records that hold handshakes.
const HANDSHAKE: u8 = 22;

/// What a client begins with.
pub(super) enum Hello {
    /// Something that is no TLS; the stream.
    Plain(TcpStream),
    /// A whole record, to be read again.
    Tls(Greeted),
}

/// Waits for the first record. Its bytes are kept, and no more than it says that it has.
pub(super) async fn read(stream: TcpStream) -> io::Result<Hello> {
    let mut said = Vec::new();
    loop {
        let wanted = match said.get(..HEADER_BYTES) {
            Some([_, _, _, high, low]) => {
                HEADER_BYTES + usize::from(u16::from_be_bytes([*high, *low]))
            }
            _ => HEADER_BYTES,
        };
        if wanted > HELLO_BYTES_MAX {
            let text = format!("a first record of {wanted} bytes, at most {HELLO_BYTES_MAX}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if said.len() >= wanted {
            // Answers are one write each; waiting for more to send only delays them.
            let _slower_at_worst = stream.set_nodelay(true);
            let left = Some(HANDSHAKE_BYTES_MAX);
            return Ok(Hello::Tls(Greeted { said, taken: 0, left, stream }));
        }
        stream.readable().await?;
        let missing = wanted - said.len();
        match take(&stream, &mut said, missing) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if said.first().is_some_and(|first| *first != HANDSHAKE) {
            return Ok(Hello::Plain(stream));
        }
    }
}

/// Takes at most so many bytes of what is there.
fn take(stream: &TcpStream, into: &mut Vec<u8>, bytes_max: usize) -> io::Result<usize> {
    let mut piece = [0_u8; 2048];
    let room = bytes_max.min(piece.len());
    let count = stream.try_read(piece.get_mut(..room).unwrap_or_default())?;
    into.extend_from_slice(piece.get(..count).unwrap_or_default());
    Ok(count)
}

/// A stream whose first bytes were read already, and that takes a bounded number of them until it is believed.
pub(super) struct Greeted {
    said: Vec<u8>,
    taken: usize,
    /// Bytes that may still come; `None` for any number.
    left: Option<usize>,
    stream: TcpStream,
}

impl Greeted {
    /// The handshake is done.
    pub(super) fn believe(&mut self) {
        self.left = None;
    }
}

impl AsyncRead for Greeted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let rest = this.said.get(this.taken..).unwrap_or_default();
        if !rest.is_empty() {
            let piece = rest.get(..buf.remaining().min(rest.len())).unwrap_or_default();
            buf.put_slice(piece);
            this.taken += piece.len();
            if this.taken == this.said.len() {
                (this.said, this.taken) = (Vec::new(), 0);
            }
            return Poll::Ready(Ok(()));
        }
        if this.left == Some(0) {
            let text = format!("a handshake of more than {HANDSHAKE_BYTES_MAX} bytes");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(cx, buf);
        let came = buf.filled().len() - before;
        this.left = this.left.map(|left| left.saturating_sub(came));
        result
    }
}

impl AsyncWrite for Greeted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, parts)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
