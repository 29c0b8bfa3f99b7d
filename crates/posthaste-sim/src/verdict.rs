//! What came of a seed: the judge's word on the four ledgers, and the simulation's own on leases and times.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use posthaste_core::id::MessageId;
use posthaste_core::time::Timestamp;
use posthaste_trials::judge::{Dump, Ledgers, What, dump, judge, tally};

use crate::book::open;
use crate::doom;
use crate::world::World;

/// Attempts that a process makes at once: a crash can leave so many without a row.
const WORKER_SLOTS: u32 = 2_048;
const MICROS_PER_SECOND: i64 = 1_000_000;
/// Clocks jump by whole hours here: what they show tells by how many.
const HOUR_SECS: i64 = 3_600;

/// What came of one seed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Which seed.
    pub seed: u64,
    /// What did not hold; empty: all did.
    pub findings: Vec<String>,
    /// Two runs of a seed have the same.
    pub trace: u64,
    /// Messages that were answered 2xx.
    pub messages: usize,
    /// Requests that reached a receiver.
    pub attempts: usize,
    /// Times that the process died.
    pub crashes: usize,
    /// Messages that were answered 2xx and are not there, or not whole.
    pub lost: usize,
    /// 2xx beyond the first of a delivery, each explained by a fault unless it is among the findings.
    pub repeated: usize,
}

/// Lives through the world of `seed` and judges it.
pub fn run(seed: u64) -> Verdict {
    let place = Place::new();
    let file = place.0.join("posthaste.db");
    let mut world = World::begin(seed, file.clone());
    let came_to_rest = world.run();
    world.node = None;
    doom::stop_watching();
    let mut ledgers = {
        let mut book = open(&world.around.book);
        Ledgers {
            told: std::mem::take(&mut book.told),
            got: std::mem::take(&mut book.got),
            faults: std::mem::take(&mut book.faults),
            endpoints: std::mem::take(&mut book.facts),
            quiescent: true,
            worker_slots: WORKER_SLOTS,
            kept_since: None,
            store: Dump::default(),
        }
    };
    let mut findings = world.timing().findings();
    match dump(&file) {
        Ok(dump) => {
            ledgers.store = dump;
            by_the_steady_clock(&mut ledgers, &world);
        }
        Err(error) => findings.push(error.to_string()),
    }
    if !came_to_rest {
        findings.push("it never came to rest".to_owned());
    }
    let violations = judge(&ledgers);
    let tally = tally(&ledgers, &violations);
    findings.extend(violations.iter().map(ToString::to_string));
    Verdict {
        seed,
        findings,
        trace: world.doom.trace(),
        messages: tally.acked,
        attempts: ledgers.got.len(),
        crashes: ledgers.faults.iter().filter(|fault| fault.what == What::Crash).count(),
        lost: tally.lost,
        repeated: tally.repeated,
    }
}

/// Brings what the product wrote by its own clock, which may have jumped, to the clock of the ledgers.
///
/// Messages were accepted when they were asked for. Those that nobody asked for, the product's own, have no instant there:
/// endpoints are held to nothing for them. An attempt began at the time of the request that it says it sent.
fn by_the_steady_clock(ledgers: &mut Ledgers, world: &World) {
    for message in &mut ledgers.store.messages {
        let made = MessageId::parse(&message.id).and_then(|id| world.made.get(&id).copied());
        message.created_at = made.map_or(i64::MIN, Timestamp::as_micros);
    }
    let mut ahead = HashMap::new();
    for got in &mut ledgers.got {
        // What the wall showed when it was sent, beyond when it came, to the next whole hour.
        let wall = got.timestamp;
        let hours = (wall - got.at.div_euclid(MICROS_PER_SECOND) + HOUR_SECS / 2).div_euclid(HOUR_SECS);
        got.timestamp -= hours * HOUR_SECS;
        ahead.insert((&got.message, &got.endpoint, wall, got.status), hours * HOUR_SECS * MICROS_PER_SECOND);
    }
    for attempt in &mut ledgers.store.attempts {
        let wall = attempt.started_at.div_euclid(MICROS_PER_SECOND);
        // Of a clock that was set back, one second comes twice: then the answer tells which it was. What the product saw
        // no answer of was not answered, or with a 200 that was lost.
        let answers = if attempt.status > 0 { [Some(attempt.status); 2] } else { [None, Some(200)] };
        let by = answers
            .iter()
            .find_map(|answer| ahead.get(&(&attempt.message, &attempt.endpoint, wall, *answer)));
        attempt.started_at -= by.copied().unwrap_or_default();
    }
}

/// A directory in memory, where there is such a thing; gone when the seed is judged.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = parent.join(format!("posthaste-sim-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory for the store can be made");
        Self(dir)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
