//! When an endpoint is given up on: after days without one success, or at once when it says that it is gone.

use crate::attempt::{Attempt, FailureKind, Outcome};
use crate::limits::FAILING_BEFORE_DISABLE;
use crate::listener::is_listener;
use crate::time::Timestamp;

/// What an attempt means for its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Since when it has failed without a success in between.
    pub failing_since: Option<Timestamp>,
    /// Disable it now.
    pub disable: bool,
}

/// What `attempt` means for its endpoint, which was failing since `failing_since`. A listener is somebody's program under
/// construction: that it fails is no news, and it is never disabled for it.
pub fn after_attempt(attempt: &Attempt, failing_since: Option<Timestamp>, now: Timestamp) -> Health {
    if is_listener(&attempt.url) {
        return Health { failing_since: None, disable: false };
    }
    after(&attempt.outcome, failing_since, now)
}

fn after(outcome: &Outcome, failing_since: Option<Timestamp>, now: Timestamp) -> Health {
    if outcome.is_success() {
        return Health { failing_since: None, disable: false };
    }
    if is_our_trouble(outcome) {
        return Health { failing_since, disable: false };
    }
    let since = failing_since.unwrap_or(now);
    let disable = outcome.status_code() == 410 || now.since(since) >= FAILING_BEFORE_DISABLE;
    Health { failing_since: Some(since), disable }
}

/// What failed before anything could be said of the endpoint.
fn is_our_trouble(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(failure) if failure.kind == FailureKind::Resolver)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::{Failure, Reply, Timing, Trigger};
    use crate::dice::TestDice;
    use crate::id::{AttemptId, EndpointId, MessageId};
    use bytes::Bytes;
    use std::time::Duration;

    const MONDAY: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn failed() -> Outcome {
        Outcome::Failed(Failure { kind: FailureKind::Connect, detail: String::new() })
    }

    fn replied(status: u16) -> Outcome {
        Outcome::Replied(Reply { status, headers: vec![], body: Bytes::new(), truncated: false })
    }

    #[test]
    fn five_days_of_failures_disable_an_endpoint_and_one_success_forgives_them() {
        let first = after(&failed(), None, MONDAY);
        assert_eq!(first, Health { failing_since: Some(MONDAY), disable: false });
        let friday = MONDAY.later(Duration::from_hours(119));
        assert!(!after(&failed(), first.failing_since, friday).disable);
        let saturday = MONDAY.later(Duration::from_hours(120));
        assert!(after(&failed(), first.failing_since, saturday).disable);
        assert_eq!(after(&replied(204), first.failing_since, friday).failing_since, None);
    }

    #[test]
    fn a_resolver_that_is_away_says_nothing_of_an_endpoint() {
        let away = Outcome::Failed(Failure { kind: FailureKind::Resolver, detail: String::new() });
        assert_eq!(after(&away, None, MONDAY), Health { failing_since: None, disable: false });
        let years = MONDAY.later(Duration::from_hours(20_000));
        assert_eq!(after(&away, Some(MONDAY), years), Health { failing_since: Some(MONDAY), disable: false });
    }

    #[test]
    fn a_listener_is_never_disabled_for_failing() {
        let dice = TestDice::seeded(1);
        let attempt = |url: &str| Attempt {
            id: AttemptId::fresh(MONDAY, &dice),
            message: MessageId::fresh(MONDAY, &dice),
            endpoint: EndpointId::fresh(MONDAY, &dice),
            url: url.to_owned(),
            trigger: Trigger::Scheduled,
            started_at: MONDAY,
            timing: Timing::default(),
            remote: None,
            outcome: replied(410),
        };
        let years = MONDAY.later(Duration::from_hours(20_000));
        let forgiven = Health { failing_since: None, disable: false };
        assert_eq!(after_attempt(&attempt("listener:web"), Some(MONDAY), years), forgiven);
        assert!(after_attempt(&attempt("https://listener.example/"), Some(MONDAY), years).disable);
    }

    #[test]
    fn a_410_disables_at_once() {
        assert!(after(&replied(410), None, MONDAY).disable);
    }
}
