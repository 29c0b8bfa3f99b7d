//! A delivery: one message owed to one endpoint. The unit of scheduling, of failure and of replay.
//!
//! ```text
//!             ┌───────────── retry ──────────────┐
//!             ▼                                  │
//! accept ─► Waiting{due} ── claim ─► InFlight{lease} ──► Delivered
//!             ▲                                  │
//!             └── resend, recover ── DeadLettered{why} ◄─┘
//! ```

use std::sync::Arc;

use crate::attempt::Trigger;
use crate::endpoint::Endpoint;
use crate::id::{EndpointId, MessageId};
use crate::message::Message;
use crate::tenant::EnvironmentId;
use crate::time::Timestamp;

/// Names a delivery: a message is owed to an endpoint once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryKey {
    /// What is owed.
    pub message: MessageId,
    /// To whom.
    pub endpoint: EndpointId,
}

/// Who may act on a delivery, and until when. The token fences the record: whoever lost the lease changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Different for each claim.
    pub token: i64,
    /// When others may take the delivery.
    pub until: Timestamp,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// Owed; nobody acts on it until `due`.
    Waiting {
        /// When it should be tried.
        due: Timestamp,
    },
    /// Somebody acts on it.
    InFlight {
        /// Who, and until when.
        lease: Lease,
    },
    /// The endpoint took it.
    Delivered,
    /// It ended undelivered.
    DeadLettered {
        /// Why.
        why: DeadLetter,
    },
}

/// Why a delivery ended undelivered. Kept with it, shown with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetter {
    /// Every attempt of the retry schedule failed.
    Exhausted,
    /// The endpoint answered 410: it is gone, and was disabled.
    Gone,
    /// The endpoint was disabled while this was waiting.
    EndpointDisabled,
    /// The endpoint was deleted while this was waiting.
    EndpointDeleted,
    /// The body was expunged, or its retention ended, before it could be sent.
    ContentGone,
}

impl DeadLetter {
    /// The word that the store, logs and metrics use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Gone => "gone",
            Self::EndpointDisabled => "endpoint_disabled",
            Self::EndpointDeleted => "endpoint_deleted",
            Self::ContentGone => "content_gone",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Self> {
        let all =
            [Self::Exhausted, Self::Gone, Self::EndpointDisabled, Self::EndpointDeleted, Self::ContentGone];
        all.into_iter().find(|why| why.word() == word)
    }
}

/// A delivery with all that is needed to act on it.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The environment that it belongs to.
    pub environment: EnvironmentId,
    /// The right to act.
    pub lease: Lease,
    /// What to send.
    pub message: Arc<Message>,
    /// Where to, with its secrets, as of the claim.
    pub endpoint: Arc<Endpoint>,
    /// The endpoint was deleted since: the delivery must end, not be sent.
    pub endpoint_deleted: bool,
    /// Nobody listened for [`LISTENER_WAIT_MAX`](crate::limits::LISTENER_WAIT_MAX): it must end, likewise.
    pub forsaken: bool,
    /// Attempts made since it was accepted or last put back by hand.
    pub attempts_made: u32,
    /// Why it is tried now.
    pub trigger: Trigger,
}

impl Claimed {
    /// Names the delivery.
    pub fn key(&self) -> DeliveryKey {
        DeliveryKey { message: self.message.id, endpoint: self.endpoint.id }
    }

    /// Why it must end without an attempt, if it must.
    pub fn undeliverable(&self) -> Option<DeadLetter> {
        if self.endpoint_deleted {
            Some(DeadLetter::EndpointDeleted)
        } else if self.endpoint.disabled
            && (self.trigger == Trigger::Scheduled || self.endpoint.is_listener())
        {
            // Nobody can listen to one that is disabled.
            Some(DeadLetter::EndpointDisabled)
        } else if self.message.body.is_none() {
            Some(DeadLetter::ContentGone)
        } else if self.forsaken {
            Some(DeadLetter::Exhausted)
        } else {
            None
        }
    }
}

/// What follows from an attempt, or from there being none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint took it.
    Delivered,
    /// Try again then.
    RetryAt(Timestamp),
    /// End it.
    GiveUp(DeadLetter),
}

impl Verdict {
    /// The state that the delivery moves to.
    pub const fn state(self) -> DeliveryState {
        match self {
            Self::Delivered => DeliveryState::Delivered,
            Self::RetryAt(due) => DeliveryState::Waiting { due },
            Self::GiveUp(why) => DeliveryState::DeadLettered { why },
        }
    }
}
