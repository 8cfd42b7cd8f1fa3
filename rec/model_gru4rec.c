/*
 * rec/model_gru4rec.c - a gated recurrent network over the latest rows.
 *
 * Source: Hidasi & Karatzoglou, Recurrent neural networks with top-k gains for
 * session-based recommendations, CIKM 2018.  Differs: people are sequences, not
 * sessions, so that batches are of whole people; softmax against shared
 * negatives in place of TOP1-max or BPR-max (Klenitskiy & Vasilev, RecSys 2023,
 * find it no worse); one table of items (their "constrained embedding").
 */
#include <stdio.h>

#include "rec/seq.h"

struct gru4rec_opts {
    struct rec_seq_opts s;
    int64_t layers;
};

static const struct opt rows[] = {
    REC_SEQ_OPTS(struct gru4rec_opts, "64", "50", "30", "128", "1024", "0.003",
                 "0.4"),
    REC_SEQ_OLDER(struct gru4rec_opts),
    {"layers", 0, OPT_INT, offsetof(struct gru4rec_opts, layers), "1", 1, 8,
     "N", "recurrent layers"},
    {.name = NULL},
};

static struct nn_tensor *states(struct nn_tape *t, const struct rec_seq_in *in)
{
    const struct gru4rec_opts *o = (const void *)in->o;
    const size_t dim = (size_t)o->s.dim;
    struct nn_tensor *x = nn_map_drop(t, in->x, "in", o->s.drop, in->keys);

    for (int64_t l = 0; l < o->layers; l++) {
        char name[24], drop[24];

        (void)snprintf(name, sizeof(name), "g%d", (int)l);
        (void)snprintf(drop, sizeof(drop), "g%d.drop", (int)l);
        x = nn_gru(t, x, name, dim, &(struct nn_gru){.mask = in->there});
        x = nn_map_drop(t, x, drop, o->s.drop, in->keys);
    }
    return nn_linear(t, x, "out", dim, NN_NONE);
}

static const struct rec_seq_net net = {REC_SEQ_EACH, states, NULL};

REC_SEQ_MODEL(gru4rec, "gru4rec", "a recurrent network over the latest rows",
              net, rows, struct gru4rec_opts);
