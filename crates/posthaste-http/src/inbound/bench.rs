//! Work that takes too long for the threads that serve everybody: hashing twenty megabytes, looking for mistakes.

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Bytes of a body up to which it is looked at in place: no longer than a handover takes.
const IN_PLACE_BYTES_MAX: usize = 64 * 1024;
/// Long bodies that are looked at at the same time. The others wait for their turn.
const LONG_ONES_MAX: usize = 4;
/// Refusals that are explained at the same time. The others are not explained.
const EXPLAINED_MAX: usize = 2;

/// Where such work is done.
pub(crate) struct Bench {
    long: Semaphore,
    explained: Semaphore,
}

impl Default for Bench {
    fn default() -> Self {
        Self { long: Semaphore::new(LONG_ONES_MAX), explained: Semaphore::new(EXPLAINED_MAX) }
    }
}

impl Bench {
    /// Does work on a body of so many bytes.
    pub(crate) async fn work<T, W>(&self, bytes: usize, work: W) -> T
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        if bytes <= IN_PLACE_BYTES_MAX {
            return work();
        }
        let _place = self.long.acquire().await;
        elsewhere(work).await
    }

    /// Does work that nobody needs, if there is a place for it.
    pub(crate) async fn explain<T, W>(&self, work: W) -> Option<T>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let _place = self.explained.try_acquire().ok()?;
        Some(elsewhere(work).await)
    }
}

async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The process is going away, and so is whoever waits.
        Err(Err(_)) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Work that ends when another task of the same thread says so.
    fn held_back() -> (mpsc::Sender<()>, impl FnOnce() -> u8 + Send + 'static) {
        let (end, ended) = mpsc::channel();
        (end, move || {
            ended.recv().unwrap();
            7
        })
    }

    #[tokio::test]
    async fn a_long_body_keeps_nobody_else_waiting() {
        let bench = Bench::default();
        let (end, work) = held_back();
        let (done, ()) = tokio::join!(bench.work(IN_PLACE_BYTES_MAX + 1, work), async {
            end.send(()).unwrap();
        });
        assert_eq!(done, 7);
        assert_eq!(bench.work(1, || 8).await, 8);
    }

    #[tokio::test]
    async fn of_many_refusals_a_few_are_explained_at_a_time() {
        let bench = Bench::default();
        let ((end_one, one), (end_two, two)) = (held_back(), held_back());
        let (first, second, ()) = tokio::join!(bench.explain(one), bench.explain(two), async {
            assert_eq!(bench.explain(|| 9).await, None);
            end_one.send(()).unwrap();
            end_two.send(()).unwrap();
        });
        assert_eq!((first, second), (Some(7), Some(7)));
        assert_eq!(bench.explain(|| 9).await, Some(9));
    }
}
