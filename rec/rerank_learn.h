/*
 * rec/rerank_learn.h - the network of a re-ranker, and what it learns from.
 */
#ifndef REC_RERANK_LEARN_H
#define REC_RERANK_LEARN_H

#include "base/mem.h"
#include "rec/rerank.h"
#include "rec/rerank_lists.h"
#include "rec/thin.h"

#define REC_SPARSE_MOST 16 /* pruned matrices of a network */
#define REC_MEMBERS_MOST 8 /* networks whose scores are added */
#define REC_PLACES_MOST 50 /* that are chosen one after the other */

/* Options of the model, as rec/model_rerank.c declares them. */
struct rec_rerank_opts {
    const char *base, *also, *ranker;
    int64_t candidates, epochs, dim, batch;
    double share, rate, drop, decay;
    struct rec_thin_opts thin;
    int64_t places, trees, leaves, folds, kept, members;
    double trade, shrinkage;
    bool faithful, attributes, merge;
};

extern const struct opt rec_rerank_rows[];

/* Options that mean nothing to the re-ranker, or wrong ones: ERR_ARG. */
ERR_CHECK
enum err rec_rerank_check(const struct rec_model *m);

/* --- what orders lists (rec/rerank_net.c) ----------------------------------
 */

struct rec_net {
    const struct rec_reranker *how;
    struct nn_params *params;
    struct nn_tape *tape; /* of one pass; NULL with ways of its own */
    struct nn_tensor *x, *mask, *keys, *item, *past, *past_mask, *label,
        *scores, *learning;
    size_t batch, n, features, n_items;
    void *own; /* of the re-ranker's ways */
    struct rec_thin thin;
    char *layers; /* of a narrow network that was learnt, or NULL; owned */
    uint64_t seed;
    struct rec_net *next; /* another network of one pass, whose score is added;
                             or NULL */
};

/* training: with labels and a loss.  n_items: ids of items are below it; 0:
 * lists have no ids.  ERR_ARG: no such ranker, or it wants ids; ERR_NOMEM. */
ERR_CHECK
enum err rec_net_open(struct rec_net *k, const struct rec_model *m,
                      size_t features, size_t n_items, size_t batch,
                      bool training);
void rec_net_free(struct rec_net *k);
/* Order k->batch lists: value[batch][n], best first when descending. */
ERR_CHECK
enum err rec_net_order(struct rec_net *k, const struct rec_asked *a,
                       float *value);
/* The network of a trained model, for `batch` lists at once.  ERR_FORMAT. */
ERR_CHECK
enum err rec_net_load(struct rec_net *k, const struct rec_model *m,
                      size_t features, size_t batch);

/* Put the narrow network that was learnt in the place of the wide one. */
ERR_CHECK
enum err rec_net_narrow(struct rec_net *k, const struct rec_model *m);

/* What a trained network keeps in a model: pack pruned matrices (nothing
 * otherwise), the arrays (at most REC_SPARSE_MOST + 3; returns how many), and
 * their content.  Networks that are added have an array each. */
ERR_CHECK
enum err rec_net_pack(struct rec_net *k);
size_t rec_net_arrays(const struct rec_net *k, struct rec_array_spec *spec);
void rec_net_store(const struct rec_net *k, struct rec_model *m);

/* An order by scores, equal ones as they were: for qsort(). */
struct rec_placed {
    float score;
    uint32_t at;
};

/* Fill the inputs of the tape of one pass. */
ERR_CHECK
enum err rec_net_set(struct rec_net *k, const struct rec_asked *a);

int rec_by_place(const void *a, const void *b);

/* --- learning (rec/rerank_learn.c) -----------------------------------------
 */

struct rec_lessons {
    size_t n, list, features; /* lists, items of each, features */
    bool whole; /* lists without a label are kept: they are to be ordered */
    float *x;   /* [n][list][features] */
    float *label, *mask; /* [n][list] */
    uint64_t *key;       /* [n] */
    uint32_t *item;      /* [n][list], NN_PAD behind; or NULL */
    uint32_t *past;      /* [n][REC_PAST], NN_PAD behind; or NULL */
    size_t n_items;      /* that they are below */
    uint32_t *before;    /* [n][list] the base's own lists, REC_NOBODY behind,
                            where candidates are merged; or NULL */
    bool any_kin; /* kinship is wanted, whatever the model's re-ranker reads */
    const float *kin;   /* [n_items][REC_KIN], or NULL */
    float *mean, *unit; /* [features] */
};

/* Room for `most` lists; list and features are set.  Memory from s. */
ERR_CHECK
enum err rec_lessons_open(struct rec_lessons *t, struct mem_scratch *s,
                          size_t most, bool items);
/* Add the lists that the generators (which learnt from a) make for everybody
 * in a; labels are the rows of `all` that are not in a. */
ERR_CHECK
enum err rec_lessons_add(struct rec_lessons *t, const struct rec_generators *g,
                         const struct rec_data *a, const struct rec_data *all);
/* What m would learn from (learn), and the lists to be ordered of everybody in
 * d with the features that it would serve them with (ask; list number u is
 * person u's, labels are the rows of test, which has d's universe).  The first
 * stage and the lists are made once; any re-ranker may then learn and order.
 * Memory from s. */
ERR_CHECK
enum err rec_rerank_lists(const struct rec_model *m, const struct rec_data *d,
                          const struct rec_data *test,
                          struct rec_lessons *learn, struct rec_lessons *ask,
                          struct mem_scratch *s);

/* All lists are there: bring their features to mean 0 and deviation 1. */
void rec_lessons_ready(struct rec_lessons *t);
/* x[n][w] to mean 0 and deviation 1, and 0 where there is no item. */
void rec_lessons_scale(const float *mean, const float *unit, size_t w, float *x,
                       const float *mask, size_t n);
/* Lists of a step, and the order of the lessons.  Memory of its own. */
struct rec_step {
    struct mem_scratch s;
    size_t batch, list; /* lists, places of each */
    float *x, *label, *mask, *kin;
    uint64_t *key;
    uint32_t *item, *past;
    uint32_t *order; /* [t->n] */
    struct rec_asked asked;
};
ERR_CHECK
enum err rec_step_open(struct rec_step *p, size_t batch,
                       const struct rec_lessons *t);
void rec_step_close(struct rec_step *p);
/* Lessons order[first...]; behind the last comes the first again. */
void rec_step_set(struct rec_step *p, const struct rec_lessons *t,
                  size_t first);
/* `epochs` passes over the lessons in an order of their own each: step() for
 * every batch (adding to *loss).  what: for the progress line. */
ERR_CHECK
enum err rec_lessons_pass(const struct rec_lessons *t, struct rec_step *p,
                          uint64_t seed, size_t epochs, const char *what,
                          enum err (*step)(void *arg, struct rec_step *p,
                                           uint64_t epoch, double *loss),
                          void *arg);

/* The optimiser of all re-rankers by the model's options, for `times` steps of
 * it on each batch. */
ERR_CHECK
enum err rec_lessons_optim(struct nn_optim **out, struct nn_params *p,
                           const struct rec_model *m,
                           const struct rec_lessons *t, size_t batch,
                           size_t times);
/* A step on a batch, by an optimiser. */
typedef enum err rec_lessons_step(void *arg, struct rec_step *p,
                                  struct nn_optim *optim, double *loss);
/* Learn p by that optimiser: the option's passes, a step() for each batch. */
ERR_CHECK
enum err rec_lessons_learn(struct nn_params *p, const struct rec_model *m,
                           const struct rec_lessons *t, size_t batch,
                           const char *what, rec_lessons_step *step, void *arg);
/*
 * The same for the parameters that a model keeps of k, which `tape` trains and
 * --sparsity may thin: all levels of them.  Of `times` steps of the optimiser
 * on each batch, step() calls rec_thin_step(&k->thin) behind all but the last.
 */
ERR_CHECK
enum err rec_net_teach(struct rec_net *k, const struct rec_model *m,
                       const struct rec_lessons *t, struct nn_tape *tape,
                       size_t times, const char *what, rec_lessons_step *step,
                       void *arg);

/* NDCG@k of list l in the order of `score` (NULL: as it is), with gains
 * 2^label - 1; 0 without a label. */
double rec_lessons_ndcg(const struct rec_lessons *t, size_t l,
                        const float *score, size_t k);

/* Open k and train it; with no list to learn from, it keeps the first order.
 * ERR_STOPPED; ERR_NUM. */
ERR_CHECK
enum err rec_net_learn(struct rec_net *k, const struct rec_model *m,
                       const struct rec_lessons *t);

#endif
