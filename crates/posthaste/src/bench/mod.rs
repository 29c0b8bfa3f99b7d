//! `posthaste bench`: drives a server over HTTP against a receiver of its own, and says what it cost.
//!
//! Server, receiver and load run on the same machine; the server is a process of its own, so that its CPU time and
//! memory can be told apart. Every message carries its number: lost and duplicated ones are counted, not guessed.

mod backlog;
mod database;
pub(crate) mod floor;
mod fresh;
mod load;
mod neighbours;
mod nodes;
mod process;
mod receiver;
mod report;
mod wire;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use posthaste_core::dice::roll;
use posthaste_store::postgres::Gauge;

use crate::call::Caller;
use crate::cli::BenchArgs;
use crate::system::SystemDice;
use crate::telemetry::{print_line, tell};
use database::Spent;
use load::Load;
use nodes::Nodes;
use process::{ServerProcess, Usage};
use receiver::Tally;
use report::Report;

/// How long deliveries may still come in after the last message was accepted, without one coming in.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Runs one measurement.
pub(crate) async fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    crate::wiring::raise_open_files();
    if args.neighbours {
        return neighbours::run(&args).await;
    }
    if let Some(owed) = args.backlog {
        return backlog::run(&args, owed).await;
    }
    let expected = args.messages * u64::from(args.fanout);
    let tally = Arc::new(Tally::new(args.messages, args.fanout));
    let receiver = receiver::start(Arc::clone(&tally))?;
    let database = match &args.database_url {
        Some(url) => Some(Gauge::connect(url).await.context("the measurement's own connection")?),
        None => None,
    };
    let nodes = Nodes::start(&args)?;
    let load = if args.floor {
        Load::forward(&nodes.first().url, &format!("http://{receiver}/0"), &args)?
    } else if args.inbound.is_some() {
        prepare_source(nodes.first(), receiver, &args).await?
    } else {
        prepare(nodes.first(), receiver, &args).await?
    };
    let load = load.over(nodes.urls())?;
    let at_rest = nodes.usage()?;
    let before = reading(database.as_ref()).await?;
    let progress = tokio::spawn(show_progress(Arc::clone(&tally), expected, args.json));
    let acks = load.run(Arc::clone(&tally)).await?;
    wait_for_deliveries(&tally, expected).await;
    progress.abort();
    let after = nodes.usage()?;
    let spent_cpu = database_cpu(database.as_ref()).await?;
    nodes.stop()?;
    let spent = match (reading(database.as_ref()).await?, before) {
        (Some(after), Some(before)) => Some(Spent {
            cpu_micros: spent_cpu.zip(before.cpu_micros).map(|(after, before)| after - before),
            counted: after.counted - before.counted,
        }),
        _ => None,
    };
    let usage = Usage { at_rest_kib: at_rest.resident_kib, ..after - at_rest };
    let report = Report::new(&args, &acks, &tally, usage, spent);
    if std::io::stderr().is_terminal() && !args.json {
        tell("");
    }
    print_line(&if args.json { report.json() } else { report.table() });
    Ok(if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn database_cpu(database: Option<&Gauge>) -> anyhow::Result<Option<u64>> {
    match database {
        Some(gauge) => database::all_micros(gauge).await,
        None => Ok(None),
    }
}

async fn reading(database: Option<&Gauge>) -> anyhow::Result<Option<Spent>> {
    let cpu_micros = database_cpu(database).await?;
    match database {
        Some(database) => Ok(Some(Spent { cpu_micros, counted: database.counted().await? })),
        None => Ok(None),
    }
}

/// Makes an app with its endpoints, all at the receiver.
async fn prepare(
    server: &ServerProcess,
    receiver: std::net::SocketAddr,
    args: &BenchArgs,
) -> anyhow::Result<Load> {
    let mut api = Caller::connect(&server.url, Some(server.token()?)).await?;
    let app = serde_json::json!({ "name": "bench", "uid": "bench" }).to_string();
    api.send("POST", "/api/v1/app?get_if_exists=true", app).await?.json()?;
    for endpoint in 0..args.fanout {
        let body = serde_json::json!({ "url": format!("http://{receiver}/{endpoint}") }).to_string();
        api.send("PUT", &format!("/api/v1/app/bench/endpoint/bench-{endpoint}"), body).await?.json()?;
    }
    Load::messages(&server.url, server.token()?, &["bench".to_owned()], args)
}

/// Makes a source with its endpoints, all at the receiver.
async fn prepare_source(
    server: &ServerProcess,
    receiver: std::net::SocketAddr,
    args: &BenchArgs,
) -> anyhow::Result<Load> {
    let mut api = Caller::connect(&server.url, Some(server.token()?)).await?;
    let secret: String = roll::<16>(&SystemDice).iter().map(|byte| format!("{byte:02x}")).collect();
    let source = serde_json::json!({ "name": "bench", "type": args.inbound, "config": { "secret": secret } });
    let source = api.send("POST", "/ingest/api/v1/source", source.to_string()).await?.json()?;
    let text = |name: &str| source[name].as_str().context("the source's answer").map(str::to_owned);
    let endpoints = format!("/ingest/api/v1/source/{}/endpoint", text("id")?);
    for endpoint in 0..args.fanout {
        let body = serde_json::json!({ "url": format!("http://{receiver}/{endpoint}") }).to_string();
        api.send("POST", &endpoints, body).await?.json()?;
    }
    Load::signed(&server.url, &text("ingestUrl")?, secret, args)
}

/// Makes apps of these names, each with one endpoint at the URL beside it.
async fn make_apps(server: &ServerProcess, apps: &[(String, String)]) -> anyhow::Result<()> {
    let mut api = Caller::connect(&server.url, Some(server.token()?)).await?;
    for (name, url) in apps {
        let app = serde_json::json!({ "name": name, "uid": name }).to_string();
        api.send("POST", "/api/v1/app", app).await?.json()?;
        let endpoint = serde_json::json!({ "url": url }).to_string();
        api.send("POST", &format!("/api/v1/app/{name}/endpoint"), endpoint).await?.json()?;
    }
    Ok(())
}

async fn wait_for_deliveries(tally: &Tally, expected: u64) {
    let (mut seen, mut silent) = (tally.received_count(), Duration::ZERO);
    let step = Duration::from_millis(20);
    while tally.received_count() < expected && silent < SILENCE_MAX {
        tokio::time::sleep(step).await;
        let now = tally.received_count();
        silent = if now == seen { silent + step } else { Duration::ZERO };
        seen = now;
    }
}

async fn show_progress(tally: Arc<Tally>, expected: u64, quiet: bool) {
    if quiet || !std::io::stderr().is_terminal() {
        return;
    }
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let received = tally.received_count();
        tell(&format!("\x1b[1A\x1b[2K{received} of {expected} deliveries arrived"));
    }
}
