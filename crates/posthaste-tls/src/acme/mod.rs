//! A certificate from an authority that speaks ACME (RFC 8555): asked for, kept, and renewed before it ends.
//!
//! The proof is TLS-ALPN-01 (RFC 8737), given by the listener that the certificate is for: no other port is needed.

mod account;
mod cache;
mod order;
mod schedule;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use posthaste_core::dice::Dice;
use posthaste_core::time::{Clock, Timestamp};
use rustls::pki_types::CertificateDer;

pub use cache::CacheError;

use crate::acme::cache::Cache;
use crate::acme::order::Issued;
use crate::acme::wire::Wire;
use crate::files::day;
use crate::pair::Pair;
use crate::served::Served;

/// How long one try may take: an authority looks from several places, and is asked until it is done.
const TRY_MAX: Duration = Duration::from_secs(300);
/// The longest single sleep: the wall clock may jump while we sleep on the monotonic one.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Which certificate, and from whom.
#[derive(Debug, Clone)]
pub struct AcmeSettings {
    /// The names that it shall be for, in lower case.
    pub domains: Vec<String>,
    /// Whom the authority may write to, `mailto:…`.
    pub contact: Option<String>,
    /// Where the authority is.
    pub directory_url: String,
    /// Where the account and the certificate are kept.
    pub cache_dir: PathBuf,
    /// Whom to trust about the authority, beside the public roots.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

/// A try that failed: one sentence.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcmeError {
    /// The authority, or the way to it.
    #[error(transparent)]
    Authority(#[from] instant_acme::Error),
    /// A name could not be proved to be ours.
    #[error("the authority could not check {name}: {reason}; does port 443 of that name reach this server?")]
    Unproved { name: String, reason: String },
    /// What we have to make could not be made.
    #[error("a key or a certificate could not be made: {0}")]
    Made(#[from] rcgen::Error),
    /// What was kept, or is to be.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// Keeps the listener's certificate.
pub struct Acme {
    settings: AcmeSettings,
    cache: Cache,
    wire: Wire,
    served: Arc<Served>,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    /// When the next certificate is to be asked for.
    due: Timestamp,
}

impl Acme {
    /// Serves the certificate that was kept, if there is one for these names. Asks nobody.
    pub fn open(
        settings: AcmeSettings,
        served: Arc<Served>,
        clock: Arc<dyn Clock>,
        dice: Arc<dyn Dice>,
    ) -> Result<Self, CacheError> {
        let cache = Cache::open(&settings.cache_dir, &settings.directory_url)?;
        let wire = Wire::new(&settings.extra_roots);
        let mut due = clock.now();
        if let Some(kept) = cache.certificate()? {
            // One that is not for all names is better than none, until the next is there.
            served.install(&kept);
            let ends = day(kept.validity.not_after);
            if kept.covers(&settings.domains) {
                due = schedule::renew_at(kept.validity);
                tracing::info!("serving the certificate that was kept, which ends on {ends}");
            }
        }
        Ok(Self { settings, cache, wire, served, clock, dice, due })
    }

    /// Renews for as long as it is polled. Whatever fails is told and tried again; nothing ends it.
    pub async fn run(mut self) {
        let mut failures = 0;
        loop {
            self.wait_until(self.due).await;
            let names = self.settings.domains.join(", ");
            tracing::info!("asking {} for a certificate for {names}", self.settings.directory_url);
            let error = match tokio::time::timeout(TRY_MAX, self.renew()).await {
                Ok(Ok(pair)) => {
                    failures = 0;
                    self.due = schedule::after_success(pair.validity, self.clock.now());
                    let (ends, due) = (day(pair.validity.not_after), day(self.due));
                    tracing::info!(
                        "serving a new certificate for {names}, which ends on {ends}; the next one is asked for on {due}"
                    );
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("the authority was not done within {} s", TRY_MAX.as_secs()),
            };
            let wait = schedule::backoff(failures, &*self.dice);
            failures += 1;
            self.due = self.clock.now().later(wait);
            tracing::warn!("no certificate for {names}: {error}; the next try is in {} s", wait.as_secs());
        }
    }

    async fn renew(&self) -> Result<Pair, AcmeError> {
        let issued = match self.ask().await {
            Err(AcmeError::Authority(error)) if account::is_unknown(&error) => {
                // Authorities forget; a test's does so with every start.
                self.cache.forget_account()?;
                self.ask().await?
            }
            issued => issued?,
        };
        let pair = Pair::parse(issued.chain.as_bytes(), issued.key.as_bytes())
            .map_err(|error| AcmeError::Other(format!("the authority's certificate {error}")))?;
        // Served even if it cannot be kept: the next start would ask again, and says so.
        self.served.install(&pair);
        if let Err(error) = self.cache.keep_certificate(&issued.chain, &issued.key) {
            tracing::warn!("{error}: the next start will have to ask for another certificate");
        }
        Ok(pair)
    }

    async fn ask(&self) -> Result<Issued, AcmeError> {
        let account = account::open(&self.settings, &self.cache, &self.wire).await?;
        order::issue(&account, &self.settings.domains, &self.served).await
    }

    async fn wait_until(&self, at: Timestamp) {
        loop {
            let left = at.since(self.clock.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(SLEEP_MAX)).await;
        }
    }
}
