//! NEON, the instruction set that every 64-bit ARM target of the compiler has: four registers hold a lane.

use std::arch::aarch64::*;

use super::{Kernel, Lane, MANTISSA_BITS, ROUNDING, Simd, WIDTH};

/// NEON. The target has it, so no proof is needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neon;

/// Values of a register.
const QUARTER: usize = 4;

/// Rows become columns.
#[inline]
#[target_feature(enable = "neon")]
fn transpose_four(rows: [float32x4_t; QUARTER]) -> [float32x4_t; QUARTER] {
    let [a, b, c, d] = rows;
    let [ab_even, ab_odd] = [vtrn1q_f32(a, b), vtrn2q_f32(a, b)].map(|pair| vreinterpretq_f64_f32(pair));
    let [cd_even, cd_odd] = [vtrn1q_f32(c, d), vtrn2q_f32(c, d)].map(|pair| vreinterpretq_f64_f32(pair));
    [
        vreinterpretq_f32_f64(vtrn1q_f64(ab_even, cd_even)),
        vreinterpretq_f32_f64(vtrn1q_f64(ab_odd, cd_odd)),
        vreinterpretq_f32_f64(vtrn2q_f64(ab_even, cd_even)),
        vreinterpretq_f32_f64(vtrn2q_f64(ab_odd, cd_odd)),
    ]
}

/// The sixteen values of a lane as four sums: halves are added to halves.
#[inline]
#[target_feature(enable = "neon")]
fn four_sums(a: [float32x4_t; QUARTER]) -> float32x4_t {
    vaddq_f32(vaddq_f32(a[0], a[2]), vaddq_f32(a[1], a[3]))
}

/// Two values of each of two lanes, from the [`four_sums`] of both.
#[inline]
#[target_feature(enable = "neon")]
fn two_sums(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    let (a, b) = (vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b));
    let (low, high) = (vzip1q_f64(a, b), vzip2q_f64(a, b));
    vaddq_f32(vreinterpretq_f32_f64(low), vreinterpretq_f32_f64(high))
}

impl Simd for Neon {
    type V = [float32x4_t; QUARTER];
    const WIDE: bool = false;
    const PAIRS: bool = true;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        // SAFETY: every target that this file is compiled for has NEON.
        unsafe { [vdupq_n_f32(value); QUARTER] }
    }
    #[inline(always)]
    fn load(self, lane: &Lane) -> Self::V {
        let values = lane.0.as_ptr();
        // SAFETY: every target that this file is compiled for has NEON; the 64 bytes that are read are those of one lane.
        unsafe {
            [vld1q_f32(values), vld1q_f32(values.add(4)), vld1q_f32(values.add(8)), vld1q_f32(values.add(12))]
        }
    }
    #[inline(always)]
    fn store(self, value: Self::V, lane: &mut Lane) {
        let values = lane.0.as_mut_ptr();
        // SAFETY: every target that this file is compiled for has NEON; the 64 bytes that are written are those of one lane.
        unsafe {
            vst1q_f32(values, value[0]);
            vst1q_f32(values.add(4), value[1]);
            vst1q_f32(values.add(8), value[2]);
            vst1q_f32(values.add(12), value[3]);
        }
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: every target that this file is compiled for has NEON.
        std::array::from_fn(|quarter| unsafe { vaddq_f32(a[quarter], b[quarter]) })
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: every target that this file is compiled for has NEON.
        std::array::from_fn(|quarter| unsafe { vsubq_f32(a[quarter], b[quarter]) })
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: every target that this file is compiled for has NEON.
        std::array::from_fn(|quarter| unsafe { vmulq_f32(a[quarter], b[quarter]) })
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: every target that this file is compiled for has NEON.
        std::array::from_fn(|quarter| unsafe { vdivq_f32(a[quarter], b[quarter]) })
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: every target that this file is compiled for has NEON.
        std::array::from_fn(|quarter| unsafe { vfmaq_f32(c[quarter], a[quarter], b[quarter]) })
    }
    #[inline(always)]
    fn limit(self, a: Self::V, limit: f32) -> Self::V {
        // The minimum and the maximum of two values of which one is not a number are not a number.
        // SAFETY: every target that this file is compiled for has NEON.
        a.map(|a| unsafe { vmaxq_f32(vdupq_n_f32(-limit), vminq_f32(vdupq_n_f32(limit), a)) })
    }
    #[inline(always)]
    fn relu(self, a: Self::V) -> Self::V {
        // SAFETY: every target that this file is compiled for has NEON.
        a.map(|a| unsafe { vmaxq_f32(vdupq_n_f32(0.0), a) })
    }
    #[inline(always)]
    fn round_and_power(self, a: Self::V) -> (Self::V, Self::V) {
        let shifted = self.add(a, self.splat(ROUNDING));
        // SAFETY: every target that this file is compiled for has NEON.
        let powers = shifted.map(|shifted| unsafe {
            vreinterpretq_f32_u32(vshlq_n_u32::<{ MANTISSA_BITS as i32 }>(vreinterpretq_u32_f32(shifted)))
        });
        (self.sub(shifted, self.splat(ROUNDING)), powers)
    }
    #[inline(always)]
    fn where_positive(self, condition: Self::V, value: Self::V) -> Self::V {
        // SAFETY: every target that this file is compiled for has NEON.
        std::array::from_fn(|quarter| unsafe {
            let positive = vcgtzq_f32(condition[quarter]);
            vreinterpretq_f32_u32(vandq_u32(positive, vreinterpretq_u32_f32(value[quarter])))
        })
    }
    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        // SAFETY: every target that this file is compiled for has NEON.
        unsafe {
            let four = four_sums(a);
            vpadds_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)))
        }
    }
    #[inline(always)]
    fn sums(self, values: [Self::V; WIDTH]) -> Self::V {
        std::array::from_fn(|quarter| {
            let first = quarter * QUARTER;
            // SAFETY: every target that this file is compiled for has NEON.
            unsafe {
                let [a, b] = [first, first + 2]
                    .map(|index| two_sums(four_sums(values[index]), four_sums(values[index + 1])));
                vpaddq_f32(a, b)
            }
        })
    }
    #[inline(always)]
    fn transpose(self, rows: [Self::V; WIDTH]) -> [Self::V; WIDTH] {
        let mut columns = rows;
        for row in (0..WIDTH).step_by(QUARTER) {
            for quarter in 0..QUARTER {
                let square = std::array::from_fn(|index| rows[row + index][quarter]);
                // SAFETY: every target that this file is compiled for has NEON.
                let square = unsafe { transpose_four(square) };
                for (index, column) in square.into_iter().enumerate() {
                    columns[quarter * QUARTER + index][row / QUARTER] = column;
                }
            }
        }
        columns
    }
}
