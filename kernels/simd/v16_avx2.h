/* kernels/simd/v16_avx2.h - v16.h on AVX2 and FMA. */
#ifndef KRN_SIMD_V16_AVX2_H
#define KRN_SIMD_V16_AVX2_H

struct v16 {
    __m256 a, b; /* lanes 0..7, 8..15 */
};
struct v16i {
    __m256i a, b;
};
struct v16m {
    __m256i a, b; /* all bits of a lane, or none */
};

#define V2(type, expr_a, expr_b) ((struct type){expr_a, expr_b})

V_FN struct v16m v_mask_n(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i end = _mm256_set1_epi32((int)n);

    return V2(
        v16m, _mm256_cmpgt_epi32(end, lane),
        _mm256_cmpgt_epi32(end, _mm256_add_epi32(lane, _mm256_set1_epi32(8))));
}
V_FN struct v16 v_zero(void)
{
    return V2(v16, _mm256_setzero_ps(), _mm256_setzero_ps());
}
V_FN struct v16 v_set1(float x)
{
    return V2(v16, _mm256_set1_ps(x), _mm256_set1_ps(x));
}
V_FN struct v16 v_load(const float *p)
{
    return V2(v16, _mm256_loadu_ps(p), _mm256_loadu_ps(p + 8));
}
V_FN void v_store(float *p, struct v16 x)
{
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}
V_FN struct v16 v_load_n(const float *p, size_t n)
{
    const struct v16m m = v_mask_n(n);

    if (n <= 8) /* p + 8 may be no address at all */
        return V2(v16, _mm256_maskload_ps(p, m.a), _mm256_setzero_ps());
    return V2(v16, _mm256_loadu_ps(p), _mm256_maskload_ps(p + 8, m.b));
}
V_FN void v_store_n(float *p, struct v16 x, size_t n)
{
    const struct v16m m = v_mask_n(n);

    _mm256_maskstore_ps(p, m.a, x.a);
    if (n > 8)
        _mm256_maskstore_ps(p + 8, m.b, x.b);
}
/* x[idx[0..n-1]], 0 in the other lanes */
V_FN struct v16 v_gather_n(const float *x, const uint32_t *idx, size_t n)
{
    const struct v16m m = v_mask_n(n);
    const __m256 zero = _mm256_setzero_ps();
    const __m256i at = _mm256_maskload_epi32((const int *)idx, m.a);
    const __m256i more = n > 8
                             ? _mm256_maskload_epi32((const int *)idx + 8, m.b)
                             : _mm256_setzero_si256();

    return V2(
        v16, _mm256_mask_i32gather_ps(zero, x, at, _mm256_castsi256_ps(m.a), 4),
        _mm256_mask_i32gather_ps(zero, x, more, _mm256_castsi256_ps(m.b), 4));
}
V_FN struct v16 v_add(struct v16 x, struct v16 y)
{
    return V2(v16, _mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b));
}
V_FN struct v16 v_sub(struct v16 x, struct v16 y)
{
    return V2(v16, _mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b));
}
V_FN struct v16 v_mul(struct v16 x, struct v16 y)
{
    return V2(v16, _mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b));
}
V_FN struct v16 v_div(struct v16 x, struct v16 y)
{
    return V2(v16, _mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b));
}
V_FN struct v16 v_sqrt(struct v16 x)
{
    return V2(v16, _mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b));
}
/* x * y + z */
V_FN struct v16 v_fma(struct v16 x, struct v16 y, struct v16 z)
{
    return V2(v16, _mm256_fmadd_ps(x.a, y.a, z.a),
              _mm256_fmadd_ps(x.b, y.b, z.b));
}
/* z - x * y */
V_FN struct v16 v_fnma(struct v16 x, struct v16 y, struct v16 z)
{
    return V2(v16, _mm256_fnmadd_ps(x.a, y.a, z.a),
              _mm256_fnmadd_ps(x.b, y.b, z.b));
}
/* x > y ? x : y, lane by lane: NaN in either gives y */
V_FN struct v16 v_max(struct v16 x, struct v16 y)
{
    return V2(v16, _mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b));
}
/* x < y ? x : y */
V_FN struct v16 v_min(struct v16 x, struct v16 y)
{
    return V2(v16, _mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b));
}
V_FN struct v16m v_lt(struct v16 x, struct v16 y)
{
    return V2(v16m, _mm256_castps_si256(_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ)),
              _mm256_castps_si256(_mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)));
}
V_FN struct v16m v_ge(struct v16 x, struct v16 y)
{
    return V2(v16m, _mm256_castps_si256(_mm256_cmp_ps(x.a, y.a, _CMP_GE_OQ)),
              _mm256_castps_si256(_mm256_cmp_ps(x.b, y.b, _CMP_GE_OQ)));
}
V_FN struct v16m v_eq(struct v16 x, struct v16 y)
{
    return V2(v16m, _mm256_castps_si256(_mm256_cmp_ps(x.a, y.a, _CMP_EQ_OQ)),
              _mm256_castps_si256(_mm256_cmp_ps(x.b, y.b, _CMP_EQ_OQ)));
}
/* m ? x : y */
V_FN struct v16 v_pick(struct v16m m, struct v16 x, struct v16 y)
{
    return V2(v16, _mm256_blendv_ps(y.a, x.a, _mm256_castsi256_ps(m.a)),
              _mm256_blendv_ps(y.b, x.b, _mm256_castsi256_ps(m.b)));
}
/* bit i: lane i */
V_FN uint32_t v_bits(struct v16m m)
{
    const int a = _mm256_movemask_ps(_mm256_castsi256_ps(m.a));
    const int b = _mm256_movemask_ps(_mm256_castsi256_ps(m.b));

    return (uint32_t)a | (uint32_t)b << 8;
}

V_FN void v_pack(float *to, struct v16 x, uint32_t bits)
{
    float lane[16];

    v_store(lane, x);
    for (; bits != 0; bits &= bits - 1)
        *to++ = lane[__builtin_ctz(bits)];
}

V_FN struct v16i v_int(struct v16 x)
{
    return V2(v16i, _mm256_castps_si256(x.a), _mm256_castps_si256(x.b));
}
V_FN struct v16 v_float(struct v16i x)
{
    return V2(v16, _mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b));
}
V_FN struct v16i v_set1i(int32_t x)
{
    return V2(v16i, _mm256_set1_epi32(x), _mm256_set1_epi32(x));
}
V_FN struct v16i v_addi(struct v16i x, struct v16i y)
{
    return V2(v16i, _mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b));
}
V_FN struct v16i v_subi(struct v16i x, struct v16i y)
{
    return V2(v16i, _mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b));
}
V_FN struct v16i v_andi(struct v16i x, struct v16i y)
{
    return V2(v16i, _mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b));
}
V_FN struct v16i v_ori(struct v16i x, struct v16i y)
{
    return V2(v16i, _mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b));
}
V_FN struct v16i v_sra(struct v16i x, int by)
{
    return V2(v16i, _mm256_srai_epi32(x.a, by), _mm256_srai_epi32(x.b, by));
}
V_FN struct v16i v_sll(struct v16i x, int by)
{
    return V2(v16i, _mm256_slli_epi32(x.a, by), _mm256_slli_epi32(x.b, by));
}
/* towards zero */
V_FN struct v16i v_to_int(struct v16 x)
{
    return V2(v16i, _mm256_cvttps_epi32(x.a), _mm256_cvttps_epi32(x.b));
}
V_FN struct v16 v_of_int(struct v16i x)
{
    return V2(v16, _mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b));
}

/* lane i in all lanes */
V_FN struct v16 v_lane(struct v16 x, size_t i)
{
    const __m256i at = _mm256_set1_epi32((int)i & 7);
    const __m256 y = _mm256_permutevar8x32_ps(i < 8 ? x.a : x.b, at);

    return V2(v16, y, y);
}
V_FN struct v16m v_after(size_t i) /* lanes i + 1 .. 15 */
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i at = _mm256_set1_epi32((int)i);

    return V2(
        v16m, _mm256_cmpgt_epi32(lane, at),
        _mm256_cmpgt_epi32(_mm256_add_epi32(lane, _mm256_set1_epi32(8)), at));
}

/* krn_tree16() */
V_FN float v_tree(struct v16 x)
{
    const __m256 b = _mm256_add_ps(x.a, x.b);
    const __m128 c =
        _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    const __m128 d = _mm_add_ps(c, _mm_movehl_ps(c, c));

    return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}

/* krn_max16() */
V_FN float v_tree_max(struct v16 x)
{
    const __m256 b = _mm256_max_ps(x.b, x.a);
    const __m128 c =
        _mm_max_ps(_mm256_extractf128_ps(b, 1), _mm256_castps256_ps128(b));
    const __m128 d = _mm_max_ps(_mm_movehl_ps(c, c), c);

    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(d), d));
}

/* 8 rows of 8 become columns. */
V_FN void v_transpose8(__m256 v[8])
{
    __m256 t[8];

    V_UNROLL
    for (size_t i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    V_UNROLL
    for (size_t i = 0; i < 8; i += 4) {
        v[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        v[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        v[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        v[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    V_UNROLL
    for (size_t i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x31);
    }
    V_UNROLL
    for (size_t i = 0; i < 8; i++)
        v[i] = t[i];
}

/* Rows become columns, by quarters of 8 by 8. */
V_FN void v_transpose(struct v16 v[16])
{
    __m256 q[4][8];

    V_UNROLL
    for (size_t i = 0; i < 8; i++) {
        q[0][i] = v[i].a;
        q[1][i] = v[i].b;
        q[2][i] = v[i + 8].a;
        q[3][i] = v[i + 8].b;
    }
    V_UNROLL
    for (size_t i = 0; i < 4; i++)
        v_transpose8(q[i]);
    V_UNROLL
    for (size_t i = 0; i < 8; i++) {
        v[i] = V2(v16, q[0][i], q[2][i]);
        v[i + 8] = V2(v16, q[1][i], q[3][i]);
    }
}

/* v[c] = column c of the 16 rows from[16][ld]. */
V_FN void v_load_turned(struct v16 v[16], const float *from, size_t ld)
{
    V_UNROLL
    for (size_t r = 0; r < 16; r++)
        v[r] = v_load(from + r * ld);
    v_transpose(v);
}

#endif
