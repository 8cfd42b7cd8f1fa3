/* src/bench_rerank.c - networks that order lists anew, dense and sparse. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "nn/nn.h"
#include "rec/rerank.h"
#include "rec/rerank_lists.h"
#include "src/bench.h"

#define LISTS ((size_t)64)
#define ITEMS ((size_t)50)
#define FEATURES ((size_t)11) /* of three generators, itemknn among them */

/* Two networks of equal shape, one of which is served packed. */
struct net {
    struct nn_params *params;
    struct nn_tape *tape;
    struct nn_sparse *packed;
    size_t n;
};

static void net_free(struct net *k)
{
    for (size_t i = 0; i < k->n; i++)
        nn_sparse_free(&k->packed[i]);
    free(k->packed);
    nn_tape_free(k->tape);
    nn_params_free(k->params);
}

/* Where prm has channels (nn/chex.h), and how many outputs a unit of --dim. */
static const struct {
    const char *weight;
    size_t times;
} prm_layer[] = {{"net/block/attend/weight", 3},
                 {"net/block/wide/weight", 2},
                 {"net/last/weight", 1}};

/* share: of the channels that stay, rounded as training does; 1: all. */
static enum err net_open(struct net *k, const char *ranker, size_t dim,
                         double share)
{
    const size_t shape[] = {LISTS, ITEMS, FEATURES};
    const struct rec_reranker *how;
    struct rec_lists l = {
        .batch = LISTS, .n = ITEMS, .features = FEATURES, .dim = dim};
    float *x = cmd_bench_random(LISTS * ITEMS * FEATURES, 1);
    float *ones = mem_array(LISTS * ITEMS, sizeof(*ones));
    uint64_t keys[LISTS] = {0};
    enum err e = x == NULL || ones == NULL
                     ? err_set(ERR_NOMEM, "no memory for lists")
                     : rec_reranker_find(ranker, &how);

    *k = (struct net){.n = 0};
    if (e == ERR_OK)
        e = nn_params_new(&k->params, NN_F32, 1);
    for (size_t i = 0; e == ERR_OK && share < 1 && i < 3; i++)
        e = nn_params_narrow(
            k->params, prm_layer[i].weight,
            (size_t)(share * (double)(prm_layer[i].times * dim)));
    if (e == ERR_OK)
        e = nn_tape_new(&k->tape, k->params);
    if (e == ERR_OK) {
        l.x = nn_tape_input(k->tape, "x", 3, shape);
        l.mask = nn_tape_input(k->tape, "mask", 2, shape);
        l.keys = nn_tape_keys(k->tape, "people", LISTS);
        nn_tape_keep(k->tape, how->build(k->tape, &l));
        e = nn_tape_plan(k->tape, NULL);
    }
    for (size_t i = 0; e == ERR_OK && i < LISTS * ITEMS; i++)
        ones[i] = 1;
    if (e == ERR_OK) {
        nn_tape_set(k->tape, l.x, x);
        nn_tape_set(k->tape, l.mask, ones);
        nn_tape_set_keys(k->tape, l.keys, keys);
    }
    free(x);
    free(ones);
    return e;
}

static enum err net_prune(struct net *k, const char *pattern, double sparsity)
{
    struct nn_prune_opt o = {.sparsity = sparsity, .epochs = 1};
    struct nn_prune *p;

    ERR_TRY(nn_pattern_parse(&o.pattern, pattern));
    ERR_TRY(nn_prune_new(&p, k->params, &o));
    enum err e = nn_prune_end(p);

    k->packed = mem_array(nn_prune_count(p), sizeof(*k->packed));
    if (k->packed == NULL)
        e = err_set(ERR_NOMEM, "no memory for a sparse network");
    for (size_t i = 0; e == ERR_OK && i < nn_prune_count(p); i++) {
        e = nn_prune_pack(p, i, &k->packed[i]);
        if (e == ERR_OK)
            nn_params_serve(k->params, nn_prune_number(p, i), &k->packed[i], 0);
        k->n += e == ERR_OK;
    }
    nn_prune_free(p);
    return e;
}

static void run(const struct net *k)
{
    if (nn_tape_forward(k->tape) != ERR_OK)
        abort(); /* all memory was taken when it was planned */
}

static void run_first(void *arg)
{
    run(arg);
}

static void run_second(void *arg)
{
    run((struct net *)arg + 1);
}

/* The sparse network, with the dense one as its anchor. */
static enum err compare(struct bench *b, const char *ranker, size_t dim,
                        const char *pattern, double sparsity)
{
    struct net k[2] = {{.n = 0}, {.n = 0}};
    double sparse, dense;
    char shape[64];
    const bool narrow = strcmp(pattern, "channels") == 0;
    enum err e = net_open(&k[0], ranker, dim, narrow ? 1 - sparsity : 1);

    if (e == ERR_OK)
        e = net_open(&k[1], ranker, dim, 1);
    if (e == ERR_OK && !narrow)
        e = net_prune(&k[0], pattern, sparsity);
    if (e == ERR_OK) {
        cmd_bench_threads(1);
        cmd_bench_time(&sparse, &dense, run_first, run_second, k);
        (void)snprintf(shape, sizeof(shape), "%s-%zu %s %g", ranker, dim,
                       pattern, sparsity);
        cmd_bench_add(b, &(struct bench_row){"rerank-list", shape, "us",
                                             "dense", 1, sparse / LISTS * 1e6,
                                             dense / LISTS * 1e6, NAN});
    }
    net_free(&k[0]);
    net_free(&k[1]);
    return e;
}

enum err cmd_bench_rerank(struct bench *b)
{
    static const size_t dim[] = {64, 128, 256};
    static const double more[] = {0.5, 0.9, 0.95};

    for (size_t i = 0; i < 3; i++) {
        ERR_TRY(compare(b, "prm", dim[i], "shfl-bw:16", 0.8));
        ERR_TRY(compare(b, "prm", dim[i], "shfl-bw:8", 0.8));
        ERR_TRY(compare(b, "midnn", dim[i], "shfl-bw:16", 0.8));
    }
    for (size_t i = 0; i < 3; i++)
        ERR_TRY(compare(b, "prm", 128, "shfl-bw:8", more[i]));
    for (size_t i = 0; i < 3; i++)
        ERR_TRY(compare(b, "prm", dim[i], "channels", 0.5));
    return ERR_OK;
}
