/*
 * rec/ready.h - lists that come ready-made: features and labels, and no first
 * stage of ours.
 *
 * A file holds an item a line, `LABEL qid:N 1:V 2:V ...` (the format of SVMrank
 * and of the learning-to-rank collections; features that are 0 may be left
 * out); items of a list stand one behind the other.  `# attract=P stay=Q` at
 * the end says what is true in a made-up world (rec/clicks.h).
 */
#ifndef REC_READY_H
#define REC_READY_H

#include <stdint.h>

#include "base/err.h"
#include "rec/rerank_learn.h"

struct rec_ready {
    size_t n, n_rows;  /* lists, items of all of them */
    size_t most;       /* items of the longest list */
    size_t features;   /* largest number of a feature */
    size_t *ptr;       /* [n + 1] */
    float *label;      /* [n_rows] >= 0 */
    size_t *at;        /* [n_rows + 1] */
    uint32_t *feature; /* [at[n_rows]] from 1, ascending in a row */
    float *value;
    float *attract, *stay; /* [n_rows], or NULL */
};

/* ERR_FORMAT "FILE:LINE: ..."; lists of more than REC_LIST_MOST items, labels
 * below 0 or over 30, features over 100,000 are refused. */
ERR_CHECK
enum err rec_ready_read(struct rec_ready *r, const char *path);
void rec_ready_free(struct rec_ready *r);

/* Which features are not features. */
struct rec_ready_how {
    size_t score;    /* the first stage's score: lists are put in its order; 0:
                        there is none, and they are shuffled */
    size_t category; /* number of a category; 0: none */
    uint64_t seed;   /* of the shuffling */
};

/* Lists to learn from or to order. */
struct rec_ready_lists {
    struct rec_lessons t;
    size_t *row;        /* [t.n][t.list] rows of the file, SIZE_MAX behind */
    uint32_t *category; /* [t.n][t.list], or NULL */
};

/* list: places of a list, features: of the file that is learnt from (further
 * ones are left out).  scales: the lessons whose mean and deviation are taken,
 * or NULL: its own.  Memory from s. */
ERR_CHECK
enum err rec_ready_take(struct rec_ready_lists *out, struct mem_scratch *s,
                        const struct rec_ready *r,
                        const struct rec_ready_how *how, size_t list,
                        size_t features, const struct rec_lessons *scales);

/* --- how good an order is --------------------------------------------------
 */

enum rec_ready_metric {
    REC_READY_NDCG,    /* gains 2^label - 1 */
    REC_READY_MAP,     /* by hits inside the cut, as in LibRerank */
    REC_READY_CLICKS,  /* labels above 0 inside the cut */
    REC_READY_UTILITY, /* clicks, by how much less the old place was looked at
                        */
    REC_READY_ILAD,    /* share of pairs of different categories */
    REC_READY_ERR_IA,  /* novelty of categories, by rank */
    REC_READY_METRICS,
};
extern const char *const rec_ready_metric_name[REC_READY_METRICS];

struct rec_ready_report {
    double value[8][REC_READY_METRICS]; /* [cut]; NAN: not known */
    double expected, best; /* clicks of a list in the true world, of the given
                              order and of the best; NAN without a truth */
};

/* Means over lists in the order of score[n][list] (NULL: as they are).
 * logged: the lists whose clicks tell how much each place is looked at. */
ERR_CHECK
enum err rec_ready_measure(const struct rec_ready *r,
                           const struct rec_ready_lists *l, const float *score,
                           const struct rec_ready_lists *logged,
                           const size_t *cut, size_t n_cuts,
                           struct rec_ready_report *out);

#endif
