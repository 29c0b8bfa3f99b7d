//! One thread writes. Commands that wait while it commits become the next transaction: group commit, without a timer.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use posthaste_core::delivery::{Claimed, Lease};
use posthaste_core::dice::{Dice, roll};
use posthaste_core::id::EndpointId;
use posthaste_core::time::Timestamp;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::memo::Memo;
use crate::error::{ChangeError, StoreError};
use crate::queue::{Backlog, Commits, HandOver};
use crate::seal::Vault;

/// Commands in one transaction: enough to make the cost of a commit small, few enough to keep it short.
const BATCH_MAX: usize = 1_024;
/// Commands that wait; past that callers do.
const WAITING_MAX: usize = 16_384;

/// What a command wants done once its transaction is on disk.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) claimed: Vec<Claimed>,
    pub(super) due: Vec<(EndpointId, Timestamp)>,
    pub(super) job: bool,
    pub(super) waiting_delta: i64,
    pub(super) in_flight_delta: i64,
}

/// The engine that takes new deliveries, and for how long they are leased to it.
pub(super) type Engine = Option<(Arc<dyn HandOver>, Duration)>;

/// What a command works with: one open transaction, and what outlives it.
pub(super) struct Work<'a> {
    pub(super) conn: &'a Connection,
    pub(super) memo: &'a mut Memo,
    pub(super) vault: &'a Vault,
    pub(super) dice: &'a dyn Dice,
    pub(super) engine: &'a Engine,
    pub(super) effects: &'a mut Effects,
    lease_token: &'a mut i64,
}

impl Work<'_> {
    /// A lease that nobody had before.
    pub(super) fn lease(&mut self, lasts: Duration, now: Timestamp) -> Lease {
        *self.lease_token = self.lease_token.wrapping_add(1) & i64::MAX;
        Lease { token: *self.lease_token, until: now.later(lasts) }
    }
}

/// Whether an error leaves the transaction in doubt. A refusal does not: it is found out before anything is written.
pub(super) trait Fault {
    fn is_fault(&self) -> bool;
}

impl Fault for StoreError {
    fn is_fault(&self) -> bool {
        true
    }
}

impl Fault for ChangeError {
    fn is_fault(&self) -> bool {
        matches!(self, Self::Store(_))
    }
}

/// Ends a command: says what came of it, or that the transaction did not take place.
type Answer = Box<dyn FnOnce(Result<(), Arc<rusqlite::Error>>) + Send>;
/// Does a command's part of the transaction; `Err`: the transaction must not be committed.
type Command = Box<dyn FnOnce(&mut Work<'_>) -> (Answer, bool) + Send>;

/// The way to the writing thread.
pub(super) struct Writer {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

/// What the thread and the store both see.
#[derive(Default)]
struct Shared {
    engine: RwLock<Engine>,
    commits: AtomicU64,
    commands: AtomicU64,
    waiting: AtomicI64,
    in_flight: AtomicI64,
}

impl Writer {
    /// Starts the thread; it ends when the store is dropped.
    pub(super) fn start(
        conn: Connection,
        vault: Arc<Vault>,
        dice: Arc<dyn Dice>,
        backlog: Backlog,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::default());
        shared.waiting.store(backlog.waiting_count.cast_signed(), Ordering::Relaxed);
        shared.in_flight.store(backlog.in_flight_count.cast_signed(), Ordering::Relaxed);
        let (commands, queue) = mpsc::channel(WAITING_MAX);
        let lease_token = i64::from_le_bytes(roll(&*dice)) & i64::MAX;
        let thread =
            Thread { conn, vault, dice, shared: Arc::clone(&shared), memo: Memo::default(), lease_token };
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || thread.run(queue))
            .map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        Ok(Self { commands, shared })
    }

    /// Runs `command` in the next transaction and returns once that is on disk.
    ///
    /// A command that refuses must do so before it writes; one that may refuse later uses
    /// [`in_savepoint`](Self::in_savepoint).
    pub(super) async fn run<T, E>(
        &self,
        command: impl FnOnce(&mut Work<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Fault + From<StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let boxed: Command = Box::new(move |work| {
            let result = command(work);
            let spoiled = result.as_ref().is_err_and(Fault::is_fault);
            let end: Answer = Box::new(move |committed| {
                let result = match committed {
                    Ok(()) => result,
                    Err(error) if result.is_ok() => Err(StoreError::Unavailable(Box::new(error)).into()),
                    Err(_) => result,
                };
                // Whoever asked may have gone away; what was committed stays committed.
                let _ = answer.send(result);
            });
            (end, spoiled)
        });
        let gone = || StoreError::Unavailable("the store is closing".into());
        self.commands.send(boxed).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// The same for commands that find out half-way that they must refuse: what they wrote is undone.
    pub(super) async fn in_savepoint<T, E>(
        &self,
        command: impl FnOnce(&mut Work<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Fault + From<StoreError> + Send + 'static,
    {
        self.run(move |work| {
            let execute = |sql| work.conn.execute_batch(sql).map_err(StoreError::from);
            execute("SAVEPOINT command")?;
            let result = command(work);
            let execute = |sql| work.conn.execute_batch(sql).map_err(StoreError::from);
            if result.is_err() {
                execute("ROLLBACK TO command")?;
            }
            execute("RELEASE command")?;
            result
        })
        .await
    }

    pub(super) fn hand_over_to(&self, engine: Arc<dyn HandOver>, lease: Duration) {
        let mut current = self.shared.engine.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *current = Some((engine, lease));
    }

    pub(super) fn backlog(&self) -> Backlog {
        let count = |counter: &AtomicI64| u64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(0);
        Backlog { waiting_count: count(&self.shared.waiting), in_flight_count: count(&self.shared.in_flight) }
    }

    pub(super) fn commits(&self) -> Commits {
        Commits {
            commits_count: self.shared.commits.load(Ordering::Relaxed),
            commands_count: self.shared.commands.load(Ordering::Relaxed),
        }
    }
}

struct Thread {
    conn: Connection,
    vault: Arc<Vault>,
    dice: Arc<dyn Dice>,
    shared: Arc<Shared>,
    memo: Memo,
    lease_token: i64,
}

impl Thread {
    fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while queue.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
            let engine = self.shared.engine.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
            let commands_count = batch.len() as u64;
            let mut answers = Vec::with_capacity(batch.len());
            let mut effects = Effects::default();
            let committed = self.transaction(batch.drain(..), &engine, &mut answers, &mut effects);
            let committed = committed.map_err(Arc::new);
            if let Err(error) = &committed {
                tracing::error!(%error, commands_count, "a transaction did not take place");
                self.memo.clear();
            } else {
                self.shared.commits.fetch_add(1, Ordering::Relaxed);
                self.shared.commands.fetch_add(commands_count, Ordering::Relaxed);
                self.settle(effects, &engine);
            }
            for answer in answers {
                answer(committed.clone());
            }
        }
    }

    fn transaction(
        &mut self,
        commands: impl Iterator<Item = Command>,
        engine: &Engine,
        answers: &mut Vec<Answer>,
        effects: &mut Effects,
    ) -> Result<(), rusqlite::Error> {
        let begun = self.conn.execute_batch("BEGIN IMMEDIATE");
        let begun = begun.and_then(|()| self.memo.look_for_other_writers(&self.conn));
        let mut spoiled = false;
        for command in commands {
            // After a fault the rest still runs, to learn whom to answer, and is undone with it.
            let mut work = Work {
                conn: &self.conn,
                memo: &mut self.memo,
                vault: &self.vault,
                dice: &*self.dice,
                engine,
                effects,
                lease_token: &mut self.lease_token,
            };
            let (answer, fault) = command(&mut work);
            spoiled |= fault;
            answers.push(answer);
        }
        let ended = match (&begun, spoiled) {
            (Ok(()), false) => self.conn.execute_batch("COMMIT"),
            _ => Err(rusqlite::Error::ExecuteReturnedResults),
        };
        if ended.is_err() && !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        begun.and(ended)
    }

    /// Tells the engine what is now on disk, before the callers hear of it.
    fn settle(&self, effects: Effects, engine: &Engine) {
        self.shared.waiting.fetch_add(effects.waiting_delta, Ordering::Relaxed);
        self.shared.in_flight.fetch_add(effects.in_flight_delta, Ordering::Relaxed);
        let Some((engine, _)) = engine else { return };
        if !effects.claimed.is_empty() {
            engine.take(effects.claimed);
        }
        for (endpoint, due) in effects.due {
            engine.due(endpoint, due);
        }
        if effects.job {
            engine.job();
        }
    }
}
