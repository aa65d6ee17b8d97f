//! See `forecastd_fuzz::checkpoint`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| forecastd_fuzz::checkpoint(data));
