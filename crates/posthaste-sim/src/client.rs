//! The clients: they send messages to apps and to sources, and repeat what they heard no answer to.

use std::time::Duration;

use bytes::Bytes;
use posthaste_core::app::Reference;
use posthaste_core::id::MessageId;
use posthaste_core::name::{EventTypeName, Uid};
use posthaste_core::origin::Origin;
use posthaste_core::time::Timestamp;
use posthaste_store::intake::{IdempotencyKey, NewMessage};
use posthaste_store::source::{DedupeKey, NewReceived, Received};
use posthaste_store::{ChangeError, Intake as _, Sources as _};
use posthaste_trials::judge::{Answer, Told, hash};

use crate::book::open;
use crate::plan::Event;
use crate::stream::Stream;
use crate::time::Face;
use crate::world::{Heard, Owner, World};

/// What happens in these worlds.
pub(crate) const EVENT_TYPES: [&str; 3] = ["user.created", "user.deleted", "invoice.paid"];
/// A client that heard nothing so often gives up.
const TRIES_MAX: u32 = 40;
/// Of a hundred answers, so many never reach the client.
const ANSWERS_LOST: usize = 4;
/// The same of those that a process gave at the moment of its death.
const LAST_WORDS_LOST: usize = 50;

/// A message that a client wants to send.
pub(crate) struct Ask {
    owner: usize,
    event_type: &'static str,
    key: Option<String>,
    event_id: Option<String>,
    body: Bytes,
    put_off: Option<Duration>,
    /// It repeats it even if that may make two of it.
    stubborn: bool,
    tries: u32,
    done: bool,
}

impl Ask {
    pub(crate) fn drawn(dice: &Stream, number: usize, owners: usize) -> Self {
        let padding = "x".repeat(dice.below(400));
        Self {
            owner: dice.below(owners),
            event_type: dice.pick(&EVENT_TYPES).copied().unwrap_or(EVENT_TYPES[0]),
            key: dice.chance(60).then(|| format!("key-{number}")),
            event_id: dice.chance(30).then(|| format!("event-{number}")),
            body: Bytes::from(format!(r#"{{"number":{number},"padding":"{padding}"}}"#)),
            put_off: dice.chance(8).then(|| dice.between(Duration::from_secs(1), Duration::from_hours(3))),
            stubborn: dice.chance(40),
            tries: 0,
            done: false,
        }
    }
}

/// One request on its way.
pub(crate) struct Try {
    ask: usize,
    asked_at: Timestamp,
}

/// What a request was answered with: the message, unless it was refused.
pub(crate) type Taken = Result<MessageId, ChangeError>;

impl World {
    /// Sends message `number`, and now and then twice at once.
    pub(crate) fn ask(&mut self, number: usize) {
        self.send(number);
        let ask = &self.asks[number];
        if ask.tries == 1 && ask.key.is_some() && self.dice.chance(15) {
            self.send(number);
        }
    }

    fn send(&mut self, number: usize) {
        if self.asks[number].done {
            return;
        }
        self.asks[number].tries += 1;
        let Some(node) = self.node.as_ref().filter(|_| !self.is_draining()) else {
            return self.ask_again(number);
        };
        let (steady, wall) = (self.around.time.now(Face::Steady), self.around.time.now(Face::Wall));
        let id = MessageId::fresh(wall, &self.dice);
        self.made.insert(id, steady);
        let try_number = self.next_number;
        let (store, heard) = (node.store.clone(), self.heard.clone());
        let ask = &self.asks[number];
        let tell = move |taken: Taken| heard.push(Heard::Message(try_number, taken));
        match &self.owners[ask.owner] {
            Owner::App { environment, id: app } => {
                let new = NewMessage {
                    environment: *environment,
                    app: Reference::from(*app),
                    create_app: None,
                    id,
                    event_type: name(ask.event_type),
                    event_id: ask.event_id.as_deref().and_then(|text| Uid::parse(text).ok()),
                    channels: vec![],
                    tags: vec![],
                    body: ask.body.clone(),
                    expunge_at: None,
                    deliver_at: ask.put_off.map(|time| wall.later(time)),
                    only: None,
                    idempotency: ask.key.as_deref().map(|key| IdempotencyKey {
                        key: folded(&format!("{app} {key}")),
                        fingerprint: folded(&format!("{:?}", ask.body)),
                    }),
                };
                if let Some(at) = new.deliver_at {
                    self.timing().due_at(at);
                }
                node.spawn(
                    async move { tell(store.accept(new, wall).await.map(|accepted| accepted.message.id)) },
                );
            }
            Owner::Source { environment, id: source, app } => {
                let new = NewReceived {
                    source: *source,
                    app: *app,
                    environment: *environment,
                    id,
                    event_type: name(ask.event_type),
                    tags: vec![],
                    origin: Origin { method: "POST".to_owned(), ..Origin::default() },
                    body: ask.body.clone(),
                    expunge_at: None,
                    dedupe: ask
                        .key
                        .as_deref()
                        .map(|key| DedupeKey { hash: folded(key), window: Duration::from_hours(30 * 24) }),
                };
                node.spawn(async move {
                    tell(store.receive(new, wall).await.map(|received| match received {
                        Received::New { message, .. } => message,
                        Received::Repeated { first, .. } => first,
                    }));
                });
            }
        }
        self.next_number += 1;
        self.tries.insert(try_number, Try { ask: number, asked_at: steady });
    }

    fn ask_again(&mut self, number: usize) {
        let ask = &mut self.asks[number];
        let known_again = ask.key.is_some() || ask.event_id.is_some();
        if ask.tries < TRIES_MAX && (known_again || ask.stubborn) {
            let after = self.dice.between(Duration::from_secs(1), Duration::from_secs(30));
            self.plan_in(after, Event::Ask(number));
        } else {
            ask.done = true;
        }
    }

    /// A request was answered.
    pub(crate) fn hears(&mut self, try_number: u64, taken: &Taken) {
        let Some(one) = self.tries.remove(&try_number) else { return };
        let dying = self.doom.is_dead();
        let lost = self.dice.chance(if dying { LAST_WORDS_LOST } else { ANSWERS_LOST });
        let answer = match taken {
            _ if lost => Answer::Unknown,
            Ok(message) => {
                let said = hash(message.to_string().as_bytes());
                Answer::Accepted { message: message.to_string(), said }
            }
            Err(ChangeError::Taken(_)) => Answer::Refused(409),
            // A process that died has no answer; one that lives says 503.
            Err(_) if dying => Answer::Unknown,
            Err(_) => Answer::Refused(503),
        };
        self.tell(&one, answer);
    }

    /// The process died with these requests unanswered.
    pub(crate) fn hears_nothing(&mut self) {
        for one in std::mem::take(&mut self.tries).into_values() {
            self.tell(&one, Answer::Unknown);
        }
    }

    fn tell(&mut self, one: &Try, answer: Answer) {
        self.doom.note(format!("{} {answer:?}", one.ask).as_bytes());
        let ask = &self.asks[one.ask];
        let over = matches!(answer, Answer::Accepted { .. } | Answer::Refused(409));
        let told = Told {
            request: u64::try_from(one.ask).unwrap_or(u64::MAX),
            app: self.owners[ask.owner].app().to_string(),
            key: ask.key.clone(),
            event_id: ask.event_id.clone().filter(|_| matches!(self.owners[ask.owner], Owner::App { .. })),
            event_type: Some(ask.event_type.to_owned()),
            body_hash: hash(&ask.body),
            asked_at: one.asked_at.as_micros(),
            answered_at: self.around.time.now(Face::Steady).as_micros(),
            answer,
        };
        open(&self.around.book).told.push(told);
        if over {
            self.asks[one.ask].done = true;
        } else if !self.asks[one.ask].done {
            self.ask_again(one.ask);
        }
    }
}

pub(crate) fn name(text: &str) -> EventTypeName {
    EventTypeName::parse(text).expect("the names of this simulation are names")
}

fn folded(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(hash(text.as_bytes()).bytes()).for_each(|(place, byte)| *place = byte);
    bytes
}
