/*
 * rec/rerank_learn.h - the network of a re-ranker, and what it learns from.
 */
#ifndef REC_RERANK_LEARN_H
#define REC_RERANK_LEARN_H

#include "base/mem.h"
#include "rec/rerank.h"
#include "rec/rerank_lists.h"

#define REC_SPARSE_MOST 16 /* pruned matrices of a network */
#define REC_LIST_MOST 512  /* candidates of a list */

/* Options of the model, as rec/model_rerank.c declares them. */
struct rec_rerank_opts {
    const char *base, *also, *ranker, *pattern, *schedule;
    int64_t candidates, epochs, dim, batch, levels;
    double share, rate, drop, decay, sparsity;
};

/* --- the network (rec/rerank_net.c) ----------------------------------------
 */

struct rec_net {
    struct nn_params *params;
    struct nn_tape *tape;
    struct nn_tensor *x, *mask, *keys, *label, *scores;
    size_t batch, n, features;
    struct nn_prune *prune;   /* while learning, or NULL */
    struct nn_sparse *packed; /* [n_packed] of a sparse network that serves */
    size_t n_packed;
};

/* training: with labels and a loss.  ERR_ARG: no such ranker; ERR_NOMEM. */
ERR_CHECK
enum err rec_net_open(struct rec_net *k, const struct rec_model *m,
                      size_t features, size_t batch, bool training);
void rec_net_free(struct rec_net *k);
/* The network of a trained model, for `batch` lists at once.  ERR_FORMAT. */
ERR_CHECK
enum err rec_net_load(struct rec_net *k, const struct rec_model *m,
                      size_t features, size_t batch);

/* What a trained network keeps in a model: pack pruned matrices (nothing
 * otherwise), the arrays (at most REC_SPARSE_MOST + 1; returns how many), and
 * their content. */
ERR_CHECK
enum err rec_net_pack(struct rec_net *k);
size_t rec_net_arrays(const struct rec_net *k, struct rec_array_spec *spec);
void rec_net_store(const struct rec_net *k, struct rec_model *m);

/* An order by scores, equal ones as they were: for qsort(). */
struct rec_placed {
    float score;
    uint32_t at;
};

int rec_by_place(const void *a, const void *b);

/* --- learning (rec/rerank_learn.c) -----------------------------------------
 */

struct rec_lessons {
    size_t n, list, features; /* lists, items of each, features */
    float *x;                 /* [n][list][features] */
    float *label, *mask;      /* [n][list] */
    uint64_t *key;            /* [n] */
    float mean[REC_FEATURES(REC_GENERATORS)],
        unit[REC_FEATURES(REC_GENERATORS)];
};

/* Lists that the generators (which learnt from a) make for everybody in a;
 * labels are the rows of `all` that are not in a.  Memory from s. */
ERR_CHECK
enum err rec_lessons_make(struct rec_lessons *t, struct mem_scratch *s,
                          const struct rec_generators *g,
                          const struct rec_data *a, const struct rec_data *all);
/* x[n][w] to mean 0 and deviation 1, and 0 where there is no item. */
void rec_lessons_scale(const float *mean, const float *unit, size_t w, float *x,
                       const float *mask, size_t n);
/* Open k and train it; with no list to learn from, it keeps the first order.
 * ERR_STOPPED; ERR_NUM. */
ERR_CHECK
enum err rec_net_learn(struct rec_net *k, const struct rec_model *m,
                       const struct rec_lessons *t);

#endif
