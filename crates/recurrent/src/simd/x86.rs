//! The instruction sets of x86-64, the only module with `unsafe` code: calls of intrinsics that need an instruction set, in
//! methods of values that prove the processor has it.

use std::arch::x86_64::*;

use super::{Kernel, Lane, MANTISSA_BITS, ROUNDING, Simd, WIDTH};

/// Proof that the processor has AVX2 and FMA: only [`detect`](Self::detect) makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

/// Proof that the processor has AVX-512F, AVX2 and FMA: only [`detect`](Self::detect) makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx2 {
    /// The proof, if the processor has the instructions.
    pub(super) fn detect() -> Option<Avx2> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Avx2(()))
    }
}

impl Avx512 {
    /// The proof, if the processor has the instructions.
    pub(super) fn detect() -> Option<Avx512> {
        Avx2::detect().filter(|_| is_x86_feature_detected!("avx512f")).map(|_| Avx512(()))
    }
}

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

/// The sums of eight lanes from `first` on, paired like those of [`sum_of_eight`].
#[inline]
#[target_feature(enable = "avx2")]
fn sums_of_eight(values: &[[__m256; 2]; WIDTH], first: usize) -> __m256 {
    // Eight values of a lane become four, of two lanes that are four apart.
    let four = |index: usize| {
        let [a, b] =
            [values[first + index], values[first + index + 4]].map(|[low, high]| _mm256_add_ps(low, high));
        _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b))
    };
    let two = |a: __m256, b: __m256| {
        let (a, b) = (_mm256_castps_pd(a), _mm256_castps_pd(b));
        let (low, high) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
        _mm256_add_ps(_mm256_castpd_ps(low), _mm256_castpd_ps(high))
    };
    let (a, b) = (two(four(0), four(1)), two(four(2), four(3)));
    _mm256_add_ps(_mm256_shuffle_ps::<0x88>(a, b), _mm256_shuffle_ps::<0xdd>(a, b))
}

/// The sums of sixteen lanes, paired like those of [`sum_of_eight`].
#[inline]
#[target_feature(enable = "avx512f")]
fn sums_of_sixteen(values: [__m512; WIDTH]) -> __m512 {
    // Each step halves what is left of a lane and joins two lanes in a register.
    let eight = |a: __m512, b: __m512| {
        _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b))
    };
    let four = |a: __m512, b: __m512| {
        _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b))
    };
    let two = |a: __m512, b: __m512| {
        let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
        let (low, high) = (_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
        _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high))
    };
    // Lanes 0, 4, 8 and 12 share a quarter in the end, as do 1, 5, 9 and 13: hence the order in which they are taken.
    let fours = |first: usize| {
        let [a, b, c, d] = [first, first + 4, first + 8, first + 12].map(|index| values[index]);
        four(eight(a, b), eight(c, d))
    };
    let (a, b) = (two(fours(0), fours(1)), two(fours(2), fours(3)));
    _mm512_add_ps(_mm512_shuffle_ps::<0x88>(a, b), _mm512_shuffle_ps::<0xdd>(a, b))
}

#[inline(always)]
fn prefetch(values: &[f32], index: usize) {
    // SAFETY: SSE is part of x86-64, and an address that is only asked for need not be valid.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().wrapping_add(index).cast()) };
}

impl Simd for Avx2 {
    type V = [__m256; 2];
    const WIDE: bool = false;
    const PAIRS: bool = true;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe { run_avx2(self, kernel) }
    }
    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe { [_mm256_set1_ps(value); 2] }
    }
    #[inline(always)]
    fn load(self, lane: &Lane) -> Self::V {
        let values = lane.0.as_ptr();
        // SAFETY: `self` proves that the processor has AVX2 and FMA; the 64 bytes that are read are those of
        // one lane, which is aligned to 64.
        unsafe { [_mm256_load_ps(values), _mm256_load_ps(values.add(8))] }
    }
    #[inline(always)]
    fn store(self, value: Self::V, lane: &mut Lane) {
        let values = lane.0.as_mut_ptr();
        // SAFETY: `self` proves that the processor has AVX2 and FMA; the 64 bytes that are written are those of
        // one lane, which is aligned to 64.
        unsafe {
            _mm256_store_ps(values, value[0]);
            _mm256_store_ps(values.add(8), value[1]);
        }
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    fn limit(self, a: Self::V, limit: f32) -> Self::V {
        // min and max return their second operand when one is not a number.
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe {
            let (low, high) = (_mm256_set1_ps(-limit), _mm256_set1_ps(limit));
            [_mm256_max_ps(low, _mm256_min_ps(high, a[0])), _mm256_max_ps(low, _mm256_min_ps(high, a[1]))]
        }
    }
    #[inline(always)]
    fn relu(self, a: Self::V) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe {
            let zero = _mm256_setzero_ps();
            [_mm256_max_ps(zero, a[0]), _mm256_max_ps(zero, a[1])]
        }
    }
    #[inline(always)]
    fn round_and_power(self, a: Self::V) -> (Self::V, Self::V) {
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe {
            let rounding = _mm256_set1_ps(ROUNDING);
            let (low, high) = (_mm256_add_ps(a[0], rounding), _mm256_add_ps(a[1], rounding));
            let powers = [
                _mm256_slli_epi32::<{ MANTISSA_BITS as i32 }>(_mm256_castps_si256(low)),
                _mm256_slli_epi32::<{ MANTISSA_BITS as i32 }>(_mm256_castps_si256(high)),
            ];
            let rounded = [_mm256_sub_ps(low, rounding), _mm256_sub_ps(high, rounding)];
            (rounded, [_mm256_castsi256_ps(powers[0]), _mm256_castsi256_ps(powers[1])])
        }
    }
    #[inline(always)]
    fn where_positive(self, condition: Self::V, value: Self::V) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
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
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe { sum_of_eight(_mm256_add_ps(a[0], a[1])) }
    }
    #[inline(always)]
    fn sums(self, values: [Self::V; WIDTH]) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe { [sums_of_eight(&values, 0), sums_of_eight(&values, 8)] }
    }
    #[inline(always)]
    fn prefetch(self, values: &[f32], index: usize) {
        prefetch(values, index);
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
                // SAFETY: `self` proves that the processor has AVX2 and FMA.
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
    const PAIRS: bool = true;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA.
        unsafe { run_avx512(self, kernel) }
    }
    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA.
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    fn load(self, lane: &Lane) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA; the 64 bytes that are read are those of
        // one lane, which is aligned to 64.
        unsafe { _mm512_load_ps(lane.0.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, value: Self::V, lane: &mut Lane) {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA; the 64 bytes that are written are those of
        // one lane, which is aligned to 64.
        unsafe { _mm512_store_ps(lane.0.as_mut_ptr(), value) }
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn limit(self, a: Self::V, limit: f32) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA.
        unsafe { _mm512_max_ps(_mm512_set1_ps(-limit), _mm512_min_ps(_mm512_set1_ps(limit), a)) }
    }
    #[inline(always)]
    fn relu(self, a: Self::V) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA.
        unsafe { _mm512_max_ps(_mm512_setzero_ps(), a) }
    }
    #[inline(always)]
    fn round_and_power(self, a: Self::V) -> (Self::V, Self::V) {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA.
        unsafe {
            let rounding = _mm512_set1_ps(ROUNDING);
            let shifted = _mm512_add_ps(a, rounding);
            let power = _mm512_slli_epi32::<MANTISSA_BITS>(_mm512_castps_si512(shifted));
            (_mm512_sub_ps(shifted, rounding), _mm512_castsi512_ps(power))
        }
    }
    #[inline(always)]
    fn where_positive(self, condition: Self::V, value: Self::V) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA.
        unsafe {
            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(condition, _mm512_setzero_ps());
            _mm512_maskz_mov_ps(positive, value)
        }
    }
    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA.
        unsafe {
            let high = _mm512_castps_pd(a);
            let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(high));
            sum_of_eight(_mm256_add_ps(_mm512_castps512_ps256(a), high))
        }
    }
    #[inline(always)]
    fn sums(self, values: [Self::V; WIDTH]) -> Self::V {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA.
        unsafe { sums_of_sixteen(values) }
    }
    #[inline(always)]
    fn prefetch(self, values: &[f32], index: usize) {
        prefetch(values, index);
    }
    #[inline(always)]
    fn transpose(self, rows: [Self::V; WIDTH]) -> [Self::V; WIDTH] {
        // SAFETY: `self` proves that the processor has AVX-512F, AVX2 and FMA.
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
