//! A request's body that must arrive in time: in all, and from one piece to the next.
//!
//! A client that trickles its body would else hold a connection, and what was read so far, for as long as it likes.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// The body took too long.
#[derive(Debug)]
pub(crate) struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body did not arrive in time")
    }
}

impl Error for TooSlow {}

impl TooSlow {
    /// Whether this is why a body could not be read.
    pub(crate) fn caused(error: &(dyn Error + 'static)) -> bool {
        error.is::<Self>() || error.source().is_some_and(Self::caused)
    }
}

/// A body with limits on its time.
pub(crate) struct InTime<B> {
    body: B,
    total: Duration,
    idle: Duration,
    /// Set while the body is waited for; most come with their head, and need no timer.
    waiting: Option<Pin<Box<Sleep>>>,
    /// When it must have ended; counted from the first look at it, since until then nobody waits.
    deadline: Option<Instant>,
}

impl<B> InTime<B> {
    pub(crate) fn new(body: B, total: Duration, idle: Duration) -> Self {
        Self { body, total, idle, waiting: None, deadline: None }
    }
}

impl<B> Body for InTime<B>
where
    B: Body + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = B::Data;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let now = Instant::now();
        let total = self.total;
        let deadline = *self.deadline.get_or_insert(now + total);
        if now < deadline
            && let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context)
        {
            self.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let until = deadline.min(now + self.idle);
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Some(Err(TooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body as AnyBody;
    use bytes::Bytes;
    use futures_util::{StreamExt as _, stream};
    use http_body_util::BodyExt as _;

    use super::*;

    const TOTAL: Duration = Duration::from_secs(30);
    const IDLE: Duration = Duration::from_secs(10);

    /// So many pieces, one each `seconds`; then silence, or the end.
    fn pieces(count: usize, seconds: u64, ends: bool) -> InTime<AnyBody> {
        let clock = tokio::time::interval(Duration::from_secs(seconds));
        let piece = |mut clock: tokio::time::Interval| async move {
            clock.tick().await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), clock))
        };
        let some = stream::unfold(clock, piece).take(count);
        let body = if ends {
            AnyBody::from_stream(some)
        } else {
            AnyBody::from_stream(some.chain(stream::pending()))
        };
        InTime::new(body, TOTAL, IDLE)
    }

    /// Whether it was cut off, and after how many seconds.
    async fn read(body: InTime<AnyBody>) -> (bool, u64) {
        let began = Instant::now();
        let cut_off = body.collect().await.is_err_and(|error| TooSlow::caused(&*error));
        (cut_off, began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_pause_so_long_and_take_so_long_and_no_longer() {
        assert_eq!(read(pieces(4, 9, true)).await, (false, 27));
        assert_eq!(read(pieces(0, 1, false)).await, (true, 10), "silent from the start");
        assert_eq!(read(pieces(2, 9, false)).await, (true, 19), "silent after 9 s");
        assert_eq!(read(pieces(99, 9, true)).await, (true, 30), "never silent for long");
        assert_eq!(read(pieces(99, 11, true)).await, (true, 10), "the second piece comes too late");
    }
}
