/*
 * rec/model_caser.c - convolutions over a window of the latest rows.
 *
 * Source: Tang & Wang, Personalized top-N sequential recommendation via
 * convolutional sequence embedding, WSDM 2018.  Differs: no vector of the
 * person's own, so that strangers are served as members are and nothing is kept
 * of anybody; softmax against shared negatives in place of three negatives and
 * binary cross entropy; one table of items.
 */
#include <stdio.h>

#include "rec/seq.h"

#define MOST_ROWS 64

struct caser_opts {
    struct rec_seq_opts s;
    int64_t horizontal, vertical;
};

static const struct opt rows[] = {
    REC_SEQ_OPTS(struct caser_opts, "64", "5", "20", "1024", "1024", "0.003",
                 "0.4"),
    {"targets", 0, OPT_INT, offsetof(struct caser_opts, s.targets), "3", 1, 64,
     "N", "rows to come that a window predicts"},
    {"horizontal", 0, OPT_INT, offsetof(struct caser_opts, horizontal), "16", 1,
     1024, "N", "filters over whole rows, of each height"},
    {"vertical", 0, OPT_INT, offsetof(struct caser_opts, vertical), "4", 1,
     1024, "N", "filters along the window"},
    {.name = NULL},
};

/* Filters of height 1, 2, ... length; of each the largest answer. */
static struct nn_tensor *across(struct nn_tape *t, const struct rec_seq_in *in,
                                size_t height, size_t filters)
{
    char name[24];

    (void)snprintf(name, sizeof(name), "h%zu", height);
    return nn_reduce_axis_max(
        t,
        nn_conv(t, in->x, name, filters,
                &(struct nn_conv){.width = height, .act = NN_RELU}),
        1);
}

static struct nn_tensor *states(struct nn_tape *t, const struct rec_seq_in *in)
{
    const struct caser_opts *o = (const void *)in->o;
    const size_t dim = (size_t)o->s.dim, vertical = (size_t)o->vertical;
    struct nn_tensor *part[2];

    part[0] = across(t, in, 1, (size_t)o->horizontal);
    for (size_t h = 2; h <= in->length; h++) {
        part[1] = across(t, in, h, (size_t)o->horizontal);
        part[0] = nn_shape_concat(t, 2, part, 1);
    }
    part[1] = nn_linear_free(t, nn_shape_swap(t, in->x, 1, 2), "v", vertical);
    part[1] = nn_shape_as(t, part[1], 2, (size_t[]){in->batch, dim * vertical});
    struct nn_tensor *x = nn_shape_concat(t, 2, part, 1);

    x = nn_map_drop(t, x, "drop", o->s.drop, in->keys);
    x = nn_linear(t, x, "mix", dim, NN_RELU);
    x = nn_linear(t, x, "out", dim, NN_NONE);
    return nn_shape_as(t, x, 3, (size_t[]){in->batch, 1, dim});
}

/* Filters of each height are parameters of their own. */
static enum err check(const struct rec_seq_opts *s)
{
    return s->length <= MOST_ROWS
               ? ERR_OK
               : err_set(ERR_ARG, "--length %lld: a window has at most %d rows",
                         (long long)s->length, MOST_ROWS);
}

static const struct rec_seq_net net = {REC_SEQ_LAST, states, check};

REC_SEQ_MODEL(caser, "caser", "convolutions over a window of the latest rows",
              net, rows, struct caser_opts);
