//! The usual mistakes, found by trying them: what would have made a refused request pass?
//!
//! Whoever can send us requests can make us try, so all tries together have a limit.

mod bodies;
mod schemes;
mod secrets;
mod times;
mod urls;

use std::cell::Cell;
use std::fmt;

use super::Request;
use super::checks;
use super::keys::Keys;
use super::receiver::{Receiver, Settings};
use super::refusal::Refusal;
use super::row::SchemeRow;

/// All tries for one request together may read this much of bodies.
const TRIED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a try costs besides its body: headers, the URL, a public key.
const TRY_BYTES: usize = 16 * 1024;
/// The most other receivers that are asked about one request.
const OTHERS_COUNT_MAX: usize = 100;

/// A mistake that explains a refusal, as a sentence for people. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(String);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// See [`Receiver::explain`] and [`Receiver::explain_among`].
pub(crate) fn find(
    receiver: &Receiver,
    request: &Request<'_>,
    now: i64,
    keys: &Keys,
    why: &Refusal,
    others: &[(&str, &Receiver)],
) -> Vec<Hint> {
    let attempt = Attempt { receiver, request, now, keys, left_bytes: Cell::new(TRIED_BYTES_MAX) };
    let found = match why {
        Refusal::Expired { age_secs, .. } => vec![times::expired(*age_secs, now)],
        Refusal::Future { ahead_secs, .. } => vec![times::future(*ahead_secs, now)],
        Refusal::KeyNeeded(_) | Refusal::UnknownScheme => vec![],
        Refusal::Missing(_) => first([attempt.others(others), attempt.read_before(), attempt.schemes()]),
        _ => attempt.mistakes(others),
    };
    found.into_iter().map(Hint).collect()
}

/// The first that found anything.
fn first<const N: usize>(found: [Vec<String>; N]) -> Vec<String> {
    found.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
}

struct Attempt<'s, 'a> {
    receiver: &'s Receiver,
    request: &'s Request<'a>,
    now: i64,
    keys: &'s Keys,
    /// What may still be tried.
    left_bytes: Cell<usize>,
}

/// Whether the signature fits, whatever the clocks say.
fn fits<T>(result: &Result<T, Refusal>) -> bool {
    matches!(result, Ok(_) | Err(Refusal::Expired { .. } | Refusal::Future { .. }))
}

impl Attempt<'_, '_> {
    fn mistakes(&self, others: &[(&str, &Receiver)]) -> Vec<String> {
        let mut found = self.others(others);
        found.extend(self.bodies());
        found.extend(self.urls());
        found.extend(self.secrets());
        if found.is_empty() {
            found = self.schemes();
        }
        if found.is_empty() {
            found = self.read_before();
        }
        found
    }

    /// Whether there is room for one more try of `bytes`, which takes it.
    fn may_try(&self, bytes: usize) -> bool {
        match self.left_bytes.get().checked_sub(bytes.saturating_add(TRY_BYTES)) {
            Some(left) => {
                self.left_bytes.set(left);
                true
            }
            None => false,
        }
    }

    fn passes(&self, request: &Request<'_>) -> bool {
        self.may_try(request.body.len()) && fits(&self.receiver.verify(request, self.now, self.keys))
    }

    fn passes_with(&self, row: &SchemeRow, settings: &Settings) -> bool {
        self.may_try(self.request.body.len())
            && checks::build(row, settings)
                .is_ok_and(|check| fits(&check.check(self.request, self.now, self.keys)))
    }

    /// Another receiver that would have believed it.
    fn others(&self, others: &[(&str, &Receiver)]) -> Vec<String> {
        let passes = |other: &Receiver| {
            // Where nothing is signed, that it passes says nothing.
            let telling = !matches!(other.provider().scheme(), "none" | "unknown");
            telling
                && self.may_try(self.request.body.len())
                && fits(&other.verify(self.request, self.now, self.keys))
        };
        let found = others.iter().take(OTHERS_COUNT_MAX).find(|(_, other)| passes(other));
        let ours = self.receiver.provider();
        let say = |(label, other): &(&str, &Receiver)| {
            if other.provider().slug == ours.slug {
                format!(
                    "The signature fits the secret of `{label}`, also of {}: the two secrets or the two addresses are \
                     mixed up.",
                    ours.name
                )
            } else {
                format!(
                    "The request is what `{label}` expects, of {}: it was sent to the wrong address.",
                    other.provider().name
                )
            }
        };
        found.map(say).into_iter().collect()
    }
}
