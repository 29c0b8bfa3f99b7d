//! Verification at the door: handshakes, keys that have to be fetched, and the reason of a refusal.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use posthaste_core::app::Reference;
use posthaste_core::source::SourceChange;
use posthaste_core::time::Timestamp;
use posthaste_signature::provider::{Answer, Keys, Receiver, Refusal, Request, Verified};
use posthaste_store::ChangeError;

use super::config::ProviderConfig;
use super::published::Published;
use super::refuse::Refused;
use super::{Knock, Prepared};

/// What the library is asked about a request.
type Question<T> = fn(&Receiver, &Request<'_>, i64, &Keys) -> T;

/// How often one request may make us fetch something: a key set, and once more if it has changed.
const FETCHES_MAX: usize = 3;
/// How long a request waits while others fetch.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);
/// When to try again after a fetch that failed.
const FETCH_AGAIN: Duration = Duration::from_secs(5);

/// The provider has to send its request again, when its key can be had.
fn no_key(why: &str, wait: Duration) -> Refused {
    let reason = format!("the provider's key could not be fetched {why}");
    let refused = Refused::new(StatusCode::SERVICE_UNAVAILABLE, "key_unavailable", reason);
    Refused { wait: Some(wait), ..refused }
}

/// Bytes of a body that take one place among those that are explained.
const EXPLAINED_BYTES: usize = 32 * 1024;

impl Knock {
    /// The request as the library sees it.
    pub(super) fn request<'a>(&'a self, body: &'a [u8]) -> Request<'a> {
        Request { method: self.parts.method.as_str(), url: &self.url, headers: &self.parts.headers, body }
    }

    /// The answer to a handshake; `None` for a delivery.
    pub(super) async fn shake(self: &Arc<Self>, body: &Bytes) -> Option<Result<Answer, Refused>> {
        let keys = self.prepared.published.keys(self.state.clock.now());
        let outcome = match self.ask(body, keys, Receiver::handshake).await? {
            Err(Refusal::KeyNeeded(_)) => {
                self.with_keys(body, Published::keys, |receiver, request, now, keys| {
                    receiver.handshake(request, now, keys).unwrap_or(Err(Refusal::UnknownScheme))
                })
                .await
            }
            outcome => Ok(outcome),
        };
        let mut answer = match outcome {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => return Some(Err(self.explain(body, why).await)),
            Err(refused) => return Some(Err(refused)),
        };
        if let Some(secret) = answer.learned.take()
            && let Err(refused) = self.learn(secret).await
        {
            return Some(Err(refused));
        }
        if let Some(url) = answer.then_get.take() {
            // The same request may be sent again and again.
            let may = self.prepared.published.may_fetch(&url, self.state.clock.now());
            if let Err(wait) = may {
                let reason = "too many subscriptions were confirmed just now";
                let refused = Refused::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", reason);
                return Some(Err(Refused { wait: Some(wait), ..refused }));
            }
            self.confirm(url);
        }
        Some(Ok(answer))
    }

    /// Believes the request, or says why not.
    pub(super) async fn verify(self: &Arc<Self>, body: &Bytes) -> Result<Verified, Refused> {
        let (now, published) = (self.state.clock.now(), &self.prepared.published);
        let outcome = match self.ask(body, published.keys(now), Receiver::verify).await {
            Err(Refusal::KeyNeeded(_)) => self.with_keys(body, Published::keys, Receiver::verify).await?,
            Err(Refusal::UnknownKey(_)) if published.renew(now) => {
                self.with_keys(body, Published::newest, Receiver::verify).await?
            }
            outcome => outcome,
        };
        match outcome {
            Ok(verified) => Ok(verified),
            Err(why) => Err(self.explain(body, why).await),
        }
    }

    /// What the library says with these keys.
    async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        body: &Bytes,
        keys: Arc<Keys>,
        question: Question<T>,
    ) -> T {
        let now = self.state.clock.now().as_secs();
        let look = move |knock: &Self, body: &Bytes| {
            question(&knock.prepared.receiver, &knock.request(body), now, &keys)
        };
        self.on_bench(body, look).await
    }

    /// Tries with what was fetched before, and fetches what is asked for, until nothing more is.
    async fn with_keys<T: Send + 'static>(
        self: &Arc<Self>,
        body: &Bytes,
        before: fn(&Published, Timestamp) -> Arc<Keys>,
        question: Question<Result<T, Refusal>>,
    ) -> Result<Result<T, Refusal>, Refused> {
        let (now, published) = (self.state.clock.now(), &self.prepared.published);
        let turn = tokio::time::timeout(TURN_WAIT_MAX, published.fetching.lock()).await;
        let _one_at_a_time = turn.map_err(|_| no_key("yet: others are fetching", FETCH_AGAIN))?;
        let mut keys = before(published, now);
        let mut fetched = vec![];
        let mut outcome = self.ask(body, Arc::clone(&keys), question).await;
        while let (Err(Refusal::KeyNeeded(url)), true) = (&outcome, fetched.len() < FETCHES_MAX) {
            let url = url.clone();
            published
                .may_fetch(&url, now)
                .map_err(|wait| no_key(&format!("from {url}: too many were fetched just now"), wait))?;
            let text = self.state.fetcher.fetch(&url).await;
            let text = text.map_err(|error| no_key(&format!("from {url}: {error}"), FETCH_AGAIN))?;
            Arc::make_mut(&mut keys).insert(&url, &text);
            fetched.push((url, text));
            outcome = self.ask(body, Arc::clone(&keys), question).await;
        }
        // What proves to be no key of the provider's is not kept, nor is it a reason to forget those that are.
        if !matches!(outcome, Err(Refusal::UntrustedKey(_))) {
            let in_place = !matches!(outcome, Err(Refusal::UnknownKey(_)));
            for (url, text) in fetched {
                published.put(url, text, in_place, now);
            }
        }
        Ok(outcome)
    }

    /// A refusal with the mistakes that would explain it, as far as there is time to look for them.
    async fn explain(self: &Arc<Self>, body: &Bytes, why: Refusal) -> Refused {
        let status = StatusCode::from_u16(why.status()).unwrap_or(StatusCode::UNAUTHORIZED);
        let now = self.state.clock.now();
        // Each try reads the body again, so a long one counts for many.
        let places = u32::try_from(1 + body.len() / EXPLAINED_BYTES).unwrap_or(u32::MAX);
        let refused = Refused::new(status, "not_verified", why.to_string());
        if self.prepared.explains.take_places(places, now).is_err() {
            return refused;
        }
        let (knock, body) = (Arc::clone(self), body.clone());
        let look = move || {
            let Prepared { receiver, published, .. } = &*knock.prepared;
            let found = receiver.explain(&knock.request(&body), now.as_secs(), &published.keys(now), &why);
            found.iter().map(ToString::to_string).collect()
        };
        Refused { hints: self.state.bench.explain(look).await.unwrap_or_default(), ..refused }
    }

    /// Keeps the secret that the provider gave us. The library sees to it that there was none.
    async fn learn(&self, secret: String) -> Result<(), Refused> {
        let before = &self.prepared.source.config;
        let mut config = ProviderConfig::kept(before);
        config.secrets.push(secret);
        // The body may have taken its time: whoever held one back must not replace what was learned meanwhile.
        let change = SourceChange {
            config: Some(config.to_keep()),
            config_was: Some(before.clone()),
            ..SourceChange::default()
        };
        let source = Reference::new(self.prepared.source.id.to_string());
        let now = self.state.clock.now();
        let changed = self.state.sources.change_source(self.prepared.environment, &source, change, now).await;
        changed.map(|_| ()).map_err(|error| {
            let reason = match error {
                ChangeError::Outdated(_) => "the source was changed during this handshake: try again",
                _ => {
                    tracing::error!(%error, "a secret that a provider gave could not be kept");
                    "the store is not available now"
                }
            };
            Refused::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", reason)
        })
    }

    /// Fetches the address that confirms a subscription, once the answer is out.
    fn confirm(&self, url: String) {
        let fetcher = Arc::clone(&self.state.fetcher);
        tokio::spawn(async move {
            if let Err(error) = fetcher.fetch(&url).await {
                tracing::warn!(%error, "a subscription could not be confirmed: the provider will ask again");
            }
        });
    }
}
