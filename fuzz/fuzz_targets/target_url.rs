//! Bytes for `rules::target_url`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| posthaste_fuzz::rules::target_url(data));
