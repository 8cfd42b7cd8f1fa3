/* attack/row_score.c - what each single row gives away. */
#include "attack/row_score.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

struct fit {
    double x;
    uint8_t in;
};

static int by_fit(const void *a, const void *b)
{
    const struct fit *x = a, *y = b;

    return (x->x > y->x) - (x->x < y->x);
}

static double share(size_t k, size_t n)
{
    return ((double)k + 0.5) / ((double)n + 1);
}

/* tp of p models that learnt from the row are above a threshold, and fp of the
 * q others. */
static double ratio(size_t tp, size_t p, size_t fp, size_t q)
{
    return fmax(log(share(tp, p) / share(fp, q)),
                log(share(q - fp, q) / share(p - tp, p)));
}

/* f is sorted.  Of thresholds that part equally well, the larger ratio. */
static double best_ratio(const struct fit *f, size_t n)
{
    size_t p = 0, tp, fp;
    double best = 0, score = 0;

    for (size_t i = 0; i < n; i++)
        p += f[i].in;
    const size_t q = n - p;

    tp = p;
    fp = q;
    for (size_t i = 0; i + 1 < n && p > 0 && q > 0; i++) {
        tp -= f[i].in;
        fp -= !f[i].in;
        if (f[i].x == f[i + 1].x) /* no threshold parts equal fits */
            continue;
        const double gap = (double)tp / (double)p - (double)fp / (double)q;
        const double here = ratio(tp, p, fp, q);

        if (gap > best || (gap == best && gap > 0 && here > score)) {
            best = gap;
            score = fmax(here, 0);
        }
    }
    return score;
}

/* Row u under the models; f is room for them.  coin NULL: whether they learnt
 * from it, else model r's coin is that of model coin[r]. */
static double one_row(const struct atk_signals *s, size_t n, size_t u,
                      const uint32_t *coin, struct fit *f)
{
    for (size_t r = 0; r < s->n_refs; r++) {
        const size_t c = coin != NULL ? coin[r] : r;

        f[r] = (struct fit){s->ref[r * n + u], s->in[c * n + u] != 0};
    }
    qsort(f, s->n_refs, sizeof(*f), by_fit);
    return best_ratio(f, s->n_refs);
}

static double parted_wholly(const struct atk_signals *s, size_t n, size_t u)
{
    size_t p = 0;

    for (size_t r = 0; r < s->n_refs; r++)
        p += s->in[r * n + u] != 0;
    const size_t q = s->n_refs - p;

    return p > 0 && q > 0 ? ratio(p, p, 0, q) : 0;
}

static void fill(struct atk_row_scores *out, const struct atk_signals *s,
                 const uint64_t *key, uint64_t seed, struct fit *f,
                 uint32_t *coin)
{
    const size_t n = out->n;

    for (size_t u = 0; u < n; u++) {
        out->score[u] = one_row(s, n, u, NULL, f);
        rng_shuffle(rng_derive(seed, RNG_AUDIT, key[u]), RNG_AUDIT, s->n_refs,
                    coin);
        out->mean += out->score[u] / (double)n;
        out->chance += one_row(s, n, u, coin, f) / (double)n;
        out->most += parted_wholly(s, n, u) / (double)n;
    }
    for (size_t u = 0; u < n; u++)
        f[u] = (struct fit){out->score[u], 0};
    qsort(f, n, sizeof(*f), by_fit);
    out->median = n > 0 ? f[n / 2].x : 0;
    out->tenth = n > 0 ? f[n - 1 - n / 10].x : 0;
}

enum err atk_row_scores(struct atk_row_scores *out, const struct atk_signals *s,
                        const uint64_t *key, size_t n, uint64_t seed)
{
    struct mem_scratch m = {0};
    const size_t most = n > s->n_refs ? n : s->n_refs;
    struct fit *f = mem_take(&m, most, 1, sizeof(*f));
    uint32_t *coin = mem_take(&m, s->n_refs, 1, sizeof(*coin));

    *out = (struct atk_row_scores){.n = n, .models = s->n_refs};
    out->score = mem_array(n, sizeof(*out->score));
    const enum err e =
        m.failed || out->score == NULL
            ? err_set(ERR_NOMEM, "no memory for the scores of rows")
            : ERR_OK;

    if (e == ERR_OK)
        fill(out, s, key, seed, f, coin);
    mem_drop(&m);
    return e;
}

void atk_row_scores_free(struct atk_row_scores *r)
{
    free(r->score);
    *r = (struct atk_row_scores){.n = 0};
}
