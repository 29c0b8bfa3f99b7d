//! What a source tells its provider when a request was taken: the same each time, or, to see how a sender bears it, one
//! status after the other and now and then a failure.

use std::num::NonZeroU8;
use std::time::Duration;

/// What is said instead, when chance has it that a request fails.
pub const FAILED_STATUS: u16 = 500;
/// Statuses whose answers have no body (RFC 9110 §15.3.5, §15.3.6 and §15.4.5).
const BODILESS: [u16; 3] = [204, 205, 304];

/// What a provider is told when a request was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// How long the answer is held back.
    pub delay: Duration,
    /// The status codes of the first requests, one after the other, in place of `status`; the last is that of all that
    /// follow.
    pub sequence: Vec<u16>,
    /// Of a hundred requests, how many are answered with [`FAILED_STATUS`], whatever else is said here.
    pub fail_percent: Option<NonZeroU8>,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: String::new(),
            delay: Duration::ZERO,
            sequence: Vec::new(),
            fail_percent: None,
        }
    }
}

impl Answer {
    /// The status for the request that comes after `before` others; `throw` is a number in `0.0..1.0`.
    pub fn status_of(&self, before: u64, throw: f64) -> u16 {
        if self.fail_percent.is_some_and(|percent| throw * 100.0 < f64::from(percent.get())) {
            return FAILED_STATUS;
        }
        let turn = usize::try_from(before).unwrap_or(usize::MAX);
        self.sequence.get(turn).or(self.sequence.last()).copied().unwrap_or(self.status)
    }

    /// Whether anything is said here, or all of it is left to the provider's row.
    pub fn is_usual(&self) -> bool {
        let Self { status, headers, body, delay: _, sequence, fail_percent } = self;
        (*status, fail_percent) == (200, &None)
            && headers.is_empty()
            && body.is_empty()
            && sequence.is_empty()
    }
}

/// Whether an answer of this status can have a body.
pub fn may_have_body(status: u16) -> bool {
    !BODILESS.contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_walked_request_by_request_and_stays_at_its_last() {
        let answer = Answer { sequence: vec![500, 503, 200], ..Answer::default() };
        let told: Vec<_> = [0, 1, 2, 3, u64::MAX].map(|before| answer.status_of(before, 0.0)).into();
        assert_eq!(told, [500, 503, 200, 200, 200]);
        assert_eq!(Answer { status: 202, ..Answer::default() }.status_of(7, 0.0), 202);
    }

    #[test]
    fn of_a_hundred_requests_as_many_fail_as_was_asked_for() {
        let answer = |percent| Answer {
            fail_percent: NonZeroU8::new(percent),
            sequence: vec![201],
            ..Answer::default()
        };
        for (percent, failed_count) in [(0, 0), (1, 1), (30, 30), (100, 100)] {
            let told = (0..100_u8).map(|throw| answer(percent).status_of(9, f64::from(throw) / 100.0));
            assert_eq!(told.filter(|status| *status == FAILED_STATUS).count(), failed_count, "{percent}");
        }
    }

    #[test]
    fn an_answer_that_says_nothing_is_left_to_the_provider() {
        let usual = Answer { delay: Duration::from_secs(1), ..Answer::default() };
        assert!(usual.is_usual());
        for said in [
            Answer { status: 202, ..usual.clone() },
            Answer { body: "ok".to_owned(), ..usual.clone() },
            Answer { headers: vec![("x-a".to_owned(), "1".to_owned())], ..usual.clone() },
            Answer { sequence: vec![200], ..usual.clone() },
            Answer { fail_percent: NonZeroU8::new(1), ..usual.clone() },
        ] {
            assert!(!said.is_usual(), "{said:?}");
        }
    }
}
