//! When the simulated process dies, and the trace of all that it did.
//!
//! A process dies at a fault point: from then on every point that is passed unwinds, and since each commit and each answer
//! has its point, nothing gets out of a dead process any more. The world then drops its runtime without any courtesy.

use std::any::Any;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What unwinds a dead process.
struct Death;

/// The fate of one process after the other.
#[derive(Default)]
pub(crate) struct Doom {
    dead: AtomicBool,
    armed: Mutex<Option<(&'static str, usize)>>,
    trace: AtomicU64,
}

impl Doom {
    /// A fate that is asked at every fault point of this thread.
    pub(crate) fn watching() -> Arc<Self> {
        let doom = Arc::new(Self::default());
        let asked = Arc::clone(&doom);
        posthaste_fault::watch(Some(Box::new(move |point| asked.passing(point))));
        doom
    }

    fn passing(&self, point: &'static str) {
        self.note(point.as_bytes());
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, hits_left)) = &mut *armed
            && *name == point
        {
            *hits_left = hits_left.saturating_sub(1);
            if *hits_left == 0 {
                *armed = None;
                self.dead.store(true, Ordering::SeqCst);
            }
        }
        drop(armed);
        if self.is_dead() {
            resume_unwind(Box::new(Death));
        }
    }

    /// Lets the process die when it passes `point` for the `hit`th time from now.
    pub(crate) fn arm(&self, point: &'static str, hit: usize) {
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = Some((point, hit));
    }

    pub(crate) fn disarm(&self) {
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// There and then.
    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// There is a new process.
    pub(crate) fn revive(&self) {
        self.dead.store(false, Ordering::SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Adds to the trace: two runs of a seed have the same one.
    pub(crate) fn note(&self, bytes: &[u8]) {
        let mixed = bytes.iter().fold(self.trace.load(Ordering::SeqCst), |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(5)
        });
        self.trace.store(mixed, Ordering::SeqCst);
    }

    pub(crate) fn trace(&self) -> u64 {
        self.trace.load(Ordering::SeqCst)
    }
}

/// Whether this is what unwound a dead process, and no mistake.
pub(crate) fn is_death(why: &(dyn Any + Send)) -> bool {
    why.is::<Death>()
}

/// Nobody watches the points of this thread any more.
pub(crate) fn stop_watching() {
    posthaste_fault::watch(None);
}
