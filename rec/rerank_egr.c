/*
 * rec/rerank_egr.c - a generator that learns from an evaluator by PPO.
 *
 * Reward of a place: what the evaluator says of its item there and of all
 * below.
 *
 * Source: Huzhang et al., AliExpress learning-to-rank: maximizing online model
 * performance without going online (EG-Rerank), TKDE 2021.  Differs: the
 * public code counts a hundredth of the next place's reward, and so does not
 * see what a click costs below (in the world of rec/clicks.h it is no better
 * than a list by clicks); it compares a list with others of the same person,
 * not with itself with another choice (rec/slate_learn.c); the state reads what
 * was placed; the best item is taken when serving, the public code draws one;
 * no discriminator.  --faithful has all of these but the discriminator, which
 * the public code does not reach.
 */
#include <stdlib.h>

#include "rec/slate.h"

static enum err reward(struct rec_judge *j, const struct rec_asked *a,
                       const struct rec_tried *t, float *out)
{
    float *p = mem_array(j->batch * t->n, sizeof(*p));

    if (p == NULL)
        return err_set(ERR_NOMEM, "no memory for rewards");
    const enum err e = rec_judge_ask(j, a, t->n, t->order, p);

    if (e == ERR_OK)
        rec_judge_rewards(j, t->n, t->places, p, out);
    free(p);
    return e;
}

static const struct rec_slate_maker maker = {
    .kind = {.lstm = true, .loss = REC_SLATE_PPO},
    .judge = rec_judge_gru,
    .reward = reward,
};

REC_SLATE_RERANKER(egr, "a generator that learns from an evaluator (PPO)",
                   maker, false, " faithful")
