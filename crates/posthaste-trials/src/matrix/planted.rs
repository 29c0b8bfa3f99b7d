//! The trials over PostgreSQL on trial: each mistake that is planted in both nodes must be found, by the rule that it
//! breaks.

use std::sync::Arc;

use posthaste_fault::Bug;
use tokio::task::JoinSet;

use super::cases::{CALM, Case, OUTAGES, STANDS_STILL};
use super::{Matrix, Outcome, SHAPE, one};
use crate::judge::Invariant;
use crate::postgres::Cluster;
use crate::trial::Template;

/// How often a case is played until it must have found its mistake: what threads do first is nobody's to choose.
const ROUNDS_MAX: u64 = 6;

/// What is planted, where it shows, and by which rules.
const PLANTED: [(Bug, Case, &[Invariant]); 5] = [
    (Bug::LeaseWithoutToken, STANDS_STILL, &[Invariant::I11]),
    (Bug::TakeOverWithoutSilence, CALM, &[Invariant::I4]),
    (Bug::ClaimWithoutLock, CALM, &[Invariant::I4, Invariant::I11]),
    (Bug::UnknownIsDone, OUTAGES, &[Invariant::I1]),
    (Bug::SyncOff, OUTAGES, &[Invariant::I1]),
];

/// Plants each in turn, tells in a line whether it was found, and returns whether all were.
pub async fn run(matrix: &Matrix, tell: fn(&str)) -> anyhow::Result<bool> {
    let mut hunts = JoinSet::new();
    for (bug, case, rules) in PLANTED {
        if matrix.only.as_ref().is_none_or(|part| bug.name().contains(part)) {
            hunts.spawn(hunt(matrix.clone(), bug, case, rules, tell));
        }
    }
    let mut all = !hunts.is_empty();
    while let Some(found) = hunts.join_next().await {
        all &= found??;
    }
    Ok(all)
}

async fn hunt(
    matrix: Matrix,
    bug: Bug,
    case: Case,
    rules: &[Invariant],
    tell: fn(&str),
) -> anyhow::Result<bool> {
    let setup = matrix.postgres.unwrap_or_default();
    let cluster = Arc::new(Cluster::start(setup).await?);
    let template = Template::on(&cluster, &matrix.binary, SHAPE, matrix.seed).await?;
    if bug == Bug::UnknownIsDone {
        cluster.commit_slowly().await?;
    }
    for round in 1..=ROUNDS_MAX {
        let played = one(&template, &case, matrix.seed.wrapping_add(round), Some(bug.name())).await;
        let Ok(Outcome { violations, kept, .. }) = played else { continue };
        if let Some(kept) = kept {
            std::fs::remove_dir_all(kept)?;
        }
        if let Some(found) = violations.iter().find(|one| rules.contains(&one.invariant)) {
            tell(&format!("{}: found in round {round} by \"{}\": {found}", bug.name(), case.name()));
            return Ok(true);
        }
    }
    tell(&format!("{}: NOT FOUND in {ROUNDS_MAX} rounds of \"{}\"", bug.name(), case.name()));
    Ok(false)
}
