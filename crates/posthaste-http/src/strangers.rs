//! How often whoever is nobody may try, for the pages beside the API: what is guessed there counts with what is guessed here.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Extensions, HeaderMap};
use posthaste_core::source::IpNet;
use posthaste_core::time::Timestamp;
use posthaste_core::token::TokenHash;

use crate::Shared;
use crate::extract::callers::{Callers, Failures};
use crate::inbound::{Peer, client};

/// Wrong passwords of one client that are looked at at once, and then one in so long: passwords are short, and can be guessed.
const GUESSES_BURST: u32 = 10;
const GUESS_EVERY: Duration = Duration::from_secs(30);

/// What is remembered of those who tried.
#[derive(Clone)]
pub struct Strangers {
    callers: Arc<Callers>,
    guesses: Arc<Mutex<Failures>>,
    trusted_proxies: Arc<[IpNet]>,
}

impl Strangers {
    pub(crate) fn new(state: &Shared) -> Self {
        Self {
            callers: Arc::clone(&state.callers),
            guesses: Arc::new(Mutex::new(Failures::new(GUESS_EVERY, GUESSES_BURST))),
            trusted_proxies: state.settings.trusted_proxies.as_slice().into(),
        }
    }

    /// From where a request comes.
    pub fn from(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        client(extensions.get::<Peer>().map(|peer| peer.0), headers, &self.trusted_proxies)
    }

    /// Whether to look a token up, or how long to wait.
    ///
    /// # Errors
    /// How long to wait, if too many of this client's were none.
    pub fn may_try(&self, token: TokenHash, from: Option<IpAddr>, now: Timestamp) -> Result<(), Duration> {
        self.callers.may_try(token, from, now)
    }

    /// The token was none.
    pub fn failed(&self, token: TokenHash, from: Option<IpAddr>, now: Timestamp) {
        self.callers.failed(token, from, now);
    }

    /// Whether to look at a password, or how long to wait.
    ///
    /// # Errors
    /// How long to wait, if too many of this client's were wrong.
    pub fn may_guess(&self, from: Option<IpAddr>, now: Timestamp) -> Result<(), Duration> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner).look(from, now)
    }

    /// The password was wrong.
    pub fn guessed_wrong(&self, from: Option<IpAddr>, now: Timestamp) {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner).note(from, now);
    }
}
