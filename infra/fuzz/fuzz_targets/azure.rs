#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stanch_fuzz::check(stanch_azure::normalize, data));
