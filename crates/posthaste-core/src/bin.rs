//! A bin: a source that takes whatever comes, to look at it.

use std::time::Duration;

use crate::limits::RECEIVED_BODY_BYTES_MAX;
use crate::source::{ANY_METHOD, Dedupe, DedupeBy, Rules};

/// What stands where other sources name their provider.
pub const PROVIDER: &str = "bin";
/// How a bin's requests are verified: not at all.
pub const SCHEME: &str = "generic-webhook";
/// The shortest that a source may be asked to keep its requests: less than that, and nobody would see them.
pub const KEEP_MIN: Duration = Duration::from_secs(60);
/// The longest; more than any server keeps.
pub const KEEP_MAX: Duration = Duration::from_hours(365 * 24);

/// The provider whose scheme a source of this type is verified by.
pub fn scheme_of(provider: &str) -> &str {
    if provider == PROVIDER { SCHEME } else { provider }
}

/// The rules of a bin where nothing else is asked for: any method, any body, and all of it is new.
pub fn rules() -> Rules {
    Rules {
        dedupe: Dedupe { by: DedupeBy::Off, ..Dedupe::default() },
        methods: vec![ANY_METHOD.to_owned()],
        body_bytes_max: RECEIVED_BODY_BYTES_MAX,
        ..Rules::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_takes_every_method_and_knows_no_request_again() {
        let rules = rules();
        for method in ["POST", "GET", "OPTIONS", "PROPFIND", "purge"] {
            assert!(rules.takes(method), "{method}");
            assert_eq!(Rules::default().takes(method), method == "POST");
        }
        assert_eq!(rules.dedupe.by, DedupeBy::Off);
        assert_eq!((scheme_of(PROVIDER), scheme_of("stripe")), (SCHEME, "stripe"));
    }
}
