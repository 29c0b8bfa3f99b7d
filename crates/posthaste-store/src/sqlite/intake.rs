//! Takes messages in: idempotency, the message, its deliveries, one transaction.

use std::sync::Arc;

use async_trait::async_trait;
use posthaste_core::attempt::Trigger;
use posthaste_core::delivery::Claimed;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::{AppId, ID_BYTES, Id, MessageId};
use posthaste_core::limits::IDEMPOTENCY_WINDOW;
use posthaste_core::message::Message;
use posthaste_core::name::{Channel, EventTypeName, Tag, Uid};
use posthaste_core::operational::Operational;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_fault::{Bug, planted, point};
use rusqlite::{OptionalExtension as _, params};

use super::writer::Work;
use super::{SqliteStore, directory, rows};
use crate::error::{ChangeError, StoreError};
use crate::intake::{Accepted, IdempotencyKey, Intake, NewMessage};
use crate::known::{self, KnownApp, wanting};

#[async_trait]
impl Intake for SqliteStore {
    async fn accept(&self, new: NewMessage, now: Timestamp) -> Result<Accepted, ChangeError> {
        let left_for_later = left_for_later(&new);
        let accepted = self.writer.run(move |work| accept(work, &new, now)).await?;
        if let Some(new) = left_for_later.filter(|_| !accepted.repeated) {
            let message = Arc::clone(&accepted.message);
            self.writer.run(move |work| make_up_for(work, &new, &message, now)).await?;
        }
        Ok(accepted)
    }
}

/// With some planted bugs: what has a second transaction, after that of the message.
fn left_for_later(new: &NewMessage) -> Option<NewMessage> {
    (planted(Bug::FanOutAfterCommit) || planted(Bug::KeyOutsideAccept)).then(|| new.clone())
}

/// The second transaction of those planted bugs.
fn make_up_for(
    work: &mut Work<'_>,
    new: &NewMessage,
    message: &Arc<Message>,
    now: Timestamp,
) -> Result<(), ChangeError> {
    if let Some(key) = new.idempotency.as_ref().filter(|_| planted(Bug::KeyOutsideAccept)) {
        remember(work, key, message, now)?;
    }
    if planted(Bug::FanOutAfterCommit) {
        let app = app_of(work, new, now)?;
        let trigger = Trigger::Scheduled;
        let entry = Entry { app: &app, message, origin: None, expunge_at: new.expunge_at, trigger };
        for endpoint in known::targets(&app, new.only.as_ref(), &new.event_type, &new.channels)? {
            owe(work, &entry, &endpoint, now)?;
        }
    }
    Ok(())
}

fn accept(work: &mut Work<'_>, new: &NewMessage, now: Timestamp) -> Result<Accepted, ChangeError> {
    if let Some(key) = &new.idempotency
        && let Some(first) = repeated(work, key, now)?
    {
        return Ok(first);
    }
    let app = app_of(work, new, now)?;
    if let Some(event_id) = &new.event_id
        && is_known(work, app.app.id, event_id)?
    {
        return Err(ChangeError::Taken("a message with this eventId"));
    }
    let targets = known::targets(&app, new.only.as_ref(), &new.event_type, &new.channels)?;
    let message = Arc::new(Message {
        id: new.id,
        app: app.app.id,
        event_type: new.event_type.clone(),
        event_id: new.event_id.clone(),
        channels: new.channels.clone(),
        tags: new.tags.clone(),
        body: Some(new.body.clone()),
        origin: None,
        created_at: now,
        deliver_at: new.deliver_at,
    });
    if let Some(key) = new.idempotency.as_ref().filter(|_| !planted(Bug::KeyOutsideAccept)) {
        remember(work, key, &message, now)?;
    }
    let trigger = if new.only.is_some() { Trigger::Manual } else { Trigger::Scheduled };
    let entry = Entry { app: &app, message: &message, origin: None, expunge_at: new.expunge_at, trigger };
    let owed_now = if planted(Bug::FanOutAfterCommit) { &[][..] } else { &targets };
    let deliveries_count = enter(work, &entry, owed_now, now)?;
    point!("accept.inserted");
    Ok(Accepted { message, deliveries_count, repeated: false })
}

/// The app that a message is for, made if the caller asked for that.
fn app_of(work: &mut Work<'_>, new: &NewMessage, now: Timestamp) -> Result<Arc<KnownApp>, ChangeError> {
    let find = |work: &mut Work<'_>| {
        let app = work.memo.app_by(work.conn, work.vault, new.environment, &new.app)?;
        Ok::<_, StoreError>(app.filter(|app| !app.operational))
    };
    if let Some(app) = find(work)? {
        return Ok(app);
    }
    let create = new.create_app.as_ref().ok_or(ChangeError::NotFound("application"))?;
    if new.only.is_some() {
        // Refused before anything is written: a new app has no endpoint.
        return Err(ChangeError::NotFound("endpoint"));
    }
    directory::apps::create(work, new.environment, create, true, now)?;
    find(work)?.ok_or(ChangeError::NotFound("application"))
}

/// A message about to be written.
pub(super) struct Entry<'a> {
    pub(super) app: &'a KnownApp,
    pub(super) message: &'a Arc<Message>,
    /// Its origin, sealed.
    pub(super) origin: Option<&'a [u8]>,
    pub(super) expunge_at: Option<Timestamp>,
    pub(super) trigger: Trigger,
}

/// Writes a message and what it owes; returns to how many.
pub(super) fn enter(
    work: &mut Work<'_>,
    entry: &Entry<'_>,
    targets: &[Arc<Endpoint>],
    now: Timestamp,
) -> Result<u32, StoreError> {
    write_message(work, entry)?;
    work.effects.counted.accepted(entry.app.environment, entry.app.app.id, now);
    point!("accept.message_inserted");
    for endpoint in targets {
        owe(work, entry, endpoint, now)?;
        point!("accept.half_fanned_out");
    }
    Ok(u32::try_from(targets.len()).unwrap_or(u32::MAX))
}

/// Whether the caller's id was used before.
fn is_known(work: &Work<'_>, app: AppId, event_id: &Uid) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM event_key WHERE app = ?1 AND event_id = ?2";
    Ok(work.conn.prepare_cached(sql)?.exists(params![app.as_bytes(), event_id.as_str()])?)
}

/// The first answer to a key that was used before.
fn repeated(work: &Work<'_>, key: &IdempotencyKey, now: Timestamp) -> Result<Option<Accepted>, ChangeError> {
    let sql = "SELECT fingerprint, app, message FROM idempotency WHERE key = ?1 AND expires_at > ?2";
    let mut statement = work.conn.prepare_cached(sql).map_err(StoreError::from)?;
    type Row = ([u8; 32], Option<[u8; ID_BYTES]>, Option<[u8; ID_BYTES]>);
    let found: Option<Row> = statement
        .query_row(params![key.key, now.as_micros()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .map_err(StoreError::from)?;
    let Some((fingerprint, app, message)) = found else { return Ok(None) };
    if fingerprint != key.fingerprint {
        return Err(ChangeError::KeyReused);
    }
    let (Some(app), Some(message)) = (app, message) else { return Err(ChangeError::KeyInUse) };
    let message = rows::read_message(work.conn, work.vault, Id::from_bytes(app), Id::from_bytes(message))?;
    let message = message.ok_or(ChangeError::NotFound("message"))?;
    let sql = "SELECT count(*) FROM delivery WHERE message = ?1";
    let mut statement = work.conn.prepare_cached(sql).map_err(StoreError::from)?;
    let deliveries_count =
        statement.query_row([message.id.as_bytes()], |row| row.get(0)).map_err(StoreError::from)?;
    Ok(Some(Accepted { message: Arc::new(message), deliveries_count, repeated: true }))
}

fn remember(
    work: &Work<'_>,
    key: &IdempotencyKey,
    message: &Message,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO idempotency (key, fingerprint, app, message, expires_at) \
               VALUES (?1, ?2, ?3, ?4, ?5)";
    work.conn.prepare_cached(sql)?.execute(params![
        key.key,
        key.fingerprint,
        message.app.as_bytes(),
        message.id.as_bytes(),
        now.later(IDEMPOTENCY_WINDOW).as_micros()
    ])?;
    Ok(())
}

fn write_message(work: &Work<'_>, entry: &Entry<'_>) -> Result<(), StoreError> {
    let message = entry.message;
    let body = message.body.as_deref().unwrap_or_default();
    let sql = "INSERT INTO body (bytes, origin) VALUES (?1, ?2)";
    work.conn.prepare_cached(sql)?.execute((body, entry.origin))?;
    let sql = "INSERT INTO message (app, id, event_type, event_id, channels, tags, body, deliver_at, created_at, \
               expunge_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    work.conn.prepare_cached(sql)?.execute(params![
        message.app.as_bytes(),
        message.id.as_bytes(),
        message.event_type.as_str(),
        message.event_id.as_ref().map(Uid::as_str),
        rows::joined(message.channels.iter().map(Channel::as_str)),
        rows::joined(message.tags.iter().map(Tag::as_str)),
        work.conn.last_insert_rowid(),
        message.deliver_at.map(Timestamp::as_micros),
        message.created_at.as_micros(),
        entry.expunge_at.map(Timestamp::as_micros),
    ])?;
    if let Some(event_id) = &message.event_id {
        let sql = "INSERT INTO event_key (app, event_id, message) VALUES (?1, ?2, ?3)";
        let values = params![message.app.as_bytes(), event_id.as_str(), message.id.as_bytes()];
        work.conn.prepare_cached(sql)?.execute(values)?;
    }
    Ok(())
}

/// Writes down a new delivery; already leased to this process if that would send it at once.
fn owe(
    work: &mut Work<'_>,
    entry: &Entry<'_>,
    endpoint: &Arc<Endpoint>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Entry { app, message, trigger, .. } = *entry;
    let at_once = message.deliver_at.is_none() && !app.is_paused();
    let leased_for = match work.engine {
        // What is owed to a listener goes by the queue, all of it: in order, and when somebody listens.
        Some((engine, lasts)) if at_once && !endpoint.is_listener() && engine.has_room(endpoint.id) => {
            Some(*lasts)
        }
        _ => None,
    };
    let lease = leased_for.map(|lasts| work.lease(lasts, now));
    let due = message.deliver_at.unwrap_or(now);
    let sql = "INSERT INTO delivery (message, endpoint, app, state, due_at, lease_token, lease_until, attempts, \
               manual) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)";
    work.conn.prepare_cached(sql)?.execute(params![
        message.id.as_bytes(),
        endpoint.id.as_bytes(),
        message.app.as_bytes(),
        i64::from(lease.is_some()),
        lease.is_none().then_some(due.as_micros()),
        lease.map(|lease| lease.token),
        lease.map(|lease| lease.until.as_micros()),
        trigger == Trigger::Manual,
    ])?;
    match lease {
        Some(lease) => {
            work.effects.in_flight_delta += 1;
            work.effects.claimed.push(Claimed {
                environment: app.environment,
                lease,
                message: Arc::clone(message),
                endpoint: Arc::clone(endpoint),
                endpoint_deleted: false,
                forsaken: false,
                attempts_made: 0,
                trigger,
            });
        }
        None => {
            work.effects.waiting_delta += 1;
            if !app.is_paused() {
                work.effects.due.push((endpoint.id, due));
            }
        }
    }
    Ok(())
}

/// Tells an environment's operational webhooks what happened, in the transaction in which it did.
///
/// What happens to the operational app itself is not told: it could go round for ever.
pub(super) fn tell(
    work: &mut Work<'_>,
    environment: EnvironmentId,
    what: &Operational,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(app) = work.memo.operational(work.conn, work.vault, environment)? else { return Ok(()) };
    let Ok(event_type) = EventTypeName::parse(what.event_type()) else { return Ok(()) };
    let targets = wanting(&app, &event_type, &[]);
    if targets.is_empty() {
        return Ok(());
    }
    let message = Arc::new(Message {
        id: MessageId::fresh(now, work.dice),
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
    let entry =
        Entry { app: &app, message: &message, origin: None, expunge_at: None, trigger: Trigger::Scheduled };
    enter(work, &entry, &targets, now)?;
    Ok(())
}
