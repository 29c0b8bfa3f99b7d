//! Listeners: endpoints whose deliveries wait for whoever comes and asks for them. No address is dialled.
//!
//! `listener:NAME` stands where others have a URL. The rest of such an endpoint is as any other's.

/// What such a URL begins with, exactly so.
pub const SCHEME: &str = "listener:";
/// Letters in a name.
pub const NAME_LENGTH_MAX: usize = 64;

/// The URL of a listener whose name is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must name its listener: {SCHEME} and then 1 to {NAME_LENGTH_MAX} letters, digits, dots, underscores or hyphens"
)]
pub struct NotAName;

/// The name of the listener that `url` stands for. `None`: it is a URL of another kind.
pub fn name_of(url: &str) -> Option<Result<&str, NotAName>> {
    let name = url.strip_prefix(SCHEME)?;
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let fits = (1..=NAME_LENGTH_MAX).contains(&name.len()) && name.bytes().all(is_letter);
    Some(if fits { Ok(name) } else { Err(NotAName) })
}

/// Whether nobody is dialled for it.
pub fn is_listener(url: &str) -> bool {
    url.starts_with(SCHEME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Target, TargetError, TargetPolicy};

    #[test]
    fn a_listener_has_a_name_and_nothing_else() {
        let longest = format!("{SCHEME}{}", "x".repeat(NAME_LENGTH_MAX));
        for url in ["listener:web", "listener:a.b_C-9", longest.as_str()] {
            assert!(matches!(name_of(url), Some(Ok(name)) if url.ends_with(name)), "{url}");
        }
        let too_long = format!("{longest}x");
        for url in ["listener:", "listener://web", "listener:a b", "listener:ä", "listener:a/b", &too_long] {
            assert_eq!(name_of(url), Some(Err(NotAName)), "{url}");
        }
        for url in ["https://listener:1/", "Listener:web", " listener:web", "listener", ""] {
            assert_eq!(name_of(url), None, "{url}");
        }
    }

    #[test]
    fn no_listener_is_a_target_that_could_be_dialled() {
        for url in ["listener:web", "listener://example.com/", "LISTENER:web", "listener:443"] {
            assert_eq!(Target::parse(url, &TargetPolicy::default()), Err(TargetError::Scheme), "{url}");
        }
    }
}
