//! Writes messages with all that they owe: two statements, however many there are.

use std::sync::Arc;

use posthaste_core::attempt::Trigger;
use posthaste_core::delivery::{Claimed, Lease};
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::MessageId;
use posthaste_core::message::Message;
use posthaste_core::name::{Channel, EventTypeName, Tag};
use posthaste_core::operational::Operational;
use posthaste_core::owner::thing_of;
use posthaste_core::rollup::Sums;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_fault::point;

use super::memo::known;
use super::notice::Told;
use super::owners::{Answer, Held};
use super::partitions;
use super::rollups::{self, Sign};
use super::rows::{self, micros};
use super::statement::{Text, bytes};
use super::work::Work;
use crate::columns::names::joined;
use crate::error::StoreError;
use crate::known::{KnownApp, wanting};

/// A message about to be written.
pub(super) struct Entry {
    pub(super) app: Arc<KnownApp>,
    pub(super) message: Arc<Message>,
    /// Its origin, sealed.
    pub(super) origin: Option<Vec<u8>>,
    pub(super) expunge_at: Option<Timestamp>,
    pub(super) trigger: Trigger,
    pub(super) targets: Vec<Arc<Endpoint>>,
    pub(super) now: Timestamp,
}

/// Writes messages and what they owe.
pub(super) async fn enter(work: &mut Work, entries: &[Entry]) -> Result<(), StoreError> {
    let owed = owe(work, entries, &Held::default());
    write(work, entries, &owed).await?;
    rollups::write(work, &counted(entries), Sign::Plus).await
}

/// What they add to the counts.
pub(super) fn counted(entries: &[Entry]) -> Sums {
    let mut sums = Sums::default();
    for entry in entries {
        sums.accepted(entry.app.environment, entry.app.app.id, entry.now);
    }
    sums
}

/// The same, once it is known what is owed to whom.
pub(super) async fn write(work: &Work, entries: &[Entry], owed: &[Owed<'_>]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    partitions::need(&work.shared, entries.iter().map(|entry| entry.message.id)).await?;
    tokio::try_join!(
        biased;
        write_messages(work, entries),
        write_deliveries(work, owed),
    )?;
    point!("batch.entered");
    Ok(())
}

async fn write_messages(work: &Work, entries: &[Entry]) -> Result<(), StoreError> {
    let channels = entries.iter().map(|e| joined(e.message.channels.iter().map(Channel::as_str)));
    let tags = entries.iter().map(|e| joined(e.message.tags.iter().map(Tag::as_str)));
    let (channels, tags): (Vec<_>, Vec<_>) = (channels.collect(), tags.collect());
    let messages = || entries.iter().map(|entry| &*entry.message);
    let sql = "INSERT INTO message (app, id, event_type, event_id, channels, tags, deliver_at, created_at, \
               expunge_at, body, origin) SELECT * FROM UNNEST($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    work.query(
        sql,
        &[
            &messages().map(|m| bytes(&m.app)).collect::<Vec<_>>(),
            &messages().map(|m| bytes(&m.id)).collect::<Vec<_>>(),
            &messages().map(|m| Text(m.event_type.as_str())).collect::<Vec<_>>(),
            &messages().map(|m| m.event_id.as_ref().map(|id| Text(id.as_str()))).collect::<Vec<_>>(),
            &channels.iter().map(|names| names.as_deref().map(Text)).collect::<Vec<_>>(),
            &tags.iter().map(|names| names.as_deref().map(Text)).collect::<Vec<_>>(),
            &messages().map(|m| micros(m.deliver_at)).collect::<Vec<_>>(),
            &messages().map(|m| m.created_at.as_micros()).collect::<Vec<_>>(),
            &entries.iter().map(|e| micros(e.expunge_at)).collect::<Vec<_>>(),
            &messages().map(|m| m.body.as_deref().unwrap_or_default()).collect::<Vec<_>>(),
            &entries.iter().map(|e| e.origin.as_deref()).collect::<Vec<_>>(),
        ],
    )
    .await
    .inspect_err(|error| partitions::look_again(&work.shared, error))?;
    Ok(())
}

/// A delivery about to be written.
pub(super) struct Owed<'a> {
    entry: &'a Entry,
    endpoint: &'a Endpoint,
    due: Timestamp,
    lease: Option<Lease>,
}

/// Whose turn it is to send to an endpoint.
enum Sender {
    /// This node's, if it has room.
    Us,
    /// Another one's.
    Other(i32),
    /// Whoever claims it.
    Unknown,
}

fn sender(work: &Work, held: &Held, endpoint: &Endpoint) -> Sender {
    let Some((thing, _)) = thing_of(endpoint) else { return Sender::Us };
    match held.of(thing) {
        Some(Answer::Ours) => Sender::Us,
        Some(Answer::Theirs(node)) => Sender::Other(node),
        Some(Answer::Rests(_)) => Sender::Unknown,
        None if work.shared.owned.may_send_to(endpoint) => Sender::Us,
        None => work.shared.owned.theirs(thing).map_or(Sender::Unknown, Sender::Other),
    }
}

/// What is owed; already leased to this node if that would send it at once.
pub(super) fn owe<'a>(work: &mut Work, entries: &'a [Entry], held: &Held) -> Vec<Owed<'a>> {
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let Entry { app, message, trigger, now, .. } = entry;
        let at_once = message.deliver_at.is_none() && !app.is_paused();
        for endpoint in &entry.targets {
            let sender = sender(work, held, endpoint);
            // What is owed to a listener goes by the queue, all of it: in order, and when somebody listens.
            let ours = matches!(sender, Sender::Us) && !endpoint.is_listener();
            let leased_for = match &work.engine {
                Some((engine, lasts)) if at_once && ours && engine.has_room(endpoint.id) => Some(*lasts),
                _ => None,
            };
            let lease = leased_for.map(|lasts| work.shared.lease(lasts, *now));
            let due = message.deliver_at.unwrap_or(*now);
            if let Some(lease) = lease {
                work.effects.in_flight_delta += 1;
                work.effects.claimed.push(Claimed {
                    environment: app.environment,
                    lease,
                    message: Arc::clone(message),
                    endpoint: Arc::clone(endpoint),
                    endpoint_deleted: false,
                    forsaken: false,
                    attempts_made: 0,
                    trigger: *trigger,
                });
            } else {
                work.effects.waiting_delta += 1;
                match sender {
                    _ if app.is_paused() => {}
                    Sender::Other(node) if at_once => {
                        work.effects.told.push(Told::Due { to: Some(node), endpoint: endpoint.id });
                    }
                    _ => work.effects.due.push((endpoint.id, due)),
                }
                if at_once && endpoint.is_listener() {
                    // It may be connected to another node.
                    work.effects.told.push(Told::Due { to: None, endpoint: endpoint.id });
                }
            }
            all.push(Owed { entry, endpoint, due, lease });
        }
    }
    all
}

async fn write_deliveries(work: &Work, owed: &[Owed<'_>]) -> Result<(), StoreError> {
    if owed.is_empty() {
        return Ok(());
    }
    let clock = &work.shared.clock;
    let sql = "INSERT INTO delivery (message, endpoint, app, state, manual, due_at, lease_token, lease_until, attempts) \
               SELECT u.*, 0 FROM UNNEST($1, $2, $3, $4, $5, $6, $7, $8) AS u";
    work.query(
        sql,
        &[
            &owed.iter().map(|o| bytes(&o.entry.message.id)).collect::<Vec<_>>(),
            &owed.iter().map(|o| bytes(&o.endpoint.id)).collect::<Vec<_>>(),
            &owed.iter().map(|o| bytes(&o.entry.message.app)).collect::<Vec<_>>(),
            &owed.iter().map(|o| i16::from(o.lease.is_some())).collect::<Vec<_>>(),
            &owed.iter().map(|o| o.entry.trigger == Trigger::Manual).collect::<Vec<_>>(),
            &owed.iter().map(|o| o.lease.is_none().then_some(o.due.as_micros())).collect::<Vec<_>>(),
            &owed.iter().map(|o| o.lease.map(|lease| lease.token)).collect::<Vec<_>>(),
            &owed
                .iter()
                .map(|o| o.lease.map(|lease| clock.moved(lease.until, o.entry.now)))
                .collect::<Vec<_>>(),
        ],
    )
    .await?;
    Ok(())
}

/// What an environment's operational webhooks are owed for what happened; nothing if none wants to hear of it.
///
/// What happens to the operational app itself is not told: it could go round for ever.
pub(super) async fn told(
    work: &Work,
    environment: EnvironmentId,
    what: &Operational,
    now: Timestamp,
) -> Result<Option<Entry>, StoreError> {
    let Some((id, version)) = rows::find_operational_app(work.client(), environment).await? else {
        return Ok(None);
    };
    let Some(app) = known(work, &[(id, version)].into()).await?.remove(&id) else { return Ok(None) };
    let Ok(event_type) = EventTypeName::parse(what.event_type()) else { return Ok(None) };
    let targets = wanting(&app, &event_type, &[]);
    if targets.is_empty() {
        return Ok(None);
    }
    let message = Arc::new(Message {
        id: MessageId::fresh(now, &*work.shared.dice),
        app: app.app.id,
        event_type,
        event_id: None,
        channels: vec![],
        tags: vec![],
        body: Some(what.body().into()),
        origin: None,
        created_at: now,
        deliver_at: None,
    });
    let trigger = Trigger::Scheduled;
    Ok(Some(Entry { app, message, origin: None, expunge_at: None, trigger, targets, now }))
}

/// Tells them, in the transaction in which it happened.
pub(super) async fn tell(
    work: &mut Work,
    environment: EnvironmentId,
    what: &Operational,
    now: Timestamp,
) -> Result<(), StoreError> {
    let entry = told(work, environment, what, now).await?;
    enter(work, entry.as_slice()).await
}
