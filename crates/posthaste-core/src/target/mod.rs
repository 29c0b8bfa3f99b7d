//! Which targets may ever be called: the address rule.
//!
//! A URL is judged twice. When an endpoint is made, its text, scheme, host and port are ([`Target::parse`]); before
//! each attempt, every address that its name resolves to is ([`judge_addresses`]), and exactly the judged addresses
//! are dialled. Only public addresses pass, unless the operator allowed others by name.

mod address;
mod allow;
mod explain;

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use crate::limits::URL_LENGTH_MAX;
pub use allow::{Allow, AllowError};
pub use explain::{Refused, why_refused};

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
    host: String,
    literal: Option<IpAddr>,
    port: u16,
}

impl Target {
    /// Parses and judges what can be judged without looking up a name.
    pub fn parse(text: &str, policy: &TargetPolicy) -> Result<Self, TargetError> {
        let target = Self::read(text, policy)?;
        target.judge_host(policy)?;
        Ok(target)
    }

    /// All of it but where it leads.
    fn read(text: &str, policy: &TargetPolicy) -> Result<Self, TargetError> {
        if text.len() > URL_LENGTH_MAX {
            return Err(TargetError::TooLong);
        }
        if text.chars().any(|c| c.is_control() || c == ' ' || c == '\\') {
            return Err(TargetError::NotAUrl("it holds a space, a backslash or a control character"));
        }
        let after_scheme = text.split_once(':').map(|(_, rest)| rest);
        let url = Url::parse(text).map_err(|_| TargetError::NotAUrl("it cannot be parsed"))?;
        // Its canonical spelling is the one that is kept, and read again for each delivery.
        if url.as_str().len() > URL_LENGTH_MAX {
            return Err(TargetError::TooLong);
        }
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
        let (host, literal) = match url.host().ok_or(TargetError::NotAUrl("it names no host"))? {
            Host::Domain(name) => (dns_name(name)?, None),
            Host::Ipv4(address) => (address.to_string(), Some(address.into())),
            Host::Ipv6(address) => (address.to_string(), Some(address.into())),
        };
        let port = url.port_or_known_default().ok_or(TargetError::NotAUrl("it has no port"))?;
        if address::is_blocked_port(port) {
            return Err(TargetError::Port(port));
        }
        Ok(Self { url, host, literal, port })
    }

    fn judge_host(&self, policy: &TargetPolicy) -> Result<(), TargetError> {
        if self.literal.is_some() {
            return judge_addresses(self, &[], policy).map(drop);
        }
        if self.is_own_name(policy)
            || address::is_private_name(&self.host) && !self.is_allowed_by_name(policy)
        {
            return Err(TargetError::Forbidden);
        }
        Ok(())
    }

    fn is_own_name(&self, policy: &TargetPolicy) -> bool {
        let names = policy.self_hosts.iter().map(|own| own.strip_suffix('.').unwrap_or(own));
        names.into_iter().any(|own| own.eq_ignore_ascii_case(&self.host))
    }

    fn is_allowed_by_name(&self, policy: &TargetPolicy) -> bool {
        self.literal.is_none() && policy.allow.iter().any(|allow| allow.permits_host(&self.host))
    }

    /// The URL, in its canonical spelling.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The host: a name in lower case without a dot at its end, or an address without brackets. This is the name to
    /// look up and to check a certificate for; the `Host` header keeps the URL's own spelling.
    pub fn host(&self) -> &str {
        &self.host
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
        self.literal
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
    let judged = target.literal.as_ref().map_or(answers, std::slice::from_ref);
    let by_name = target.is_allowed_by_name(policy);
    if judged.iter().any(|answer| is_forbidden(*answer, target.port, by_name, policy)) {
        return Err(TargetError::Forbidden);
    }
    Ok(judged.iter().map(|ip| SocketAddr::new(*ip, target.port)).collect())
}

fn is_forbidden(answer: IpAddr, port: u16, by_name: bool, policy: &TargetPolicy) -> bool {
    if is_own(answer, port, policy) {
        return true;
    }
    if address::is_metadata(answer) {
        return !policy.allow.iter().any(|allow| allow.names_exactly(answer));
    }
    let allowed = || by_name || policy.allow.iter().any(|allow| allow.permits_address(answer));
    !address::is_public(answer) && !allowed()
}

/// A listener on the unspecified address is reached by every loopback address too.
fn is_own(answer: IpAddr, port: u16, policy: &TargetPolicy) -> bool {
    let listens = policy.self_addresses.iter().any(|own| {
        own.port() == port && (own.ip() == answer || own.ip().is_unspecified() && answer.is_loopback())
    });
    listens || policy.self_hosts.iter().any(|own| own.parse() == Ok(answer))
}

/// `name` as a host, if it is a valid one.
fn dns_name(name: &str) -> Result<String, TargetError> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let valid = address::is_dns_name(bare);
    valid.then(|| bare.to_owned()).ok_or(TargetError::NotAUrl("its host is not a valid name"))
}

/// The part between `//` and the path, as it was written.
fn authority(text: &str) -> &str {
    let rest = text.split_once("//").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}
