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

/// Beyond this exponent a power of two is taken as constant.
const POWER_LIMIT: f32 = 100.0;
/// `2^x` in powers of `x`: a minimax fit on `[-1/2, 1/2]` by reweighted least squares, made for this file; relative error
/// 1.1e-7 before rounding.
#[allow(clippy::approx_constant)] // A coefficient of a fit is not ln 2, however near it comes.
const POWER_OF_TWO: [f32; 6] = [1.0, 0.693_147, 0.240_222_42, 0.055_507_336, 9.671_513e-3, 1.326_472_7e-3];

/// Numerator and denominator of the hyperbolic tangent.
#[inline(always)]
fn tanh_fraction<S: Simd>(simd: S, x: S::V) -> (S::V, S::V) {
    let x = simd.limit(x, TANH_LIMIT);
    let square = simd.mul(x, x);
    let numerator = polynomial(simd, square, &TANH_NUMERATOR);
    let denominator = polynomial(simd, square, &TANH_DENOMINATOR);
    (simd.mul(x, numerator), denominator)
}

/// Hyperbolic tangent, within 1e-6 of the true value.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::V) -> S::V {
    let (numerator, denominator) = tanh_fraction(simd, x);
    simd.div(numerator, denominator)
}

/// Logistic function `1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2`, within 1e-6 of the true value.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::V) -> S::V {
    let half = simd.splat(0.5);
    simd.mul_add(tanh(simd, simd.mul(x, half)), half, half)
}

/// What the sum of a gate is multiplied with for [`logistic_divisor`]: `-log₂ e`.
pub(crate) const LOGISTIC_SCALE: f32 = -std::f32::consts::LOG2_E;

/// `1 + exp(-x)`, of which the logistic function is the reciprocal, from `LOGISTIC_SCALE · x`; relative error 2.5e-7.
///
/// Cheaper than [`sigmoid`], and a quotient with it saves a division. Saturates beyond `|x| = 69`.
#[inline(always)]
pub(crate) fn logistic_divisor<S: Simd>(simd: S, scaled: S::V) -> S::V {
    let scaled = simd.limit(scaled, POWER_LIMIT);
    let (whole, power_of_whole) = simd.round_and_power(scaled);
    let power_of_rest = polynomial(simd, simd.sub(scaled, whole), &POWER_OF_TWO);
    simd.mul_add(power_of_rest, power_of_whole, simd.splat(1.0))
}

#[inline(always)]
fn polynomial<S: Simd, const COUNT: usize>(simd: S, x: S::V, coefficients: &[f32; COUNT]) -> S::V {
    let mut value = simd.splat(coefficients[COUNT - 1]);
    for &coefficient in coefficients[..COUNT - 1].iter().rev() {
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

    /// The function's value divided by `divisor`, with one division.
    #[inline(always)]
    pub(crate) fn divided<S: Simd>(self, simd: S, x: S::V, divisor: S::V) -> S::V {
        let (numerator, divisor) = match self {
            Self::Tanh => {
                let (numerator, denominator) = tanh_fraction(simd, x);
                (numerator, simd.mul(denominator, divisor))
            }
            Self::Relu => (simd.relu(x), divisor),
        };
        simd.div(numerator, divisor)
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
        /// Hyperbolic tangent, logistic function, the latter by its divisor, and the product of both by one division.
        type Output = [[f32; WIDTH]; 4];
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let x = simd.load(&Lane(self.0));
            let divisor = logistic_divisor(simd, simd.mul(x, simd.splat(LOGISTIC_SCALE)));
            let reciprocal = simd.div(simd.splat(1.0), divisor);
            let product = Activation::Tanh.divided(simd, x, divisor);
            [tanh(simd, x), sigmoid(simd, x), reciprocal, product].map(|value| {
                let mut lane = Lane::ZERO;
                simd.store(value, &mut lane);
                lane.0
            })
        }
    }

    #[test]
    fn functions_are_within_a_millionth_on_every_instruction_set() {
        for set in InstructionSet::available() {
            for block in 0..4000 {
                let x: [f32; WIDTH] = std::array::from_fn(|i| {
                    -25.0 + 50.0 * (block * WIDTH + i) as f32 / (4000 * WIDTH) as f32
                });
                let values = set.run(Evaluate(x));
                for i in 0..WIDTH {
                    let (x, logistic) = (f64::from(x[i]), 1.0 / (1.0 + (-f64::from(x[i])).exp()));
                    let exact = [x.tanh(), logistic, logistic, logistic * x.tanh()];
                    for (value, exact) in values.iter().zip(exact) {
                        assert!(
                            (f64::from(value[i]) - exact).abs() < 1e-6,
                            "{} for {exact} at {x}",
                            value[i]
                        );
                    }
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
            for (value, limits) in
                set.run(Evaluate(x)).iter().zip([[1.0, -1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
            {
                assert!(value[0].is_nan());
                assert!(
                    (value[1] - limits[0]).abs() < 1e-6 && (value[2] - limits[1]).abs() < 1e-6,
                    "{value:?}"
                );
            }
        }
    }
}
