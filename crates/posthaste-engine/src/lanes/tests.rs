//! Whose turn it is, checked without tasks, clocks or a store.

use super::*;
use std::num::NonZeroU16;
use std::sync::Arc;

use bytes::Bytes;
use posthaste_core::attempt::{Failure, FailureKind, Reply, Trigger};
use posthaste_core::delivery::Lease;
use posthaste_core::dice::TestDice;
use posthaste_core::endpoint::{Endpoint, Filter, Secrets};
use posthaste_core::id::MessageId;
use posthaste_core::message::Message;
use posthaste_core::name::EventTypeName;
use posthaste_core::tenant::EnvironmentId;
use posthaste_signature::Secret;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn endpoint(seed: u64, rate: Option<u16>) -> Arc<Endpoint> {
    let dice = TestDice::seeded(seed);
    Arc::new(Endpoint {
        id: EndpointId::fresh(NOW, &dice),
        app: AppId::fresh(NOW, &dice),
        uid: None,
        url: "http://example.com/".to_owned(),
        description: String::new(),
        rate_per_second: rate.and_then(NonZeroU16::new),
        app_rate_per_second: None,
        disabled: false,
        filter: Filter::default(),
        headers: vec![],
        metadata: std::collections::BTreeMap::default(),
        secrets: Secrets::first(Secret::ed25519([1; 32])),
        failing_since: None,
        created_at: NOW,
        updated_at: NOW,
    })
}

fn owed_to(endpoint: &Arc<Endpoint>) -> Claimed {
    let message = Message {
        id: MessageId::fresh(NOW, &TestDice::seeded(9)),
        app: endpoint.app,
        event_type: EventTypeName::parse("a.b").unwrap(),
        event_id: None,
        channels: vec![],
        tags: vec![],
        body: Some(Bytes::from_static(b"{}")),
        origin: None,
        created_at: NOW,
        deliver_at: None,
    };
    Claimed {
        environment: EnvironmentId(1),
        lease: Lease { token: 1, until: NOW.later(Duration::from_secs(60)) },
        message: Arc::new(message),
        endpoint: Arc::clone(endpoint),
        endpoint_deleted: false,
        forsaken: false,
        attempts_made: 0,
        trigger: Trigger::Scheduled,
    }
}

fn lanes() -> Lanes {
    let limits = LaneLimits { lane_depth_max: 16, held_bytes_max: 1 << 20, in_flight_max: 12 };
    Lanes::new(limits, Duration::from_secs(15))
}

fn started(lanes: &mut Lanes, now: Timestamp) -> Vec<EndpointId> {
    std::iter::from_fn(|| lanes.next(now, &|_| true)).map(|claimed| claimed.endpoint.id).collect()
}

fn success() -> Outcome {
    Outcome::Replied(Reply { status: 200, headers: vec![], body: Bytes::new(), truncated: false })
}

#[test]
fn lanes_take_turns_so_that_a_flood_to_one_endpoint_delays_no_other() {
    let (flooded, quiet) = (endpoint(1, None), endpoint(2, None));
    let mut lanes = lanes();
    for _ in 0..16 {
        lanes.push(owed_to(&flooded));
    }
    lanes.push(owed_to(&quiet));
    let order = started(&mut lanes, NOW);
    assert_eq!(order[1], quiet.id, "second, behind sixteen that came first");
}

#[test]
fn a_hanging_endpoint_holds_only_its_own_share_of_the_attempts_under_way() {
    let (hanging, healthy) = (endpoint(1, None), endpoint(2, None));
    let mut lanes = lanes();
    for _ in 0..16 {
        lanes.push(owed_to(&hanging));
    }
    assert_eq!(started(&mut lanes, NOW).len(), 8);
    lanes.push(owed_to(&healthy));
    assert_eq!(started(&mut lanes, NOW), [healthy.id]);
    let timeout = Outcome::Failed(Failure { kind: FailureKind::Timeout, detail: String::new() });
    for _ in 0..8 {
        lanes.finished(hanging.id, Some(&timeout), NOW);
    }
    assert!(started(&mut lanes, NOW).is_empty(), "after eight timeouts it rests");
    let rested = NOW.later(Duration::from_millis(100));
    lanes.wake(rested);
    assert_eq!(started(&mut lanes, rested).len(), 1, "and gets one attempt at a time");
}

#[test]
fn of_an_endpoint_in_distress_no_more_is_held_than_can_soon_begin() {
    let (dead, healthy) = (endpoint(1, None), endpoint(2, None));
    let mut lanes = lanes();
    for _ in 0..8 {
        lanes.push(owed_to(&dead));
    }
    assert_eq!(started(&mut lanes, NOW).len(), 8);
    let refused = Outcome::Failed(Failure { kind: FailureKind::Connect, detail: String::new() });
    for _ in 0..8 {
        lanes.finished(dead.id, Some(&refused), NOW);
    }
    let taken = |lanes: &mut Lanes, endpoint: &Arc<Endpoint>| {
        let mut taken = 0;
        while lanes.has_room(endpoint.id) {
            lanes.push(owed_to(endpoint));
            taken += 1;
        }
        taken
    };
    assert_eq!(taken(&mut lanes, &dead), 8);
    assert_eq!(taken(&mut lanes, &healthy), 16);
}

#[test]
fn no_more_attempts_than_the_global_cap_are_under_way() {
    let mut lanes = lanes();
    for seed in 0..40 {
        lanes.push(owed_to(&endpoint(seed, None)));
    }
    assert_eq!(started(&mut lanes, NOW).len(), 12);
    let first = endpoint(0, None).id;
    lanes.finished(first, Some(&success()), NOW);
    assert_eq!(started(&mut lanes, NOW).len(), 1);
}

#[test]
fn a_full_lane_has_no_room_until_the_store_was_drained_of_what_it_left_there() {
    let endpoint = endpoint(1, None);
    let mut lanes = lanes();
    for _ in 0..16 {
        assert!(lanes.has_room(endpoint.id));
        lanes.push(owed_to(&endpoint));
    }
    assert!(!lanes.has_room(endpoint.id));
    assert_eq!(lanes.wants_refill(endpoint.id), None, "it is still full");
    let begun = started(&mut lanes, NOW).len();
    assert!(!lanes.has_room(endpoint.id), "older ones wait in the store and go first");
    assert_eq!(lanes.wants_refill(endpoint.id), Some(begun));
    assert_eq!(lanes.wants_refill(endpoint.id), None, "one claim at a time");
    lanes.refilled(endpoint.id, false);
    assert!(lanes.has_room(endpoint.id));
}

#[test]
fn what_falls_due_while_a_claim_is_under_way_is_claimed_next_and_not_forgotten() {
    let endpoint = endpoint(1, None);
    let mut lanes = lanes();
    lanes.note_due(endpoint.id, NOW, NOW);
    assert!(lanes.wants_refill(endpoint.id).is_some());
    lanes.note_due(endpoint.id, NOW, NOW);
    lanes.refilled(endpoint.id, false);
    assert!(lanes.wants_refill(endpoint.id).is_some(), "the claim did not see it");
    lanes.refilled(endpoint.id, false);
    assert_eq!(lanes.wants_refill(endpoint.id), None);
}

#[test]
fn a_rate_limited_lane_is_parked_and_wakes_when_its_next_turn_comes() {
    let slow = endpoint(1, Some(2));
    let mut lanes = lanes();
    for _ in 0..3 {
        lanes.push(owed_to(&slow));
    }
    assert_eq!(started(&mut lanes, NOW).len(), 1);
    let at = lanes.next_wake().expect("it is parked");
    assert!(at > NOW && at <= NOW.later(Duration::from_millis(500)));
    lanes.wake(at);
    assert_eq!(started(&mut lanes, at).len(), 1);
}

#[test]
fn what_waited_until_its_lease_is_too_short_goes_back_and_costs_the_rate_limit_nothing() {
    let slow = endpoint(1, Some(1));
    let mut lanes = lanes();
    for _ in 0..3 {
        lanes.push(owed_to(&slow));
    }
    assert_eq!(started(&mut lanes, NOW).len(), 1);
    lanes.finished(slow.id, Some(&success()), NOW);
    let late = NOW.later(Duration::from_secs(50));
    lanes.wake(late);
    assert_eq!(started(&mut lanes, late).len(), 0);
    assert_eq!(lanes.take_stale().len(), 2);
    assert!(lanes.wants_refill(slow.id).is_some(), "the store has them again");
    let mut fresh = owed_to(&slow);
    fresh.lease.until = late.later(Duration::from_secs(60));
    lanes.push(fresh);
    assert_eq!(started(&mut lanes, late).len(), 1, "at once: nothing was sent meanwhile");
}

#[test]
fn what_is_given_back_is_everything_that_was_not_begun() {
    let endpoint = endpoint(1, None);
    let mut lanes = lanes();
    for _ in 0..16 {
        lanes.push(owed_to(&endpoint));
    }
    let begun = started(&mut lanes, NOW).len();
    assert_eq!(lanes.give_back().len() + begun, 16);
    assert!(lanes.next(NOW, &|_| true).is_none());
}

#[test]
fn what_this_node_may_not_send_to_goes_back_to_the_store_and_holds_up_nobody() {
    let (lost, kept) = (endpoint(1, Some(20)), endpoint(2, Some(20)));
    let mut lanes = lanes();
    for _ in 0..3 {
        lanes.push(owed_to(&lost));
    }
    lanes.push(owed_to(&kept));
    let next = lanes.next(NOW, &|endpoint| endpoint.id == kept.id);
    assert_eq!(next.map(|claimed| claimed.endpoint.id), Some(kept.id));
    let gone: Vec<_> = lanes.take_stale().iter().map(|claimed| claimed.endpoint.id).collect();
    assert_eq!(gone, [lost.id; 3]);
    assert_eq!(lanes.next(NOW, &|_| true).map(|claimed| claimed.endpoint.id), None);
}

fn listener(seed: u64) -> Arc<Endpoint> {
    Arc::new(Endpoint { url: "listener:web".to_owned(), ..(*endpoint(seed, None)).clone() })
}

/// The n-th delivery to `endpoint`: its lease's token says which.
fn nth(endpoint: &Arc<Endpoint>, n: i64) -> Claimed {
    let claimed = owed_to(endpoint);
    Claimed { lease: Lease { token: n, ..claimed.lease }, ..claimed }
}

fn numbers(claimed: &[Claimed]) -> Vec<i64> {
    claimed.iter().map(|one| one.lease.token).collect()
}

#[test]
fn a_listener_gets_one_at_a_time_in_order() {
    let endpoint = listener(1);
    let mut lanes = lanes();
    (0..3).for_each(|n| lanes.push(nth(&endpoint, n)));
    for n in 0..3 {
        let one = lanes.next(NOW, &|_| true).unwrap();
        assert_eq!(one.lease.token, n);
        assert!(lanes.next(NOW, &|_| true).is_none(), "the next one waits for it");
        lanes.finished(endpoint.id, Some(&success()), NOW);
    }
}

#[test]
fn what_did_not_reach_a_listener_is_the_first_again() {
    let endpoint = listener(1);
    let mut lanes = lanes();
    (0..2).for_each(|n| lanes.push(nth(&endpoint, n)));
    let one = lanes.next(NOW, &|_| true).unwrap();
    lanes.unsent(one);
    assert_eq!(lanes.next(NOW, &|_| true).unwrap().lease.token, 0);
    assert_eq!(lanes.in_flight(), 1);
}

#[test]
fn when_nobody_listens_all_goes_back_and_nothing_passes_it() {
    let endpoint = listener(1);
    let mut lanes = lanes();
    lanes.attend(endpoint.id, NOW);
    assert_eq!(lanes.wants_refill(endpoint.id), Some(LISTENER_DEPTH));
    assert!(lanes.take_in(endpoint.id, (0..8).map(|n| nth(&endpoint, n)).collect(), true).is_none());
    for n in 0..4 {
        assert_eq!(lanes.next(NOW, &|_| true).unwrap().lease.token, n);
        lanes.finished(endpoint.id, Some(&success()), NOW);
    }
    assert_eq!(lanes.wants_refill(endpoint.id), Some(4), "a claim is under way when the listener goes");
    assert!(lanes.next(NOW, &|_| false).is_none());
    assert_eq!(numbers(&lanes.take_stale()), [4, 5, 6, 7]);
    let newer = vec![nth(&endpoint, 8)];
    let overtaken = lanes.take_in(endpoint.id, newer, false).expect("it must wait for those before it");
    assert_eq!(numbers(&overtaken), [8]);
    lanes.refilled(endpoint.id, true);
    assert_eq!(lanes.wants_refill(endpoint.id), None, "they are not back yet");
    lanes.returned(endpoint.id);
    assert!(lanes.wants_refill(endpoint.id).is_some());
}

#[test]
fn what_waited_too_long_behind_a_slow_listener_goes_back_with_all_behind_it() {
    let endpoint = listener(1);
    let mut lanes = lanes();
    (0..3).for_each(|n| lanes.push(nth(&endpoint, n)));
    // 60 s of lease, of which an attempt may need 45.
    let late = NOW.later(Duration::from_secs(16));
    assert!(lanes.next(late, &|_| true).is_none());
    assert_eq!(numbers(&lanes.take_stale()), [0, 1, 2]);
}

#[test]
fn what_ends_without_being_sent_needs_no_listener() {
    let endpoint = Arc::new(Endpoint { disabled: true, ..(*listener(1)).clone() });
    let mut lanes = lanes();
    let manual = Claimed { trigger: Trigger::Manual, ..owed_to(&endpoint) };
    lanes.push(manual);
    assert!(lanes.next(NOW, &|_| false).is_some());
}
