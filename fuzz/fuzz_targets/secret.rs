//! Bytes for `signatures::secret`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| posthaste_fuzz::signatures::secret(data));
