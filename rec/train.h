/*
 * rec/train.h - one training run as a person orders it: validation, early
 * stopping, refit.
 */
#ifndef REC_TRAIN_H
#define REC_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/opt.h"
#include "rec/data.h"
#include "rec/model.h"

struct rec_train_opts {
    double validate;    /* share of each person's rows held out; 0 = none */
    const char *metric; /* watched on the held-out rows, e.g. "ndcg@20" */
    int64_t every;      /* epochs between two looks */
    int64_t patience;   /* looks without a better value before the end */
    bool refit;         /* then train on all rows for the best epoch count */
};
extern const struct opt rec_train_rows[]; /* "validate", "metric", ... */

struct rec_train_result {
    double best;         /* of the watched metric, or 0 without validation */
    uint64_t best_epoch; /* 0 where the model does not iterate */
};

/*
 * Train m (new, options set) on d.  With validation, the returned weights are
 * those of the best look (or of the refit).  Deterministic: the stopping rule
 * is part of the function of (data, options, seed).
 */
ERR_CHECK
enum err rec_train(struct rec_model *m, const struct rec_data *d,
                   const struct rec_train_opts *opts,
                   struct rec_train_result *out);

#endif
