/*
 * unlearn/shards.h - training, opening and repairing models that can forget.
 *
 * A sub-model sees the rows of its shard and nothing else: its universe of
 * people and items, its negatives, its stopping rule and its seed are made
 * from those rows, the seed of the run and its own number.  So when rows leave
 * one shard, training that shard again gives what training everything again
 * would give, bit by bit.  Shards train side by side.
 */
#ifndef UNL_SHARDS_H
#define UNL_SHARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/data.h"
#include "rec/model.h"
#include "rec/train.h"
#include "unlearn/plan.h"

/* Train a model like `like` (its ops, options and seed; its arrays are not
 * looked at) by the plan.  *out is new when the plan has shards, and `like`
 * itself, trained, when it has not.  assign: shard of each row of d, or NULL:
 * what the partition says.  Errors of rec_train(). */
ERR_CHECK
enum err unl_train(struct rec_model **out, struct rec_model *like,
                   const struct unl_plan *plan, const struct rec_data *d,
                   const uint8_t *assign, struct rec_train_result *result);

/* Train by the recipe of a stored model (model, options, plan), on other rows
 * and with another seed; dir: the store's, for its secret.  *out is new. */
ERR_CHECK
enum err unl_train_like(struct rec_model **out, const struct sto_model *info,
                        const char *dir, const struct rec_data *d,
                        uint64_t seed);

/* The same on the rows of the store at dir itself, with the recorded seed,
 * saved there under the recorded name. */
ERR_CHECK
enum err unl_train_into(const char *dir, const struct sto_model *info);

/* Save under info->name, with all that a repair needs; m->ops, shards or not.
 * base, options: of the model that was asked for. */
ERR_CHECK
enum err unl_save(struct rec_model *m, const struct unl_plan *plan,
                  const struct rec_data *d, struct sto *st,
                  struct sto_model *info);

/* Open any stored model, with shards or without. */
ERR_CHECK
enum err unl_open(struct rec_model **out, struct sto_view *v, const char *name,
                  struct sto_model *info);

/* What a repair did. */
struct unl_repair {
    struct unl_plan plan; /* of the model; its texts live until
                             unl_repair_free() */
    void *texts;
    uint8_t shard[UNL_SHARDS_MAX + 1]; /* those that were trained again */
    uint8_t began[UNL_SHARDS_MAX + 1]; /* with which stage, from 1; 0: no rows
                                          are left, or there are no slices */
    size_t n;                          /* how many */
    /* Filled by unlearn/mend.c: those of a model's own parts that changed. */
    uint32_t *part;
    size_t n_parts, of_parts;
    bool exact;   /* the partition is exact */
    bool moved;   /* another device made it: all of it is trained again */
    bool changed; /* the rows are not those of before */
};

/*
 * Bring a stored model to the rows of d: shards whose rows are those of before
 * are kept, the others and the aggregation are trained again.  With `what`
 * alone (out == NULL): only say what would be done.  *out == NULL afterwards:
 * nothing was to be done, or (d->n_rows == 0) there is nothing left to learn
 * from and the model must go.
 */
ERR_CHECK
enum err unl_repair(struct rec_model **out, struct sto_view *v,
                    const struct sto_model *info, const struct rec_data *d,
                    struct unl_repair *what);
void unl_repair_free(struct unl_repair *what);

#endif
