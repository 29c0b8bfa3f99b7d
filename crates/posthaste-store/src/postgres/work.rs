//! One transaction, and what it wants done once it is on disk.

use std::fmt;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deadpool::managed::Object;
use posthaste_core::endpoint::Endpoint;
use posthaste_fault::{Bug, planted, point};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row, SimpleQueryMessage};

use super::connection::{Connection, Dialer, is_misprepared};
use super::pool::Pool;
use super::shards::Shard;
use super::shared::{Effects, Engine, Shared};
use super::statement::{Value, answered, run};
use crate::error::{ChangeError, StoreError};

/// How often a transaction is begun again that another one was in the way of.
pub(super) const TRIES_MAX: u32 = 8;

/// Every statement sees what was committed before it began: no more is needed, since whoever changes what it has read
/// locks it first.
///
/// And no transaction waits for ever: one that somebody's lock is in the way of ends after five seconds, and one statement
/// after thirty. Callers hear 503 then, instead of waiting without bound behind it. A node that stands still with a
/// transaction open loses that, and the locks in it, before those give up who wait for them, and before others take it for
/// dead: they could not take over past them.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
     SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '30s'; \
     SET LOCAL idle_in_transaction_session_timeout = '3s'";
/// A COMMIT that waits for a synchronous standby and is cancelled says that it took place, and the standby does not have
/// it. So PostgreSQL never cancels one; after [`COMMIT_MAX`] we no longer listen, and nobody is told that it took place.
const COMMIT: &str = "SET LOCAL statement_timeout = 0; COMMIT";
const COMMIT_MAX: Duration = Duration::from_secs(30);
/// Which process it began at.
const WHERE: &str = "SELECT pg_backend_pid()";
/// For transactions that touch rows by their keys, and nothing else: the planner is not to think of anything but indexes and
/// one row after another. A plan that is kept was made when it was first needed, of an empty table mostly.
const BY_KEY: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
     SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off";
/// A migration takes as long as it takes, and so does waiting for another node's.
const PATIENT: &str = "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0";

/// An open transaction. Dropped before its end, it takes the connection with it: PostgreSQL undoes what was half done.
pub(super) struct Work {
    connection: Option<Object<Dialer>>,
    pub(super) shared: Arc<Shared>,
    pub(super) engine: Engine,
    pub(super) effects: Effects,
    /// It has asked at which process it is: statements that were prepared there may be meant by their names.
    asks_where: AtomicBool,
    /// It changed an app: what it reads of apps now may never be committed, and must not be remembered.
    pub(super) changed_apps: bool,
    /// Which rows it counts in, once it does.
    shard: OnceLock<Shard>,
}

/// What came of a transaction.
pub(super) enum Ended<T, E> {
    /// It is over.
    Done(Result<T, E>),
    /// Another one was in its way, and nothing was changed: begin again.
    Again(E),
}

/// An error that may be the store's.
pub(super) trait Failure: From<StoreError> {
    fn of_store(&self) -> Option<&StoreError>;
}

impl Failure for StoreError {
    fn of_store(&self) -> Option<&StoreError> {
        Some(self)
    }
}

impl Failure for ChangeError {
    fn of_store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

/// What PostgreSQL said, if it said something.
pub(super) fn code(error: &StoreError) -> Option<SqlState> {
    let StoreError::Unavailable(error) = error else { return None };
    error.downcast_ref::<tokio_postgres::Error>()?.code().cloned()
}

/// A COMMIT that was not answered.
#[derive(Debug)]
struct Unanswered;

impl std::error::Error for Unanswered {}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL did not answer a COMMIT within {COMMIT_MAX:?}: does its standby follow?")
    }
}

/// Whether the connection went away, or the server that it led to; a pooler says so with an error of the class 08.
pub(super) fn is_lost(error: &StoreError) -> bool {
    let gone = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    let StoreError::Unavailable(error) = error else { return false };
    if error.is::<Unanswered>() {
        return true;
    }
    let Some(error) = error.downcast_ref::<tokio_postgres::Error>() else { return false };
    match error.code() {
        Some(code) => gone.contains(code) || code.code().starts_with("08"),
        None => true,
    }
}

/// Whether a database that is not there now may be there soon: its name and its certificate were not at fault.
pub(super) fn may_come(error: &StoreError) -> bool {
    let inner = match error {
        // Nobody answered within the time for that.
        StoreError::Busy(_) => return true,
        StoreError::Unavailable(inner) => inner.downcast_ref::<tokio_postgres::Error>(),
        _ => None,
    };
    let cause = inner.and_then(|inner| std::error::Error::source(inner)?.downcast_ref::<std::io::Error>());
    match cause {
        Some(cause) => !matches!(cause.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput),
        None => is_lost(error) && inner.is_some_and(|inner| inner.code().is_some() || inner.is_closed()),
    }
}

/// Whether it took too long: whoever else would ask for the same now would wait as long.
pub(super) fn took_too_long(error: &StoreError) -> bool {
    let limits = [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED];
    code(error).is_some_and(|code| limits.contains(&code))
}

/// Whether the same transaction may end otherwise if it begins again: one that was in its way is over by then, and what
/// that one wrote is seen.
pub(super) fn was_in_the_way(error: &StoreError) -> bool {
    let collisions = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::UNIQUE_VIOLATION,
        // The day of a message was dropped, see `partitions.rs`.
        SqlState::CHECK_VIOLATION,
    ];
    let again = |code: SqlState| collisions.contains(&code) || is_misprepared(&code);
    code(error).is_some_and(again) || is_elsewhere(error)
}

/// The transaction is at another backend than its connection began with.
#[derive(Debug, thiserror::Error)]
#[error("a pooler stands between: nothing is prepared from now on")]
struct Elsewhere;

fn is_elsewhere(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(error) if error.is::<Elsewhere>())
}

impl Work {
    /// Begins a transaction on a connection of this pool.
    pub(super) async fn begin(pool: &Pool, shared: &Arc<Shared>) -> Result<Self, StoreError> {
        let work = Self::unbegun(pool, shared).await?;
        work.begin_now().await?;
        Ok(work)
    }

    /// A transaction whose [`begin_by_key`](Self::begin_by_key) goes out together with its first statements.
    pub(super) async fn unbegun(pool: &Pool, shared: &Arc<Shared>) -> Result<Self, StoreError> {
        Ok(Self {
            connection: Some(pool.get().await?),
            shared: Arc::clone(shared),
            engine: shared.engine(),
            effects: Effects::default(),
            asks_where: AtomicBool::new(false),
            changed_apps: false,
            shard: OnceLock::new(),
        })
    }

    /// Whether the engine may claim for this endpoint now.
    pub(super) fn may_claim_for(&self, endpoint: &Endpoint) -> bool {
        self.engine.as_ref().is_none_or(|(engine, _)| engine.may_claim_for(endpoint))
    }

    /// The rows that this transaction counts in: no other that is open has the same.
    pub(super) fn shard(&self) -> i32 {
        self.shard.get_or_init(|| self.shared.shards.take()).of_node(self.shared.number())
    }

    pub(super) async fn begin_now(&self) -> Result<(), StoreError> {
        run(self.client(), BEGIN).await
    }

    /// The same for a transaction that finds all rows by their keys, and asks what is [`prepared`](Self::query).
    pub(super) async fn begin_by_key(&self) -> Result<(), StoreError> {
        if !self.shared.prepares() {
            return run(self.client(), &format!("{BEGIN}; {BY_KEY}")).await;
        }
        self.asks_where.store(true, Ordering::Relaxed);
        let begin = format!("{BEGIN}; {BY_KEY}; {WHERE}");
        let said = answered(self.client().simple_query(&begin)).await?;
        let backend = said.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        if self.connection().is_at(backend) {
            return Ok(());
        }
        self.shared.prepare_no_more();
        Err(StoreError::Unavailable(Box::new(Elsewhere)))
    }

    /// Asks what is asked often.
    pub(super) async fn query(
        &self,
        sql: &'static str,
        values: &[&dyn Value],
    ) -> Result<Vec<Row>, StoreError> {
        let connection = self.connection();
        if !self.asks_where.load(Ordering::Relaxed) {
            return answered(connection.query_once(sql, values)).await;
        }
        let found = answered(connection.query_prepared(sql, values)).await;
        if found.as_ref().is_err_and(|error| code(error).is_some_and(|code| is_misprepared(&code))) {
            self.shared.prepare_no_more();
        }
        found
    }

    #[expect(
        clippy::expect_used,
        reason = "only the end of the transaction takes the connection, and takes the rest too"
    )]
    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("the transaction is open")
    }

    pub(super) fn client(&self) -> &Client {
        self.connection()
    }

    /// This transaction may wait.
    pub(super) async fn be_patient(&self) -> Result<(), StoreError> {
        run(self.client(), PATIENT).await
    }

    /// Commits, and tells the engine.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        self.try_commit().await.map_err(|(error, effects)| {
            // It may have taken place, and the engine was told of nothing.
            shared.forsake(effects.claimed.iter().map(|claimed| claimed.lease.token));
            error
        })
    }

    /// The same; if it is not known whether that took place, what it wanted done comes back.
    pub(super) async fn try_commit(mut self) -> Result<(), (StoreError, Effects)> {
        let effects = std::mem::take(&mut self.effects);
        point!("transaction.written");
        if planted(Bug::SyncOff) {
            let _ = self.client().batch_execute("SET LOCAL synchronous_commit = off").await;
        }
        match tokio::time::timeout(COMMIT_MAX, self.client().batch_execute(COMMIT)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err((error.into(), effects)),
            Err(_) => return Err((StoreError::Unavailable(Box::new(Unanswered)), effects)),
        }
        point!("transaction.committed");
        // Back to its pool.
        drop(self.connection.take());
        self.shared.settle(effects);
        point!("transaction.handed_over");
        Ok(())
    }

    pub(super) async fn roll_back(mut self) {
        if run(self.client(), "ROLLBACK").await.is_ok() {
            drop(self.connection.take());
        }
    }

    /// Commits what went well, and undoes what did not.
    pub(super) async fn end<T, E: Failure>(mut self, result: Result<T, E>) -> Ended<T, E> {
        self.effects.commands_count = 1;
        match result {
            Ok(value) => match self.commit().await {
                Ok(()) => Ended::Done(Ok(value)),
                Err(error) if was_in_the_way(&error) => Ended::Again(error.into()),
                Err(error) => Ended::Done(Err(error.into())),
            },
            Err(error) => {
                self.roll_back().await;
                // Nothing was committed: a connection that was lost may be had again.
                if error.of_store().is_some_and(|error| was_in_the_way(error) || is_lost(error)) {
                    Ended::Again(error)
                } else {
                    Ended::Done(Err(error))
                }
            }
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }
}

/// Runs an expression as a transaction, again if another one was in its way.
///
/// `change!(store, |work| expression)`: the expression is a future that is made anew for each try.
macro_rules! change {
    ($store:expr, |$work:ident| $future:expr) => {{
        let mut tries = 1;
        loop {
            let mut begun = $crate::postgres::work::Work::unbegun(&$store.pool, &$store.shared).await?;
            let result = match begun.begin_now().await {
                Ok(()) => {
                    let $work = &mut begun;
                    $future.await
                }
                Err(error) => Err(error.into()),
            };
            match begun.end(result).await {
                $crate::postgres::work::Ended::Done(result) => break result,
                $crate::postgres::work::Ended::Again(error) if tries == $crate::postgres::work::TRIES_MAX => {
                    break Err(error);
                }
                $crate::postgres::work::Ended::Again(_) => tries += 1,
            }
        }
    }};
}
pub(super) use change;
