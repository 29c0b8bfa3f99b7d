//! A lane per endpoint, and whose turn it is. Pure: no clock, no tasks, no store.
//!
//! A lane holds what was claimed for one endpoint. Lanes that may send stand in a ring and take turns, so no
//! endpoint starves another. What a lane has no room for stays in the store; the lane then knows that there is a
//! backlog and asks to be refilled.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use posthaste_core::attempt::Outcome;
use posthaste_core::delivery::Claimed;
use posthaste_core::id::{AppId, EndpointId};
use posthaste_core::time::Timestamp;

use crate::pressure::{Concurrency, RateLimit};

/// How much this process holds and does at once.
#[derive(Debug, Clone, Copy)]
pub struct LaneLimits {
    /// Claimed deliveries that wait in one lane.
    pub lane_depth_max: usize,
    /// Bytes of bodies that wait in all lanes together.
    pub held_bytes_max: usize,
    /// Attempts under way at once, over all endpoints.
    pub in_flight_max: usize,
}

impl Default for LaneLimits {
    fn default() -> Self {
        Self { lane_depth_max: 256, held_bytes_max: 64 << 20, in_flight_max: 2_048 }
    }
}

/// Due hints that are remembered; past that the sweep finds what is due.
const HINTS_MAX: usize = 100_000;
/// Idle lanes are forgotten once there are more than this.
const LANES_KEPT: usize = 10_000;

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing about the store or the ring")]
struct Lane {
    waiting: VecDeque<Claimed>,
    in_flight: u32,
    concurrency: Concurrency,
    rate: Option<RateLimit>,
    /// The store has more for this endpoint.
    backlog: bool,
    /// A claim is under way.
    refilling: bool,
    /// Something fell due while it was: the claim may have come too early to see it.
    missed: bool,
    /// It stands in the ring, or is parked until its rate limit lets it.
    queued: bool,
}

impl Lane {
    fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            in_flight: 0,
            concurrency: Concurrency::start(),
            rate: None,
            backlog: false,
            refilling: false,
            missed: false,
            queued: false,
        }
    }

    fn may_start(&self) -> bool {
        !self.waiting.is_empty() && self.in_flight < self.concurrency.limit()
    }

    fn is_idle(&self, now: Timestamp) -> bool {
        self.waiting.is_empty()
            && self.in_flight == 0
            && !self.backlog
            && !self.refilling
            && self.rate.is_none_or(|rate| rate.is_idle(now))
    }
}

/// All lanes of this process.
#[derive(Debug)]
pub(crate) struct Lanes {
    limits: LaneLimits,
    by_endpoint: HashMap<EndpointId, Lane>,
    ring: VecDeque<EndpointId>,
    parked: BinaryHeap<Reverse<(Timestamp, EndpointId)>>,
    hints: BinaryHeap<Reverse<(Timestamp, EndpointId)>>,
    app_rates: HashMap<AppId, RateLimit>,
    held_bytes: usize,
    in_flight: usize,
    /// How much of a lease an attempt needs.
    lease_needed: Duration,
    /// What waited so long that its lease is too short to begin: behind a rate limit, mostly.
    stale: Vec<Claimed>,
}

impl Lanes {
    pub(crate) fn new(limits: LaneLimits, lease_needed: Duration) -> Self {
        Self {
            limits,
            lease_needed,
            stale: Vec::new(),
            by_endpoint: HashMap::new(),
            ring: VecDeque::new(),
            parked: BinaryHeap::new(),
            hints: BinaryHeap::new(),
            app_rates: HashMap::new(),
            held_bytes: 0,
            in_flight: 0,
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether a new delivery may skip the store's queue. Not while older ones wait there: they go first.
    pub(crate) fn has_room(&mut self, endpoint: EndpointId) -> bool {
        let full = self.held_bytes >= self.limits.held_bytes_max;
        let depth_max = self.limits.lane_depth_max;
        let lane = self.by_endpoint.entry(endpoint).or_insert_with(Lane::new);
        let room = !full && !lane.backlog && lane.waiting.len() < depth_max;
        lane.backlog |= !room;
        room
    }

    /// Takes in what was claimed.
    pub(crate) fn push(&mut self, claimed: Claimed) {
        let endpoint = claimed.endpoint.id;
        self.held_bytes += weight(&claimed);
        let lane = self.by_endpoint.entry(endpoint).or_insert_with(Lane::new);
        match (&mut lane.rate, claimed.endpoint.rate_per_second) {
            (Some(rate), Some(per_second)) => rate.set_rate(per_second),
            (rate, per_second) => *rate = per_second.map(RateLimit::new),
        }
        lane.waiting.push_back(claimed);
        self.enqueue(endpoint);
    }

    /// The next delivery whose turn it is, if any may start now.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<Claimed> {
        while self.in_flight < self.limits.in_flight_max {
            let endpoint = self.ring.pop_front()?;
            let Some(lane) = self.by_endpoint.get_mut(&endpoint) else { continue };
            lane.queued = false;
            let needed_until = now.later(self.lease_needed);
            while let Some(stale) = lane.waiting.pop_front_if(|front| front.lease.until < needed_until) {
                self.held_bytes -= weight(&stale);
                lane.backlog = true;
                self.stale.push(stale);
            }
            if !lane.may_start() {
                continue;
            }
            let Some(front) = lane.waiting.front() else { continue };
            let app = front.endpoint.app;
            let mut app_rate = match front.endpoint.app_rate_per_second {
                Some(per_second) => {
                    let rate = self.app_rates.entry(app).or_insert_with(|| RateLimit::new(per_second));
                    rate.set_rate(per_second);
                    Some(rate)
                }
                None => None,
            };
            let lane_ready = lane.rate.as_ref().map(RateLimit::ready_at);
            let ready_at = lane_ready.max(app_rate.as_ref().map(|rate| rate.ready_at()));
            if let Some(at) = ready_at.filter(|at| *at > now) {
                lane.queued = true;
                self.parked.push(Reverse((at, endpoint)));
                continue;
            }
            if let Some(rate) = &mut lane.rate {
                rate.take(now);
            }
            if let Some(rate) = &mut app_rate {
                rate.take(now);
            }
            let claimed = lane.waiting.pop_front()?;
            lane.in_flight += 1;
            self.in_flight += 1;
            self.held_bytes -= weight(&claimed);
            self.enqueue(endpoint);
            return Some(claimed);
        }
        None
    }

    /// What must go back to the store, to be claimed again with a fresh lease.
    pub(crate) fn take_stale(&mut self) -> Vec<Claimed> {
        std::mem::take(&mut self.stale)
    }

    /// An attempt is over; `None` when the delivery ended without one.
    pub(crate) fn finished(&mut self, endpoint: EndpointId, outcome: Option<&Outcome>, now: Timestamp) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let many = self.by_endpoint.len() > LANES_KEPT;
        let Some(lane) = self.by_endpoint.get_mut(&endpoint) else { return };
        lane.in_flight = lane.in_flight.saturating_sub(1);
        if let Some(outcome) = outcome {
            lane.concurrency.learn(outcome);
        }
        if lane.is_idle(now) && (many || lane.concurrency.is_healthy()) {
            self.by_endpoint.remove(&endpoint);
        } else {
            self.enqueue(endpoint);
        }
    }

    /// Whether to claim for this lane now, and how many; marks it as being refilled.
    pub(crate) fn wants_refill(&mut self, endpoint: EndpointId) -> Option<usize> {
        if self.held_bytes >= self.limits.held_bytes_max {
            return None;
        }
        let depth_max = self.limits.lane_depth_max;
        let lane = self.by_endpoint.get_mut(&endpoint)?;
        let room = depth_max.saturating_sub(lane.waiting.len());
        if !lane.backlog || lane.refilling || room < depth_max / 2 {
            return None;
        }
        lane.refilling = true;
        Some(room)
    }

    /// A claim came back; `more`: it returned as many as were asked for.
    pub(crate) fn refilled(&mut self, endpoint: EndpointId, more: bool) {
        if let Some(lane) = self.by_endpoint.get_mut(&endpoint) {
            lane.refilling = false;
            lane.backlog = more || std::mem::take(&mut lane.missed);
        }
    }

    /// The store has something for this endpoint, due at `due`.
    pub(crate) fn note_due(&mut self, endpoint: EndpointId, due: Timestamp, now: Timestamp) {
        if due <= now {
            let lane = self.by_endpoint.entry(endpoint).or_insert_with(Lane::new);
            lane.backlog = true;
            lane.missed |= lane.refilling;
        } else if self.hints.len() < HINTS_MAX {
            self.hints.push(Reverse((due, endpoint)));
        }
    }

    /// Moves on what time has freed: parked lanes into the ring, due hints into `due`.
    pub(crate) fn wake(&mut self, now: Timestamp) -> Vec<EndpointId> {
        while let Some(Reverse((at, endpoint))) = self.parked.peek().copied() {
            if at > now {
                break;
            }
            self.parked.pop();
            if self.by_endpoint.contains_key(&endpoint) {
                self.ring.push_back(endpoint);
            }
        }
        let mut due = Vec::new();
        while let Some(Reverse((at, endpoint))) = self.hints.peek().copied() {
            if at > now {
                break;
            }
            self.hints.pop();
            self.note_due(endpoint, at, now);
            due.push(endpoint);
        }
        due
    }

    /// When [`wake`](Self::wake) will next have something to do.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let parked = self.parked.peek().map(|Reverse((at, _))| *at);
        let hint = self.hints.peek().map(|Reverse((at, _))| *at);
        [parked, hint].into_iter().flatten().min()
    }

    /// Empties all lanes: what was claimed and not begun.
    pub(crate) fn give_back(&mut self) -> Vec<Claimed> {
        self.ring.clear();
        self.parked.clear();
        self.held_bytes = 0;
        let mut claimed = Vec::new();
        for lane in self.by_endpoint.values_mut() {
            lane.queued = false;
            claimed.extend(lane.waiting.drain(..));
        }
        claimed
    }

    fn enqueue(&mut self, endpoint: EndpointId) {
        if let Some(lane) = self.by_endpoint.get_mut(&endpoint)
            && !lane.queued
            && lane.may_start()
        {
            lane.queued = true;
            self.ring.push_back(endpoint);
        }
    }
}

fn weight(claimed: &Claimed) -> usize {
    claimed.message.body.as_ref().map_or(0, bytes::Bytes::len)
}

#[cfg(test)]
mod tests {
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
            created_at: NOW,
            deliver_at: None,
        };
        Claimed {
            environment: EnvironmentId(1),
            lease: Lease { token: 1, until: NOW.later(Duration::from_secs(60)) },
            message: Arc::new(message),
            endpoint: Arc::clone(endpoint),
            endpoint_deleted: false,
            attempts_made: 0,
            trigger: Trigger::Scheduled,
        }
    }

    fn lanes() -> Lanes {
        let limits = LaneLimits { lane_depth_max: 16, held_bytes_max: 1 << 20, in_flight_max: 12 };
        Lanes::new(limits, Duration::from_secs(15))
    }

    fn started(lanes: &mut Lanes, now: Timestamp) -> Vec<EndpointId> {
        std::iter::from_fn(|| lanes.next(now)).map(|claimed| claimed.endpoint.id).collect()
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
        assert_eq!(started(&mut lanes, NOW).len(), 1, "after eight timeouts it gets one attempt at a time");
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
        assert!(lanes.next(NOW).is_none());
    }
}
