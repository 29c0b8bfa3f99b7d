//! Hears what other nodes tell, on a connection of its own that no pooler may be in between of. Without it everything is
//! found as well, by looking, up to a second later.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use posthaste_core::time::Timestamp;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, Config};

use super::notice::{CHANNEL, Told, heard};
use super::shared::Shared;
use super::tls::Secure;
use crate::error::StoreError;

/// How long to wait before a lost connection is made anew, the first time; doubled each time.
const AGAIN_MIN: Duration = Duration::from_millis(500);
/// The longest such wait.
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// How often a silent connection is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(15);
/// How soon it must answer, and how soon one must hear what one has told oneself.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// When to try again, if nothing is heard: somebody is in between who does not pass it on.
const DEAF_FOR: Duration = Duration::from_mins(5);
/// Notices that wait to be acted on; past that the database keeps them for us.
const WAITING_MAX: usize = 1_024;

/// Why it listens no more.
enum Over {
    Lost(StoreError),
    Deaf,
}

impl<E: Into<StoreError>> From<E> for Over {
    fn from(error: E) -> Self {
        Self::Lost(error.into())
    }
}

/// Listens until it is ended.
pub(super) async fn listen_on(config: Config, secure: Secure, shared: Arc<Shared>) {
    let (mut wait, mut told) = (AGAIN_MIN, false);
    loop {
        match listen(&config, &secure, &shared, &mut wait).await {
            Over::Deaf => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(
                        "this node does not hear the others, and looks once a second: if the database URL leads to a \
                         pooler, set POSTHASTE_DATABASE_LISTEN_URL to the database itself"
                    );
                }
                wait = DEAF_FOR;
            }
            Over::Lost(error) => tracing::debug!(%error, "the connection that listens was lost"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).clamp(AGAIN_MIN, AGAIN_MAX);
    }
}

/// Returns when it is over.
async fn listen(config: &Config, secure: &Secure, shared: &Shared, wait: &mut Duration) -> Over {
    let (client, mut connection) = match config.connect(secure.clone()).await {
        Ok(connected) => connected,
        Err(error) => return error.into(),
    };
    let (notices, mut incoming) = mpsc::channel(WAITING_MAX);
    let carried = async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notice) = message? {
                // Nobody listens any more: it is over on the other side.
                let _ = notices.send(notice.payload().to_owned()).await;
            }
        }
        Ok::<_, tokio_postgres::Error>(())
    };
    tokio::select! {
        biased;
        carried = carried => match carried {
            Ok(()) => StoreError::Unavailable("PostgreSQL ended it".into()).into(),
            Err(error) => error.into(),
        },
        over = attend(&client, &mut incoming, shared, wait) => over,
    }
}

async fn attend(
    client: &Client,
    incoming: &mut mpsc::Receiver<String>,
    shared: &Shared,
    wait: &mut Duration,
) -> Over {
    if let Err(error) = begin(client).await {
        return error;
    }
    match timeout(ANSWER_WITHIN, incoming.recv()).await {
        Ok(Some(_)) => {}
        _ => return Over::Deaf,
    }
    *wait = AGAIN_MIN;
    shared.teller.waits_for_none();
    // What was told before we listened.
    shared.hear(&Told::Sources);
    shared.hear(&Told::Job);
    loop {
        match timeout(SILENCE, incoming.recv()).await {
            Ok(Some(notice)) => hear(shared, &notice),
            Ok(None) => return StoreError::Unavailable("PostgreSQL ended it".into()).into(),
            Err(_) => match timeout(ANSWER_WITHIN, client.batch_execute("")).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error.into(),
                Err(_) => return StoreError::Unavailable("it does not answer".into()).into(),
            },
        }
    }
}

/// Listens, and says something that it must hear itself.
async fn begin(client: &Client) -> Result<(), Over> {
    let sql = format!("LISTEN {CHANNEL}; SELECT pg_notify('{CHANNEL}', '')");
    match timeout(ANSWER_WITHIN, client.batch_execute(&sql)).await {
        Ok(begun) => Ok(begun?),
        Err(_) => Err(StoreError::Unavailable("it does not answer".into()).into()),
    }
}

fn hear(shared: &Shared, notice: &str) {
    let me = shared.number();
    let Some((from, all)) = heard(notice, me) else { return };
    if from == me {
        for told in &all {
            shared.teller.hears_own(told);
        }
        return;
    }
    shared.teller.set_alone(false);
    for told in all.iter().filter(|told| !shared.teller.is_outdated(told)) {
        shared.hear(told);
    }
}

impl Shared {
    /// Does what another node's word asks for.
    fn hear(&self, told: &Told) {
        match told {
            Told::Sources => self.note_source_change(),
            Told::Joined => {}
            Told::Job | Told::Due { .. } | Told::Listens { .. } => {
                let Some((engine, _)) = self.engine() else { return };
                match told {
                    // It has been due since whenever.
                    Told::Due { endpoint, .. } => engine.due(*endpoint, Timestamp::EPOCH),
                    Told::Listens { endpoint } => engine.listened_to_elsewhere(*endpoint),
                    _ => engine.job(),
                }
            }
        }
    }
}
