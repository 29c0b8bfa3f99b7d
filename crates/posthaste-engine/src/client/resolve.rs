//! Names to addresses, as the machine would: `/etc/hosts`, search domains and split DNS included.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

/// Looks up names.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// All addresses of a name, in the order in which they should be tried. [`NotFound`](io::ErrorKind::NotFound): there
    /// is no such name, or it has no address; any other error is trouble of the resolver's own.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// How long an answer is used. `getaddrinfo` does not tell how long it is good for; half a minute is what browsers use.
const ANSWER_KEPT: Duration = Duration::from_secs(30);
/// Names that are remembered; past that the old ones are forgotten, and if none is old, all.
const NAMES_MAX: usize = 10_000;

type Answer = Result<Vec<IpAddr>, (io::ErrorKind, String)>;

/// What `getaddrinfo` says of a name that it knows not to have an address, in the words of glibc, musl and macOS: the
/// standard library passes on no code.
const NOT_FOUND: [&str; 5] = [
    "Name or service not known",
    "No address associated with hostname",
    "Name does not resolve",
    "Name has no usable address",
    "nodename nor servname provided, or not known",
];

fn told(error: &io::Error) -> (io::ErrorKind, String) {
    let text = error.to_string();
    let is_known = NOT_FOUND.iter().any(|said| text.contains(said));
    (if is_known { io::ErrorKind::NotFound } else { io::ErrorKind::Other }, text)
}

/// One lookup that all who ask meanwhile wait for. It runs to its end even if they all leave: a name server that
/// hangs holds one thread for a name, not one for each attempt.
#[derive(Debug)]
struct Lookup {
    asked: Instant,
    answer: watch::Receiver<Option<Answer>>,
}

impl Lookup {
    fn is_good(&self) -> bool {
        match &*self.answer.borrow() {
            None => self.answer.has_changed().is_ok(),
            Some(Ok(_)) => self.asked.elapsed() < ANSWER_KEPT,
            Some(Err(_)) => false,
        }
    }
}

/// The machine's own resolver.
#[derive(Debug, Default)]
pub struct SystemResolver {
    names: Mutex<HashMap<String, Lookup>>,
}

impl SystemResolver {
    /// A resolver that remembers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn look_up(&self, host: &str) -> watch::Receiver<Option<Answer>> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookup) = names.get(host)
            && lookup.is_good()
        {
            return lookup.answer.clone();
        }
        if names.len() >= NAMES_MAX {
            names.retain(|_, lookup| lookup.is_good());
        }
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        let (tell, answer) = watch::channel(None);
        names.insert(host.to_owned(), Lookup { asked: Instant::now(), answer: answer.clone() });
        let host = host.to_owned();
        tokio::spawn(async move {
            let found = tokio::net::lookup_host((host, 0)).await;
            let found = found.map(|sockets| sockets.map(|socket| socket.ip()).collect());
            tell.send_replace(Some(found.map_err(|error| told(&error))));
        });
        answer
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut answer = self.look_up(host);
        let answer = answer.wait_for(Option::is_some).await.map_err(io::Error::other)?;
        match &*answer {
            Some(Ok(addresses)) => Ok(addresses.clone()),
            Some(Err((kind, error))) => Err(io::Error::new(*kind, error.clone())),
            None => Err(io::Error::other("the lookup was given up")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_is_found_as_the_machine_finds_it() {
        let addresses = SystemResolver::new().resolve("localhost").await.unwrap();
        assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
    }

    #[test]
    fn a_name_without_an_address_is_told_from_a_resolver_in_trouble() {
        let says =
            |text: &str| told(&io::Error::other(format!("failed to lookup address information: {text}"))).0;
        for text in NOT_FOUND {
            assert_eq!(says(text), io::ErrorKind::NotFound, "{text}");
        }
        for text in ["Temporary failure in name resolution", "Try again", "System error"] {
            assert_eq!(says(text), io::ErrorKind::Other, "{text}");
        }
    }

    #[tokio::test]
    async fn all_who_ask_at_once_share_one_lookup() {
        let resolver = SystemResolver::new();
        let (one, two) = (resolver.look_up("localhost"), resolver.look_up("localhost"));
        assert!(one.same_channel(&two));
        resolver.resolve("localhost").await.unwrap();
        assert!(one.same_channel(&resolver.look_up("localhost")));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_used_for_half_a_minute_and_a_failure_not_at_all() {
        let resolver = SystemResolver::new();
        resolver.resolve("localhost").await.unwrap();
        let first = resolver.look_up("localhost");
        tokio::time::advance(ANSWER_KEPT).await;
        assert!(!first.same_channel(&resolver.look_up("localhost")));

        let unknown = "posthaste-test.invalid";
        assert!(resolver.resolve(unknown).await.is_err());
        let failed = resolver.look_up(unknown);
        assert!(failed.borrow().is_none(), "a new lookup is under way");
    }
}
