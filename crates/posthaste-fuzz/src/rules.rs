//! Texts that rules of the core read: names, ids, URLs, cron expressions, `Retry-After`.

use bytes::Bytes;
use posthaste_core::attempt::{Outcome, Reply};
use posthaste_core::id::{AppId, EndpointId, MessageId, SourceId};
use posthaste_core::limits::RETRY_AFTER_MAX;
use posthaste_core::name::{Channel, EventTypeName, Label, Tag, Uid};
use posthaste_core::retry;
use posthaste_core::schedule::Schedule;
use posthaste_core::target::{Target, TargetPolicy, judge_addresses};
use posthaste_core::time::Timestamp;

const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);

/// A name or an id, which is also what iterators are made of.
pub fn name_and_id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    fn reads_back<T: ToString>(text: &str, read: Option<T>) {
        if let Some(read) = read {
            assert_eq!(read.to_string(), text, "it reads as another");
        }
    }
    reads_back(text, EventTypeName::parse(text).ok());
    reads_back(text, Channel::parse(text).ok());
    reads_back(text, Tag::parse(text).ok());
    reads_back(text, Uid::parse(text).ok());
    reads_back(text, Label::parse(text).ok());
    reads_back(text, MessageId::parse(text));
    reads_back(text, EndpointId::parse(text));
    reads_back(text, AppId::parse(text));
    reads_back(text, SourceId::parse(text));
    if let Some(id) = MessageId::parse(text) {
        let _ = id.made_at().to_string();
    }
    if let Some(instant) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&instant.to_string()), Some(instant), "an instant reads as another");
    }
}

/// The value of a `Retry-After`.
pub fn retry_after(data: &[u8]) {
    let headers = vec![("retry-after".to_owned(), Bytes::copy_from_slice(data))];
    let reply = Reply { status: 503, headers, body: Bytes::new(), truncated: false };
    let wait = retry::retry_after(&Outcome::Replied(reply), NOW).unwrap_or_default();
    assert!(wait <= RETRY_AFTER_MAX, "a receiver may not hold its backlog for {wait:?}");
}

/// The URL of an endpoint.
pub fn target_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let policy = TargetPolicy::default();
    let Ok(target) = Target::parse(text, &policy) else { return };
    let again = Target::parse(target.url().as_str(), &policy).expect("a canonical URL is a URL");
    assert_eq!(again, target, "it reads as another");
    assert!(target.url().username().is_empty() && target.url().password().is_none());
    if let Some(address) = target.literal() {
        let private = match address.to_canonical() {
            std::net::IpAddr::V4(v4) => {
                v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified()
            }
            std::net::IpAddr::V6(v6) => {
                v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()
            }
        };
        assert!(!private, "{address} may not be called");
        let dialled = judge_addresses(&target, &[], &policy).expect("it was judged before");
        assert!(dialled.iter().all(|socket| socket.ip() == address), "another address is dialled");
    }
}

/// A cron expression.
pub fn cron(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(schedule) = Schedule::parse(text) else { return };
    let mut at = NOW;
    for _ in 0..3 {
        let Some(next) = schedule.next(at) else { break };
        assert!(next > at && next.as_secs() % 60 == 0, "{next} does not follow {at}");
        at = next;
    }
    assert!(schedule.next(Timestamp::from_secs(i64::MAX)).is_none());
}
