/*
 * bench/fit.c - seconds of training, and quality, of one model.
 *
 *   bench/fit RUNS THREADS MODEL TRAIN TEST [OPTION VALUE]...
 *
 * TRAIN and TEST are files of `user item item ...` lines (several: commas
 * between); TEST may be "-".  The option "watch" N evaluates every N epochs,
 * "seed" is the seed.  Prints one JSON object: median seconds of the fits,
 * people a second for top-20 lists, recall@20 and ndcg@20 of the last fit, and
 * the first 16 digits of its digest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/par.h"
#include "bench/adjacency.h"
#include "rec/metrics.h"
#include "rec/model.h"
#include "rec/rank.h"
#include "tests/store_fake.h"

#define RUNS_MAX 31

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct bench {
    const struct rec_data *train, *test;
    uint64_t every;
};

static void quality(const struct bench *b, const struct rec_model *m,
                    double *recall, double *ndcg)
{
    const size_t cut = 20;
    struct rec_report r;

    if (rec_evaluate(m, b->train, b->test, &cut, 1, &r) != ERR_OK)
        bench_die("evaluating");
    *recall = r.value[0][REC_RECALL];
    *ndcg = r.value[0][REC_NDCG];
}

static enum err look(void *arg, struct rec_model *m, uint64_t epoch, bool *stop)
{
    const struct bench *b = arg;
    double recall, ndcg;

    (void)stop;
    if (epoch % b->every == 0) {
        quality(b, m, &recall, &ndcg);
        (void)fprintf(stderr, "epoch %llu recall %.5f ndcg %.5f\n",
                      (unsigned long long)epoch, recall, ndcg);
    }
    return ERR_OK;
}

static void set_options(struct bench *b, struct rec_model *m, int n, char **a)
{
    for (int i = 0; i + 1 < n; i += 2) {
        if (strcmp(a[i], "watch") == 0)
            b->every = strtoull(a[i + 1], NULL, 10);
        else if (strcmp(a[i], "seed") == 0)
            m->seed = strtoull(a[i + 1], NULL, 10);
        else if (opt_assign(m->ops->opts, m->opts, a[i], a[i + 1]) != ERR_OK)
            bench_die(a[i]);
    }
}

/* People a second for lists of 20: the median of `runs`. */
static double rank_rate(const struct bench *b, const struct rec_model *m,
                        size_t runs)
{
    const size_t n = b->train->n_users;
    uint32_t *item = mem_array(n * 20, sizeof(*item));
    double seconds[RUNS_MAX];

    for (size_t r = 0; r < runs; r++) {
        const double t = now();

        if (item == NULL ||
            rec_rank_users(m, b->train, 0, n, 20, true, item, NULL) != ERR_OK)
            bench_die("ranking");
        seconds[r] = now() - t;
    }
    qsort(seconds, runs, sizeof(*seconds), by_size);
    free(item);
    return (double)n / seconds[runs / 2];
}

static void report(const struct bench *b, const struct rec_model *m,
                   double *seconds, size_t runs)
{
    unsigned char digest[KEY_DIGEST_BYTES];
    char hex[17];
    double recall = 0, ndcg = 0;

    qsort(seconds, runs, sizeof(*seconds), by_size);
    rec_model_digest(m, digest);
    key_hex(digest, 8, hex);
    if (b->test != NULL)
        quality(b, m, &recall, &ndcg);
    printf("{\"seconds\": %.4f, \"least\": %.4f, \"top20_per_s\": %.0f, "
           "\"recall\": %.5f, \"ndcg\": %.5f, \"digest\": \"%s\"}\n",
           seconds[runs / 2], seconds[0], rank_rate(b, m, runs), recall, ndcg,
           hex);
}

int main(int argc, char **argv)
{
    const struct rec_model_ops *ops;
    struct pairs p = {0}, q = {0};
    struct rec_data train, test;
    double seconds[RUNS_MAX];
    struct rec_model *m;

    if (argc < 6) {
        (void)fprintf(stderr, "usage: fit RUNS THREADS MODEL TRAIN TEST "
                              "[OPTION VALUE]...\n");
        return 2;
    }
    const size_t runs = strtoull(argv[1], NULL, 10);

    par_set_threads(strtoull(argv[2], NULL, 10));
    if (runs < 1 || runs > RUNS_MAX || rec_model_find(argv[3], &ops) != ERR_OK)
        bench_die(argv[3]);
    pairs_read(&p, argv[4]);
    train = pairs_data(&p, NULL);
    struct bench b = {.train = &train};

    if (strcmp(argv[5], "-") != 0) {
        pairs_read(&q, argv[5]);
        test = pairs_data(&q, &train);
        b.test = &test;
    }
    if (rec_model_new(&m, ops) != ERR_OK)
        bench_die("model");
    set_options(&b, m, argc - 6, argv + 6);
    for (size_t r = 0; r < runs; r++) {
        const struct rec_watch watch = {look, &b};
        const double t = now();

        if (rec_model_fit(m, &train, b.every > 0 ? &watch : NULL) != ERR_OK)
            bench_die("training");
        seconds[r] = now() - t;
    }
    report(&b, m, seconds, runs);
    rec_model_free(m);
    return 0;
}
