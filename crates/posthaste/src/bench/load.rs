//! The load: so many connections, each sending one request after another, or all together at a fixed rate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::receiver::Tally;
use super::wire::Wire;
use crate::cli::BenchArgs;

/// A load about to be put on a server.
pub(super) struct Load {
    /// Of the nodes: connections go to each in turn.
    addresses: Vec<SocketAddr>,
    /// Where requests go, in turns.
    paths: Vec<String>,
    head: String,
    /// Around the payload: the message's other fields, or nothing.
    envelope: (&'static str, &'static str),
    payload_bytes: usize,
    messages: u64,
    concurrency: u32,
    rate: u32,
    /// Signs each request as GitHub does.
    signer: Option<Hmac<Sha256>>,
}

/// How the server answered.
pub(super) struct Acks {
    /// From the first byte of the request to the answer, sorted, in microseconds.
    pub(super) latencies_micros: Vec<u32>,
    /// From the first request to the last answer.
    pub(super) took: Duration,
}

impl Load {
    /// Messages for these apps, in turns.
    pub(super) fn messages(
        server: &str,
        token: &str,
        apps: &[String],
        args: &BenchArgs,
    ) -> anyhow::Result<Self> {
        let paths = apps.iter().map(|app| format!("/api/v1/app/{app}/msg")).collect();
        let head = format!("authorization: Bearer {token}\r\n");
        Self::new(server, paths, head, (r#"{"eventType":"bench.sent","payload":"#, "}"), args)
    }

    /// Payloads for the floor, which forwards them.
    pub(super) fn forward(server: &str, target: &str, args: &BenchArgs) -> anyhow::Result<Self> {
        let head = format!("x-forward-to: {target}\r\n");
        Self::new(server, vec!["/forward".to_owned()], head, ("", ""), args)
    }

    /// Requests as GitHub sends them, to the door of a source.
    pub(super) fn signed(server: &str, door: &str, secret: String, args: &BenchArgs) -> anyhow::Result<Self> {
        let path = door.strip_prefix(server).context("the door's address")?;
        // The headers of a real one, so that they are stored and forwarded as those would be.
        let head = "user-agent: GitHub-Hookshot/bench\r\naccept: */*\r\n\
             x-github-event: push\r\nx-github-hook-id: 1\r\nx-github-hook-installation-target-id: 1\r\n\
             x-github-hook-installation-target-type: repository\r\n";
        let load = Self::new(server, vec![path.to_owned()], head.to_owned(), ("", ""), args)?;
        Ok(Self { signer: Some(Hmac::new_from_slice(secret.as_bytes())?), ..load })
    }

    fn new(
        server: &str,
        paths: Vec<String>,
        head: String,
        envelope: (&'static str, &'static str),
        args: &BenchArgs,
    ) -> anyhow::Result<Self> {
        let address = address_of(server)?;
        Ok(Self {
            addresses: vec![address],
            paths,
            head: head + "content-type: application/json\r\n",
            envelope,
            payload_bytes: args.payload.max(32),
            messages: args.messages,
            concurrency: args.concurrency.max(1),
            rate: args.rate,
            signer: None,
        })
    }

    /// The same to these servers, which share a store.
    pub(super) fn over<'a>(self, servers: impl Iterator<Item = &'a str>) -> anyhow::Result<Self> {
        let addresses = servers.map(address_of).collect::<anyhow::Result<_>>()?;
        Ok(Self { addresses, ..self })
    }

    fn request(&self, number: u64) -> Vec<u8> {
        let filler = "x".repeat(self.payload_bytes - 28);
        let (before, after) = self.envelope;
        let body = format!(r#"{before}{{"n":"{number:012}","x":"{filler}"}}{after}"#);
        let signed = self.signer.as_ref().map(|signer| signature(signer, number, &body)).unwrap_or_default();
        let path = &self.paths[usize::try_from(number).unwrap_or(0) % self.paths.len()];
        let (head, length) = (&self.head, body.len());
        format!("POST {path} HTTP/1.1\r\nhost: bench\r\n{head}{signed}content-length: {length}\r\n\r\n{body}")
            .into_bytes()
    }

    /// Sends everything and waits for every answer.
    pub(super) async fn run(self, tally: Arc<Tally>) -> anyhow::Result<Acks> {
        let load = Arc::new(self);
        let next = Arc::new(AtomicU64::new(0));
        let started = Instant::now();
        let addresses = load.addresses.iter().copied().cycle();
        let senders: Vec<_> = addresses
            .take(load.concurrency as usize)
            .map(|address| {
                let (load, next, tally) = (Arc::clone(&load), Arc::clone(&next), Arc::clone(&tally));
                tokio::spawn(async move { load.send(address, &next, &tally, started).await })
            })
            .collect();
        let mut latencies_micros = Vec::new();
        for sender in senders {
            latencies_micros.extend(sender.await??);
        }
        let took = started.elapsed();
        latencies_micros.sort_unstable();
        Ok(Acks { latencies_micros, took })
    }

    async fn send(
        &self,
        address: SocketAddr,
        next: &AtomicU64,
        tally: &Tally,
        started: Instant,
    ) -> anyhow::Result<Vec<u32>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (reader, mut writer) = stream.into_split();
        let mut wire = Wire::new(reader);
        let mut latencies = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.messages {
                return Ok(latencies);
            }
            let request = self.request(number);
            if self.rate > 0 {
                let at = Duration::from_secs_f64(number as f64 / f64::from(self.rate));
                tokio::time::sleep_until(started + at).await;
            }
            tally.sending(usize::try_from(number)?);
            let before = tally.micros();
            writer.write_all(&request).await?;
            let answer = wire.next().await?.context("the server closed the connection")?;
            if !answer.head.starts_with("HTTP/1.1 20") {
                bail!("the server answered: {}{}", answer.head, String::from_utf8_lossy(answer.body));
            }
            latencies.push(u32::try_from(tally.micros() - before).unwrap_or(u32::MAX));
        }
    }
}

fn address_of(server: &str) -> anyhow::Result<SocketAddr> {
    server.trim_start_matches("http://").parse().context("the server's address")
}

/// The headers that differ from one request to the next.
fn signature(signer: &Hmac<Sha256>, number: u64, body: &str) -> String {
    let tag = signer.clone().chain_update(body).finalize().into_bytes();
    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "x-github-delivery: 00000000-0000-4000-8000-{number:012}\r\nx-hub-signature-256: sha256={hex}\r\n"
    )
}
