//! How often callers may ask: each token so many times a second, and each address with so many tokens that are none.
//!
//! Tokens are too long to guess. What this keeps down is the work that guessing makes, and guesses at a JWT secret that
//! somebody chose too short.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use posthaste_core::time::Timestamp;
use posthaste_core::token::TokenHash;

use crate::crowd::network_of;
use crate::throttle::Throttle;

/// Wrong tokens of one client that are looked up at once, and then a second: more than any mistake makes.
const FAILURES_BURST: u32 = 100;
const FAILURES_PER_SECOND: u32 = 5;
/// Clients whose wrong tokens are remembered; past that all are forgotten.
const CLIENTS_MAX: usize = 4_096;
/// Tokens that are remembered as good; past that all are forgotten, which costs each a look at its client's failures.
const TOKENS_MAX: usize = 65_536;

/// What went wrong, by the client that it came from: so much at once, and then one in so long.
pub(crate) struct Failures {
    of: HashMap<IpAddr, Throttle>,
    step: Duration,
    burst: u32,
}

impl Failures {
    pub(crate) fn new(step: Duration, burst: u32) -> Self {
        Self { of: HashMap::new(), step, burst }
    }

    /// Whether a client may go on, or how long it must wait.
    pub(crate) fn look(&self, from: Option<IpAddr>, now: Timestamp) -> Result<(), Duration> {
        let Some(client) = from.map(network_of) else { return Ok(()) };
        self.of.get(&client).map_or(Ok(()), |failures| failures.look(now))
    }

    pub(crate) fn note(&mut self, from: Option<IpAddr>, now: Timestamp) {
        let Some(client) = from.map(network_of) else { return };
        if self.of.len() >= CLIENTS_MAX && !self.of.contains_key(&client) {
            self.of.retain(|_, failures| !failures.is_idle(now));
            if self.of.len() >= CLIENTS_MAX {
                self.of.clear();
            }
        }
        let fresh = || Throttle::every(self.step, self.burst);
        let _ = self.of.entry(client).or_insert_with(fresh).take(now);
    }
}

impl Default for Failures {
    fn default() -> Self {
        Self::new(Duration::from_secs(1) / FAILURES_PER_SECOND, FAILURES_BURST)
    }
}

/// What is remembered of those who asked. Tokens are authenticated each time all the same.
#[derive(Default)]
pub(crate) struct Callers {
    tokens: Mutex<HashMap<TokenHash, Throttle>>,
    failures: Mutex<Failures>,
}

fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Callers {
    /// Whether to look a token up, or how long its client must wait. One that was good before always is looked up:
    /// whoever guesses from behind the same proxy keeps nobody out.
    pub(crate) fn may_try(
        &self,
        token: TokenHash,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let spent = lock(&self.failures).look(from, now);
        spent.or_else(|wait| if lock(&self.tokens).contains_key(&token) { Ok(()) } else { Err(wait) })
    }

    /// It was none, or is none any more.
    pub(crate) fn failed(&self, token: TokenHash, from: Option<IpAddr>, now: Timestamp) {
        lock(&self.tokens).remove(&token);
        lock(&self.failures).note(from, now);
    }

    /// It is good: whether it may ask once more now, or how long to wait.
    pub(crate) fn asks(
        &self,
        token: TokenHash,
        rate: Option<NonZeroU32>,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let mut tokens = lock(&self.tokens);
        if tokens.len() >= TOKENS_MAX && !tokens.contains_key(&token) {
            tokens.clear();
        }
        let per_second = rate.map_or(1, NonZeroU32::get);
        let throttle = tokens.entry(token).or_insert_with(|| Throttle::new(per_second, per_second));
        if rate.is_some() { throttle.take(now) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn guess(number: u32) -> TokenHash {
        TokenHash::of(&number.to_string())
    }

    #[test]
    fn whoever_guesses_is_slowed_down_and_nobody_else_is() {
        let callers = Callers::default();
        let (guesser, other) = ("192.0.2.1".parse().ok(), "192.0.2.2".parse().ok());
        let good = TokenHash::of("good");
        callers.asks(good, None, NOW).unwrap();
        let tries = |at: Timestamp| {
            let heard = (0..1_000).filter(|n| {
                let may = callers.may_try(guess(*n), guesser, at).is_ok();
                if may {
                    callers.failed(guess(*n), guesser, at);
                }
                may
            });
            heard.count()
        };
        assert_eq!(tries(NOW), 100);
        assert_eq!(callers.may_try(guess(1), guesser, NOW), Err(Duration::from_millis(200)));
        assert_eq!(callers.may_try(good, guesser, NOW), Ok(()), "a good token behind the same address");
        assert_eq!(callers.may_try(guess(1), other, NOW), Ok(()), "another address");
        assert_eq!(tries(NOW.later(Duration::from_secs(2))), 10);
        // Once it was refused it is like any other.
        callers.failed(good, guesser, NOW);
        assert!(callers.may_try(good, guesser, NOW).is_err());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let callers = Callers::default();
        for number in 0..=u32::try_from(TOKENS_MAX).unwrap() {
            callers.asks(guess(number), None, NOW).unwrap();
            callers.failed(guess(number), Some(IpAddr::from(number.to_be_bytes())), NOW);
            callers.asks(guess(number), None, NOW).unwrap();
        }
        assert!(lock(&callers.tokens).len() <= TOKENS_MAX && lock(&callers.failures).of.len() <= CLIENTS_MAX);
    }
}
