//! Sending a request, and the two lines that say what came of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use posthaste_core::attempt::{FailureKind, Outcome, Reply};
use posthaste_core::target::{Allow, Target, TargetPolicy};
use posthaste_core::time::{Clock as _, Timestamp};
use posthaste_engine::client::{Client, ClientSettings, Outbound, SystemResolver};
use posthaste_signature::provider::sign::Draft;

use super::complaint::Complaint;
use super::target::short;
use crate::system::SystemTimer;
use crate::telemetry::tell;
use crate::terminal::shown;
use crate::words;

/// From the name lookup to the last byte of the answer: a receiver that is stopped at a breakpoint is given its time.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Letters of an answer's first line.
const LINE_LETTERS_MAX: usize = 160;

/// Sends what a developer asks for, wherever it goes.
pub(crate) struct Sender(Client);

impl Sender {
    /// Any address may be called: whoever typed it could call it anyway.
    pub(crate) fn new(url: &str) -> Result<Self, Complaint> {
        let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let anywhere = ["0.0.0.0/0", "::/0"].into_iter().map(str::to_owned).chain(host);
        let allow: Vec<Allow> = anywhere.filter_map(|entry| entry.parse().ok()).collect();
        let policy = TargetPolicy { allow, ..TargetPolicy::default() };
        Target::parse(url, &policy).map_err(|error| {
            Complaint::usage(
                format!("{url} is never called"),
                format!("the address {error}"),
                "write another URL, a port, or :3000/webhooks",
            )
        })?;
        let settings = ClientSettings { policy, ..ClientSettings::default() };
        Ok(Self(Client::new(settings, Arc::new(SystemResolver::new()))))
    }

    /// Sends a request and says so in two lines; `what` names it.
    pub(crate) async fn send(&self, draft: &Draft, id: &str, what: &str) -> Result<Reply, Complaint> {
        let method = Method::from_bytes(draft.method.as_bytes()).map_err(|error| {
            Complaint::usage(format!("\"{}\" is no method", draft.method), error, "write --method POST")
        })?;
        let size = words::size(draft.body.len() as u64);
        say(SystemTimer.now(), &format!("→ {id}  {what}  {size}"));
        let outbound = Outbound {
            method,
            url: draft.url.clone(),
            query: String::new(),
            headers: draft.headers.clone(),
            body: Bytes::from(draft.body.clone()),
            timeout: TIMEOUT,
        };
        let sent = self.0.send(outbound).await;
        let took = words::span(sent.timing.total);
        let to = format!("{} {}", draft.method, short(&draft.url));
        match sent.outcome {
            Outcome::Replied(reply) => {
                let first =
                    if (200..300).contains(&reply.status) { String::new() } else { first_line(&reply) };
                let line = format!("← {id}  {}  {to}  {took}  {first}", reply.status);
                say(SystemTimer.now(), line.trim_end());
                Ok(reply)
            }
            Outcome::Failed(failure) => {
                say(SystemTimer.now(), &format!("← {id}  {}  {to}  {took}", failure.kind.word()));
                let next = match failure.kind {
                    FailureKind::Connect => "is the receiver up, and is this its port?",
                    FailureKind::Dns | FailureKind::Resolver => "is the name right?",
                    FailureKind::Tls => {
                        "the certificate must be for this name and of a public authority; or use http://"
                    }
                    FailureKind::Timeout => "does the receiver wait for something?",
                    _ => "is it an HTTP/1.1 server that answers there?",
                };
                Err(Complaint::unreachable(format!("{} did not answer", draft.url), failure.detail, next))
            }
        }
    }
}

fn say(at: Timestamp, line: &str) {
    let at = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or_default();
    tell(&shown(&format!("{}  {line}", at.strftime("%H:%M:%S%.3f"))));
}

fn first_line(reply: &Reply) -> String {
    let text = String::from_utf8_lossy(&reply.body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(LINE_LETTERS_MAX).collect()
}
