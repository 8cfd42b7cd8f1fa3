/*
 * kernels/eig.c - symmetric eigenproblem: Householder, then implicit QL.
 *
 * Vectors are kept as rows from the start, so that every inner loop runs
 * along memory: the reflection vectors stand in the rows they came from, and
 * a rotation of QL mixes two neighbouring rows.
 */
#include "kernels/eig.h"

#include <float.h>
#include <math.h>

static double eig_dot(const double *x, const double *y, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++)
        s += x[i] * y[i];
    return s;
}

/* Turn x[n] into v with (I - 2 v v^T / v.v) x = alpha e0; v = 0 when x is
 * already a multiple of e0.  Scaled, so that nothing under- or overflows. */
static double eig_reflect(double *x, size_t n)
{
    double big = 0;

    for (size_t i = 1; i < n; i++)
        big = fmax(big, fabs(x[i]));
    const double alpha0 = x[0];

    if (big == 0) {
        x[0] = 0;
        return alpha0;
    }
    big = fmax(big, fabs(x[0]));
    for (size_t i = 0; i < n; i++)
        x[i] /= big;
    const double norm = sqrt(eig_dot(x, x, n));
    const double alpha = x[0] > 0 ? -norm : norm;

    x[0] -= alpha;
    return alpha * big;
}

/* B[n][n] (stride d) becomes H B H for the reflection by v; p is scratch.
 * H B H = B - v q^T - q v^T with q = p - (p.v / v.v) v, p = 2 B v / v.v. */
static void eig_two_sided(double *b, size_t d, const double *v, double *p,
                          size_t n)
{
    const double vv = eig_dot(v, v, n);

    if (vv == 0)
        return;
    for (size_t i = 0; i < n; i++)
        p[i] = 2 * eig_dot(b + i * d, v, n) / vv;
    const double half = eig_dot(p, v, n) / vv;

    for (size_t i = 0; i < n; i++)
        p[i] -= half * v[i];
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            b[i * d + j] -= v[i] * p[j] + p[i] * v[j];
    }
}

/* a = Q T Q^T; w = diagonal of T, e[k] = T[k+1][k]; a becomes Q^T. */
static void eig_tridiagonal(double *a, double *w, double *e, size_t d)
{
    for (size_t k = 0; k + 1 < d; k++) {
        double *v = a + k * d + k + 1;

        w[k] = a[k * d + k];
        e[k] = eig_reflect(v, d - k - 1);
        /* w beyond k is free: scratch */
        eig_two_sided(a + (k + 1) * d + k + 1, d, v, w + k + 1, d - k - 1);
    }
    w[d - 1] = a[d * d - 1];
    a[d * d - 1] = 1;
    for (size_t k = d - 1;
         k-- > 0;) { /* Q^T of k.. = diag(1, Q^T of k+1..) H */
        double *v = a + k * d + k + 1;
        const size_t n = d - k - 1;
        const double vv = eig_dot(v, v, n);

        for (size_t i = k + 1; i < d && vv != 0; i++) {
            double *row = a + i * d + k + 1;
            const double s = 2 * eig_dot(row, v, n) / vv;

            for (size_t j = 0; j < n; j++)
                row[j] -= s * v[j];
        }
        a[k * d + k] = 1;
        for (size_t j = k + 1; j < d; j++)
            a[k * d + j] = a[j * d + k] = 0;
    }
}

/* sqrt(x^2 + y^2) without overflow; not libm's, the bits of which vary. */
static double eig_hypot(double x, double y)
{
    const double big = fmax(fabs(x), fabs(y)), small = fmin(fabs(x), fabs(y));
    const double ratio = big > 0 ? small / big : 0;

    return big * sqrt(1 + ratio * ratio);
}

static void eig_rotate(double *x, double *y, double c, double s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double f = y[i];

        y[i] = s * x[i] + c * f;
        x[i] = c * x[i] - s * f;
    }
}

/* The first m >= l whose off-diagonal element is negligible beside its
 * neighbours, or nothing at all (floor): among values that are rounding errors
 * of zero the first never comes true. */
static size_t eig_split(const double *w, const double *e, size_t l, size_t d,
                        double floor)
{
    size_t m = l;

    for (; m + 1 < d; m++) {
        const double near = fabs(w[m]) + fabs(w[m + 1]);

        if (fabs(e[m]) <= DBL_EPSILON * near || fabs(e[m]) <= floor)
            break;
    }
    return m;
}

/* One implicit QL sweep on l..m with Wilkinson's shift. */
static void eig_sweep(double *a, double *w, double *e, size_t l, size_t m,
                      size_t d)
{
    double g = (w[l + 1] - w[l]) / (2 * e[l]);
    double r = eig_hypot(g, 1.0), s = 1, c = 1, p = 0;
    size_t i = m;

    g = w[m] - w[l] + e[l] / (g + copysign(r, g));
    while (i-- > l) {
        const double f = s * e[i], b = c * e[i];

        r = eig_hypot(f, g);
        e[i + 1] = r;
        if (r == 0) { /* the matrix splits here: start again */
            w[i + 1] -= p;
            e[m] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = w[i + 1] - p;
        r = (w[i] - g) * s + 2 * c * b;
        p = s * r;
        w[i + 1] = g + p;
        g = c * r - b;
        eig_rotate(a + i * d, a + (i + 1) * d, c, s, d);
    }
    w[l] -= p;
    e[l] = g;
    e[m] = 0;
}

static bool eig_ql(double *a, double *w, double *e, size_t d)
{
    double most = 0;

    e[d - 1] = 0;
    for (size_t k = 0; k < d; k++)
        most = fmax(most, fmax(fabs(w[k]), fabs(e[k])));
    for (size_t l = 0; l < d; l++) {
        for (unsigned turn = 0;; turn++) {
            const size_t m = eig_split(w, e, l, d, 1e-36 * most);

            if (m == l)
                break;
            if (turn == 64)
                return false;
            eig_sweep(a, w, e, l, m, d);
        }
        if (!isfinite(w[l]))
            return false;
    }
    return true;
}

/* Descending values by selection (ties keep their order); signs fixed. */
static void eig_order(double *a, double *w, size_t d)
{
    for (size_t i = 0; i < d; i++) {
        size_t best = i, big = 0;
        double *row = a + i * d;

        for (size_t j = i + 1; j < d; j++)
            best = w[j] > w[best] ? j : best;
        for (size_t j = 0; j < d && best != i; j++) {
            const double x = row[j];

            row[j] = a[best * d + j];
            a[best * d + j] = x;
        }
        const double x = w[i];

        w[i] = w[best];
        w[best] = x;
        for (size_t j = 1; j < d; j++)
            big = fabs(row[j]) > fabs(row[big]) ? j : big;
        const bool flip = row[big] < 0;

        for (size_t j = 0; j < d && flip; j++)
            row[j] = -row[j];
    }
}

bool krn_eig_sym_f64(double *a, double *w, double *work, size_t d)
{
    if (d == 0)
        return true;
    eig_tridiagonal(a, w, work, d);
    if (!eig_ql(a, w, work, d))
        return false;
    eig_order(a, w, d);
    return true;
}
