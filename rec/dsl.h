/*
 * rec/dsl.h - tables of vectors that are trained under a budget of weights.
 *
 * dsl    everything is there for half of the steps, then fewer and fewer
 * numbers until the budget is met at nine tenths.  Meanwhile, at the pace of
 *        forty times in a training, the smallest of a table go, and a few come
 *        back: those whose gradients were largest since the last time.  Their
 *        share falls on a cosine
 * once   everything is there for half of the steps, then the largest stay
 *
 * Before the first go, the vectors of people and items are brought to the axes
 * of the singular vectors of their scores (rec/turn.h), or where both must turn
 * alike, to the principal axes of the items.  No score changes, and most of
 * what a table says is then in few of its numbers.  Small is what does little
 * in scores: the size of a number times the root mean square of its coordinate
 * on the other side, and for items times the fourth root of one more than their
 * rows (docs/sparse.md has the figures).
 *
 * Rows stand in the order of their keys, and ties go to the lower row, then
 * coordinate: masks depend on data, options and seed alone.
 *
 * Source: Wang et al., Dynamic sparse learning: a novel paradigm for efficient
 * recommendation, WSDM 2024, algorithm 1.  Differs: training begins dense, not
 * from a random mask, and turns the vectors; what goes is not the smallest but
 * what does least; what grows is chosen by the sum of the gradients since the
 * last move, not by those of one batch (of which most rows of a table have
 * none), and begins with the mean squared gradient of its row; what has just
 * gone does not come back at once.
 */
#ifndef REC_DSL_H
#define REC_DSL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "rec/data.h"
#include "rec/model.h"

#define REC_DSL_MOVES 40   /* of a training, if weights moved all the time */
#define REC_DSL_FIRST 0.01 /* share of what is there that moves at first */
#define REC_DSL_BEGIN 0.5  /* of the steps: weights begin to go */
#define REC_DSL_END 0.9    /* the mask stays */

/* Options of a model that can be trained so: --sparsity, --schedule. */
struct rec_dsl_opts {
    double sparsity; /* share of the weights that is not there; 0: whole */
    const char *schedule;
};

/* Rows of a table of options for a struct T with a member `dsl`. */
#define REC_DSL_OPTS(T)                                                        \
    {"sparsity",                                                               \
     0,                                                                        \
     OPT_REAL,                                                                 \
     offsetof(T, dsl.sparsity),                                                \
     "0",                                                                      \
     0,                                                                        \
     0.95,                                                                     \
     "X",                                                                      \
     "share of the vectors' numbers that is not there; 0 = none"},             \
    {                                                                          \
        "schedule", 0, OPT_CHOICE, offsetof(T, dsl.schedule), "dsl", 0, 0,     \
            "dsl|once", "how training finds those that are (docs/sparse.md)"   \
    }

/* Of a model that is about to be trained.  ERR_ARG: --schedule without
 * --sparsity; --sparsity on a device or in stages, which have no masks. */
ERR_CHECK
enum err rec_dsl_check(const struct rec_dsl_opts *o, const struct rec_model *m);

/* What may be done to the vectors of people and items before the first go. */
enum rec_dsl_axes {
    REC_DSL_ALIKE, /* each side by itself, as long as scores stay */
    REC_DSL_ITEMS, /* both turned alike: one table is smoothed from both */
    REC_DSL_STAY,  /* nothing: their numbers are dropped in training, which
                      does least where all say as much */
};

struct rec_dsl {
    size_t rows, dim;
    size_t budget;        /* weights that are there in the end */
    uint8_t *mask;        /* [rows][dim], or NULL: everything is there */
    float *sum;           /* [rows][dim] of gradients since the last move */
    size_t *count;        /* room of a selection */
    float *row, *column;  /* [rows], [dim] what the size of a number is times
                             when the smallest go */
    uint64_t step, steps; /* done, of */
    bool once, begun;     /* begun: weights have gone */
    enum rec_dsl_axes axes;
};

/* steps: of the whole training.  Memory from s (sparsity 0: none, and the
 * functions below do nothing).  ERR_NOMEM. */
ERR_CHECK
enum err rec_dsl_init(struct rec_dsl *t, const struct rec_dsl_opts *o,
                      uint64_t steps, size_t rows, size_t dim,
                      struct mem_scratch *s);
/* Bytes of it. */
double rec_dsl_bytes(const struct rec_dsl_opts *o, double rows, double dim);

/* Rows first..first + n - 1 of a step's gradient g[n][dim]: remembered, then
 * zeroed where nothing is.  A task may call it for rows of its own. */
void rec_dsl_take(const struct rec_dsl *t, size_t first, size_t n, float *g);

/* Row r of a table, x[dim], after an optimiser whose means still move what is
 * gone: that is zeroed. */
void rec_dsl_keep(const struct rec_dsl *t, size_t r, float *x);

/* What a step has changed: x[rows][dim] and (or NULL) the means of gradients
 * and of their squares that an optimiser remembers. */
struct rec_dsl_side {
    float *x, *m1, *m2;
};
/* The step is done; move weights when it is time: what goes is zeroed.  Sizes
 * alone count here. */
void rec_dsl_step(struct rec_dsl *t, const struct rec_dsl_side *side);

/* The same for people and items whose inner products are scores; before the
 * first weights go both are brought to the axes of t[0].  The optimiser begins
 * anew then, with each row's mean square.  ERR_NOMEM, ERR_NUM. */
ERR_CHECK
enum err rec_dsl_steps(struct rec_dsl t[2], const struct rec_dsl_side side[2]);

/* Both tables, of the people and items of d. */
ERR_CHECK
enum err rec_dsl_init_both(struct rec_dsl t[2], const struct rec_dsl_opts *o,
                           enum rec_dsl_axes axes, uint64_t steps,
                           const struct rec_data *d, size_t dim,
                           struct mem_scratch *s);

/* --- the same where a block holds two tables, t[1] behind t[0] --- */

/* Rows first..first + n - 1 of both together, whose gradient is g[n][dim]. */
void rec_dsl_take_both(const struct rec_dsl t[2], size_t first, size_t n,
                       float *g);
ERR_CHECK
enum err rec_dsl_step_both(struct rec_dsl t[2], float *x, float *m1, float *m2);

#endif
