//! When to ask: with a third of its life left, and after failures ever more rarely.

use std::time::Duration;

use posthaste_core::dice::Dice;
use posthaste_core::time::Timestamp;

use crate::pair::Validity;

/// The wait after the first failure; each further one doubles it.
const BACKOFF_FIRST: Duration = Duration::from_secs(60);
/// The longest wait: authorities allow five failures a name and hour.
const BACKOFF_MAX: Duration = Duration::from_secs(60 * 60);
/// The shortest time between two certificates, unless they live for less than three times that.
const RENEWAL_APART: Duration = Duration::from_secs(24 * 60 * 60);
/// And then at least this.
const RENEWAL_APART_MIN: Duration = Duration::from_secs(1);
/// Chance takes up to this part of a wait away or adds it.
const JITTER: f64 = 0.2;

/// When a third of its life is left.
pub(super) fn renew_at(validity: Validity) -> Timestamp {
    let life = validity.not_after.since(validity.not_before);
    validity.not_after.earlier(life / 3)
}

/// The same for one that was issued just now. If our clock runs weeks ahead it looks old already: asking at once, and
/// again and again, would only use up what the authority allows.
pub(super) fn after_success(validity: Validity, now: Timestamp) -> Timestamp {
    let life = validity.not_after.since(validity.not_before);
    renew_at(validity).max(now.later((life / 3).clamp(RENEWAL_APART_MIN, RENEWAL_APART)))
}

/// How long to wait after so many failures in a row, and one more.
pub(super) fn backoff(failures: u32, dice: &dyn Dice) -> Duration {
    let wait = BACKOFF_FIRST.saturating_mul(1 << failures.min(16)).min(BACKOFF_MAX);
    wait.mul_f64(1.0 + JITTER * (2.0 * dice.unit() - 1.0))
}

#[cfg(test)]
mod tests {
    use posthaste_core::dice::TestDice;

    use super::*;

    #[test]
    fn a_certificate_is_renewed_with_a_third_of_its_life_left() {
        let days = |n: i64| Timestamp::from_secs(n * 24 * 60 * 60);
        let validity = |from, to| Validity { not_before: days(from), not_after: days(to) };
        assert_eq!(renew_at(validity(100, 190)), days(160));
        assert_eq!(renew_at(validity(100, 106)), days(104));
        assert_eq!(renew_at(validity(100, 90)), days(90), "one that never counted is due at once");
    }

    #[test]
    fn a_clock_that_runs_ahead_does_not_have_a_new_one_issued_at_every_turn() {
        let at = Timestamp::from_secs;
        let (day, quarter) = (24 * 60 * 60, 90 * 24 * 60 * 60);
        let validity = Validity { not_before: at(0), not_after: at(quarter) };
        assert_eq!(after_success(validity, at(0)), renew_at(validity));
        assert_eq!(after_success(validity, at(2 * quarter)), at(2 * quarter + day));
        let brief = Validity { not_before: at(0), not_after: at(9) };
        assert_eq!(after_success(brief, at(0)), at(6));
        assert_eq!(after_success(brief, at(100)), at(103));
        let none = Validity { not_before: at(9), not_after: at(0) };
        assert_eq!(after_success(none, at(100)), at(101));
    }

    #[test]
    fn waits_double_up_to_an_hour_and_never_overflow() {
        let dice = TestDice::seeded(1);
        for (failures, wait) in [(0, 60.0), (1, 120.0), (3, 480.0), (6, 3600.0), (1_000_000, 3600.0)] {
            let waited = backoff(failures, &dice).as_secs_f64();
            assert!((wait * 0.8..=wait * 1.2).contains(&waited), "{failures}: {waited}");
        }
    }
}
