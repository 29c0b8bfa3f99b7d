//! An origin: the request that a message came in with, as the provider sent it.

use std::fmt;

/// A provider's request, apart from its body. May carry credentials: its `Debug` shows names and no values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The method, in capitals.
    pub method: String,
    /// What followed the `?`, as it was sent; empty if nothing did.
    pub query: String,
    /// Every header in the order it came in, repeated ones too, values byte for byte.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Origin {
    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.method.len() + self.query.len() + headers.sum::<usize>()
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
    fn no_value_of_an_origin_can_be_formatted() {
        let headers = vec![("X-Gitlab-Token".to_owned(), b"hush".to_vec())];
        let origin = Origin { method: "POST".to_owned(), query: "token=quiet".to_owned(), headers };
        let shown = format!("{origin:?}");
        assert!(shown.contains("POST") && shown.contains("X-Gitlab-Token"), "{shown}");
        assert!(!shown.contains("hush") && !shown.contains("quiet"), "{shown}");
    }
}
