/*
 * unlearn/slices.h - slices inside a shard, so that a request need not go back
 * to the shard's beginning.
 *
 * A person's slice is a hash of their key.  A shard of R slices is trained in R
 * stages: stage k on the rows of slices 1..k, from where stage k - 1 ended;
 * what each but the last ended with is kept beside the model.  Rows that leave
 * slice k leave the stages before k as they are: their universe, negatives,
 * draws and optimiser knew nothing of slice k.  Stages have 2 E / (R + 1)
 * epochs each, so that as many rows are read as by E epochs of the whole.
 *
 * Source: Bourtoule et al., Machine unlearning, IEEE S&P 2021 (SISA), section
 * IV-C; the schedule is its program's.  Differs: people are sliced, by a hash.
 */
#ifndef UNL_SLICES_H
#define UNL_SLICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/data.h"
#include "rec/model.h"
#include "rec/stage.h"
#include "unlearn/plan.h"

/* A shard's stages: the digest of the rows of each, and what each but the last
 * ended with (array NULL: nothing, it had no rows). */
struct unl_slices {
    size_t n;                                /* R */
    unsigned char (*rows)[KEY_DIGEST_BYTES]; /* [n]; nought: no rows */
    struct rec_state *state;                 /* [n - 1] */
    size_t began; /* the stage that training began with, from 1; n + 1: none */
};
void unl_slices_free(struct unl_slices *s); /* NULL is harmless */

/*
 * Train m on the shard's rows in n stages.  before: of the shard as it was, or
 * NULL; the stages whose rows are those of then are taken over (its states must
 * outlive *out).  m NULL: only find out where to begin.  seed: of the slices.
 * Errors of rec_model_fit().
 */
ERR_CHECK
enum err unl_slices_train(struct unl_slices *out, struct rec_model *m,
                          const struct rec_data *rows, size_t n, uint64_t seed,
                          const struct unl_slices *before);

/* --- beside the arrays of a sharded model -----------------------------------
 *
 * "slices" [shards * R][KEY_DIGEST_BYTES], and of shard 3, stage 2, an array:
 * "c003.02.NAME". */

/* Whether the plan and the model go with slices; ERR_ARG says why not. */
ERR_CHECK
enum err unl_slices_check(const struct unl_plan *plan,
                          const struct rec_model_ops *ops);

/* How many arrays shard s adds, and their names and shapes. */
size_t unl_slices_count(const struct unl_slices *s);
size_t unl_slices_specs(const struct unl_slices *s, size_t shard,
                        struct rec_array_spec *spec, char (*name)[48]);
/* Copy them; returns the first array behind them. */
struct sto_array *unl_slices_fill(const struct unl_slices *s,
                                  struct sto_array *to);

/* Shard s of a sharded model of R slices, as views of its arrays; what does not
 * fit is left out, so that its stages are trained again. */
ERR_CHECK
enum err unl_slices_open(struct unl_slices *out, const struct rec_model *m,
                         size_t shard, size_t n);

#endif
