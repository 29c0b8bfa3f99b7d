//! One thread writes. Commands that wait while it commits become the next transaction: group commit, without a timer.

mod command;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use posthaste_core::dice::{Dice, roll};
use posthaste_fault::{Bug, planted, point};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use self::command::{Command, Committed, Task};
pub(super) use self::command::{Effects, Engine, Work};
use super::Workers;
use super::health::Health;
use super::memo::Memo;
use super::rollups;
use crate::error::StoreError;
use crate::queue::{Backlog, Commits, HandOver};
use crate::seal::Vault;

/// Commands in one transaction: enough to make the cost of a commit small, few enough to keep it short.
const BATCH_MAX: usize = 1_024;
/// Commands that wait; past that callers do.
const WAITING_MAX: usize = 16_384;

/// The way to the writing thread.
pub(super) struct Writer {
    /// `None` once it is closing.
    commands: Option<mpsc::Sender<Box<dyn Command>>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    health: Arc<Health>,
}

/// The thread ends once it has done what was asked for; until then the store is not closed.
impl Drop for Writer {
    fn drop(&mut self) {
        self.commands = None;
        // The engine can be the last to hold the store, and the writer the last to call the engine.
        if let Some(thread) = self.thread.take().filter(|t| t.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

/// What the thread and the store both see.
#[derive(Default)]
struct Shared {
    engine: RwLock<Engine>,
    commits: AtomicU64,
    commands: AtomicU64,
    backlog: Mutex<Counted>,
    source_changes: AtomicU64,
}

/// How much is owed. Kept together: between two counters a claim could be seen in neither.
#[derive(Clone, Copy, Default)]
struct Counted {
    waiting: i64,
    in_flight: i64,
}

impl Shared {
    fn backlog(&self) -> MutexGuard<'_, Counted> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Starts the thread; it ends when the store is dropped.
    pub(super) fn start(
        workers: Workers,
        conn: Connection,
        health: Arc<Health>,
        vault: Arc<Vault>,
        dice: Arc<dyn Dice>,
        backlog: Backlog,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::default());
        *shared.backlog() = Counted {
            waiting: backlog.waiting_count.cast_signed(),
            in_flight: backlog.in_flight_count.cast_signed(),
        };
        let (commands, queue) = mpsc::channel(WAITING_MAX);
        let lease_token = i64::from_le_bytes(roll(&*dice)) & i64::MAX;
        let thread = Thread {
            conn: Some(conn),
            health: Arc::clone(&health),
            vault,
            dice,
            shared: Arc::clone(&shared),
            memo: Memo::default(),
            lease_token,
        };
        let thread = match workers {
            Workers::Threads => {
                let builder = std::thread::Builder::new().name("store-writer".to_owned());
                let spawned = builder.spawn(move || thread.run(queue));
                Some(spawned.map_err(|error| StoreError::Unavailable(Box::new(error)))?)
            }
            Workers::CallersRuntime => {
                drop(tokio::spawn(thread.run_as_task(queue)));
                None
            }
        };
        Ok(Self { commands: Some(commands), thread, shared, health })
    }

    /// Runs `work` in the next transaction and returns once that is on disk.
    ///
    /// What refuses should do so before it writes: the other way round works, but costs every command of its batch a
    /// transaction of its own.
    pub(super) async fn run<T, E>(
        &self,
        work: impl FnMut(&mut Work<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let gone = || StoreError::Unavailable("the store is closing".into());
        let (caller, answered) = oneshot::channel();
        let commands = self.commands.as_ref().ok_or_else(gone)?;
        commands
            .send(Box::new(Task { work, result: None, caller: Some(caller) }))
            .await
            .map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    pub(super) fn hand_over_to(&self, engine: Arc<dyn HandOver>, lease: Duration) {
        let mut current = self.shared.engine.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some((engine, lease));
    }

    pub(super) fn backlog(&self) -> Backlog {
        let Counted { waiting, in_flight } = *self.shared.backlog();
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Backlog { waiting_count: count(waiting), in_flight_count: count(in_flight) }
    }

    pub(super) fn source_changes(&self) -> u64 {
        self.shared.source_changes.load(Ordering::Acquire)
    }

    pub(super) fn commits(&self) -> Commits {
        Commits {
            commits_count: self.shared.commits.load(Ordering::Relaxed),
            commands_count: self.shared.commands.load(Ordering::Relaxed),
            failures_count: self.health.failures_count(),
            unwell: self.health.check().is_err(),
            log_bytes: self.health.log_bytes(),
            shed_count: 0,
            clock_ahead_micros: 0,
        }
    }
}

struct Thread {
    /// `None` once the disk failed it, until there is a new one.
    conn: Option<Connection>,
    health: Arc<Health>,
    vault: Arc<Vault>,
    dice: Arc<dyn Dice>,
    shared: Arc<Shared>,
    memo: Memo,
    lease_token: i64,
}

impl Thread {
    fn run(mut self, mut queue: mpsc::Receiver<Box<dyn Command>>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while queue.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
            self.serve(&mut batch);
        }
    }

    async fn run_as_task(mut self, mut queue: mpsc::Receiver<Box<dyn Command>>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
            self.serve(&mut batch);
        }
    }

    fn serve(&mut self, batch: &mut Vec<Box<dyn Command>>) {
        match self.transaction(batch) {
            Err(Undone::Spoiled) => {
                for mut command in batch.drain(..) {
                    let committed = self.transaction(std::slice::from_mut(&mut command));
                    // Alone, a command that fails has its own error to tell.
                    command.answer(committed.or_else(Undone::unless_spoiled));
                }
            }
            committed => {
                let committed = committed.or_else(Undone::unless_spoiled);
                for mut command in batch.drain(..) {
                    command.answer(committed.clone());
                }
            }
        }
    }

    /// Runs commands as one transaction; all of it is on disk, or nothing.
    fn transaction(&mut self, commands: &mut [Box<dyn Command>]) -> Result<(), Undone> {
        let engine = self.shared.engine.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut effects = Effects::default();
        let conn = self.connection()?;
        // The thread outlives what it runs: without it nothing would be written any more.
        let ran = std::panic::catch_unwind(AssertUnwindSafe(|| {
            self.commit(&conn, commands, &engine, &mut effects)
        }));
        if let Err(why) = ran.unwrap_or_else(|_| Err(Undone::panicked())) {
            match &why {
                Undone::Failed(error) => {
                    tracing::error!(%error, commands_count = commands.len(), "a transaction did not take place");
                }
                // SQLite undid it by itself, as it does when the disk is full.
                Undone::Spoiled if conn.is_autocommit() => self.health.suspect(),
                Undone::Spoiled => {}
            }
            if !conn.is_autocommit() {
                let _ = conn.execute_batch("ROLLBACK");
            }
            self.memo.clear();
            // What the disk failed is not used again: it does not know what of it is on disk.
            self.conn = self.health.check().is_ok().then_some(conn);
            return Err(why);
        }
        self.conn = Some(conn);
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        self.shared.commands.fetch_add(commands.len() as u64, Ordering::Relaxed);
        let settled = std::panic::catch_unwind(AssertUnwindSafe(|| {
            point!("commit.after");
            self.settle(effects, &engine);
            point!("commit.handed_over");
        }));
        // What is on disk is answered for, whatever the engine makes of it.
        if settled.is_err() {
            tracing::error!("the engine panicked while it took deliveries over: they wait for their leases");
        }
        Ok(())
    }

    /// The connection to write with, unless the store cannot be written.
    fn connection(&mut self) -> Result<Connection, Undone> {
        let current = self.conn.take();
        if let Some(fresh) = self.health.replacement().map_err(Undone::failed)? {
            self.memo.clear();
            return Ok(fresh);
        }
        current.ok_or_else(|| Undone::failed(StoreError::Unavailable("the store is opened anew".into())))
    }

    fn commit(
        &mut self,
        conn: &Connection,
        commands: &mut [Box<dyn Command>],
        engine: &Engine,
        effects: &mut Effects,
    ) -> Result<(), Undone> {
        self.begin(conn)?;
        for command in &mut *commands {
            self.step(conn, command, engine, effects)?;
        }
        if planted(Bug::AckBeforeCommit) {
            for command in commands.iter_mut() {
                command.answer(Ok(()));
            }
        }
        rollups::write(conn, &effects.counted).map_err(|error| self.failed(error))?;
        point!("commit.before");
        conn.execute_batch("COMMIT").map_err(|error| self.failed(error))?;
        self.health.still_there().map_err(Undone::failed)
    }

    fn begin(&mut self, conn: &Connection) -> Result<(), Undone> {
        conn.execute_batch("BEGIN IMMEDIATE").map_err(|error| self.failed(error))?;
        self.memo.look_for_other_writers(conn).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: rusqlite::Error) -> Undone {
        Undone::failed(self.health.diagnose(error))
    }

    /// Runs one command. A refusal that wrote nothing leaves the transaction as it was; anything else spoils it.
    fn step(
        &mut self,
        conn: &Connection,
        command: &mut Box<dyn Command>,
        engine: &Engine,
        effects: &mut Effects,
    ) -> Result<(), Undone> {
        let changes = conn.total_changes();
        let mut work = Work {
            conn,
            memo: &mut self.memo,
            vault: &self.vault,
            dice: &*self.dice,
            engine,
            effects,
            lease_token: &mut self.lease_token,
        };
        // A panic undoes the transaction and drops the memo: nothing half done is seen again.
        let ran = std::panic::catch_unwind(AssertUnwindSafe(|| command.run(&mut work)));
        // After some faults SQLite has ended the transaction itself: nothing may run outside one.
        let intact = conn.total_changes() == changes && !conn.is_autocommit();
        match ran {
            Ok(true) => Ok(()),
            Ok(false) if intact => Ok(()),
            _ => Err(Undone::Spoiled),
        }
    }

    /// Tells the engine what is now on disk, before the callers hear of it.
    fn settle(&self, effects: Effects, engine: &Engine) {
        let mut backlog = self.shared.backlog();
        backlog.waiting += effects.waiting_delta;
        backlog.in_flight += effects.in_flight_delta;
        drop(backlog);
        // Release, and Acquire where it is read: who sees the number also finds what is on disk.
        self.shared.source_changes.fetch_add(u64::from(effects.source_changed), Ordering::Release);
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

/// Why a transaction did not take place.
enum Undone {
    /// It could not begin or commit.
    Failed(Arc<StoreError>),
    /// A command failed after it wrote.
    Spoiled,
}

impl Undone {
    fn failed(error: StoreError) -> Self {
        Self::Failed(Arc::new(error))
    }

    fn panicked() -> Self {
        Self::failed(StoreError::Unavailable("the writing thread panicked".into()))
    }

    fn unless_spoiled(self) -> Committed {
        match self {
            Self::Failed(error) => Err(error),
            Self::Spoiled => Ok(()),
        }
    }
}
