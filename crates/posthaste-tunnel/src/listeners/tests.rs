//! Who gets a request, what becomes of it, and when somebody counts as gone; on a clock that the tests hold.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use posthaste_core::dice::TestDice;
use posthaste_core::id::EndpointId;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance};

use super::*;
use crate::frame::{Answer, Failed, FailedKind, FromClient, Got, Headers};
use crate::session::Session;

const HERE: EnvironmentId = EnvironmentId(1);
const TIMEOUT: Duration = Duration::from_secs(15);

fn endpoint(seed: u64) -> EndpointId {
    EndpointId::fresh(Timestamp::from_secs(1_800_000_000), &TestDice::seeded(seed))
}

fn request(body_bytes: usize) -> Request {
    Request {
        id: "msg_1:ep_1".to_owned(),
        attempt: 1,
        message: "msg_1".to_owned(),
        event_type: "a.b".to_owned(),
        method: "POST".to_owned(),
        path: String::new(),
        query: String::new(),
        headers: Headers::default(),
        body: Bytes::from(vec![0; body_bytes]),
    }
}

fn got() -> FromClient {
    FromClient::Got(Got { id: "msg_1:ep_1".to_owned(), attempt: 1 })
}

fn answer(status: u16) -> Answer {
    let (id, headers, body) = ("msg_1:ep_1".to_owned(), Headers::default(), Bytes::from_static(b"ok"));
    Answer { id, attempt: 1, status, headers, duration_ms: 3, truncated: false, body }
}

fn listens(listeners: &Arc<Listeners>, to: EndpointId) -> Session {
    let session = listeners.admit(HERE, to).unwrap();
    session.begin();
    session
}

/// The engine's side: forwards, and says what became of it and after how many seconds.
fn forwards(
    listeners: &Arc<Listeners>,
    to: EndpointId,
    body_bytes: usize,
) -> JoinHandle<(Result<Told, Unforwarded>, u64)> {
    let listeners = Arc::clone(listeners);
    let began = Instant::now();
    tokio::spawn(async move {
        let told = listeners.forward(to, request(body_bytes), TIMEOUT).await;
        (told, began.elapsed().as_secs())
    })
}

async fn hears_request(session: &mut Session) {
    assert!(matches!(session.next().await, Some(FromServer::Request(_))));
}

async fn hears_bye(session: &mut Session) -> Reason {
    match session.next().await {
        Some(FromServer::Bye(bye)) => bye.reason,
        other => panic!("heard {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_local_program_answers_comes_back_to_whoever_forwarded() {
    let (listeners, to) = (Listeners::new(), endpoint(1));
    assert_eq!(forwards(&listeners, to, 0).await.unwrap().0, Err(Unforwarded::Gone), "nobody listens");
    let mut session = listens(&listeners, to);
    assert_eq!(listeners.next_joined().await, to);
    let forwarded = forwards(&listeners, to, 0);
    hears_request(&mut session).await;
    session.take(got()).unwrap();
    session.take(FromClient::Answer(answer(500))).unwrap();
    assert_eq!(forwarded.await.unwrap().0, Ok(Told::Answered(answer(500))));
    let recorded = Recorded { id: "msg_1:ep_1".into(), attempt: 1, status: "failed".into() };
    listeners.recorded(to, recorded.clone());
    assert_eq!(session.next().await, Some(FromServer::Recorded(recorded)));
}

#[tokio::test(start_paused = true)]
async fn a_program_that_is_not_there_is_told_of_and_an_answer_may_come_without_got() {
    let (listeners, to) = (Listeners::new(), endpoint(1));
    let mut session = listens(&listeners, to);
    let failed = Failed {
        id: "msg_1:ep_1".into(),
        attempt: 1,
        kind: FailedKind::Connect,
        detail: "nothing listens on port 3000".into(),
        duration_ms: 0,
    };
    let forwarded = forwards(&listeners, to, 0);
    hears_request(&mut session).await;
    session.take(FromClient::Failed(failed.clone())).unwrap();
    assert_eq!(forwarded.await.unwrap().0, Ok(Told::Failed(failed)));
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_take_a_request_is_gone_and_a_long_body_has_longer() {
    for (body_bytes, secs) in [(0, 5), (8 << 20, 13), (64 << 20, 25)] {
        let (listeners, to) = (Listeners::new(), endpoint(1));
        let mut session = listens(&listeners, to);
        let forwarded = forwards(&listeners, to, body_bytes);
        hears_request(&mut session).await;
        assert_eq!(forwarded.await.unwrap(), (Err(Unforwarded::Gone), secs));
        assert!(!listeners.is_listened_to(to) && session.is_dead(), "it is not offered the same again");
        assert_eq!(session.next().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_program_is_a_timeout_if_its_client_is_alive_and_else_nothing() {
    for alive in [true, false] {
        let (listeners, to) = (Listeners::new(), endpoint(1));
        let mut session = listens(&listeners, to);
        let forwarded = forwards(&listeners, to, 0);
        hears_request(&mut session).await;
        session.take(got()).unwrap();
        tokio::task::yield_now().await;
        advance(Duration::from_secs(9)).await;
        assert!(!session.is_dead());
        if alive {
            session.heard();
        }
        advance(Duration::from_secs(4)).await;
        assert_eq!(session.is_dead(), !alive, "12 s of silence are the end");
        if alive {
            session.heard();
        }
        let expected = if alive { Ok(Told::TimedOut) } else { Err(Unforwarded::Gone) };
        assert_eq!(forwarded.await.unwrap(), (expected, 17));
        session.take(FromClient::Answer(answer(200))).expect("too late is no misbehaviour");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_gives_its_request_back_at_once() {
    let (listeners, to) = (Listeners::new(), endpoint(1));
    let mut session = listens(&listeners, to);
    let forwarded = forwards(&listeners, to, 0);
    hears_request(&mut session).await;
    session.take(got()).unwrap();
    drop(session);
    assert_eq!(forwarded.await.unwrap(), (Err(Unforwarded::Gone), 0));
    assert!(!listeners.is_listened_to(to));
    assert_eq!(listeners.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_newer_connection_takes_the_place_of_the_older_which_hears_it() {
    let (listeners, to) = (Listeners::new(), endpoint(1));
    let mut older = listens(&listeners, to);
    let forwarded = forwards(&listeners, to, 0);
    hears_request(&mut older).await;
    let mut newer = listens(&listeners, to);
    assert_eq!(hears_bye(&mut older).await, Reason::Replaced);
    assert_eq!(forwarded.await.unwrap().0, Err(Unforwarded::Gone));
    drop(older);
    assert!(listeners.is_listened_to(to), "that the older one leaves does not concern the newer");
    listeners.replaced(to);
    assert_eq!(hears_bye(&mut newer).await, Reason::Replaced, "another node has taken over");
}

#[tokio::test(start_paused = true)]
async fn whoever_says_what_it_must_not_is_refused() {
    let (listeners, to) = (Listeners::new(), endpoint(1));
    let mut session = listens(&listeners, to);
    let _forwarded = forwards(&listeners, to, 0);
    hears_request(&mut session).await;
    assert!(session.take(FromClient::Answer(answer(99))).is_err());
    let other = FromClient::Got(Got { id: "msg_2:ep_1".to_owned(), attempt: 1 });
    session.take(other).expect("of another request, which may be over");
    session.take(got()).unwrap();
    assert!(session.take(got()).is_err());
    session.take(FromClient::Unknown).unwrap();
}

#[tokio::test(start_paused = true)]
async fn places_are_counted_by_environment_and_in_all() {
    let listeners = Listeners::new();
    let admit = |environment, n| listeners.admit(EnvironmentId(environment), endpoint(n));
    let mut all: Vec<_> = (0..100).map(|n| admit(1, n).unwrap()).collect();
    all.iter().for_each(Session::begin);
    assert_eq!(admit(1, 100).err(), Some(Full::Environment));
    drop(admit(1, 50).expect("it would take another's place"));
    for environment in 2..11_u32 {
        let first = u64::from(environment) * 100;
        all.extend((first..first + 100).map(|n| admit(environment.into(), n).unwrap()));
    }
    assert_eq!(admit(11, 5_000).err(), Some(Full::Process));
    all.truncate(99);
    assert!(admit(1, 100).is_ok() && listeners.count() == 99);
}

#[tokio::test(start_paused = true)]
async fn when_the_process_leaves_all_hear_it_and_nobody_comes() {
    let (listeners, to) = (Listeners::new(), endpoint(1));
    let mut session = listens(&listeners, to);
    let leaving = tokio::spawn({
        let listeners = Arc::clone(&listeners);
        async move { listeners.leave().await }
    });
    assert_eq!(hears_bye(&mut session).await, Reason::Leaving);
    assert_eq!(listeners.admit(HERE, to).err(), Some(Full::Leaving));
    assert!(!leaving.is_finished());
    drop(session);
    leaving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_listens_is_told_to_their_own_environment() {
    let listeners = Listeners::new();
    let session = listens(&listeners, endpoint(1));
    let _other = {
        let session = listeners.admit(EnvironmentId(2), endpoint(2)).unwrap();
        session.begin();
        session
    };
    let _not_yet = listeners.admit(HERE, endpoint(3)).unwrap();
    advance(Duration::from_secs(5)).await;
    let expected = Listening { endpoint: endpoint(1), age: Duration::from_secs(5), is_busy: false };
    assert_eq!(listeners.of(HERE), [expected]);
    let forwarded = forwards(&listeners, endpoint(1), 0);
    tokio::task::yield_now().await;
    assert!(listeners.of(HERE)[0].is_busy);
    drop(session);
    assert_eq!(listeners.of(HERE), []);
    assert_eq!(forwarded.await.unwrap().0, Err(Unforwarded::Gone));
}
