/*
 * rec/model_sasrec.c - self-attention over the latest rows.
 *
 * Source: Kang & McAuley, Self-attentive sequential recommendation, ICDM 2018.
 * Differs: layer norms stand before attention and layer, for queries, keys and
 * values alike; places are counted from the end; softmax against shared
 * negatives in place of one negative and binary cross entropy, which costs a
 * third of the quality (Petrov & Macdonald, RecSys 2023).
 */
#include "rec/seq.h"

struct sasrec_opts {
    struct rec_seq_opts s;
    int64_t blocks, heads;
};

static const struct opt rows[] = {
    REC_SEQ_OPTS(struct sasrec_opts, "64", "50", "30", "128", "1024", "0.003",
                 "0.4"),
    REC_SEQ_OLDER(struct sasrec_opts),
    {"blocks", 0, OPT_INT, offsetof(struct sasrec_opts, blocks), "2", 1, 32,
     "N", "layers of attention"},
    {"heads", 0, OPT_INT, offsetof(struct sasrec_opts, heads), "1", 1, 64, "N",
     "heads of attention; divides --dim"},
    {.name = NULL},
};

static struct nn_tensor *states(struct nn_tape *t, const struct rec_seq_in *in)
{
    const struct sasrec_opts *o = (const void *)in->o;

    return rec_seq_blocks(t, in, (size_t)o->blocks, (size_t)o->heads, true,
                          NN_RELU);
}

static enum err check(const struct rec_seq_opts *s)
{
    return rec_seq_check_heads(
        s->dim, ((const struct sasrec_opts *)(const void *)s)->heads);
}

static const struct rec_seq_net net = {REC_SEQ_EACH, states, check};

REC_SEQ_MODEL(sasrec, "sasrec", "self-attention over the latest rows", net,
              rows, struct sasrec_opts);
