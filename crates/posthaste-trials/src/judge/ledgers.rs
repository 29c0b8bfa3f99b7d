//! The ledgers, as plain data: whoever runs a trial fills them in, and they can be kept as a file beside a failure.
//!
//! Ids are texts as they stand on the wire. Instants are microseconds since 1970 in UTC, all of one clock.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Microseconds since 1970 in UTC.
pub type Micros = i64;

/// Everything that the judge looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledgers {
    /// The client's: each request and its answer.
    pub told: Vec<Told>,
    /// The receivers': each request that reached them.
    pub got: Vec<Got>,
    /// Of whoever injected faults.
    pub faults: Vec<Fault>,
    /// The store's, read while no process had it open.
    pub store: Dump,
    /// Who wanted what, and when.
    pub endpoints: Vec<EndpointFact>,
    /// All faults are healed and the backlog had the time to drain: whatever is left is stuck.
    pub quiescent: bool,
    /// Attempts that one process makes at once: a crash can leave so many without a row.
    pub worker_slots: u32,
    /// Messages that were asked for before this may have been forgotten by retention.
    pub kept_since: Option<Micros>,
}

/// One request of the client. One that is repeated, with the same key, is an entry each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The number that the client gave it; repetitions share it.
    pub request: u64,
    /// The app's id.
    pub app: String,
    /// The idempotency key, or what a source knows a repeated request by.
    pub key: Option<String>,
    /// The caller's own id of the event.
    pub event_id: Option<String>,
    /// What happened; `None` where the server derives it.
    pub event_type: Option<String>,
    /// [`hash`] of the payload.
    pub body_hash: String,
    /// When the first byte was about to be sent.
    pub asked_at: Micros,
    /// When the answer was there, or the connection was seen to be lost.
    pub answered_at: Micros,
    /// What the client heard.
    pub answer: Answer,
}

/// What a client heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// 2xx.
    Accepted {
        /// The message's id.
        message: String,
        /// [`hash`] of the answer's body, so that two answers can be told apart.
        said: String,
    },
    /// Any other status.
    Refused(u16),
    /// None: the connection was lost, and the request may or may not have been taken.
    Unknown,
}

/// One request that reached a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Got {
    /// The endpoint's id.
    pub endpoint: String,
    /// Its `webhook-id`.
    pub message: String,
    /// [`hash`] of its body.
    pub body_hash: String,
    /// Whether a signature verified with a secret that was valid at that time.
    pub signed: bool,
    /// Its `webhook-timestamp`, in seconds.
    pub timestamp: i64,
    /// When it had been read.
    pub at: Micros,
    /// What was answered; `None` if nothing was, or the connection broke first.
    pub status: Option<u16>,
}

impl Got {
    /// Whether the receiver took it.
    pub fn is_success(&self) -> bool {
        self.status.is_some_and(is_success)
    }
}

/// 2xx.
pub(crate) fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Something that was made to go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What.
    pub what: What,
    /// The one endpoint that it was about; `None`: all of them.
    pub endpoint: Option<String>,
    /// When it was about to begin.
    pub from: Micros,
    /// When it was healed: after a crash, when the next process was ready.
    pub until: Micros,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum What {
    /// The process ended without a word.
    Crash,
    /// A thread or task panicked.
    Panic,
    /// A receiver broke a connection, or answered late or never.
    Receiver,
    /// A write or a flush failed, or what was written was lost.
    Disk,
    /// Packets were lost or late.
    Network,
    /// A clock jumped.
    Clock,
    /// A process stood still for longer than its leases.
    Pause,
    /// The database was away.
    Outage,
    /// No fault: somebody asked for a message to be sent again.
    Resend,
}

/// What the store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// Every message.
    pub messages: Vec<StoredMessage>,
    /// Every delivery.
    pub deliveries: Vec<StoredDelivery>,
    /// Every attempt.
    pub attempts: Vec<StoredAttempt>,
    /// Every idempotency key that answers with a message, and every key that a source knows a request by.
    pub keys: Vec<StoredKey>,
    /// Jobs that are not finished.
    pub unfinished_jobs: u64,
    /// Changes that nobody who holds a lease makes, where the store was told to write them down.
    #[serde(default)]
    pub forbidden: Vec<ForbiddenChange>,
    /// What was counted over time, in all.
    #[serde(default)]
    pub counted: Option<Counted>,
}

/// What was counted over time, added up by what it is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Of environments.
    pub environments: StoredCounts,
    /// Of apps.
    pub apps: StoredCounts,
    /// Of endpoints, which accept nothing.
    pub endpoints: StoredCounts,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCounts {
    /// Messages accepted.
    pub accepted: u64,
    /// Deliveries that ended well.
    pub delivered: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Attempts.
    pub attempts: u64,
}

impl Counted {
    /// Adds them up, in both stores.
    pub(super) const SQL: &str = "SELECT \
         CAST(coalesce(sum(accepted), 0) AS BIGINT), CAST(coalesce(sum(delivered), 0) AS BIGINT), \
         CAST(coalesce(sum(dead), 0) AS BIGINT), \
         CAST(coalesce(sum(succeeded + refused + unanswered), 0) AS BIGINT) FROM rollup WHERE ";
    /// Which rows are of environments, of apps and of endpoints.
    pub(super) const OF: [&str; 3] =
        ["length(thing) = 0", "thing IN (SELECT id FROM app)", "thing IN (SELECT id FROM endpoint)"];
}

/// A message's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMessage {
    /// Its id.
    pub id: String,
    /// The app's id.
    pub app: String,
    /// What happened.
    pub event_type: String,
    /// The caller's own id.
    pub event_id: Option<String>,
    /// [`hash`] of the body; `None` once it was expunged.
    pub body_hash: Option<String>,
    /// When it was accepted.
    pub created_at: Micros,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Owed.
    Waiting,
    /// Leased.
    InFlight,
    /// Taken by the endpoint.
    Delivered,
    /// Given up.
    Dead,
}

impl State {
    /// As both stores write it.
    pub(super) fn stored(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::Waiting),
            1 => Some(Self::InFlight),
            2 => Some(Self::Delivered),
            3 => Some(Self::Dead),
            _ => None,
        }
    }
}

/// A delivery's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredDelivery {
    /// What is owed.
    pub message: String,
    /// To whom.
    pub endpoint: String,
    /// Where it stands.
    pub state: State,
    /// When to try next.
    pub due_at: Option<Micros>,
    /// Until when it is leased.
    pub lease_until: Option<Micros>,
    /// Attempts that count for its schedule.
    pub attempts: u32,
    /// Whether somebody put it back.
    pub manual: bool,
    /// Why it was given up.
    pub why: Option<String>,
}

/// A change of a delivery that its state did not allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForbiddenChange {
    /// What is owed.
    pub message: String,
    /// To whom.
    pub endpoint: String,
    /// Where it stood.
    pub from: State,
    /// Where it stood then.
    pub to: State,
}

/// An attempt's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAttempt {
    /// Its id.
    pub id: String,
    /// Of which message.
    pub message: String,
    /// At which endpoint.
    pub endpoint: String,
    /// When it began.
    pub started_at: Micros,
    /// What was answered; 0 if nothing was.
    pub status: u16,
}

/// A key and the message that it answers with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKey {
    /// The message's id.
    pub message: String,
}

/// What an endpoint wants, and when it was there. One that was changed has a fact for each time between two changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointFact {
    /// Its id.
    pub id: String,
    /// The app's id.
    pub app: String,
    /// The event types that it wants; `None`: all.
    pub event_types: Option<Vec<String>>,
    /// From when on it surely was there: when its creation was answered.
    pub alive_from: Micros,
    /// Until when it surely was: when its end was asked for.
    pub alive_until: Option<Micros>,
}

impl EndpointFact {
    /// Whether it wants what happened.
    pub fn wants(&self, event_type: &str) -> bool {
        self.event_types.as_ref().is_none_or(|wanted| wanted.iter().any(|name| name == event_type))
    }
}

/// Half a SHA-256, in hex: enough to tell bodies apart.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
