//! Names to addresses, as the machine would: `/etc/hosts`, search domains and split DNS included.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Looks up names.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// All addresses of a name, in the order in which they should be tried.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// How long an answer is used. `getaddrinfo` does not tell how long it is good for; half a minute is what browsers use.
const ANSWER_KEPT: Duration = Duration::from_secs(30);
/// Names that are remembered; past that all are forgotten.
const NAMES_MAX: usize = 10_000;

/// One lookup that all who ask meanwhile wait for.
type Lookup = Arc<OnceCell<Result<Vec<IpAddr>, String>>>;

/// The machine's own resolver.
#[derive(Debug, Default)]
pub struct SystemResolver {
    names: Mutex<HashMap<String, (Instant, Lookup)>>,
}

impl SystemResolver {
    /// A resolver that remembers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn lookup(&self, host: &str) -> Lookup {
        let now = Instant::now();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, lookup)) = names.get(host)
            && now.duration_since(*asked) < ANSWER_KEPT
            && !matches!(lookup.get(), Some(Err(_)))
        {
            return Arc::clone(lookup);
        }
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        let lookup = Lookup::default();
        names.insert(host.to_owned(), (now, Arc::clone(&lookup)));
        lookup
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let lookup = self.lookup(host);
        let answer = lookup
            .get_or_init(|| async {
                let found = tokio::net::lookup_host((host, 0)).await.map_err(|error| error.to_string())?;
                Ok(found.map(|socket| socket.ip()).collect())
            })
            .await;
        answer.clone().map_err(io::Error::other)
    }
}
