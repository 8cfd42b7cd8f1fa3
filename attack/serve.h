/*
 * attack/serve.h - an audit of a way of training: the target and its references
 * are trained on coins, and everybody is asked the same way.
 *
 * The people of a store are all members of its model: nobody is left to compare
 * them with.  So the audit trains the same recipe again, on a random half of
 * the people (each by a fair coin of their own), and asks whether the other
 * half can be told from them.  Half of the people are attacked; the others are
 * the attacker's own: on them it learns, with reference 0 as its shadow.
 *
 * Setting "honest": members and non-members are served by the same path, their
 * history folded in.  Setting "published" repeats the papers': members get
 * what was learnt for them, their own items included, non-members the most
 * popular items.  Setting "randomised" is the defence that was published with
 * it: non-members get as many items, drawn from ten times as many of the most
 * popular (Zhang et al., CCS 2021).
 */
#ifndef ATK_SERVE_H
#define ATK_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attack/attack.h"
#include "base/err.h"
#include "rec/model.h"

struct atk_serving {
    /* Train the recipe on d with a seed; *out is the caller's. */
    enum err (*train)(void *arg, const struct rec_data *d, uint64_t seed,
                      struct rec_model **out);
    void *arg;
    size_t n_refs; /* 2 or more */
    size_t k;      /* length of lists */
    bool published;
    bool randomised; /* published, and the popular items are drawn */
    bool rows; /* single rows are in question, one of each person who has three
                  or more: their owners stay, known to every model; there are
                  no lists */
    uint64_t seed;
};

/* Who and what an audit of d came to. */
struct atk_served {
    size_t models; /* trained */
    unsigned char target_digest[KEY_DIGEST_BYTES];
};

/*
 * Fill a case (without the people's names) from d.  ERR_ARG when there are
 * fewer than 40 people; errors of training.  Cost: n_refs + 1 trainings, and
 * scores of all people under each.
 */
ERR_CHECK
enum err atk_serve(struct atk_case *out, const struct rec_data *d,
                   const struct atk_serving *how, struct atk_served *info);

/*
 * The positive control: made-up people of random tastes ("canaries") are put
 * into the data by a coin each, fifty times over, and the same models are
 * trained on that.  Attacks on scores must find them.
 */
ERR_CHECK
enum err atk_serve_canaries(struct atk_case *out, const struct rec_data *d,
                            const struct atk_serving *how);

#endif
