//! What a measurement found, as a table or as JSON.

use serde_json::json;

use super::database::Spent;
use super::load::Acks;
use super::process::Usage;
use super::receiver::Tally;
use crate::cli::BenchArgs;

/// The figures of one run.
pub(super) struct Report {
    what: &'static str,
    messages: u64,
    fanout: u32,
    payload_bytes: usize,
    rate: u32,
    acks_per_second: f64,
    deliveries_per_second: f64,
    ack_micros: [u32; 3],
    delivery_micros: [u32; 3],
    lost: u64,
    duplicated: u64,
    cpu_micros_per_delivery: f64,
    at_rest_mib: f64,
    peak_mib: f64,
    nodes: u32,
    database: Option<Spent>,
    received: f64,
}

impl Report {
    pub(super) fn new(
        args: &BenchArgs,
        acks: &Acks,
        tally: &Tally,
        usage: Usage,
        database: Option<Spent>,
    ) -> Self {
        let (lost, duplicated) = tally.lost_and_duplicated();
        let received = tally.received_count() as f64;
        let span = tally.span_micros().max(1) as f64 / 1e6;
        Self {
            what: match (args.floor, &args.inbound) {
                (true, _) => "floor: accept, sign, forward, keep nothing",
                (_, Some(_)) => "posthaste serve: verify, deduplicate, keep, hand off",
                _ => "posthaste serve",
            },
            messages: args.messages,
            fanout: args.fanout,
            payload_bytes: args.payload,
            rate: args.rate,
            acks_per_second: args.messages as f64 / acks.took.as_secs_f64(),
            deliveries_per_second: received / span,
            ack_micros: quantiles(&acks.latencies_micros),
            delivery_micros: quantiles(&tally.latencies_micros()),
            lost,
            duplicated,
            cpu_micros_per_delivery: usage.cpu_micros as f64 / received.max(1.0),
            at_rest_mib: usage.at_rest_kib as f64 / 1024.0,
            peak_mib: usage.peak_kib as f64 / 1024.0,
            nodes: args.nodes,
            database,
            received: received.max(1.0),
        }
    }

    /// Nothing was lost.
    pub(super) fn is_whole(&self) -> bool {
        self.lost == 0
    }

    pub(super) fn json(&self) -> String {
        let millis = |[p50, p99, max]: [u32; 3]| json!({ "p50": f64::from(p50) / 1e3, "p99": f64::from(p99) / 1e3, "max": f64::from(max) / 1e3 });
        json!({
            "what": self.what,
            "messages": self.messages,
            "fanout": self.fanout,
            "payload_bytes": self.payload_bytes,
            "rate": self.rate,
            "acks_per_second": self.acks_per_second.round(),
            "deliveries_per_second": self.deliveries_per_second.round(),
            "ack_ms": millis(self.ack_micros),
            "delivery_ms": millis(self.delivery_micros),
            "lost": self.lost,
            "duplicated": self.duplicated,
            "cpu_us_per_delivery": (self.cpu_micros_per_delivery * 10.0).round() / 10.0,
            "at_rest_mib": self.at_rest_mib.round(),
            "peak_mib": self.peak_mib.round(),
            "nodes": self.nodes,
            "database": self.database.map(|spent| spent.json(self.received)),
        })
        .to_string()
    }

    pub(super) fn table(&self) -> String {
        let millis = |[p50, p99, max]: [u32; 3]| {
            let ms = |micros: u32| format!("{:.2}", f64::from(micros) / 1e3);
            format!("p50 {} · p99 {} · max {} ms", ms(p50), ms(p99), ms(max))
        };
        let rate =
            if self.rate == 0 { "as fast as it goes".to_owned() } else { format!("{} a second", self.rate) };
        let rows = [
            (
                "what",
                if self.nodes > 1 {
                    format!("{}, {} nodes", self.what, self.nodes)
                } else {
                    self.what.to_owned()
                },
            ),
            (
                "load",
                format!(
                    "{} messages × {} endpoints, {} bytes, {rate}",
                    self.messages, self.fanout, self.payload_bytes
                ),
            ),
            ("accepted", format!("{:.0} /s", self.acks_per_second)),
            ("delivered", format!("{:.0} /s", self.deliveries_per_second)),
            ("ack", millis(self.ack_micros)),
            ("end to end", millis(self.delivery_micros)),
            ("lost", self.lost.to_string()),
            ("duplicated", self.duplicated.to_string()),
            ("server CPU", format!("{:.1} µs a delivery", self.cpu_micros_per_delivery)),
            ("memory", format!("{:.0} MiB at rest, {:.0} MiB at most", self.at_rest_mib, self.peak_mib)),
        ];
        let database = self.database.map(|spent| spent.lines(self.received));
        let rows = rows.into_iter().chain(database.into_iter().flatten());
        let lines: Vec<String> = rows.map(|(name, value)| format!("{name:<11} {value}")).collect();
        lines.join("\n")
    }
}

/// The median, the 99th percentile and the largest of a sorted list.
pub(super) fn quantiles(sorted: &[u32]) -> [u32; 3] {
    let at =
        |share: usize| sorted.get((sorted.len() * share / 100).min(sorted.len().saturating_sub(1))).copied();
    [at(50).unwrap_or(0), at(99).unwrap_or(0), sorted.last().copied().unwrap_or(0)]
}
