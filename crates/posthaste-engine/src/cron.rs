//! Makes the messages of cron sources, at each whole minute: no schedule names another instant.
//!
//! Nothing is written down of a look. Whoever else looks, now or after a restart, finds the key of each instant taken.

use std::sync::Arc;
use std::time::Duration;

use posthaste_core::cron::{self, Cron};
use posthaste_core::id::MessageId;
use posthaste_core::limits::{CRON_GRACE, DEDUPE_WINDOW};
use posthaste_core::source::Source;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_store::source::{DedupeKey, NewReceived};
use posthaste_store::{ChangeError, StoreError};
use tokio::task::JoinSet;

use crate::Engine;

/// Sources that are read, and whose messages are made, at once: of the largest payloads 32 MiB.
const SOURCES_AT_ONCE: u32 = 32;
/// How soon to look again after a look that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) async fn run(engine: Arc<Engine>) {
    let mut looked = engine.clock.now().earlier(CRON_GRACE);
    loop {
        let now = engine.clock.now();
        let next_look = match look(&engine, looked, now).await {
            Ok(()) => {
                looked = now;
                Timestamp::from_secs((now.as_secs().div_euclid(60) + 1) * 60)
            }
            Err(error) => {
                tracing::warn!(%error, "not all cron sources could make their messages, trying again");
                now.later(RETRY_INTERVAL)
            }
        };
        engine.clock.sleep_until(next_look).await;
    }
}

/// Goes round all cron sources, for what came due after `looked`.
async fn look(engine: &Arc<Engine>, looked: Timestamp, now: Timestamp) -> Result<(), StoreError> {
    let mut after = None;
    let mut outcome = Ok(());
    loop {
        let sources = engine.sources.cron_sources(after, SOURCES_AT_ONCE).await?;
        let more = sources.len() >= SOURCES_AT_ONCE as usize;
        after = sources.last().map(|(_, source)| source.id);
        let mut making = JoinSet::new();
        for (environment, source) in sources {
            for new in owed(engine, environment, &source, looked, now) {
                let store = Arc::clone(&engine.sources);
                making.spawn(async move { store.receive(new, now).await });
            }
        }
        while let Some(made) = making.join_next().await {
            match made {
                // One that was deleted a moment ago owes nothing.
                Ok(Ok(_) | Err(ChangeError::NotFound(_))) => {}
                Ok(Err(ChangeError::Store(error))) => outcome = Err(error),
                Ok(Err(error)) => outcome = Err(StoreError::Unavailable(Box::new(error))),
                Err(error) => outcome = Err(StoreError::Unavailable(Box::new(error))),
            }
        }
        if !more {
            return outcome;
        }
    }
}

/// The messages that a source owes.
fn owed(
    engine: &Engine,
    environment: EnvironmentId,
    source: &Source,
    looked: Timestamp,
    now: Timestamp,
) -> Vec<NewReceived> {
    let Some(cron) = Cron::kept(&source.config) else {
        tracing::error!(source = %source.id, "a cron source has no schedule that can be read");
        return vec![];
    };
    let due = cron.due(looked, now);
    if let Some(first) = due.missed {
        let grace = CRON_GRACE.as_secs();
        tracing::warn!(
            source = %source.id, %first, "what a cron source should have sent more than {grace} s ago is left out"
        );
    }
    let message = |instant| NewReceived {
        source: source.id,
        app: source.app,
        environment,
        id: MessageId::fresh(now, &*engine.dice),
        event_type: cron::event_type(),
        tags: vec![],
        origin: cron.origin(),
        body: cron.body(),
        expunge_at: None,
        dedupe: Some(DedupeKey { hash: cron::key(instant), window: DEDUPE_WINDOW }),
    };
    due.instants.into_iter().map(message).collect()
}
