//! The mistakes that webhook senders have been seen to make, so that they can be made here on purpose.

/// A mistake that a test can plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Bug {
    /// Deliveries are written after the transaction of their message.
    FanOutAfterCommit,
    /// The caller hears 2xx before the transaction is on disk.
    AckBeforeCommit,
    /// A record moves the delivery, whoever holds its lease by now.
    LeaseWithoutToken,
    /// The attempt and the delivery's next state are two transactions.
    RetryOutsideRecord,
    /// A commit does not wait for the disk.
    SyncOff,
    /// Fan-out asks a list of endpoints that was true a while ago.
    StaleFanOut,
    /// The idempotency key is written after the transaction of its message.
    KeyOutsideAccept,
    /// The deadline of an attempt ends with the head of the answer.
    TimeoutWithoutBody,
    /// All retries of a step come at the same instant.
    NoJitter,
    /// A receiver's `Retry-After` is believed, whatever it says.
    RetryAfterUnclamped,
    /// A node takes over from others that were heard of a moment ago.
    TakeOverWithoutSilence,
    /// A claim does not lock what it found before it takes it.
    ClaimWithoutLock,
    /// A COMMIT whose answer did not come counts as one that took place.
    UnknownIsDone,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::FanOutAfterCommit,
        Self::AckBeforeCommit,
        Self::LeaseWithoutToken,
        Self::RetryOutsideRecord,
        Self::SyncOff,
        Self::StaleFanOut,
        Self::KeyOutsideAccept,
        Self::TimeoutWithoutBody,
        Self::NoJitter,
        Self::RetryAfterUnclamped,
        Self::TakeOverWithoutSilence,
        Self::ClaimWithoutLock,
        Self::UnknownIsDone,
    ];

    /// As it is written in `POSTHASTE_PLANT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FanOutAfterCommit => "fan-out-after-commit",
            Self::AckBeforeCommit => "ack-before-commit",
            Self::LeaseWithoutToken => "lease-without-token",
            Self::RetryOutsideRecord => "retry-outside-record",
            Self::SyncOff => "sync-off",
            Self::StaleFanOut => "stale-fan-out",
            Self::KeyOutsideAccept => "key-outside-accept",
            Self::TimeoutWithoutBody => "timeout-without-body",
            Self::NoJitter => "no-jitter",
            Self::RetryAfterUnclamped => "retry-after-unclamped",
            Self::TakeOverWithoutSilence => "take-over-without-silence",
            Self::ClaimWithoutLock => "claim-without-lock",
            Self::UnknownIsDone => "unknown-is-done",
        }
    }
}
