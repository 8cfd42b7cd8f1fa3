/* rec/ready.c - ready-made lists as lessons. */
#include "rec/ready.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

/* Features that networks see: a score in deviations first (0 without one). */
static size_t width_of(size_t features)
{
    return 1 + features;
}

struct taker {
    struct rec_ready_lists *out;
    const struct rec_ready *r;
    const struct rec_ready_how *how;
    size_t features;
    struct rec_placed *order; /* [list] */
};

static float entry_of(const struct rec_ready *r, size_t row, size_t feature)
{
    for (size_t e = r->at[row]; e < r->at[row + 1]; e++) {
        if (r->feature[e] == feature)
            return r->value[e];
    }
    return 0;
}

/* The order in which list l is shown. */
static void arrange(const struct taker *w, size_t l)
{
    const size_t first = w->r->ptr[l], n = w->r->ptr[l + 1] - first;

    for (size_t k = 0; k < n; k++) {
        const float score =
            w->how->score > 0
                ? entry_of(w->r, first + k, w->how->score)
                : rng_f32(rng_derive(w->how->seed, RNG_SHUFFLE, l), RNG_SHUFFLE,
                          k);

        w->order[k] = (struct rec_placed){score, (uint32_t)k};
    }
    qsort(w->order, n, sizeof(*w->order), rec_by_place);
}

/* The first stage's scores of a list in deviations, into column 0. */
static void put_scores(const struct taker *w, size_t n, float *x, size_t width)
{
    double mean = 0, square = 0;

    if (w->how->score == 0)
        return;
    for (size_t k = 0; k < n; k++)
        mean += (double)w->order[k].score / (double)n;
    for (size_t k = 0; k < n; k++) {
        const double d = (double)w->order[k].score - mean;

        square += d * d / (double)n;
    }
    const double unit = square > 1e-20 ? 1 / sqrt(square) : 0;

    for (size_t k = 0; k < n; k++)
        x[k * width] = (float)(((double)w->order[k].score - mean) * unit);
}

static void take_list(const struct taker *w, size_t l)
{
    struct rec_lessons *t = &w->out->t;
    const struct rec_ready *r = w->r;
    const size_t first = r->ptr[l], n = r->ptr[l + 1] - first, list = t->list;
    float *x = t->x + l * list * t->features;

    arrange(w, l);
    memset(x, 0, list * t->features * sizeof(*x));
    put_scores(w, n, x, t->features);
    for (size_t k = 0; k < list; k++) {
        const size_t at = l * list + k;
        const size_t row = k < n ? first + w->order[k].at : SIZE_MAX;

        t->mask[at] = k < n;
        t->label[at] = k < n ? r->label[row] : 0;
        w->out->row[at] = row;
        for (size_t e = k < n ? r->at[row] : 0;
             e < (k < n ? r->at[row + 1] : 0); e++) {
            const size_t f = r->feature[e];

            if (f == w->how->category)
                w->out->category[at] = (uint32_t)fabsf(r->value[e]);
            else if (f != w->how->score && f <= w->features)
                x[k * t->features + f] = r->value[e];
        }
    }
    t->key[l] = rng_derive(w->how->seed, RNG_HOLDOUT, l);
}

enum err rec_ready_take(struct rec_ready_lists *out, struct mem_scratch *s,
                        const struct rec_ready *r,
                        const struct rec_ready_how *how, size_t list,
                        size_t features, const struct rec_lessons *scales)
{
    struct taker w = {out, r, how, features,
                      mem_take(s, list, 1, sizeof(*w.order))};

    *out = (struct rec_ready_lists){
        .t = {.list = list, .features = width_of(features)},
        .row = mem_take(s, r->n, list, sizeof(*out->row))};
    if (how->category > 0)
        out->category = mem_take(s, r->n, list, sizeof(*out->category));
    ERR_TRY(rec_lessons_open(&out->t, s, r->n, false));
    out->t.n = r->n;
    for (size_t l = 0; l < r->n; l++)
        take_list(&w, l);
    if (scales == NULL) {
        rec_lessons_ready(&out->t);
        return ERR_OK;
    }
    memcpy(out->t.mean, scales->mean, out->t.features * sizeof(float));
    memcpy(out->t.unit, scales->unit, out->t.features * sizeof(float));
    rec_lessons_scale(scales->mean, scales->unit, out->t.features, out->t.x,
                      out->t.mask, r->n * list);
    return ERR_OK;
}
