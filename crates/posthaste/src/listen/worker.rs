//! Forwards what one wire was given, one request at a time and in order, whether its connection lives or not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use posthaste_core::time::Clock as _;
use posthaste_tunnel::frame::{Answer, Failed, FromClient, Request};
use tokio::sync::mpsc;

use super::event::{Event, Outcome, Went};
use super::forward::Forwarder;
use super::memory::{Key, Memory};
use crate::system::SystemTimer;

/// A request to forward, and how long the server waits for it.
pub(crate) struct Job {
    pub(crate) request: Request,
    pub(crate) given: Duration,
}

/// What a wire and its worker share.
#[derive(Clone)]
pub(crate) struct Shared {
    memory: Arc<Mutex<Memory>>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self { memory: Arc::default() }
    }

    /// Nobody waits while this is held.
    pub(crate) fn memory<T>(&self, with: impl FnOnce(&mut Memory) -> T) -> T {
        with(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Forwards until nobody gives it anything any more.
pub(crate) struct Worker {
    pub(crate) wire: usize,
    pub(crate) forwarder: Arc<Forwarder>,
    pub(crate) asked_host: Option<String>,
    pub(crate) shared: Shared,
    pub(crate) events: mpsc::Sender<Event>,
    /// Which request has its answer.
    pub(crate) done: mpsc::UnboundedSender<Key>,
}

impl Worker {
    pub(crate) async fn run(self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        let wire = self.wire;
        while let Some(Job { request, given }) = jobs.recv().await {
            let came = Event::Came { wire, at: SystemTimer.now(), request: Box::new(request.clone()) };
            let _ = self.events.send(came).await;
            let host = self.asked_host.as_deref();
            let went = self.forwarder.forward(&request, host, given, &self.events).await;
            let key = went.key.clone();
            self.shared.memory(|memory| memory.answer(key.clone(), frame_of(&went)));
            let _ = self.done.send(key);
            let went = Event::Went { wire, at: SystemTimer.now(), went: Box::new(went) };
            let _ = self.events.send(went).await;
        }
    }
}

/// What the server hears.
fn frame_of(went: &Went) -> FromClient {
    let (id, attempt) = went.key.clone();
    let duration_ms = u64::try_from(went.took.as_millis()).unwrap_or(u64::MAX);
    match &went.outcome {
        Outcome::Answered { status, headers, body, truncated } => FromClient::Answer(Answer {
            id,
            attempt,
            status: *status,
            headers: headers.clone(),
            duration_ms,
            truncated: *truncated,
            body: body.clone(),
        }),
        Outcome::Failed { kind, detail } => {
            FromClient::Failed(Failed { id, attempt, kind: *kind, detail: detail.clone(), duration_ms })
        }
    }
}
