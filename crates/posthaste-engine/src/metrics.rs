//! What the engine counts. Names follow OpenMetrics: units in the name, `_total` added by the encoder.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use posthaste_core::attempt::{Attempt, Outcome};
use posthaste_core::delivery::{Claimed, DeadLetter, Verdict};
use posthaste_core::time::Timestamp;
use posthaste_store::Queue;
use posthaste_tunnel::listeners::Listeners;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the duration histograms, in seconds: from a fast neighbour to a full timeout.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Counts and durations of attempts and deliveries.
#[derive(Clone, Debug)]
pub struct EngineMetrics {
    attempts: Family<OutcomeLabel, Counter>,
    dead_lettered: Family<ReasonLabel, Counter>,
    attempt_seconds: Histogram,
    delivery_seconds: Histogram,
    oldest_due_seconds: Gauge<f64, AtomicU64>,
    pub(crate) let_go: Counter,
    forwarded: Family<OutcomeLabel, Counter>,
}

impl EngineMetrics {
    /// Adds the engine's metrics, and the queue's own counts, to `registry`.
    pub fn register(registry: &mut Registry, queue: Arc<dyn Queue>, listeners: Arc<Listeners>) -> Self {
        let metrics = Self::unregistered();
        registry.register("attempts", "Attempts, by what came of them", metrics.attempts.clone());
        registry.register(
            "deliveries_dead_lettered",
            "Deliveries that ended undelivered, by reason",
            metrics.dead_lettered.clone(),
        );
        registry.register_with_unit(
            "attempt_duration",
            "From the name lookup to the last byte of the answer",
            Unit::Seconds,
            metrics.attempt_seconds.clone(),
        );
        registry.register_with_unit(
            "delivery_latency",
            "From accepting a message to its arrival, of first attempts",
            Unit::Seconds,
            metrics.delivery_seconds.clone(),
        );
        registry.register_with_unit(
            "oldest_due_age",
            "How long the oldest due delivery has waited",
            Unit::Seconds,
            metrics.oldest_due_seconds.clone(),
        );
        registry.register(
            "leases_let_go",
            "Deliveries that waited too long in a lane and went back",
            metrics.let_go.clone(),
        );
        registry.register(
            "listener_requests",
            "Requests that were forwarded to listeners, by what came of them",
            metrics.forwarded.clone(),
        );
        registry.register_collector(Box::new(QueueCounts(queue)));
        registry.register_collector(Box::new(ListenerCount(listeners)));
        metrics
    }

    /// Metrics that nobody reads.
    pub fn unregistered() -> Self {
        Self {
            attempts: Family::default(),
            dead_lettered: Family::default(),
            attempt_seconds: Histogram::new(SECONDS),
            delivery_seconds: Histogram::new(SECONDS),
            oldest_due_seconds: Gauge::default(),
            let_go: Counter::default(),
            forwarded: Family::default(),
        }
    }

    pub(crate) fn attempted(&self, claimed: &Claimed, attempt: &Attempt, verdict: Verdict, now: Timestamp) {
        let outcome = outcome_word(&attempt.outcome);
        self.attempts.get_or_create(&OutcomeLabel { outcome }).inc();
        self.attempt_seconds.observe(attempt.timing.total.as_secs_f64());
        match verdict {
            Verdict::Delivered if claimed.attempts_made == 0 => {
                self.delivery_seconds.observe(now.since(claimed.message.created_at).as_secs_f64());
            }
            Verdict::GiveUp(why) => self.dead_lettered(why),
            Verdict::Delivered | Verdict::RetryAt(_) => {}
        }
    }

    pub(crate) fn forwarded(&self, outcome: &'static str) {
        self.forwarded.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(crate) fn dead_lettered(&self, why: DeadLetter) {
        self.dead_lettered.get_or_create(&ReasonLabel { reason: why.word() }).inc();
    }

    pub(crate) fn set_oldest_due(&self, oldest: Option<Timestamp>, now: Timestamp) {
        let age = oldest.map_or(0.0, |due| now.since(due).as_secs_f64());
        self.oldest_due_seconds.set(age);
    }
}

fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Replied(reply) => match reply.status {
            200..=299 => "success",
            300..=399 => "redirect",
            400..=499 => "client_error",
            _ => "server_error",
        },
        Outcome::Failed(failure) => failure.kind.word(),
    }
}

/// What the queue itself knows, read when somebody asks.
struct QueueCounts(Arc<dyn Queue>);

impl std::fmt::Debug for QueueCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QueueCounts")
    }
}

impl Collector for QueueCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let backlog = self.0.backlog();
        let commits = self.0.commits();
        let gauges = [
            ("deliveries_waiting", "Deliveries that wait, due or not", backlog.waiting_count),
            ("deliveries_in_flight", "Deliveries that somebody acts on", backlog.in_flight_count),
            ("store_unwell", "1 while the store cannot be written, or else 0", commits.unwell.into()),
            ("store_log_bytes", "Length of the store's write-ahead log", commits.log_bytes),
        ];
        for (name, help, count) in gauges {
            let gauge = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let counters = [
            ("store_commits", "Transactions committed by the writer", commits.commits_count),
            ("store_commands", "Commands in them; divided: the group commit size", commits.commands_count),
            ("store_failures", "Times that the store could not be written", commits.failures_count),
            ("store_shed", "Requests refused since the store was busy", commits.shed_count),
        ];
        for (name, help, count) in counters {
            let counter = ConstCounter::new(count);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        #[expect(clippy::cast_precision_loss, reason = "nobody's clock is wrong by centuries")]
        let ahead = ConstGauge::new(commits.clock_ahead_micros as f64 / 1e6);
        let help = "How far this node's clock is ahead of the store's";
        let unit = Some(&Unit::Seconds);
        ahead.encode(encoder.encode_descriptor("store_clock_ahead", help, unit, ahead.metric_type())?)?;
        Ok(())
    }
}

/// Who listens, counted when somebody asks.
#[derive(Debug)]
struct ListenerCount(Arc<Listeners>);

impl Collector for ListenerCount {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = ConstGauge::new(i64::try_from(self.0.count()).unwrap_or(i64::MAX));
        let help = "Connections of listeners";
        gauge.encode(encoder.encode_descriptor("listeners", help, None, gauge.metric_type())?)
    }
}
