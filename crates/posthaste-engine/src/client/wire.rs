//! A connection's bytes, looked at on their way: how many an answer took, and what came that nobody told us of.

use std::io::{self, Read as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that are read of one answer, whatever they are: a head, a body as long as we keep, and generous framing. It
/// ends what has no other limit, like interim answers (`103 Early Hints`) without end.
pub(super) const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What its connection's user sees and says of a wire.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    bytes_read: AtomicUsize,
    look: AtomicBool,
}

impl Watch {
    /// A new answer begins: counts from zero.
    pub(super) fn begin(&self) {
        self.0.bytes_read.store(0, Ordering::Relaxed);
    }

    /// Asks the system at the next read, instead of believing that it would have told us.
    ///
    /// A kept connection may have been closed, or spoken on, a moment ago, and the runtime hears of it only when it
    /// polls. Without the look a request would be written into a connection that is closed, and be counted as failed,
    /// or be answered by what was already there.
    pub(super) fn look(&self) {
        self.0.look.store(true, Ordering::Relaxed);
    }

    /// More was sent than an answer may have.
    pub(super) fn is_flooded(&self) -> bool {
        self.0.bytes_read.load(Ordering::Relaxed) > ANSWER_BYTES_MAX
    }
}

/// A stream that is watched.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    watch: Watch,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> (Self, Watch) {
        let watch = Watch::default();
        (Self { stream, watch: watch.clone() }, watch)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.watch.is_flooded() {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        let before = buf.filled().len();
        let looks = self.watch.0.look.swap(false, Ordering::Relaxed);
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Pending if looks => ready!(read_now(&self.stream, buf))?,
            polled => ready!(polled)?,
        }
        self.watch.0.bytes_read.fetch_add(buf.filled().len() - before, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

/// Reads what the system has, though the runtime has not heard of it yet.
fn read_now(stream: &TcpStream, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    let socket = SockRef::from(stream);
    match (&*socket).read(buf.initialize_unfilled()) {
        // Whoever is polled again later is woken by the runtime, which was asked first.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        Err(error) => Poll::Ready(Err(error)),
        Ok(count) => {
            buf.advance(count);
            Poll::Ready(Ok(()))
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
