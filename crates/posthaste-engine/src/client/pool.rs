//! Idle connections, by the address that was judged. A cap over all hosts; the one unused for longest goes first.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use posthaste_core::target::Target;
use tokio::time::Instant;

use super::exchange::Connection;

/// What a connection can be used for again: the same judged address, and for TLS the same name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) remote: SocketAddr,
    /// The name that the certificate was checked for; `None` without TLS.
    pub(super) name: Option<String>,
}

struct Idle {
    connection: Connection,
    since: Instant,
    number: u64,
}

pub(super) struct Pool {
    idle_max: usize,
    idle_timeout: Duration,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_key: HashMap<Key, VecDeque<Idle>>,
    /// In the order in which they became idle; entries that were taken since are skipped.
    order: VecDeque<(Key, u64)>,
    count: usize,
    next_number: u64,
}

impl Pool {
    pub(super) fn new(idle_max: usize, idle_timeout: Duration) -> Self {
        Self { idle_max, idle_timeout, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.inner().count
    }

    /// A connection to one of `addresses`, the most recently used one: the others may time out.
    pub(super) fn take(&self, target: &Target, addresses: &[SocketAddr]) -> Option<Connection> {
        let mut inner = self.inner();
        for remote in addresses {
            let key = Key { remote: *remote, name: target.is_https().then(|| target.host()) };
            while let Some(idle) = inner.pop(&key) {
                if idle.connection.is_usable() && idle.since.elapsed() < self.idle_timeout {
                    return Some(idle.connection);
                }
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(&self, connection: Connection) {
        if self.idle_max == 0 {
            return;
        }
        let mut inner = self.inner();
        while inner.count >= self.idle_max {
            inner.close_oldest();
        }
        let number = inner.next_number;
        inner.next_number += 1;
        let key = connection.key().clone();
        inner.order.push_back((key.clone(), number));
        inner.by_key.entry(key).or_default().push_back(Idle { connection, since: Instant::now(), number });
        inner.count += 1;
        inner.forget_taken();
    }
}

impl Inner {
    fn pop(&mut self, key: &Key) -> Option<Idle> {
        let idle = self.by_key.get_mut(key)?.pop_back();
        if self.by_key.get(key).is_some_and(VecDeque::is_empty) {
            self.by_key.remove(key);
        }
        self.count -= usize::from(idle.is_some());
        idle
    }

    fn close_oldest(&mut self) {
        let Some((key, number)) = self.order.pop_front() else {
            // The order names every idle connection, so this cannot be; but a loop must end.
            self.by_key.clear();
            self.count = 0;
            return;
        };
        if let Some(idle) = self.by_key.get_mut(&key)
            && idle.front().is_some_and(|first| first.number == number)
        {
            idle.pop_front();
            self.count -= 1;
            if idle.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }

    /// A busy connection leaves an entry each time it was taken: drop them before they pile up.
    fn forget_taken(&mut self) {
        if self.order.len() > 4 * self.count + 64 {
            let live: std::collections::HashSet<u64> =
                self.by_key.values().flatten().map(|idle| idle.number).collect();
            self.order.retain(|(_, number)| live.contains(number));
        }
    }
}
