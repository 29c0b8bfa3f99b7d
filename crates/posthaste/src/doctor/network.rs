//! The network: our own server, the resolver, which addresses may be called, and whether a given URL can be.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method};
use posthaste_core::attempt::{FailureKind, Outcome};
use posthaste_core::target::{Allow, Refused, Target, TargetPolicy, why_refused};
use posthaste_engine::client::{Client, ClientSettings, Outbound, Resolver, Sent, SystemResolver};
use posthaste_store::sqlite::lock;

use super::finding::{About, Finding};
use crate::call::Caller;
use crate::config::Settings;
use crate::{wiring, words};

/// Reserved for examples, and always there.
const PUBLIC_NAME: &str = "example.com";
const DNS_TIMEOUT: Duration = Duration::from_secs(3);
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
const SERVER: About = About("Queue", "server");
const DNS: About = About("Network", "names");
const RULE: About = About("Network", "address rule");

/// A server on this store, if there is one.
pub(super) struct Server {
    pub(super) runs: bool,
    pub(super) finding: Finding,
}

pub(super) async fn server(settings: &Settings, database: &Path) -> Server {
    let runs = match lock::is_served(database) {
        Ok(runs) => runs,
        Err(error) => return Server { runs: false, finding: SERVER.unknown(error.to_string()) },
    };
    if !runs {
        return Server { runs, finding: SERVER.unknown("none runs on this store now") };
    }
    if settings.listen.port() == 0 {
        return Server { runs, finding: SERVER.good("one runs on this store; its port is not known here") };
    }
    let url = format!("{}://{}", settings.scheme(), settings.listen);
    let asked = tokio::time::timeout(SERVER_TIMEOUT, async {
        Caller::connect(&url, None).await?.get("/readyz").await
    });
    let finding = match asked.await {
        Ok(Ok(answer)) if answer.status == 200 => {
            SERVER.good(format!("runs on this store, and is ready at {url}"))
        }
        Ok(Ok(answer)) => SERVER.wrong(
            format!("runs on this store, but is not ready at {url}: {}", answer.text().trim()),
            "see its log",
        ),
        Ok(Err(_)) | Err(_) => SERVER.warning(
            format!("runs on this store, but does not answer at {url}"),
            "does it listen elsewhere? Run this with its settings, or with its --listen",
        ),
    };
    Server { runs, finding }
}

/// Whether public names are found. No answer is not wrong: some networks have none, and need none.
pub(super) async fn dns() -> Finding {
    let began = Instant::now();
    let resolver = SystemResolver::new();
    match tokio::time::timeout(DNS_TIMEOUT, resolver.resolve(PUBLIC_NAME)).await {
        Ok(Ok(_)) => DNS.good(format!("{PUBLIC_NAME} was found in {}", words::span(began.elapsed()))),
        Ok(Err(error)) => DNS.unknown(format!("no answer for {PUBLIC_NAME} ({error})")),
        Err(_) => DNS.unknown(format!("no answer for {PUBLIC_NAME} within {}", words::span(DNS_TIMEOUT))),
    }
}

/// What may be called.
pub(super) fn addresses(settings: &Settings) -> [Finding; 2] {
    let policy = wiring::target_policy(settings, settings.listen);
    let scheme = if settings.https_only { "by https only" } else { "by https and http" };
    let rule = if policy.allow.is_empty() {
        RULE.good(format!("public addresses, {scheme}; no others"))
    } else {
        let list = policy.allow.iter().map(entry).collect::<Vec<_>>().join(", ");
        let says = format!("public addresses, {scheme}, and {list} (POSTHASTE_ALLOW_TARGETS)");
        if policy.allow.iter().any(allows_everything) {
            RULE.warning(
                says,
                "a network of all addresses lets customers call anything that this machine can reach",
            )
        } else {
            RULE.good(says)
        }
    };
    let own = policy.self_hosts.into_iter().chain(policy.self_addresses.iter().map(SocketAddr::to_string));
    let own = About("Network", "own addresses")
        .good(format!("{}: never called, since that would loop", own.collect::<Vec<_>>().join(", ")));
    [rule, own]
}

fn entry(allow: &Allow) -> String {
    match allow {
        Allow::Network(network) => network.to_string(),
        Allow::Host(host) => host.clone(),
    }
}

fn allows_everything(allow: &Allow) -> bool {
    matches!(allow, Allow::Network(network) if network.prefix_len() == 0)
}

const ADDRESS: About = About("Reach", "address");
const CONNECT: About = About("Reach", "connection");
const ANSWER: About = About("Reach", "answer");

/// Calls a URL as a delivery would: the same rule, the same client.
pub(super) async fn reach(url: &str, settings: &Settings) -> Vec<Finding> {
    let policy = wiring::target_policy(settings, settings.listen);
    let resolver: Arc<dyn Resolver> = Arc::new(SystemResolver::new());
    let began = Instant::now();
    let answers = match look_up(url, &policy, &resolver).await {
        Ok(answers) => answers,
        Err(finding) => return vec![finding],
    };
    let looked_up = began.elapsed();
    if let Some(refused) = why_refused(url, &answers, &policy) {
        return vec![ADDRESS.wrong(format!("{url} is refused: {}", reason(&refused)), remedy(&refused))];
    }
    let list = answers.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    let address = if list.is_empty() {
        ADDRESS.good(format!("{url} may be called: nothing to look up"))
    } else {
        ADDRESS.good(format!("{url} may be called: {list}, found in {}", words::span(looked_up)))
    };
    let client = Client::new(ClientSettings { policy, ..ClientSettings::default() }, resolver);
    let request = Outbound {
        method: Method::HEAD,
        url: url.to_owned(),
        query: String::new(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        timeout: settings.request_timeout,
    };
    let mut findings = vec![address];
    findings.extend(called(&client.send(request).await));
    findings
}

/// The addresses of the URL's name; none if it is one itself.
async fn look_up(
    url: &str,
    policy: &TargetPolicy,
    resolver: &Arc<dyn Resolver>,
) -> Result<Vec<IpAddr>, Finding> {
    let Ok(target) = Target::parse(url, policy) else { return Ok(Vec::new()) };
    if target.literal().is_some() {
        return Ok(Vec::new());
    }
    let mend = "is the name right? Does this machine's resolver answer?";
    match tokio::time::timeout(DNS_TIMEOUT, resolver.resolve(target.host())).await {
        Ok(Ok(answers)) => Ok(answers),
        Ok(Err(error)) => Err(ADDRESS.wrong(format!("{} was not found: {error}", target.host()), mend)),
        Err(_) => Err(ADDRESS.wrong(format!("{} was not found in time", target.host()), mend)),
    }
}

fn called(sent: &Sent) -> Vec<Finding> {
    let remote = sent.remote.map_or_else(String::new, |remote| format!("{remote} "));
    let connected = CONNECT.good(format!(
        "{remote}in {}{}",
        words::span(sent.timing.connect),
        if sent.timing.tls.is_zero() {
            String::new()
        } else {
            format!(", TLS in {}", words::span(sent.timing.tls))
        }
    ));
    match &sent.outcome {
        Outcome::Replied(reply) => {
            let says = format!("{} to HEAD in {}", reply.status, words::span(sent.timing.total));
            vec![connected, ANSWER.good(says)]
        }
        Outcome::Failed(failure) => {
            let says = format!("{remote}{}", failure.detail);
            match failure.kind {
                FailureKind::Connect => {
                    vec![CONNECT.wrong(says, "is the receiver up? Does a firewall let us out?")]
                }
                FailureKind::Tls => vec![CONNECT.wrong(
                    says,
                    "the certificate must be for the URL's name, not expired, and of a public authority",
                )],
                FailureKind::Timeout => {
                    vec![ANSWER.wrong(says, "is the receiver slow, or dropped on the way?")]
                }
                _ => vec![ANSWER.wrong(says, "is it an HTTP/1.1 server that answers there?")],
            }
        }
    }
}

fn reason(refused: &Refused) -> String {
    match refused {
        Refused::Text(error) => format!("it {error}"),
        Refused::OwnName(name) => format!("{name} is this server's own name"),
        Refused::PrivateName(name) => format!("{name} is a private name, whatever it resolves to"),
        Refused::OwnAddress(address) => format!("{address} is where this server listens"),
        Refused::Metadata(address) => format!("{address} is where clouds give out credentials"),
        Refused::NotPublic(address, kind) => format!("{address} is {kind}, not public"),
    }
}

fn remedy(refused: &Refused) -> String {
    match refused {
        Refused::Text(_) => "mend the URL".to_owned(),
        Refused::OwnName(_) | Refused::OwnAddress(_) => {
            "a server that called itself would loop: name another".to_owned()
        }
        Refused::PrivateName(name) => format!("to call it anyway, add {name} to POSTHASTE_ALLOW_TARGETS"),
        Refused::Metadata(address) => {
            format!("to call it anyway, add exactly {address} to POSTHASTE_ALLOW_TARGETS; think twice")
        }
        Refused::NotPublic(address, _) => {
            format!(
                "to call it anyway, add {address}, its network or the host's name to POSTHASTE_ALLOW_TARGETS"
            )
        }
    }
}
