/*
 * nn/loss_vmf.c - the von Mises-Fisher divergence and its Bessel functions.
 *
 * With v = m/2 - 1 and A(k) = I_{v+1}(k) / I_v(k), the divergence from the
 * uniform distribution on the sphere in R^m is
 *   KL = k A + v ln k - (m/2) ln 2pi - ln I_v(k)
 *        + ln 2 + (m/2) ln pi - ln Gamma(m/2)
 * and, since d ln I_v/dk = A + v/k,  dKL/dk = k A' with
 *   A' = 1 - A^2 - (m-1)/k A.
 * Small k cancels in A'; there A = k/m - k^3/(m^2 (m+2)) + ... serves.
 */
#include <assert.h>
#include <math.h>

#include "nn/loss.h"
#include "nn/node.h"

/*
 * Gauss' continued fraction: ratio = 1 / (2(v+1)/x + 1 / (2(v+2)/x + ...)),
 * from far out inwards.  All terms are positive, errors shrink inwards; the
 * tail is beyond the place where 2(v+n)/x > 2, after which each step gains
 * more than a factor of 4.
 */
double nn_loss_bessel_ratio(double v, double x)
{
    const double far = 40 + 1.5 * x;
    double f = 0;

    assert(v >= 0 && x >= 0);
    if (x == 0)
        return 0;
    for (double n = floor(far); n >= 1; n--)
        f = 1 / (2 * (v + n) / x + f);
    return f;
}

/* (x/2)^v / Gamma(v+1) sum_k (x^2/4)^k / (k! (v+1)...(v+k)): positive terms,
 * scaled down whenever the sum grows large. */
double nn_loss_bessel_log(double v, double x)
{
    const double z = x * x / 4;
    double term = 1, sum = 1, scale = 0;

    assert(v >= 0 && x > 0);
    for (double k = 1; term > sum * 1e-17 || k * (v + k) < z; k++) {
        term *= z / (k * (v + k));
        sum += term;
        if (sum > 1e200) {
            sum *= 1e-200;
            term *= 1e-200;
            scale += 200 * log(10);
        }
    }
    return v * log(x / 2) - lgamma(v + 1) + log(sum) + scale;
}

static double vmf_kl(double k, double m)
{
    const double v = m / 2 - 1, pi = 3.14159265358979323846;

    return k * nn_loss_bessel_ratio(v, k) + v * log(k) - m / 2 * log(2 * pi) -
           nn_loss_bessel_log(v, k) + log(2) + m / 2 * log(pi) - lgamma(m / 2);
}

/* k A'(k) */
static double vmf_slope(double k, double m)
{
    const double a = nn_loss_bessel_ratio(m / 2 - 1, k);

    if (k < 1e-3)
        return k / m - 3 * k * k * k / (m * m * (m + 2));
    return k * (1 - a * a - (m - 1) / k * a);
}

static void vmf_forward(struct nn_tape *t, struct nn_node *o)
{
    for (size_t i = 0; i < o->out[0]->n; i++)
        krn_tape_set(t->k, o->out[0]->data, i,
                     vmf_kl(krn_tape_get(t->k, o->in[0]->data, i), o->r[0]));
}

static void vmf_backward(struct nn_tape *t, struct nn_node *o)
{
    for (size_t i = 0; i < o->out[0]->n; i++) {
        const double k = krn_tape_get(t->k, o->in[0]->data, i);
        const double d =
            krn_tape_get(t->k, o->out[0]->grad, i) * vmf_slope(k, o->r[0]);
        const double was =
            nn_node_add(o, 0) ? krn_tape_get(t->k, o->in[0]->grad, i) : 0;

        krn_tape_set(t->k, o->in[0]->grad, i, was + d);
    }
}

static const struct nn_op op_vmf = {"vmf", vmf_forward, vmf_backward};

struct nn_tensor *nn_loss_kl_vmf(struct nn_tape *t, struct nn_tensor *kappa,
                                 size_t m)
{
    struct nn_node *o;

    if (t->failed == ERR_OK && m < 2)
        return nn_node_fail(t, "von Mises-Fisher wants at least 2 dimensions");
    o = nn_node_new(t, &op_vmf, 1, &kappa, kappa->n_dims, kappa->dim);
    if (o != NULL)
        o->r[0] = (double)m;
    return nn_node_out(t, o);
}
