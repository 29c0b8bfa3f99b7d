//! Everybody's servers, and the wires to them.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use posthaste_core::attempt::{Failure, FailureKind, Outcome, Reply, Timing as Took};
use posthaste_core::delivery::DeliveryKey;
use posthaste_core::id::{EndpointId, MessageId};
use posthaste_core::time::Timestamp;
use posthaste_engine::Transport;
use posthaste_engine::client::{Outbound, Sent};
use posthaste_signature::Secret;
use posthaste_signature::standard::{Signed, Verifier, verify};
use posthaste_trials::judge::{Got, What, hash};

use crate::book::{SharedBook, open};
use crate::doom::Doom;
use crate::stream::Stream;
use crate::time::{Face, NodeClock, Time};
use crate::timing::Timing;

/// How long an endpoint may have failed before the product may have disabled it: well below the five days of the rule,
/// for clocks jump.
const MAY_BE_DISABLED_AFTER: Duration = Duration::from_hours(4 * 24);
/// What was claimed before a rotation is signed with what was valid then, and clocks jump by an hour meanwhile.
const SIGNS_ON_MAX: Duration = Duration::from_hours(2);

/// What a receiver does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Status(u16),
    /// 429 and this `Retry-After`.
    Asks(&'static str),
    Refuses,
    /// Reads it and says nothing.
    Hangs,
    /// Takes it, sends the head of its answer, and no more.
    HeadThenHangs,
    /// Takes it, and its answer is lost.
    GoesSilent,
    /// Takes it, and answers when nobody waits any more.
    TooLate,
}

/// What `Retry-After` has been seen to say, and worse.
const WISHES: [&str; 9] = [
    "1",
    "60",
    "7200",
    "99999999999999999999",
    "inf",
    "1e30",
    "-1",
    "Fri, 31 Dec 2100 23:59:59 GMT",
    "Thu, 01 Jan 1970 00:00:00 GMT",
];

/// A mood of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// Fails so many of a hundred, each in its own way.
    Flaky(usize),
    Always(Answer),
}

impl Mood {
    pub(crate) fn drawn(dice: &Stream) -> Self {
        match dice.below(10) {
            0..4 => Self::Well,
            4..7 => Self::Flaky(10 + dice.below(70)),
            7 => Self::Always(Answer::Status(*dice.pick(&[400, 404, 500, 503]).unwrap_or(&500))),
            8 => Self::Always(*dice.pick(&[Answer::Refuses, Answer::Hangs]).unwrap_or(&Answer::Refuses)),
            _ => Self::Always(Answer::Asks(dice.pick(&WISHES).copied().unwrap_or("60"))),
        }
    }

    fn answer(self, dice: &Stream) -> Answer {
        match self {
            Self::Well => Answer::Status(if dice.chance(50) { 200 } else { 204 }),
            Self::Always(answer) => answer,
            Self::Flaky(percent) if !dice.chance(percent) => Answer::Status(200),
            Self::Flaky(_) => match dice.below(40) {
                0..14 => Answer::Status(*dice.pick(&[302, 400, 404, 500, 502, 503]).unwrap_or(&500)),
                14..22 => Answer::Asks(dice.pick(&WISHES).copied().unwrap_or("60")),
                22..28 => Answer::Refuses,
                28..31 => Answer::Hangs,
                31..34 => Answer::HeadThenHangs,
                34..37 => Answer::GoesSilent,
                37..39 => Answer::TooLate,
                _ => Answer::Status(410),
            },
        }
    }
}

/// A secret, and when it was one.
struct Known {
    verifier: Verifier,
    until: Option<Timestamp>,
}

struct Receiver {
    id: EndpointId,
    mood: Mood,
    secrets: Vec<Known>,
    failing_since: Option<Timestamp>,
}

/// The receivers of one world, by their URL.
pub(crate) struct Network {
    time: Arc<Time>,
    doom: Arc<Doom>,
    book: SharedBook,
    timing: Arc<Mutex<Timing>>,
    dice: Stream,
    receivers: Mutex<BTreeMap<String, Receiver>>,
}

impl Network {
    pub(crate) fn new(
        seed: u64,
        time: &Arc<Time>,
        doom: &Arc<Doom>,
        book: &SharedBook,
        timing: &Arc<Mutex<Timing>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            time: Arc::clone(time),
            doom: Arc::clone(doom),
            book: Arc::clone(book),
            timing: Arc::clone(timing),
            dice: Stream::of(seed, "network"),
            receivers: Mutex::default(),
        })
    }

    fn with<T>(&self, url: &str, act: impl FnOnce(&mut Receiver) -> T) -> Option<T> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner).get_mut(url).map(act)
    }

    /// A server begins to listen.
    pub(crate) fn listen(&self, url: &str, id: EndpointId, secret: &Secret) {
        let secrets = vec![Known { verifier: Verifier::from(secret), until: None }];
        let receiver = Receiver { id, mood: Mood::Well, secrets, failing_since: None };
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner).insert(url.to_owned(), receiver);
    }

    pub(crate) fn feels(&self, url: &str, mood: Mood) {
        self.with(url, |receiver| receiver.mood = mood);
    }

    /// All servers are well from now on.
    pub(crate) fn heal(&self) {
        let mut receivers = self.receivers.lock().unwrap_or_else(PoisonError::into_inner);
        receivers.values_mut().for_each(|receiver| receiver.mood = Mood::Well);
    }

    /// The receiver knows of a new secret; the old ones end after `grace`, once that is sure.
    pub(crate) fn learns(&self, url: &str, secret: &Secret) {
        let verifier = Verifier::from(secret);
        self.with(url, |receiver| receiver.secrets.push(Known { verifier, until: None }));
    }

    /// The rotation was answered: all secrets but the newest end at `until`, by the wall clock.
    pub(crate) fn retires(&self, url: &str, until: Timestamp) {
        self.with(url, |receiver| {
            let newest = receiver.secrets.len().saturating_sub(1);
            for known in &mut receiver.secrets[..newest] {
                known.until = Some(known.until.map_or(until, |end| end.min(until)));
            }
        });
    }

    /// Writes down what came, and says how it is answered.
    fn receive(&self, request: &Outbound) -> Answer {
        let (steady, wall) = (self.time.now(Face::Steady), self.time.now(Face::Wall));
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
        let message = header("webhook-id").unwrap_or_default().to_owned();
        let signed = Signed::from_headers(header).ok();
        let found = self.with(&request.url, |receiver| {
            let valid = receiver
                .secrets
                .iter()
                .filter(|known| known.until.is_none_or(|until| wall.since(until) <= SIGNS_ON_MAX));
            let keys: Vec<_> = valid.map(|known| known.verifier.clone()).collect();
            let ours = signed
                .as_ref()
                .is_some_and(|signed| verify(signed, &request.body, &keys, wall.as_secs(), None).is_ok());
            (receiver.id, ours, receiver.mood.answer(&self.dice))
        });
        let Some((endpoint, ours, answer)) = found else { return Answer::Refuses };
        self.doom.note(message.as_bytes());
        self.doom.note(&steady.as_micros().to_le_bytes());
        if let Some(message) = MessageId::parse(&message) {
            let mut timing = self.timing.lock().unwrap_or_else(PoisonError::into_inner);
            timing.attempted(DeliveryKey { message, endpoint }, wall, steady);
        }
        let (status, goes_wrong) = match answer {
            Answer::Status(status) => (Some(status), false),
            Answer::Asks(_) => (Some(429), false),
            Answer::Hangs => (None, true),
            Answer::HeadThenHangs | Answer::GoesSilent | Answer::TooLate => (Some(200), true),
            Answer::Refuses => return answer,
        };
        let endpoint = endpoint.to_string();
        let timestamp = header("webhook-timestamp").and_then(|text| text.parse().ok()).unwrap_or_default();
        let mut book = open(&self.book);
        if goes_wrong {
            book.fault(What::Receiver, Some(&endpoint), steady, steady);
        }
        let body_hash = hash(&request.body);
        let at = steady.as_micros();
        book.got.push(Got { endpoint, message, body_hash, signed: ours, timestamp, at, status });
        answer
    }

    /// Notes what the product sees of this answer: it may disable an endpoint for it.
    fn seen(&self, url: &str, outcome: &Outcome) {
        let now = self.time.now(Face::Steady);
        let unsure = self.with(url, |receiver| {
            if outcome.is_success() {
                receiver.failing_since = None;
                return None;
            }
            let since = *receiver.failing_since.get_or_insert(now);
            let may_be = outcome.status_code() == 410 || now.since(since) >= MAY_BE_DISABLED_AFTER;
            may_be.then_some(receiver.id)
        });
        if let Some(id) = unsure.flatten() {
            open(&self.book).doubts(&id.to_string(), now);
        }
    }

    async fn exchange(&self, request: &Outbound) -> Outcome {
        let began = self.time.now(Face::Steady);
        let until = began.later(request.timeout);
        posthaste_fault::hit("send.resolved");
        self.time.sleep_for(self.dice.between(Duration::from_millis(1), Duration::from_millis(80))).await;
        posthaste_fault::hit("send.connected");
        let answer = self.receive(request);
        self.time.sleep_for(self.dice.between(Duration::from_millis(1), Duration::from_millis(400))).await;
        let outcome = match answer {
            Answer::Status(status) => replied(status, None),
            Answer::Asks(wish) => replied(429, Some(wish)),
            Answer::Refuses => failed(FailureKind::Connect),
            Answer::GoesSilent => failed(FailureKind::Broken),
            Answer::Hangs | Answer::HeadThenHangs | Answer::TooLate => {
                if answer == Answer::HeadThenHangs {
                    posthaste_fault::hit("send.head_received");
                }
                self.time.sleep(Face::Steady, until).await;
                return failed(FailureKind::Timeout);
            }
        };
        if matches!(outcome, Outcome::Replied(_)) {
            posthaste_fault::hit("send.head_received");
            posthaste_fault::hit("send.body_read");
        }
        outcome
    }
}

fn replied(status: u16, retry_after: Option<&'static str>) -> Outcome {
    let header = |wish: &'static str| ("retry-after".to_owned(), Bytes::from_static(wish.as_bytes()));
    let headers = retry_after.map(header).into_iter().collect();
    Outcome::Replied(Reply { status, headers, body: Bytes::new(), truncated: false })
}

fn failed(kind: FailureKind) -> Outcome {
    Outcome::Failed(Failure { kind, detail: "as the simulation wants it".to_owned() })
}

/// The wires of one node: they carry nothing for a dead process, and nothing while the node stands still.
pub(crate) struct Wires {
    pub(crate) network: Arc<Network>,
    pub(crate) clock: NodeClock,
}

#[async_trait]
impl Transport for Wires {
    async fn send(&self, request: Outbound) -> Sent {
        self.clock.thawed().await;
        if self.network.doom.is_dead() {
            pending::<()>().await;
        }
        let outcome = self.network.exchange(&request).await;
        self.clock.thawed().await;
        self.network.seen(&request.url, &outcome);
        Sent { outcome, timing: Took::default(), remote: None }
    }
}
