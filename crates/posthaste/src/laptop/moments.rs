//! Instants as people type them: how long ago, a day, or RFC 3339.

use std::time::Duration;

use posthaste_core::time::Timestamp;

use super::complaint::Complaint;

/// `30s`, `5m`, `24h`, `7d`.
pub(crate) fn span(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

/// A span before now, the first instant of a day, or an instant.
pub(crate) fn moment(flag: &str, text: &str, now: Timestamp) -> Result<Timestamp, Complaint> {
    if let Some(span) = span(text) {
        return Ok(now.earlier(span));
    }
    // jiff also reads the day of an instant, which would be less than was said.
    let day = Some(text).filter(|text| text.len() == "2026-11-12".len());
    let day =
        day.and_then(|text| text.parse::<jiff::civil::Date>().ok()).map(|day| format!("{day}T00:00:00Z"));
    Timestamp::parse(day.as_deref().unwrap_or(text)).ok_or_else(|| {
        Complaint::usage(
            format!("--{flag} \"{text}\" is no time"),
            "it is neither a span such as 30s, 5m, 24h or 7d, nor a day, nor an RFC 3339 instant",
            format!("write --{flag} 1h or --{flag} 2026-11-12T14:00:00Z"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spans_days_and_instants() {
        let now = Timestamp::parse("2026-11-12T14:00:00Z").unwrap();
        for (typed, meant) in [
            ("90s", "2026-11-12T13:58:30.000000Z"),
            ("1h", "2026-11-12T13:00:00.000000Z"),
            ("7d", "2026-11-05T14:00:00.000000Z"),
            ("2026-11-01", "2026-11-01T00:00:00.000000Z"),
            ("2026-11-01T02:00:00+01:00", "2026-11-01T01:00:00.000000Z"),
        ] {
            assert_eq!(moment("since", typed, now).unwrap().to_string(), meant, "{typed}");
        }
        for typed in ["", "1", "1w", "yesterday", "h", "-1h", "99999999999999999999d"] {
            assert!(moment("since", typed, now).is_err(), "{typed}");
        }
    }
}
