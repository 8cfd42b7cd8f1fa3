/* rec/clicks.c - a made-up world of people who look at lists and click. */
#include "rec/clicks.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/power.h"

#define FEATURES 12
#define LOG2_E 1.4426950408889634

double rec_clicks_expected(const float *attract, const float *stay,
                           const uint32_t *order, size_t n)
{
    double there = 1, sum = 0;

    for (size_t k = 0; k < n; k++) {
        const size_t i = order != NULL ? order[k] : k;
        const double p = (double)attract[i];

        sum += there * p;
        there *= 1 - p * (1 - (double)stay[i]);
    }
    return sum;
}

double rec_clicks_best(const float *attract, const float *stay, size_t n)
{
    const size_t sets = (size_t)1 << n;
    double *worth = mem_array(sets, sizeof(*worth)), best;
    double *there = mem_array(sets, sizeof(*there));

    if (worth == NULL || there == NULL) {
        free(worth);
        free(there);
        return -1;
    }
    there[0] = 1;
    for (size_t set = 1; set < sets; set++) {
        worth[set] = -1;
        for (size_t i = 0; i < n; i++) {
            const size_t above = set & ~((size_t)1 << i);
            const double p = (double)attract[i];

            if (above == set)
                continue;
            const double value = worth[above] + there[above] * p;

            if (value > worth[set])
                worth[set] = value;
            there[set] = there[above] * (1 - p * (1 - (double)stay[i]));
        }
    }
    best = worth[sets - 1];
    free(worth);
    free(there);
    return best;
}

/* --- the world -------------------------------------------------------------
 */

struct world {
    double attract[FEATURES], stay[FEATURES]; /* weights */
    uint64_t seed;
};

static double sigmoid(double x)
{
    return 1 / (1 + krn_exp2_f64(-LOG2_E * x));
}

/* What attracts tends to end the visit: the best order is not that of
 * attraction. */
static struct world make_world(uint64_t seed)
{
    struct world w = {.seed = rng_derive(seed, RNG_SYNTH, 77)};

    for (size_t f = 0; f < FEATURES; f++) {
        const double a = rng_normal(w.seed, RNG_SYNTH, 2 * f);
        const double b = rng_normal(w.seed, RNG_SYNTH, 2 * f + 1);

        w.attract[f] = 0.5 * a;
        w.stay[f] = -0.6 * a + 0.8 * b;
    }
    return w;
}

struct drawn {
    double x[FEATURES];
    float attract, stay, score, clicked;
};

static void draw_item(const struct world *w, uint64_t seed, uint64_t i,
                      struct drawn *d)
{
    double a = -0.6, b = -0.2;

    for (size_t f = 0; f < FEATURES; f++) {
        /* as they are printed, so that the truth is that of the file */
        d->x[f] =
            floor(1000 * rng_normal(seed, RNG_SYNTH, i * (FEATURES + 2) + f) +
                  0.5) /
            1000;
        a += w->attract[f] * d->x[f];
        b += w->stay[f] * d->x[f];
    }
    d->attract = (float)(0.05 + 0.9 * sigmoid(a));
    d->stay = (float)(0.05 + 0.9 * sigmoid(b));
    d->score = (float)(a + 3 * rng_normal(seed, RNG_SYNTH,
                                          i * (FEATURES + 2) + FEATURES));
    d->clicked = 0;
}

static int by_score(const void *a, const void *b)
{
    const struct drawn *x = a, *y = b;

    return (x->score < y->score) - (x->score > y->score);
}

/* Somebody looks at the list. */
static void look(struct drawn *d, size_t n, uint64_t seed)
{
    for (size_t k = 0; k < n; k++) {
        d[k].clicked = rng_f32(seed, RNG_NOISE, 2 * k) < d[k].attract ? 1 : 0;
        if (d[k].clicked > 0 &&
            rng_f32(seed, RNG_NOISE, 2 * k + 1) >= d[k].stay)
            break;
    }
}

static void write_item(FILE *out, const struct drawn *d, size_t list)
{
    fprintf(out, "%d qid:%zu", d->clicked > 0, list + 1);
    for (size_t f = 0; f < FEATURES; f++)
        fprintf(out, " %zu:%.3f", f + 1, d->x[f]);
    fprintf(out, " %d:%.4f # attract=%.6f stay=%.6f\n", REC_CLICKS_SCORE,
            (double)d->score, (double)d->attract, (double)d->stay);
}

enum err rec_clicks_write(FILE *out, size_t lists, size_t length, uint64_t seed,
                          uint64_t part)
{
    const struct world w = make_world(seed);
    struct drawn *d = mem_array(length, sizeof(*d));

    if (d == NULL)
        return err_set(ERR_NOMEM, "no memory for a list");
    for (size_t l = 0; l < lists; l++) {
        const uint64_t own =
            rng_derive(rng_derive(w.seed, RNG_SYNTH, part), RNG_SYNTH, l);

        for (size_t k = 0; k < length; k++)
            draw_item(&w, own, k, &d[k]);
        qsort(d, length, sizeof(*d), by_score);
        look(d, length, own);
        for (size_t k = 0; k < length; k++)
            write_item(out, &d[k], l);
    }
    free(d);
    return ERR_OK;
}
