//! Who listens on this process: one session an endpoint, and the way to it.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use posthaste_core::id::EndpointId;
use posthaste_core::tenant::EnvironmentId;
use tokio::sync::{Notify, watch};

use crate::frame::{Bye, FromServer, Reason, Recorded, Request};
use crate::session::{Line, Session};

pub use crate::session::{Told, Unforwarded};

/// Sessions of one environment.
pub const LISTENERS_PER_ENVIRONMENT_MAX: usize = 100;
/// Sessions of this process.
pub const LISTENERS_MAX: usize = 1_000;
/// Sessions beyond that whose place was taken, and that are not over yet.
const LEAVING_MAX: usize = 100;

/// Why nobody can listen now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The environment has as many as it may have.
    #[error(
        "this environment has {LISTENERS_PER_ENVIRONMENT_MAX} listeners, as many as it may have: end one first"
    )]
    Environment,
    /// The process has.
    #[error(
        "this server has {LISTENERS_MAX} listeners, as many as it may have: try again later, or another node"
    )]
    Process,
    /// The process ends.
    #[error("this server is about to stop: try again in a moment, or another node")]
    Leaving,
}

/// Somebody who listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// To which endpoint.
    pub endpoint: EndpointId,
    /// For how long.
    pub age: Duration,
    /// A request is with them now.
    pub is_busy: bool,
}

#[derive(Default)]
struct Seats {
    lines: HashMap<EndpointId, (u64, Arc<Line>)>,
    per_environment: HashMap<EnvironmentId, usize>,
    count: usize,
    number: u64,
    leaving: bool,
}

/// All sessions of this process.
#[derive(Default)]
pub struct Listeners {
    seats: Mutex<Seats>,
    /// Endpoints that somebody has begun to listen to, until the engine has heard of it.
    joined: Mutex<BTreeSet<EndpointId>>,
    has_joined: Notify,
    count: watch::Sender<usize>,
}

impl Listeners {
    /// Nobody listens yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session for `endpoint`, which takes no requests before it [begins](Session::begin). It may take the place of
    /// another one, and counts only once then.
    pub fn admit(
        self: &Arc<Self>,
        environment: EnvironmentId,
        endpoint: EndpointId,
    ) -> Result<Session, Full> {
        let mut seats = self.seats();
        if seats.leaving {
            return Err(Full::Leaving);
        }
        let replaced = usize::from(seats.lines.contains_key(&endpoint));
        if seats.count - replaced >= LISTENERS_MAX || seats.count >= LISTENERS_MAX + LEAVING_MAX {
            return Err(Full::Process);
        }
        let own = seats.per_environment.entry(environment).or_default();
        if *own - replaced.min(*own) >= LISTENERS_PER_ENVIRONMENT_MAX {
            return Err(Full::Environment);
        }
        *own += 1;
        seats.count += 1;
        seats.number += 1;
        let number = seats.number;
        self.count.send_replace(seats.count);
        drop(seats);
        Ok(Session::new(Arc::clone(self), number, environment, endpoint))
    }

    /// A session takes its endpoint's requests from now on; whoever took them before hears it.
    pub(crate) fn begin(&self, endpoint: EndpointId, number: u64, line: &Arc<Line>) {
        let mut seats = self.seats();
        let before = seats.lines.insert(endpoint, (number, Arc::clone(line)));
        let leaving = seats.leaving;
        drop(seats);
        if let Some((_, before)) = before {
            before.end(Reason::Replaced, "another connection listens to this endpoint now");
        }
        if leaving {
            line.end(Reason::Leaving, LEAVING);
        }
        self.joined.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint);
        self.has_joined.notify_one();
    }

    pub(crate) fn leave_seat(&self, environment: EnvironmentId, endpoint: EndpointId, number: u64) {
        let mut seats = self.seats();
        if seats.lines.get(&endpoint).is_some_and(|(holder, _)| *holder == number) {
            seats.lines.remove(&endpoint);
        }
        if let Some(own) = seats.per_environment.get_mut(&environment) {
            *own -= 1;
            if *own == 0 {
                seats.per_environment.remove(&environment);
            }
        }
        seats.count -= 1;
        self.count.send_replace(seats.count);
    }

    /// Sessions there are now.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Who of this environment listens on this process, in the order of their endpoints' ids.
    pub fn of(&self, environment: EnvironmentId) -> Vec<Listening> {
        let seats = self.seats();
        let open = seats.lines.iter().filter(|(_, (_, line))| line.is_open() && line.is_of(environment));
        let listening = |(endpoint, (_, line)): (&EndpointId, &(u64, Arc<Line>))| Listening {
            endpoint: *endpoint,
            age: line.age(),
            is_busy: line.is_busy(),
        };
        let mut all: Vec<_> = open.map(listening).collect();
        all.sort_by_key(|one| one.endpoint);
        all
    }

    fn line(&self, endpoint: EndpointId) -> Option<Arc<Line>> {
        let seats = self.seats();
        seats.lines.get(&endpoint).map(|(_, line)| Arc::clone(line))
    }

    /// Whether somebody takes the requests of this endpoint.
    pub fn is_listened_to(&self, endpoint: EndpointId) -> bool {
        self.line(endpoint).is_some_and(|line| line.is_open())
    }

    /// The next endpoint that somebody has begun to listen to. For one caller.
    pub async fn next_joined(&self) -> EndpointId {
        loop {
            let next = self.joined.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            match next {
                Some(endpoint) => return endpoint,
                None => self.has_joined.notified().await,
            }
        }
    }

    /// Sends a request to whoever listens and waits for what the local program answers, `timeout` at most.
    pub async fn forward(
        &self,
        endpoint: EndpointId,
        request: Request,
        timeout: Duration,
    ) -> Result<Told, Unforwarded> {
        match self.line(endpoint) {
            Some(line) => line.forward(request, timeout).await,
            None => Err(Unforwarded::Gone),
        }
    }

    /// Tells whoever listens what was written down.
    pub fn recorded(&self, endpoint: EndpointId, recorded: Recorded) {
        if let Some(line) = self.line(endpoint) {
            line.say(FromServer::Recorded(recorded));
        }
    }

    /// Somebody listens to this endpoint on another node since just now.
    pub fn replaced(&self, endpoint: EndpointId) {
        if let Some(line) = self.line(endpoint) {
            line.end(Reason::Replaced, "another connection, to another node, listens to this endpoint now");
        }
    }

    fn close(&self) -> Vec<Arc<Line>> {
        let mut seats = self.seats();
        seats.leaving = true;
        seats.lines.values().map(|(_, line)| Arc::clone(line)).collect()
    }

    /// This process ends: all sessions do, and there will be no new ones. Returns when they have.
    pub async fn leave(&self) {
        for line in self.close() {
            line.end(Reason::Leaving, LEAVING);
        }
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }
}

const LEAVING: &str = "this server is about to stop: connect again, to it or to another node";

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").field("count", &self.count()).finish_non_exhaustive()
    }
}

/// A last word.
pub(crate) fn bye(reason: Reason, detail: &str) -> Bye {
    Bye { reason, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests;
