//! One connection, from its first frame to its end.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use posthaste_engine::Timer as _;
use posthaste_tunnel::frame::{Bye, FromClient, FromServer, Got, Request, SILENCE_MAX};
use tokio::sync::{mpsc, watch as flag};
use tokio::time::{Instant, interval, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{self, Message};

use super::event::Event;
use super::memory::{Key, Offered};
use super::socket::Socket;
use super::state::State;
use super::watch::Watch;
use super::worker::{Job, Shared};
use crate::system::SystemTimer;

/// How often it is looked whether the other end is there.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a leave waits for what is being forwarded: what is not written down comes again.
const LEAVE_MAX: Duration = Duration::from_secs(2);
/// How long the local program may take, until the server says.
const GIVEN_DEFAULT: Duration = Duration::from_secs(15);

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum Left {
    /// It broke, or is not to be believed.
    Lost(String),
    /// The server said so.
    Bye(Bye),
    /// Whoever started us did.
    Stopped,
}

/// What a connection works with, that was there before it and will be after.
pub(crate) struct Lasting {
    pub(crate) wire: usize,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) shared: Shared,
    pub(crate) jobs: mpsc::UnboundedSender<Job>,
    pub(crate) done: mpsc::UnboundedReceiver<Key>,
    pub(crate) stop: flag::Receiver<bool>,
}

/// A connection.
pub(crate) struct Session<'l> {
    socket: Socket,
    lasting: &'l mut Lasting,
    watch: Watch,
    given: Duration,
    /// What was offered here: nobody waits for the answer to anything else.
    offered: HashSet<Key>,
    was_ready: bool,
    leaving: Option<Instant>,
}

impl<'l> Session<'l> {
    pub(crate) fn new(socket: Socket, lasting: &'l mut Lasting) -> Self {
        let watch = Watch::begin(SystemTimer.both());
        let offered = HashSet::new();
        Self { socket, lasting, watch, given: GIVEN_DEFAULT, offered, was_ready: false, leaving: None }
    }

    /// Whether it ever was more than open.
    pub(crate) fn was_ready(&self) -> bool {
        self.was_ready
    }

    /// Hears and answers until it ends.
    pub(crate) async fn run(&mut self) -> Left {
        let mut look = interval(LOOK_INTERVAL);
        loop {
            let leave_at = self.leaving.unwrap_or_else(|| Instant::now() + SILENCE_MAX);
            let step = tokio::select! {
                heard = self.socket.next() => self.hear(heard).await,
                Some(key) = self.lasting.done.recv() => self.answer(&key).await,
                _ = look.tick() => self.look(),
                () = until_set(&mut self.lasting.stop), if self.leaving.is_none() => {
                    self.leaving = Some(Instant::now() + LEAVE_MAX);
                    Ok(())
                }
                () = sleep_until(leave_at), if self.leaving.is_some() => Err(Left::Stopped),
            };
            let left = match step {
                Ok(())
                    if self.leaving.is_some() && self.lasting.shared.memory(|memory| memory.is_empty()) =>
                {
                    Left::Stopped
                }
                Ok(()) => continue,
                Err(left) => left,
            };
            if matches!(left, Left::Stopped) {
                let _ = timeout(LOOK_INTERVAL, self.socket.close(None)).await;
            }
            return left;
        }
    }

    fn look(&mut self) -> Result<(), Left> {
        self.watch.look(SystemTimer.both()).map_or(Ok(()), |why| Err(Left::Lost(why)))
    }

    async fn hear(&mut self, heard: Option<tungstenite::Result<Message>>) -> Result<(), Left> {
        self.look()?;
        let message = match heard {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(Left::Lost(format!("the connection broke: {error}"))),
            None => return Err(Left::Lost("the server closed the connection".to_owned())),
        };
        self.watch.hear(SystemTimer.both().0);
        let Message::Binary(bytes) = message else { return Ok(()) };
        let frame = FromServer::decode(&bytes)
            .map_err(|error| Left::Lost(format!("a frame of the server cannot be read: it {error}")))?;
        match frame {
            FromServer::Ready(frame) => {
                self.given = Duration::from_millis(frame.timeout_ms);
                self.was_ready = true;
                let state = State::Ready { waiting: frame.waiting };
                let _ = self.lasting.events.send(Event::State { wire: self.lasting.wire, state }).await;
                Ok(())
            }
            FromServer::Request(request) => self.take(request).await,
            FromServer::Recorded(recorded) => {
                let key = (recorded.id, recorded.attempt);
                self.offered.remove(&key);
                self.lasting.shared.memory(|memory| memory.recorded(&key));
                Ok(())
            }
            FromServer::Bye(bye) => Err(Left::Bye(bye)),
            FromServer::Unknown => Ok(()),
        }
    }

    async fn take(&mut self, request: Request) -> Result<(), Left> {
        let key = (request.id.clone(), request.attempt);
        // Whoever leaves takes nothing: it comes again to whoever listens next.
        if self.leaving.is_some() {
            return Ok(());
        }
        let offered = self.lasting.shared.memory(|memory| memory.offer(&key));
        if offered == Offered::TooMany {
            return Err(Left::Lost("the server gave more requests than it waits for".to_owned()));
        }
        self.offered.insert(key.clone());
        self.say(FromClient::Got(Got { id: key.0, attempt: key.1 })).await?;
        match offered {
            Offered::New => {
                let _ = self.lasting.jobs.send(Job { request, given: self.given });
                Ok(())
            }
            Offered::Answered(answer) => self.say(answer).await,
            Offered::UnderWay | Offered::TooMany => Ok(()),
        }
    }

    /// The worker has an answer: for this connection, or for one that is gone.
    async fn answer(&mut self, key: &Key) -> Result<(), Left> {
        if !self.offered.contains(key) {
            return Ok(());
        }
        match self.lasting.shared.memory(|memory| memory.answer_to(key).cloned()) {
            Some(answer) => self.say(answer).await,
            None => Ok(()),
        }
    }

    async fn say(&mut self, frame: FromClient) -> Result<(), Left> {
        let sent = timeout(SILENCE_MAX, self.socket.send(Message::Binary(frame.encode()))).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Left::Lost(format!("the connection broke: {error}"))),
            Err(_) => Err(Left::Lost("the server takes nothing any more".to_owned())),
        }
    }
}

/// Waits until somebody wants it to end, or nobody is there any more who could.
pub(crate) async fn until_set(stop: &mut flag::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
