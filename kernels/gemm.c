/* kernels/gemm.c - dense and sparse products, plain C references. */
#include <math.h>

#include "kernels/twins.h"

static float gemm_a(const struct krn_gemm *g, size_t i, size_t l)
{
    return g->ta ? g->a[l * g->lda + i] : g->a[i * g->lda + l];
}

static float gemm_b(const struct krn_gemm *g, size_t l, size_t j)
{
    if (g->panels)
        return g->b[j / KRN_PANEL * g->ldb + l * KRN_PANEL + j % KRN_PANEL];
    return g->tb ? g->b[j * g->ldb + l] : g->b[l * g->ldb + j];
}

/* Row i of C; the innermost loop runs over outputs, so that each of them is
 * one chain over l and B is read in order. */
static void gemm_row(const struct krn_gemm *g, size_t i)
{
    float *c = g->c + i * g->ldc;

    for (size_t j = 0; j < g->n && !g->add && !g->sub; j++)
        c[j] = 0;
    for (size_t l = 0; l < g->k; l++) {
        const float a = g->sub ? -gemm_a(g, i, l) : gemm_a(g, i, l);

        for (size_t j = 0; j < g->n; j++)
            c[j] = fmaf(a, gemm_b(g, l, j), c[j]);
    }
}

void krn_gemm_f32(const struct krn_gemm *g)
{
    for (size_t i = 0; i < g->m; i++)
        gemm_row(g, i);
}

static void spmm_row(const struct krn_spmm *s, size_t r)
{
    float *y = s->y + r * s->ldy;

    for (size_t j = 0; j < s->d && !s->add; j++)
        y[j] = 0;
    for (size_t e = s->ptr[r]; e < s->ptr[r + 1]; e++) {
        const float v = s->val != NULL ? s->val[e] : 1.0f;

        krn_axpy_f32(y, v, s->x + (size_t)s->idx[e] * s->ldx, s->d);
    }
}

void krn_spmm_f32(const struct krn_spmm *s)
{
    for (size_t r = s->first; r < s->last; r++)
        spmm_row(s, r);
}

void krn_sddmm_f32(const struct krn_sddmm *s)
{
    for (size_t r = s->first; r < s->last; r++) {
        for (size_t e = s->ptr[r]; e < s->ptr[r + 1]; e++)
            s->out[e] = krn_dot_f32(s->a + r * s->lda,
                                    s->b + (size_t)s->idx[e] * s->ldb, s->d);
    }
}

void krn_syrk_rows_f32(float *a, size_t lda, const float *x, size_t ldx,
                       const uint32_t *idx, const float *w, size_t n, size_t d)
{
    for (size_t j = 0; j < n; j++) {
        const float *row = x + (size_t)idx[j] * ldx;

        for (size_t i = 0; i < d; i++)
            krn_axpy_f32(a + i * lda, w != NULL ? w[j] * row[i] : row[i], row,
                         i + 1);
    }
}
