//! The one clock of all ledgers.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::judge::Micros;

/// Now, by the machine's clock: the server under trial reads the same one.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the clock")]
pub(crate) fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}
