//! A source: one inbound door for one provider, with the rules for what may come in by it.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use bytes::Bytes;
pub use ipnet::IpNet;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

pub use crate::answer::Answer;
use crate::app::Metadata;
use crate::dice::{Dice, roll};
use crate::id::{AppId, RefusalId, SourceId};
use crate::limits::{DEDUPE_WINDOW, RECEIVED_BODY_BYTES_DEFAULT};
use crate::name::Uid;
use crate::origin::Origin;
use crate::time::Timestamp;

/// Letters in a door: 32 digits in base 62 are 190 bits, which nobody guesses.
pub const DOOR_LETTERS: usize = 32;
/// Stands for every method there is, in a source's [`Rules`].
pub const ANY_METHOD: &str = "*";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// One inbound door, and the app that owns what comes in by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Our id.
    pub id: SourceId,
    /// Its own app: messages, endpoints and attempts are there.
    pub app: AppId,
    /// The caller's id.
    pub uid: Option<Uid>,
    /// For people.
    pub name: String,
    /// The provider's slug, as it was asked for.
    pub provider: String,
    /// What the provider's scheme needs.
    pub config: Config,
    /// The letters of its URL.
    pub door: Door,
    /// What may come in, and what is answered.
    pub rules: Rules,
    /// What comes in is kept and nothing goes out, until this ends.
    pub paused: bool,
    /// The caller's own.
    pub metadata: Metadata,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Secrets and settings of a provider's scheme, as JSON text. Its `Debug` is a redaction.
#[derive(Clone, PartialEq, Eq)]
pub struct Config(Zeroizing<String>);

impl Config {
    /// From JSON text; whoever reads it knows its shape.
    pub fn new(json: String) -> Self {
        Self(Zeroizing::new(json))
    }

    /// The JSON text, secrets included.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Config(redacted)")
    }
}

/// The letters of a source's URL: whoever knows them may knock. Its `Debug` is a redaction.
#[derive(Clone, PartialEq, Eq)]
pub struct Door(Zeroizing<String>);

impl Door {
    /// A fresh door.
    pub fn fresh(dice: &dyn Dice) -> Self {
        let mut letters = Zeroizing::new(String::with_capacity(DOOR_LETTERS));
        while letters.len() < DOOR_LETTERS {
            // Of 64 throws two are thrown again, so that all letters are equally likely.
            let throws = Zeroizing::new(roll::<DOOR_LETTERS>(dice));
            let found = throws.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
            let missing = DOOR_LETTERS - letters.len();
            letters.extend(found.take(missing).map(|letter| char::from(*letter)));
        }
        Self(letters)
    }

    /// Reads what stands in a URL.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() == DOOR_LETTERS && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        valid.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The letters: for the URL, nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What it is found by. The letters are random, so a plain SHA-256 cannot be searched.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Door(redacted)")
    }
}

/// What may come in by a door, and what is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// When a request is the same as one before.
    pub dedupe: Dedupe,
    /// From where requests may come; empty: from everywhere.
    pub allowed_networks: Vec<IpNet>,
    /// Requests per second; more are refused.
    pub rate_per_second: Option<NonZeroU16>,
    /// Bytes that a body may have.
    pub body_bytes_max: u32,
    /// Methods that are taken, in capitals.
    pub methods: Vec<String>,
    /// What a body must look like.
    pub schema: Option<Schema>,
    /// What the provider is told when a request was taken.
    pub answer: Answer,
    /// How long a request is kept; `None`: as long as everything else.
    pub keep: Option<Duration>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            dedupe: Dedupe::default(),
            allowed_networks: Vec::new(),
            rate_per_second: None,
            body_bytes_max: RECEIVED_BODY_BYTES_DEFAULT,
            methods: vec!["POST".to_owned()],
            schema: None,
            answer: Answer::default(),
            keep: None,
        }
    }
}

impl Rules {
    /// Whether requests of this method are taken.
    pub fn takes(&self, method: &str) -> bool {
        self.methods.iter().any(|taken| taken == method || taken == ANY_METHOD)
    }
}

/// By what a request is known again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DedupeBy {
    /// By what the provider names its events with.
    #[default]
    Provider,
    /// By this header.
    Header(String),
    /// By the value at this place of a JSON body.
    Json(String),
    /// By all of the body.
    Body,
    /// By nothing: every request is new.
    Off,
}

/// When a request is the same as one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dedupe {
    /// By what.
    pub by: DedupeBy,
    /// For how long after the first one.
    pub window: Duration,
}

impl Default for Dedupe {
    fn default() -> Self {
        Self { by: DedupeBy::default(), window: DEDUPE_WINDOW }
    }
}

/// What a body must look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// A JSON Schema, as it was written.
    pub document: String,
    /// What becomes of a body that does not.
    pub on_mismatch: OnMismatch,
}

/// What becomes of a body that does not match its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMismatch {
    /// It is refused.
    Reject,
    /// It is taken, and marked.
    Flag,
}

/// A source about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSource {
    /// Our id, made by the caller.
    pub id: SourceId,
    /// The id of the app that is made with it, likewise.
    pub app: AppId,
    /// The caller's id.
    pub uid: Option<Uid>,
    /// For people.
    pub name: String,
    /// The provider's slug.
    pub provider: String,
    /// What the provider's scheme needs; already checked.
    pub config: Config,
    /// The letters of its URL.
    pub door: Door,
    /// What may come in, and what is answered.
    pub rules: Rules,
    /// Made, but nothing goes out yet.
    pub paused: bool,
    /// The caller's own.
    pub metadata: Metadata,
}

/// What to change; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceChange {
    /// A new name.
    pub name: Option<String>,
    /// `Some(None)` takes the uid away.
    pub uid: Option<Option<Uid>>,
    /// Another provider.
    pub provider: Option<String>,
    /// Replaces all of it.
    pub config: Option<Config>,
    /// Replaces all of them.
    pub rules: Option<Rules>,
    /// Pause, or go on.
    pub paused: Option<bool>,
    /// Replaces all of it.
    pub metadata: Option<Metadata>,
    /// Nothing changes unless the configuration is still this one.
    pub config_was: Option<Config>,
    /// Nothing changes unless the rules are still these.
    pub rules_were: Option<Rules>,
}

/// A request that was not taken, kept for whoever asks why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Our id.
    pub id: RefusalId,
    /// At whose door.
    pub source: SourceId,
    /// When it came.
    pub at: Timestamp,
    /// What was answered.
    pub status: u16,
    /// Why, for people.
    pub reason: String,
    /// The request.
    pub origin: Origin,
    /// How its body began, at most [`REFUSAL_BODY_BYTES_MAX`](crate::limits::REFUSAL_BODY_BYTES_MAX) of it.
    pub body: Bytes,
    /// How long its body was.
    pub body_bytes_count: u64,
    /// Who sent it.
    pub remote: Option<IpAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::TestDice;

    #[test]
    fn a_door_is_32_letters_that_read_back_and_is_found_by_their_hash() {
        let dice = TestDice::seeded(1);
        let (door, other) = (Door::fresh(&dice), Door::fresh(&dice));
        assert_eq!(door.expose().len(), DOOR_LETTERS);
        assert_eq!(Door::parse(door.expose()), Some(door.clone()));
        assert_eq!(Door::parse(door.expose()).map(|d| d.hash()), Some(door.hash()));
        assert_ne!(door.hash(), other.hash());
        for wrong in ["", "short", &"x".repeat(33), &"/".repeat(32), &"ü".repeat(16)] {
            assert_eq!(Door::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn all_letters_of_doors_are_equally_likely() {
        let dice = TestDice::seeded(2);
        let mut counts = [0_u32; 128];
        for _ in 0..2_000 {
            for letter in Door::fresh(&dice).expose().bytes() {
                counts[usize::from(letter)] += 1;
            }
        }
        // 64 000 letters are about 1 032 of each.
        for letter in ALPHABET {
            assert!((850..1_250).contains(&counts[usize::from(*letter)]), "{letter}");
        }
    }

    #[test]
    fn a_config_and_a_door_cannot_be_formatted() {
        let door = Door::fresh(&TestDice::seeded(3));
        assert_eq!(format!("{:?}", Config::new("{\"secret\":\"hush\"}".to_owned())), "Config(redacted)");
        assert_eq!(format!("{door:?}"), "Door(redacted)");
    }
}
