//! Bytes for `served::api_query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| posthaste_fuzz::served::api_query(data));
