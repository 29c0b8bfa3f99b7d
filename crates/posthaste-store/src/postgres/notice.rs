//! What nodes tell each other, as text: `7 due 3 ep_…,ep_…` is node 7 telling node 3. Hints, all of them: whoever misses
//! one finds the same by looking, a little later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use posthaste_core::id::EndpointId;

/// Which channel of the database they are told on.
pub(super) const CHANNEL: &str = "posthaste";
/// Endpoints in one notice: PostgreSQL takes less than 8000 bytes, and an endpoint is 31.
const ENDPOINTS_MAX: usize = 200;
/// Notices told at once; what is beyond that is found by looking.
const NOTICES_MAX: usize = 8;

/// Something that another node should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// Something of this endpoint is due; `to`: its owner, or whoever takes it.
    Due { to: Option<i32>, endpoint: EndpointId },
    /// Somebody listens to this endpoint, at whoever says so.
    Listens { endpoint: EndpointId },
    /// There is a job.
    Job,
    /// A source changed.
    Sources,
    /// There is another node.
    Joined,
}

/// What waits to be told, each thing once.
#[derive(Debug, Default)]
pub(super) struct Untold {
    due: BTreeMap<Option<i32>, BTreeSet<EndpointId>>,
    listens: BTreeSet<EndpointId>,
    job: bool,
    sources: bool,
    joined: bool,
}

impl Untold {
    pub(super) fn add(&mut self, told: Told) {
        match told {
            Told::Due { to, endpoint } => {
                let endpoints = self.due.entry(to).or_default();
                if endpoints.len() < ENDPOINTS_MAX * NOTICES_MAX {
                    endpoints.insert(endpoint);
                }
            }
            Told::Listens { endpoint } => {
                if self.listens.len() < ENDPOINTS_MAX {
                    self.listens.insert(endpoint);
                }
            }
            Told::Job => self.job = true,
            Told::Sources => self.sources = true,
            Told::Joined => self.joined = true,
        }
    }

    /// As notices of this node.
    pub(super) fn written(&self, from: i32) -> Vec<String> {
        let words = [(self.sources, "sources"), (self.job, "job"), (self.joined, "joined")];
        let mut notices: Vec<_> =
            words.iter().filter(|(is_told, _)| *is_told).map(|(_, word)| format!("{from} {word}")).collect();
        if !self.listens.is_empty() {
            notices.push(listed(format!("{from} listens"), &self.listens));
        }
        for (to, endpoints) in &self.due {
            let endpoints: Vec<_> = endpoints.iter().collect();
            for some in endpoints.chunks(ENDPOINTS_MAX) {
                let to = to.map_or_else(|| "*".to_owned(), |to| to.to_string());
                notices.push(listed(format!("{from} due {to}"), some.iter().copied()));
            }
        }
        notices.truncate(NOTICES_MAX);
        notices
    }
}

/// A notice about these endpoints.
fn listed<'a>(mut notice: String, endpoints: impl IntoIterator<Item = &'a EndpointId>) -> String {
    for (n, endpoint) in endpoints.into_iter().enumerate() {
        let _ = write!(notice, "{}{endpoint}", if n == 0 { ' ' } else { ',' });
    }
    notice
}

/// What a node hears: who says so, and what. Nothing of what it does not understand or is not for it; anybody who may use
/// the database can say anything.
pub(super) fn heard(notice: &str, me: i32) -> Option<(i32, Vec<Told>)> {
    let mut words = notice.split(' ');
    let from = words.next()?.parse().ok()?;
    let told = match (words.next()?, words.next(), words.next()) {
        ("job", None, None) => vec![Told::Job],
        ("sources", None, None) => vec![Told::Sources],
        ("joined", None, None) => vec![Told::Joined],
        ("listens", Some(endpoints), None) => {
            let endpoints = endpoints.split(',').take(ENDPOINTS_MAX).filter_map(EndpointId::parse);
            endpoints.map(|endpoint| Told::Listens { endpoint }).collect()
        }
        ("due", Some(to), Some(endpoints)) => {
            let to = if to == "*" { None } else { Some(to.parse().ok()?) };
            let mine = to.is_none_or(|to: i32| to == me);
            let endpoints = endpoints.split(',').take(ENDPOINTS_MAX).filter(|_| mine);
            endpoints.filter_map(EndpointId::parse).map(|endpoint| Told::Due { to, endpoint }).collect()
        }
        _ => return None,
    };
    Some((from, told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_core::dice::TestDice;
    use posthaste_core::time::Timestamp;

    fn endpoints(count: u64) -> Vec<EndpointId> {
        (0..count)
            .map(|n| EndpointId::fresh(Timestamp::from_secs(1_800_000_000), &TestDice::seeded(n)))
            .collect()
    }

    #[test]
    fn what_is_told_is_heard_by_whom_it_is_for() {
        let endpoints = endpoints(3);
        let mut untold = Untold::default();
        let own = Told::Due { to: Some(3), endpoint: endpoints[0] };
        let anybodys = Told::Due { to: None, endpoint: endpoints[1] };
        let listens = Told::Listens { endpoint: endpoints[2] };
        for told in [&own, &own, &anybodys, &listens, &Told::Job, &Told::Sources, &Told::Joined] {
            untold.add(told.clone());
        }
        let notices = untold.written(7);
        let heard_by = |me| -> Vec<_> { notices.iter().flat_map(|n| heard(n, me).unwrap().1).collect() };
        let by_all = [Told::Sources, Told::Job, Told::Joined, listens, anybodys];
        assert_eq!(heard_by(3), [&by_all[..], &[own]].concat());
        assert_eq!(heard_by(4), by_all);
    }

    #[test]
    fn notices_stay_as_few_and_as_short_as_postgresql_takes_them() {
        let mut untold = Untold::default();
        for endpoint in endpoints(2_000) {
            untold.add(Told::Due { to: None, endpoint });
        }
        let notices = untold.written(32_767);
        assert_eq!(notices.len(), NOTICES_MAX);
        assert!(notices.iter().all(|notice| notice.len() < 8_000));
        assert_eq!(heard(&notices[0], 1).unwrap().1.len(), ENDPOINTS_MAX);
    }

    #[test]
    fn what_makes_no_sense_is_not_heard() {
        for notice in
            ["", "x", "1", "1 due", "1 due 2", "x job", "1 job 2", "1 due x ep_1", "1 due 99999999999 ep_1"]
        {
            assert_eq!(heard(notice, 1), None, "{notice:?}");
        }
        assert_eq!(heard("1 due * nonsense,ep_", 1), Some((1, vec![])));
    }
}
