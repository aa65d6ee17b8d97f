//! See `forecastd_fuzz::source`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| forecastd_fuzz::source(data));
