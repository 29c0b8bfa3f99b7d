//! The receiver of a measurement: answers 200 at once, and remembers what came when.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

use super::wire::Wire;

/// Where the number of a message stands in its payload: `{"n":"000000000042",…`.
const NUMBER_AT: std::ops::Range<usize> = 6..18;

/// The number of the message that has this payload.
pub(super) fn number_of(payload: &[u8]) -> Option<usize> {
    std::str::from_utf8(payload.get(NUMBER_AT)?).ok()?.parse().ok()
}

/// What was sent and what arrived, by the number of the message.
pub(super) struct Tally {
    started: Instant,
    /// Microseconds after `started` at which a message was sent, plus one; zero while it was not.
    sent: Vec<AtomicU64>,
    arrivals: Vec<AtomicU32>,
    received: AtomicU64,
    last_arrival_micros: AtomicU64,
    latencies_micros: Mutex<Vec<u32>>,
    fanout: u32,
}

impl Tally {
    pub(super) fn new(messages: u64, fanout: u32) -> Self {
        let count = usize::try_from(messages).unwrap_or(0);
        Self {
            started: Instant::now(),
            sent: (0..count).map(|_| AtomicU64::new(0)).collect(),
            arrivals: (0..count).map(|_| AtomicU32::new(0)).collect(),
            received: AtomicU64::new(0),
            last_arrival_micros: AtomicU64::new(0),
            latencies_micros: Mutex::new(Vec::with_capacity(count)),
            fanout,
        }
    }

    pub(super) fn micros(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(super) fn sending(&self, number: usize) {
        self.sent[number].store(self.micros() + 1, Ordering::Relaxed);
    }

    fn arrived(&self, body: &[u8]) {
        let Some(number) = number_of(body).filter(|n| *n < self.sent.len()) else { return };
        let now = self.micros();
        let before = self.arrivals[number].fetch_add(1, Ordering::Relaxed);
        if before < self.fanout {
            let latency = (now + 1).saturating_sub(self.sent[number].load(Ordering::Relaxed));
            let mut latencies = self.latencies_micros.lock().unwrap_or_else(PoisonError::into_inner);
            latencies.push(u32::try_from(latency).unwrap_or(u32::MAX));
        }
        self.last_arrival_micros.fetch_max(now, Ordering::Relaxed);
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn received_count(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// From the first request to the last arrival.
    pub(super) fn span_micros(&self) -> u64 {
        let sent = self.sent.iter().map(|sent| sent.load(Ordering::Relaxed)).filter(|sent| *sent > 0);
        self.last_arrival_micros.load(Ordering::Relaxed).saturating_sub(sent.min().unwrap_or(0))
    }

    /// Deliveries that never came, and deliveries that came more than once.
    pub(super) fn lost_and_duplicated(&self) -> (u64, u64) {
        let (mut lost, mut duplicated) = (0, 0);
        for arrivals in &self.arrivals {
            let arrivals = arrivals.load(Ordering::Relaxed);
            lost += u64::from(self.fanout.saturating_sub(arrivals));
            duplicated += u64::from(arrivals.saturating_sub(self.fanout));
        }
        (lost, duplicated)
    }

    /// From the first byte of the request to the receiver's first byte, sorted, in microseconds.
    pub(super) fn latencies_micros(&self) -> Vec<u32> {
        let mut latencies = self.latencies_micros.lock().unwrap_or_else(PoisonError::into_inner).clone();
        latencies.sort_unstable();
        latencies
    }
}

/// Starts receiving on a free port of loopback.
pub(super) fn start(tally: Arc<Tally>) -> anyhow::Result<SocketAddr> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    // Room for all connections that a server opens at once: one too many would be tried again a second later.
    let listener = socket.listen(4_096)?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tally = Arc::clone(&tally);
            tokio::spawn(async move {
                // A connection that breaks shows up as a lost delivery or as a retry.
                let _ = receive(stream, &tally).await;
            });
        }
    });
    Ok(address)
}

async fn receive(stream: TcpStream, tally: &Tally) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut wire = Wire::new(reader);
    while let Some(request) = wire.next().await? {
        tally.arrived(request.body);
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
    }
    Ok(())
}
