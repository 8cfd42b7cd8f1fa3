/*
 * bench/rank.c - people a second for top-20 lists by inner products.
 *
 * The sizes are those of Gowalla's official split: 29,858 people with 27 seen
 * items each, 40,981 items, 64 factors.  `make bench/rank && bench/rank
 * [THREADS]`; five runs, best and median.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "rec/rank.h"

#define USERS 29858
#define ITEMS 40981
#define SEEN 27
#define D 64
#define K 20
#define RUNS 5

static float *user_vec, *item_vec;

static enum err embed(const struct rec_model *m, const struct rec_query *q,
                      float *vec)
{
    (void)m;
    for (size_t p = 0; p < q->n; p++)
        memcpy(vec + p * D, user_vec + (size_t)q->user[p] * D,
               D * sizeof(float));
    return ERR_OK;
}

static const float *item_vectors(const struct rec_model *m, size_t *d)
{
    (void)m;
    *d = D;
    return item_vec;
}

static const struct rec_model_ops ops = {
    .name = "products", .embed = embed, .item_vectors = item_vectors};

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *random_rows(size_t n, uint64_t seed)
{
    float *x = mem_array(n, sizeof(*x));

    for (size_t i = 0; x != NULL && i < n; i++)
        x[i] = rng_f32(seed, RNG_SYNTH, i) - 0.5f;
    return x;
}

/* SEEN ascending items of each person. */
static void fill_histories(struct rec_data *d)
{
    const size_t step = ITEMS / SEEN;

    for (size_t r = 0; r < (size_t)USERS * SEEN; r++)
        d->item[r] =
            (uint32_t)(r % SEEN * step + rng_below(3, RNG_SYNTH, r, step));
    for (size_t u = 0; u <= USERS; u++)
        d->user_ptr[u] = u * SEEN;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct rec_data d = {.n_users = USERS, .n_items = ITEMS};
    struct rec_model m = {.ops = &ops, .n_users = USERS, .n_items = ITEMS};
    uint32_t *list = mem_array((size_t)USERS * K, sizeof(*list));
    double s[RUNS];

    par_set_threads(argc > 1 ? strtoul(argv[1], NULL, 10) : 0);
    user_vec = random_rows((size_t)USERS * D, 1);
    item_vec = random_rows((size_t)ITEMS * D, 2);
    d.user_ptr = mem_array(USERS + 1, sizeof(*d.user_ptr));
    d.item = mem_array((size_t)USERS * SEEN, sizeof(*d.item));
    if (!list || !user_vec || !item_vec || !d.user_ptr || !d.item)
        return 1;
    fill_histories(&d);
    for (size_t r = 0; r < RUNS; r++) {
        const double start = now();

        if (rec_rank_users(&m, &d, 0, USERS, K, true, list, NULL) != ERR_OK) {
            fprintf(stderr, "%s\n", err_note());
            return 1;
        }
        s[r] = now() - start;
    }
    qsort(s, RUNS, sizeof(*s), by_size);
    printf("%zu threads: %.0f people/s (median %.0f), %.0f GFLOP/s\n",
           par_threads(), USERS / s[0], USERS / s[RUNS / 2],
           2.0 * D * USERS * ITEMS / s[0] * 1e-9);
    free(list);
    free(user_vec);
    free(item_vec);
    rec_data_free(&d);
    return 0;
}
