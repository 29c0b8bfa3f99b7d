//! One connection of a listener, from its first frame to its last.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use bytes::Bytes;
use posthaste_tunnel::frame::{Bye, FromClient, FromServer, PING_INTERVAL, Ready, Reason};
use posthaste_tunnel::session::Session;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::right::Right;
use crate::Shared;

/// At which pings it is looked whether the session may go on: each 15 s.
const LOOK_EACH: u32 = 3;
/// How long the other end may take to close what is over.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// What follows from something that came or went.
enum Next {
    On,
    /// It is over, and this is said.
    Said(Bye),
    /// It is over: the other end is gone, or was told.
    Gone,
}

/// Holds the connection until it ends, one way or another.
pub(super) async fn hold(
    mut socket: WebSocket,
    mut session: Session,
    ready: Ready,
    right: Right,
    state: Shared,
) {
    if send(&mut socket, &FromServer::Ready(ready)).await.is_none() {
        return;
    }
    session.heard();
    session.begin();
    let mut ping = interval(PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pings_count = 0_u32;
    let bye = loop {
        let next = tokio::select! {
            frame = session.next() => match frame {
                Some(FromServer::Bye(bye)) => Next::Said(bye),
                Some(frame) => send(&mut socket, &frame).await.map_or(Next::Gone, |()| Next::On),
                None => Next::Gone,
            },
            came = socket.recv() => take(&session, came),
            _ = ping.tick() => {
                pings_count = pings_count.wrapping_add(1);
                beat(&mut socket, &session, pings_count.is_multiple_of(LOOK_EACH), (&right, &state)).await
            }
        };
        match next {
            Next::On => {}
            Next::Said(bye) => break Some(bye),
            Next::Gone => break None,
        }
    };
    close(socket, session, bye).await;
}

async fn send(socket: &mut WebSocket, frame: &FromServer) -> Option<()> {
    socket.send(Message::Binary(frame.encode())).await.ok()
}

/// Anything that comes is a sign of life.
fn take(session: &Session, came: Option<Result<Message, axum::Error>>) -> Next {
    session.heard();
    let misbehaved = |detail: &str| Next::Said(session.end(Reason::Misbehaved, detail));
    match came {
        Some(Ok(Message::Binary(message))) => {
            taken(session, &message).unwrap_or_else(|detail| misbehaved(&detail))
        }
        Some(Ok(Message::Text(_))) => misbehaved("a frame must be a binary message"),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Next::On,
        Some(Ok(Message::Close(_))) | None => Next::Gone,
        // Whoever is gone does not hear it.
        Some(Err(_)) => misbehaved("a message was too long, or not one that a WebSocket may carry"),
    }
}

fn taken(session: &Session, message: &Bytes) -> Result<Next, String> {
    let frame = FromClient::decode(message).map_err(|error| format!("a frame {error}"))?;
    session.take(frame).map_err(|misbehaved| misbehaved.to_string())?;
    Ok(Next::On)
}

async fn beat(
    socket: &mut WebSocket,
    session: &Session,
    look: bool,
    (right, state): (&Right, &Shared),
) -> Next {
    if session.is_dead() {
        return Next::Gone;
    }
    if look && let Err((reason, detail)) = right.look(state).await {
        return Next::Said(session.end(reason, detail));
    }
    match socket.send(Message::Ping(Bytes::new())).await {
        Ok(()) => Next::On,
        Err(_) => Next::Gone,
    }
}

/// Says the last word, if there is one, and waits a little for the other end to have heard it.
async fn close(mut socket: WebSocket, session: Session, bye: Option<Bye>) {
    let reason = match &bye {
        Some(bye) => {
            let _ = timeout(CLOSE_WITHIN, send(&mut socket, &FromServer::Bye(bye.clone()))).await;
            Utf8Bytes::from_static("bye")
        }
        None => Utf8Bytes::from_static("not heard of for too long"),
    };
    let last = Message::Close(Some(CloseFrame { code: close_code::AWAY, reason }));
    let ending = async {
        if socket.send(last).await.is_ok() {
            // Bytes that nobody reads would take back what was sent.
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    // The last word is on its way: whoever waits for the session to be over need not wait for the other end.
    drop(session);
    let _ = timeout(CLOSE_WITHIN, ending).await;
}
