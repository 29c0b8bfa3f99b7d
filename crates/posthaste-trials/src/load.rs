//! The load: requests at a rate, over a bounded number of connections, each asked again until it is answered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use hmac::{Hmac, KeyInit as _, Mac as _};
use posthaste_core::dice::{Dice as _, TestDice};
use sha2::Sha256;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{Connection, request};
use crate::clock;
use crate::judge::{Answer, Told, hash};
use crate::scene::{EVENT_TYPES, Scene};
use crate::wire::Incoming;

/// Requests that are under way at once.
const CONNECTIONS: usize = 16;
/// Share of the requests that come by the source's door, that have an event id, and that are sent again once they
/// have been answered.
const BY_THE_DOOR: f64 = 0.15;
const WITH_EVENT_ID: f64 = 0.1;
const ASKED_TWICE: f64 = 0.05;
/// What is answered to an event id that is known, or to a key that is in use.
const CONFLICT: u16 = 409;
/// Before a request that was not answered is sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(10);
/// How long all requests under way may take to be answered at the end.
const FINISH_MAX: Duration = Duration::from_secs(60);

/// Where a server is now, or that it is gone. There may be several: requests go to each in turn, and one that finds
/// nobody or is refused goes to the next, as behind a load balancer.
pub(crate) type Address = watch::Receiver<Option<SocketAddr>>;

/// How much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// The number of the first request.
    pub(crate) first: u64,
    /// Requests in all; the load may be stopped earlier.
    pub(crate) count: u64,
    pub(crate) per_second: f64,
}

/// A load under way.
pub(crate) struct Load {
    stop: watch::Sender<bool>,
    senders: JoinSet<anyhow::Result<()>>,
}

struct Shared {
    plan: Plan,
    scene: Arc<Scene>,
    next: AtomicU64,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Load {
    /// Begins. Every answer goes to `told`.
    pub(crate) fn start(
        plan: Plan,
        scene: Arc<Scene>,
        addresses: &[Address],
        told: Arc<Mutex<Vec<Told>>>,
    ) -> Self {
        let stop = watch::Sender::new(false);
        let shared = Arc::new(Shared { plan, scene, next: AtomicU64::new(0), told });
        let began = Instant::now();
        let mut senders = JoinSet::new();
        for turn in 0..CONNECTIONS {
            let servers = addresses.iter().map(|address| To { address: address.clone(), connection: None });
            let sender = Sender { shared: Arc::clone(&shared), servers: servers.collect(), turn };
            senders.spawn(sender.run(began, stop.subscribe()));
        }
        Self { stop, senders }
    }

    /// Begins nothing new and waits for all answers that are owed.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        self.finish().await
    }

    /// Waits until all is sent and answered.
    pub(crate) async fn finish(mut self) -> anyhow::Result<()> {
        let all = async {
            while let Some(ended) = self.senders.join_next().await {
                ended??;
            }
            Ok(())
        };
        let ended = tokio::time::timeout(FINISH_MAX, all).await;
        ended.with_context(|| format!("requests were not answered within {FINISH_MAX:?}"))?
    }
}

/// One request, the same bytes each time it is sent.
struct Asked {
    bytes: Vec<u8>,
    /// What is told, but for the instants and the answer.
    entry: Told,
    twice: bool,
}

impl Shared {
    fn asked(&self, number: u64) -> anyhow::Result<Asked> {
        let dice = TestDice::seeded(self.plan.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let door = dice.unit() < BY_THE_DOOR;
        let twice = dice.unit() < ASKED_TWICE;
        let filler = "x".repeat(50 + pick(&dice, 400));
        let payload = format!(r#"{{"number":{number},"filler":"{filler}"}}"#);
        let mut entry = Told {
            request: number,
            app: String::new(),
            key: Some(format!("trial-{}-{number}", self.plan.seed)),
            event_id: None,
            event_type: None,
            body_hash: hash(payload.as_bytes()),
            asked_at: 0,
            answered_at: 0,
            answer: Answer::Unknown,
        };
        let own_apps = self.scene.apps.len() - 1;
        if door {
            entry.app.clone_from(&self.scene.apps[own_apps]);
            let mut mac = Hmac::<Sha256>::new_from_slice(self.scene.door_secret.as_bytes())?;
            mac.update(payload.as_bytes());
            let tag: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            let headers = format!(
                "x-github-event: push\r\nx-github-delivery: 00000000-0000-4000-8000-{number:012}\r\n\
                 x-hub-signature-256: sha256={tag}\r\n"
            );
            return Ok(Asked { bytes: request("POST", &self.scene.door, &headers, &payload), entry, twice });
        }
        entry.app.clone_from(&self.scene.apps[pick(&dice, own_apps)]);
        let event_type = EVENT_TYPES[pick(&dice, EVENT_TYPES.len())];
        entry.event_type = Some(event_type.to_owned());
        entry.event_id = (dice.unit() < WITH_EVENT_ID).then(|| format!("event-{number}"));
        let event_id = entry.event_id.as_ref().map(|id| format!(r#","eventId":"{id}""#)).unwrap_or_default();
        let body = format!(r#"{{"eventType":"{event_type}"{event_id},"payload":{payload}}}"#);
        let key = entry.key.as_deref().unwrap_or_default();
        let headers = format!("authorization: Bearer {}\r\nidempotency-key: {key}\r\n", self.scene.token);
        let path = format!("/api/v1/app/{}/msg", entry.app);
        Ok(Asked { bytes: request("POST", &path, &headers, &body), entry, twice })
    }

    fn note(&self, told: Told) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(told);
    }
}

fn pick(dice: &TestDice, count: usize) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a unit times a small count is a small number"
    )]
    let picked = (dice.unit() * count as f64) as usize;
    picked
}

struct Sender {
    shared: Arc<Shared>,
    servers: Vec<To>,
    /// Requests that it has sent or tried to send.
    turn: usize,
}

/// A server, and the connection to it that is kept alive.
struct To {
    address: Address,
    connection: Option<(SocketAddr, Connection)>,
}

impl Sender {
    async fn run(mut self, began: Instant, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        loop {
            let index = self.shared.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.shared.plan.count {
                return Ok(());
            }
            let at = Duration::from_secs_f64(index as f64 / self.shared.plan.per_second);
            tokio::time::sleep_until(began + at).await;
            if *stop.borrow() {
                return Ok(());
            }
            let asked = self.shared.asked(self.shared.plan.first + index)?;
            self.until_answered(&asked).await?;
            if asked.twice {
                self.until_answered(&asked).await?;
            }
        }
    }

    async fn until_answered(&mut self, asked: &Asked) -> anyhow::Result<()> {
        loop {
            let asked_at = clock::now();
            let answer = match self.once(asked).await {
                None => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                    continue;
                }
                Some(Ok(heard)) => read(&heard)?,
                Some(Err(_)) => Answer::Unknown,
            };
            let settled = match answer {
                Answer::Accepted { .. } => true,
                // The judge knows whether it is there.
                Answer::Refused(CONFLICT) => true,
                Answer::Refused(status) if is_passing(status) => false,
                Answer::Refused(status) => bail!("request {} was refused with {status}", asked.entry.request),
                Answer::Unknown => false,
            };
            self.shared.note(Told { asked_at, answered_at: clock::now(), answer, ..asked.entry.clone() });
            if settled {
                return Ok(());
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// `None`: no byte was sent, for nobody was there to take it.
    async fn once(&mut self, asked: &Asked) -> Option<std::io::Result<Incoming>> {
        let servers = self.servers.len();
        self.turn += 1;
        let to = &mut self.servers[self.turn % servers];
        let now_at = (*to.address.borrow())?;
        let mut connection = match to.connection.take() {
            Some((address, connection)) if address == now_at => connection,
            _ => Connection::open(now_at).await.ok()?,
        };
        let heard = connection.ask(&asked.bytes).await;
        if heard.is_ok() {
            to.connection = Some((now_at, connection));
        }
        Some(heard)
    }
}

/// Answers after which the same request may be sent again.
fn is_passing(status: u16) -> bool {
    status == 429 || status >= 500
}

fn read(heard: &Incoming) -> anyhow::Result<Answer> {
    let status: u16 = heard.second_word().parse().context("an answer without a status")?;
    if !(200..300).contains(&status) {
        return Ok(Answer::Refused(status));
    }
    // A source names the message in a header, the API in the body.
    let message = match heard.header("posthaste-message") {
        Some(message) => message.to_owned(),
        None => {
            let answer: serde_json::Value =
                serde_json::from_slice(&heard.body).context("a 2xx that is no JSON")?;
            answer["id"].as_str().context("a 2xx that names no message")?.to_owned()
        }
    };
    Ok(Answer::Accepted { message, said: hash(&heard.body) })
}
