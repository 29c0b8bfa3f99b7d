//! What is done in each kind of case over PostgreSQL: the first of two nodes dies, the second goes on and takes over.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use posthaste_core::time::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cases::{Case, Play};
use super::play::{ARRIVED, BEFORE, DEAD_LETTERS, LEFT_BY_A_PANIC, NO_RETENTION, PER_SECOND, REQUESTS};
use crate::clock;
use crate::judge::{Micros, What};
use crate::receiver::{Door, Temper};
use crate::server::Settings;
use crate::trial::{NODES, OWED, Trial};

/// How long after the load the point may be reached: a beat comes every two seconds.
const DEATH_MAX: Duration = Duration::from_secs(20);
/// How often the database dies until one that has a transaction under way dies of it.
const OUTAGES_MAX: u32 = 10;
/// How long a node may take to meet the outage.
const MEETS_WITHIN: Duration = Duration::from_secs(2);
/// How long a node that is told to stand still may go on.
const STILL_MAX: Duration = Duration::from_secs(20);
/// How long until the others have taken over from one that is silent.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(15);
/// How long a node that woke up may still send what it held, in microseconds.
const AFTER_PAUSE: Micros = 5_000_000;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often the database dies where nobody is to die of it.
const OUTAGES: u32 = 3;
/// How long a load goes on in which nothing goes wrong: a few beats.
const CALM: Duration = Duration::from_secs(6);

/// `plant`: mistakes that both nodes make.
pub(super) async fn play(case: &Case, trial: &mut Trial, plant: Option<&str>) -> anyhow::Result<()> {
    let armed = Settings { fault: case.fault(), ..Settings::default() };
    trial.plant = plant.map(str::to_owned);
    match case.play {
        Play::Load => load(trial, &armed).await?,
        Play::Recover => puts_back(trial, &armed, ("job", "recover")).await?,
        Play::Replay => puts_back(trial, &armed, ("replay", "bulk-replay")).await?,
        Play::Retention => retention(trial, &armed).await?,
        Play::FirstStart => first_start(trial, &armed).await?,
        Play::TakeOver => take_over(trial, &armed).await?,
        Play::Drain => drain(trial, &armed).await?,
        Play::Panic => panic(trial, &armed).await?,
        Play::Outage if case.at.is_none() => outages(trial).await?,
        Play::Outage => outage(trial, &armed).await?,
        Play::Calm => calm(trial).await?,
        Play::Pause => pause(trial, &armed).await?,
        other => bail!("{other:?} is not played with two nodes"),
    }
    trial.age(None).await?;
    trial.drain().await?;
    for node in 0..NODES {
        trial.stop_at(node).await?;
    }
    Ok(())
}

async fn both(trial: &mut Trial, first: &Settings) -> anyhow::Result<()> {
    trial.start_at(0, first).await?;
    trial.start_at(1, &Settings::default()).await
}

/// A node runs, armed, and must die by its fault soon.
async fn dies(trial: &mut Trial, node: usize) -> anyhow::Result<()> {
    let death = trial.died_at(node, DEATH_MAX).await?.context("the point was never hit")?;
    ensure!(death.is_abort(), "{death}");
    Ok(())
}

async fn load(trial: &mut Trial, armed: &Settings) -> anyhow::Result<()> {
    both(trial, armed).await?;
    let load = trial.load(u64::MAX, PER_SECOND);
    dies(trial, 0).await?;
    trial.start(&Settings::default()).await?;
    load.stop().await
}

/// By which job: the table that it is in, and the last word of its path.
async fn puts_back(trial: &mut Trial, armed: &Settings, (table, word): (&str, &str)) -> anyhow::Result<()> {
    let since = Timestamp::from_micros(clock::now()).to_string();
    // The second one joins later: whoever looks first does the job.
    trial.start(armed).await?;
    trial.load(BEFORE, PER_SECOND).finish().await?;
    trial.drain().await?;
    let dead = trial.store.count(DEAD_LETTERS).await?;
    ensure!(dead >= 5, "{dead} dead letters are too few to recover");
    for endpoint in 0..trial.scene.endpoints.len() {
        trial.receiver.becomes(endpoint, Temper::Good);
    }
    let first = trial.scene.endpoints[0].clone();
    let path = format!("/api/v1/app/{}/endpoint/{}/{word}", first.app, first.id);
    // What was delivered is not to go out twice.
    let mut body = json!({ "since": since });
    if table == "replay" {
        body["status"] = json!(2);
    }
    let asked = trial.api()?.call("POST", &path, &body).await;
    dies(trial, 0).await?;
    trial.start_at(1, &Settings::default()).await?;
    if asked.is_err() {
        trial.api_at(1)?.call("POST", &path, &body).await?;
    }
    trial.start(&Settings::default()).await?;
    let of_first = format!("{DEAD_LETTERS} AND endpoint = (SELECT endpoint FROM {table} LIMIT 1)");
    ensure!(trial.until(0, &of_first).await?, "some dead letters were not put back");
    Ok(())
}

async fn retention(trial: &mut Trial, armed: &Settings) -> anyhow::Result<()> {
    both(trial, &Settings::default()).await?;
    trial.load(BEFORE, PER_SECOND).finish().await?;
    trial.drain().await?;
    for node in 0..NODES {
        trial.stop_at(node).await?;
    }
    trial.kept_since = Some(clock::now());
    let short = Settings { retention: Some(NO_RETENTION.to_owned()), ..Settings::default() };
    let armed = Settings { fault: armed.fault.clone(), ..short.clone() };
    if trial.start_or_die(&armed).await?.is_none() {
        dies(trial, 0).await?;
    }
    trial.start(&short).await?;
    trial.start_at(1, &short).await?;
    let all = "SELECT count(*) FROM message";
    ensure!(trial.until(0, all).await?, "retention did not go on after the crash");
    Ok(())
}

/// Dies before it listens; the next start makes what is missing, and the admin's token works on both.
async fn first_start(trial: &mut Trial, armed: &Settings) -> anyhow::Result<()> {
    let death = trial.start_or_die(armed).await?.context("the point was never hit")?;
    ensure!(death.is_abort(), "{death}");
    both(trial, &Settings::default()).await?;
    let path = trial.nodes[0].dir.join("admin-token");
    let token = std::fs::read_to_string(path).context("the admin's token was not written")?;
    for node in 0..NODES {
        let mut api = trial.api_at(node)?;
        token.trim().clone_into(&mut api.token);
        api.call("GET", "/api/v1/app", &Value::Null).await?;
    }
    Ok(())
}

/// The first node is killed with requests under way, and the second one while it takes them over.
async fn take_over(trial: &mut Trial, armed: &Settings) -> anyhow::Result<()> {
    trial.start(&Settings::default()).await?;
    trial.start_at(1, armed).await?;
    trial.receiver.door(Door::Held);
    let load = trial.load(REQUESTS, PER_SECOND);
    arrived(trial).await?;
    trial.receiver.door(Door::Shut);
    trial.kill().await?;
    trial.receiver.door(Door::Open);
    trial.age(None).await?;
    dies(trial, 1).await?;
    both(trial, &Settings::default()).await?;
    load.finish().await
}

async fn arrived(trial: &Trial) -> anyhow::Result<()> {
    let arrived = tokio::time::timeout(DEATH_MAX, trial.receiver.has_got(ARRIVED)).await;
    arrived.context("too few requests arrived")
}

async fn drain(trial: &mut Trial, armed: &Settings) -> anyhow::Result<()> {
    both(trial, armed).await?;
    let load = trial.load(REQUESTS, PER_SECOND);
    arrived(trial).await?;
    trial.terminate().await?;
    dies(trial, 0).await?;
    trial.start(&Settings::default()).await?;
    load.finish().await
}

/// One thing fails, and nothing else: what the panic was about waits for its lease, or for the end of the node.
async fn panic(trial: &mut Trial, armed: &Settings) -> anyhow::Result<()> {
    let from = clock::now();
    both(trial, armed).await?;
    trial.load(REQUESTS, PER_SECOND).finish().await?;
    ensure!(trial.until(LEFT_BY_A_PANIC, OWED).await?, "deliveries wait although the panic is over");
    if let Some(death) = trial.died(Duration::ZERO).await? {
        bail!("{death}");
    }
    trial.age(Some(0)).await?;
    trial.stop().await?;
    trial.note(What::Panic, from);
    trial.start(&Settings::default()).await
}

/// The database dies under load until a node dies of not knowing what came of its transaction.
async fn outage(trial: &mut Trial, armed: &Settings) -> anyhow::Result<()> {
    both(trial, armed).await?;
    let load = trial.load(u64::MAX, PER_SECOND);
    arrived(trial).await?;
    for _ in 0..OUTAGES_MAX {
        let from = clock::now();
        trial.store.crash().await?;
        trial.note(What::Outage, from);
        if let Some(death) = trial.died_at(0, MEETS_WITHIN).await? {
            ensure!(death.is_abort(), "{death}");
            trial.start(&Settings::default()).await?;
            return load.stop().await;
        }
    }
    bail!("the point was never hit")
}

async fn outages(trial: &mut Trial) -> anyhow::Result<()> {
    both(trial, &Settings::default()).await?;
    let load = trial.load(u64::MAX, PER_SECOND);
    for round in 1..=OUTAGES as usize {
        tokio::time::timeout(DEATH_MAX, trial.receiver.has_got(round * ARRIVED))
            .await
            .context("too few requests arrived")?;
        let from = clock::now();
        trial.store.crash().await?;
        trial.note(What::Outage, from);
    }
    load.stop().await
}

async fn calm(trial: &mut Trial) -> anyhow::Result<()> {
    both(trial, &Settings::default()).await?;
    let load = trial.load(u64::MAX, PER_SECOND);
    tokio::time::sleep(CALM).await;
    load.stop().await
}

/// The first node stands still in the middle of something, the second one takes over, and the first one goes on.
async fn pause(trial: &mut Trial, armed: &Settings) -> anyhow::Result<()> {
    both(trial, armed).await?;
    let load = trial.load(u64::MAX, PER_SECOND);
    let began = Instant::now();
    while !trial.nodes[0].server()?.stands_still() {
        ensure!(began.elapsed() < STILL_MAX, "the point was never hit");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    trial.nodes[0].stands_still(clock::now() - AFTER_PAUSE);
    trial.age(Some(0)).await?;
    let number = trial.nodes[0].number.context("its number is not known")?;
    let still_a_node = format!("SELECT count(*) FROM node WHERE number = {number}");
    ensure!(
        trial.store.until(0, &still_a_node, TAKEN_OVER_WITHIN).await?,
        "nobody took over from a node that stands still"
    );
    load.stop().await?;
    let from = trial.nodes[0].wake().await?;
    trial.note_until(What::Pause, from, clock::now() + AFTER_PAUSE);
    Ok(())
}
