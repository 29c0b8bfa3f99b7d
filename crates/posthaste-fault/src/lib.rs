//! What can be made to go wrong on purpose.
//!
//! A *point* is a named instant at which a test may end the process, let it panic or hold it up: `point!("a.name")`.
//! A *planted bug* is a mistake that this code could have made; a test plants it to see that the harness would find it.
//! Without the feature `faults`, which no release has, both are nothing: not a branch, not a string.

#[cfg(feature = "faults")]
mod armed;
mod bug;

#[cfg(feature = "faults")]
pub use armed::{Action, Watch, arm, hit, plant, planted, plays_next_version, watch};
pub use bug::Bug;

/// Every point: those that any server passes, those of each store, and those between the two. A test holds these lists against the code.
pub const POINTS: [&[&str]; 4] = [ANYWHERE, EMBEDDED, POSTGRES, IMPORT];

/// Points in front of the store, by the step that they are in.
pub const ANYWHERE: &[&str] = &[
    // Taking a message in.
    "accept.parsed",
    "accept.answering",
    // Taking a provider's request in.
    "receive.verified",
    // Taking due deliveries out of the queue.
    "claim.committed",
    // One attempt.
    "send.claimed",
    "send.resolved",
    "send.connected",
    "send.head_received",
    "send.body_read",
    // Writing down what came of it.
    "record.before",
    "record.committed",
    // Leaving.
    "drain.begun",
    "drain.released",
];

/// Points in the embedded store.
pub const EMBEDDED: &[&str] = &[
    // Taking a message in.
    "accept.message_inserted",
    "accept.half_fanned_out",
    "accept.inserted",
    // Taking a provider's request in.
    "receive.key_taken",
    "receive.inserted",
    // Any transaction of the writing thread, and what it does with it afterwards.
    "commit.before",
    "commit.after",
    "commit.handed_over",
    // Taking due deliveries out of the queue.
    "claim.leased",
    // Writing down what came of an attempt.
    "record.attempt_inserted",
    "record.delivered",
    "record.retry_scheduled",
    "record.dead_lettered",
    "record.endpoint_disabled",
    // Putting dead letters back.
    "recover.created",
    "recover.half_put_back",
    "recover.cursor_saved",
    "replay.half_put_back",
    // A new signing secret.
    "rotate.rotated",
    // Forgetting what is older than the retention.
    "retention.half_forgotten",
    // Starting.
    "migrate.half_applied",
    "migrate.applied",
    "take_over.half_put_back",
];

/// Points in the store over PostgreSQL.
pub const POSTGRES: &[&str] = &[
    // A batch of a writer: taken, looked up, entered, recorded, claimed, committed, and not yet answered.
    "batch.taken",
    "batch.looked_up",
    "batch.keys_taken",
    "batch.entered",
    "batch.moved",
    "batch.claimed",
    "batch.answering",
    // A COMMIT whose answer did not come, before a look at whether it took place.
    "batch.unknown",
    // Any transaction.
    "transaction.written",
    "transaction.committed",
    "transaction.handed_over",
    // Putting dead letters back.
    "job.half_stepped",
    "replay.half_stepped",
    // Forgetting what is older than the retention.
    "forget.half_forgotten",
    // A node: it joins, says that it lives, and takes over from one that does not.
    "node.joined",
    "node.beaten",
    "node.half_taken_over",
    "node.taken_over",
    // Making the schema.
    "schema.half_applied",
    "schema.applied",
];

/// Points on the way from the embedded store to PostgreSQL, which no server passes.
pub const IMPORT: &[&str] =
    &["import.begun", "import.chunk_written", "import.chunk_committed", "import.checked"];

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

/// Whether this process plays a version that is yet to be released: never, without the feature `faults`.
#[cfg(not(feature = "faults"))]
#[inline]
pub const fn plays_next_version() -> bool {
    false
}
