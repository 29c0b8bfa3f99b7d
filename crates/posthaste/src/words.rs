//! Figures for people: sizes and spans of time, in the unit that fits.

use std::time::Duration;

/// `357.6 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `40 ms`, `2.3 s`, `12 min`, `5 h`, `9 d`.
pub(crate) fn span(time: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        1..MINUTE => format!("{:.1} s", time.as_secs_f64()),
        secs @ MINUTE..HOUR => format!("{} min", secs / MINUTE),
        secs @ HOUR..DAY => format!("{} h", secs / HOUR),
        secs => format!("{} d", secs / DAY),
    }
}

/// `1 message`, `1 234 567 messages`, `2 deliveries`.
pub(crate) fn count(number: u64, one: &str) -> String {
    let word = match one.strip_suffix('y') {
        _ if number == 1 => one.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None => format!("{one}s"),
    };
    format!("{} {word}", grouped(number))
}

/// `1 234 567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_in_the_unit_that_fits() {
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(375_005_184), "357.6 MiB");
        assert_eq!(span(Duration::from_millis(40)), "40 ms");
        assert_eq!(span(Duration::from_millis(2_345)), "2.3 s");
        assert_eq!(span(Duration::from_secs(720)), "12 min");
        assert_eq!(span(Duration::from_secs(9 * 86_400 + 5)), "9 d");
        assert_eq!(count(1, "message"), "1 message");
        assert_eq!(count(0, "delivery"), "0 deliveries");
        assert_eq!(count(1_234_567, "message"), "1 234 567 messages");
    }
}
