//! A few tasks write what is asked for often. Commands that wait while a transaction runs become the next one: group
//! commit, without a timer, in a handful of statements however many commands there are.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::Object;
use futures_util::FutureExt as _;
use posthaste_fault::{Bug, planted, point};
use tokio::sync::{Mutex, Notify, Semaphore, mpsc, oneshot};

use super::batch::{self, Command, Witness};
use super::pool::Pool;
use super::shared::Shared;
use super::work::{Work, code, is_lost, took_too_long, was_in_the_way};
use crate::error::StoreError;

/// Tasks, each with a connection: while one commits, another fills the next transaction.
pub(super) const WRITERS: usize = 2;
/// Commands that are worth a second transaction beside the one under way.
const WORTH_A_SECOND: usize = 256;
/// How long a second one waits for the first otherwise: somebody's lock may be in that one's way.
const SECOND_AFTER: Duration = Duration::from_millis(20);
/// Commands in one transaction: enough to make the cost of a commit small, few enough to keep it short.
const BATCH_MAX: usize = 1_024;
/// Bytes of bodies in one transaction, give or take one command.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Commands that wait; past that the engine waits, and callers are refused.
const WAITING_MAX: usize = 16_384;
/// Bytes of bodies that wait or are being written, so that a PostgreSQL that stalls costs no more memory than that.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// How long a caller waits: past that they hear 503, and what was not begun by then is not done any more.
const CALLER_WAIT: Duration = Duration::from_secs(10);

/// How long a look may take at whether a transaction took place.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// How often commands are tried together that another transaction was in the way of; then in halves.
const TOGETHER_MAX: u32 = 3;

/// The way to the writing tasks. They end when it is dropped, once they have done what was asked for.
pub(super) struct Writer {
    commands: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
    shared: Arc<Shared>,
}

impl Writer {
    pub(super) fn start(pool: &Pool, shared: &Arc<Shared>) -> Self {
        let (commands, queue) = mpsc::channel(WAITING_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let turns = Arc::<Turns>::default();
        for _ in 0..WRITERS {
            let writing = Writing {
                pool: pool.clone(),
                shared: Arc::clone(shared),
                queue: Arc::clone(&queue),
                turns: Arc::clone(&turns),
            };
            tokio::spawn(writing.run());
        }
        let room = Arc::new(Semaphore::new(WAITING_BYTES_MAX));
        Self { commands, room, shared: Arc::clone(shared) }
    }

    /// Has a command done and returns once it is on disk. `command` puts the caller into it.
    pub(super) async fn run<T, E: From<StoreError>>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Command,
    ) -> Result<T, E> {
        let (caller, answered) = oneshot::channel();
        let mut command = command(caller);
        let answered =
            async { answered.await.map_err(|_| StoreError::Unavailable("the command panicked".into()))? };
        if !command.is_of_a_caller() {
            self.commands.send(command).await.map_err(|_| gone())?;
            return answered.await;
        }
        let weight = u32::try_from(command.weight()).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(weight) else {
            return Err(self.shared.shed("as much waits to be written as memory is set aside for").into());
        };
        command.takes(room);
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => self.shared.shed("as many commands wait as may"),
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        match tokio::time::timeout(CALLER_WAIT, answered).await {
            Ok(answer) => answer,
            Err(_) => Err(self.shared.shed("a transaction takes too long").into()),
        }
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the store is closing".into())
}

/// Why a transaction is not known to have taken place.
enum Undone {
    /// It did not.
    Before(StoreError),
    /// Nobody can say.
    Unknown(StoreError),
}

struct Writing {
    pool: Pool,
    shared: Arc<Shared>,
    queue: Arc<Mutex<mpsc::Receiver<Command>>>,
    turns: Arc<Turns>,
}

/// How many tasks write now, and that one of them is done.
#[derive(Default)]
struct Turns {
    writing: AtomicUsize,
    ended: Notify,
}

impl Turns {
    /// A transaction costs the same however little is in it: while one is under way, a second one waits until it is worth
    /// that, or until the first one takes too long to be waited for.
    async fn wait(&self, queue: &mpsc::Receiver<Command>) {
        let ended = self.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        if self.writing.load(Ordering::Acquire) > 0 && queue.len() < WORTH_A_SECOND {
            let _ = tokio::time::timeout(SECOND_AFTER, ended).await;
        }
    }

    fn begin(&self) {
        self.writing.fetch_add(1, Ordering::AcqRel);
    }

    fn end(&self) {
        self.writing.fetch_sub(1, Ordering::AcqRel);
        self.ended.notify_waiters();
    }
}

impl Writing {
    async fn run(self) {
        let mut waiting = Vec::with_capacity(BATCH_MAX);
        loop {
            if waiting.is_empty() {
                let mut queue = self.queue.lock().await;
                self.turns.wait(&queue).await;
                if queue.recv_many(&mut waiting, BATCH_MAX).await == 0 {
                    return;
                }
                self.turns.begin();
            } else {
                self.turns.begin();
            }
            // Nobody waits for these any more: they would only keep others waiting.
            waiting.retain(|command| !command.is_abandoned());
            let rest = waiting.split_off(fitting(&waiting));
            let batch = std::mem::replace(&mut waiting, rest);
            // Deferred commands come first the next time.
            // A panic ends its transaction, and nobody else's.
            let committed = AssertUnwindSafe(self.commit(batch)).catch_unwind().await;
            self.turns.end();
            let mut deferred = committed.unwrap_or_else(|_| {
                tracing::error!("a command panicked: its transaction did not take place");
                vec![]
            });
            deferred.append(&mut waiting);
            waiting = deferred;
        }
    }

    /// Has commands done, together if that works and in halves if not, so that only the one at fault hears of it.
    /// Returns those that must wait for what others of their transaction wrote.
    async fn commit(&self, batch: Vec<Command>) -> Vec<Command> {
        let mut deferred = Vec::new();
        let mut open = vec![batch];
        while let Some(mut commands) = open.pop() {
            match self.transaction(&mut commands).await {
                Ok(()) => {
                    point!("batch.answering");
                    for command in commands {
                        deferred.extend(command.answer());
                    }
                }
                Err(error) if commands.len() > 1 && is_a_commands_fault(&error) => {
                    let behind = commands.split_off(commands.len() / 2);
                    open.push(behind);
                    open.push(commands);
                }
                Err(error) => {
                    if !is_a_commands_fault(&error) {
                        self.shared.note_failure();
                        tracing::error!(%error, commands_count = commands.len(), "a transaction did not take place");
                    }
                    let error = Arc::new(error);
                    for command in commands {
                        command.refuse(&error);
                    }
                }
            }
        }
        deferred
    }

    /// Runs commands as one transaction, again if another one was in its way; all of it is on disk, or nothing.
    async fn transaction(&self, commands: &mut [Command]) -> Result<(), StoreError> {
        let mut tries = 1;
        loop {
            match Box::pin(self.attempt(commands)).await {
                Err(Undone::Before(error))
                    if (was_in_the_way(&error) || is_lost(&error)) && tries < TOGETHER_MAX =>
                {
                    tries += 1;
                }
                Err(Undone::Before(error) | Undone::Unknown(error)) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn attempt(&self, commands: &mut [Command]) -> Result<(), Undone> {
        point!("batch.taken");
        let mut work = Work::unbegun(&self.pool, &self.shared).await.map_err(Undone::Before)?;
        let witness = match batch::run(&mut work, commands).await {
            Ok(witness) => witness,
            Err(error) => {
                work.roll_back().await;
                return Err(Undone::Before(error));
            }
        };
        work.effects.commands_count = commands.iter().filter(|command| command.is_answered()).count() as u64;
        let effects = match work.try_commit().await {
            Ok(()) => return Ok(()),
            Err((error, effects)) if is_lost(&error) => (error, effects),
            Err((error, _)) => return Err(Undone::Before(error)),
        };
        point!("batch.unknown");
        if planted(Bug::UnknownIsDone) {
            self.shared.settle(effects.1);
            return Ok(());
        }
        let handed_over = effects.1.claimed.iter().map(|claimed| claimed.lease.token);
        let leases: Vec<i64> = commands.iter().flat_map(Command::leases).chain(handed_over).collect();
        self.look(witness, effects).await.map_err(|error| {
            self.shared.forsake(leases);
            Undone::Unknown(error)
        })
    }

    /// The connection was lost on the way of a COMMIT: looks whether it took place.
    async fn look(
        &self,
        witness: Option<Witness>,
        (error, effects): (StoreError, super::shared::Effects),
    ) -> Result<(), StoreError> {
        let Some(witness) = witness else { return Err(error) };
        tracing::warn!(%error, "the connection was lost while it committed: looking whether it did");
        let Ok(connection) = self.pool.get().await else { return Err(error) };
        let Ok(there) = tokio::time::timeout(LOOK_MAX, witness.is_there(&connection)).await else {
            // It still waits for its answer: nobody else may have it.
            drop(Object::take(connection));
            return Err(error);
        };
        if !there? {
            return Err(StoreError::Unavailable("the connection was lost while it committed".into()));
        }
        self.shared.settle(effects);
        Ok(())
    }
}

/// How many commands one transaction takes.
fn fitting(commands: &[Command]) -> usize {
    let mut weight = 0;
    let fits = commands.iter().take_while(|command| {
        let fits = weight < BATCH_BYTES_MAX;
        weight += command.weight();
        fits
    });
    fits.count()
}

/// What PostgreSQL refused, or cannot be read, is some command's fault; a lost connection or a long wait is not.
fn is_a_commands_fault(error: &StoreError) -> bool {
    (code(error).is_some() && !is_lost(error) && !took_too_long(error))
        || matches!(error, StoreError::Corrupt { .. })
}
