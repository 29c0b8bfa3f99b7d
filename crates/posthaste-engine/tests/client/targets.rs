//! Which targets the client dials: the judgement at each attempt, and that nothing else is ever dialled.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use posthaste_core::attempt::{FailureKind, Timing};
use posthaste_core::target::TargetPolicy;
use posthaste_engine::client::{Client, ClientSettings, Outbound, Resolver, Sent, SystemResolver};
use serde_json::Value;
use url::{Host, Url};

use crate::receiver::{OK, Receiver, Step, ToldResolver, client, hasty, post, settings};
use crate::{failed, reply};

/// All blocked targets get one sentence.
const BLOCKED: &str = "the target is not a public address, and is not allowed by name";

#[tokio::test]
async fn a_blocked_target_is_never_dialled_and_the_refusal_is_always_the_same() {
    let receiver = Receiver::answering(OK).await;
    let port = receiver.address.port();
    let resolver = ToldResolver::answers(&["127.0.0.1"]);
    let strict = Client::new(ClientSettings::default(), resolver);
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://hook.example:{port}/"),
        format!("ftp://127.0.0.1:{port}/"),
        "http://127.0.0.1:22/".to_owned(),
        "nonsense".to_owned(),
    ] {
        is_blocked(strict.send(post(url.clone())).await, &url);
    }
    assert_eq!(receiver.connections(), 0);
}

/// Nothing tells one blocked target from another: not the words, not an address, not the time that it took.
fn is_blocked(sent: Sent, case: &str) {
    assert_eq!((sent.remote, sent.timing), (None, Timing::default()), "{case}");
    let failure = failed(sent);
    assert_eq!((failure.kind, &*failure.detail), (FailureKind::BlockedTarget, BLOCKED), "{case}");
}

/// What a case's resolver answers at the attempt: the last round, if it answers differently each time.
fn answers(case: &Value) -> Vec<&str> {
    let dns = &case["dns"];
    let last = dns["sequence"].as_array().and_then(|rounds| rounds.last());
    let lists = [last.unwrap_or(&Value::Null), &dns["A"], &dns["AAAA"]];
    lists.into_iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect()
}

/// Whether a URL, or one of the answers for its name, is an address of this machine.
fn leads_home(url: &Url, answers: &[&str]) -> bool {
    let host = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::from(address)),
        Some(Host::Ipv6(address)) => Some(address.to_canonical()),
        _ => None,
    };
    let answers = answers.iter().filter_map(|answer| answer.parse::<IpAddr>().ok());
    host.into_iter().chain(answers).any(|address| address.is_loopback() || address.is_unspecified())
}

#[tokio::test]
async fn every_forbidden_target_of_the_table_is_blocked_at_the_attempt_and_none_is_dialled() {
    let canary = Receiver::answering(OK).await;
    let table = include_str!("../../../posthaste-core/tests/fixtures/targets.json");
    let cases: Vec<Value> = serde_json::from_str(table).unwrap();
    let (mut blocked, mut home) = (0, 0);
    // A name without an answer is no blocked target, and cases with settings of their own are the rule's.
    let forbidden = cases.iter().filter(|case| case["expect"] == "deny" && case["config"].is_null());
    for case in forbidden.filter(|case| case["dns"]["rcode"].is_null() && case["dns"]["hang"].is_null()) {
        let text = case["url"].as_str().unwrap();
        let resolver = ToldResolver::answers(&answers(case));
        let client = Client::new(ClientSettings::default(), resolver);
        is_blocked(client.send(post(text.to_owned())).await, text);
        // What leads to this machine, at the port where somebody listens: if it were dialled, it would be seen.
        if let Ok(mut url) = Url::parse(text)
            && leads_home(&url, &answers(case))
            && url.set_port(Some(canary.address.port())).is_ok()
        {
            is_blocked(client.send(post(url.to_string())).await, url.as_str());
            home += 1;
        }
        assert_eq!(client.open_connections(), 0, "{text}");
        blocked += 1;
    }
    assert!(blocked > 100 && home > 20, "{blocked} blocked, {home} of them on this machine");
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_nothing_that_is_followed() {
    let canary = Receiver::answering(OK).await;
    for status in [301, 302, 303, 307, 308] {
        let location = canary.url("/latest/meta-data");
        let answer = format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let receiver = Receiver::answering(answer).await;
        assert_eq!(reply(client().send(post(receiver.url("/"))).await).status, status);
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn a_name_is_looked_up_once_for_each_attempt_and_its_answer_is_dialled() {
    let mut receiver = Receiver::running(vec![vec![Step::AnswerAll(OK.into())]]).await;
    let resolver = ToldResolver::answers(&["127.0.0.1"]);
    let client = Client::new(settings(), Arc::clone(&resolver) as Arc<dyn Resolver>);
    let url = format!("http://Hook.Example.:{}/", receiver.address.port());
    for attempt in 1..=3 {
        let sent = client.send(post(url.clone())).await;
        assert_eq!(sent.remote, Some(receiver.address));
        reply(sent);
        assert_eq!(resolver.asked.load(Ordering::SeqCst), attempt);
    }
    assert_eq!(receiver.connections(), 1);
    let host = format!("host: hook.example.:{}\r\n", receiver.address.port());
    assert!(receiver.request().await.contains(&host));
}

#[tokio::test]
async fn a_name_that_turns_private_is_refused_though_a_connection_is_kept() {
    let receiver = Receiver::running(vec![vec![Step::AnswerAll(OK.into())]]).await;
    let resolver = ToldResolver::answers(&["127.0.0.1"]);
    let client = Client::new(settings(), Arc::clone(&resolver) as Arc<dyn Resolver>);
    let url = format!("http://hook.example:{}/", receiver.address.port());
    reply(client.send(post(url.clone())).await);
    for answers in [&["10.0.0.5"][..], &["127.0.0.1", "10.0.0.5"], &["127.0.0.2"], &["169.254.169.254"]] {
        resolver.now_answers(answers);
        assert_eq!(failed(client.send(post(url.clone())).await).kind, FailureKind::BlockedTarget);
    }
    resolver.now_answers(&["127.0.0.1"]);
    reply(client.send(post(url)).await);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_kept_connection_serves_only_the_host_that_it_was_opened_for() {
    let receiver = Receiver::running(vec![vec![Step::AnswerAll(OK.into())]]).await;
    let client = Client::new(settings(), ToldResolver::answers(&["127.0.0.1"]));
    for host in ["one.example", "two.example", "one.example"] {
        reply(client.send(post(format!("http://{host}:{}/", receiver.address.port()))).await);
    }
    assert_eq!((receiver.connections(), client.idle_connections()), (2, 2));
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_takes_no_connection() {
    let receiver = Receiver::answering(OK).await;
    let allow = vec!["127.0.0.0/8".parse().unwrap()];
    let policy = TargetPolicy { allow, ..TargetPolicy::default() };
    let resolver = ToldResolver::answers(&["127.0.0.9", "127.0.0.1"]);
    let client = Client::new(ClientSettings { policy, ..settings() }, resolver);
    let sent = client.send(post(format!("http://hook.example:{}/", receiver.address.port()))).await;
    assert_eq!(sent.remote, Some(receiver.address));
    reply(sent);
}

#[tokio::test]
async fn localhost_can_be_allowed_by_name() {
    let receiver = Receiver::answering(OK).await;
    let client = Client::new(settings(), Arc::new(SystemResolver::new()));
    reply(client.send(post(format!("http://localhost:{}/", receiver.address.port()))).await);
}

#[tokio::test]
async fn a_literal_address_is_not_looked_up() {
    let receiver = Receiver::answering(OK).await;
    let resolver = ToldResolver::answers(&[]);
    let client = Client::new(settings(), Arc::clone(&resolver) as Arc<dyn Resolver>);
    reply(client.send(post(receiver.url("/"))).await);
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 0);
}

/// Fails, or never answers.
struct BadResolver {
    hangs: bool,
}

#[async_trait]
impl Resolver for BadResolver {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Err(io::Error::other("server failure"))
    }
}

#[tokio::test]
async fn a_name_without_an_answer_fails_closed() {
    let url = "http://hook.example/";
    let failing = Client::new(settings(), Arc::new(BadResolver { hangs: false }));
    let failure = failed(failing.send(post(url)).await);
    assert_eq!(
        (failure.kind, &*failure.detail),
        (FailureKind::Resolver, "its name could not be looked up: server failure")
    );

    let empty = client();
    assert_eq!(failed(empty.send(post(url)).await).kind, FailureKind::Dns);

    let hanging = Client::new(settings(), Arc::new(BadResolver { hangs: true }));
    let sent = hanging.send(hasty(url)).await;
    assert!(!sent.timing.dns.is_zero());
    let failure = failed(sent);
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.detail.ends_with("while its name was looked up"), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_hangs_gets_five_seconds() {
    let hanging = Client::new(settings(), Arc::new(BadResolver { hangs: true }));
    let request = Outbound { timeout: std::time::Duration::from_secs(30), ..post("http://hook.example/") };
    let sent = hanging.send(request).await;
    assert_eq!(sent.timing.total.as_secs(), 5);
    let failure = failed(sent);
    assert_eq!(
        (failure.kind, &*failure.detail),
        (FailureKind::Resolver, "its name was not found within 5 s")
    );
}
