//! Bytes for `signatures::provider`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| posthaste_fuzz::signatures::provider(data));
