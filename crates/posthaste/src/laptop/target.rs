//! Where to send something, as people type it.

use super::complaint::Complaint;

/// A port, `:3000/path` and `host:3000/path` stand for URLs; what has no scheme goes by http.
pub(crate) fn url(text: &str) -> Result<String, Complaint> {
    let full = if text.contains("://") {
        text.to_owned()
    } else if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("http://127.0.0.1:{text}/")
    } else if let Some(rest) = text.strip_prefix(':') {
        format!("http://127.0.0.1:{rest}")
    } else {
        format!("http://{text}")
    };
    let bad = |why: String| {
        Complaint::usage(
            format!("\"{text}\" is no address to send to"),
            why,
            "write a URL, a port, or :3000/webhooks",
        )
    };
    let parsed = url::Url::parse(&full).map_err(|error| bad(error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(bad("it must begin with http:// or https://".to_owned()));
    }
    // As it was typed, but for a path that has to be there.
    let has_path = full.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?']));
    Ok(if has_path { full } else { parsed.to_string() })
}

/// The same in short, for lines: `:3000/webhooks`.
pub(crate) fn short(url: &str) -> &str {
    url.strip_prefix("http://127.0.0.1").unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_paths_mean_this_machine() {
        for (typed, meant) in [
            ("3000", "http://127.0.0.1:3000/"),
            (":3000", "http://127.0.0.1:3000/"),
            (":3000/webhooks?a=1", "http://127.0.0.1:3000/webhooks?a=1"),
            ("localhost:3000/in", "http://localhost:3000/in"),
            ("https://a.example/x%2Fy", "https://a.example/x%2Fy"),
        ] {
            assert_eq!(url(typed).unwrap(), meant);
        }
        for typed in ["ftp://a.example", ":70000/", "", "http://"] {
            assert!(url(typed).is_err(), "{typed}");
        }
    }
}
