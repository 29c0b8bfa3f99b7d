//! Idle connections, by the address that was judged. A cap over all hosts; the one unused for longest goes first.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::exchange::Connection;
use super::route::Route;

/// How long a connection may take to be ready again after its answer was read to the end. Usually it is at once;
/// it is not if the answer came before the request was read.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(5);

/// What a connection can be used for again: the same judged address, and the same origin.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    remote: SocketAddr,
    host: Arc<str>,
    https: bool,
}

impl Key {
    pub(super) fn new(route: &Route, remote: SocketAddr) -> Self {
        Self { remote, host: Arc::clone(&route.host), https: route.target.is_https() }
    }

    pub(super) fn remote(&self) -> SocketAddr {
        self.remote
    }
}

/// The connections that nobody uses now.
pub(super) struct Pool {
    idle_max: usize,
    idle_timeout: Duration,
    idle: Mutex<Idle>,
}

/// Each connection has a number, in the order in which they became idle.
#[derive(Default)]
struct Idle {
    by_key: HashMap<Key, VecDeque<(u64, Connection)>>,
    by_age: BTreeMap<u64, (Instant, Key)>,
    next_number: u64,
    /// Somebody closes those that are idle for too long.
    is_swept: bool,
}

impl Pool {
    pub(super) fn new(idle_max: usize, idle_timeout: Duration) -> Self {
        Self { idle_max, idle_timeout, idle: Mutex::default() }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.idle().by_age.len()
    }

    /// A connection to one of `addresses`, the most recently used one: the others may time out.
    pub(super) fn take(&self, route: &Route, addresses: &[SocketAddr]) -> Option<Connection> {
        let mut idle = self.idle();
        for remote in addresses {
            let key = Key::new(route, *remote);
            while let Some((since, connection)) = idle.newest_of(&key) {
                if connection.is_ready() && since.elapsed() < self.idle_timeout {
                    return Some(connection);
                }
            }
        }
        None
    }

    /// Keeps a connection for the next request, if it can carry one.
    pub(super) async fn keep(self: &Arc<Self>, mut connection: Connection) {
        let is_ready = connection.is_ready()
            || tokio::time::timeout(SETTLE_TIMEOUT, connection.ready()).await.unwrap_or(false);
        if is_ready && self.idle_max > 0 {
            self.put(connection);
        }
    }

    fn put(self: &Arc<Self>, connection: Connection) {
        let mut idle = self.idle();
        while idle.by_age.len() >= self.idle_max && idle.close_oldest() {}
        idle.add(connection);
        if !idle.is_swept {
            idle.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self), Instant::now() + self.idle_timeout));
        }
    }

    /// Closes what is idle for too long, and tells when to look again; `None`: there is nothing left.
    fn close_expired(&self) -> Option<Instant> {
        let mut idle = self.idle();
        let now = Instant::now();
        while let Some((since, _)) = idle.by_age.values().next() {
            let expires_at = *since + self.idle_timeout;
            if expires_at > now {
                return Some(expires_at);
            }
            idle.close_oldest();
        }
        idle.is_swept = false;
        None
    }
}

/// Runs for as long as there are idle connections.
async fn sweep(pool: Weak<Pool>, mut next: Instant) {
    loop {
        tokio::time::sleep_until(next).await;
        match pool.upgrade().and_then(|pool| pool.close_expired()) {
            Some(at) => next = at,
            None => return,
        }
    }
}

impl Idle {
    fn add(&mut self, connection: Connection) {
        let key = connection.key().clone();
        let number = self.next_number;
        self.next_number += 1;
        self.by_age.insert(number, (Instant::now(), key.clone()));
        self.by_key.entry(key).or_default().push_back((number, connection));
    }

    fn newest_of(&mut self, key: &Key) -> Option<(Instant, Connection)> {
        let of_key = self.by_key.get_mut(key)?;
        let newest = of_key.pop_back();
        if of_key.is_empty() {
            self.by_key.remove(key);
        }
        let (number, connection) = newest?;
        let (since, _) = self.by_age.remove(&number)?;
        Some((since, connection))
    }

    /// `false`: there was none.
    fn close_oldest(&mut self) -> bool {
        let Some((_, (_, key))) = self.by_age.pop_first() else { return false };
        // The oldest of all is the oldest of its key.
        if let Some(of_key) = self.by_key.get_mut(&key) {
            of_key.pop_front();
            if of_key.is_empty() {
                self.by_key.remove(&key);
            }
        }
        true
    }
}
