//! Webhook signature schemes, to sign and to verify.
//!
//! Everything here is a function of its arguments: no socket, no clock, no dice. The time and the random
//! bytes come from the caller, and so do the headers, through a lookup that works with any HTTP library.
//!
//! [`standard`] is Standard Webhooks, to sign and to verify: the scheme that Posthaste signs with.
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
//!
//! [`provider`] verifies what some three hundred providers send, each with its own scheme: a request at a time, or
//! with [`provider::Receiver`], which also takes several secrets, answers handshakes and explains refusals.
//!
//! ```
//! use http::{HeaderMap, HeaderValue};
//! use posthaste_signature::provider::{Keys, Receiver, Request, Settings};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings { secrets: vec!["It's a Secret to Everybody".to_owned()], ..Settings::default() };
//! let github = Receiver::new("github", settings)?;
//!
//! let mut headers = HeaderMap::new();
//! headers.insert(
//!     "x-hub-signature-256",
//!     HeaderValue::from_static("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
//! );
//! let url = "https://example.com/in/github";
//! let request = Request { method: "POST", url, headers: &headers, body: b"Hello, World!" };
//! let (now, keys) = (1_760_000_000, Keys::default());
//! assert_eq!(github.verify(&request, now, &keys)?.secret_index, 0);
//!
//! // What is refused can be explained to whoever set it up.
//! let changed = Request { body: b"Hello, World!\n", ..request };
//! let refusal = github.verify(&changed, now, &keys).unwrap_err();
//! let hints = github.explain(&changed, now, &keys, &refusal);
//! assert!(hints[0].to_string().contains("without the white space at its end"));
//! # Ok(())
//! # }
//! ```
//!
//! With the feature `tower`, `provider::layer::VerifyLayer` does the same in front of an axum router, or of any other
//! tower service.
#![cfg_attr(
    feature = "tower",
    doc = r#"
```
use axum::routing::post;
use axum::{Extension, Router};
use posthaste_signature::provider::layer::VerifyLayer;
use posthaste_signature::provider::{Receiver, Settings, Verified};

async fn pushed(Extension(_): Extension<Verified>, body: String) -> String {
    body
}

# fn main() -> Result<(), Box<dyn std::error::Error>> {
let settings = Settings { secrets: vec!["It's a Secret to Everybody".to_owned()], ..Settings::default() };
let verify = VerifyLayer::new(Receiver::new("github", settings)?).public_url("https://example.com");
let app: Router = Router::new().route("/in/github", post(pushed)).layer(verify);
# Ok(())
# }
```
"#
)]

mod encoding;
mod mac;
pub mod provider;
pub mod standard;

pub use standard::{Secret, SecretError, sign_all};
