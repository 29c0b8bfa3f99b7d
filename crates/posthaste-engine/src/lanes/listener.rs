//! The lane of a listener: what it gets, it gets in order, whoever comes and goes.
//!
//! What was claimed goes back to the store when nobody listens, or when it waited too long, and then all of it: newer
//! deliveries must not pass those on their way back. So nothing is sent and nothing claimed until they are there.

use posthaste_core::delivery::Claimed;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::EndpointId;
use posthaste_core::time::Timestamp;

use super::{Lane, Lanes, weight};
use crate::forward::FORWARD_SLACK;

/// Whether what waits must go back: nobody listens, or its lease is too short by now. What ends without being sent may go
/// on.
pub(super) fn must_return(
    lane: &Lane,
    needed_until: Timestamp,
    may_send_to: &dyn Fn(&Endpoint) -> bool,
) -> bool {
    let Some(front) = lane.waiting.front() else { return false };
    let is_stale = front.lease.until < needed_until.later(FORWARD_SLACK);
    is_stale || front.undeliverable().is_none() && !may_send_to(&front.endpoint)
}

/// All of it goes back.
pub(super) fn return_all(lane: &mut Lane, held_bytes: &mut usize, stale: &mut Vec<Claimed>) {
    lane.returning = true;
    lane.overtaken = lane.refilling;
    lane.backlog = true;
    for claimed in lane.waiting.drain(..) {
        *held_bytes -= weight(&claimed);
        stale.push(claimed);
    }
}

impl Lanes {
    /// Somebody listens to this endpoint since just now: what waits is due.
    pub(crate) fn attend(&mut self, endpoint: EndpointId, now: Timestamp) {
        self.by_endpoint.entry(endpoint).or_insert_with(Lane::new).listener = true;
        self.note_due(endpoint, now, now);
    }

    /// It did not reach anybody: it is the first of its lane again.
    pub(crate) fn unsent(&mut self, claimed: Claimed) {
        let endpoint = claimed.endpoint.id;
        self.in_flight = self.in_flight.saturating_sub(1);
        self.held_bytes += weight(&claimed);
        let lane = self.by_endpoint.entry(endpoint).or_insert_with(Lane::new);
        lane.listener = true;
        lane.in_flight = lane.in_flight.saturating_sub(1);
        lane.waiting.push_front(claimed);
        self.enqueue(endpoint);
    }

    /// What was on its way back to the store is there.
    pub(crate) fn returned(&mut self, endpoint: EndpointId) {
        if let Some(lane) = self.by_endpoint.get_mut(&endpoint) {
            lane.returning = false;
        }
        self.enqueue(endpoint);
    }

    /// Takes in what a claim brought; `more`: there may be more. Returns it if it was overtaken: then it must go back
    /// before the claim is [over](Lanes::refilled).
    pub(crate) fn take_in(
        &mut self,
        endpoint: EndpointId,
        claimed: Vec<Claimed>,
        more: bool,
    ) -> Option<Vec<Claimed>> {
        if self.by_endpoint.get(&endpoint).is_some_and(|lane| lane.overtaken) {
            return Some(claimed);
        }
        self.refilled(endpoint, more);
        for one in claimed {
            self.push(one);
        }
        None
    }
}
