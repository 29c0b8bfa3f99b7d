//! How far an attempt got, and what each part took. Kept outside the attempt, so that a deadline can still tell.

use std::net::SocketAddr;
use std::time::Duration;

use posthaste_core::attempt::Timing;
use tokio::time::Instant;

/// What an attempt is doing. The answer's body has no duration of its own: it is what `total` has more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    Preparing,
    Resolving,
    Connecting,
    Handshaking,
    Waiting,
    Reading,
}

pub(super) struct Progress {
    /// The deadline of all of it.
    pub(super) timeout: Duration,
    began: Instant,
    phase: Phase,
    phase_began: Instant,
    timing: Timing,
    pub(super) remote: Option<SocketAddr>,
}

impl Progress {
    pub(super) fn begin(timeout: Duration) -> Self {
        let now = Instant::now();
        Self {
            timeout,
            began: now,
            phase: Phase::Preparing,
            phase_began: now,
            timing: Timing::default(),
            remote: None,
        }
    }

    /// Ends the phase before and begins this one.
    pub(super) fn enter(&mut self, phase: Phase) {
        let now = Instant::now();
        self.settle(now);
        self.phase = phase;
        self.phase_began = now;
    }

    /// Ends the attempt.
    pub(super) fn finish(&mut self) -> Timing {
        let now = Instant::now();
        self.settle(now);
        self.timing.total = now - self.began;
        self.timing
    }

    fn settle(&mut self, now: Instant) {
        let spent = now - self.phase_began;
        match self.phase {
            Phase::Resolving => self.timing.dns = spent,
            Phase::Connecting => self.timing.connect = spent,
            Phase::Handshaking => self.timing.tls = spent,
            Phase::Waiting => self.timing.first_byte = spent,
            Phase::Preparing | Phase::Reading => {}
        }
    }

    /// The sentence for an attempt whose time is up.
    pub(super) fn out_of_time(&self) -> String {
        let doing = match self.phase {
            Phase::Preparing => "before anything was sent",
            Phase::Resolving => "while its name was looked up",
            Phase::Connecting => "while connecting",
            Phase::Handshaking => "during the TLS handshake",
            Phase::Waiting => "while waiting for the answer",
            Phase::Reading => "while reading the answer",
        };
        format!("no answer within {} ms: time was up {doing}", self.timeout.as_millis())
    }
}
