//! One process: a runtime of one thread, the real store and one or two real engines on it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use posthaste_core::retry::RetrySchedule;
use posthaste_engine::metrics::EngineMetrics;
use posthaste_engine::{Engine, EngineSettings, LaneLimits, NoObserver, Parts};
use posthaste_store::Queue;
use posthaste_store::sqlite::{SqliteOptions, SqliteStore, Workers};
use posthaste_tunnel::listeners::Listeners;
use tokio::runtime::{Builder, Runtime};

use crate::book::SharedBook;
use crate::doom;
use crate::network::{Network, Wires};
use crate::stream::Stream;
use crate::time::{NodeClock, Time};
use crate::timing::Timing;
use crate::watched::Watched;

/// The deadline of an attempt.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Longer than any simulated span: what retention takes the judge could not find.
const RETENTION: Duration = Duration::from_hours(90 * 24);
/// The least that the runtime's own clock can be moved: it is paused, so that it moves only when nothing is left to do.
const TICK: Duration = Duration::from_millis(1);

/// What outlives a process.
pub(crate) struct Surroundings {
    pub(crate) seed: u64,
    pub(crate) time: Arc<Time>,
    pub(crate) network: Arc<Network>,
    pub(crate) timing: Arc<Mutex<Timing>>,
    pub(crate) book: SharedBook,
    pub(crate) schedule: RetrySchedule,
    pub(crate) engines: usize,
    pub(crate) stalls: usize,
    pub(crate) lanes: LaneLimits,
}

/// A process that lives.
pub(crate) struct Node {
    // In the order in which they go: all tasks, then what they worked with.
    runtime: Runtime,
    engines: Vec<(Arc<Engine>, NodeClock)>,
    pub(crate) store: Arc<SqliteStore>,
}

impl Node {
    /// Starts a process, the `number`th of its world. `None`: it died on the way.
    pub(crate) fn start(path: &Path, around: &Surroundings, number: u64) -> Option<Self> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without I/O can be built");
        let dice = Arc::new(Stream::of(around.seed, &format!("product {number}")));
        let begin = || {
            let entered = runtime.enter();
            let options = SqliteOptions {
                path: path.to_owned(),
                main_secret: "the main secret".to_owned().into(),
                dice: dice.clone(),
                serving: true,
            };
            let store = SqliteStore::open_with(options, Workers::CallersRuntime)
                .expect("a store that a crash left behind can be opened");
            let engines = (0..around.engines).map(|_| engine(&store, &dice, around)).collect();
            drop(entered);
            (store, engines)
        };
        let (store, engines) = match catch_unwind(AssertUnwindSafe(begin)) {
            Ok(started) => started,
            Err(why) if doom::is_death(&*why) => return None,
            Err(why) => resume_unwind(why),
        };
        Some(Self { runtime, engines, store })
    }

    /// Goes on until nothing is left to do before time moves.
    pub(crate) fn settle(&self) {
        self.runtime.block_on(async { tokio::time::sleep(TICK).await });
    }

    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(work));
    }

    /// The node that is not handed anything stands still until then.
    pub(crate) fn freeze_first(&self, until: posthaste_core::time::Timestamp) {
        if let Some((_, clock)) = self.engines.first() {
            clock.freeze_until(until);
        }
    }

    /// Leaves in good order; the flag is set once all is done.
    pub(crate) fn drain(&self) -> Arc<AtomicBool> {
        let done = Arc::new(AtomicBool::new(false));
        let (engines, told) = (self.engines.clone(), Arc::clone(&done));
        self.spawn(async move {
            for (engine, _) in engines {
                engine.drain().await;
            }
            told.store(true, Ordering::SeqCst);
        });
        done
    }
}

fn engine(store: &Arc<SqliteStore>, dice: &Arc<Stream>, around: &Surroundings) -> (Arc<Engine>, NodeClock) {
    let clock = NodeClock::of(&around.time);
    let queue: Arc<dyn Queue> = Arc::new(Watched {
        queue: store.clone(),
        clock: clock.clone(),
        time: Arc::clone(&around.time),
        timing: Arc::clone(&around.timing),
        book: Arc::clone(&around.book),
        dice: Stream::of(around.seed, "stalls"),
        stalls: around.stalls,
    });
    let settings = EngineSettings {
        retry_schedule: around.schedule.clone(),
        request_timeout: REQUEST_TIMEOUT,
        retention: RETENTION,
        lanes: around.lanes,
    };
    let parts = Parts {
        queue,
        sources: store.clone(),
        transport: Arc::new(Wires { network: Arc::clone(&around.network), clock: clock.clone() }),
        clock: Arc::new(clock.clone()),
        dice: dice.clone(),
        metrics: EngineMetrics::unregistered(),
        observer: Arc::new(NoObserver),
        listeners: Listeners::new(),
    };
    (Engine::start(settings, parts), clock)
}
