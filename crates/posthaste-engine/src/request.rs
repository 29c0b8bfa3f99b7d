//! The request that a delivery becomes, for the client: what is in it is a rule of the core.

use std::time::Duration;

use posthaste_core::delivery::Claimed;
use posthaste_core::request::Outgoing;
use posthaste_core::time::Timestamp;

use crate::client::Outbound;

/// Signs `claimed` with every secret that is live at `now`.
pub(crate) fn build(claimed: &Claimed, now: Timestamp, timeout: Duration) -> Outbound {
    let Outgoing { method, url, query, headers, body } =
        Outgoing::build(&claimed.message, &claimed.endpoint, now);
    Outbound { method, url, query, headers, body, timeout }
}
