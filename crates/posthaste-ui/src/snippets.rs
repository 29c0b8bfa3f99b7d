//! How a receiver checks what an endpoint is sent, with that endpoint's secret, in the languages people write receivers in.
//! Without a library: what is done can be seen.

use serde::Serialize;

/// What stands in a snippet for the secret.
const PLACE: &str = "whsec_SECRET";

const SNIPPETS: [(&str, &str); 7] = [
    ("Shell", include_str!("../snippets/shell.txt")),
    ("Node", include_str!("../snippets/node.txt")),
    ("Python", include_str!("../snippets/python.txt")),
    ("Go", include_str!("../snippets/go.txt")),
    ("Rust", include_str!("../snippets/rust.txt")),
    ("PHP", include_str!("../snippets/php.txt")),
    ("Ruby", include_str!("../snippets/ruby.txt")),
];

#[derive(Debug, Serialize)]
pub(crate) struct Snippet {
    language: &'static str,
    text: String,
}

/// With the secret of an endpoint; none for one that signs with a private key.
pub(crate) fn with(secret: &str) -> Vec<Snippet> {
    // Base64 and its prefix need no quoting in any of them.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+/=-".contains(&byte);
    if !secret.starts_with("whsec_") || !secret.bytes().all(is_plain) {
        return Vec::new();
    }
    let fill =
        |(language, text): (&'static str, &str)| Snippet { language, text: text.replace(PLACE, secret) };
    SNIPPETS.into_iter().map(fill).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_snippet_holds_the_secret_and_none_is_made_of_what_could_end_a_quote() {
        let all = with("whsec_AAEC+/w=");
        assert_eq!(all.len(), SNIPPETS.len());
        for snippet in all {
            assert_eq!(snippet.text.matches("whsec_AAEC+/w=").count(), 1, "{}", snippet.language);
            assert!(!snippet.text.contains(PLACE), "{}", snippet.language);
        }
        assert!(with("whpk_AAEC").is_empty() && with("whsec_'; rm").is_empty());
    }
}
