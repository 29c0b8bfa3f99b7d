//! Webhook signature schemes, to sign and to verify; no I/O, no clock, no dice.
//!
//! ```
//! use posthaste_signature::{Secret, standard::{Signed, Verifier, verify}};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
//! let signature = secret.sign("msg_1", 1_700_000_000, b"{}");
//!
//! let keys = [Verifier::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?];
//! let signed = Signed { id: "msg_1", timestamp: "1700000000", signature: &signature };
//! verify(&signed, b"{}", &keys, 1_700_000_001, Some(std::time::Duration::from_secs(300)))?;
//! # Ok(()) }
//! ```

pub mod secret;
pub mod standard;

pub use secret::{Secret, SecretError};
pub use standard::sign_all;
