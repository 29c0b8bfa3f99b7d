//! How often something is sent.

use std::time::Duration;

use super::complaint::Complaint;

/// The fastest pace that can be asked for, a second.
const RATE_MAX: f64 = 10_000.0;
/// The slowest: one in an hour.
const RATE_MIN: f64 = 1.0 / 3_600.0;

/// The time between two, out of `10/s` or `30/m`.
pub(crate) fn between(rate: Option<&str>) -> Result<Duration, Complaint> {
    let Some(text) = rate else { return Ok(Duration::ZERO) };
    let (number, unit_secs) = match text.split_once('/') {
        Some((number, "s")) => (number, 1.0),
        Some((number, "m")) => (number, 60.0),
        None => (text, 1.0),
        Some(_) => ("", 1.0),
    };
    let per_second = number.parse::<f64>().ok().map(|number| number / unit_secs);
    match per_second.filter(|rate| (RATE_MIN..=RATE_MAX).contains(rate)) {
        Some(rate) => Ok(Duration::from_secs_f64(1.0 / rate)),
        None => Err(Complaint::usage(
            format!("--rate {text} cannot be used"),
            format!("it is not a number a second or a minute, up to {RATE_MAX}/s"),
            "write --rate 10/s",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_a_second_or_a_minute() {
        assert_eq!(between(Some("10/s")).unwrap(), Duration::from_millis(100));
        assert_eq!(between(Some("30/m")).unwrap(), Duration::from_secs(2));
        assert_eq!(between(None).unwrap(), Duration::ZERO);
        for text in ["0/s", "-1/s", "x", "1/y", "1e9/s", "NaN"] {
            assert!(between(Some(text)).is_err(), "{text}");
        }
    }
}
