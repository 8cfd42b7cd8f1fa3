/* kernels/simd/v16_avx512.h - v16.h on AVX-512 F, DQ, BW, VL. */
#ifndef KRN_SIMD_V16_AVX512_H
#define KRN_SIMD_V16_AVX512_H

struct v16 {
    __m512 r;
};
struct v16i {
    __m512i r;
};
struct v16m {
    __mmask16 r;
};

#define V1(expr) ((struct v16){expr})
#define V1I(expr) ((struct v16i){expr})
#define V1M(expr) ((struct v16m){expr})

V_FN __mmask16 v_first(size_t n)
{
    return (__mmask16)(0xffffu >> (16 - n)); /* n: 1..16 */
}

V_FN struct v16 v_zero(void)
{
    return V1(_mm512_setzero_ps());
}
V_FN struct v16 v_set1(float x)
{
    return V1(_mm512_set1_ps(x));
}
V_FN struct v16 v_load(const float *p)
{
    return V1(_mm512_loadu_ps(p));
}
V_FN void v_store(float *p, struct v16 a)
{
    _mm512_storeu_ps(p, a.r);
}
V_FN struct v16 v_load_n(const float *p, size_t n)
{
    return V1(_mm512_maskz_loadu_ps(v_first(n), p));
}
V_FN void v_store_n(float *p, struct v16 a, size_t n)
{
    _mm512_mask_storeu_ps(p, v_first(n), a.r);
}
/* x[idx[0..n-1]], 0 in the other lanes */
V_FN struct v16 v_gather_n(const float *x, const uint32_t *idx, size_t n)
{
    const __mmask16 m = v_first(n);

    return V1(_mm512_mask_i32gather_ps(_mm512_setzero_ps(), m,
                                       _mm512_maskz_loadu_epi32(m, idx), x, 4));
}
V_FN struct v16 v_add(struct v16 a, struct v16 b)
{
    return V1(_mm512_add_ps(a.r, b.r));
}
V_FN struct v16 v_sub(struct v16 a, struct v16 b)
{
    return V1(_mm512_sub_ps(a.r, b.r));
}
V_FN struct v16 v_mul(struct v16 a, struct v16 b)
{
    return V1(_mm512_mul_ps(a.r, b.r));
}
V_FN struct v16 v_div(struct v16 a, struct v16 b)
{
    return V1(_mm512_div_ps(a.r, b.r));
}
V_FN struct v16 v_sqrt(struct v16 a)
{
    return V1(_mm512_sqrt_ps(a.r));
}
/* a * b + c */
V_FN struct v16 v_fma(struct v16 a, struct v16 b, struct v16 c)
{
    return V1(_mm512_fmadd_ps(a.r, b.r, c.r));
}
/* c - a * b */
V_FN struct v16 v_fnma(struct v16 a, struct v16 b, struct v16 c)
{
    return V1(_mm512_fnmadd_ps(a.r, b.r, c.r));
}
/* a * 2^n for a whole n */
V_FN struct v16 v_times_pow2(struct v16 a, struct v16 n)
{
    return V1(_mm512_scalef_ps(a.r, n.r));
}
/* a > b ? a : b, lane by lane: NaN in either gives b */
V_FN struct v16 v_max(struct v16 a, struct v16 b)
{
    return V1(_mm512_max_ps(a.r, b.r));
}
/* a < b ? a : b */
V_FN struct v16 v_min(struct v16 a, struct v16 b)
{
    return V1(_mm512_min_ps(a.r, b.r));
}
V_FN struct v16m v_lt(struct v16 a, struct v16 b)
{
    return V1M(_mm512_cmp_ps_mask(a.r, b.r, _CMP_LT_OQ));
}
V_FN struct v16m v_ge(struct v16 a, struct v16 b)
{
    return V1M(_mm512_cmp_ps_mask(a.r, b.r, _CMP_GE_OQ));
}
V_FN struct v16m v_eq(struct v16 a, struct v16 b)
{
    return V1M(_mm512_cmp_ps_mask(a.r, b.r, _CMP_EQ_OQ));
}
V_FN struct v16m v_mask_n(size_t n)
{
    return V1M(v_first(n));
}
/* m ? a : b */
V_FN struct v16 v_pick(struct v16m m, struct v16 a, struct v16 b)
{
    return V1(_mm512_mask_blend_ps(m.r, b.r, a.r));
}
/* bit i: lane i */
V_FN uint32_t v_bits(struct v16m m)
{
    return m.r;
}

/* The lanes of `bits` side by side; what follows them, up to 16, is lost. */
V_FN void v_pack(float *to, struct v16 a, uint32_t bits)
{
    _mm512_storeu_ps(to, _mm512_maskz_compress_ps((__mmask16)bits, a.r));
}

V_FN struct v16i v_int(struct v16 a) /* the bits */
{
    return V1I(_mm512_castps_si512(a.r));
}
V_FN struct v16 v_float(struct v16i a)
{
    return V1(_mm512_castsi512_ps(a.r));
}
V_FN struct v16i v_set1i(int32_t x)
{
    return V1I(_mm512_set1_epi32(x));
}
V_FN struct v16i v_addi(struct v16i a, struct v16i b)
{
    return V1I(_mm512_add_epi32(a.r, b.r));
}
V_FN struct v16i v_subi(struct v16i a, struct v16i b)
{
    return V1I(_mm512_sub_epi32(a.r, b.r));
}
V_FN struct v16i v_andi(struct v16i a, struct v16i b)
{
    return V1I(_mm512_and_si512(a.r, b.r));
}
V_FN struct v16i v_ori(struct v16i a, struct v16i b)
{
    return V1I(_mm512_or_si512(a.r, b.r));
}
V_FN struct v16i v_sra(struct v16i a, int by)
{
    return V1I(_mm512_srai_epi32(a.r, (unsigned)by));
}
V_FN struct v16i v_sll(struct v16i a, int by)
{
    return V1I(_mm512_slli_epi32(a.r, (unsigned)by));
}
V_FN struct v16i v_to_int(struct v16 a) /* towards zero */
{
    return V1I(_mm512_cvttps_epi32(a.r));
}
V_FN struct v16 v_of_int(struct v16i a)
{
    return V1(_mm512_cvtepi32_ps(a.r));
}

/* lane i in all lanes */
V_FN struct v16 v_lane(struct v16 a, size_t i)
{
    return V1(_mm512_permutexvar_ps(_mm512_set1_epi32((int)i), a.r));
}
V_FN struct v16m v_after(size_t i) /* lanes i + 1 .. 15 */
{
    return V1M((__mmask16)(0xfffeu << i));
}

/* krn_tree16() */
V_FN float v_tree(struct v16 a)
{
    const __m256 b = _mm256_add_ps(_mm512_castps512_ps256(a.r),
                                   _mm512_extractf32x8_ps(a.r, 1));
    const __m128 c =
        _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    const __m128 d = _mm_add_ps(c, _mm_movehl_ps(c, c));

    return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}

/* krn_max16() */
V_FN float v_tree_max(struct v16 a)
{
    const __m256 b = _mm256_max_ps(_mm512_extractf32x8_ps(a.r, 1),
                                   _mm512_castps512_ps256(a.r));
    const __m128 c =
        _mm_max_ps(_mm256_extractf128_ps(b, 1), _mm256_castps256_ps128(b));
    const __m128 d = _mm_max_ps(_mm_movehl_ps(c, c), c);

    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(d), d));
}

/* Rows become columns: four rounds of swaps between registers whose numbers
 * differ in one bit, of 32, 64, 128 and 256 bits. */
V_FN void v_transpose(struct v16 v[16])
{
    __m512 t[16];

    V_UNROLL
    for (size_t i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(v[i].r, v[i + 1].r);
        t[i + 1] = _mm512_unpackhi_ps(v[i].r, v[i + 1].r);
    }
    V_UNROLL
    for (size_t i = 0; i < 16; i += 4) {
        v[i].r = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        v[i + 1].r = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
        v[i + 2].r = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        v[i + 3].r = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    V_UNROLL
    for (size_t i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(v[i].r, v[i + 4].r, 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(v[i].r, v[i + 4].r, 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(v[i + 8].r, v[i + 12].r, 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(v[i + 8].r, v[i + 12].r, 0xdd);
    }
    V_UNROLL
    for (size_t i = 0; i < 4; i++) {
        v[i].r = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        v[i + 4].r = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
        v[i + 8].r = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
        v[i + 12].r = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

/* v[c] = column c of the 16 rows from[16][ld].  A load puts a quarter of a row
 * where it belongs, which leaves half of the shuffles; each row is read at
 * once, as rows far apart may share their places in a cache. */
V_FN void v_load_turned(struct v16 v[16], const float *from, size_t ld)
{
    __m512 z[4][4]; /* quarter, row modulo 4 */

    V_UNROLL
    for (size_t i = 0; i < 4; i++) {
        V_UNROLL
        for (size_t q = 0; q < 4; q++) {
            const float *at = from + i * ld + 4 * q;
            __m512 x = _mm512_castps128_ps512(_mm_loadu_ps(at));

            x = _mm512_insertf32x4(x, _mm_loadu_ps(at + 4 * ld), 1);
            x = _mm512_insertf32x4(x, _mm_loadu_ps(at + 8 * ld), 2);
            z[q][i] = _mm512_insertf32x4(x, _mm_loadu_ps(at + 12 * ld), 3);
        }
    }
    V_UNROLL
    for (size_t q = 0; q < 4; q++) {
        const __m512 a = _mm512_unpacklo_ps(z[q][0], z[q][1]);
        const __m512 b = _mm512_unpackhi_ps(z[q][0], z[q][1]);
        const __m512 c = _mm512_unpacklo_ps(z[q][2], z[q][3]);
        const __m512 d = _mm512_unpackhi_ps(z[q][2], z[q][3]);

        v[4 * q].r = _mm512_shuffle_ps(a, c, 0x44);
        v[4 * q + 1].r = _mm512_shuffle_ps(a, c, 0xee);
        v[4 * q + 2].r = _mm512_shuffle_ps(b, d, 0x44);
        v[4 * q + 3].r = _mm512_shuffle_ps(b, d, 0xee);
    }
}

#endif
