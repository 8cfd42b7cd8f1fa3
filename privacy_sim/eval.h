/*
 * privacy_sim/eval.h - what a choice is worth to a person, under a recommender
 * that is fixed.
 *
 * Utility = quality of the list - lambda times cost.  Quality is measured on
 * the person's decision items ("anticipated") or report items ("realised");
 * cost is the share of their data that is disclosed, in units of the
 * segments' weights, to a power.  Who shows nothing gets the most popular
 * items.
 */
#ifndef SIM_EVAL_H
#define SIM_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "kernels/ops.h"
#include "privacy_sim/mechanism.h"
#include "privacy_sim/rows.h"
#include "privacy_sim/world.h"

/* Most segments whose subsets are all tried. */
#define SIM_SUBSETS 16
#define SIM_KEPT 64 /* segments of which a person's score vectors are kept */

enum sim_quality { SIM_NDCG, SIM_RECALL };

/* What people want, and how they differ from cold reckoning (0: not). */
struct sim_wants {
    enum sim_quality quality;
    size_t cut;        /* of the list */
    double power;      /* of the cost */
    bool exclude_all;  /* no list holds what the person has, shown or not */
    double effort;     /* cost of each segment that differs from the default */
    double stickiness; /* bonus for staying with the default */
    double present;    /* lambda is multiplied by this when deciding */
    bool default_on;   /* the default: everything, else nothing */
};

/* One thread's view of one person after another. */
struct sim_eval {
    const struct sim_world *w;
    const struct sim_rows *r;
    const struct sim_wants *how;
    int32_t *kept;        /* [SIM_KEPT][n_items] */
    int32_t *sum;         /* [n_items] scores under the choice */
    int32_t *bare;        /* [n_items] scratch for who shows nothing */
    uint8_t *role;        /* [n_items] 1: decision, 2: report */
    uint8_t *on;          /* [most segments] the choice */
    uint32_t *order;      /* [most rows] rows by segment */
    size_t *first;        /* [most segments + 2] into order */
    uint8_t *kept_choice; /* [2 * most segments] scratch of solvers */
    double *theta;        /* [3 * most segments + 4] likewise */
    float *table;         /* [choices] likewise, where exact can */
    struct krn_pick top;
    double gain[KRN_PICK_MOST], ideal[KRN_PICK_MOST + 1];
    /* Of the person: */
    size_t user, n;       /* segments */
    size_t shown;         /* rows under the choice */
    int64_t price, total; /* weights shown, and of all */
    double lambda;
};

/* Room for one thread; scratch from m.  m->failed says whether it is there. */
void sim_eval_open(struct sim_eval *e, struct mem_scratch *m,
                   const struct sim_world *w, const struct sim_rows *r,
                   const struct sim_wants *how);

/* Turn to a person; nothing is shown at first.  O(rows of the recommender). */
void sim_eval_user(struct sim_eval *e, size_t user, double lambda);
/* The same without scores and lists: for sim_eval_felt() alone. */
void sim_eval_stand(struct sim_eval *e, size_t user, double lambda);
/* Leave the person: their marks go.  Before the next sim_eval_user(). */
void sim_eval_leave(struct sim_eval *e);

/* Lists of `length` items from the next change on: at least the cut, and 20
 * where recall@20 is asked for.  Shorter ones are made faster. */
void sim_eval_length(struct sim_eval *e, size_t length);

/* Show or hide segment k; the list is made anew.  O(n_items). */
void sim_eval_toggle(struct sim_eval *e, size_t k);
/* Make the choice on[n]. */
void sim_eval_choose(struct sim_eval *e, const uint8_t *on);

/* Of the choice: quality on decision (report: false) or report items; share of
 * the data that is shown, to the power; utility as it is felt when deciding
 * (anticipated) or in fact. */
double sim_eval_quality(const struct sim_eval *e, bool report);
double sim_eval_cost(const struct sim_eval *e);
double sim_eval_anticipated(const struct sim_eval *e);
double sim_eval_realised(const struct sim_eval *e);
/* The same from parts: utility as it is felt when deciding, of a choice that
 * has this quality, shows segments of this weight, and so many of them. */
double sim_eval_felt(const struct sim_eval *e, double quality, int64_t price,
                     size_t on);

/* Of the report items in the first `cut` <= 20 of the list. */
double sim_eval_recall(const struct sim_eval *e, size_t cut);
double sim_eval_ndcg(const struct sim_eval *e, size_t cut);

#endif
