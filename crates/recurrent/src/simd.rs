//! Sixteen sequences side by side: the vector type of the recurrent kernels and its instruction sets.
//!
//! A [`Lane`] holds the same quantity (one unit of the state, one input feature, one gate) of sixteen sequences. Every
//! operation of a recurrent network except the weight gradient treats sequences independently, so whole vectors are
//! always full whatever the number of units, and no shuffles are needed.
//!
//! The instruction set is chosen at run time. A value of [`Avx512`] or [`Avx2`] is proof that the processor has the
//! instructions: it can only be made by [`InstructionSet::detect`]. All `unsafe` code of the kernels is in this file; it
//! calls intrinsics and nothing else, and [`Portable`] is its checked twin in plain Rust.

/// Sequences that are processed together, and the width of a [`Lane`].
pub const WIDTH: usize = 16;

/// One value of each of [`WIDTH`] sequences, aligned to a cache line.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Lane(pub [f32; WIDTH]);

impl Lane {
    /// Zero for every sequence.
    pub const ZERO: Self = Self([0.0; WIDTH]);

    /// The same value for every sequence.
    pub const fn splat(value: f32) -> Self {
        Self([value; WIDTH])
    }
}

/// Work that is written once and compiled for every instruction set.
///
/// Implementations mark [`run`](Self::run) and everything below it `#[inline(always)]`, so that it becomes part of the
/// function that has the instructions enabled.
pub trait Kernel {
    /// What the work returns.
    type Output;

    /// Does the work with the instructions of `simd`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Arithmetic on the values of [`WIDTH`] sequences.
pub trait Simd: Copy + Send + Sync {
    /// The values of one [`Lane`] in registers.
    type V: Copy;

    /// Whether one register holds a lane and there are 32 of them, so that larger tiles can be held in registers.
    const WIDE: bool;

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
    /// `value` where `condition > 0`, otherwise zero.
    fn where_positive(self, condition: Self::V, value: Self::V) -> Self::V;
    /// The sum over the sequences, always added in the same order.
    fn sum(self, a: Self::V) -> f32;
    /// Rows become columns.
    fn transpose(self, rows: [Self::V; WIDTH]) -> [Self::V; WIDTH];
}

/// The instruction sets that the kernels are compiled for.
#[derive(Clone, Copy, Debug)]
pub enum InstructionSet {
    /// Plain Rust; whatever the compiler makes of it.
    Portable(Portable),
    /// x86-64 with AVX2 and FMA: two registers of eight values.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// x86-64 with AVX-512F: one register of sixteen values.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl InstructionSet {
    /// The fastest that this processor has.
    pub fn detect() -> Self {
        Self::available().pop().unwrap_or(Self::Portable(Portable))
    }

    /// All that this processor has, the fastest last.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut sets = vec![Self::Portable(Portable)];
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                sets.push(Self::Avx2(Avx2(())));
            }
            if is_x86_feature_detected!("avx512f") {
                sets.push(Self::Avx512(Avx512(())));
            }
        }
        sets
    }

    /// Runs `kernel` with this instruction set.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            Self::Portable(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.run(kernel),
        }
    }
}

/// Plain Rust, the checked twin of the intrinsics.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl Simd for Portable {
    type V = [f32; WIDTH];
    const WIDE: bool = false;

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
    fn transpose(self, rows: [Self::V; WIDTH]) -> [Self::V; WIDTH] {
        std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]))
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Kernel, Lane, Simd, WIDTH};

    /// Proof that the processor has AVX2 and FMA.
    #[derive(Clone, Copy, Debug)]
    pub struct Avx2(pub(super) ());

    /// Proof that the processor has AVX-512F.
    #[derive(Clone, Copy, Debug)]
    pub struct Avx512(pub(super) ());

    #[target_feature(enable = "avx2,fma")]
    fn run_avx2<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
        kernel.run(simd)
    }

    #[target_feature(enable = "avx512f,avx2,fma")]
    fn run_avx512<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
        kernel.run(simd)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn sum_of_eight(eight: __m256) -> f32 {
        let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn transpose_eight(rows: [__m256; 8]) -> [__m256; 8] {
        let mut squares = rows;
        for group in [0, 4] {
            let [a, b, c, d] = [rows[group], rows[group + 1], rows[group + 2], rows[group + 3]];
            let ab_low = _mm256_castps_pd(_mm256_unpacklo_ps(a, b));
            let ab_high = _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
            let cd_low = _mm256_castps_pd(_mm256_unpacklo_ps(c, d));
            let cd_high = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
            squares[group] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_low, cd_low));
            squares[group + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_low, cd_low));
            squares[group + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_high, cd_high));
            squares[group + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_high, cd_high));
        }
        let mut columns = squares;
        for k in 0..4 {
            columns[k] = _mm256_permute2f128_ps::<0x20>(squares[k], squares[4 + k]);
            columns[4 + k] = _mm256_permute2f128_ps::<0x31>(squares[k], squares[4 + k]);
        }
        columns
    }

    // SAFETY of every block below: the intrinsics need an instruction set only, and `self` is the proof that the
    // processor has it. Loads and stores go through a reference to an aligned lane of exactly the register's size.
    impl Simd for Avx2 {
        type V = [__m256; 2];
        const WIDE: bool = false;

        #[inline(always)]
        fn run<K: Kernel>(self, kernel: K) -> K::Output {
            unsafe { run_avx2(self, kernel) }
        }
        #[inline(always)]
        fn splat(self, value: f32) -> Self::V {
            unsafe { [_mm256_set1_ps(value); 2] }
        }
        #[inline(always)]
        fn load(self, lane: &Lane) -> Self::V {
            let values = lane.0.as_ptr();
            unsafe { [_mm256_load_ps(values), _mm256_load_ps(values.add(8))] }
        }
        #[inline(always)]
        fn store(self, value: Self::V, lane: &mut Lane) {
            let values = lane.0.as_mut_ptr();
            unsafe {
                _mm256_store_ps(values, value[0]);
                _mm256_store_ps(values.add(8), value[1]);
            }
        }
        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn sub(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn mul(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn div(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
        }
        #[inline(always)]
        fn limit(self, a: Self::V, limit: f32) -> Self::V {
            // min and max return their second operand when one is not a number.
            unsafe {
                let (low, high) = (_mm256_set1_ps(-limit), _mm256_set1_ps(limit));
                [_mm256_max_ps(low, _mm256_min_ps(high, a[0])), _mm256_max_ps(low, _mm256_min_ps(high, a[1]))]
            }
        }
        #[inline(always)]
        fn relu(self, a: Self::V) -> Self::V {
            unsafe {
                let zero = _mm256_setzero_ps();
                [_mm256_max_ps(zero, a[0]), _mm256_max_ps(zero, a[1])]
            }
        }
        #[inline(always)]
        fn where_positive(self, condition: Self::V, value: Self::V) -> Self::V {
            unsafe {
                let zero = _mm256_setzero_ps();
                [
                    _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(condition[0], zero), value[0]),
                    _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(condition[1], zero), value[1]),
                ]
            }
        }
        #[inline(always)]
        fn sum(self, a: Self::V) -> f32 {
            unsafe { sum_of_eight(_mm256_add_ps(a[0], a[1])) }
        }
        #[inline(always)]
        fn transpose(self, rows: [Self::V; WIDTH]) -> [Self::V; WIDTH] {
            let mut columns = rows;
            for half in 0..2 {
                let quarter = |first: usize| {
                    let mut rows_of_quarter = [rows[first][half]; 8];
                    for row in 0..8 {
                        rows_of_quarter[row] = rows[first + row][half];
                    }
                    unsafe { transpose_eight(rows_of_quarter) }
                };
                let (upper, lower) = (quarter(0), quarter(8));
                for column in 0..8 {
                    columns[half * 8 + column] = [upper[column], lower[column]];
                }
            }
            columns
        }
    }

    impl Simd for Avx512 {
        type V = __m512;
        const WIDE: bool = true;

        #[inline(always)]
        fn run<K: Kernel>(self, kernel: K) -> K::Output {
            unsafe { run_avx512(self, kernel) }
        }
        #[inline(always)]
        fn splat(self, value: f32) -> Self::V {
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        fn load(self, lane: &Lane) -> Self::V {
            unsafe { _mm512_load_ps(lane.0.as_ptr()) }
        }
        #[inline(always)]
        fn store(self, value: Self::V, lane: &mut Lane) {
            unsafe { _mm512_store_ps(lane.0.as_mut_ptr(), value) }
        }
        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        fn sub(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        fn mul(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        fn div(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { _mm512_div_ps(a, b) }
        }
        #[inline(always)]
        fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        fn limit(self, a: Self::V, limit: f32) -> Self::V {
            unsafe { _mm512_max_ps(_mm512_set1_ps(-limit), _mm512_min_ps(_mm512_set1_ps(limit), a)) }
        }
        #[inline(always)]
        fn relu(self, a: Self::V) -> Self::V {
            unsafe { _mm512_max_ps(_mm512_setzero_ps(), a) }
        }
        #[inline(always)]
        fn where_positive(self, condition: Self::V, value: Self::V) -> Self::V {
            unsafe {
                let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(condition, _mm512_setzero_ps());
                _mm512_maskz_mov_ps(positive, value)
            }
        }
        #[inline(always)]
        fn sum(self, a: Self::V) -> f32 {
            unsafe {
                let high = _mm512_castps_pd(a);
                let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(high));
                sum_of_eight(_mm256_add_ps(_mm512_castps512_ps256(a), high))
            }
        }
        #[inline(always)]
        fn transpose(self, rows: [Self::V; WIDTH]) -> [Self::V; WIDTH] {
            unsafe {
                // First squares of four within each quarter register, then the quarters.
                let mut squares = rows;
                for group in (0..WIDTH).step_by(4) {
                    let [a, b, c, d] = [rows[group], rows[group + 1], rows[group + 2], rows[group + 3]];
                    let ab_low = _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
                    let ab_high = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
                    let cd_low = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
                    let cd_high = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
                    squares[group] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab_low, cd_low));
                    squares[group + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab_low, cd_low));
                    squares[group + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab_high, cd_high));
                    squares[group + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab_high, cd_high));
                }
                let mut columns = squares;
                for k in 0..4 {
                    let even = _mm512_shuffle_f32x4::<0x88>(squares[k], squares[4 + k]);
                    let odd = _mm512_shuffle_f32x4::<0xdd>(squares[k], squares[4 + k]);
                    let lower_even = _mm512_shuffle_f32x4::<0x88>(squares[8 + k], squares[12 + k]);
                    let lower_odd = _mm512_shuffle_f32x4::<0xdd>(squares[8 + k], squares[12 + k]);
                    columns[k] = _mm512_shuffle_f32x4::<0x88>(even, lower_even);
                    columns[4 + k] = _mm512_shuffle_f32x4::<0x88>(odd, lower_odd);
                    columns[8 + k] = _mm512_shuffle_f32x4::<0xdd>(even, lower_even);
                    columns[12 + k] = _mm512_shuffle_f32x4::<0xdd>(odd, lower_odd);
                }
                columns
            }
        }
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
            ];
            let rows = std::array::from_fn(|row| simd.add(a, simd.splat(row as f32)));
            results.extend(simd.transpose(rows));
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
        let expected = InstructionSet::Portable(Portable).run(Everything(lanes));
        for set in InstructionSet::available() {
            assert_eq!(set.run(Everything(lanes)), expected, "{set:?}");
        }
    }
}
