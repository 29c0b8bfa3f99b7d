//! Bytes for `rules::retry_after`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| posthaste_fuzz::rules::retry_after(data));
