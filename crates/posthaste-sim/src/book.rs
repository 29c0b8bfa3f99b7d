//! What happened, as the judge's ledgers want it, kept by the world and not by the product.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use posthaste_core::time::Timestamp;
use posthaste_trials::judge::{EndpointFact, Fault, Got, Told, What};

/// How long what was seen of an endpoint may still be on its way into the store.
const DOUBT_LASTS: Duration = Duration::from_secs(1_200);
/// Two things of one instant may have happened in either order.
const INSTANT: Duration = Duration::from_micros(1);

/// The ledgers while they are written. All instants are of the steady clock.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) told: Vec<Told>,
    pub(crate) got: Vec<Got>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) facts: Vec<EndpointFact>,
    doubted: BTreeMap<String, Timestamp>,
}

/// A book in which several write.
pub(crate) type SharedBook = Arc<Mutex<Book>>;

pub(crate) fn open(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Book {
    pub(crate) fn fault(&mut self, what: What, endpoint: Option<&str>, from: Timestamp, until: Timestamp) {
        let endpoint = endpoint.map(str::to_owned);
        self.faults.push(Fault { what, endpoint, from: from.as_micros(), until: until.as_micros() });
    }

    /// After `from` the endpoint surely is there and wants these event types, unless there were doubts just now.
    pub(crate) fn surely(&mut self, id: &str, app: &str, event_types: Option<&[String]>, from: Timestamp) {
        if self.doubted.get(id).is_some_and(|at| from.since(*at) < DOUBT_LASTS) {
            return;
        }
        self.ends(id, from);
        self.facts.push(EndpointFact {
            id: id.to_owned(),
            app: app.to_owned(),
            event_types: event_types.map(<[String]>::to_vec),
            alive_from: from.later(INSTANT).as_micros(),
            alive_until: None,
        });
    }

    pub(crate) fn is_sure(&self, id: &str) -> bool {
        self.facts.iter().any(|fact| fact.id == id && fact.alive_until.is_none())
    }

    /// From now on nobody can say: it is being changed.
    pub(crate) fn ends(&mut self, id: &str, from: Timestamp) {
        let until = from.earlier(INSTANT).as_micros();
        let open = self.facts.iter_mut().filter(|fact| fact.id == id && fact.alive_until.is_none());
        open.for_each(|fact| fact.alive_until = Some(until));
    }

    /// From now on nobody can say: the product may disable it.
    pub(crate) fn doubts(&mut self, id: &str, from: Timestamp) {
        self.ends(id, from);
        self.doubted.insert(id.to_owned(), from);
    }
}
