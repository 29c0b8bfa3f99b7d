//! The abort matrix: at every named point, under the load that reaches it, the server dies; what is there after it
//! came back must stand before the judge. At some of them it panics instead, and must live on.

mod cases;
mod play;

use std::path::PathBuf;

use anyhow::Context as _;
use tokio::time::Instant;

use crate::judge::{Tally, Violation, judge, tally};
use crate::scene::Shape;
use crate::trial::Template;
use cases::Case;

/// Two apps with three endpoints each: one that wants all, and two that want each a part.
const SHAPE: Shape = Shape { apps: 2, endpoints_per_app: 3 };

/// What to run.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// The server, built with the feature `faults`.
    pub binary: PathBuf,
    /// What the dice follow from.
    pub seed: u64,
    /// Only cases whose name holds this.
    pub only: Option<String>,
}

/// Runs every case, tells each one's outcome in a line, and returns whether all were passed.
pub async fn run(matrix: &Matrix, tell: fn(&str)) -> anyhow::Result<bool> {
    let template = Template::make(&matrix.binary, SHAPE, matrix.seed).await?;
    let wanted = |case: &Case| matrix.only.as_ref().is_none_or(|part| case.name().contains(part));
    let cases: Vec<Case> = cases::all().into_iter().filter(wanted).collect();
    let began = Instant::now();
    let (mut failed, mut repeated) = (0, 0);
    for (number, case) in (1_u64..).zip(&cases) {
        let started = Instant::now();
        let outcome = one(&template, case, matrix.seed.wrapping_add(number)).await;
        let millis = started.elapsed().as_millis();
        match outcome {
            Ok(Outcome { figures, violations, kept }) => {
                let verdict = if violations.is_empty() { "passed" } else { "FAILED" };
                tell(&format!("{}: {verdict} in {millis} ms, {figures}", case.name()));
                for violation in &violations {
                    tell(&format!("    {violation}"));
                }
                if let Some(kept) = kept {
                    tell(&format!("    the store and ledgers.json are kept in {}", kept.display()));
                }
                failed += usize::from(!violations.is_empty());
                repeated += figures.repeated;
            }
            Err(error) => {
                failed += 1;
                tell(&format!("{}: FAILED after {millis} ms: {error:#}", case.name()));
            }
        }
    }
    let seconds = began.elapsed().as_secs();
    let count = cases.len();
    tell(&format!(
        "matrix: seed={} cases={count} failed={failed} repeated={repeated} seconds={seconds}",
        matrix.seed
    ));
    Ok(failed == 0 && count > 0)
}

struct Outcome {
    figures: Tally,
    violations: Vec<Violation>,
    kept: Option<PathBuf>,
}

async fn one(template: &Template, case: &Case, seed: u64) -> anyhow::Result<Outcome> {
    let mut trial = match case.play {
        cases::Play::FirstStart => template.empty_trial(&case.file_name(), seed).await?,
        _ => template.trial(&case.file_name(), seed).await?,
    };
    let played = play::play(case, &mut trial).await;
    played.with_context(|| format!("see {}", trial.dir.display()))?;
    let ledgers = trial.ledgers().await?;
    let violations = judge(&ledgers);
    let figures = tally(&ledgers, &violations);
    let kept = trial.end(&ledgers, violations.is_empty()).await?;
    Ok(Outcome { figures, violations, kept })
}
