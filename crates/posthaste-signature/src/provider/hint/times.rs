//! Clocks: the signature is right, and the time is not.

/// A day: nearer than that, a time in the wrong unit is about now.
const NEAR_SECS: u64 = 86_400;
/// The largest distance of a time zone from UTC.
const ZONE_HOURS_MAX: u64 = 14;

pub(super) fn expired(age_secs: u64, now: i64) -> String {
    let at = i64::try_from(age_secs).ok().and_then(|age| now.checked_sub(age));
    if at.and_then(|at| at.checked_mul(1000)).is_some_and(|at| now.abs_diff(at) < 1000 + NEAR_SECS) {
        return "The signature itself is right. Its time is in seconds, and was read as milliseconds."
            .to_owned();
    }
    format!(
        "The signature itself is right. Either this is an old request sent again, or this clock is ahead of the \
         sender's by about {age_secs} s{}.",
        zone(age_secs)
    )
}

pub(super) fn future(ahead_secs: u64, now: i64) -> String {
    let at = i64::try_from(ahead_secs).ok().and_then(|ahead| now.checked_add(ahead));
    if at.is_some_and(|at| now.abs_diff(at / 1000) < NEAR_SECS) {
        return "The signature itself is right. Its time is in milliseconds, and was read as seconds."
            .to_owned();
    }
    format!(
        "The signature itself is right. This clock is behind the sender's by about {ahead_secs} s{}.",
        zone(ahead_secs)
    )
}

/// Whole hours are a time zone.
fn zone(distance_secs: u64) -> &'static str {
    let hours = distance_secs.saturating_add(60) / 3600;
    let whole = hours > 0 && hours <= ZONE_HOURS_MAX && distance_secs.abs_diff(hours * 3600) <= 60;
    if whole { ", whole hours: one of the two takes local time for UTC" } else { "" }
}
