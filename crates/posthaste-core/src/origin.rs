//! An origin: the request that a message came in with, as the provider sent it.

use std::borrow::Cow;
use std::fmt;

/// What stands for a value that is a credential.
pub(crate) const HIDDEN: &str = "(hidden)";
/// Parts of the names of headers and parameters that carry one.
const CREDENTIALS: [&str; 8] =
    ["authorization", "cookie", "token", "secret", "password", "passwd", "api-key", "apikey"];

/// Whether a header or parameter of this name carries one.
pub fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    CREDENTIALS.iter().any(|part| name.contains(part))
}

/// A provider's request, apart from its body. May carry credentials: its `Debug` shows names and no values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The method, in capitals.
    pub method: String,
    /// What stood behind the address of the source, as it was sent: empty, or with a slash at its beginning. Whoever listens
    /// is told of it; to the URL of another endpoint it is not added.
    pub path: String,
    /// What followed the `?`, as it was sent; empty if nothing did.
    pub query: String,
    /// Every header in the order it came in, repeated ones too, values byte for byte.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Origin {
    /// The headers for whoever may look at the request: without credentials, since some providers send their secret
    /// with each request, and a secret is never shown again. What is no UTF-8 is shown as far as it is.
    pub fn shown_headers(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.headers.iter().map(|(name, value)| {
            let shown = if is_credential(name) { HIDDEN.into() } else { String::from_utf8_lossy(value) };
            (name.as_str(), shown)
        })
    }

    /// The query, in the same way: as it was sent, but for credentials.
    pub fn shown_query(&self) -> String {
        let parts = self.query.split('&').map(|part| match part.split_once('=') {
            Some((name, _)) if is_credential(name) => Cow::Owned(format!("{name}={HIDDEN}")),
            _ => Cow::Borrowed(part),
        });
        parts.collect::<Vec<_>>().join("&")
    }

    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.method.len() + self.path.len() + self.query.len() + headers.sum::<usize>()
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Origin")
            .field("method", &self.method)
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_and_the_rest_is_shown_as_it_came() {
        for name in ["Authorization", "X-Gitlab-Token", "X-Hook-Secret", "cookie", "api_key", "X-API-Key"] {
            assert!(is_credential(name), "{name}");
        }
        for name in ["X-Hub-Signature-256", "webhook-id", "Github-Public-Key-Identifier", "content-type"] {
            assert!(!is_credential(name), "{name}");
        }
        let headers = vec![("X-Token".to_owned(), b"hush".to_vec()), ("X-A".to_owned(), b"b\xff".to_vec())];
        let query = "a=1&token=quiet&b&&api_key=x%20y".to_owned();
        let origin = Origin { method: "POST".to_owned(), path: "/hush-path".to_owned(), query, headers };
        let shown: Vec<_> = origin.shown_headers().collect();
        assert_eq!(shown, [("X-Token", HIDDEN.into()), ("X-A", Cow::from("b\u{fffd}"))]);
        assert_eq!(origin.shown_query(), "a=1&token=(hidden)&b&&api_key=(hidden)");
        assert_eq!(Origin::default().shown_query(), "");
    }

    #[test]
    fn no_value_of_an_origin_can_be_formatted() {
        let headers = vec![("X-Gitlab-Token".to_owned(), b"hush".to_vec())];
        let origin = Origin {
            method: "POST".to_owned(),
            path: "/hush-path".to_owned(),
            query: "token=quiet".to_owned(),
            headers,
        };
        let shown = format!("{origin:?}");
        assert!(shown.contains("POST") && shown.contains("X-Gitlab-Token"), "{shown}");
        assert!(!shown.contains("hush") && !shown.contains("quiet"), "{shown}");
    }
}
