//! What a provider publishes to verify with: fetched when a request needs it, kept for a while, and fetched anew for a
//! stranger's sake as seldom as can be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use posthaste_core::time::Timestamp;
use posthaste_signature::provider::Keys;

use crate::throttle::Throttle;

/// How long a fetched key is used.
pub(crate) const KEYS_LIFE: Duration = Duration::from_hours(1);
/// How soon it is fetched again for a key that is not among those at its address.
pub(crate) const KEYS_AGE_MIN: Duration = Duration::from_secs(60);
/// Addresses whose keys are kept: requests name them, so there must be an end to it. The oldest goes first.
const ADDRESSES_MAX: usize = 16;
/// Fetches from addresses that were of no use before: one in so long, and so many at once. What a provider publishes is
/// fetched once an hour, so more than a few are a stranger's.
const STRANGE_STEP: Duration = Duration::from_secs(6);
const STRANGE_BURST: u32 = 10;
/// Fetches from the others, a second and at once: there can only be many if they fail.
const KNOWN_PER_SECOND: u32 = 1;
const KNOWN_BURST: u32 = 5;

/// What was fetched for one source.
pub(crate) struct Published {
    kept: Mutex<Kept>,
    /// One fetch at a time: who waited for another's may need none.
    pub(crate) fetching: tokio::sync::Mutex<()>,
    strange: Throttle,
    known: Throttle,
}

#[derive(Default)]
struct Kept {
    /// In the order of their fetching.
    entries: Vec<Entry>,
    /// Of the entries that are young enough.
    keys: Arc<Keys>,
    /// When keys were last fetched anew because one was not among them.
    renewed_at: Option<Timestamp>,
}

struct Entry {
    url: String,
    text: String,
    at: Timestamp,
    is_live: bool,
}

impl Default for Published {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
            strange: Throttle::every(STRANGE_STEP, STRANGE_BURST),
            known: Throttle::new(KNOWN_PER_SECOND, KNOWN_BURST),
        }
    }
}

impl Published {
    /// The keys that were fetched not too long ago.
    pub(crate) fn keys(&self, now: Timestamp) -> Arc<Keys> {
        let mut kept = self.lock();
        let mut expired = false;
        for entry in kept.entries.iter_mut().filter(|entry| entry.is_live) {
            // Its address is remembered: it was of use.
            entry.is_live = now.since(entry.at) <= KEYS_LIFE;
            expired |= !entry.is_live;
        }
        if expired {
            kept.rebuild();
        }
        Arc::clone(&kept.keys)
    }

    /// Those that were fetched just now.
    pub(crate) fn newest(&self, now: Timestamp) -> Arc<Keys> {
        let young = |entry: &&Entry| now.since(entry.at) <= KEYS_AGE_MIN;
        Arc::new(keys_of(self.lock().entries.iter().filter(young)))
    }

    /// Whether it is time to fetch keys anew; from then on it is not, so that a stranger's key ids fetch once a minute.
    pub(crate) fn renew(&self, now: Timestamp) -> bool {
        let mut kept = self.lock();
        let old = |at: Timestamp| now.since(at) > KEYS_AGE_MIN;
        let due = kept.entries.iter().any(|entry| old(entry.at)) && kept.renewed_at.is_none_or(old);
        if due {
            kept.renewed_at = Some(now);
        }
        due
    }

    /// Whether one more fetch is not too much, or how long to wait for it.
    pub(crate) fn may_fetch(&self, url: &str, now: Timestamp) -> Result<(), Duration> {
        let is_known = self.lock().entries.iter().any(|entry| entry.url == url);
        if is_known { self.known.take(now) } else { self.strange.take(now) }
    }

    /// Keeps what was fetched; `in_place`: also if there is something from that address that may still be right.
    pub(crate) fn put(&self, url: String, text: String, in_place: bool, now: Timestamp) {
        let mut kept = self.lock();
        if !in_place && kept.entries.iter().any(|entry| entry.url == url && entry.is_live) {
            return;
        }
        kept.entries.retain(|entry| entry.url != url);
        if kept.entries.len() >= ADDRESSES_MAX {
            kept.entries.remove(0);
        }
        kept.entries.push(Entry { url, text, at: now, is_live: true });
        kept.rebuild();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn rebuild(&mut self) {
        self.keys = Arc::new(keys_of(self.entries.iter().filter(|entry| entry.is_live)));
    }
}

fn keys_of<'e>(entries: impl Iterator<Item = &'e Entry>) -> Keys {
    let mut keys = Keys::default();
    for entry in entries {
        keys.insert(&entry.url, &entry.text);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_addresses_are_kept_than_a_provider_has() {
        let (published, now) = (Published::default(), Timestamp::from_secs(1_000));
        for number in 0..100 {
            published.put(format!("https://example.com/{number}"), "x".repeat(100), true, now);
        }
        let kept = published.lock();
        assert_eq!(kept.entries.len(), ADDRESSES_MAX);
        assert_eq!(kept.entries.last().map(|entry| entry.url.as_str()), Some("https://example.com/99"));
    }

    #[test]
    fn a_key_lives_for_an_hour_whatever_else_is_fetched() {
        let (published, start) = (Published::default(), Timestamp::from_secs(1_000));
        published.put("https://example.com/old".to_owned(), "text".to_owned(), true, start);
        let now = start.later(KEYS_LIFE);
        published.put("https://example.com/new".to_owned(), "text".to_owned(), true, now);
        let live = |now| {
            published.keys(now);
            published.lock().entries.iter().filter(|entry| entry.is_live).count()
        };
        assert_eq!(live(now), 2);
        assert_eq!(live(now.later(Duration::from_secs(1))), 1);
    }
}
