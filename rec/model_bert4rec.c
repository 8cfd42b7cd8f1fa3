/*
 * rec/model_bert4rec.c - rows that are hidden are guessed from both sides.
 *
 * Source: Sun et al., BERT4Rec, CIKM 2019.  Differs: layer norms before
 * attention and layer; a layer of twice the width; no projection between the
 * last state and the table; softmax against shared negatives unless --negatives
 * 0 (all items, as in the paper) is asked for; every fourth pass hides the last
 * row alone, which is what serving asks.
 */
#include "rec/seq.h"

struct bert4rec_opts {
    struct rec_seq_opts s;
    int64_t blocks, heads;
};

static const struct opt rows[] = {
    REC_SEQ_OPTS(struct bert4rec_opts, "64", "50", "60", "128", "1024", "0.003",
                 "0.4"),
    REC_SEQ_OLDER(struct bert4rec_opts),
    {"mask", 0, OPT_REAL, offsetof(struct bert4rec_opts, s.mask), "0.3", 0.01,
     .9, "P", "share of the rows that is hidden"},
    {"blocks", 0, OPT_INT, offsetof(struct bert4rec_opts, blocks), "2", 1, 32,
     "N", "layers of attention"},
    {"heads", 0, OPT_INT, offsetof(struct bert4rec_opts, heads), "2", 1, 64,
     "N", "heads of attention; divides --dim"},
    {.name = NULL},
};

static struct nn_tensor *states(struct nn_tape *t, const struct rec_seq_in *in)
{
    const struct bert4rec_opts *o = (const void *)in->o;

    return rec_seq_blocks(t, in, (size_t)o->blocks, (size_t)o->heads, false,
                          NN_GELU);
}

static enum err check(const struct rec_seq_opts *s)
{
    return rec_seq_check_heads(
        s->dim, ((const struct bert4rec_opts *)(const void *)s)->heads);
}

static const struct rec_seq_net net = {REC_SEQ_MASKED, states, check};

REC_SEQ_MODEL(bert4rec, "bert4rec", "hidden rows guessed from both sides", net,
              rows, struct bert4rec_opts);
