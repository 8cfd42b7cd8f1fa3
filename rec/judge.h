/*
 * rec/judge.h - networks that say how likely each item of an ordered list is to
 * be taken: evaluators, which generators of lists learn from.
 */
#ifndef REC_JUDGE_H
#define REC_JUDGE_H

#include "rec/rerank_learn.h"

/* Logits [batch][n] of lists in the order given; parameters "judge/...". */
typedef struct nn_tensor *rec_judge_build(struct nn_tape *t,
                                          const struct rec_lists *l);

/* A GRU reads the list; two layers on item and state (EG-Rerank). */
rec_judge_build rec_judge_gru;
/* Two LSTMs, one from each end (PRS). */
rec_judge_build rec_judge_both_ways;
/* The same, and self-attention beside them (GRN). */
rec_judge_build rec_judge_attending;
/* Sum, layer, attention, GRU and products of all pairs (CMR). */
rec_judge_build rec_judge_channels;
/* Self-attention with positions, swish (PIER's omnidirectional module). */
rec_judge_build rec_judge_omni;

struct rec_judge {
    struct nn_params *params; /* borrowed */
    struct nn_tape *tape;
    struct nn_tensor *x, *mask, *keys, *label, *p; /* p in 0..1 */
    struct nn_tensor
        *learning; /* of a faithful one (rec/faithful.h), or NULL */
    size_t batch, n, features;
    double taken; /* share of the items that it learnt from */
    bool faithful;
    struct mem_scratch s;
    float *lists, *there; /* [batch][n][features], [batch][n] */
};

/* Lists of n items; training: with labels and binary cross entropy.  Must be
 * closed whatever comes back. */
ERR_CHECK
enum err rec_judge_open(struct rec_judge *j, struct nn_params *params,
                        rec_judge_build *how, const struct rec_rerank_opts *o,
                        size_t batch, size_t n, size_t features, bool training);
void rec_judge_close(struct rec_judge *j);

/* Learn from the lists as they stand (their first j->n items); labels above 0
 * were taken. */
ERR_CHECK
enum err rec_judge_learn(struct rec_judge *j, const struct rec_model *m,
                         const struct rec_lessons *t);

/* Rewards of places, out[batch][places], by what was said of them, p[batch][n]:
 * each one's own and all below; of a faithful one, a hundredth of what is
 * below. */
void rec_judge_rewards(const struct rec_judge *j, size_t n, size_t places,
                       const float *p, float *out);

/* p[batch][n] of lists whose place k holds item order[batch][of][k] of a's
 * lists of `of` items; out has room for [batch][n]. */
ERR_CHECK
enum err rec_judge_ask(struct rec_judge *j, const struct rec_asked *a,
                       size_t of, const uint32_t *order, float *out);

#endif
