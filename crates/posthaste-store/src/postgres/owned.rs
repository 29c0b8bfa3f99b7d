//! What this node remembers of who owns what, so that handing over and sending ask nobody.
//!
//! It believes that it owns something for less long than the database says so: what it remembers is never too good.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use posthaste_core::endpoint::Endpoint;
use posthaste_core::owner::{Thing, is_kept, may_send, thing_of};

/// How long it is remembered that another node owns something: what is new meanwhile is told to that one, unasked.
const THEIRS_FOR: Duration = Duration::from_secs(1);

/// Who owns a thing, as far as we know.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known {
    /// We do.
    Ours {
        /// It is certain until then.
        until: Instant,
        /// How long before that we send nothing.
        pause: Duration,
    },
    /// This node does, or did a moment ago.
    Theirs {
        node: i32,
        /// When we read it.
        at: Instant,
    },
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    known: Known,
    /// When we last sent or wanted to.
    used: Instant,
}

/// What is remembered. Emptied of what is over at each beat, so it holds what is in use.
#[derive(Default)]
pub(super) struct Owned(Mutex<HashMap<Thing, Remembered>>);

impl Owned {
    fn lock(&self) -> MutexGuard<'_, HashMap<Thing, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a transaction that is over has found out.
    pub(super) fn learn(&self, found: Vec<(Thing, Known)>) {
        if found.is_empty() {
            return;
        }
        let used = Instant::now();
        let mut all = self.lock();
        for (thing, known) in found {
            all.insert(thing, Remembered { known, used });
        }
    }

    /// Whether this node may send to this endpoint now. Whoever asks wants to, so it is used.
    pub(super) fn may_send_to(&self, endpoint: &Endpoint) -> bool {
        let Some((thing, pause)) = thing_of(endpoint) else { return true };
        let now = Instant::now();
        match self.lock().get_mut(&thing) {
            Some(one) => {
                one.used = now;
                matches!(one.known, Known::Ours { until, .. } if may_send(until.saturating_duration_since(now), pause))
            }
            None => false,
        }
    }

    /// Which other node owns it, if that was read a moment ago.
    pub(super) fn theirs(&self, thing: Thing) -> Option<i32> {
        match self.lock().get(&thing)?.known {
            Known::Theirs { node, at } if at.elapsed() < THEIRS_FOR => Some(node),
            _ => None,
        }
    }

    /// Whether the database would say that it is ours, most likely.
    pub(super) fn is_ours(&self, thing: Thing) -> bool {
        let now = Instant::now();
        self.lock()
            .get(&thing)
            .is_some_and(|one| matches!(one.known, Known::Ours { until, .. } if until > now))
    }

    /// What is ours and was used lately; the rest that is over is forgotten.
    pub(super) fn in_use(&self) -> Vec<Thing> {
        let now = Instant::now();
        let mut all = self.lock();
        all.retain(|_, one| match one.known {
            Known::Ours { until, .. } => until > now,
            Known::Theirs { at, .. } => now.duration_since(at) < THEIRS_FOR,
        });
        let ours = all.iter().filter(|(_, one)| {
            matches!(one.known, Known::Ours { .. }) && is_kept(now.duration_since(one.used))
        });
        let mut ours: Vec<_> = ours.map(|(thing, _)| *thing).collect();
        ours.sort_unstable();
        ours
    }

    /// These are ours for longer, and what is not among them any more, though it was asked for, is not ours.
    pub(super) fn renew(&self, asked: &[Thing], renewed: &HashMap<Vec<u8>, Instant>) {
        let mut all = self.lock();
        for thing in asked {
            match (renewed.get(thing.as_bytes().as_slice()), all.get_mut(thing)) {
                (Some(later), Some(Remembered { known: Known::Ours { until, .. }, .. })) => *until = *later,
                (None, Some(_)) => drop(all.remove(thing)),
                _ => {}
            }
        }
    }

    /// Nothing is ours from now on; returns what was, each with its pause.
    pub(super) fn forget_all(&self) -> Vec<(Thing, Duration)> {
        let all = std::mem::take(&mut *self.lock());
        let ours = all.into_iter().filter_map(|(thing, one)| match one.known {
            Known::Ours { pause, .. } => Some((thing, pause)),
            Known::Theirs { .. } => None,
        });
        ours.collect()
    }
}
