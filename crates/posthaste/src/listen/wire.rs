//! One line to a server: opened, and opened again whenever it breaks, until it is over for good.

use std::sync::Arc;
use std::time::Duration;

use posthaste_engine::Timer as _;
use posthaste_tunnel::frame::{Bye, Reason};
use tokio::sync::{mpsc, watch as flag};
use tokio::time::sleep;

use super::event::Event;
use super::forward::Forwarder;
use super::pause;
use super::place::Place;
use super::session::{Lasting, Left, Session, until_set};
use super::socket::{self, Refused};
use super::state::State;
use super::worker::{Shared, Worker};
use crate::laptop::complaint::Complaint;
use crate::laptop::server::Server;
use crate::system::{SystemDice, SystemTimer};
use crate::words;

/// A connection that lived so long was a good one: the next try begins with no wait.
const GOOD_AFTER: Duration = Duration::from_secs(5);
/// How often it is said how long a connection is away.
const SAY_INTERVAL: Duration = Duration::from_secs(1);

/// A line to a server.
pub(crate) struct Wire {
    pub(crate) index: usize,
    pub(crate) server: Arc<Server>,
    pub(crate) place: Place,
    pub(crate) forwarder: Arc<Forwarder>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) max_offline: Option<Duration>,
}

/// Since when it is away, and how often it was tried.
struct Away {
    since: Duration,
    attempt: u32,
    why: String,
}

impl Wire {
    /// Runs until it is over: `Ok` if that is what somebody wanted.
    pub(crate) async fn run(self, stop: flag::Receiver<bool>) -> Result<(), Complaint> {
        let shared = Shared::new();
        let (jobs, given) = mpsc::unbounded_channel();
        let (told, done) = mpsc::unbounded_channel();
        let worker = Worker {
            wire: self.index,
            forwarder: Arc::clone(&self.forwarder),
            asked_host: self.place.public_host(),
            shared: shared.clone(),
            events: self.events.clone(),
            done: told,
        };
        let worker = tokio::spawn(worker.run(given));
        let mut lasting = Lasting { wire: self.index, events: self.events.clone(), shared, jobs, done, stop };
        let ended = self.keep_open(&mut lasting).await;
        worker.abort();
        if let Err(complaint) = &ended {
            self.say(State::Ended { why: complaint.what().to_owned() }).await;
        }
        ended
    }

    async fn keep_open(&self, lasting: &mut Lasting) -> Result<(), Complaint> {
        let mut away: Option<Away> = None;
        let mut stop = lasting.stop.clone();
        self.say(State::Connecting).await;
        loop {
            let Some(why) = self.once(lasting, &mut away).await? else { return Ok(()) };
            let now = SystemTimer.both().0;
            let (since, attempt) = away.take().map_or((now, 0), |before| (before.since, before.attempt));
            let gone = Away { since, attempt: attempt.saturating_add(1), why };
            tokio::select! {
                waited = self.wait(&gone) => waited?,
                () = until_set(&mut stop) => return Ok(()),
            }
            away = Some(gone);
        }
    }

    /// One connection, from its opening to its end: why it was lost, or `None` if it is over.
    async fn once(
        &self,
        lasting: &mut Lasting,
        away: &mut Option<Away>,
    ) -> Result<Option<String>, Complaint> {
        let mut stop = lasting.stop.clone();
        let opened = tokio::select! {
            opened = socket::open(&self.server, &self.place.listen) => opened,
            () = until_set(&mut stop) => return Ok(None),
        };
        let socket = match opened {
            Ok(socket) => socket,
            Err(Refused::ForGood(complaint)) => return Err(complaint),
            Err(Refused::ForNow(why)) => return Ok(Some(why)),
        };
        let opened_at = SystemTimer.both().0;
        let mut session = Session::new(socket, lasting);
        let left = session.run().await;
        let now = SystemTimer.both().0;
        if session.was_ready() {
            // One that ends as soon as it began is not away for longer, but is tried ever more rarely.
            let is_good = now.saturating_sub(opened_at) >= GOOD_AFTER;
            *away = away.take().filter(|_| !is_good).map(|before| Away { since: now, ..before });
        }
        match left {
            Left::Stopped => Ok(None),
            Left::Bye(bye) => self.bye(bye).await,
            Left::Lost(why) => Ok(Some(why)),
        }
    }

    /// Waits for the next try, and says each second how long it is away.
    async fn wait(&self, away: &Away) -> Result<(), Complaint> {
        let mut left = pause::before_reconnect(away.attempt, &SystemDice);
        loop {
            let offline = SystemTimer.both().0.saturating_sub(away.since);
            let (attempt, why) = (away.attempt, away.why.clone());
            self.say(State::Reconnecting { attempt, offline, why }).await;
            if self.max_offline.is_some_and(|max| offline >= max) {
                return Err(Complaint::unreachable(
                    format!("there was no connection to {} for {}", self.server.url(), words::span(offline)),
                    &away.why,
                    "what comes meanwhile waits at the server: listen again when it can be reached",
                ));
            }
            let step = left.min(SAY_INTERVAL);
            if step.is_zero() {
                return Ok(());
            }
            sleep(step).await;
            left -= step;
        }
    }

    /// What a last frame means: a reason to come back, none (`None`), or a complaint.
    async fn bye(&self, bye: Bye) -> Result<Option<String>, Complaint> {
        let (what, label) = (&bye.detail, &self.place.label);
        let next = "listen again when that is mended";
        match bye.reason {
            Reason::Leaving | Reason::Other => Ok(Some(bye.detail)),
            Reason::Replaced => {
                self.say(State::Ended {
                    why: format!("another listener has this name and took over: {what}"),
                })
                .await;
                Ok(None)
            }
            Reason::Unauthorized => Err(Complaint::forbidden(
                format!("the server does not take this token any more for {label}"),
                what,
                "make one where the server runs: posthaste token create",
            )),
            Reason::Deleted => Err(Complaint::not_found(
                format!("the endpoint of this listener on {label} is gone"),
                what,
                "listen again: it is made anew, with another secret",
            )),
            Reason::Disabled => Err(Complaint::rejected(
                format!("the endpoint of this listener on {label} was disabled"),
                what,
                "enable it, and listen again",
            )),
            Reason::Misbehaved => {
                Err(Complaint::failure("the server could not read what this program said", what, next))
            }
        }
    }

    async fn say(&self, state: State) {
        let _ = self.events.send(Event::State { wire: self.index, state }).await;
    }
}
