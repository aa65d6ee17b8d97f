//! The non-linear functions of the gates, for sixteen sequences at once.

use super::simd::Simd;

/// The function that makes the candidate state of a GRU, or the candidate and the output of an LSTM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Activation {
    /// Hyperbolic tangent, the usual one.
    #[default]
    Tanh,
    /// The positive part.
    Relu,
}

/// Beyond this argument the hyperbolic tangent differs from one by less than 1.6e-7 and is taken as constant.
const TANH_LIMIT: f32 = 8.2;
/// Numerator of `tanh(x) / x` in powers of `x²`: a rational minimax fit on `[0, TANH_LIMIT]`, made for this file by
/// reweighted least squares; relative error 8.3e-9 before rounding, 3.3e-7 evaluated in single precision.
const TANH_NUMERATOR: [f32; 5] = [1.0, 0.134_321_36, 3.556_702_3e-3, 2.163_753_2e-5, 1.484_090_7e-8];
/// Denominator of the same fit.
const TANH_DENOMINATOR: [f32; 5] = [1.0, 0.467_654_62, 2.610_836e-2, 3.386_466_7e-4, 8.370_748e-7];

/// Hyperbolic tangent, within 1e-6 of the true value.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::V) -> S::V {
    let x = simd.limit(x, TANH_LIMIT);
    let square = simd.mul(x, x);
    let numerator = polynomial(simd, square, &TANH_NUMERATOR);
    let denominator = polynomial(simd, square, &TANH_DENOMINATOR);
    simd.div(simd.mul(x, numerator), denominator)
}

/// Logistic function `1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2`, within 1e-6 of the true value.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::V) -> S::V {
    let half = simd.splat(0.5);
    simd.mul_add(tanh(simd, simd.mul(x, half)), half, half)
}

#[inline(always)]
fn polynomial<S: Simd>(simd: S, x: S::V, coefficients: &[f32; 5]) -> S::V {
    let mut value = simd.splat(coefficients[4]);
    for &coefficient in coefficients[..4].iter().rev() {
        value = simd.mul_add(value, x, simd.splat(coefficient));
    }
    value
}

impl Activation {
    /// The function's value.
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, simd: S, x: S::V) -> S::V {
        match self {
            Self::Tanh => tanh(simd, x),
            Self::Relu => simd.relu(x),
        }
    }

    /// `gradient` times the derivative of the function, which both functions allow to be told from their `value`.
    #[inline(always)]
    pub(crate) fn backward<S: Simd>(self, simd: S, value: S::V, gradient: S::V) -> S::V {
        match self {
            Self::Tanh => {
                let derivative = simd.sub(simd.splat(1.0), simd.mul(value, value));
                simd.mul(gradient, derivative)
            }
            Self::Relu => simd.where_positive(value, gradient),
        }
    }
}

/// `gradient` times the derivative of the logistic function whose value is `value`.
#[inline(always)]
pub(crate) fn sigmoid_backward<S: Simd>(simd: S, value: S::V, gradient: S::V) -> S::V {
    let derivative = simd.mul(value, simd.sub(simd.splat(1.0), value));
    simd.mul(gradient, derivative)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{InstructionSet, Kernel, Lane, WIDTH};

    struct Evaluate([f32; WIDTH]);

    impl Kernel for Evaluate {
        type Output = ([f32; WIDTH], [f32; WIDTH]);
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let x = simd.load(&Lane(self.0));
            let (mut tangent, mut logistic) = (Lane::ZERO, Lane::ZERO);
            simd.store(tanh(simd, x), &mut tangent);
            simd.store(sigmoid(simd, x), &mut logistic);
            (tangent.0, logistic.0)
        }
    }

    #[test]
    fn functions_are_within_a_millionth_on_every_instruction_set() {
        for set in InstructionSet::available() {
            for block in 0..4000 {
                let x: [f32; WIDTH] = std::array::from_fn(|i| {
                    -25.0 + 50.0 * (block * WIDTH + i) as f32 / (4000 * WIDTH) as f32
                });
                let (tangent, logistic) = set.run(Evaluate(x));
                for i in 0..WIDTH {
                    let exact = f64::from(x[i]);
                    assert!((f64::from(tangent[i]) - exact.tanh()).abs() < 1e-6, "tanh({exact})");
                    let exact_logistic = 1.0 / (1.0 + (-exact).exp());
                    assert!((f64::from(logistic[i]) - exact_logistic).abs() < 1e-6, "{exact}");
                }
            }
        }
    }

    #[test]
    fn not_a_number_is_passed_on_and_infinity_saturates() {
        for set in InstructionSet::available() {
            let mut x = [f32::NAN; WIDTH];
            x[1] = f32::INFINITY;
            x[2] = f32::NEG_INFINITY;
            let (tangent, logistic) = set.run(Evaluate(x));
            assert!(tangent[0].is_nan() && logistic[0].is_nan());
            assert!((tangent[1] - 1.0).abs() < 1e-6 && (tangent[2] + 1.0).abs() < 1e-6);
            assert!((logistic[1] - 1.0).abs() < 1e-6 && logistic[2].abs() < 1e-6);
        }
    }
}
