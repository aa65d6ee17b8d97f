//! See `forecastd_fuzz::onnx_manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| forecastd_fuzz::onnx_manifest(data));
