/*
 * unlearn/shards_job.h - shards in the making: what training and packing share.
 * For unlearn/shards.c and unlearn/shards_pack.c alone.
 */
#ifndef UNL_SHARDS_JOB_H
#define UNL_SHARDS_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/data.h"
#include "rec/model.h"
#include "unlearn/parts.h"
#include "unlearn/plan.h"
#include "unlearn/slices.h"

struct unl_shard {
    struct rec_model *fresh;      /* trained now; owned */
    const struct rec_model *kept; /* of the model before */
    unsigned char rows[KEY_DIGEST_BYTES];
    struct unl_slices was, is; /* the stages before and now; n == 0: none */
    enum err e;
    char note[256];
};

struct unl_job {
    struct rec_model *like;
    const struct unl_plan *plan;
    const struct rec_data *d;
    const uint8_t *assign;          /* [d->n_rows] */
    const struct unl_parts *before; /* or NULL */
    const unsigned char *digest;    /* [n][KEY_DIGEST_BYTES] of before */
    const struct rec_model *model;  /* that `before` is of */
    bool ask;                       /* only find out which would be trained */
    bool moved;                     /* nothing of before can be kept */
    struct unl_shard *shard;        /* [n] */
    size_t n;
    size_t todo[UNL_SHARDS_MAX]; /* those that are trained */
};

/* The model that the trained and kept shards make, its aggregation learnt.
 * ERR_NOMEM, errors of the aggregation. */
ERR_CHECK
enum err unl_job_pack(const struct unl_job *j, struct rec_model **out);

#endif
