//! What can be made to go wrong on purpose.
//!
//! A *point* is a named instant at which a test may end the process, let it panic or hold it up: `point!("a.name")`.
//! A *planted bug* is a mistake that this code could have made; a test plants it to see that the harness would find it.
//! Without the feature `faults`, which no release has, both are nothing: not a branch, not a string.

#[cfg(feature = "faults")]
mod armed;
mod bug;

#[cfg(feature = "faults")]
pub use armed::{Action, Watch, arm, hit, plant, planted, watch};
pub use bug::Bug;

/// Every point, by the step that it is in. A test holds this list against the code.
pub const POINTS: &[&str] = &[
    // Taking a message in.
    "accept.parsed",
    "accept.message_inserted",
    "accept.half_fanned_out",
    "accept.inserted",
    "accept.answering",
    // Taking a provider's request in.
    "receive.verified",
    "receive.key_taken",
    "receive.inserted",
    // Any transaction of the writing thread, and what it does with it afterwards.
    "commit.before",
    "commit.after",
    "commit.handed_over",
    // Taking due deliveries out of the queue.
    "claim.leased",
    "claim.committed",
    // One attempt.
    "send.claimed",
    "send.resolved",
    "send.connected",
    "send.head_received",
    "send.body_read",
    // Writing down what came of it.
    "record.before",
    "record.attempt_inserted",
    "record.delivered",
    "record.retry_scheduled",
    "record.dead_lettered",
    "record.endpoint_disabled",
    "record.committed",
    // Putting dead letters back.
    "recover.created",
    "recover.half_put_back",
    "recover.cursor_saved",
    // A new signing secret.
    "rotate.rotated",
    // Forgetting what is older than the retention.
    "retention.half_forgotten",
    // Starting.
    "migrate.half_applied",
    "migrate.applied",
    "take_over.half_put_back",
    // Leaving.
    "drain.begun",
    "drain.released",
];

/// Marks a point. Nothing without the feature `faults`.
#[cfg(feature = "faults")]
#[macro_export]
macro_rules! point {
    ($name:literal) => {
        $crate::hit($name)
    };
}

/// Marks a point. Nothing without the feature `faults`.
#[cfg(not(feature = "faults"))]
#[macro_export]
macro_rules! point {
    ($name:literal) => {{}};
}

/// Whether `bug` was planted: never, without the feature `faults`.
#[cfg(not(feature = "faults"))]
#[inline]
pub const fn planted(_: Bug) -> bool {
    false
}
