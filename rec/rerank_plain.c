/* rec/rerank_plain.c - for re-rankers that learn nothing. */
#include "rec/rerank_plain.h"

#include <math.h>
#include <stdlib.h>

#include "base/par.h"

enum err rec_plain_open(struct rec_net *k, const struct rec_model *m,
                        bool training)
{
    double *trade = mem_array(1, sizeof(*trade));

    (void)training;
    if (trade == NULL)
        return err_set(ERR_NOMEM, "no memory to re-rank");
    *trade = ((const struct rec_rerank_opts *)m->opts)->trade;
    k->own = trade;
    return nn_params_plan(k->params, false);
}

void rec_plain_close(struct rec_net *k)
{
    free(k->own);
}

struct run {
    const struct rec_net *k;
    const struct rec_asked *a;
    rec_plain_order *how;
    float *alike, *value; /* [threads][n][n], [batch][n] */
};

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;

    for (size_t k = 0; k < n; k++)
        sum += (double)a[k] * (double)b[k];
    return sum;
}

void rec_plain_alike(const float *x, size_t w, size_t n, float *alike)
{
    double length[REC_LIST_MOST];

    for (size_t i = 0; i < n; i++)
        length[i] = sqrt(dot(x + i * w, x + i * w, w));
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            const double both = length[i] * length[j];
            const double c = both > 0 ? dot(x + i * w, x + j * w, w) / both : 0;

            alike[i * n + j] = (float)c;
            alike[j * n + i] = (float)c;
        }
        alike[i * n + i] = 1;
    }
}

static void run_task(void *arg, size_t p, size_t thread)
{
    const struct run *r = arg;
    const size_t most = r->k->n, w = r->k->features;
    const float *x = r->a->x + p * most * w, *mask = r->a->mask + p * most;
    struct rec_plain l = {.alike = r->alike + thread * most * most,
                          .trade = *(const double *)r->k->own};
    float lo = INFINITY, hi = -INFINITY;
    uint32_t order[REC_LIST_MOST];

    for (; l.n < most && mask[l.n] > 0; l.n++) {
        l.score[l.n] = x[l.n * w];
        lo = fminf(lo, l.score[l.n]);
        hi = fmaxf(hi, l.score[l.n]);
    }
    for (size_t c = 0; c < l.n; c++)
        l.score[c] = hi > lo ? (l.score[c] - lo) / (hi - lo) : 0;
    if (r->a->kin != NULL)
        rec_plain_alike(r->a->kin + p * most * r->a->n_kin, r->a->n_kin, l.n,
                        l.alike);
    else
        rec_plain_alike(x, w, l.n, l.alike);
    r->how(&l, order);
    for (size_t c = 0; c < most; c++)
        r->value[p * most + c] = -(float)most;
    for (size_t c = 0; c < l.n; c++)
        r->value[p * most + order[c]] = -(float)c;
}

enum err rec_plain_run(struct rec_net *k, const struct rec_asked *a,
                       rec_plain_order *how, float *value)
{
    struct mem_scratch s = {0};
    struct run r = {k, a, how,
                    mem_take(&s, par_threads() * k->n, k->n, sizeof(float)),
                    value};

    if (!s.failed)
        par_for(k->batch, run_task, &r);
    mem_drop(&s);
    return s.failed ? err_set(ERR_NOMEM, "no memory to re-rank") : ERR_OK;
}
