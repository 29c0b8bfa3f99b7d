//! Time that stands still until the world moves it: a steady clock, and a wall clock that can jump.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use posthaste_core::time::{Clock, Timestamp};
use posthaste_engine::Timer;

/// How late the engine's rounds begin, as on a busy machine: each costs much, and nothing may depend on their being in time.
const ROUNDS_LATE: Duration = Duration::from_secs(180);

/// Which clock a sleeper looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// Runs evenly: networks, and the ledgers of the trial.
    Steady,
    /// The same, for the rounds of the engine: nobody minds if they come late.
    Rounds,
    /// What the product reads; it may jump.
    Wall,
}

type Sleepers = BTreeMap<(Timestamp, u64), Waker>;

struct Hands {
    steady: Timestamp,
    /// What the wall clock shows beyond the steady one, in microseconds.
    ahead: i64,
    steady_sleepers: Sleepers,
    round_sleepers: Sleepers,
    wall_sleepers: Sleepers,
    /// How often the wall clock was set back.
    setbacks: u64,
    number: u64,
}

impl Hands {
    fn now(&self, face: Face) -> Timestamp {
        match face {
            Face::Steady | Face::Rounds => self.steady,
            Face::Wall => Timestamp::from_micros(self.steady.as_micros() + self.ahead),
        }
    }

    fn sleepers(&mut self, face: Face) -> &mut Sleepers {
        match face {
            Face::Steady => &mut self.steady_sleepers,
            Face::Rounds => &mut self.round_sleepers,
            Face::Wall => &mut self.wall_sleepers,
        }
    }
}

/// The time of one world.
pub(crate) struct Time(Mutex<Hands>);

impl Time {
    pub(crate) fn starting(at: Timestamp) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Hands {
            steady: at,
            ahead: 0,
            steady_sleepers: Sleepers::new(),
            round_sleepers: Sleepers::new(),
            wall_sleepers: Sleepers::new(),
            setbacks: 0,
            number: 0,
        })))
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self, face: Face) -> Timestamp {
        self.hands().now(face)
    }

    /// When the first sleeper of this clock wants to be woken, by the steady clock.
    pub(crate) fn first_sleeper(&self, face: Face) -> Option<Timestamp> {
        let mut hands = self.hands();
        let first = hands.sleepers(face).first_key_value().map(|((at, _), _)| *at)?;
        Some(hands.steady.later(first.since(hands.now(face))))
    }

    /// `at` on the wall clock, by the steady one.
    pub(crate) fn steady_of_wall(&self, at: Timestamp) -> Timestamp {
        let hands = self.hands();
        Timestamp::from_micros(at.as_micros().saturating_sub(hands.ahead))
    }

    /// Moves both clocks on, and wakes who is due.
    pub(crate) fn advance_to(&self, steady: Timestamp) {
        let mut hands = self.hands();
        hands.steady = hands.steady.max(steady);
        drop(hands);
        self.wake();
    }

    /// Lets the wall clock jump.
    pub(crate) fn jump(&self, by_micros: i64) {
        let mut hands = self.hands();
        hands.ahead += by_micros;
        // Set back: whoever waits looks again.
        let woken = if by_micros < 0 { std::mem::take(&mut hands.wall_sleepers) } else { Sleepers::new() };
        hands.setbacks += u64::from(by_micros < 0);
        drop(hands);
        woken.into_values().for_each(Waker::wake);
        self.wake();
    }

    fn wake(&self) {
        let mut due = Vec::new();
        let mut hands = self.hands();
        for face in [Face::Steady, Face::Rounds, Face::Wall] {
            let now = hands.now(face);
            while let Some(first) = hands.sleepers(face).first_entry().filter(|first| first.key().0 <= now) {
                due.push(first.remove());
            }
        }
        drop(hands);
        due.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn sleep(self: &Arc<Self>, face: Face, until: Timestamp) -> Sleep {
        let setbacks = self.hands().setbacks;
        Sleep { time: Arc::clone(self), face, until, setbacks, number: None }
    }

    pub(crate) fn sleep_for(self: &Arc<Self>, time: Duration) -> Sleep {
        self.sleep(Face::Steady, self.now(Face::Steady).later(time))
    }
}

/// Waits for an instant of one clock.
pub(crate) struct Sleep {
    time: Arc<Time>,
    face: Face,
    until: Timestamp,
    setbacks: u64,
    number: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let time = Arc::clone(&self.time);
        let mut hands = time.hands();
        let set_back = self.face == Face::Wall && hands.setbacks != self.setbacks;
        if set_back || hands.now(self.face) >= self.until {
            return Poll::Ready(());
        }
        let number = self.number.unwrap_or_else(|| {
            hands.number += 1;
            hands.number
        });
        self.number = Some(number);
        let key = (self.until, number);
        hands.sleepers(self.face).insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let key = (self.until, number);
            self.time.hands().sleepers(self.face).remove(&key);
        }
    }
}

/// The clock of one node, which can be made to stand still: nothing of the node goes on meanwhile.
#[derive(Clone)]
pub(crate) struct NodeClock {
    time: Arc<Time>,
    frozen_until: Arc<AtomicI64>,
}

impl NodeClock {
    pub(crate) fn of(time: &Arc<Time>) -> Self {
        Self { time: Arc::clone(time), frozen_until: Arc::new(AtomicI64::new(i64::MIN)) }
    }

    pub(crate) fn freeze_until(&self, steady: Timestamp) {
        self.frozen_until.store(steady.as_micros(), Ordering::SeqCst);
    }

    /// Goes on once the node does.
    pub(crate) async fn thawed(&self) {
        let until = Timestamp::from_micros(self.frozen_until.load(Ordering::SeqCst));
        self.time.sleep(Face::Steady, until).await;
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        self.time.now(Face::Wall)
    }
}

#[async_trait]
impl Timer for NodeClock {
    fn both(&self) -> (Duration, Timestamp) {
        (self.time.now(Face::Steady).since(Timestamp::EPOCH), self.now())
    }

    async fn sleep_until(&self, at: Timestamp) {
        self.time.sleep(Face::Wall, at).await;
        self.thawed().await;
    }

    async fn sleep_for(&self, time: Duration) {
        let until = self.time.now(Face::Rounds).later(time + ROUNDS_LATE);
        self.time.sleep(Face::Rounds, until).await;
        self.thawed().await;
    }
}
