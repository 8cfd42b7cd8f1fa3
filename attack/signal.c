/* attack/signal.c - how well a model's scores fit a person's history. */
#include "attack/signal.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "rec/score.h"

#define BATCH 256
#define OTHERS 10 /* for each item of the history */

struct batch {
    const struct rec_query *q;
    const uint32_t *probe;
    const uint64_t *key;
    const float *scores;
    size_t n_items, first;
    uint64_t seed;
    double *phi;
};

static bool in_history(const uint32_t *item, size_t n, uint32_t i)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;

        if (item[mid] < i)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && item[lo] == i;
}

static void one_person(void *arg, size_t task, size_t thread)
{
    const struct batch *b = arg;
    const size_t u = b->first + task;
    const uint32_t *met = b->q->item + b->q->ptr[u];
    const size_t n_met = b->q->ptr[u + 1] - b->q->ptr[u];
    const uint32_t *own = b->probe != NULL ? b->probe + u : met;
    const size_t n = b->probe != NULL ? 1 : n_met;
    const float *s = b->scores + task * b->n_items;
    const uint64_t stream = rng_derive(b->seed, RNG_AUDIT, b->key[u]);
    double mean = 0, other = 0, square = 0, most = -INFINITY, sum = 0;
    const size_t wanted = OTHERS * n * (b->probe != NULL ? OTHERS : 1);
    size_t got = 0;

    (void)thread;
    b->phi[u] = 0;
    if (n == 0 || 2 * (b->probe != NULL ? n_met + 1 : n) > b->n_items)
        return;
    for (size_t r = 0; r < n; r++)
        mean += (double)s[own[r]] / (double)n;
    /* twice: first for mean and deviation, then for the exponentials */
    for (int pass = 0; pass < 2; pass++) {
        const double deviation =
            pass == 0 ? 1
                      : sqrt(fmax(square / (double)got - other * other, 1e-30));

        got = 0;
        for (uint64_t i = 0; got < wanted; i++) {
            const uint32_t item =
                (uint32_t)rng_below(stream, RNG_AUDIT, i, b->n_items);
            const double x = (double)s[item];

            if (in_history(met, n_met, item) || in_history(own, n, item))
                continue;
            got++;
            if (pass == 0) {
                other += x / (double)wanted;
                square += x * x;
                most = fmax(most, x);
            } else {
                sum += exp((x - most) / deviation) / (double)wanted;
            }
        }
        if (pass == 1)
            b->phi[u] = (mean - most) / deviation - log(sum);
    }
}

enum err atk_signal(const struct rec_model *m, const struct rec_query *q,
                    const uint32_t *probe, const uint64_t *key, uint64_t seed,
                    double *phi)
{
    struct mem_scratch s = {0};
    float *scores = mem_take(&s, BATCH, m->n_items, sizeof(*scores));
    float *vec = mem_take(&s, BATCH, rec_scores_room(m), sizeof(*vec));
    enum err e = s.failed ? err_set(ERR_NOMEM, "no memory for scores of people")
                          : ERR_OK;

    for (size_t first = 0; first < q->n && e == ERR_OK; first += BATCH) {
        const size_t n = q->n - first < BATCH ? q->n - first : BATCH;
        const struct rec_query part = {n,       q->user + first, q->ptr + first,
                                       q->item, q->value,        q->time};
        struct batch b = {q, probe, key, scores, m->n_items, first, seed, phi};

        e = rec_scores(m, &part, scores, vec);
        if (e == ERR_OK)
            par_for(n, one_person, &b);
    }
    mem_drop(&s);
    return e;
}
