//! What was answered, until the server says that it is written down: a request that is offered again is answered from
//! here, and is not forwarded twice.

use std::collections::VecDeque;

use posthaste_tunnel::frame::FromClient;

/// Answers that are kept; the oldest go first. A server gives one request at a time, so that more than a few are those
/// of servers that died in between.
const KEPT_MAX: usize = 256;
/// Requests that wait for the local program. A server gives one at a time; each connection that died may have left one.
const WAITING_MAX: usize = 64;

/// A try of a delivery: its id, and which try it is.
pub(crate) type Key = (String, u32);

/// What to do with a request that is offered.
#[derive(Debug, PartialEq)]
pub(crate) enum Offered {
    /// Forward it.
    New,
    /// It is being forwarded: the answer will come.
    UnderWay,
    /// It was forwarded: this is the answer.
    Answered(FromClient),
    /// There are more than can be.
    TooMany,
}

/// The requests of one connection and of those before it.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    under_way: Vec<Key>,
    answered: VecDeque<(Key, FromClient)>,
}

impl Memory {
    /// A request came.
    pub(crate) fn offer(&mut self, key: &Key) -> Offered {
        if let Some((_, answer)) = self.answered.iter().find(|(known, _)| known == key) {
            return Offered::Answered(answer.clone());
        }
        if self.under_way.contains(key) {
            return Offered::UnderWay;
        }
        if self.under_way.len() >= WAITING_MAX {
            return Offered::TooMany;
        }
        self.under_way.push(key.clone());
        Offered::New
    }

    /// The local program answered, or it never will.
    pub(crate) fn answer(&mut self, key: Key, answer: FromClient) {
        self.under_way.retain(|other| *other != key);
        if self.answered.len() >= KEPT_MAX {
            self.answered.pop_front();
        }
        self.answered.push_back((key, answer));
    }

    /// What is to be said of a request that was offered on this connection.
    pub(crate) fn answer_to(&self, key: &Key) -> Option<&FromClient> {
        self.answered.iter().find(|(known, _)| known == key).map(|(_, answer)| answer)
    }

    /// The server wrote it down.
    pub(crate) fn recorded(&mut self, key: &Key) {
        self.answered.retain(|(known, _)| known != key);
    }

    /// Whether nothing is forwarded, and nothing waits to be written down.
    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty() && self.answered.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use posthaste_tunnel::frame::Got;

    use super::*;

    fn key(number: u32, attempt: u32) -> Key {
        (format!("msg_{number}:ep_1"), attempt)
    }

    fn answer(number: u32) -> FromClient {
        FromClient::Got(Got { id: number.to_string(), attempt: 1 })
    }

    #[test]
    fn what_is_offered_again_is_forwarded_once() {
        let mut memory = Memory::default();
        assert_eq!(memory.offer(&key(1, 1)), Offered::New);
        assert_eq!(memory.offer(&key(1, 1)), Offered::UnderWay);
        memory.answer(key(1, 1), answer(1));
        assert_eq!(memory.answer_to(&key(1, 1)), Some(&answer(1)));
        assert_eq!(memory.offer(&key(1, 1)), Offered::Answered(answer(1)));
        assert_eq!(memory.offer(&key(1, 1)), Offered::Answered(answer(1)));
        assert_eq!(memory.offer(&key(1, 2)), Offered::New, "the next try is another request");
        memory.recorded(&key(1, 1));
        assert_eq!(memory.offer(&key(1, 1)), Offered::New, "what was replayed by hand begins anew");
    }

    #[test]
    fn memory_is_bounded() {
        let mut memory = Memory::default();
        for number in 0..1_000 {
            assert_eq!(memory.offer(&key(number, 1)), Offered::New);
            memory.answer(key(number, 1), answer(number));
        }
        assert_eq!(memory.answered.len(), KEPT_MAX);
        assert_eq!(memory.answer_to(&key(999, 1)), Some(&answer(999)));
        let taken = (0..1_000).filter(|number| memory.offer(&key(*number, 2)) == Offered::New).count();
        assert_eq!(taken, WAITING_MAX);
        assert_eq!(memory.offer(&key(7, 3)), Offered::TooMany);
        assert!(!memory.is_empty());
    }
}
