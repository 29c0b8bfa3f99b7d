//! Many commands as one transaction: what they need is read in one round trip, what they write goes out in another.
//!
//! A command that another one of the same transaction is in the way of (the same key, the same delivery, the same endpoint
//! to claim from) is left unanswered, and comes again in the next.

mod accept;
mod claim;
mod health;
mod moves;
mod receive;
mod refuse;
mod versions;

pub(super) use moves::place;

use std::sync::Arc;
use std::time::Duration;

use posthaste_core::delivery::{Claimed, DeliveryKey, Lease};
use posthaste_core::id::{AppId, EndpointId, MessageId};
use posthaste_core::owner::thing_of;
use posthaste_core::rollup::Sums;
use posthaste_core::source::Refusal;
use posthaste_core::time::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_postgres::Client;

use super::enter::{self, Entry};
use super::owners::{self, Wanted};
use super::rollups::{self, Sign};
use super::statement::{bytes, query_opt};
use super::work::Work;
use crate::error::{ChangeError, StoreError};
use crate::intake::{Accepted, NewMessage};
use crate::queue::{Record, Recorded};
use crate::received::Ready;
use crate::source::Received;
use versions::View;

/// A command, its caller, and what it will hear.
pub(super) struct Asked<C, T, E> {
    pub(super) command: C,
    pub(super) now: Timestamp,
    answer: Option<Result<T, E>>,
    caller: oneshot::Sender<Result<T, E>>,
    /// Given back with the command, whatever comes of it.
    room: Option<OwnedSemaphorePermit>,
}

impl<C, T, E: From<StoreError>> Asked<C, T, E> {
    pub(super) fn new(command: C, now: Timestamp, caller: oneshot::Sender<Result<T, E>>) -> Self {
        Self { command, now, answer: None, caller, room: None }
    }

    /// Whoever asked may have gone away; what was committed stays committed.
    fn tell(self) -> Option<Self> {
        match self.answer {
            Some(answer) => {
                let _ = self.caller.send(answer);
                None
            }
            None => Some(self),
        }
    }

    fn refuse(self, error: &Arc<StoreError>) {
        let _ = self.caller.send(Err(StoreError::Unavailable(Box::new(Arc::clone(error))).into()));
    }
}

/// A claim of what is due for one endpoint.
pub(super) struct Claim {
    pub(super) endpoint: EndpointId,
    pub(super) limit: u32,
    pub(super) lease: Duration,
}

pub(super) type AskedAccept = Asked<Arc<NewMessage>, Accepted, ChangeError>;
pub(super) type AskedReceive = Asked<Ready, Received, ChangeError>;
pub(super) type AskedClaim = Asked<Claim, Vec<Claimed>, StoreError>;
pub(super) type AskedRecord = Asked<Record, Recorded, StoreError>;
/// With its origin, sealed.
pub(super) type AskedRefuse = Asked<(Refusal, Vec<u8>), (), StoreError>;
pub(super) type AskedRelease = Asked<Vec<(DeliveryKey, Lease)>, (), StoreError>;

/// What is asked for often.
pub(super) enum Command {
    Accept(AskedAccept),
    Receive(AskedReceive),
    Claim(AskedClaim),
    Record(Box<AskedRecord>),
    Release(AskedRelease),
    Refuse(AskedRefuse),
}

impl Command {
    /// Answers the caller; what has no answer yet comes back.
    pub(super) fn answer(self) -> Option<Self> {
        match self {
            Self::Accept(asked) => asked.tell().map(Self::Accept),
            Self::Receive(asked) => asked.tell().map(Self::Receive),
            Self::Claim(asked) => asked.tell().map(Self::Claim),
            Self::Record(asked) => asked.tell().map(Box::new).map(Self::Record),
            Self::Release(asked) => asked.tell().map(Self::Release),
            Self::Refuse(asked) => asked.tell().map(Self::Refuse),
        }
    }

    pub(super) fn refuse(self, error: &Arc<StoreError>) {
        match self {
            Self::Accept(asked) => asked.refuse(error),
            Self::Receive(asked) => asked.refuse(error),
            Self::Claim(asked) => asked.refuse(error),
            Self::Record(asked) => asked.refuse(error),
            Self::Release(asked) => asked.refuse(error),
            Self::Refuse(asked) => asked.refuse(error),
        }
    }

    pub(super) fn is_answered(&self) -> bool {
        match self {
            Self::Accept(asked) => asked.answer.is_some(),
            Self::Receive(asked) => asked.answer.is_some(),
            Self::Claim(asked) => asked.answer.is_some(),
            Self::Record(asked) => asked.answer.is_some(),
            Self::Release(asked) => asked.answer.is_some(),
            Self::Refuse(asked) => asked.answer.is_some(),
        }
    }

    /// Whether somebody outside waits for it, who can be told to come again; the engine cannot.
    pub(super) fn is_of_a_caller(&self) -> bool {
        matches!(self, Self::Accept(_) | Self::Receive(_) | Self::Refuse(_))
    }

    /// Whether that somebody has gone.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Accept(asked) => asked.caller.is_closed(),
            Self::Receive(asked) => asked.caller.is_closed(),
            Self::Refuse(asked) => asked.caller.is_closed(),
            Self::Claim(_) | Self::Record(_) | Self::Release(_) => false,
        }
    }

    /// Keeps its place in memory for as long as it lives.
    pub(super) fn takes(&mut self, room: OwnedSemaphorePermit) {
        match self {
            Self::Accept(asked) => asked.room = Some(room),
            Self::Receive(asked) => asked.room = Some(room),
            Self::Refuse(asked) => asked.room = Some(room),
            Self::Claim(_) | Self::Record(_) | Self::Release(_) => drop(room),
        }
    }

    /// Tokens of leases that it would have been answered with.
    pub(super) fn leases(&self) -> Vec<i64> {
        match self {
            Self::Claim(asked) => match &asked.answer {
                Some(Ok(claimed)) => claimed.iter().map(|claimed| claimed.lease.token).collect(),
                _ => vec![],
            },
            _ => vec![],
        }
    }

    /// Bytes of bodies that it writes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Accept(asked) => asked.command.body.len(),
            Self::Receive(asked) => asked.command.message.weight() + asked.command.sealed_origin.len(),
            Self::Refuse(asked) => asked.command.0.body.len() + asked.command.1.len(),
            _ => 0,
        }
    }
}

/// A row that is there if, and only if, its transaction was committed.
pub(super) struct Witness {
    app: AppId,
    message: MessageId,
}

impl Witness {
    pub(super) async fn is_there(&self, client: &Client) -> Result<bool, StoreError> {
        // With a lock, which is a write: it is answered once a synchronous standby has all that came before, the
        // message too. A primary that crashed may hold what its standby never got.
        let sql = "SELECT 1 FROM message WHERE app = $1 AND id = $2 FOR KEY SHARE";
        Ok(query_opt(client, sql, &[&bytes(&self.app), &bytes(&self.message)]).await?.is_some())
    }
}

/// The commands of one transaction, by kind.
#[derive(Default)]
struct Batch<'a> {
    accepts: Vec<&'a mut AskedAccept>,
    receives: Vec<&'a mut AskedReceive>,
    claims: Vec<&'a mut AskedClaim>,
    records: Vec<&'a mut AskedRecord>,
    releases: Vec<&'a mut AskedRelease>,
    refuses: Vec<&'a mut AskedRefuse>,
}

/// Runs commands as a transaction of their own that is yet to begin and to be committed: each is answered, or was in
/// another one's way.
pub(super) async fn run(work: &mut Work, commands: &mut [Command]) -> Result<Option<Witness>, StoreError> {
    Box::pin(run_from(work, commands, true)).await
}

/// The same in a transaction that has begun.
pub(super) async fn run_begun(work: &mut Work, commands: &mut [Command]) -> Result<(), StoreError> {
    Box::pin(run_from(work, commands, false)).await.map(drop)
}

async fn run_from(
    work: &mut Work,
    commands: &mut [Command],
    begin: bool,
) -> Result<Option<Witness>, StoreError> {
    let mut batch = Batch::default();
    for command in commands {
        match command {
            Command::Accept(asked) => batch.accepts.push(asked),
            Command::Receive(asked) => batch.receives.push(asked),
            Command::Claim(asked) => batch.claims.push(asked),
            Command::Record(asked) => batch.records.push(asked),
            Command::Release(asked) => batch.releases.push(asked),
            Command::Refuse(asked) => batch.refuses.push(asked),
        }
    }
    batch.forget_answers();
    let view = versions::look(work, &batch, begin).await?;
    let mut entries = accept::judge(work, &mut batch.accepts, &view).await?;
    entries.extend(receive::judge(work, &mut batch.receives, &view).await?);
    let witness = entries.first().map(|e| Witness { app: e.message.app, message: e.message.id });
    let held = owners::hold(work, &wanted(work, &batch, &entries, &view)).await?;
    let owed = enter::owe(work, &entries, &held);
    let moves = moves::of(&batch.records, &batch.releases);
    let mut counted = enter::counted(&entries);
    moves::count(&batch.records, &view, &mut counted, |_| true);
    let attempts = batch.records.iter().filter_map(|asked| asked.command.attempt.as_ref());
    let ((), (), done, claimed, ()) = tokio::try_join!(
        biased;
        enter::write(work, &entries, &owed),
        moves::write_attempts(work, attempts.collect()),
        moves::write(work, &moves),
        claim::claim(work, &batch.claims, &view, &held),
        // As if all leases were still held, which they are but for accidents: it costs no round trip.
        rollups::write(work, &counted, Sign::Plus),
    )?;
    let mut lost = Sums::default();
    moves::count(&batch.records, &view, &mut lost, |key| !done.contains_key(key));
    rollups::write(work, &lost, Sign::Minus).await?;
    claim::answer(work, &mut batch.claims, claimed, &view, &held);
    receive::mark(work, &mut batch.receives).await?;
    moves::answer(work, &done, &mut batch, &view).await?;
    refuse::keep(work, &mut batch.refuses).await?;
    Ok(witness)
}

/// What must be owned: to claim, and to hand over what is new. What is known well enough is not asked for.
fn wanted(work: &Work, batch: &Batch<'_>, entries: &[Entry], view: &View) -> Wanted {
    let claimed = batch.claims.iter().filter_map(|asked| thing_of(view.endpoint(asked.command.endpoint)?));
    let takes = work.engine.as_ref().is_some_and(|(engine, _)| engine.is_taking());
    let new = entries.iter().filter(|one| takes && one.message.deliver_at.is_none() && !one.app.is_paused());
    let new = new.flat_map(|one| &one.targets).filter_map(|endpoint| {
        let (thing, pause) = thing_of(endpoint)?;
        let known = work.shared.owned.may_send_to(endpoint) || work.shared.owned.theirs(thing).is_some();
        (!known).then_some((thing, pause))
    });
    let mut wanted = Wanted::new();
    for (thing, pause) in claimed.chain(new) {
        let longest = wanted.entry(thing).or_insert(pause);
        *longest = pause.max(*longest);
    }
    wanted
}

impl Batch<'_> {
    /// What was said in a transaction that did not take place does not count.
    fn forget_answers(&mut self) {
        self.accepts.iter_mut().for_each(|asked| asked.answer = None);
        self.receives.iter_mut().for_each(|asked| asked.answer = None);
        self.claims.iter_mut().for_each(|asked| asked.answer = None);
        self.records.iter_mut().for_each(|asked| asked.answer = None);
        self.releases.iter_mut().for_each(|asked| asked.answer = None);
        self.refuses.iter_mut().for_each(|asked| asked.answer = None);
    }
}
