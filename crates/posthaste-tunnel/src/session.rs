//! A session: one connection of a listener. Whoever holds its socket sends what [`next`](Session::next) gives, and passes
//! on what comes in; the engine forwards by its `Line`, one request at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use posthaste_core::id::EndpointId;
use posthaste_core::tenant::EnvironmentId;
use tokio::sync::{Mutex as Turn, mpsc};
use tokio::time::{Instant, timeout};

use crate::frame::{
    Answer, Bye, Failed, FromClient, FromServer, GOT_WITHIN, PING_INTERVAL, Reason, Request, SILENCE_MAX,
};
use crate::listeners::{Listeners, bye};

/// Bytes a second that a connection is taken to carry at least: a long body may take so much longer to arrive.
const BYTES_PER_SECOND_MIN: u64 = 1 << 20;
/// The longest that it may: the lease of the request must not end meanwhile.
const READS_FOR_MAX: Duration = Duration::from_secs(20);
/// How much longer than the local program may take its answer is waited for: the client tells itself when it gives up.
const ANSWER_SLACK: Duration = Duration::from_secs(2);
/// A sign of life so recent says that the other end is there: a ping, and a little for the way.
const HEARD_WITHIN: Duration = Duration::from_secs(PING_INTERVAL.as_secs() + 2);
/// Status codes that an answer can have.
const STATUSES: std::ops::RangeInclusive<u16> = 100..=999;

/// What became of a request that a client had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The local program answered.
    Answered(Answer),
    /// It did not, and the client says why.
    Failed(Failed),
    /// The client is there, and said nothing in time.
    TimedOut,
}

/// Why a request was not tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unforwarded {
    /// Nobody listens, or nobody does any more.
    #[error("nobody listens")]
    Gone,
}

/// A client said what it must not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misbehaved(&'static str);

/// The request that a client has, and who waits for what becomes of it.
struct Pending {
    id: String,
    attempt: u32,
    has_it: bool,
    /// How much longer than usual it may be silent while it reads.
    reads_for: Duration,
    heard: mpsc::Sender<FromClient>,
}

/// One session, as the engine sees it.
pub(crate) struct Line {
    out: mpsc::UnboundedSender<FromServer>,
    open: AtomicBool,
    /// Held while a request is under way: there is one at a time, which also bounds what waits in `out`.
    turn: Turn<()>,
    pending: Mutex<Option<Pending>>,
    heard_at: Mutex<Instant>,
    environment: EnvironmentId,
    begun_at: Instant,
}

impl Line {
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub(crate) fn is_of(&self, environment: EnvironmentId) -> bool {
        self.environment == environment
    }

    pub(crate) fn age(&self) -> Duration {
        self.begun_at.elapsed()
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.pending().is_some()
    }

    pub(crate) fn say(&self, frame: FromServer) {
        // Nobody reads it any more: the session has ended.
        let _ = self.out.send(frame);
    }

    /// Says the last word: nothing is forwarded any more, and what was is given back.
    pub(crate) fn end(&self, reason: Reason, detail: &str) {
        if self.open.swap(false, Ordering::AcqRel) {
            self.say(FromServer::Bye(bye(reason, detail)));
        }
        *self.pending() = None;
    }

    fn shut(&self) {
        self.open.store(false, Ordering::Release);
        *self.pending() = None;
    }

    fn pending(&self) -> MutexGuard<'_, Option<Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silent_for(&self) -> Duration {
        self.heard_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    pub(crate) async fn forward(&self, request: Request, patience: Duration) -> Result<Told, Unforwarded> {
        let _turn = self.turn.lock().await;
        let reads_for = Duration::from_millis(request.body.len() as u64 * 1_000 / BYTES_PER_SECOND_MIN);
        let reads_for = reads_for.min(READS_FOR_MAX);
        // A client says two things of a request, and a third is refused.
        let (heard, mut frames) = mpsc::channel(2);
        let (id, attempt) = (request.id.clone(), request.attempt);
        *self.pending() = Some(Pending { id, attempt, has_it: false, reads_for, heard });
        let _forget = Forget(self);
        // Looked at only now: who ends a session forgets what is pending after it has closed it.
        if !self.is_open() {
            return Err(Unforwarded::Gone);
        }
        self.say(FromServer::Request(request));
        let first = match timeout(GOT_WITHIN + reads_for, frames.recv()).await {
            Ok(Some(first)) => first,
            Ok(None) => return Err(Unforwarded::Gone),
            Err(_) => {
                // Whatever holds it up, it is not there: the request would only be offered again and again.
                self.shut();
                return Err(Unforwarded::Gone);
            }
        };
        if !matches!(first, FromClient::Got(_)) {
            return told(first);
        }
        match timeout(patience + ANSWER_SLACK, frames.recv()).await {
            Ok(Some(second)) => told(second),
            Err(_) if self.silent_for() <= HEARD_WITHIN => Ok(Told::TimedOut),
            Ok(None) | Err(_) => Err(Unforwarded::Gone),
        }
    }
}

fn told(frame: FromClient) -> Result<Told, Unforwarded> {
    match frame {
        FromClient::Answer(answer) => Ok(Told::Answered(answer)),
        FromClient::Failed(failed) => Ok(Told::Failed(failed)),
        FromClient::Got(_) | FromClient::Unknown => Err(Unforwarded::Gone),
    }
}

/// Whoever waited waits no more: what is said of the request later is of one that is unknown.
struct Forget<'a>(&'a Line);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        *self.0.pending() = None;
    }
}

/// One session, as the holder of its socket sees it. Whoever drops it has left.
pub struct Session {
    listeners: Arc<Listeners>,
    number: u64,
    environment: EnvironmentId,
    endpoint: EndpointId,
    line: Arc<Line>,
    frames: mpsc::UnboundedReceiver<FromServer>,
}

impl Session {
    pub(crate) fn new(
        listeners: Arc<Listeners>,
        number: u64,
        environment: EnvironmentId,
        endpoint: EndpointId,
    ) -> Self {
        let (out, frames) = mpsc::unbounded_channel();
        let line = Arc::new(Line {
            out,
            open: AtomicBool::new(true),
            turn: Turn::new(()),
            pending: Mutex::new(None),
            heard_at: Mutex::new(Instant::now()),
            environment,
            begun_at: Instant::now(),
        });
        Self { listeners, number, environment, endpoint, line, frames }
    }

    /// Requests may come from now on; whoever listened before hears that it was replaced.
    pub fn begin(&self) {
        self.listeners.begin(self.endpoint, self.number, &self.line);
    }

    /// The next frame to send; after a [`Bye`] there is none. `None`: the session is over without a word.
    pub async fn next(&mut self) -> Option<FromServer> {
        if !self.line.is_open() && self.frames.is_empty() {
            return None;
        }
        self.frames.recv().await
    }

    /// Ends it with this word, which is to be sent.
    pub fn end(&self, reason: Reason, detail: &str) -> Bye {
        self.line.shut();
        bye(reason, detail)
    }

    /// The other end gave a sign of life.
    pub fn heard(&self) {
        *self.line.heard_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether the other end has been silent for so long that it counts as gone.
    pub fn is_dead(&self) -> bool {
        let reads_for =
            self.line.pending().as_ref().filter(|pending| !pending.has_it).map(|pending| pending.reads_for);
        !self.line.is_open() || self.line.silent_for() > SILENCE_MAX + reads_for.unwrap_or_default()
    }

    /// Takes in what the client says. What it says of a request that nobody waits for any more is ignored: it may have
    /// crossed the end of the wait.
    pub fn take(&self, frame: FromClient) -> Result<(), Misbehaved> {
        self.heard();
        let (id, attempt) = match &frame {
            FromClient::Got(got) => (&got.id, got.attempt),
            FromClient::Answer(answer) if !STATUSES.contains(&answer.status) => {
                return Err(Misbehaved("an answer's status must have three digits"));
            }
            FromClient::Answer(answer) => (&answer.id, answer.attempt),
            FromClient::Failed(failed) => (&failed.id, failed.attempt),
            FromClient::Unknown => return Ok(()),
        };
        let mut pending = self.line.pending();
        let Some(asked) = pending.as_mut().filter(|asked| asked.id == *id && asked.attempt == attempt) else {
            return Ok(());
        };
        let is_got = matches!(frame, FromClient::Got(_));
        if is_got && asked.has_it {
            return Err(Misbehaved("a request was said to be got twice"));
        }
        asked.has_it = true;
        let _ = asked.heard.try_send(frame);
        if !is_got {
            *pending = None;
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.line.shut();
        self.listeners.leave_seat(self.environment, self.endpoint, self.number);
    }
}
