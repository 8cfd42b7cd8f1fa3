/*
 * rec/rerank_dpp.c - the likeliest list of a determinantal point process.
 *
 * Kernel exp(a (s_i + s_j)) (1 + cos_ij) / 2, s the score and a = trade /
 * (2 (1 - trade)); the item that enlarges the determinant most is placed next,
 * by Cholesky rows that grow with the list.
 *
 * Source: Chen, Zhang & Zhou, Fast greedy MAP inference for determinantal point
 * process, NeurIPS 2018.
 */
#include <math.h>

#include "kernels/power.h"
#include "rec/rerank_plain.h"

#define LOG2_E 1.4426950408889634
#define DEEP 64 /* places until the determinant is left alone */

struct process {
    float row[REC_LIST_MOST][DEEP]; /* of the Cholesky factor */
    double left[REC_LIST_MOST];     /* squares of what is left of each item */
    double weight[REC_LIST_MOST];
};

static double kernel(const struct rec_plain *l, const struct process *p,
                     size_t i, size_t j)
{
    return p->weight[i] * p->weight[j] * (1 + (double)l->alike[i * l->n + j]) /
           2;
}

/* Item `at` is placed as number `place`: what is left of the others. */
static void project(const struct rec_plain *l, struct process *p, size_t at,
                    size_t place)
{
    const double root = sqrt(p->left[at]);

    for (size_t k = 0; k < l->n; k++) {
        double e = kernel(l, p, at, k);

        for (size_t c = 0; c < place; c++)
            e -= (double)p->row[at][c] * (double)p->row[k][c];
        e /= root;
        p->row[k][place] = (float)e;
        p->left[k] -= e * e;
    }
}

static void choose(const struct rec_plain *l, uint32_t *order)
{
    const double much =
        l->trade < 0.999 ? l->trade / (2 * (1 - l->trade)) : 500;
    bool taken[REC_LIST_MOST] = {false};
    struct process p;
    size_t n = 0;

    for (size_t k = 0; k < l->n; k++) {
        /* at most e^0: squares of large numbers would leave the range */
        p.weight[k] = krn_exp2_f64(LOG2_E * much * ((double)l->score[k] - 1));
        p.left[k] = kernel(l, &p, k, k);
    }
    for (; n < l->n && n < DEEP; n++) {
        size_t at = l->n;

        for (size_t k = 0; k < l->n; k++) {
            if (!taken[k] && (at == l->n || p.left[k] > p.left[at]))
                at = k;
        }
        if (!(p.left[at] > 1e-12 * p.weight[at] * p.weight[at]))
            break; /* what is left is spanned by what stands above */
        taken[at] = true;
        order[n] = (uint32_t)at;
        project(l, &p, at, n);
    }
    for (size_t k = 0; k < l->n; k++) {
        if (!taken[k])
            order[n++] = (uint32_t)k;
    }
}

REC_PLAIN_RERANKER(
    dpp, "the likeliest list of a determinantal point process (greedy)", choose,
    true, "trade")
