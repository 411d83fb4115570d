//! The connection as the `postgres` client sees it once the login is done: what it sends first,
//! its StartupMessage, goes nowhere, and what it reads first is the login's outcome.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use postgres::tls::{ChannelBinding, TlsStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket, with TLS or without.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A connection that has logged in.
pub(super) struct LoggedIn {
    wire: Box<dyn Wire>,
    startup: Swallowed,
    /// What the client reads before the wire.
    replay: Vec<u8>,
    replayed: usize,
}

/// How much of the client's StartupMessage has come.
enum Swallowed {
    /// The bytes of its length that have come.
    Length(Vec<u8>),
    /// So many bytes are to come.
    Body(usize),
}

impl LoggedIn {
    pub(super) fn new(wire: Box<dyn Wire>, replay: Vec<u8>) -> Self {
        Self {
            wire,
            startup: Swallowed::Length(Vec::new()),
            replay,
            replayed: 0,
        }
    }
}

impl Swallowed {
    /// How many of `bytes` belong to the StartupMessage; none when it is complete.
    fn swallow(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Length(read) => {
                let count = bytes.len().min(4_usize.saturating_sub(read.len()));
                read.extend(bytes.iter().take(count));
                if let Ok(length) = <[u8; 4]>::try_from(read.as_slice()) {
                    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                    *self = Self::Body(length.saturating_sub(4));
                }
                count
            }
            Self::Body(left) => {
                let count = bytes.len().min(*left);
                *left -= count;
                count
            }
        }
    }
}

impl AsyncRead for LoggedIn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.replay.get(self.replayed..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut self.wire).poll_read(cx, buf);
        }
        let count = left.len().min(buf.remaining());
        buf.put_slice(left.get(..count).unwrap_or_default());
        self.replayed += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LoggedIn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.startup.swallow(buf) {
            0 => Pin::new(&mut self.wire).poll_write(cx, buf),
            count => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

impl TlsStream for LoggedIn {
    /// For SCRAM only, which is not spoken here.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_startup_message_is_swallowed_whatever_its_pieces() {
        let sent = [&[0, 0, 0, 9][..], b"hello", b"Q..."].concat();
        for size in 1..=sent.len() {
            let mut startup = Swallowed::Length(Vec::new());
            let mut passed: Vec<u8> = Vec::new();
            for mut piece in sent.chunks(size) {
                while !piece.is_empty() {
                    match startup.swallow(piece) {
                        0 => {
                            passed.extend(piece);
                            break;
                        }
                        count => piece = &piece[count..],
                    }
                }
            }
            assert_eq!(passed, b"Q...", "pieces of {size}");
        }
    }

    #[test]
    fn the_outcome_is_read_before_the_wire_whatever_the_pieces() {
        let mut context = Context::from_waker(std::task::Waker::noop());
        for size in 1..=12 {
            let wire = io::Cursor::new(b"rest".to_vec());
            let mut stream = LoggedIn::new(Box::new(wire), b"outcome".to_vec());
            let mut read: Vec<u8> = Vec::new();
            loop {
                let mut piece = vec![0; size];
                let mut buf = ReadBuf::new(&mut piece);
                let polled = Pin::new(&mut stream).poll_read(&mut context, &mut buf);
                assert!(matches!(polled, Poll::Ready(Ok(()))));
                if buf.filled().is_empty() {
                    break;
                }
                read.extend(buf.filled());
            }
            assert_eq!(read, b"outcomerest", "pieces of {size}");
        }
    }
}
