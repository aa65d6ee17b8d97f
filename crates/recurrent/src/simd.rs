//! Sixteen sequences side by side: the vector type of the recurrent kernels and its instruction sets.
//!
//! A [`Lane`] holds the same quantity (one unit of the state, one input feature, one gate) of sixteen sequences. Every
//! operation of a recurrent network except the weight gradient treats sequences independently, so whole vectors are
//! always full whatever the number of units, and no shuffles are needed.
//!
//! The instruction set is chosen at run time. All `unsafe` code of the kernels is in the modules of the instruction sets; it
//! calls intrinsics and nothing else, and [`Portable`] is its checked twin in plain Rust.

#[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
use neon::Neon;
#[cfg(target_arch = "x86_64")]
use x86::{Avx2, Avx512};

/// Sequences that are processed together, and the width of a [`Lane`].
pub(crate) const WIDTH: usize = 16;

/// Bits of a number's mantissa.
const MANTISSA_BITS: u32 = 23;

/// Of numbers as large as this only whole ones are left, so that adding it rounds to a whole number; which is then in the
/// lowest bits, with the offset of an exponent.
const ROUNDING: f32 = 1.5 * (1u32 << MANTISSA_BITS) as f32 + 127.0;

/// One value of each of [`WIDTH`] sequences, aligned to a cache line.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Lane(pub(crate) [f32; WIDTH]);

impl Lane {
    /// Zero for every sequence.
    pub(crate) const ZERO: Self = Self([0.0; WIDTH]);

    /// The same value for every sequence.
    pub(crate) const fn splat(value: f32) -> Self {
        Self([value; WIDTH])
    }
}

/// Work that is written once and compiled for every instruction set.
///
/// Implementations mark [`run`](Self::run) and everything below it `#[inline(always)]`, so that it becomes part of the
/// function that has the instructions enabled. A closure cannot be marked, so none calls a method of [`Simd`]: where the
/// compiler does not inline it, every instruction becomes a call, and the kernel takes ten times as long.
pub(crate) trait Kernel {
    /// What the work returns.
    type Output;

    /// Does the work with the instructions of `simd`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Arithmetic on the values of [`WIDTH`] sequences.
pub(crate) trait Simd: Copy + Send + Sync {
    /// The values of one [`Lane`] in registers.
    type V: Copy;

    /// Whether one register holds a lane and there are 32 of them, so that larger tiles can be held in registers.
    const WIDE: bool;

    /// Whether the sums of two units of a GRU fit into the registers.
    const PAIRS: bool;

    /// Runs `kernel` with the instructions enabled.
    fn run<K: Kernel>(self, kernel: K) -> K::Output;
    /// The same value for every sequence.
    fn splat(self, value: f32) -> Self::V;
    /// Reads a lane.
    fn load(self, lane: &Lane) -> Self::V;
    /// Writes a lane.
    fn store(self, value: Self::V, lane: &mut Lane);
    /// `a + b`
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a` limited to `[-limit, limit]`. Not a number stays what it is, so that a diverged training is noticed.
    fn limit(self, a: Self::V, limit: f32) -> Self::V;
    /// The positive part of `a`. Not a number stays what it is.
    fn relu(self, a: Self::V) -> Self::V;
    /// `a` rounded to the nearest whole number, and two to the power of that; `a` is within ±126. Not a number rounds to
    /// itself, its power is unspecified.
    fn round_and_power(self, a: Self::V) -> (Self::V, Self::V);
    /// `value` where `condition > 0`, otherwise zero.
    fn where_positive(self, condition: Self::V, value: Self::V) -> Self::V;
    /// The sum over the sequences, always added in the same order.
    fn sum(self, a: Self::V) -> f32;
    /// The [`sum`](Self::sum) of each of sixteen values, added in the same order.
    fn sums(self, values: [Self::V; WIDTH]) -> Self::V;
    /// Rows become columns.
    fn transpose(self, rows: [Self::V; WIDTH]) -> [Self::V; WIDTH];
    /// Asks for the cache line of `values[index]`, which may be beyond the end. Changes no result.
    #[inline(always)]
    fn prefetch(self, _values: &[f32], _index: usize) {}
}

/// An instruction set that the kernels are compiled for and that this processor has.
///
/// On x86-64 these are AVX-512F, and AVX2 with FMA, on 64-bit ARM NEON; everywhere there is plain Rust, whatever the compiler
/// makes of it.
#[derive(Clone, Copy, Debug)]
pub struct InstructionSet(Instructions);

/// Each holds the proof that the processor has the instructions.
#[derive(Clone, Copy, Debug)]
enum Instructions {
    Portable(Portable),
    /// Four registers of four values.
    #[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
    Neon(Neon),
    /// Two registers of eight values.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// One register of sixteen values.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl InstructionSet {
    /// Plain Rust, without instructions of a processor's own: what every processor can run.
    pub const PORTABLE: InstructionSet = InstructionSet(Instructions::Portable(Portable));

    /// The fastest that this processor has.
    pub fn detect() -> InstructionSet {
        Self::available().pop().unwrap_or(Self::PORTABLE)
    }

    /// All that this processor has, the fastest last.
    pub fn available() -> Vec<InstructionSet> {
        #[allow(unused_mut)]
        let mut sets = vec![Self::PORTABLE];
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            sets.extend(Avx2::detect().map(|simd| InstructionSet(Instructions::Avx2(simd))));
            sets.extend(Avx512::detect().map(|simd| InstructionSet(Instructions::Avx512(simd))));
        }
        #[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little", not(miri)))]
        sets.push(InstructionSet(Instructions::Neon(Neon)));
        sets
    }

    /// Whether a training step takes less time if it reads gate values from memory than if it computes them once more in the
    /// second-level cache. Measured on x86-64 only.
    pub(crate) fn keeps_gates(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512(_) => false,
            _ => true,
        }
    }

    /// Runs `kernel` with this instruction set.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Instructions::Portable(simd) => simd.run(kernel),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
            Instructions::Neon(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512(simd) => simd.run(kernel),
        }
    }
}

/// Plain Rust, the checked twin of the intrinsics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl Simd for Portable {
    type V = [f32; WIDTH];
    const WIDE: bool = false;
    const PAIRS: bool = false;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [value; WIDTH]
    }
    #[inline(always)]
    fn load(self, lane: &Lane) -> Self::V {
        lane.0
    }
    #[inline(always)]
    fn store(self, value: Self::V, lane: &mut Lane) {
        lane.0 = value;
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] / b[i])
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // f32::mul_add would call a library function on processors without the instruction.
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn limit(self, a: Self::V, limit: f32) -> Self::V {
        a.map(|x| x.clamp(-limit, limit))
    }
    #[inline(always)]
    fn relu(self, a: Self::V) -> Self::V {
        a.map(|x| if x < 0.0 { 0.0 } else { x })
    }
    #[inline(always)]
    fn round_and_power(self, a: Self::V) -> (Self::V, Self::V) {
        let shifted = a.map(|x| x + ROUNDING);
        let power = shifted.map(|x| f32::from_bits(x.to_bits() << MANTISSA_BITS));
        (shifted.map(|x| x - ROUNDING), power)
    }
    #[inline(always)]
    fn where_positive(self, condition: Self::V, value: Self::V) -> Self::V {
        std::array::from_fn(|i| if condition[i] > 0.0 { value[i] } else { 0.0 })
    }
    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        // The pairing of the vector instructions below: halves are added to halves.
        let eight: [f32; 8] = std::array::from_fn(|i| a[i] + a[i + 8]);
        let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
        (four[0] + four[2]) + (four[1] + four[3])
    }
    #[inline(always)]
    fn sums(self, values: [Self::V; WIDTH]) -> Self::V {
        values.map(|value| self.sum(value))
    }
    #[inline(always)]
    fn transpose(self, rows: [Self::V; WIDTH]) -> [Self::V; WIDTH] {
        std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation once, on three lanes of arbitrary numbers.
    struct Everything([Lane; 3]);

    impl Kernel for Everything {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let [a, b, c] = self.0.each_ref().map(|lane| simd.load(lane));
            let mut values = vec![simd.sum(a)];
            let mut results = vec![
                simd.splat(1.5),
                simd.add(a, b),
                simd.sub(a, b),
                simd.mul(a, b),
                simd.div(a, b),
                simd.limit(a, 0.5),
                simd.relu(a),
                simd.where_positive(a, c),
                simd.round_and_power(simd.mul(a, simd.splat(70.0))).0,
                simd.round_and_power(simd.mul(a, simd.splat(70.0))).1,
            ];
            let rows = std::array::from_fn(|row| simd.add(a, simd.splat(row as f32)));
            results.extend(simd.transpose(rows));
            results.push(simd.sums(rows));
            for result in results {
                let mut lane = Lane::ZERO;
                simd.store(result, &mut lane);
                values.extend(lane.0);
            }
            values
        }
    }

    #[test]
    fn every_instruction_set_agrees_with_its_twin_in_plain_rust() {
        let lane = |factor: f32| Lane(std::array::from_fn(|i| (factor * (i as f32 + 0.7)).sin() * 1.7));
        let lanes = [lane(1.3), lane(2.1), lane(0.4)];
        let expected = InstructionSet::PORTABLE.run(Everything(lanes));
        for set in InstructionSet::available() {
            assert_eq!(set.run(Everything(lanes)), expected, "{set:?}");
        }
    }
}
