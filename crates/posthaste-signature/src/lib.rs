//! Webhook signature schemes, to sign and to verify.
//!
//! Everything here is a function of its arguments: no socket, no clock, no dice. The time and the random
//! bytes come from the caller, and so do the headers, through a lookup that works with any HTTP library.
//!
//! One module per family of schemes. [`standard`] is Standard Webhooks, the one Posthaste signs with.
//!
//! ```
//! use posthaste_signature::Secret;
//! use posthaste_signature::standard::{Signed, TOLERANCE, Verifier, verify};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
//! let body = br#"{"test": 2432232314}"#;
//! let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
//! assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
//!
//! // The receiver holds what `shared` gives, and asks its HTTP library for the headers.
//! let keys = [Verifier::parse(&secret.shared())?];
//! let headers = Signed::from_headers(|name| match name {
//!     "webhook-id" => Some("msg_p5jXN8AQM9LWM0D4loKWxJek"),
//!     "webhook-timestamp" => Some("1614265330"),
//!     "webhook-signature" => Some(signature.as_str()),
//!     _ => None,
//! })?;
//! verify(&headers, body, &keys, 1_614_265_400, Some(TOLERANCE))?;
//! # Ok(())
//! # }
//! ```

mod encoding;
mod mac;
pub mod provider;
pub mod standard;

pub use standard::{Secret, SecretError, sign_all};
