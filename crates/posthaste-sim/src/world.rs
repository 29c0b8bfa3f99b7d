//! One world: its process, its clients, its receivers, and time, which moves when nothing is left to do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use posthaste_core::app::Reference;
use posthaste_core::id::{AppId, MessageId, SourceId};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_store::directory;
use posthaste_store::{ChangeError, Queue as _};
use posthaste_trials::judge::What;

use crate::book::open;
use crate::client::{Ask, Taken, Try};
use crate::doom::Doom;
use crate::node::{Node, Surroundings};
use crate::operator::{Asked, Known};
use crate::plan::{Action, Event};
use crate::stream::Stream;
use crate::time::Face;
use crate::timing::Timing;

/// How long after healing all must have ended: the longest wait of schedule and `Retry-After`, and clocks that jumped.
const HEALED_WITHIN: Duration = Duration::from_hours(34);
/// Steps of time in one world; more is a loop without end.
const STEPS_MAX: u64 = 400_000;
/// How late the engine's timers fire while nothing else happens, as on a busy machine: most of them only look round.
const TIMERS_LATE: Duration = Duration::from_secs(8);
/// Steps of the engine's own timers that the world goes through when it knows of nothing that is due.
const PATIENCE: u32 = 100;

/// Whose endpoints and messages.
pub(crate) enum Owner {
    /// An app.
    App { environment: EnvironmentId, id: AppId },
    /// A source and its app.
    Source { environment: EnvironmentId, id: SourceId, app: AppId },
}

impl Owner {
    pub(crate) fn app(&self) -> AppId {
        match self {
            Self::App { id, .. } => *id,
            Self::Source { app, .. } => *app,
        }
    }

    pub(crate) fn environment(&self) -> EnvironmentId {
        match self {
            Self::App { environment, .. } | Self::Source { environment, .. } => *environment,
        }
    }

    pub(crate) fn named(&self) -> directory::Owner {
        match self {
            Self::App { id, .. } => directory::Owner::App(Reference::from(*id)),
            Self::Source { id, .. } => directory::Owner::Source(Reference::new(id.to_string())),
        }
    }
}

/// An answer of the process.
pub(crate) enum Heard {
    Message(u64, Taken),
    Done(u64, Result<(), ChangeError>),
}

/// Answers, in the order in which they came.
#[derive(Clone, Default)]
pub(crate) struct Answers(Arc<Mutex<Vec<Heard>>>);

impl Answers {
    pub(crate) fn push(&self, heard: Heard) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
    }

    fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One world.
pub(crate) struct World {
    pub(crate) around: Surroundings,
    pub(crate) doom: Arc<Doom>,
    pub(crate) dice: Stream,
    pub(crate) store_file: PathBuf,
    pub(crate) node: Option<Node>,
    pub(crate) nodes: u64,
    pub(crate) owners: Vec<Owner>,
    pub(crate) endpoints: Vec<Known>,
    pub(crate) asks: Vec<Ask>,
    /// When the request was made that made this id.
    pub(crate) made: BTreeMap<MessageId, Timestamp>,
    pub(crate) tries: BTreeMap<u64, Try>,
    pub(crate) asked: BTreeMap<u64, Asked>,
    pub(crate) next_number: u64,
    pub(crate) heard: Answers,
    pub(crate) events: BTreeMap<(Timestamp, u64), Event>,
    pub(crate) draining: Option<Arc<AtomicBool>>,
    pub(crate) died_at: Timestamp,
    pub(crate) healed_at: Option<Timestamp>,
    pub(crate) patience: u32,
}

impl World {
    pub(crate) fn timing(&self) -> MutexGuard<'_, Timing> {
        self.around.timing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    pub(crate) fn plan_in(&mut self, after: Duration, event: Event) {
        let at = self.around.time.now(Face::Steady).later(after);
        self.events.insert((at, self.next_number), event);
        self.next_number += 1;
    }

    /// Until all is healed and ended, or nothing moves any more. `false`: it went round without end.
    pub(crate) fn run(&mut self) -> bool {
        for _ in 0..STEPS_MAX {
            self.live();
            if self.is_over() {
                return true;
            }
            let Some(next) = self.next_instant() else { return true };
            self.around.time.advance_to(next);
            self.happen();
        }
        false
    }

    /// Lets the process do all that it can do now.
    pub(crate) fn live(&mut self) {
        loop {
            if let Some(node) = &self.node {
                node.settle();
            }
            for heard in self.heard.take() {
                match heard {
                    Heard::Message(number, taken) => self.hears(number, &taken),
                    Heard::Done(number, answer) => self.done(number, &answer),
                }
            }
            if self.doom.is_dead() {
                self.buries();
            } else if self.draining.as_ref().is_some_and(|done| done.load(Ordering::SeqCst)) {
                self.leaves();
            }
            if self.heard.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                return;
            }
        }
    }

    /// What was in flight is lost with the process; another starts before long.
    fn buries(&mut self) {
        self.died_at = self.around.time.now(Face::Steady);
        self.ends();
        self.doom.revive();
        open(&self.around.book).fault(What::Crash, None, self.died_at, Timestamp::from_micros(i64::MAX));
    }

    fn leaves(&mut self) {
        self.ends();
    }

    fn ends(&mut self) {
        self.node = None;
        self.draining = None;
        self.hears_nothing();
        self.asked.clear();
        self.timing().crashed();
        let after = self.dice.between(Duration::from_millis(50), Duration::from_secs(90));
        self.plan_in(after, Event::Start);
    }

    pub(crate) fn start(&mut self) {
        self.nodes += 1;
        let now = self.around.time.now(Face::Steady);
        self.node = Node::start(&self.store_file, &self.around, self.nodes);
        let mut book = open(&self.around.book);
        let crash = book.faults.iter_mut().rev().find(|fault| fault.what == What::Crash);
        if let Some(crash) = crash.filter(|crash| crash.until == i64::MAX) {
            crash.until = now.as_micros();
        }
    }

    /// Whether the process has something under way that its own timers move.
    fn is_busy(&self) -> bool {
        let in_flight = self.node.as_ref().map_or(0, |node| node.store.backlog().in_flight_count);
        in_flight > 0 || self.is_draining()
    }

    fn waits(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.store.backlog().waiting_count > 0)
    }

    fn is_over(&self) -> bool {
        let Some(healed_at) = self.healed_at else { return false };
        let now = self.around.time.now(Face::Steady);
        let quiet = self.events.is_empty() && self.tries.is_empty() && self.asked.is_empty();
        let ended = self.node.is_some() && !self.waits() && !self.is_busy();
        (quiet && ended) || now.since(healed_at) > HEALED_WITHIN
    }

    /// When something happens next. While nothing is in flight, nobody waits for the engine's timers.
    fn next_instant(&mut self) -> Option<Timestamp> {
        let time = Arc::clone(&self.around.time);
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        let network = time.first_sleeper(Face::Steady);
        let mut next = [event, network].into_iter().flatten().min();
        if self.node.is_none() {
            return next;
        }
        let due = self.timing().next_due(time.now(Face::Wall)).map(|at| time.steady_of_wall(at));
        if self.is_busy() || (self.waits() && self.patience > 0) {
            self.patience = self.patience.saturating_sub(u32::from(!self.is_busy()));
            let timer = time.first_sleeper(Face::Wall).map(|at| at.later(TIMERS_LATE));
            next = [next, timer, time.first_sleeper(Face::Rounds)].into_iter().flatten().min();
        }
        if self.waits() {
            next = [next, due].into_iter().flatten().min();
        }
        if due.is_some() && next == due {
            self.patience = PATIENCE;
        }
        next
    }

    /// What happens at this instant.
    fn happen(&mut self) {
        let now = self.around.time.now(Face::Steady);
        while let Some(first) = self.events.first_entry().filter(|first| first.key().0 <= now) {
            let event = first.remove();
            self.patience = PATIENCE;
            self.doom.note(&now.as_micros().to_le_bytes());
            self.happens(event);
        }
    }

    fn happens(&mut self, event: Event) {
        let now = self.around.time.now(Face::Steady);
        match event {
            Event::Ask(number) => self.ask(number),
            Event::Act(action, endpoint) => self.act(action, endpoint),
            Event::Feel(endpoint, mood) if self.healed_at.is_none() => {
                self.around.network.feels(&self.endpoints[endpoint].url, mood);
            }
            Event::Feel(..) => {}
            Event::Arm(point, hit) => self.doom.arm(point, hit),
            Event::Kill if self.node.is_some() => self.doom.kill(),
            Event::Drain if self.draining.is_none() => {
                self.draining = self.node.as_ref().map(Node::drain);
            }
            Event::Kill | Event::Drain => {}
            Event::Start => self.start(),
            Event::Jump(micros) => {
                open(&self.around.book).fault(What::Clock, None, now, now);
                self.timing().jumped();
                self.around.time.jump(micros);
            }
            Event::Freeze(time) => {
                if let Some(node) = &self.node {
                    open(&self.around.book).fault(What::Pause, None, now, now.later(time));
                    node.freeze_first(now.later(time));
                }
            }
            Event::Heal => self.heals(now),
        }
    }

    /// Nothing goes wrong any more, and all must end.
    fn heals(&mut self, now: Timestamp) {
        self.healed_at = Some(now);
        self.doom.disarm();
        self.around.network.heal();
        self.events
            .retain(|_, event| matches!(event, Event::Ask(_) | Event::Start | Event::Act(Action::Make, _)));
        // A pause that nobody ends would keep deliveries for ever. Twice: the first may meet a process that leaves.
        self.act(Action::Resume, 0);
        self.plan_in(Duration::from_secs(1_200), Event::Act(Action::Resume, 0));
    }
}
