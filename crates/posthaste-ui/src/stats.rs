//! What pages show of counts: numbers, charts and the table below them, of the period that the address names. They are read
//! from what is kept by time, so that no page counts rows.

use posthaste_core::period::{Change, Folded, Period, change};
use posthaste_core::rollup::{Bar, Counts, Scope};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Shared;
use crate::chart::{Bars, Lines, SHARES, bars, lines, slot_name, written};
use crate::error::{Answer, UiError};
use crate::words::{grouped, span};

/// How far back, as an address says it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    period: String,
}

impl Asked {
    pub(crate) fn period(&self) -> Answer<Period> {
        let known = || Period::ALL.map(Period::key).join(", ");
        match self.period.as_str() {
            "" => Ok(Period::default()),
            key => Period::parse(key).ok_or_else(|| {
                UiError::Rejected(format!("\"{key}\" is no period of these charts: they know {}.", known()))
            }),
        }
    }
}

/// In words, behind "the last".
fn words(period: Period) -> &'static str {
    match period {
        Period::Hour => "60 minutes",
        Period::Day => "24 hours",
        Period::Week => "7 days",
        Period::Month => "30 days",
    }
}

/// A number, and how it compares with the one of the period before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Figure {
    value: String,
    change: String,
}

impl Figure {
    fn of(counted: &Folded, count: fn(&Counts) -> u64) -> Self {
        let (now, before) = (count(&counted.total), count(&counted.before));
        let change = match change(now, before) {
            Change::Same if now == 0 => String::new(),
            Change::Same => "as before".to_owned(),
            // What began a moment ago has nothing to compare with.
            Change::New => String::new(),
            Change::More(percent) => format!("▲ {} % more", grouped(percent)),
            Change::Fewer(percent) => format!("▼ {} % fewer", grouped(percent)),
        };
        Self { value: grouped(now), change }
    }
}

/// A period to choose.
#[derive(Debug, Clone, Serialize)]
struct Choice {
    key: &'static str,
    words: &'static str,
    is_chosen: bool,
}

/// A slot as a row of the table.
#[derive(Debug, Clone, Serialize)]
struct Row {
    name: String,
    accepted: String,
    succeeded: String,
    failed: String,
    /// p50, p95 and p99; empty where nothing was tried.
    took: [String; SHARES.len()],
}

/// What is shown of one thing's counts.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Stats {
    period: &'static str,
    words: &'static str,
    choices: Vec<Choice>,
    /// When the first slot began.
    since: String,
    accepted: Figure,
    delivered: Figure,
    dead: Figure,
    succeeded: Figure,
    failed: Figure,
    /// Of the attempts, that succeeded.
    share: Option<String>,
    took: [Option<String>; SHARES.len()],
    attempts: Option<Bars>,
    latency: Option<Lines>,
    rows: Vec<Row>,
    /// An endpoint has no messages of its own.
    counts_messages: bool,
    /// Nothing was counted, in this period and the one before.
    pub(crate) is_empty: bool,
    /// Some delivery was given up.
    pub(crate) has_dead: bool,
}

/// Reads the counts of one thing.
pub(crate) async fn read(
    state: &Shared,
    environment: EnvironmentId,
    scope: Scope,
    period: Period,
    now: Timestamp,
) -> Answer<Stats> {
    let window = period.until(now);
    let counted = state.history.counted(environment, scope, window.reads_since(), now).await?;
    let counted = window.fold(&counted);
    let total = &counted.total;
    let choice = |each: Period| Choice { key: each.key(), words: words(each), is_chosen: each == period };
    let has_some = |slot: &&Bar| slot.counts.accepted + slot.counts.attempts() > 0;
    Ok(Stats {
        period: period.key(),
        words: words(period),
        choices: Period::ALL.map(choice).to_vec(),
        since: written(window.start, "%-d %b %H:%M"),
        accepted: Figure::of(&counted, |counts| counts.accepted),
        delivered: Figure::of(&counted, |counts| counts.delivered),
        dead: Figure::of(&counted, |counts| counts.dead),
        succeeded: Figure::of(&counted, |counts| counts.succeeded),
        failed: Figure::of(&counted, Counts::failed),
        share: success_share(total),
        took: SHARES.map(|(_, share)| total.took_at_most(share).map(span)),
        attempts: bars(period, &counted.slots),
        latency: lines(period, &counted.slots, total),
        rows: counted.slots.iter().filter(has_some).map(|slot| row(period, slot)).collect(),
        counts_messages: !matches!(scope, Scope::Endpoint(_)),
        is_empty: *total == Counts::default() && counted.before == Counts::default(),
        has_dead: total.dead > 0,
    })
}

fn row(period: Period, slot: &Bar) -> Row {
    let counts = &slot.counts;
    Row {
        name: slot_name(period, slot.start),
        accepted: grouped(counts.accepted),
        succeeded: grouped(counts.succeeded),
        failed: grouped(counts.failed()),
        took: SHARES.map(|(_, share)| counts.took_at_most(share).map(span).unwrap_or_default()),
    }
}

/// How many of the attempts succeeded. 100 % is said of all of them only, and 0 % of none.
pub(crate) fn success_share(counts: &Counts) -> Option<String> {
    let all = counts.attempts();
    let tenths = u128::from(counts.succeeded) * 1_000 / u128::from(all.max(1));
    match (counts.succeeded, all) {
        (_, 0) => None,
        (0, _) => Some("0 %".to_owned()),
        (some, all) if some == all => Some("100 %".to_owned()),
        _ if tenths == 0 => Some("below 0.1 %".to_owned()),
        _ => Some(format!("{}.{} %", tenths / 10, tenths % 10)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(succeeded: u64, refused: u64) -> Counts {
        Counts { succeeded, refused, ..Counts::default() }
    }

    #[test]
    fn a_share_is_never_rounded_to_all_or_nothing() {
        let share = |succeeded, refused| success_share(&counts(succeeded, refused));
        assert_eq!(share(0, 0), None);
        assert_eq!(share(0, 3).unwrap(), "0 %");
        assert_eq!(share(3, 0).unwrap(), "100 %");
        assert_eq!(share(99_999, 1).unwrap(), "99.9 %");
        assert_eq!(share(1, 99_999).unwrap(), "below 0.1 %");
    }

    #[test]
    fn a_number_says_how_it_compares() {
        let figure = |now: u64, before: u64| {
            let of = |count| counts(count, 0);
            Figure::of(&Folded { slots: vec![], total: of(now), before: of(before) }, |counts| {
                counts.succeeded
            })
            .change
        };
        assert_eq!(figure(0, 0), "");
        assert_eq!(figure(7, 7), "as before");
        assert_eq!(figure(7, 0), "");
        assert_eq!(figure(112, 100), "▲ 12 % more");
        assert_eq!(figure(88, 100), "▼ 12 % fewer");
    }

    #[test]
    fn a_period_that_is_not_there_is_refused_in_a_sentence() {
        let asked = |period: &str| Asked { period: period.to_owned() }.period();
        assert_eq!(asked("").unwrap(), Period::Day);
        assert_eq!(asked("7d").unwrap(), Period::Week);
        let UiError::Rejected(why) = asked("2h").unwrap_err() else { panic!("refused") };
        assert_eq!(why, "\"2h\" is no period of these charts: they know 1h, 24h, 7d, 30d.");
    }
}
