//! Bytes for `served::api_body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| posthaste_fuzz::served::api_body(data));
