//! The abort matrix: at every named point, under the load that reaches it, the server dies; what is there after it
//! came back must stand before the judge. At some of them it panics instead, and must live on.

mod cases;
mod nodes;
mod planted;
mod play;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::judge::{Tally, Violation, judge, tally};
use crate::postgres::{Cluster, Setup};
use crate::scene::Shape;
use crate::store::Store;
use crate::trial::Template;
use cases::Case;

/// Two apps with three endpoints each: one that wants all, and two that want each a part.
const SHAPE: Shape = Shape { apps: 2, endpoints_per_app: 3 };

/// Cases that are played side by side over PostgreSQL, each lane with a cluster of its own: most of the time they wait for a
/// node's next beat.
const LANES: usize = 4;

/// What to run.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// The server, built with the feature `faults`.
    pub binary: PathBuf,
    /// What the dice follow from.
    pub seed: u64,
    /// Only cases whose name holds this.
    pub only: Option<String>,
    /// With two nodes on a PostgreSQL of the trial's own.
    pub postgres: Option<Setup>,
}

/// What came of the cases so far.
#[derive(Default)]
struct Sum {
    failed: usize,
    repeated: usize,
}

/// Runs every case, tells each one's outcome in a line, and returns whether all were passed.
pub async fn run(matrix: &Matrix, tell: fn(&str)) -> anyhow::Result<bool> {
    let began = Instant::now();
    let wanted = |case: &Case| matrix.only.as_ref().is_none_or(|part| case.name().contains(part));
    let all = if matrix.postgres.is_some() { cases::over_postgres() } else { cases::embedded() };
    let cases: VecDeque<(u64, Case)> = (1..).zip(all.into_iter().filter(wanted)).collect();
    let count = cases.len();
    let cases = Arc::new(Mutex::new(cases));
    let mut lanes = JoinSet::new();
    for _ in 0..if matrix.postgres.is_some() { LANES } else { 1 } {
        lanes.spawn(lane(matrix.clone(), Arc::clone(&cases), tell));
    }
    let (mut failed, mut repeated) = (0, 0);
    while let Some(sum) = lanes.join_next().await {
        let sum = sum??;
        failed += sum.failed;
        repeated += sum.repeated;
    }
    let seconds = began.elapsed().as_secs();
    tell(&format!(
        "matrix: seed={} cases={count} failed={failed} repeated={repeated} seconds={seconds}",
        matrix.seed
    ));
    Ok(failed == 0 && count > 0)
}

/// Plays one case after the other.
async fn lane(
    matrix: Matrix,
    cases: Arc<Mutex<VecDeque<(u64, Case)>>>,
    tell: fn(&str),
) -> anyhow::Result<Sum> {
    let Matrix { binary, seed, postgres, .. } = &matrix;
    let template = match postgres {
        None => Template::make(binary, SHAPE, *seed).await?,
        // A cluster of its own: in some cases it dies.
        Some(setup) => Template::on(&Arc::new(Cluster::start(*setup).await?), binary, SHAPE, *seed).await?,
    };
    let next = || cases.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let mut sum = Sum::default();
    while let Some((number, case)) = next() {
        let started = Instant::now();
        let outcome = one(&template, &case, seed.wrapping_add(number), None).await;
        let millis = started.elapsed().as_millis();
        match outcome {
            Ok(Outcome { figures, violations, kept }) => {
                let verdict = if violations.is_empty() { "passed" } else { "FAILED" };
                tell(&format!("{}: {verdict} in {millis} ms, {figures}", case.name()));
                for violation in &violations {
                    tell(&format!("    {}: {violation}", case.name()));
                }
                if let Some(kept) = kept {
                    tell(&format!("    the store and ledgers.json are kept in {}", kept.display()));
                }
                sum.failed += usize::from(!violations.is_empty());
                sum.repeated += figures.repeated;
            }
            Err(error) => {
                sum.failed += 1;
                tell(&format!("{}: FAILED after {millis} ms: {error:#}", case.name()));
            }
        }
    }
    Ok(sum)
}

pub use planted::run as run_planted;

struct Outcome {
    figures: Tally,
    violations: Vec<Violation>,
    kept: Option<PathBuf>,
}

async fn one(template: &Template, case: &Case, seed: u64, plant: Option<&str>) -> anyhow::Result<Outcome> {
    let mut trial = match case.play {
        cases::Play::FirstStart => template.empty_trial(&case.file_name(), seed).await?,
        _ => template.trial(&case.file_name(), seed).await?,
    };
    let played = match &trial.store {
        Store::File(_) => play::play(case, &mut trial).await,
        Store::Database(..) => nodes::play(case, &mut trial, plant).await,
    };
    played.with_context(|| format!("see {}", trial.dir.display()))?;
    let ledgers = trial.ledgers().await?;
    let violations = judge(&ledgers);
    let figures = tally(&ledgers, &violations);
    let kept = trial.end(&ledgers, violations.is_empty()).await?;
    Ok(Outcome { figures, violations, kept })
}
