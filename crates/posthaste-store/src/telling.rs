//! What is told to operational webhooks, and in whose names.

use posthaste_core::attempt::Attempt;
use posthaste_core::delivery::{DeadLetter, Verdict};
use posthaste_core::id::EndpointId;
use posthaste_core::limits::ATTEMPTS_BEFORE_FAILING;
use posthaste_core::name::Uid;
use posthaste_core::operational::{AttemptNames, EndpointNames, Operational};

use crate::known::KnownApp;

/// How an endpoint is named.
pub(crate) fn names(app: &KnownApp, endpoint: EndpointId) -> EndpointNames {
    EndpointNames {
        app: app.app.id,
        app_uid: app.app.uid.clone(),
        endpoint,
        endpoint_uid: app.endpoint(endpoint).and_then(|endpoint| endpoint.uid.clone()),
    }
}

/// How an attempt is named.
pub(crate) fn attempt_names(app: &KnownApp, attempt: &Attempt, event_id: Option<Uid>) -> AttemptNames {
    AttemptNames {
        app: app.app.id,
        app_uid: app.app.uid.clone(),
        endpoint: attempt.endpoint,
        message: attempt.message,
        event_id,
        attempt: attempt.id,
        at: attempt.started_at,
        status: attempt.outcome.status_code(),
    }
}

/// What the last attempt of a delivery is worth telling, by how it went on and how many attempts there were.
pub(crate) fn worth_telling(verdict: Verdict, attempts: u32) -> Option<fn(AttemptNames) -> Operational> {
    match verdict {
        Verdict::Delivered if attempts > ATTEMPTS_BEFORE_FAILING => Some(Operational::AttemptRecovered),
        Verdict::RetryAt(_) if attempts == ATTEMPTS_BEFORE_FAILING => Some(Operational::AttemptFailing),
        Verdict::GiveUp(DeadLetter::Exhausted | DeadLetter::Gone) => Some(Operational::AttemptExhausted),
        _ => None,
    }
}
