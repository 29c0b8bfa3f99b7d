//! What it costs to find out who wants a message, and to name it.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use posthaste_core::dice::TestDice;
use posthaste_core::endpoint::Filter;
use posthaste_core::fanout::wants;
use posthaste_core::id::MessageId;
use posthaste_core::name::{Channel, EventTypeName};
use posthaste_core::time::Timestamp;

/// Endpoints that each want ten event types and two channels.
fn filters(count: usize) -> Vec<Filter> {
    (0..count)
        .map(|n| Filter {
            event_types: Some(
                (0..10).filter_map(|t| EventTypeName::parse(&format!("type.{}", n + t)).ok()).collect(),
            ),
            channels: Some(["eu", "us"].iter().filter_map(|name| Channel::parse(name).ok()).collect()),
        })
        .collect()
}

fn fanout(c: &mut Criterion) {
    let (Ok(event_type), Ok(channel)) = (EventTypeName::parse("type.9"), Channel::parse("us")) else {
        return;
    };
    let channels = [channel];
    let mut group = c.benchmark_group("fan-out");
    for count in [1_usize, 20, 1_000] {
        let filters = filters(count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("{count} endpoints"), |b| {
            b.iter(|| filters.iter().filter(|filter| wants(filter, &event_type, &channels)).count());
        });
    }
    group.finish();
    let dice = TestDice::seeded(1);
    c.bench_function("id, made and written", |b| {
        b.iter(|| MessageId::fresh(Timestamp::from_secs(1_790_000_000), &dice).to_string());
    });
}

criterion_group!(benches, fanout);
criterion_main!(benches);
