/*
 * privacy_sim/solver_exact.c - every legal choice is tried.
 *
 * Subsets come in the order of Gray's code, so that one segment is toggled
 * from each to the next; prefixes and all-or-nothing grow by a segment.
 */
#include <string.h>

#include "base/rng.h"
#include "kernels/power.h"
#include "privacy_sim/solver.h"

/* The best choice so far: a bit for each segment, or how many recent ones. */
struct best {
    double utility, key;
    uint64_t mask;
    size_t shown;
    bool any;
};

/* Gumbel noise named by (person and round, mask): the largest of utility / t +
 * noise is a draw from exp(utility / t). */
static double noise(const struct sim_task *t, uint64_t mask)
{
    const struct krn_u32x4 x = rng_pair(t->stream, RNG_DISCLOSE, mask, 0);
    const double u = ((double)x.v[0] + 0.5) * 0x1p-32;
    const double ln2 = 0.69314718055994531;

    return -ln2 * krn_log2_f64(-ln2 * krn_log2_f64(u));
}

/* Of equal ones the choice that shows less, then the smaller mask. */
static void offer(struct best *b, const struct sim_eval *e,
                  const struct sim_task *t, uint64_t mask)
{
    const double utility = sim_eval_anticipated(e);
    const double key = t->temperature > 0
                           ? utility + t->temperature * noise(t, mask)
                           : utility;
    const bool same = b->any && !(key > b->key) && !(key < b->key);

    if (!b->any || key > b->key ||
        (same &&
         (e->shown < b->shown || (e->shown == b->shown && mask < b->mask))))
        *b = (struct best){utility, key, mask, e->shown, true};
}

/* Show the segments of a mask. */
static void choose(struct sim_eval *e, uint64_t mask)
{
    for (size_t k = 0; k < e->n; k++)
        e->kept_choice[k] = mask >> k & 1;
    sim_eval_choose(e, e->kept_choice);
}

static double grow(struct sim_eval *e, const struct sim_task *t)
{
    const bool binary = t->m->rule == SIM_BINARY;
    struct best b = {.any = false};
    const size_t n = e->n;

    memset(e->kept_choice, 0, n);
    sim_eval_choose(e, e->kept_choice);
    offer(&b, e, t, 0);
    if (binary) {
        memset(e->kept_choice, 1, n);
        sim_eval_choose(e, e->kept_choice);
        offer(&b, e, t, n);
    }
    for (size_t k = n; !binary && k-- > 0;) {
        sim_eval_toggle(e, k);
        offer(&b, e, t, n - k);
    }
    for (size_t k = 0; k < n; k++)
        e->kept_choice[k] = k >= n - b.mask;
    sim_eval_choose(e, e->kept_choice);
    return b.utility;
}

static double all_subsets(struct sim_eval *e, const struct sim_task *t)
{
    const size_t least = t->m->rule == SIM_ATLEAST ? t->m->least : 0;
    struct best b = {.any = false};
    uint64_t mask = 0;

    choose(e, 0);
    offer(&b, e, t, 0);
    for (uint64_t i = 1; i < (uint64_t)1 << e->n; i++) {
        const size_t k = (size_t)__builtin_ctzll(i);

        mask ^= (uint64_t)1 << k;
        sim_eval_toggle(e, k);
        if ((size_t)__builtin_popcountll(mask) >= least)
            offer(&b, e, t, mask);
    }
    choose(e, b.mask);
    return b.utility;
}

static double best(struct sim_eval *e, const struct sim_task *t)
{
    return t->m->rule == SIM_BINARY || t->m->rule == SIM_PREFIX
               ? grow(e, t)
               : all_subsets(e, t);
}

static const char *lacks(const struct sim_mechanism *m, size_t n)
{
    return m->rule == SIM_BINARY || m->rule == SIM_PREFIX || n <= SIM_EXACT_MOST
               ? NULL
               : "exact tries all subsets, of at most 16 segments: take "
                 "reinforce or greedy";
}

const struct sim_solver sim_solver_exact = {
    .name = "exact",
    .help = "try every legal choice",
    .best = best,
    .lacks = lacks,
};
