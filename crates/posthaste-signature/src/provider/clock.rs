//! When a request says it was signed, and whether that is near enough.

use jiff::fmt::rfc2822;
use jiff::fmt::strtime;

use super::refusal::Refusal;
use super::row::TimeRow;

/// How the time of a request is judged.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    unit: String,
    /// `None`: its age is not judged.
    tolerance_secs: Option<u64>,
    judges_future: bool,
}

impl Clock {
    /// `asked`: what the receiver configured, if anything; `Some(None)` is "do not judge".
    pub(crate) fn new(row: &TimeRow, asked: Option<Option<u64>>) -> Self {
        let tolerance_secs = asked.unwrap_or(row.tolerance_secs);
        Self { unit: row.unit.clone().into_owned(), tolerance_secs, judges_future: row.future != "any" }
    }

    /// Whether `text`, in whatever unit, is near `now`.
    pub(crate) fn judge(&self, what: &str, text: &str, now: i64) -> Result<(), Refusal> {
        let Some(tolerance_secs) = self.tolerance_secs else { return Ok(()) };
        if self.unit == "text" {
            return Ok(());
        }
        let expected = self.expected();
        let at = self.read(text).ok_or_else(|| Refusal::malformed(what, expected))?;
        let distance_secs = now.abs_diff(at);
        if distance_secs <= tolerance_secs {
            Ok(())
        } else if at < now {
            Err(Refusal::Expired { age_secs: distance_secs, tolerance_secs })
        } else if self.judges_future {
            Err(Refusal::Future { ahead_secs: distance_secs, tolerance_secs })
        } else {
            Ok(())
        }
    }

    fn expected(&self) -> &'static str {
        match self.unit.as_str() {
            "" | "s" => "a whole number of seconds since 1970",
            "ms" => "a whole number of milliseconds since 1970",
            "s|ms" => "a whole number of seconds or milliseconds since 1970",
            _ => "a date and time",
        }
    }

    /// Seconds since 1970.
    fn read(&self, text: &str) -> Option<i64> {
        match self.unit.as_str() {
            "" | "s" => digits(text),
            "ms" => digits(text).map(|millis| millis.div_euclid(1000)),
            // Nobody says which. Read as seconds, what is past the year 5138 is milliseconds.
            "s|ms" => digits(text).map(|at| if at < 100_000_000_000 { at } else { at.div_euclid(1000) }),
            "iso8601" | "rfc3339" => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second),
            _ => date(text),
        }
    }
}

/// Digits only: `parse` alone would also take a sign.
fn digits(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The date of an HTTP header, or an ISO 8601 instant, or seconds.
fn date(text: &str) -> Option<i64> {
    if let Ok(zoned) = rfc2822::parse(text) {
        return Some(zoned.timestamp().as_second());
    }
    // Without the comma, as some write it; the zone is always UTC.
    let written = text.replace("GMT", "+0000").replace("UTC", "+0000");
    let parsed = strtime::parse("%a %d %b %Y %H:%M:%S %z", &written).ok();
    parsed
        .and_then(|parsed| parsed.to_timestamp().ok())
        .map(jiff::Timestamp::as_second)
        .or_else(|| text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second))
        .or_else(|| digits(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_reads_the_same_instant() {
        for (unit, text) in [
            ("s", "1760000000"),
            ("ms", "1760000000123"),
            ("s|ms", "1760000000"),
            ("s|ms", "1760000000123"),
            ("rfc3339", "2025-10-09T08:53:20.123456789Z"),
            ("iso8601", "2025-10-09T10:53:20+02:00"),
            ("http-date-or-text", "Thu, 09 Oct 2025 08:53:20 GMT"),
            ("date:Mon 02 Jan 2006 15:04:05 MST", "Thu 09 Oct 2025 08:53:20 UTC"),
        ] {
            let row = TimeRow {
                place: String::new(),
                unit: unit.into(),
                tolerance_secs: Some(0),
                future: String::new(),
            };
            assert_eq!(Clock::new(&row, None).judge("it", text, 1_760_000_000), Ok(()), "{unit}");
        }
    }
}
