//! See `forecastd_fuzz::topic`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| forecastd_fuzz::topic(data));
