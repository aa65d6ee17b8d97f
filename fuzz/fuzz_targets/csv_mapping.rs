//! See `forecastd_fuzz::csv_mapping`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| forecastd_fuzz::csv_mapping(data));
