//! Bytes for `served::inbound`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| posthaste_fuzz::served::inbound(data));
