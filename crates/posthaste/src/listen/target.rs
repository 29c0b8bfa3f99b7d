//! Where requests go on this machine, and the name that a listener has if it is given none.

use url::{Host, Url};

use crate::laptop::complaint::Complaint;
use crate::laptop::target as typed;

/// Letters of a listener's name.
pub(crate) const NAME_LETTERS_MAX: usize = 64;

/// A local program's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) is_https: bool,
    /// The name or address to connect to, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The `Host` header.
    pub(crate) authority: String,
    path: String,
    query: Option<String>,
}

impl Target {
    /// Out of what was typed; `path` takes the place of the URL's own.
    pub(crate) fn parse(text: &str, path: Option<&str>) -> Result<Self, Complaint> {
        let bad = |why: &str| {
            Complaint::usage(
                format!("\"{text}\" is no address to forward to"),
                why,
                "write a port, :3000/webhooks, or a URL",
            )
        };
        let url = Url::parse(&typed::url(text)?).map_err(|error| bad(&error.to_string()))?;
        let host = url.host().ok_or_else(|| bad("it names no host"))?;
        let port = url.port_or_known_default().ok_or_else(|| bad("it names no port"))?;
        let path = path.map_or_else(
            || url.path().to_owned(),
            |path| if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        );
        if path.bytes().any(|byte| byte <= b' ' || matches!(byte, b'?' | b'#' | 0x7F)) {
            return Err(bad("its path has a space, a ? or a #"));
        }
        let name = match &host {
            Host::Domain(name) => (*name).to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let query = url.query().map(str::to_owned);
        Ok(Self { is_https: url.scheme() == "https", host: name, port, authority, path, query })
    }

    /// Whether it is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        let named = self.host == "localhost" || self.host.ends_with(".localhost");
        named || self.host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    }

    /// What the request line asks for: our path, what stood behind the source's address, and both queries; as they came.
    pub(crate) fn path_and_query(&self, rest: &str, query: &str) -> String {
        let path = if rest.is_empty() { self.path.as_str() } else { self.path.trim_end_matches('/') };
        let mut whole = format!("{path}{rest}");
        let queries = self.query.as_deref().into_iter().chain(Some(query).filter(|query| !query.is_empty()));
        for (turn, query) in queries.enumerate() {
            whole.push(if turn == 0 { '?' } else { '&' });
            whole.push_str(query);
        }
        whole
    }

    /// For people: `:3000/webhooks`.
    pub(crate) fn shown(&self, rest: &str, query: &str) -> String {
        let path = self.path_and_query(rest, query);
        if self.host == "127.0.0.1" && !self.is_https {
            return format!(":{}{path}", self.port);
        }
        format!("{}{path}", self.origin())
    }

    /// All of it, but what each request adds.
    pub(crate) fn url(&self) -> String {
        format!("{}{}", self.origin(), self.path_and_query("", ""))
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", if self.is_https { "https" } else { "http" }, self.authority)
    }

    /// The same on every run of this machine, and another one for each target.
    pub(crate) fn name_on(&self, machine: &str) -> String {
        let machine = machine.split('.').next().unwrap_or_default();
        let host = if self.is_local() { "" } else { self.host.as_str() };
        let port = self.port.to_string();
        let parts = [machine, host, &port, &self.path].map(plain);
        let parts: Vec<_> = parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
        let mut name = parts.join("-");
        // What tells targets apart is at the end.
        if name.len() > NAME_LETTERS_MAX {
            name = name.split_off(name.len() - NAME_LETTERS_MAX);
        }
        name.trim_matches('-').to_owned()
    }
}

/// Lower-case letters, digits and dashes.
fn plain(text: &str) -> String {
    let dashed: String = text
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' })
        .collect();
    let parts: Vec<_> = dashed.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

/// Whether a listener may be called so.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=NAME_LETTERS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        Target::parse(text, None).unwrap()
    }

    #[test]
    fn the_rest_of_a_path_and_both_queries_are_asked_for_as_they_came() {
        for (typed, rest, query, asked) in [
            ("3000", "", "", "/"),
            ("3000", "/a%2Fb", "x=%20", "/a%2Fb?x=%20"),
            (":3000/webhooks", "", "a=1&a=2", "/webhooks?a=1&a=2"),
            (":3000/webhooks", "/github/", "", "/webhooks/github/"),
            (":3000/webhooks/", "/github", "", "/webhooks/github"),
            (":3000/in?key=1", "/x", "b", "/in/x?key=1&b"),
        ] {
            assert_eq!(target(typed).path_and_query(rest, query), asked, "{typed}");
        }
        let path = Target::parse(":3000/old?k=1", Some("new")).unwrap().path_and_query("", "");
        assert_eq!(path, "/new?k=1");
        assert!(Target::parse(":3000", Some("/a b")).is_err());
    }

    #[test]
    fn this_machine_is_told_from_others() {
        for local in
            ["3000", "localhost:3000", "http://[::1]:80/", "http://app.localhost/", "https://127.1.2.3"]
        {
            assert!(target(local).is_local(), "{local}");
        }
        for other in ["http://10.0.0.5/", "example.com", "http://localhost.example.com", "http://0.0.0.0:80"]
        {
            assert!(!target(other).is_local(), "{other}");
        }
    }

    #[test]
    fn a_name_is_the_same_each_time_and_another_for_each_target() {
        for (typed, name) in [
            ("3000", "adas-macbook-3000"),
            ("localhost:3000", "adas-macbook-3000"),
            (":4000/webhooks/in", "adas-macbook-4000-webhooks-in"),
            ("https://staging.example/x", "adas-macbook-staging-example-443-x"),
        ] {
            assert_eq!(target(typed).name_on("Adas-MacBook.local"), name);
        }
        let long = target(":3000/webhooks").name_on(&"ü-".repeat(100));
        assert_eq!(long, "3000-webhooks");
        let long = target(":3000/webhooks").name_on(&"a".repeat(100));
        assert!(is_name(&long) && long.ends_with("a-3000-webhooks"), "{long}");
        for bad in ["", "a b", "ü", &"x".repeat(65)] {
            assert!(!is_name(bad));
        }
    }

    #[test]
    fn a_target_is_shown_in_short() {
        assert_eq!(target("3000").shown("/a", "b=1"), ":3000/a?b=1");
        assert_eq!(target("https://a.example/x").shown("", ""), "https://a.example/x");
    }
}
