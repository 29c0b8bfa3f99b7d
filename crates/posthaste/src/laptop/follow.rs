//! Lists that are followed: asked again from where they were, told apart from what was seen, and put in order of time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use posthaste_core::time::Timestamp;
use serde_json::Value;

/// How far behind the newest a list is asked each time: what was written late has an id from before.
pub(crate) const OVERLAP: Duration = Duration::from_secs(5);
/// How far now and then: an attempt has the id of its beginning and is written at its end, 15 s later if nobody answers.
pub(crate) const OVERLAP_MIDDLE: Duration = Duration::from_secs(20);
/// How far at times: 300 s is the longest that an attempt can be allowed to take.
pub(crate) const OVERLAP_LONG: Duration = Duration::from_secs(310);
/// What is taken of a list before the others have their turn.
const WAITING_MAX: usize = 250;

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) struct Happened {
    pub(crate) at: Timestamp,
    pub(crate) object: Value,
}

/// One list.
#[derive(Debug)]
pub(crate) struct Follow {
    /// Nothing from before is wanted.
    floor: Timestamp,
    newest: Timestamp,
    /// Ids that were taken, as far back as the list is asked again.
    seen: BTreeMap<String, Timestamp>,
    /// Taken and not yet told.
    waiting: VecDeque<Happened>,
    /// Whether there is more behind what was taken last.
    pub(crate) has_more: bool,
}

impl Follow {
    pub(crate) fn from(floor: Timestamp) -> Self {
        Self { floor, newest: floor, seen: BTreeMap::new(), waiting: VecDeque::new(), has_more: true }
    }

    /// From when to ask, if it is asked anew.
    pub(crate) fn asks_from(&self, overlap: Duration) -> Timestamp {
        self.newest.earlier(overlap).max(self.floor)
    }

    /// Whether enough is taken for now.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    /// Takes what was not seen, each `(id, when it was made)` with what it is.
    pub(crate) fn take(&mut self, page: impl IntoIterator<Item = (String, Happened)>, has_more: bool) {
        self.has_more = has_more;
        for (id, happened) in page {
            let at = happened.at;
            if at >= self.floor && self.seen.insert(id, at).is_none() {
                self.newest = self.newest.max(at);
                self.waiting.push_back(happened);
            }
        }
        // A margin, so that what is asked for again is surely known.
        let edge = self.newest.earlier(OVERLAP_LONG + OVERLAP);
        if self.seen.len() > SEEN_BEFORE_SWEEP {
            self.seen.retain(|_, at| *at >= edge);
        }
    }
}

/// Ids that are remembered before old ones are looked for.
const SEEN_BEFORE_SWEEP: usize = 1_000;

/// What can be told of all lists, in order of time: up to where each of them is known.
pub(crate) fn ready<'a>(lists: impl IntoIterator<Item = &'a mut Follow>) -> Vec<Happened> {
    let mut lists: Vec<_> = lists.into_iter().collect();
    // A list that goes on may hold something right behind its last.
    let known = lists
        .iter()
        .filter(|list| list.has_more)
        .map(|list| list.waiting.iter().map(|happened| happened.at).max().unwrap_or(list.newest));
    let until = known.min();
    let mut ready = vec![];
    for list in &mut lists {
        let (now, later): (Vec<_>, Vec<_>) =
            list.waiting.drain(..).partition(|happened| until.is_none_or(|until| happened.at <= until));
        ready.extend(now);
        list.waiting.extend(later);
    }
    ready.sort_by_key(|happened| happened.at);
    ready
}

/// Whether a name is meant by a pattern in which stars stand for anything.
pub(crate) fn is_meant(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> (String, Happened) {
        let at = Timestamp::from_secs(1_800_000_000 + secs);
        (format!("{secs}"), Happened { at, object: Value::from(secs) })
    }

    fn told(ready: &[Happened]) -> Vec<i64> {
        ready.iter().filter_map(|happened| happened.object.as_i64()).collect()
    }

    #[test]
    fn what_is_asked_for_again_is_told_once_and_what_comes_late_is_told() {
        let mut list = Follow::from(Timestamp::EPOCH);
        list.take([at(10), at(12)], false);
        assert_eq!(told(&ready([&mut list])), [10, 12]);
        assert_eq!(list.asks_from(OVERLAP), at(7).1.at);
        list.take([at(10), at(11), at(12), at(13)], false);
        assert_eq!(told(&ready([&mut list])), [11, 13]);
    }

    #[test]
    fn nothing_from_before_its_beginning_is_told_or_asked_for() {
        let mut list = Follow::from(at(10).1.at);
        assert_eq!(list.asks_from(OVERLAP), at(10).1.at);
        list.take([at(9), at(10)], false);
        assert_eq!(told(&ready([&mut list])), [10]);
    }

    #[test]
    fn several_lists_are_told_in_order_up_to_where_each_is_known() {
        let (mut long, mut short) = (Follow::from(Timestamp::EPOCH), Follow::from(Timestamp::EPOCH));
        long.take([at(1), at(3)], true);
        short.take([at(2), at(9)], false);
        assert_eq!(told(&ready([&mut long, &mut short])), [1, 2, 3]);
        long.take([at(7), at(11)], false);
        assert_eq!(told(&ready([&mut long, &mut short])), [7, 9, 11]);
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let mut list = Follow::from(Timestamp::EPOCH);
        for round in 0..20 {
            list.take((0..500).map(|n| at(round * 500 + n)), false);
            ready([&mut list]);
        }
        assert!(list.seen.len() <= SEEN_BEFORE_SWEEP + 500, "{}", list.seen.len());
    }

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, is) in [
            ("order.*", "order.paid", true),
            ("order.*", "orders", false),
            ("*.paid", "a.b.paid", true),
            ("a*b*c", "a.x.b.y.c", true),
            ("a*b*c", "acb", false),
            ("push", "push", true),
            ("push", "pushed", false),
            ("*", "x", true),
        ] {
            assert_eq!(is_meant(pattern, name), is, "{pattern} {name}");
        }
    }
}
