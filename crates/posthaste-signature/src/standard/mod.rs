//! Standard Webhooks (<https://www.standardwebhooks.com>), the scheme of Svix and of some thirty providers.
//!
//! Signed are the bytes `{id}.{timestamp}.{body}`. Two versions share one header, separated by blanks:
//! `v1` is HMAC-SHA256 under a `whsec_` secret, `v1a` is ed25519 under a `whsk_` private key, checked with its
//! `whpk_` public half.

mod secret;
mod verifier;
mod verify;

use std::time::Duration;

pub use secret::{Secret, SecretError, sign_all};
pub use verifier::Verifier;
pub use verify::{Signed, VerifyError, verify};

/// How far a message's timestamp may be from the receiver's clock, either way: the five minutes of the
/// official libraries.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// The fewest bytes of an HMAC secret: 192 bits, the floor of the specification.
pub const HMAC_BYTES_MIN: usize = 24;

/// The most bytes of an HMAC secret: what 100 characters of base64 hold, the ceiling of Svix's API.
pub const HMAC_BYTES_MAX: usize = 75;

/// The most entries that a signature header may have. A sender adds one per live secret, so a few are usual;
/// each may cost an ed25519 check, so a header full of them must not be free to send.
pub const SIGNATURES_COUNT_MAX: usize = 32;

const HMAC_SECRET: &str = "whsec_";
const ED25519_PRIVATE: &str = "whsk_";
const ED25519_PUBLIC: &str = "whpk_";

const HMAC_VERSION: &str = "v1";
const ED25519_VERSION: &str = "v1a";

/// The signed bytes, in parts so that no body is copied to be signed.
fn content<'a>(id: &'a str, timestamp: &'a str, body: &'a [u8]) -> [&'a [u8]; 5] {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body]
}
