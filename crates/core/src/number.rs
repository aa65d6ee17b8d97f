//! Conversions that cannot keep every number, each with what becomes of those that it cannot keep.

/// The nearest number of single precision, in which readings and outputs are kept; infinite beyond its range.
#[expect(clippy::cast_possible_truncation, reason = "rounding to single precision is the purpose")]
#[must_use]
pub fn to_single(value: f64) -> f32 {
    value as f32
}

/// The nearest whole number, or the nearest that there is; NaN gives 0.
#[expect(clippy::cast_possible_truncation, reason = "rounded before, and the conversion saturates")]
pub(crate) fn to_i16(value: f64) -> i16 {
    value.round() as i16
}

/// The nearest whole number, or the nearest that there is; NaN gives 0.
#[expect(clippy::cast_possible_truncation, reason = "rounded before, and the conversion saturates")]
pub(crate) fn to_u32(value: f64) -> u32 {
    value.round() as u32
}
