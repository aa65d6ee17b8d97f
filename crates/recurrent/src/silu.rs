//! The function of the dense layers that stand behind a recurrent one: `x · σ(x)`, the sigmoid-weighted linear unit (Elfwing,
//! Uchibe and Doya 2018, doi:10.1016/j.neunet.2017.12.012).

use super::activation::{LOGISTIC_SCALE, logistic_divisor};
use super::simd::{InstructionSet, Kernel, Lane, Simd, WIDTH};

/// Replaces each of `values` by `x / (1 + exp(-x))`, within 1e-6 of it relative to `1 + |x|`.
pub fn silu(values: &mut [f32]) {
    InstructionSet::detect().run(Forward { values });
}

/// Multiplies each of `gradients` by the derivative of [`silu`] at `x`: `σ + x · σ · (1 − σ)` with `σ = 1 / (1 + exp(-x))`.
///
/// # Panics
/// If there are not as many of both.
pub fn silu_backward(x: &[f32], gradients: &mut [f32]) {
    assert_eq!(x.len(), gradients.len(), "a gradient for each value");
    InstructionSet::detect().run(Backward { x, gradients });
}

struct Forward<'a> {
    values: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for chunk in self.values.chunks_mut(WIDTH) {
            let mut lane = filled(chunk);
            let x = simd.load(&lane);
            let divisor = logistic_divisor(simd, simd.mul(x, simd.splat(LOGISTIC_SCALE)));
            simd.store(simd.div(x, divisor), &mut lane);
            chunk.copy_from_slice(&lane.0[..chunk.len()]);
        }
    }
}

struct Backward<'a> {
    x: &'a [f32],
    gradients: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let one = simd.splat(1.0);
        for (x, chunk) in self.x.chunks(WIDTH).zip(self.gradients.chunks_mut(WIDTH)) {
            let x = simd.load(&filled(x));
            let mut lane = filled(chunk);
            let gradient = simd.load(&lane);
            let divisor = logistic_divisor(simd, simd.mul(x, simd.splat(LOGISTIC_SCALE)));
            let sigmoid = simd.div(one, divisor);
            let rest = simd.mul_add(x, simd.sub(one, sigmoid), one);
            simd.store(simd.mul(gradient, simd.mul(sigmoid, rest)), &mut lane);
            chunk.copy_from_slice(&lane.0[..chunk.len()]);
        }
    }
}

/// A lane that begins with `values`.
#[inline(always)]
fn filled(values: &[f32]) -> Lane {
    let mut lane = Lane::ZERO;
    lane.0[..values.len()].copy_from_slice(values);
    lane
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(x: f64) -> f64 {
        x / (1.0 + (-x).exp())
    }

    /// Beyond ±100 the function is x, or nothing; 37 values, so that the last lane is not full.
    fn arguments() -> Vec<f32> {
        (0..37).map(|index| (index as f32 - 18.0).powi(3) / 55.0).collect()
    }

    #[test]
    fn it_is_the_definition_in_double_precision() {
        let mut values = arguments();
        silu(&mut values);
        for (x, value) in arguments().into_iter().zip(values) {
            let expected = exact(f64::from(x));
            assert!((f64::from(value) - expected).abs() < 1e-6 * (1.0 + expected.abs()), "{x}: {value}");
        }
    }

    #[test]
    fn its_derivative_is_the_difference_quotient() {
        let x = arguments();
        let mut gradients: Vec<f32> = (0..x.len()).map(|index| 0.5 + index as f32).collect();
        silu_backward(&x, &mut gradients);
        for (index, (&x, gradient)) in x.iter().zip(gradients).enumerate() {
            let (x, by) = (f64::from(x), 1e-4);
            let expected = (0.5 + index as f64) * (exact(x + by) - exact(x - by)) / (2.0 * by);
            assert!(
                (f64::from(gradient) - expected).abs() < 1e-5 * (1.0 + expected.abs()),
                "{x}: {gradient}"
            );
        }
    }

    #[test]
    fn not_a_number_stays_what_it_is() {
        let mut values = [f32::NAN, 1.0];
        silu(&mut values);
        assert!(values[0].is_nan() && !values[1].is_nan());
    }
}
