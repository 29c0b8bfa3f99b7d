//! What the writing thread runs: a piece of work with a caller who waits, and what it works with.

use std::sync::Arc;
use std::time::Duration;

use posthaste_core::delivery::{Claimed, Lease};
use posthaste_core::dice::Dice;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::EndpointId;
use posthaste_core::rollup::Sums;
use posthaste_core::time::Timestamp;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::StoreError;
use crate::queue::HandOver;
use crate::seal::Vault;
use crate::sqlite::health;
use crate::sqlite::memo::Memo;

/// What a command wants done once its transaction is on disk.
#[derive(Default)]
pub(in crate::sqlite) struct Effects {
    pub(in crate::sqlite) claimed: Vec<Claimed>,
    pub(in crate::sqlite) due: Vec<(EndpointId, Timestamp)>,
    pub(in crate::sqlite) job: bool,
    pub(in crate::sqlite) source_changed: bool,
    pub(in crate::sqlite) waiting_delta: i64,
    pub(in crate::sqlite) in_flight_delta: i64,
    /// Written last, in the same transaction.
    pub(in crate::sqlite) counted: Sums,
}

/// The engine that takes new deliveries, and for how long they are leased to it.
pub(in crate::sqlite) type Engine = Option<(Arc<dyn HandOver>, Duration)>;

/// What a command works with: one open transaction, and what outlives it.
pub(in crate::sqlite) struct Work<'a> {
    pub(in crate::sqlite) conn: &'a Connection,
    pub(in crate::sqlite) memo: &'a mut Memo,
    pub(in crate::sqlite) vault: &'a Vault,
    pub(in crate::sqlite) dice: &'a dyn Dice,
    pub(in crate::sqlite) engine: &'a Engine,
    pub(in crate::sqlite) effects: &'a mut Effects,
    pub(super) lease_token: &'a mut i64,
}

impl Work<'_> {
    /// A lease that nobody had before.
    pub(in crate::sqlite) fn lease(&mut self, lasts: Duration, now: Timestamp) -> Lease {
        *self.lease_token = self.lease_token.wrapping_add(1) & i64::MAX;
        Lease { token: *self.lease_token, until: now.later(lasts) }
    }

    /// Whether the engine may claim for this endpoint now.
    pub(in crate::sqlite) fn may_claim_for(&self, endpoint: &Endpoint) -> bool {
        self.engine.as_ref().is_none_or(|(engine, _)| engine.may_claim_for(endpoint))
    }
}

/// One piece of work on the way to the writing thread.
///
/// It may run twice: when another command of its transaction fails after it wrote, the transaction is undone and
/// each command gets one of its own.
pub(super) trait Command: Send {
    /// Does its part of the transaction. `false`: it refused or failed.
    fn run(&mut self, work: &mut Work<'_>) -> bool;

    /// Tells the caller what came of it, or that the transaction did not take place.
    fn answer(&mut self, committed: Committed);
}

/// Whether a transaction is on disk.
pub(super) type Committed = Result<(), Arc<StoreError>>;

/// A command and its caller.
pub(super) struct Task<F, T, E> {
    pub(super) work: F,
    pub(super) result: Option<Result<T, E>>,
    /// `None` once it was answered.
    pub(super) caller: Option<oneshot::Sender<Result<T, E>>>,
}

impl<F, T, E> Command for Task<F, T, E>
where
    F: FnMut(&mut Work<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, work: &mut Work<'_>) -> bool {
        // If it panics, what it said the time before does not count.
        self.result = None;
        self.result.insert((self.work)(work)).is_ok()
    }

    fn answer(&mut self, committed: Committed) {
        let Some(caller) = self.caller.take() else { return };
        let result = match (self.result.take(), committed) {
            // A refusal too: it may have seen what another command wrote and what is undone now.
            (_, Err(error)) => Err(health::again(&error).into()),
            (Some(result), Ok(())) => result,
            (None, Ok(())) => Err(StoreError::Unavailable("the command panicked".into()).into()),
        };
        // Whoever asked may have gone away; what was committed stays committed.
        let _ = caller.send(result);
    }
}
