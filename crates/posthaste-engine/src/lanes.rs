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
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::{AppId, EndpointId};
use posthaste_core::time::Timestamp;

use crate::pressure::{Concurrency, RateLimit};

/// How much this process holds and does at once.
#[derive(Debug, Clone, Copy)]
pub struct LaneLimits {
    /// Claimed deliveries that wait in one lane.
    pub lane_depth_max: usize,
    /// Bytes of bodies and headers that wait in all lanes together.
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
/// Claimed deliveries that wait in the lane of an endpoint in distress, for each attempt that it may have at once: what
/// can begin before its lease is over. More would go back and forth, and take the room of others.
const DISTRESSED_DEPTH: usize = 8;
/// Claimed deliveries that wait in the lane of a listener, which gets one at a time: they go back when it leaves.
const LISTENER_DEPTH: usize = 8;
/// Idle lanes are forgotten once there are more than this.
const LANES_KEPT: usize = 10_000;

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing about the store or the ring")]
struct Lane {
    waiting: VecDeque<Claimed>,
    in_flight: u32,
    concurrency: Concurrency,
    rate: Option<RateLimit>,
    /// It is in distress: nothing begins before.
    rests_until: Timestamp,
    /// The store has more for this endpoint.
    backlog: bool,
    /// A claim is under way.
    refilling: bool,
    /// Something fell due while it was: the claim may have come too early to see it.
    missed: bool,
    /// It stands in the ring, or is parked until its rate limit lets it.
    queued: bool,
    /// It is a listener's: one at a time, in order.
    listener: bool,
    /// What it held is on its way back to the store, and until it is there nothing newer may be sent.
    returning: bool,
    /// What the claim under way brings comes after that, and goes back too.
    overtaken: bool,
}

impl Lane {
    fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            in_flight: 0,
            concurrency: Concurrency::start(),
            rate: None,
            rests_until: Timestamp::EPOCH,
            backlog: false,
            refilling: false,
            missed: false,
            queued: false,
            listener: false,
            returning: false,
            overtaken: false,
        }
    }

    fn may_start(&self) -> bool {
        let at_once = if self.listener { 1 } else { self.concurrency.limit() };
        !self.waiting.is_empty() && !self.returning && self.in_flight < at_once
    }

    fn depth_max(&self, limits: LaneLimits) -> usize {
        if self.listener {
            return limits.lane_depth_max.min(LISTENER_DEPTH);
        }
        if self.concurrency.is_healthy() {
            return limits.lane_depth_max;
        }
        let at_once = usize::try_from(self.concurrency.limit()).unwrap_or(1);
        limits.lane_depth_max.min(at_once * DISTRESSED_DEPTH)
    }

    fn learn(&mut self, outcome: &Outcome, now: Timestamp) {
        if let Some(rest) = self.concurrency.learn(outcome, self.rests_until > now) {
            self.rests_until = now.later(rest);
        }
    }

    fn is_idle(&self, now: Timestamp) -> bool {
        self.waiting.is_empty()
            && self.in_flight == 0
            && !self.backlog
            && !self.refilling
            && !self.returning
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
        let limits = self.limits;
        let lane = self.by_endpoint.entry(endpoint).or_insert_with(Lane::new);
        let room = !full && !lane.backlog && lane.waiting.len() < lane.depth_max(limits);
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
        lane.listener = claimed.endpoint.is_listener();
        lane.waiting.push_back(claimed);
        self.enqueue(endpoint);
    }

    /// The next delivery whose turn it is, if any may start now. `may_send_to`: whether this node may send to an endpoint
    /// with a rate at all; what it may not goes back to the store.
    pub(crate) fn next(
        &mut self,
        now: Timestamp,
        may_send_to: &dyn Fn(&Endpoint) -> bool,
    ) -> Option<Claimed> {
        while self.in_flight < self.limits.in_flight_max {
            let endpoint = self.ring.pop_front()?;
            let Some(lane) = self.by_endpoint.get_mut(&endpoint) else { continue };
            lane.queued = false;
            let needed_until = now.later(self.lease_needed);
            if lane.listener && listener::must_return(lane, needed_until, may_send_to) {
                listener::return_all(lane, &mut self.held_bytes, &mut self.stale);
                continue;
            }
            while let Some(stale) = lane.waiting.pop_front_if(|front| front.lease.until < needed_until) {
                self.held_bytes -= weight(&stale);
                lane.backlog = true;
                self.stale.push(stale);
            }
            if !lane.may_start() {
                continue;
            }
            let Some(front) = lane.waiting.front() else { continue };
            if !lane.listener && !may_send_to(&front.endpoint) {
                for lost in lane.waiting.drain(..) {
                    self.held_bytes -= weight(&lost);
                    self.stale.push(lost);
                }
                continue;
            }
            let app = front.endpoint.app;
            let mut app_rate = match front.endpoint.app_rate_per_second {
                Some(per_second) => {
                    let rate = self.app_rates.entry(app).or_insert_with(|| RateLimit::new(per_second));
                    rate.set_rate(per_second);
                    Some(rate)
                }
                None => None,
            };
            let lane_ready = lane.rate.as_mut().map(|rate| rate.ready_at(now));
            let app_ready = app_rate.as_mut().map(|rate| rate.ready_at(now));
            let at = lane_ready.max(app_ready).max(Some(lane.rests_until)).unwrap_or(now);
            if at > now {
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
            lane.learn(outcome, now);
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
        let limits = self.limits;
        let lane = self.by_endpoint.get_mut(&endpoint)?;
        let depth_max = lane.depth_max(limits);
        let room = depth_max.saturating_sub(lane.waiting.len());
        if !lane.backlog || lane.refilling || lane.returning || room < depth_max / 2 {
            return None;
        }
        lane.refilling = true;
        Some(room)
    }

    /// A claim came back; `more`: it returned as many as were asked for.
    pub(crate) fn refilled(&mut self, endpoint: EndpointId, more: bool) {
        if let Some(lane) = self.by_endpoint.get_mut(&endpoint) {
            lane.refilling = false;
            lane.overtaken = false;
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

    /// Parked lanes go into the ring: when they may go on was said by a clock that was ahead.
    pub(crate) fn clock_was_set_back(&mut self) {
        for lane in self.by_endpoint.values_mut() {
            lane.rests_until = Timestamp::EPOCH;
        }
        let parked = std::mem::take(&mut self.parked);
        self.ring.extend(parked.into_iter().map(|Reverse((_, endpoint))| endpoint));
    }

    /// When [`wake`](Self::wake) will next have something to do.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let parked = self.parked.peek().map(|Reverse((at, _))| *at);
        let hint = self.hints.peek().map(|Reverse((at, _))| *at);
        [parked, hint].into_iter().flatten().min()
    }

    /// Empties all lanes: what was claimed and not begun, in the order of its keys.
    pub(crate) fn give_back(&mut self) -> Vec<Claimed> {
        self.ring.clear();
        self.parked.clear();
        self.held_bytes = 0;
        let mut claimed = Vec::new();
        for lane in self.by_endpoint.values_mut() {
            lane.queued = false;
            claimed.extend(lane.waiting.drain(..));
        }
        claimed.sort_unstable_by_key(Claimed::key);
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
    claimed.message.weight()
}

mod listener;
#[cfg(test)]
mod tests;
