//! Nodes that serve say every few seconds that they live; what one holds that does not, the others take over.
//!
//! A node's number is in the tokens of its leases. One that was only stopped for a while finds that it is no longer there,
//! takes another number, and changes nothing with its old leases: their tokens are no longer any delivery's.

use std::sync::{Arc, Weak};
use std::time::Duration;

use posthaste_fault::{Bug, planted, point};
use tokio::sync::Mutex;
use tokio_postgres::Row;

use super::pool::Pool;
use super::shared::{Shared, TOKENS_OF_A_NODE};
use super::statement::{execute, query, query_opt};
use super::work::{Work, change};
use super::{owners, partitions, queue, rows, tally};
use crate::error::StoreError;

/// How often a node says that it lives.
const BEAT: Duration = Duration::from_secs(2);
/// How long one may say nothing before it counts as dead: with the beat, what it holds is taken over within 15 seconds.
const SILENCE_MAX_SECS: i32 = 10;
/// How often a number may be another node's already.
const NUMBERS_TRIED: u32 = 100;
/// Beats between two looks at whether the next days are there: about an hour.
const BEATS_BETWEEN_DAYS: u32 = 1_800;
/// Beats between two complaints about this node's clock.
const BEATS_BETWEEN_COMPLAINTS: u32 = 30;

/// What PostgreSQL's clock shows, in microseconds since 1970.
const ITS_CLOCK: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
/// Beats between two times that rows are removed of owners that own no more.
const BEATS_BETWEEN_SWEEPS: u32 = 8;

/// The part of a store that beats.
pub(super) struct Heart {
    pub(super) pool: Pool,
    pub(super) shared: Arc<Shared>,
    /// Whether this node has left; held while it beats, so that it does not join again meanwhile.
    pub(super) left: Mutex<bool>,
}

impl Heart {
    /// Takes a number that no other node has, and none had before.
    ///
    /// PostgreSQL writes a sequence down only now and then, ahead of itself, and a database that was copied from a template
    /// forgets that nothing was written down for it: after a crash numbers came again, and two nodes had the same. What is
    /// set is written down at once.
    pub(super) async fn join(&self) -> Result<(), StoreError> {
        let client = self.pool.get().await?;
        let sql = format!(
            "INSERT INTO node (number, beat_at) \
             VALUES (setval('node_number', nextval('node_number'))::integer, clock_timestamp()) \
             ON CONFLICT (number) DO NOTHING RETURNING number, {ITS_CLOCK}"
        );
        for _ in 0..NUMBERS_TRIED {
            let look = self.shared.clock.look();
            if let Some(row) = query_opt(&client, &sql, &[]).await? {
                // What it owned before, it owned as another node.
                self.shared.owned.forget_all();
                self.shared.take_number(row.try_get(0)?);
                self.shared.clock.saw(&look, row.try_get(1)?);
                self.shared.teller.join();
                point!("node.joined");
                return Ok(());
            }
        }
        Err(StoreError::Unavailable("there are more nodes than there are numbers for".into()))
    }

    /// Says that this node lives. Whoever has been silent for too long is another node from now on.
    pub(super) async fn beat(&self) -> Result<(), StoreError> {
        let sql = format!(
            "UPDATE node SET beat_at = clock_timestamp() WHERE number = $1 \
             RETURNING {ITS_CLOCK}, (SELECT count(*) FROM node) = 1"
        );
        let client = self.pool.get().await?;
        let look = self.shared.clock.look();
        let beaten = query_opt(&client, &sql, &[&self.shared.number()]).await?;
        point!("node.beaten");
        let Some(row) = beaten else {
            drop(client);
            return self.join().await;
        };
        self.shared.clock.saw(&look, row.try_get(0)?);
        self.shared.teller.set_alone(row.try_get(1)?);
        owners::keep(&client, &self.shared).await
    }

    /// Leaves: from now on nobody waits until this node counts as dead.
    pub(super) async fn leave(&self) -> Result<(), StoreError> {
        let mut left = self.left.lock().await;
        *left = true;
        if self.shared.number() == 0 {
            return Ok(());
        }
        let count: u32 = change!(self, |work| give_up(work, self.shared.number()))?;
        if count > 0 {
            tracing::warn!(count, "what was still under way is due again, on other nodes");
        }
        Ok(())
    }

    /// Puts back what nodes hold that are silent; returns how much. Safe on every node at once.
    pub(super) async fn take_over(&self) -> Result<u32, StoreError> {
        let count = change!(self, |work| take_over(work))?;
        if count > 0 {
            point!("node.taken_over");
        }
        Ok(count)
    }

    /// Puts back what this node leased without hearing whether that took place: nobody here would ever send it.
    pub(super) async fn give_back(&self) -> Result<(), StoreError> {
        let tokens = self.shared.forsaken();
        if tokens.is_empty() {
            return Ok(());
        }
        let given = change!(self, |work| give_back(work, &tokens));
        if given.is_err() {
            self.shared.forsake(tokens);
        }
        given
    }

    /// Whether there is another beat to come.
    async fn live(&self, beats: &mut Beats) -> Result<bool, StoreError> {
        let left = self.left.lock().await;
        if *left {
            return Ok(false);
        }
        self.beat().await?;
        if beats.number.is_multiple_of(BEATS_BETWEEN_COMPLAINTS) {
            self.shared.clock.complain();
        }
        self.give_back().await?;
        let count = self.take_over().await?;
        if count > 0 {
            tracing::warn!(count, "a node is gone: what it held is due again");
        }
        // Alone, a node knows what is owed; it looks once more after the last other one has gone.
        let alone = self.shared.teller.is_alone();
        if !(alone && beats.alone) {
            beats.tally_seen = tally::look(&self.pool, &self.shared, beats.tally_seen).await?;
        }
        beats.alone = alone;
        if beats.number.is_multiple_of(BEATS_BETWEEN_SWEEPS) {
            owners::sweep(&*self.pool.get().await?).await?;
        }
        if beats.number % BEATS_BETWEEN_DAYS == BEATS_BETWEEN_DAYS - 1 {
            partitions::make_next_days(&self.shared).await?;
        }
        Ok(true)
    }
}

/// What a heart knows from one beat to the next.
#[derive(Default)]
struct Beats {
    number: u32,
    alone: bool,
    tally_seen: i64,
}

/// Beats until the store is closed.
pub(super) async fn beat_on(heart: Weak<Heart>) {
    let mut ticks = tokio::time::interval(BEAT);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The node has just joined.
    ticks.tick().await;
    let mut beats = Beats::default();
    loop {
        ticks.tick().await;
        let Some(heart) = heart.upgrade() else { return };
        match heart.live(&mut beats).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                heart.shared.note_failure();
                tracing::warn!(%error, "this node could not say that it lives");
            }
        }
        beats.number = beats.number.wrapping_add(1);
    }
}

async fn give_up(work: &mut Work, number: i32) -> Result<u32, StoreError> {
    execute(work.client(), "DELETE FROM node WHERE number = $1", &[&number]).await?;
    put_back(work, i64::from(number) * TOKENS_OF_A_NODE).await
}

async fn take_over(work: &mut Work) -> Result<u32, StoreError> {
    let sql = "DELETE FROM node WHERE number IN (SELECT number FROM node \
               WHERE beat_at < clock_timestamp() - make_interval(secs => $1) FOR UPDATE SKIP LOCKED) \
               RETURNING number";
    let mut count = 0;
    let silence_max_secs = if planted(Bug::TakeOverWithoutSilence) { 0 } else { SILENCE_MAX_SECS };
    for row in query(work.client(), sql, &[&f64::from(silence_max_secs)]).await? {
        let first = i64::from(row.try_get::<_, i32>(0)?) * TOKENS_OF_A_NODE;
        count += put_back(work, first).await?;
        point!("node.half_taken_over");
    }
    Ok(count)
}

/// Reads all that is in flight, which is not much, and seldom happens.
async fn put_back(work: &mut Work, first: i64) -> Result<u32, StoreError> {
    let sql = "SELECT message, endpoint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM delivery \
               WHERE state = 1 AND lease_token BETWEEN $1 AND $2 FOR UPDATE";
    let held = query(work.client(), sql, &[&first, &(first + TOKENS_OF_A_NODE - 1)]).await?;
    due_again(work, &held).await
}

/// The same for leases of this node.
async fn give_back(work: &mut Work, tokens: &Vec<i64>) -> Result<(), StoreError> {
    let sql = "SELECT message, endpoint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM delivery \
               WHERE state = 1 AND lease_token = ANY($1) FOR UPDATE";
    let held = query(work.client(), sql, &[tokens]).await?;
    due_again(work, &held).await.map(drop)
}

async fn due_again(work: &mut Work, held: &[Row]) -> Result<u32, StoreError> {
    match held.first() {
        Some(row) => queue::put_back(work, held, rows::at(row, 2)?).await,
        None => Ok(0),
    }
}
