//! The machine: room on the disk, the clock, how many sockets we may open.

use std::time::Duration;

use posthaste_core::time::Timestamp;
use posthaste_store::sqlite::survey::Survey;

use super::LATELY;
use super::finding::{About, Finding};
use crate::config::Settings;
use crate::words;

/// Less than this, and the next commit may fail.
const ROOM_MIN: u64 = 256 << 20;
/// Less than this is worth a look.
const ROOM_LOW: u64 = 2 << 30;
/// At the growth of the last day, room should last at least this long.
const ROOM_LASTS_MIN: Duration = Duration::from_hours(7 * 24);
/// A clock before this version was written is not set.
const CLOCK_MIN: Timestamp = Timestamp::from_secs(1_767_225_600);
/// A message from further ahead was accepted under another clock.
const AHEAD_MAX: Duration = Duration::from_mins(1);
/// By how much the clock may move against the monotonic one while we look.
const DRIFT_MAX: Duration = Duration::from_secs(1);
/// Sockets for some thousand connections, in and out.
const OPEN_FILES_MIN: u64 = 16_384;
const DISK: About = About("Machine", "disk");
const CLOCK: About = About("Machine", "clock");
const OPEN_FILES: About = About("Machine", "open files");

/// Room where the store lies, and for how long.
pub(super) fn disk(settings: &Settings, survey: Option<&Survey>, now: Timestamp) -> Finding {
    // The data directory may not be there yet; what is above it is on the same disk, as far as we can know.
    let dir = std::path::absolute(&settings.data_dir).unwrap_or_default();
    let place = dir.ancestors().find(|dir| dir.exists());
    let Some(found) = place.and_then(|place| rustix::fs::statvfs(place).ok()) else {
        return DISK.unknown("the room that is left could not be found out");
    };
    room(found.f_bavail * found.f_frsize, survey.and_then(|survey| growth_per_day(survey, now)))
}

/// Bytes a day, once there is more than a day to measure by.
fn growth_per_day(survey: &Survey, now: Timestamp) -> Option<u64> {
    let days_known = now.since(survey.oldest_at?) > LATELY;
    let bytes_each = survey.bytes.div_ceil(survey.messages_count.max(1));
    days_known.then(|| bytes_each.saturating_mul(survey.messages_lately_count))
}

fn room(left: u64, growth_per_day: Option<u64>) -> Finding {
    let lasts = growth_per_day
        .filter(|growth| *growth > 0)
        .map(|growth| Duration::from_secs(left.saturating_mul(24 * 3_600) / growth));
    let says = match lasts {
        None => format!("{} left", words::size(left)),
        Some(lasts) => {
            format!("{} left, at most {} as the last day went", words::size(left), words::span(lasts))
        }
    };
    let mend = "make room, or keep less with POSTHASTE_RETENTION";
    if left < ROOM_MIN {
        DISK.wrong(says, mend)
    } else if left < ROOM_LOW || lasts.is_some_and(|lasts| lasts < ROOM_LASTS_MIN) {
        DISK.warning(says, mend)
    } else {
        DISK.good(says)
    }
}

/// Whether the clock makes sense: against the calendar, against the store, against the monotonic one.
pub(super) fn clock(survey: Option<&Survey>, began: Timestamp, ended: Timestamp, took: Duration) -> Finding {
    let mend =
        "set it, and let NTP keep it: signatures carry the time, and receivers refuse what is 5 min off";
    if began < CLOCK_MIN {
        return CLOCK.wrong(format!("it is {began}: it was never set"), mend);
    }
    let passed = ended.since(began);
    if passed.abs_diff(took) > DRIFT_MAX || ended < began {
        let says =
            format!("jumped while we looked: {} on it, {} in truth", words::span(passed), words::span(took));
        return CLOCK.warning(says, mend);
    }
    match survey.and_then(|survey| survey.newest_at) {
        Some(newest) if newest.since(ended) > AHEAD_MAX => CLOCK.wrong(
            format!(
                "the newest message is from {} ahead: it went back, or was wrong then",
                words::span(newest.since(ended))
            ),
            mend,
        ),
        Some(newest) => {
            CLOCK.good(format!("{ended}; the newest message is {} old", words::span(ended.since(newest))))
        }
        None => CLOCK.good(ended.to_string()),
    }
}

/// How many sockets a server could open: it raises its own limit as far as it may.
pub(super) fn open_files() -> Finding {
    match rlimit::getrlimit(rlimit::Resource::NOFILE) {
        Ok((_, hard)) if hard < OPEN_FILES_MIN => OPEN_FILES.warning(
            format!("{hard} at most: each connection takes one"),
            format!("allow {OPEN_FILES_MIN} or more: LimitNOFILE of systemd, --ulimit nofile of Docker"),
        ),
        Ok((_, u64::MAX)) => OPEN_FILES.good("no limit"),
        Ok((_, hard)) => OPEN_FILES.good(format!("up to {}", words::grouped(hard))),
        Err(_) => OPEN_FILES.unknown("the limit could not be found out"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Mark;
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn room_that_will_not_last_a_week_is_worth_a_look() {
        assert_eq!(room(100 << 30, None).mark, Mark::Good);
        assert_eq!(room(100 << 30, Some(1 << 30)).mark, Mark::Good);
        assert_eq!(room(100 << 30, Some(50 << 30)).mark, Mark::Warning);
        assert_eq!(room(1 << 30, None).mark, Mark::Warning);
        assert_eq!(room(1 << 20, None).mark, Mark::Wrong);
    }

    #[test]
    fn a_clock_that_jumped_or_was_never_set_is_said() {
        let second = Duration::from_secs(1);
        assert_eq!(clock(None, NOW, NOW.later(second), second).mark, Mark::Good);
        assert_eq!(clock(None, NOW, NOW.later(second * 60), second).mark, Mark::Warning);
        assert_eq!(clock(None, NOW, NOW.earlier(second), second).mark, Mark::Warning);
        assert_eq!(clock(None, Timestamp::EPOCH, Timestamp::EPOCH, second).mark, Mark::Wrong);
    }
}
