//! Which targets may ever be called: the address rule.
//!
//! A URL is judged twice. When an endpoint is made, its text, scheme, host and port are ([`Target::parse`]); before
//! each attempt, every address that its name resolves to is ([`judge_addresses`]), and exactly the judged addresses
//! are dialled. Only public addresses pass, unless the operator allowed others by name.

mod address;
mod allow;

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use crate::limits::URL_LENGTH_MAX;
pub use allow::{Allow, AllowError};

/// What may be dialled. The default: public addresses, by http and https.
#[derive(Debug, Clone, Default)]
pub struct TargetPolicy {
    /// Refuse plain http.
    pub https_only: bool,
    /// Networks and host names that may be dialled though they are not public.
    pub allow: Vec<Allow>,
    /// Our own host names: calling ourselves would loop.
    pub self_hosts: Vec<String>,
    /// Our own listeners, likewise.
    pub self_addresses: Vec<SocketAddr>,
}

/// Why a target is refused. Each sentence may be shown to whoever chose the URL: it says nothing of what listens there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not a URL at all, or one with characters that a parser would silently change.
    #[error("must be an absolute URL such as https://example.com/hook: {0}")]
    NotAUrl(&'static str),
    /// Too long.
    #[error("must be at most {URL_LENGTH_MAX} characters long")]
    TooLong,
    /// Not a scheme that webhooks go by.
    #[error("must begin with https:// or http://")]
    Scheme,
    /// Plain http where only https is allowed.
    #[error("must begin with https://: plain http is switched off here")]
    HttpsOnly,
    /// A user name or password in the URL.
    #[error("must not hold a user name or password: use a custom header instead")]
    Credentials,
    /// A port that belongs to another protocol.
    #[error("must not use port {0}, which belongs to another protocol")]
    Port(u16),
    /// A host or address that may not be called.
    #[error("must lead to a public address: this one is private, reserved or our own")]
    Forbidden,
}

/// A URL that passed the first judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    host: Host<String>,
    port: u16,
}

impl Target {
    /// Parses and judges what can be judged without looking up a name.
    pub fn parse(text: &str, policy: &TargetPolicy) -> Result<Self, TargetError> {
        if text.len() > URL_LENGTH_MAX {
            return Err(TargetError::TooLong);
        }
        if text.chars().any(|c| c.is_control() || c == ' ' || c == '\\') {
            return Err(TargetError::NotAUrl("it holds a space, a backslash or a control character"));
        }
        let after_scheme = text.split_once(':').map(|(_, rest)| rest);
        let url = Url::parse(text).map_err(|_| TargetError::NotAUrl("it cannot be parsed"))?;
        match url.scheme() {
            "https" => {}
            "http" if policy.https_only => return Err(TargetError::HttpsOnly),
            "http" => {}
            _ => return Err(TargetError::Scheme),
        }
        if after_scheme.is_none_or(|rest| !rest.starts_with("//") || rest.starts_with("///")) {
            return Err(TargetError::NotAUrl("the scheme must be followed by // and a host"));
        }
        if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
            return Err(TargetError::Credentials);
        }
        let host = url.host().ok_or(TargetError::NotAUrl("it names no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or(TargetError::NotAUrl("it has no port"))?;
        if address::is_blocked_port(port) {
            return Err(TargetError::Port(port));
        }
        let target = Self { url, host, port };
        target.judge_host(policy)?;
        Ok(target)
    }

    fn judge_host(&self, policy: &TargetPolicy) -> Result<(), TargetError> {
        match &self.host {
            Host::Domain(name) => {
                if !address::is_dns_name(name) {
                    return Err(TargetError::NotAUrl("its host is not a valid name"));
                }
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                let own =
                    policy.self_hosts.iter().any(|own| own.trim_end_matches('.').eq_ignore_ascii_case(&name));
                let allowed = policy.allow.iter().any(|allow| allow.permits_host(&name));
                if own || address::is_private_name(&name) && !allowed {
                    return Err(TargetError::Forbidden);
                }
                Ok(())
            }
            Host::Ipv4(_) | Host::Ipv6(_) => judge_addresses(self, &[], policy).map(drop),
        }
    }

    /// The URL, in its canonical spelling.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The host: a name in lower case, or an address without brackets.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is called over TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The address, if the host is one: then there is nothing to look up.
    pub fn literal(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some((*address).into()),
            Host::Ipv6(address) => Some((*address).into()),
        }
    }
}

/// Judges every address that the target's name resolved to, and returns those to dial, in order.
///
/// One forbidden answer refuses the target: a name that resolves to a public and a private address is how rebinding
/// begins. For a literal address, `answers` is ignored.
pub fn judge_addresses(
    target: &Target,
    answers: &[IpAddr],
    policy: &TargetPolicy,
) -> Result<Vec<SocketAddr>, TargetError> {
    let literal = target.literal();
    let host = literal.is_none().then(|| target.host().trim_end_matches('.').to_owned());
    let judged = literal.as_ref().map_or(answers, std::slice::from_ref);
    for answer in judged {
        let socket = SocketAddr::new(*answer, target.port);
        let by_host = host.as_ref().is_some_and(|name| policy.allow.iter().any(|a| a.permits_host(name)));
        let named = policy.allow.iter().any(|allow| allow.permits_address(*answer));
        let metadata = address::is_metadata(*answer);
        let named_alone = policy.allow.iter().any(|allow| allow.names_exactly(*answer));
        let allowed = if metadata { named_alone } else { named || by_host };
        let own = policy.self_addresses.contains(&socket)
            || policy.self_hosts.iter().any(|own| own.parse() == Ok(*answer));
        if own || (metadata || !address::is_public(*answer)) && !allowed {
            return Err(TargetError::Forbidden);
        }
    }
    Ok(judged.iter().map(|ip| SocketAddr::new(*ip, target.port)).collect())
}

/// The part between `//` and the path, as it was written.
fn authority(text: &str) -> &str {
    let rest = text.split_once("//").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}
