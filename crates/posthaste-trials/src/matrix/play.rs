//! What is done in each kind of case, up to the stopped server.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use posthaste_core::dice::TestDice;
use posthaste_core::time::Timestamp;
use serde_json::{Value, json};

use super::cases::{Case, Play};
use crate::clock;
use crate::judge::What;
use crate::receiver::{Door, Temper};
use crate::scene;
use crate::server::Settings;
use crate::trial::{OWED, Trial};

/// Requests of a load, and how fast they come.
pub(super) const REQUESTS: u64 = 120;
pub(super) const PER_SECOND: f64 = 600.0;
/// Requests before something else is tried.
pub(super) const BEFORE: u64 = 40;
/// How long after the load the point may be reached.
const DEATH_MAX: Duration = Duration::from_secs(5);
/// Arrived requests at which the server is killed or told to stop.
pub(super) const ARRIVED: usize = 20;
/// So short that everything is past it.
pub(super) const NO_RETENTION: &str = "1ms";
pub(super) const DEAD_LETTERS: &str = "SELECT count(*) FROM delivery WHERE state = 3";

pub(super) async fn play(case: &Case, trial: &mut Trial) -> anyhow::Result<()> {
    let armed = Settings { fault: case.fault(), ..Settings::default() };
    match case.play {
        Play::Load => load(trial, &armed).await?,
        Play::Recover => puts_back(trial, &armed, ("job", "recover")).await?,
        Play::Replay => puts_back(trial, &armed, ("replay", "bulk-replay")).await?,
        Play::Rotate => rotate(trial, &armed).await?,
        Play::Retention => retention(trial, &armed).await?,
        Play::FirstStart => return first_start(trial, &armed).await,
        Play::TakeOver => take_over(trial, &armed).await?,
        Play::Drain => drain(trial, &armed).await?,
        Play::Unanswered => unanswered(trial).await?,
        Play::JustAnswered => just_answered(trial).await?,
        Play::Panic => panic(trial, &armed).await?,
        Play::Outage | Play::Calm | Play::Pause => bail!("{:?} is played with two nodes", case.play),
    }
    trial.drain().await?;
    trial.stop().await
}

/// The server runs, armed, and must die by its fault soon.
async fn dies(trial: &mut Trial) -> anyhow::Result<()> {
    let death = trial.died(DEATH_MAX).await?.context("the point was never hit")?;
    ensure!(death.is_abort(), "{death}");
    Ok(())
}

/// As many requests as it takes: how many share a commit depends on the machine.
async fn load(trial: &mut Trial, armed: &Settings) -> anyhow::Result<()> {
    trial.start(armed).await?;
    let load = trial.load(u64::MAX, PER_SECOND);
    dies(trial).await?;
    trial.start(&Settings::default()).await?;
    load.stop().await
}

/// Something to work on: a load that went well, but for the endpoint that takes nothing.
async fn before(trial: &mut Trial) -> anyhow::Result<()> {
    trial.start(&Settings::default()).await?;
    trial.load(BEFORE, PER_SECOND).finish().await?;
    trial.drain().await
}

/// By which job: the table that it is in, and the last word of its path.
async fn puts_back(trial: &mut Trial, armed: &Settings, (table, word): (&str, &str)) -> anyhow::Result<()> {
    let since = Timestamp::from_micros(clock::now()).to_string();
    before(trial).await?;
    trial.stop().await?;
    let dead = trial.store.count(DEAD_LETTERS).await?;
    ensure!(dead >= 5, "{dead} dead letters are too few to recover");
    for endpoint in 0..trial.scene.endpoints.len() {
        trial.receiver.becomes(endpoint, Temper::Good);
    }
    trial.start(armed).await?;
    let first = &trial.scene.endpoints[0];
    let path = format!("/api/v1/app/{}/endpoint/{}/{word}", first.app, first.id);
    // What was delivered is not to go out twice.
    let mut body = json!({ "since": since });
    if table == "replay" {
        body["status"] = json!(2);
    }
    let asked = trial.api()?.call("POST", &path, &body).await;
    dies(trial).await?;
    trial.start(&Settings::default()).await?;
    if asked.is_err() {
        trial.api()?.call("POST", &path, &body).await?;
    }
    let of_first = format!("{DEAD_LETTERS} AND endpoint = (SELECT endpoint FROM {table} LIMIT 1)");
    ensure!(trial.until(0, &of_first).await?, "some dead letters were not put back");
    Ok(())
}

async fn rotate(trial: &mut Trial, armed: &Settings) -> anyhow::Result<()> {
    trial.start(armed).await?;
    let load = trial.load(REQUESTS, PER_SECOND);
    let second = trial.scene.endpoints[1].clone();
    let secret = scene::fresh_secret(&TestDice::seeded(clock::now().unsigned_abs()))?;
    trial.receiver.also_believes(1, scene::verifier(&secret)?);
    let path = format!("/api/v1/app/{}/endpoint/{}/secret/rotate", second.app, second.id);
    let asked = trial.api()?.call("POST", &path, &json!({ "key": secret })).await;
    ensure!(asked.is_err(), "the rotation was answered although the server died before it was on disk");
    dies(trial).await?;
    trial.start(&Settings::default()).await?;
    trial.api()?.call("POST", &path, &json!({ "key": secret })).await?;
    let path = path.trim_end_matches("/rotate");
    let now = trial.api()?.call("GET", path, &Value::Null).await?;
    ensure!(now["key"] == json!(secret), "the rotation was answered 2xx and another secret signs");
    load.finish().await
}

async fn retention(trial: &mut Trial, armed: &Settings) -> anyhow::Result<()> {
    before(trial).await?;
    trial.stop().await?;
    trial.kept_since = Some(clock::now());
    let short = Some(NO_RETENTION.to_owned());
    let settings = Settings { retention: short.clone(), ..armed.clone() };
    if trial.start_or_die(&settings).await?.is_none() {
        dies(trial).await?;
    }
    trial.start(&Settings { retention: short, ..Settings::default() }).await?;
    ensure!(trial.until(0, "SELECT count(*) FROM message").await?, "retention did not go on after the crash");
    Ok(())
}

/// Dies before it listens; the next start makes what is missing, and the admin's token works.
async fn first_start(trial: &mut Trial, armed: &Settings) -> anyhow::Result<()> {
    let death = trial.start_or_die(armed).await?.context("the point was never hit")?;
    ensure!(death.is_abort(), "{death}");
    trial.start(&Settings::default()).await?;
    let path = trial.dir.join("admin-token");
    let token = std::fs::read_to_string(path).context("the admin's token was not written")?;
    let mut api = trial.api()?;
    token.trim().clone_into(&mut api.token);
    api.call("GET", "/api/v1/app", &Value::Null).await?;
    trial.stop().await
}

/// Requests are at the receivers, none is answered, and the server is killed.
async fn killed_while_held(trial: &mut Trial) -> anyhow::Result<crate::load::Load> {
    trial.receiver.door(Door::Held);
    trial.start(&Settings::default()).await?;
    let load = trial.load(REQUESTS, PER_SECOND);
    tokio::time::timeout(DEATH_MAX, trial.receiver.has_got(ARRIVED))
        .await
        .context("too few requests arrived")?;
    trial.receiver.door(Door::Shut);
    trial.kill().await?;
    trial.receiver.door(Door::Open);
    Ok(load)
}

async fn take_over(trial: &mut Trial, armed: &Settings) -> anyhow::Result<()> {
    let load = killed_while_held(trial).await?;
    let death = trial.start_or_die(armed).await?.context("the point was never hit")?;
    ensure!(death.is_abort(), "{death}");
    trial.start(&Settings::default()).await?;
    load.finish().await
}

async fn unanswered(trial: &mut Trial) -> anyhow::Result<()> {
    let load = killed_while_held(trial).await?;
    trial.start(&Settings::default()).await?;
    load.finish().await
}

async fn just_answered(trial: &mut Trial) -> anyhow::Result<()> {
    trial.start(&Settings::default()).await?;
    let load = trial.load(REQUESTS, PER_SECOND);
    for count in [1, ARRIVED, 2 * ARRIVED] {
        let arrived = trial.receiver.has_got(count);
        tokio::time::timeout(DEATH_MAX, arrived).await.context("too few requests arrived")?;
        trial.kill().await?;
        trial.start(&Settings::default()).await?;
    }
    load.finish().await
}

async fn drain(trial: &mut Trial, armed: &Settings) -> anyhow::Result<()> {
    trial.start(armed).await?;
    let load = trial.load(REQUESTS, PER_SECOND);
    tokio::time::timeout(DEATH_MAX, trial.receiver.has_got(ARRIVED))
        .await
        .context("too few requests arrived")?;
    trial.terminate().await?;
    dies(trial).await?;
    trial.start(&Settings::default()).await?;
    load.finish().await
}

/// One thing fails, and nothing else: all is answered and delivered by the same process, but for what the panic was
/// about, which waits for its lease; the next start takes it over.
async fn panic(trial: &mut Trial, armed: &Settings) -> anyhow::Result<()> {
    let from = clock::now();
    trial.start(armed).await?;
    trial.load(REQUESTS, PER_SECOND).finish().await?;
    ensure!(trial.until(LEFT_BY_A_PANIC, OWED).await?, "deliveries wait although the panic is over");
    if let Some(death) = trial.died(Duration::ZERO).await? {
        bail!("{death}");
    }
    trial.stop().await?;
    trial.note(What::Panic, from);
    trial.start(&Settings::default()).await
}

/// Deliveries that one panic may leave to their leases: one attempt's, or those of one claim or hand-over.
pub(super) const LEFT_BY_A_PANIC: u64 = 8;
