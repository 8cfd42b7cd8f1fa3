/*
 * kernels/als.c - rows of alternating least squares, plain C references.
 *
 * Conjugate gradients: the matrix is never formed, a product with it is
 * diag w + sum_j (c[j] (x_j . w)) x_j, two passes over n rows.  The first
 * pass over x gives the residual and the diagonal of the matrix at once.
 */
#include <math.h>

#include "kernels/twins.h"

void krn_gather_t_f32(float *to, size_t m, const float *x, size_t ldx,
                      const uint32_t *idx, const float *by, const float *c,
                      size_t n, size_t d)
{
    for (size_t k = 0; k < d; k++) {
        for (size_t j = 0; j < m; j++)
            to[k * m + j] =
                j < n ? x[(size_t)idx[j] * ldx + k] * by[k] * c[j] : 0;
    }
}

static const float *cg_row(const struct krn_cg *s, size_t j)
{
    return s->x + (size_t)s->idx[j] * s->ldx;
}

/* r = b - A w, and m = 1 / diagonal of A. */
static void cg_start(const struct krn_cg *s, const float *w, float *r, float *m)
{
    for (size_t k = 0; k < s->d; k++) {
        r[k] = -(s->diag[k] * w[k]);
        m[k] = s->diag[k];
    }
    for (size_t j = 0; j < s->n; j++) {
        const float *x = cg_row(s, j), c = s->c[j];
        const float t = fmaf(-c, krn_dot_f32(x, w, s->d), 1 + c);

        for (size_t k = 0; k < s->d; k++) {
            r[k] = fmaf(t, x[k], r[k]);
            m[k] = fmaf(c * x[k], x[k], m[k]);
        }
    }
    for (size_t k = 0; k < s->d; k++)
        m[k] = 1 / m[k];
}

/* q = A p */
static void cg_product(const struct krn_cg *s, const float *p, float *q)
{
    for (size_t k = 0; k < s->d; k++)
        q[k] = s->diag[k] * p[k];
    for (size_t j = 0; j < s->n; j++) {
        const float *x = cg_row(s, j);

        krn_axpy_f32(q, s->c[j] * krn_dot_f32(x, p, s->d), x, s->d);
    }
}

void krn_cg_row_f32(float *w, const struct krn_cg *s)
{
    const size_t d = s->d;
    float *r = s->v, *m = r + d, *p = m + d, *q = p + d, *z = q + d;

    cg_start(s, w, r, m);
    for (size_t k = 0; k < d; k++)
        p[k] = z[k] = m[k] * r[k];
    float rz = krn_dot_f32(r, z, d);

    for (size_t step = 0; step < s->steps && rz > KRN_CG_LEAST; step++) {
        cg_product(s, p, q);
        const float a = rz / krn_dot_f32(p, q, d);

        krn_axpy_f32(w, a, p, d);
        krn_axpy_f32(r, -a, q, d);
        for (size_t k = 0; k < d; k++)
            z[k] = m[k] * r[k];
        const float next = krn_dot_f32(r, z, d), b = next / rz;

        for (size_t k = 0; k < d; k++)
            p[k] = fmaf(b, p[k], z[k]);
        rz = next;
    }
}
