//! A backlog: what everybody else notices of a million deliveries that are owed to a dead endpoint, and how it drains
//! when the endpoint is back.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::load::Load;
use super::process::ServerProcess;
use super::receiver::{self, Tally, number_of};
use super::wire::Wire;
use super::{SILENCE_MAX, make_apps, wait_for_deliveries};
use crate::call::Caller;
use crate::cli::BenchArgs;
use crate::telemetry::{print_line, tell};

/// Memory of the server, at most, at any time.
const PEAK_MIB_MAX: f64 = 200.0;
/// The share of the empty store's rate at which messages must still be accepted.
const RATE_KEPT_MIN: f64 = 0.7;
/// How soon a server must be ready that is started on this backlog.
const READY_MAX: Duration = Duration::from_secs(5);
/// How far a delivery may come behind one that was due later: what a lane holds, sends at once, and the load accepts
/// at once.
const DISORDER_MAX: u64 = 1_024;

/// An endpoint that takes requests and closes without an answer, until it comes back.
struct Dead {
    is_back: AtomicBool,
    /// Whether a message was tried before the endpoint was back: its due time is that of a retry.
    tried: Vec<AtomicBool>,
    arrived: AtomicU64,
    order: Mutex<Order>,
}

/// In which order untried messages arrived.
#[derive(Default)]
struct Order {
    latest: u64,
    worst: u64,
    checked: u64,
}

/// The figures of one run.
struct Found {
    owed: u64,
    accepts_empty: f64,
    accepts_filling: f64,
    accepts_behind: f64,
    peak_mib: f64,
    ready: Duration,
    drained_per_second: f64,
    peak_after_mib: f64,
    /// Tried while the endpoint was dead, and not yet due again.
    waiting: u64,
    missing: u64,
    checked: u64,
    disorder: u64,
}

pub(super) async fn run(args: &BenchArgs, owed: u64) -> anyhow::Result<ExitCode> {
    let say = |what: &str| {
        if !args.json {
            tell(what);
        }
    };
    let dead = Arc::new(Dead::new(owed)?);
    let address = dead.listen()?;
    let server = ServerProcess::start(args.data_dir.as_deref(), args.database_url.as_deref())?;
    make_apps(&server, &[("dead".to_owned(), format!("http://{address}/"))]).await?;
    say("accepting on an empty store …");
    let accepts_empty = accepts(&server, "before", args).await?;
    say("filling the queue of a dead endpoint …");
    let filling = BenchArgs { messages: owed, ..args.clone() };
    let load = Load::messages(&server.url, server.token()?, &["dead".to_owned()], &filling)?;
    let acks = load.run(Arc::new(Tally::new(owed, 1))).await?;
    let accepts_filling = owed as f64 / acks.took.as_secs_f64();
    say("accepting beside it …");
    let accepts_behind = accepts(&server, "behind", args).await?;
    let peak_mib = server.usage()?.peak_kib as f64 / 1024.0;
    say("starting again …");
    let began = Instant::now();
    let server = server.restart()?;
    wait_until_ready(&server).await?;
    let ready = began.elapsed();
    say("the endpoint is back …");
    let began = Instant::now();
    dead.is_back.store(true, Ordering::SeqCst);
    let drained_at = dead.drain(owed).await;
    let peak_after_mib = server.usage()?.peak_kib as f64 / 1024.0;
    let waiting = waiting(&server).await?;
    server.stop()?;
    let arrived = dead.arrived.load(Ordering::SeqCst);
    let order = dead.order.lock().unwrap_or_else(PoisonError::into_inner);
    let found = Found {
        owed,
        accepts_empty,
        accepts_filling,
        accepts_behind,
        peak_mib,
        ready,
        drained_per_second: arrived as f64 / (drained_at - began).as_secs_f64(),
        peak_after_mib,
        waiting,
        missing: owed.saturating_sub(arrived + waiting),
        checked: order.checked,
        disorder: order.worst,
    };
    print_line(&if args.json { found.json() } else { found.table() });
    Ok(if found.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How many messages a second are accepted for a healthy endpoint, as fast as it goes.
async fn accepts(server: &ServerProcess, app: &str, args: &BenchArgs) -> anyhow::Result<f64> {
    let tally = Arc::new(Tally::new(args.messages, 1));
    let healthy = receiver::start(Arc::clone(&tally))?;
    make_apps(server, &[(app.to_owned(), format!("http://{healthy}/"))]).await?;
    let load = Load::messages(&server.url, server.token()?, &[app.to_owned()], args)?;
    let acks = load.run(Arc::clone(&tally)).await?;
    wait_for_deliveries(&tally, args.messages).await;
    anyhow::ensure!(tally.lost_and_duplicated() == (0, 0), "not every message came once");
    Ok(args.messages as f64 / acks.took.as_secs_f64())
}

async fn wait_until_ready(server: &ServerProcess) -> anyhow::Result<()> {
    let mut api = Caller::connect(&server.url, None).await?;
    while api.get("/readyz").await?.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// How many deliveries still wait, as the server counts them.
async fn waiting(server: &ServerProcess) -> anyhow::Result<u64> {
    let text = Caller::connect(&server.url, None).await?.get("/metrics").await?.text();
    let count = text.lines().find_map(|line| line.split_once("deliveries_waiting ")?.1.parse().ok());
    count.context("the server's metrics do not say how many deliveries wait")
}

impl Dead {
    fn new(owed: u64) -> anyhow::Result<Self> {
        let count = usize::try_from(owed).context("so many deliveries")?;
        Ok(Self {
            is_back: AtomicBool::new(false),
            tried: (0..count).map(|_| AtomicBool::new(false)).collect(),
            arrived: AtomicU64::new(0),
            order: Mutex::default(),
        })
    }

    fn listen(self: &Arc<Self>) -> anyhow::Result<SocketAddr> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        let listener = socket.listen(4_096)?;
        let address = listener.local_addr()?;
        let dead = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let dead = Arc::clone(&dead);
                tokio::spawn(async move {
                    let _ = dead.receive(stream).await;
                });
            }
        });
        Ok(address)
    }

    async fn receive(&self, stream: TcpStream) -> anyhow::Result<()> {
        stream.set_nodelay(true)?;
        let (reader, mut writer) = stream.into_split();
        let mut wire = Wire::new(reader);
        while let Some(request) = wire.next().await? {
            let Some(number) = number_of(request.body) else { continue };
            let Some(tried) = self.tried.get(number) else { continue };
            if !self.is_back.load(Ordering::SeqCst) {
                tried.store(true, Ordering::SeqCst);
                return Ok(());
            }
            if !tried.load(Ordering::SeqCst) {
                self.order.lock().unwrap_or_else(PoisonError::into_inner).came(number as u64);
            }
            self.arrived.fetch_add(1, Ordering::SeqCst);
            writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
        }
        Ok(())
    }

    /// Waits for everything, and tells when the last came.
    async fn drain(&self, owed: u64) -> Instant {
        let (mut seen, mut last) = (0, Instant::now());
        while seen < owed && last.elapsed() < SILENCE_MAX {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = self.arrived.load(Ordering::SeqCst);
            if now > seen {
                (seen, last) = (now, Instant::now());
            }
        }
        last
    }
}

impl Order {
    /// Messages have numbers in the order in which they were accepted, and so, untried, fell due.
    fn came(&mut self, number: u64) {
        self.worst = self.worst.max(self.latest.saturating_sub(number));
        self.latest = self.latest.max(number);
        self.checked += 1;
    }
}

impl Found {
    fn kept(&self) -> f64 {
        self.accepts_behind / self.accepts_empty
    }

    fn holds(&self) -> bool {
        self.kept() >= RATE_KEPT_MIN
            && self.peak_mib.max(self.peak_after_mib) <= PEAK_MIB_MAX
            && self.ready <= READY_MAX
            && self.disorder <= DISORDER_MAX
            && self.missing == 0
    }

    fn table(&self) -> String {
        let rows = [
            ("owed", format!("{} deliveries to a dead endpoint", self.owed)),
            (
                "accepted",
                format!(
                    "{:.0} /s on the empty store, {:.0} /s for the dead one",
                    self.accepts_empty, self.accepts_filling
                ),
            ),
            (
                "beside",
                format!(
                    "{:.0} /s, {:.0} % kept (at least {:.0})",
                    self.accepts_behind,
                    self.kept() * 100.0,
                    RATE_KEPT_MIN * 100.0
                ),
            ),
            (
                "memory",
                format!(
                    "{:.0} MiB at most, {:.0} MiB while it drained (at most {PEAK_MIB_MAX:.0})",
                    self.peak_mib, self.peak_after_mib
                ),
            ),
            (
                "restart",
                format!("ready after {:.2} s (at most {})", self.ready.as_secs_f64(), READY_MAX.as_secs()),
            ),
            (
                "drained",
                format!(
                    "{:.0} /s, {} wait for a retry, {} missing",
                    self.drained_per_second, self.waiting, self.missing
                ),
            ),
            (
                "order",
                format!(
                    "{} that were never tried before: none came more than {} places late (at most {DISORDER_MAX})",
                    self.checked, self.disorder
                ),
            ),
        ];
        rows.map(|(name, value)| format!("{name:<9} {value}")).join("\n")
    }

    fn json(&self) -> String {
        json!({
            "owed": self.owed,
            "accepts_empty_per_second": self.accepts_empty,
            "accepts_filling_per_second": self.accepts_filling,
            "accepts_behind_per_second": self.accepts_behind,
            "rate_kept": self.kept(),
            "peak_mib": self.peak_mib,
            "peak_draining_mib": self.peak_after_mib,
            "ready_seconds": self.ready.as_secs_f64(),
            "drained_per_second": self.drained_per_second,
            "waiting": self.waiting,
            "missing": self.missing,
            "order_checked": self.checked,
            "order_worst": self.disorder,
            "holds": self.holds(),
        })
        .to_string()
    }
}
