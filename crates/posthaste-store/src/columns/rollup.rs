//! The columns of counts over time.

use std::sync::LazyLock;

use posthaste_core::rollup::{Counts, Fineness, Scope, TOOK_CLASSES};

/// Counts that a row has.
pub(crate) const COUNTS: usize = 6 + TOOK_CLASSES;

/// Their columns; those of durations are named after the bounds of their classes.
pub(crate) const COLUMNS: [&str; COUNTS] = [
    "accepted",
    "delivered",
    "dead",
    "succeeded",
    "refused",
    "unanswered",
    "took_1_ms",
    "took_2_ms",
    "took_5_ms",
    "took_10_ms",
    "took_20_ms",
    "took_50_ms",
    "took_100_ms",
    "took_200_ms",
    "took_500_ms",
    "took_1000_ms",
    "took_2000_ms",
    "took_5000_ms",
    "took_10000_ms",
    "took_20000_ms",
    "took_longer",
];

/// The columns, one after another.
pub(crate) static LIST: LazyLock<String> = LazyLock::new(|| COLUMNS.join(", "));

/// What becomes of a row that is there already.
pub(crate) static ADD: LazyLock<String> =
    LazyLock::new(|| COLUMNS.map(|name| format!("{name} = rollup.{name} + excluded.{name}")).join(", "));

/// The number of a tier.
pub(crate) const fn tier(fineness: Fineness) -> i16 {
    match fineness {
        Fineness::Minute => 0,
        Fineness::Hour => 1,
        Fineness::Day => 2,
    }
}

/// What stands for a scope in its environment: an id, or nothing for all of it.
pub(crate) fn thing(scope: &Scope) -> &[u8] {
    match scope {
        Scope::Environment => &[],
        Scope::App(app) => app.as_bytes().as_slice(),
        Scope::Endpoint(endpoint) => endpoint.as_bytes().as_slice(),
    }
}

/// Counts in the order of their columns.
pub(crate) fn numbers(counts: &Counts) -> [i64; COUNTS] {
    let Counts { accepted, delivered, dead, succeeded, refused, unanswered, took } = counts;
    let plain = [accepted, delivered, dead, succeeded, refused, unanswered];
    let mut numbers = [0; COUNTS];
    for (number, count) in numbers.iter_mut().zip(plain.into_iter().chain(took)) {
        *number = i64::try_from(*count).unwrap_or(i64::MAX);
    }
    numbers
}

/// Counts from their columns.
pub(crate) fn counts<E>(read: impl Fn(usize) -> Result<i64, E>) -> Result<Counts, E> {
    let count = |index| read(index).map(|number| u64::try_from(number).unwrap_or(0));
    let mut took = [0; TOOK_CLASSES];
    for (index, class) in took.iter_mut().enumerate() {
        *class = count(6 + index)?;
    }
    Ok(Counts {
        accepted: count(0)?,
        delivered: count(1)?,
        dead: count(2)?,
        succeeded: count(3)?,
        refused: count(4)?,
        unanswered: count(5)?,
        took,
    })
}

#[cfg(test)]
mod tests {
    use posthaste_core::rollup::TOOK_MS;

    use super::*;

    #[test]
    fn classes_of_durations_are_named_after_their_bounds() {
        let mut named = TOOK_MS.map(|bound| format!("took_{bound}_ms")).to_vec();
        named.push("took_longer".to_owned());
        assert_eq!(COLUMNS[6..], named);
    }

    #[test]
    fn counts_come_back_from_their_columns() {
        let mut took = [0; TOOK_CLASSES];
        for (index, class) in (10_u64..).zip(&mut took) {
            *class = index;
        }
        let written =
            Counts { accepted: 1, delivered: 2, dead: 3, succeeded: 4, refused: 5, unanswered: 6, took };
        let columns = numbers(&written);
        assert_eq!(counts(|index| Ok::<_, ()>(columns[index])), Ok(written));
    }
}
