//! Who may claim for an endpoint with a rate limit. Of several nodes one owns it: only a limit that one alone keeps is kept.
//!
//! Ownership is for a while, by the clock of the database, and the owner makes it last longer as long as it uses it. So
//! nobody has to be told that it ended: it is over for its owner a little before it is over for the others.

use std::num::NonZeroU16;
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::id::{AppId, EndpointId, ID_BYTES};

/// How long an owner owns, counted from when its node last said that it lives.
pub const OWNED_FOR: Duration = Duration::from_secs(10);
/// How long what is no longer used is kept: longer than the longest rest that an endpoint in distress gets.
pub const KEPT_UNUSED: Duration = Duration::from_secs(6);
/// How far a rate limit may run ahead of an even spread: wide enough that a timer that fires late loses nothing.
pub const RATE_SLACK: Duration = Duration::from_millis(50);

/// What is owned: all that one rate limit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thing {
    /// An app with a rate: its endpoints belong together.
    App(AppId),
    /// An endpoint with a rate, of an app without.
    Endpoint(EndpointId),
}

impl Thing {
    /// As stored. Ids of different kinds are never the same.
    pub const fn as_bytes(&self) -> &[u8; ID_BYTES] {
        match self {
            Self::App(id) => id.as_bytes(),
            Self::Endpoint(id) => id.as_bytes(),
        }
    }
}

/// What has to be owned to send to this endpoint, and how long nobody may send after a change of owner: then a limit that
/// begins anew cannot be told from one that went on. `None`: every node may send. To a listener only the node can that it
/// is connected to.
pub fn thing_of(endpoint: &Endpoint) -> Option<(Thing, Duration)> {
    if endpoint.is_listener() {
        return None;
    }
    match (endpoint.app_rate_per_second, endpoint.rate_per_second) {
        (Some(rate), own) => Some((Thing::App(endpoint.app), pause(own.map_or(rate, |own| own.min(rate))))),
        (None, Some(rate)) => Some((Thing::Endpoint(endpoint.id), pause(rate))),
        (None, None) => None,
    }
}

/// The time from one attempt to the next, and by how much the one before may have been early.
fn pause(per_second: NonZeroU16) -> Duration {
    Duration::from_secs(1) / u32::from(per_second.get()) + RATE_SLACK
}

/// What is known of somebody who owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Which node; `None`: whoever it was has let go, and the pause is not over.
    pub node: Option<i32>,
    /// Its node says that it lives.
    pub alive: bool,
    /// Its time is over.
    pub lapsed: bool,
}

/// Whether the node `me` may own what this one holds, and so may claim for it.
pub fn may_own(holder: Option<Holder>, me: i32) -> bool {
    let Some(holder) = holder else { return true };
    match holder.node {
        Some(node) if node == me => true,
        Some(_) => holder.lapsed || !holder.alive,
        None => holder.lapsed,
    }
}

/// Whether an owner may still send, that owns for `left`: not in the last moments, which are the next one's pause.
pub fn may_send(left: Duration, pause: Duration) -> bool {
    left > pause
}

/// Whether an owner goes on to own what it has not used for `unused`.
pub fn is_kept(unused: Duration) -> bool {
    unused < KEPT_UNUSED
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: i32 = 7;
    const OTHER: i32 = 8;

    fn held_by(node: i32) -> Holder {
        Holder { node: Some(node), alive: true, lapsed: false }
    }

    #[test]
    fn what_nobody_owns_is_whose_who_comes_first() {
        assert!(may_own(None, ME));
    }

    #[test]
    fn what_is_ours_stays_ours_until_another_one_takes_it() {
        assert!(may_own(Some(held_by(ME)), ME));
        assert!(may_own(Some(Holder { lapsed: true, ..held_by(ME) }), ME));
    }

    #[test]
    fn what_another_node_owns_is_ours_once_its_time_is_over_or_it_is_dead() {
        assert!(!may_own(Some(held_by(OTHER)), ME));
        assert!(may_own(Some(Holder { lapsed: true, ..held_by(OTHER) }), ME));
        assert!(may_own(Some(Holder { alive: false, ..held_by(OTHER) }), ME));
    }

    #[test]
    fn what_was_let_go_of_rests_until_its_pause_is_over() {
        let let_go = Holder { node: None, alive: false, lapsed: false };
        assert!(!may_own(Some(let_go), ME));
        assert!(may_own(Some(Holder { lapsed: true, ..let_go }), ME));
    }

    #[test]
    fn an_owner_sends_nothing_in_its_last_moments() {
        let pause = pause(NonZeroU16::new(20).expect("not zero"));
        assert_eq!(pause, Duration::from_millis(100));
        assert!(may_send(Duration::from_millis(101), pause));
        assert!(!may_send(pause, pause));
        assert!(!may_send(Duration::ZERO, pause));
    }

    #[test]
    fn what_rests_in_distress_is_kept_and_what_is_idle_is_not() {
        assert!(is_kept(Duration::from_secs(5)));
        assert!(!is_kept(KEPT_UNUSED));
    }
}
