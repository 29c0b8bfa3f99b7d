//! The SIGKILL loop: under load, the server is killed at instants that nothing but the dice know, again and again.

mod nodes;

use std::path::PathBuf;
use std::time::Duration;

use posthaste_core::dice::{Dice as _, TestDice};
use tokio::time::Instant;

use crate::judge::{Tally, Violation, judge, tally};
use crate::postgres::Setup;
use crate::scene::Shape;
use crate::server::Settings;
use crate::trial::Template;

/// Ten apps with two endpoints each; the source's is one more. The first endpoint takes nothing, the others refuse or
/// break off every tenth request.
const SHAPE: Shape = Shape { apps: 10, endpoints_per_app: 2 };
/// Requests a second, as far as the server keeps up.
const PER_SECOND: f64 = 400.0;
/// The mean time between the moment at which a server is up and its end.
const LIFE_MEAN: Duration = Duration::from_millis(1_500);

/// Share of its ends that are a SIGTERM instead: then it must end in order, and no such end explains a repetition.
const IN_ORDER: f64 = 0.15;

/// What to run.
#[derive(Debug, Clone)]
pub struct Crash {
    /// The server: built with the feature `faults` or not.
    pub binary: PathBuf,
    /// How long to go on killing.
    pub lasts: Duration,
    /// What the dice follow from: load, refusals and instants. The threads' order does not.
    pub seed: u64,
    /// Mistakes to plant, as in `POSTHASTE_PLANT`.
    pub plant: Option<String>,
    /// Two nodes on a PostgreSQL of the trial's own, in place of one server on a file.
    pub postgres: Option<Setup>,
}

/// What came of it.
pub struct Outcome {
    /// The seed again.
    pub seed: u64,
    /// The figures.
    pub tally: Tally,
    /// How often it was stopped in order, beside the crashes.
    pub stops: u32,
    /// How often a node stood still for longer than the others believed it to live.
    pub pauses: u32,
    /// How often the database went away.
    pub outages: u32,
    /// The longest that a start took, with the store as it was.
    pub slowest_start: Duration,
    /// What does not hold.
    pub violations: Vec<Violation>,
    /// The data directory and the ledgers, if something does not.
    pub kept: Option<PathBuf>,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, tally, stops, pauses, outages, slowest_start, violations, .. } = self;
        let (millis, count) = (slowest_start.as_millis(), violations.len());
        write!(f, "seed={seed} {tally} stops={stops} pauses={pauses} outages={outages} ")?;
        write!(f, "slowest_start_ms={millis} violations={count}")
    }
}

/// Runs it.
pub async fn run(crash: &Crash) -> anyhow::Result<Outcome> {
    if let Some(setup) = crash.postgres {
        return nodes::run(crash, setup).await;
    }
    let template = Template::make(&crash.binary, SHAPE, crash.seed).await?;
    let mut trial = template.trial(&format!("crash-{}", crash.seed), crash.seed).await?;
    let settings = Settings { plant: crash.plant.clone(), ..Settings::default() };
    let dice = TestDice::seeded(crash.seed.rotate_left(32));
    trial.start(&settings).await?;
    let load = trial.load(u64::MAX, PER_SECOND);
    let began = Instant::now();
    let (mut stops, mut slowest_start) = (0, Duration::ZERO);
    while began.elapsed() < crash.lasts {
        let life = LIFE_MEAN.mul_f64(-(1.0 - dice.unit()).ln());
        if let Some(death) = trial.died(life).await? {
            anyhow::bail!("it died by itself: {death}");
        }
        if dice.unit() < IN_ORDER {
            trial.stop().await?;
            stops += 1;
        } else {
            trial.kill().await?;
        }
        let down = Instant::now();
        trial.start(&settings).await?;
        slowest_start = slowest_start.max(down.elapsed());
    }
    load.stop().await?;
    trial.drain().await?;
    trial.stop().await?;
    let ledgers = trial.ledgers().await?;
    let violations = judge(&ledgers);
    let tally = tally(&ledgers, &violations);
    let kept = trial.end(&ledgers, violations.is_empty()).await?;
    Ok(Outcome { seed: crash.seed, tally, stops, pauses: 0, outages: 0, slowest_start, violations, kept })
}
