//! What is owed: how much, for how long, and to whom it does not get through.

use std::time::Duration;

use posthaste_core::limits::FAILING_BEFORE_DISABLE;
use posthaste_core::time::Timestamp;
use posthaste_store::sqlite::survey::Survey;

use super::finding::{About, Finding};
use crate::words;

/// What is due and waits for longer than this is held up by something.
const DUE_AGE_MAX: Duration = Duration::from_mins(5);
const BACKLOG: About = About("Queue", "backlog");
const ENDPOINTS: About = About("Queue", "endpoints");
const DEAD: About = About("Queue", "dead letters");

pub(super) fn queue(survey: &Survey, server_runs: bool, now: Timestamp) -> [Finding; 3] {
    [backlog(survey, server_runs, now), endpoints(survey, now), dead_letters(survey)]
}

fn backlog(survey: &Survey, server_runs: bool, now: Timestamp) -> Finding {
    let waiting = words::grouped(survey.waiting_count);
    let in_flight = words::grouped(survey.in_flight_count);
    let age = survey.oldest_due.map(|due| now.since(due)).unwrap_or_default();
    if age.is_zero() {
        return BACKLOG
            .good(format!("nothing is late: {waiting} wait for their time, {in_flight} in flight"));
    }
    let says =
        format!("{waiting} wait, {in_flight} in flight; the oldest has been due for {}", words::span(age));
    if age <= DUE_AGE_MAX {
        BACKLOG.good(says)
    } else if server_runs {
        BACKLOG.warning(says, "is a receiver slow, or a rate limit low? See the endpoints' attempts")
    } else {
        BACKLOG.warning(says, "no server runs on this store: start `posthaste serve`")
    }
}

fn endpoints(survey: &Survey, now: Timestamp) -> Finding {
    let all = words::count(survey.endpoints_count, "endpoint");
    let disabled = match survey.disabled_count {
        0 => String::new(),
        count => format!(", {} disabled", words::grouped(count)),
    };
    match (survey.failing_count, survey.failing_since) {
        (1.., Some(since)) => ENDPOINTS.warning(
            format!(
                "{all}{disabled}; {} failing, the longest for {}",
                words::grouped(survey.failing_count),
                words::span(now.since(since))
            ),
            format!(
                "after {} without a success an endpoint is disabled: tell its owner",
                words::span(FAILING_BEFORE_DISABLE)
            ),
        ),
        _ => ENDPOINTS.good(format!("{all}{disabled}, none failing")),
    }
}

fn dead_letters(survey: &Survey) -> Finding {
    let all = words::grouped(survey.dead_count);
    if survey.dead_lately_count == 0 {
        return DEAD.good(format!("none of the last day's messages; {all} in all"));
    }
    DEAD.warning(
        format!("{} of the last day's messages; {all} in all", words::grouped(survey.dead_lately_count)),
        "see why in their attempts; once mended, `recover` of the endpoint sends them again",
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Mark;
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn survey() -> Survey {
        Survey {
            schema: 3,
            schema_known: 3,
            fault: None,
            secret_fits: Some(true),
            bytes: 1 << 20,
            messages_count: 5,
            messages_lately_count: 5,
            newest_at: Some(NOW),
            oldest_at: Some(NOW),
            waiting_count: 2,
            in_flight_count: 1,
            oldest_due: None,
            dead_count: 0,
            dead_lately_count: 0,
            endpoints_count: 2,
            disabled_count: 0,
            failing_count: 0,
            failing_since: None,
        }
    }

    #[test]
    fn what_waits_for_its_time_is_well_and_what_is_late_is_not() {
        let hour = Duration::from_hours(1);
        let ahead = Survey { oldest_due: Some(NOW.later(hour)), ..survey() };
        assert_eq!(backlog(&ahead, true, NOW).mark, Mark::Good);
        let late = Survey { oldest_due: Some(NOW.earlier(hour)), ..survey() };
        let said = backlog(&late, false, NOW);
        assert_eq!((said.mark, said.says.contains("due for 1 h")), (Mark::Warning, true));
        assert!(said.mend.unwrap().contains("posthaste serve"));
    }

    #[test]
    fn endpoints_that_fail_and_dead_letters_are_worth_a_look() {
        let failing = Survey { failing_count: 1, failing_since: Some(NOW), dead_lately_count: 3, ..survey() };
        let marks = queue(&failing, true, NOW).map(|finding| finding.mark);
        assert_eq!(marks, [Mark::Good, Mark::Warning, Mark::Warning]);
        assert_eq!(queue(&survey(), true, NOW).map(|finding| finding.mark), [Mark::Good; 3]);
    }
}
