//! Noisy neighbours: what 800 endpoints notice of 100 that hang and 100 that fail.
//!
//! Three runs on fresh stores, with the same load on the 800: alone, beside the others, and alone again, since whatever
//! else the machine does changes too. What is compared is the run between with the mean of the others. The load has a fixed rate,
//! below what the machine can do: beyond it, whatever the others get is missing, fair or not. With several nodes the load
//! goes to each in turn, and every endpoint has deliveries on every node.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

use super::fresh::FreshDatabase;
use super::load::Load;
use super::nodes::Nodes;
use super::receiver::{self, Tally};
use super::report::quantiles;
use super::wire::Wire;
use super::{make_apps, wait_for_deliveries};
use crate::cli::BenchArgs;
use crate::telemetry::{print_line, tell};

/// Endpoints in all; of each ten one hangs and one fails.
const ENDPOINTS: usize = 1_000;
/// Messages a second to all of them, unless `--rate` says otherwise.
const RATE: u32 = 2_000;
/// The share of their rate that the healthy ones must keep.
const RATE_KEPT_MIN: f64 = 0.9;
/// How much longer their 99th percentile may be.
const LATENCY_RATIO_MAX: f64 = 3.0;

/// How an endpoint behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Healthy,
    Hangs,
    Fails,
}

impl Manner {
    fn of(number: usize) -> Self {
        match number % 10 {
            8 => Self::Hangs,
            9 => Self::Fails,
            _ => Self::Healthy,
        }
    }
}

/// What the healthy endpoints got.
struct Measured {
    per_second: f64,
    end_to_end_micros: [u32; 3],
    ack_micros: [u32; 3],
    missing: u64,
    peak_mib: f64,
}

pub(super) async fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let rate = if args.rate == 0 { RATE } else { args.rate };
    let args = BenchArgs { rate, ..args.clone() };
    if !args.json {
        tell("800 endpoints alone, beside 100 that hang and 100 that fail, and alone again");
    }
    let alone = measure(&args, &[Manner::Healthy]).await?;
    let beside = measure(&args, &[Manner::Healthy, Manner::Hangs, Manner::Fails]).await?;
    let again = measure(&args, &[Manner::Healthy]).await?;
    let kept = beside.per_second * 2.0 / (alone.per_second + again.per_second);
    let p99 = |measured: &Measured| f64::from(measured.end_to_end_micros[1]);
    let slower = p99(&beside) * 2.0 / (p99(&alone) + p99(&again)).max(1.0);
    let holds = kept >= RATE_KEPT_MIN && slower <= LATENCY_RATIO_MAX && beside.missing == 0;
    print_line(&if args.json {
        json!({ "alone": alone.json(), "again": again.json(), "beside": beside.json(), "rate_kept": kept, "p99_ratio": slower, "holds": holds })
            .to_string()
    } else {
        format!(
            "alone   {}\nbeside  {}\nagain   {}\nrate    {:.1} % kept (at least {:.0})\np99     {slower:.2} times as long (at most {LATENCY_RATIO_MAX:.0})",
            alone.line(),
            beside.line(),
            again.line(),
            kept * 100.0,
            RATE_KEPT_MIN * 100.0,
        )
    });
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Loads the endpoints of these manners on a fresh server; the healthy ones get the same load in any company.
async fn measure(args: &BenchArgs, manners: &[Manner]) -> anyhow::Result<Measured> {
    let hanging = listen(Manner::Hangs)?;
    let failing = listen(Manner::Fails)?;
    let present: Vec<usize> = (0..ENDPOINTS).filter(|n| manners.contains(&Manner::of(*n))).collect();
    let share = |all: u64| all * present.len() as u64 / ENDPOINTS as u64;
    let messages = share(args.messages);
    let rate = u32::try_from(share(args.rate.into())).unwrap_or(args.rate);
    let args = BenchArgs { messages, rate, ..args.clone() };
    let tally = Arc::new(Tally::new(messages, 1));
    let healthy = receiver::start(Arc::clone(&tally))?;
    let fresh = FreshDatabase::beside(args.database_url.as_deref()).await?;
    let nodes = Nodes::start(&BenchArgs { data_dir: None, database_url: fresh.url(), ..args.clone() })?;
    let server = nodes.first();
    let apps: Vec<(String, String)> = present
        .iter()
        .map(|number| {
            let address = match Manner::of(*number) {
                Manner::Healthy => healthy,
                Manner::Hangs => hanging,
                Manner::Fails => failing,
            };
            (format!("app-{number}"), format!("http://{address}/{number}"))
        })
        .collect();
    make_apps(server, &apps).await?;
    let names: Vec<String> = apps.into_iter().map(|(name, _)| name).collect();
    let load = Load::messages(&server.url, server.token()?, &names, &args)?.over(nodes.urls())?;
    let acks = load.run(Arc::clone(&tally)).await?;
    let at_healthy = |number: &u64| {
        let turn = usize::try_from(*number).unwrap_or(0) % present.len();
        Manner::of(present[turn]) == Manner::Healthy
    };
    let expected = (0..messages).filter(at_healthy).count() as u64;
    wait_for_deliveries(&tally, expected).await;
    let peak_mib = nodes.usage()?.peak_kib as f64 / 1024.0;
    nodes.stop()?;
    fresh.drop().await?;
    Ok(Measured {
        per_second: tally.received_count() as f64 / (tally.span_micros().max(1) as f64 / 1e6),
        end_to_end_micros: quantiles(&tally.latencies_micros()),
        ack_micros: quantiles(&acks.latencies_micros),
        missing: expected.saturating_sub(tally.received_count()),
        peak_mib,
    })
}

impl Measured {
    fn line(&self) -> String {
        let ms = |micros: u32| f64::from(micros) / 1e3;
        format!(
            "{:.0} /s to the healthy, end to end p50 {:.2} · p99 {:.2} · max {:.2} ms, ack p99 {:.2} ms, {} missing, {:.0} MiB at most",
            self.per_second,
            ms(self.end_to_end_micros[0]),
            ms(self.end_to_end_micros[1]),
            ms(self.end_to_end_micros[2]),
            ms(self.ack_micros[1]),
            self.missing,
            self.peak_mib,
        )
    }

    fn json(&self) -> serde_json::Value {
        let ms = |micros: u32| f64::from(micros) / 1e3;
        json!({
            "per_second": self.per_second,
            "p50_ms": ms(self.end_to_end_micros[0]),
            "p99_ms": ms(self.end_to_end_micros[1]),
            "max_ms": ms(self.end_to_end_micros[2]),
            "ack_p99_ms": ms(self.ack_micros[1]),
            "missing": self.missing,
            "peak_mib": self.peak_mib,
        })
    }
}

/// Receivers that hang, or fail.
fn listen(manner: Manner) -> anyhow::Result<SocketAddr> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(4_096)?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = misbehave(stream, manner).await;
            });
        }
    });
    Ok(address)
}

async fn misbehave(stream: TcpStream, manner: Manner) -> anyhow::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut wire = Wire::new(reader);
    while wire.next().await?.is_some() {
        if manner == Manner::Fails {
            writer.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await?;
        }
    }
    Ok(())
}
