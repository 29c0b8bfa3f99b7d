//! The same with two nodes on one database: one of them, or both, or the database dies at instants that nothing but the
//! dice know, or stands still for so long that it is taken for dead.

use std::sync::Arc;
use std::time::Duration;

use posthaste_core::dice::{Dice as _, TestDice};
use tokio::time::Instant;

use super::{Crash, LIFE_MEAN, Outcome, PER_SECOND, SHAPE};
use crate::clock;
use crate::judge::{Micros, What, judge, tally};
use crate::postgres::{Cluster, Setup};
use crate::server::Settings;
use crate::trial::{NODES, Template, Trial};

/// How long a node stands still: a silent one is taken over within 12 seconds.
const PAUSE: Duration = Duration::from_secs(14);
/// How long a node that woke up may still send what it held, in microseconds.
const AFTER_PAUSE: Micros = 5_000_000;
/// When the first node is to stand still, as a share of the trial, so that each trial has one that does.
const FIRST_PAUSE: f64 = 0.1;
/// The same for a database that dies.
const FIRST_OUTAGE: f64 = 0.7;
/// When the standby takes over.
const FAIL_OVER: f64 = 0.5;

/// What is done next, and how often of a hundred times.
const BLOWS: [(Blow, f64); 5] =
    [(Blow::Outage, 0.1), (Blow::KillAll, 0.1), (Blow::Pause, 0.03), (Blow::Stop, 0.2), (Blow::Kill, 1.0)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// PostgreSQL ends wherever it is, and comes back.
    Outage,
    /// SIGKILL for every node that does not stand still.
    KillAll,
    /// SIGSTOP for one node, and SIGCONT after it was taken for dead.
    Pause,
    /// SIGTERM for one.
    Stop,
    /// SIGKILL for one.
    Kill,
}

/// A trial, and what was done to it.
struct Storm {
    trial: Trial,
    cluster: Arc<Cluster>,
    settings: Settings,
    dice: TestDice,
    /// The node that stands still, and until when.
    still: Option<(usize, Instant)>,
    pauses: u32,
    outages: u32,
    stops: u32,
    slowest_start: Duration,
}

pub(super) async fn run(crash: &Crash, setup: Setup) -> anyhow::Result<Outcome> {
    let cluster = Arc::new(Cluster::start(setup).await?);
    let template = Template::on(&cluster, &crash.binary, SHAPE, crash.seed).await?;
    let trial = template.trial(&format!("nodes-{}", crash.seed), crash.seed).await?;
    let mut storm = Storm {
        trial,
        cluster,
        settings: Settings { plant: crash.plant.clone(), ..Settings::default() },
        dice: TestDice::seeded(crash.seed.rotate_left(32)),
        still: None,
        pauses: 0,
        outages: 0,
        stops: 0,
        slowest_start: Duration::ZERO,
    };
    for node in 0..NODES {
        storm.start(node).await?;
    }
    let load = storm.trial.load(u64::MAX, PER_SECOND);
    let (began, mut failed_over) = (Instant::now(), !setup.standby);
    while began.elapsed() < crash.lasts {
        storm.live().await?;
        if !failed_over && began.elapsed() > crash.lasts.mul_f64(FAIL_OVER) {
            storm.fail_over().await?;
            failed_over = true;
        }
        let past = |share| began.elapsed() > crash.lasts.mul_f64(share);
        let blow = match () {
            () if storm.pauses == 0 && past(FIRST_PAUSE) => Blow::Pause,
            () if storm.outages == 0 && past(FIRST_OUTAGE) => Blow::Outage,
            () => storm.next_blow(),
        };
        storm.strike(blow).await?;
    }
    storm.calm().await?;
    load.stop().await?;
    storm.trial.drain().await?;
    for node in 0..NODES {
        storm.trial.stop_at(node).await?;
    }
    let ledgers = storm.trial.ledgers().await?;
    let violations = judge(&ledgers);
    let tally = tally(&ledgers, &violations);
    let kept = storm.trial.end(&ledgers, violations.is_empty()).await?;
    let Storm { pauses, outages, stops, slowest_start, .. } = storm;
    Ok(Outcome { seed: crash.seed, tally, stops, pauses, outages, slowest_start, violations, kept })
}

impl Storm {
    async fn start(&mut self, node: usize) -> anyhow::Result<()> {
        let down = Instant::now();
        self.trial.start_at(node, &self.settings).await?;
        self.slowest_start = self.slowest_start.max(down.elapsed());
        Ok(())
    }

    /// Lets it run for a while, in which nobody may die by himself, and wakes whoever has stood still for long enough.
    async fn live(&mut self) -> anyhow::Result<()> {
        let life = LIFE_MEAN.mul_f64(-(1.0 - self.dice.unit()).ln());
        tokio::time::sleep(life).await;
        for node in 0..NODES {
            if let Some(death) = self.trial.died_at(node, Duration::ZERO).await? {
                anyhow::bail!("node {node} died by itself: {death}");
            }
        }
        if self.still.is_some_and(|(_, until)| until <= Instant::now()) {
            self.wake().await?;
        }
        Ok(())
    }

    fn next_blow(&self) -> Blow {
        let chance = self.dice.unit();
        BLOWS.iter().find(|(_, below)| chance < *below).map_or(Blow::Kill, |(blow, _)| *blow)
    }

    /// One that does not stand still.
    fn pick(&self) -> usize {
        match self.still {
            Some((still, _)) => (still + 1) % NODES,
            None => usize::from(self.dice.unit() < 0.5),
        }
    }

    async fn strike(&mut self, blow: Blow) -> anyhow::Result<()> {
        let node = self.pick();
        match blow {
            Blow::Outage => self.outage().await,
            Blow::Pause if self.still.is_none() => {
                self.trial.nodes[node].pause(clock::now()).await?;
                self.still = Some((node, Instant::now() + PAUSE));
                self.pauses += 1;
                Ok(())
            }
            Blow::Stop => {
                self.trial.stop_at(node).await?;
                self.stops += 1;
                self.start(node).await
            }
            Blow::KillAll if self.still.is_none() => {
                for node in 0..NODES {
                    self.trial.kill_at(node).await?;
                }
                for node in 0..NODES {
                    self.start(node).await?;
                }
                Ok(())
            }
            Blow::Kill | Blow::KillAll | Blow::Pause => {
                self.trial.kill_at(node).await?;
                self.start(node).await
            }
        }
    }

    async fn outage(&mut self) -> anyhow::Result<()> {
        let from = clock::now();
        self.cluster.crash().await?;
        self.trial.note(What::Outage, from);
        self.outages += 1;
        Ok(())
    }

    async fn fail_over(&mut self) -> anyhow::Result<()> {
        let from = clock::now();
        self.cluster.fail_over().await?;
        self.trial.note(What::Outage, from);
        self.outages += 1;
        Ok(())
    }

    async fn wake(&mut self) -> anyhow::Result<()> {
        let Some((node, _)) = self.still.take() else { return Ok(()) };
        let from = self.trial.nodes[node].wake().await?;
        self.trial.note_until(What::Pause, from, clock::now() + AFTER_PAUSE);
        Ok(())
    }

    /// Everybody is there again.
    async fn calm(&mut self) -> anyhow::Result<()> {
        if let Some((_, until)) = self.still {
            tokio::time::sleep_until(until).await;
        }
        self.wake().await
    }
}
