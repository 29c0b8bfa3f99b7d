//! Bytes for `rules::name_and_id`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| posthaste_fuzz::rules::name_and_id(data));
