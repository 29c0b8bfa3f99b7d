//! Takes messages in: the port. The work is in `batch/accept.rs`.

use std::sync::Arc;

use async_trait::async_trait;
use posthaste_core::time::Timestamp;

use super::PostgresStore;
use super::batch::{self, Asked, AskedAccept, Command};
use super::directory::apps;
use super::work::{Work, change};
use crate::error::{ChangeError, StoreError};
use crate::intake::{Accepted, Intake, NewMessage};

#[async_trait]
impl Intake for PostgresStore {
    async fn accept(&self, new: NewMessage, now: Timestamp) -> Result<Accepted, ChangeError> {
        let new = Arc::new(new);
        let command = Arc::clone(&new);
        let accepted =
            self.writer.run(move |caller| Command::Accept(AskedAccept::new(command, now, caller))).await;
        match accepted {
            // A new app has no endpoint that a message could be for only.
            Err(ChangeError::NotFound("application")) if new.create_app.is_some() && new.only.is_none() => {
                change!(self, |work| with_its_app(work, &new, now))
            }
            Err(ChangeError::NotFound("application")) if new.create_app.is_some() => {
                Err(ChangeError::NotFound("endpoint"))
            }
            accepted => accepted,
        }
    }
}

/// The first message of an app, and the app: one transaction.
async fn with_its_app(
    work: &mut Work,
    new: &Arc<NewMessage>,
    now: Timestamp,
) -> Result<Accepted, ChangeError> {
    let app = new.create_app.as_ref().ok_or(ChangeError::NotFound("application"))?;
    apps::create(work, new.environment, app, true, now).await?;
    let (caller, mut answered) = tokio::sync::oneshot::channel();
    let mut commands = [Command::Accept(Asked::new(Arc::clone(new), now, caller))];
    batch::run_begun(work, &mut commands).await?;
    let [command] = commands;
    command.answer();
    answered.try_recv().map_err(|_| StoreError::Unavailable("nobody answered".into()))?
}
