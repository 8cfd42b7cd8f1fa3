/*
 * kernels/simd/chol.c - small SPD systems: one by vectors along its columns,
 * sixteen by one lane each.
 */
#include "kernels/simd/v16.h"

#include <math.h>

static size_t chol_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* 1 / sqrt(s), or NaN where s is not a positive number. */
V_FN struct v16 chol_pivot(struct v16 s)
{
    const struct v16 nan = v_set1(NAN);
    const struct v16 inv = v_div(v_set1(1.0f), v_sqrt(s));
    const struct v16 finite =
        v_pick(v_ge(v_set1(3.402823466e38f), s), inv, nan);

    return v_pick(v_lt(v_zero(), s), finite, nan);
}

/* --- sixteen systems ---------------------------------------------------------
 *
 * Left-looking with a tile of CHOL_R rows by CHOL_C columns in registers; b is
 * the last row.
 */
#ifdef KRN_WITH_AVX512
#define CHOL_R 6
#define CHOL_C 4
#else
#define CHOL_R 2
#define CHOL_C 2
#endif

/* acc[r][c] -= sum over k < n of row[r][k] col[c][k]. */
V_FN void chol_update(struct v16 acc[][CHOL_C], float *const *row,
                      float *const *col, size_t n, size_t rows, size_t cols)
{
    for (size_t k = 0; k < n * 16; k += 16) {
        struct v16 y[CHOL_C];

        V_UNROLL
        for (size_t c = 0; c < cols; c++)
            y[c] = v_load(col[c] + k);
        V_UNROLL
        for (size_t r = 0; r < rows; r++) {
            const struct v16 x = v_load(row[r] + k);

            V_UNROLL
            for (size_t c = 0; c < cols; c++)
                acc[r][c] = v_fnma(x, y[c], acc[r][c]);
        }
    }
}

/* Columns j..j+cols-1 of their own rows. */
V_FN void chol_diagonal(float *a, size_t d, size_t j, size_t cols)
{
    struct v16 acc[CHOL_C][CHOL_C];
    float *row[CHOL_C];

    V_UNROLL
    for (size_t r = 0; r < cols; r++) {
        row[r] = a + (j + r) * d * 16;
        V_UNROLL
        for (size_t c = 0; c < cols; c++)
            acc[r][c] = c <= r ? v_load(row[r] + (j + c) * 16) : v_zero();
    }
    chol_update(acc, row, row, j, cols, cols);
    V_UNROLL
    for (size_t c = 0; c < cols; c++) {
        const struct v16 inv = chol_pivot(acc[c][c]);

        v_store(row[c] + (j + c) * 16, inv);
        V_UNROLL
        for (size_t r = c + 1; r < cols; r++) {
            acc[r][c] = v_mul(acc[r][c], inv);
            v_store(row[r] + (j + c) * 16, acc[r][c]);
            V_UNROLL
            for (size_t k = c + 1; k <= r; k++)
                acc[r][k] = v_fnma(acc[r][c], acc[k][c], acc[r][k]);
        }
    }
}

/* Columns j.. of the rows row[], which lie below. */
V_FN void chol_below(float *a, size_t d, size_t j, float *const *row,
                     size_t rows, size_t cols)
{
    struct v16 acc[CHOL_R][CHOL_C];
    float *col[CHOL_C];

    V_UNROLL
    for (size_t c = 0; c < cols; c++) {
        col[c] = a + (j + c) * d * 16;
        V_UNROLL
        for (size_t r = 0; r < rows; r++)
            acc[r][c] = v_load(row[r] + (j + c) * 16);
    }
    chol_update(acc, row, col, j, rows, cols);
    V_UNROLL
    for (size_t c = 0; c < cols; c++) {
        V_UNROLL
        for (size_t k = 0; k < c; k++) {
            const struct v16 l = v_load(col[c] + (j + k) * 16);

            V_UNROLL
            for (size_t r = 0; r < rows; r++)
                acc[r][c] = v_fnma(acc[r][k], l, acc[r][c]);
        }
        const struct v16 inv = v_load(col[c] + (j + c) * 16);

        V_UNROLL
        for (size_t r = 0; r < rows; r++) {
            acc[r][c] = v_mul(acc[r][c], inv);
            v_store(row[r] + (j + c) * 16, acc[r][c]);
        }
    }
}

/* All rows below the block of columns j.., then b. */
V_FN void chol_columns(float *a, float *b, size_t d, size_t j, size_t cols)
{
    const size_t first = j + cols, n = d - first + 1; /* with b */
    float *row[CHOL_R];
    size_t i = 0;

    chol_diagonal(a, d, j, cols);
    for (; i + CHOL_R <= n; i += CHOL_R) {
        V_UNROLL
        for (size_t r = 0; r < CHOL_R; r++)
            row[r] = i + r + 1 < n ? a + (first + i + r) * d * 16 : b;
        chol_below(a, d, j, row, CHOL_R, cols);
    }
    for (; i + 2 <= n; i += 2) {
        row[0] = a + (first + i) * d * 16;
        row[1] = i + 2 < n ? row[0] + d * 16 : b;
        chol_below(a, d, j, row, 2, cols);
    }
    if (i < n)
        chol_below(a, d, j, &b, 1, cols);
}

/* b = L^-T b: descending k, each an update of all before. */
static void chol_back16(const float *a, float *b, size_t d)
{
    for (size_t k = d; k-- > 0;) {
        const float *row = a + k * d * 16;
        const struct v16 x = v_mul(v_load(b + k * 16), v_load(row + k * 16));

        v_store(b + k * 16, x);
        for (size_t j = 0; j < k; j++)
            v_store(b + j * 16,
                    v_fnma(v_load(row + j * 16), x, v_load(b + j * 16)));
    }
}

void KRN_TWIN(krn_chol_solve16_f32)(float *a, float *b, size_t d)
{
    size_t j = 0;

    for (; j + CHOL_C <= d; j += CHOL_C)
        chol_columns(a, b, d, j, CHOL_C);
    for (; j < d; j++)
        chol_columns(a, b, d, j, 1);
    chol_back16(a, b, d);
}

void KRN_TWIN(krn_interleave16_f32)(float *to, const float *a, size_t stride,
                                    size_t lda, size_t d)
{
    struct v16 v[16];

    for (size_t j = 0; j < d; j++) {
        for (size_t k = 0; k <= j; k += 16) {
            const size_t n = chol_min(16, d - k);

            for (size_t lane = 0; lane < 16; lane++)
                v[lane] = v_load_n(a + lane * stride + j * lda + k, n);
            v_transpose(v);
            for (size_t c = 0; c < n; c++)
                v_store(to + (j * d + k + c) * 16, v[c]);
        }
    }
}

/* --- one system --------------------------------------------------------------
 *
 * Blocks of sixteen columns.  What is found below the diagonal is also kept,
 * transposed, above it: there the columns of L that an update needs are rows.
 */

/* acc[r] = row[r][j..] - sum over k < j of row[r][k] A[k][j..], `rows` rows. */
V_FN void chol_row_update(struct v16 *acc, const float *a, size_t lda,
                          const float *first, size_t step, size_t j, size_t w,
                          size_t rows)
{
    V_UNROLL
    for (size_t r = 0; r < rows; r++)
        acc[r] = v_load_n(first + r * step + j, w);
    for (size_t k = 0; k < j; k++) {
        const float *up = a + k * lda + j;
        const struct v16 u = w == 16 ? v_load(up) : v_load_n(up, w);

        V_UNROLL
        for (size_t r = 0; r < rows; r++)
            acc[r] = v_fnma(v_set1(first[r * step + k]), u, acc[r]);
    }
}

/* Within the block: acc[r][c] -= acc[r][k] inv[k] U[k][c] for c > k, then all
 * times inv.  u[k] is row k of U, lanes after k. */
V_FN void chol_row_solve(struct v16 *acc, const struct v16 *u, const float *inv,
                         size_t w, size_t rows)
{
    for (size_t k = 0; k < w; k++) {
        const struct v16m after = v_after(k);
        const struct v16 scale = v_set1(inv[k]);

        V_UNROLL
        for (size_t r = 0; r < rows; r++) {
            const struct v16 l = v_mul(v_lane(acc[r], k), scale);

            acc[r] = v_pick(after, v_fnma(l, u[k], acc[r]), acc[r]);
        }
    }
    V_UNROLL
    for (size_t r = 0; r < rows; r++)
        acc[r] = v_mul(acc[r], v_load(inv));
}

/* The block of w columns on the diagonal, updated already, in v: on return
 * rows of U (lanes after the diagonal) and inv.  False: a pivot failed. */
static bool chol_block(struct v16 v[16], float inv[16], size_t w)
{
    float lane[16];
    bool good = true;

    v_transpose(v); /* v[c] lane r = element (r, c), r >= c */
    for (size_t c = 0; c < w; c++) {
        const struct v16 p = chol_pivot(v_lane(v[c], c));

        v[c] = v_mul(v[c], p);
        v_store(lane, p);
        inv[c] = lane[0];
        good = good && inv[c] > 0;
        v_store(lane, v[c]);
        for (size_t k = c + 1; k < w; k++)
            v[k] = v_fnma(v[c], v_set1(lane[k]), v[k]);
    }
    return good;
}

/* Factor the block at j and keep it in A, both ways. */
static bool chol_diagonal1(float *a, size_t lda, size_t j, size_t w,
                           struct v16 u[16], float inv[16])
{
    struct v16 v[16];

    for (size_t r = 0; r < 16; r++)
        v[r] = v_zero();
    for (size_t r = 0; r < w; r++)
        chol_row_update(v + r, a, lda, a + (j + r) * lda, lda, j, w, 1);
    if (!chol_block(v, inv, w))
        return false;
    for (size_t r = 0; r < 16; r++)
        u[r] = v[r];
    v_transpose(v);
    for (size_t r = 0; r < w; r++) {
        if (r > 0)
            v_store_n(a + (j + r) * lda + j, v[r], r);
        a[(j + r) * lda + j + r] = inv[r];
    }
    return true;
}

#define CHOL_GROUP 8

/* Rows i..i+n-1 (n <= 16) of the block of columns j, kept both ways. */
static void chol_below1(float *a, size_t lda, size_t j, size_t w, size_t i,
                        size_t n, const struct v16 u[16], const float inv[16])
{
    struct v16 v[16];
    size_t r = 0;

    for (; r + CHOL_GROUP <= n; r += CHOL_GROUP) {
        chol_row_update(v + r, a, lda, a + (i + r) * lda, lda, j, w,
                        CHOL_GROUP);
        chol_row_solve(v + r, u, inv, w, CHOL_GROUP);
    }
    for (; r < n; r++) {
        chol_row_update(v + r, a, lda, a + (i + r) * lda, lda, j, w, 1);
        chol_row_solve(v + r, u, inv, w, 1);
    }
    for (; r < 16; r++)
        v[r] = v_zero();
    for (r = 0; r < n; r++)
        v_store_n(a + (i + r) * lda + j, v[r], w);
    v_transpose(v);
    for (r = 0; r < w; r++)
        v_store_n(a + (j + r) * lda + i, v[r], n);
}

static void chol_back(const float *a, size_t lda, float *b, size_t d)
{
    for (size_t k = d; k-- > 0;) {
        b[k] *= a[k * lda + k];
        KRN_TWIN(krn_axpy_f32)(b, -b[k], a + k * lda, k);
    }
}

bool KRN_TWIN(krn_chol_solve_f32)(float *a, size_t lda, float *b, size_t d)
{
    struct v16 u[16], y[1];
    float inv[16] = {0};

    for (size_t j = 0; j < d; j += 16) {
        const size_t w = chol_min(16, d - j);

        if (!chol_diagonal1(a, lda, j, w, u, inv)) {
            for (size_t i = 0; i < d; i++)
                b[i] = NAN;
            return false;
        }
        for (size_t i = j + w; i < d; i += 16)
            chol_below1(a, lda, j, w, i, chol_min(16, d - i), u, inv);
        chol_row_update(y, a, lda, b, 0, j, w, 1);
        chol_row_solve(y, u, inv, w, 1);
        v_store_n(b + j, y[0], w);
    }
    chol_back(a, lda, b, d);
    return true;
}
