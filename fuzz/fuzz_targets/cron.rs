//! Bytes for `rules::cron`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| posthaste_fuzz::rules::cron(data));
