//! Bytes for `served::forwarded_for`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| posthaste_fuzz::served::forwarded_for(data));
