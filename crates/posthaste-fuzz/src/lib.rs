//! What strangers may send, tried with made-up bytes.
//!
//! Each target takes any bytes and panics where a promise is broken: that nothing panics, that no request is answered
//! with a 5xx, that what was read is written and read back alike. `fuzz/` runs the targets under libFuzzer, which looks
//! for bytes that reach further; the tests here run the corpora and thousands of changes to them on any toolchain.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a panic is how a target says what it found"
)]

mod request;
pub mod rules;
pub mod served;
pub mod signatures;
pub mod spoil;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which its corpus in `corpus/` and its program in `fuzz/fuzz_targets/` have as well.
    pub name: &'static str,
    /// Tries bytes.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "provider_signature", run: signatures::provider },
    Target { name: "standard_webhooks", run: signatures::standard },
    Target { name: "secret", run: signatures::secret },
    Target { name: "name_and_id", run: rules::name_and_id },
    Target { name: "retry_after", run: rules::retry_after },
    Target { name: "target_url", run: rules::target_url },
    Target { name: "cron", run: rules::cron },
    Target { name: "api_body", run: served::api_body },
    Target { name: "api_query", run: served::api_query },
    Target { name: "inbound", run: served::inbound },
    Target { name: "forwarded_for", run: served::forwarded_for },
];
