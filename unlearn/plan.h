/*
 * unlearn/plan.h - how a model is made, in full: what `recd train` was told
 * beyond the model's own options, and what a repair must repeat.
 */
#ifndef UNL_PLAN_H
#define UNL_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/opt.h"
#include "rec/model.h"
#include "rec/train.h"

#define UNL_SHARDS_MAX 255
#define UNL_SLICES_MOST 800 /* of all shards: arrays of a file are counted */

struct unl_plan {
    struct rec_train_opts train; /* of each shard, on its own rows */
    int64_t shards;              /* 1: not sharded */
    int64_t slices;              /* of each shard (unlearn/slices.h) */
    const char *partition;       /* unlearn/partition.h */
    const char *aggregate;       /* unlearn/aggregate.h */
    bool partition_secret;       /* the partition hangs on a key of the store */
    uint64_t secret;             /* that key's share, by unl_plan_open() */
    int64_t aggregate_epochs, aggregate_hidden;
    double aggregate_lr, aggregate_reg;
};

/* The rows, for tables whose struct holds a plan: P(member) is its offset. */
#define UNL_PLAN_OPTS(P)                                                       \
    {"validate",                                                               \
     0,                                                                        \
     OPT_REAL,                                                                 \
     P(train.validate),                                                        \
     "0",                                                                      \
     0,                                                                        \
     0.9,                                                                      \
     "F",                                                                      \
     "share of each person's rows to hold out for early stopping"},            \
        {"metric",                                                             \
         0,                                                                    \
         OPT_TEXT,                                                             \
         P(train.metric),                                                      \
         "ndcg@20",                                                            \
         0,                                                                    \
         0,                                                                    \
         "METRIC",                                                             \
         "what early stopping watches"},                                       \
        {"every",                                                              \
         0,                                                                    \
         OPT_INT,                                                              \
         P(train.every),                                                       \
         "1",                                                                  \
         1,                                                                    \
         1e6,                                                                  \
         "N",                                                                  \
         "epochs between two looks"},                                          \
        {"patience",                                                           \
         0,                                                                    \
         OPT_INT,                                                              \
         P(train.patience),                                                    \
         "5",                                                                  \
         1,                                                                    \
         1e6,                                                                  \
         "N",                                                                  \
         "looks without a better value before the end"},                       \
        {"refit",                                                              \
         0,                                                                    \
         OPT_BOOL,                                                             \
         P(train.refit),                                                       \
         NULL,                                                                 \
         0,                                                                    \
         0,                                                                    \
         NULL,                                                                 \
         "train again on all rows for the best number of epochs"},             \
        {"shards",                                                             \
         0,                                                                    \
         OPT_INT,                                                              \
         P(shards),                                                            \
         "1",                                                                  \
         1,                                                                    \
         UNL_SHARDS_MAX,                                                       \
         "K",                                                                  \
         "sub-models on parts of the rows; a forget request retrains a part"}, \
        {"slices",                                                             \
         0,                                                                    \
         OPT_INT,                                                              \
         P(slices),                                                            \
         "1",                                                                  \
         1,                                                                    \
         64,                                                                   \
         "R",                                                                  \
         "stages of a shard, so that a request goes back to one of them"},     \
        {"partition",                                                          \
         0,                                                                    \
         OPT_CHOICE,                                                           \
         P(partition),                                                         \
         "hash",                                                               \
         0,                                                                    \
         0,                                                                    \
         "hash|lsh|user|item|interaction",                                     \
         "how rows go to shards (`recd list partitions`)"},                    \
        {"partition-secret",                                                   \
         0,                                                                    \
         OPT_BOOL,                                                             \
         P(partition_secret),                                                  \
         NULL,                                                                 \
         0,                                                                    \
         0,                                                                    \
         NULL,                                                                 \
         "hash, lsh: key the partition by a secret of the store"},             \
        {"aggregate",                                                          \
         0,                                                                    \
         OPT_CHOICE,                                                           \
         P(aggregate),                                                         \
         "mean",                                                               \
         0,                                                                    \
         0,                                                                    \
         "mean|static|attention",                                              \
         "how shards answer together (`recd list aggregates`)"},               \
        {"aggregate-epochs",                                                   \
         0,                                                                    \
         OPT_INT,                                                              \
         P(aggregate_epochs),                                                  \
         "5",                                                                  \
         1,                                                                    \
         1e5,                                                                  \
         "N",                                                                  \
         "static, attention: passes over the rows"},                           \
        {"aggregate-hidden",                                                   \
         0,                                                                    \
         OPT_INT,                                                              \
         P(aggregate_hidden),                                                  \
         "32",                                                                 \
         1,                                                                    \
         1024,                                                                 \
         "N",                                                                  \
         "attention: width of the attention network"},                         \
        {"aggregate-lr",                                                       \
         0,                                                                    \
         OPT_REAL,                                                             \
         P(aggregate_lr),                                                      \
         "0.01",                                                               \
         1e-9,                                                                 \
         1e3,                                                                  \
         "LR",                                                                 \
         "static, attention: learning rate"},                                  \
    {                                                                          \
        "aggregate-reg", 0, OPT_REAL, P(aggregate_reg), "1e-5", 0, 1e6, "L",   \
            "static, attention: weight decay"                                  \
    }

/* "validate", ..., "shards", "partition", ... into a struct unl_plan. */
extern const struct opt unl_plan_rows[];

/* A plan as it was recorded (JSON); *texts as for rec_options_parse(). */
ERR_CHECK
enum err unl_plan_parse(struct unl_plan *plan, const char *json, void **texts);

/*
 * Fetch what the plan needs from the store at dir: the secret, if it is asked
 * for (made when the store has none).  Requests of somebody who sees the
 * answers cannot aim at a shard then: which one a person is in cannot be told
 * without the store's pseudonym.key.  ERR_ARG: no shards, a learnt partition;
 * errors of unl_keys_open().
 */
ERR_CHECK
enum err unl_plan_open(struct unl_plan *plan, const char *dir);

/* The secret that a model draws noise from, of the store at dir, where it is
 * one that does (rec_model_ops.secretive).  Errors of unl_keys_open(). */
ERR_CHECK
enum err unl_plan_secret(struct rec_model *m, const char *dir);

/* What the partition of a model with this seed is keyed by. */
uint64_t unl_plan_partition_seed(const struct unl_plan *plan, uint64_t seed);

#endif
