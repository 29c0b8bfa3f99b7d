//! The receivers: one listener, an endpoint a path. Keeps its ledger before and after each answer.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use posthaste_core::dice::{Dice as _, TestDice};
use posthaste_signature::standard::{Signed, TOLERANCE, Verifier, verify};
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::clock;
use crate::judge::{Got, hash};
use crate::wire::{Incoming, Wire};

/// Chances of what a flaky endpoint does wrong; together a tenth.
const REFUSES: f64 = 0.04;
const IS_BUSY: f64 = 0.02;
const HANGS_UP: f64 = 0.02;
const BREAKS_OFF: f64 = 0.02;
/// Chance of an answer that takes its time, and how long.
const IS_SLOW: f64 = 0.1;
const SLOW: Duration = Duration::from_millis(15);

/// What all endpoints do with what arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Answer.
    Open,
    /// Read, and say nothing for now.
    Held,
    /// Hang up on whatever was held.
    Shut,
}

/// How an endpoint behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Temper {
    /// Nine of ten requests are taken.
    Flaky,
    /// Nothing is taken.
    Dead,
    /// All is taken.
    Good,
}

struct Endpoint {
    id: String,
    temper: Temper,
    verifiers: Vec<Verifier>,
}

struct Inner {
    endpoints: Mutex<Vec<Endpoint>>,
    got: Mutex<Vec<Got>>,
    count: watch::Sender<usize>,
    open: watch::Sender<usize>,
    door: watch::Sender<Door>,
    dice: TestDice,
}

/// All receivers of a trial.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// Listens on a free port of loopback.
    pub(crate) async fn start(seed: u64) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("the receivers cannot listen")?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            endpoints: Mutex::default(),
            got: Mutex::default(),
            count: watch::Sender::new(0),
            open: watch::Sender::new(0),
            door: watch::Sender::new(Door::Open),
            dice: TestDice::seeded(seed),
        });
        let shared = Arc::clone(&inner);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.open.send_modify(|open| *open += 1);
                let inner = Arc::clone(&shared);
                tokio::spawn(async move {
                    // A connection that breaks is what a trial is about: the ledger has what arrived.
                    let _ = inner.serve(stream).await;
                    inner.open.send_modify(|open| *open -= 1);
                });
            }
        });
        Ok(Self { address, inner })
    }

    /// Begins a new ledger, for these endpoints. The first is dead, the others are flaky.
    pub(crate) fn begin<'a>(&self, endpoints: impl Iterator<Item = (&'a str, Vec<Verifier>)>) {
        let endpoints = endpoints.enumerate().map(|(index, (id, verifiers))| Endpoint {
            id: id.to_owned(),
            temper: if index == 0 { Temper::Dead } else { Temper::Flaky },
            verifiers,
        });
        *lock(&self.inner.endpoints) = endpoints.collect();
        lock(&self.inner.got).clear();
        self.inner.count.send_replace(0);
        self.inner.door.send_replace(Door::Open);
    }

    /// Another secret signs from now on, beside the others.
    pub(crate) fn also_believes(&self, endpoint: usize, verifier: Verifier) {
        if let Some(endpoint) = lock(&self.inner.endpoints).get_mut(endpoint) {
            endpoint.verifiers.push(verifier);
        }
    }

    pub(crate) fn becomes(&self, endpoint: usize, temper: Temper) {
        if let Some(endpoint) = lock(&self.inner.endpoints).get_mut(endpoint) {
            endpoint.temper = temper;
        }
    }

    pub(crate) fn door(&self, door: Door) {
        self.inner.door.send_replace(door);
    }

    /// Waits until so many requests have arrived.
    pub(crate) async fn has_got(&self, count: usize) {
        let mut counted = self.inner.count.subscribe();
        let _ = counted.wait_for(|now| *now >= count).await;
    }

    /// The ledger so far.
    pub(crate) fn ledger(&self) -> Vec<Got> {
        lock(&self.inner.got).clone()
    }

    /// After a sender died: waits until all that it had sent is read and in the ledger. What waits to be accepted is
    /// accepted in order, so a connection of our own comes after it.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        let probe = TcpStream::connect(self.address).await?;
        let mut open = self.inner.open.subscribe();
        let own_port = probe.local_addr()?.port();
        let settled = async {
            let (read, mut write) = probe.into_split();
            write.write_all(b"GET /probe HTTP/1.1\r\n\r\n").await?;
            let answered = Wire::new(read).next().await?;
            drop((write, answered));
            open.wait_for(|open| *open == 0).await.map(|_| ()).map_err(std::io::Error::other)
        };
        tokio::time::timeout(Duration::from_secs(10), settled).await.with_context(|| {
            format!("connections to the receivers stay open (the probe had port {own_port})")
        })??;
        Ok(())
    }
}

impl Inner {
    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let (read, mut write) = stream.into_split();
        let mut wire = Wire::new(read);
        while let Some(request) = wire.next().await? {
            let Ok(number) = request.second_word().trim_start_matches('/').parse::<usize>() else {
                write.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?;
                continue;
            };
            let Some((entry, temper)) = self.enter(number, &request) else { continue };
            self.count.send_modify(|count| *count += 1);
            let mut door = self.door.subscribe();
            let door = *door.wait_for(|door| *door != Door::Held).await.map_err(std::io::Error::other)?;
            if door == Door::Shut {
                return Ok(());
            }
            match self.answer(temper, &mut write).await? {
                Some(status) => {
                    if let Some(got) = lock(&self.got).get_mut(entry) {
                        got.status = Some(status);
                    }
                }
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Writes down what arrived, and returns where.
    fn enter(&self, number: usize, request: &Incoming) -> Option<(usize, Temper)> {
        let endpoints = lock(&self.endpoints);
        let endpoint = endpoints.get(number)?;
        let at = clock::now();
        let signed = Signed::from_headers(|name| request.header(name))
            .and_then(|s| verify(&s, &request.body, &endpoint.verifiers, at / 1_000_000, Some(TOLERANCE)))
            .is_ok();
        let got = Got {
            endpoint: endpoint.id.clone(),
            message: request.header("webhook-id").unwrap_or_default().to_owned(),
            body_hash: hash(&request.body),
            signed,
            timestamp: request.header("webhook-timestamp").and_then(|text| text.parse().ok()).unwrap_or(0),
            at,
            status: None,
        };
        let temper = endpoint.temper;
        drop(endpoints);
        let mut ledger = lock(&self.got);
        ledger.push(got);
        Some((ledger.len() - 1, temper))
    }

    /// Answers as the dice say. `None`: hung up, before or within the answer.
    async fn answer(&self, temper: Temper, write: &mut OwnedWriteHalf) -> std::io::Result<Option<u16>> {
        let mut chance = match temper {
            Temper::Flaky => self.dice.unit(),
            Temper::Dead => 0.0,
            Temper::Good => 1.0,
        };
        let mut falls_on = |share: f64| {
            chance -= share;
            chance < 0.0
        };
        let status = if falls_on(REFUSES) {
            500
        } else if falls_on(IS_BUSY) {
            503
        } else if falls_on(HANGS_UP) {
            return Ok(None);
        } else if falls_on(BREAKS_OFF) {
            write.write_all(b"HTTP/1.1 200 OK\r\ncontent-le").await?;
            return Ok(None);
        } else {
            if falls_on(IS_SLOW) {
                tokio::time::sleep(SLOW).await;
            }
            200
        };
        let answer = format!("HTTP/1.1 {status} As Told\r\ncontent-length: 2\r\n\r\nok");
        write.write_all(answer.as_bytes()).await?;
        Ok(Some(status))
    }
}
