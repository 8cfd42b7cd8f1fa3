/*
 * privacy_sim/solver_exact.c - every legal choice is tried.
 *
 * First a table of qualities: subsets come in the order of Gray's code, so that
 * one segment is toggled from each to the next; prefixes and all-or-nothing
 * grow by a segment.  Then the best of it.
 */
#include <string.h>

#include "base/rng.h"
#include "kernels/power.h"
#include "privacy_sim/solver.h"

static bool is_row(const struct sim_mechanism *m)
{
    return m->rule == SIM_BINARY || m->rule == SIM_PREFIX;
}

size_t sim_exact_choices(const struct sim_mechanism *m, size_t n)
{
    if (m->rule == SIM_BINARY || m->rule == SIM_FIXED)
        return 2;
    return m->rule == SIM_PREFIX ? n + 1 : (size_t)1 << n;
}

/* The segments of choice i, as bits. */
static uint64_t mask_of(const struct sim_mechanism *m, size_t n, size_t i)
{
    const uint64_t all = n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX;

    if (m->rule == SIM_BINARY)
        return i == 0 ? 0 : all;
    if (m->rule == SIM_PREFIX)
        return i == 0 ? 0 : all & ~(((uint64_t)1 << (n - i)) - 1);
    return i;
}

void sim_exact_show(const struct sim_mechanism *m, size_t n, size_t i,
                    uint8_t *on)
{
    const uint64_t mask = mask_of(m, n, i);

    for (size_t k = 0; k < n; k++)
        on[k] = mask >> k & 1;
}

void sim_exact_choose(struct sim_eval *e, const struct sim_mechanism *m,
                      size_t i)
{
    sim_exact_show(m, e->n, i, e->kept_choice);
    sim_eval_choose(e, e->kept_choice);
}

void sim_exact_table(struct sim_eval *e, const struct sim_mechanism *m,
                     float *quality)
{
    const size_t n = e->n;
    uint64_t mask = 0;

    sim_exact_choose(e, m, 0);
    quality[0] = (float)sim_eval_quality(e, false);
    if (m->rule == SIM_BINARY) {
        sim_exact_choose(e, m, 1);
        quality[1] = (float)sim_eval_quality(e, false);
    }
    for (size_t k = n; m->rule == SIM_PREFIX && k-- > 0;) {
        sim_eval_toggle(e, k);
        quality[n - k] = (float)sim_eval_quality(e, false);
    }
    for (uint64_t i = 1; !is_row(m) && i < (uint64_t)1 << n; i++) {
        const size_t k = (size_t)__builtin_ctzll(i);

        mask ^= (uint64_t)1 << k;
        sim_eval_toggle(e, k);
        quality[mask] = (float)sim_eval_quality(e, false);
    }
}

/* --- the best --------------------------------------------------------------
 */

/* Gumbel noise named by (person and round, choice): the largest of utility / t
 * + noise is a draw from exp(utility / t). */
static double noise(const struct sim_task *t, uint64_t choice)
{
    const struct krn_u32x4 x = rng_pair(t->stream, RNG_DISCLOSE, choice, 0);
    const double u = ((double)x.v[0] + 0.5) * 0x1p-32;
    const double ln2 = 0.69314718055994531;

    return -ln2 * krn_log2_f64(-ln2 * krn_log2_f64(u));
}

static int64_t price_of(const struct sim_eval *e, uint64_t mask)
{
    const int64_t *weight = e->w->weight + e->w->seg_ptr[e->user];
    int64_t price = 0;

    for (; mask != 0; mask &= mask - 1)
        price += weight[__builtin_ctzll(mask)];
    return price;
}

double sim_exact_utility(const struct sim_eval *e,
                         const struct sim_mechanism *m,
                         const struct sim_belief *b, size_t i)
{
    const uint64_t mask = mask_of(m, e->n, i);
    double quality = (double)b->quality[i];

    if (b->usual != NULL)
        quality = b->own * quality + (1 - b->own) * (double)b->usual[i];
    return sim_eval_felt(e, quality, price_of(e, mask),
                         (size_t)__builtin_popcountll(mask));
}

/* Of equal ones the choice that shows less, then the smaller number. */
size_t sim_exact_best(const struct sim_eval *e, const struct sim_task *t,
                      const struct sim_belief *b, double *utility)
{
    const size_t n = sim_exact_choices(t->m, e->n);
    double most = 0, key = 0;
    size_t best = n, shown = 0;

    for (size_t i = 0; i < n; i++) {
        const uint64_t mask = mask_of(t->m, e->n, i);
        const size_t on = (size_t)__builtin_popcountll(mask);

        if (t->m->rule == SIM_ATLEAST && on > 0 && on < t->m->least)
            continue;
        const double u = sim_exact_utility(e, t->m, b, i);
        const double x =
            t->temperature > 0 ? u + t->temperature * noise(t, i) : u;

        if (best < n && (x < key || (!(x > key) && on >= shown)))
            continue;
        best = i;
        key = x;
        most = u;
        shown = on;
    }
    *utility = most;
    return best;
}

size_t sim_exact_number(const struct sim_mechanism *m, const uint8_t *on,
                        size_t n)
{
    size_t mask = 0, count = 0;

    for (size_t k = 0; k < n; k++) {
        mask |= (size_t)(on[k] != 0) << k;
        count += on[k] != 0;
    }
    if (m->rule == SIM_BINARY)
        return count > 0;
    return m->rule == SIM_PREFIX ? count : mask;
}

static double best(struct sim_eval *e, const struct sim_task *t)
{
    const struct sim_belief b = {.quality = e->table};
    double utility;

    sim_exact_table(e, t->m, e->table);
    const size_t i = sim_exact_best(e, t, &b, &utility);

    sim_exact_choose(e, t->m, i);
    return utility;
}

static const char *lacks(const struct sim_mechanism *m, size_t n)
{
    if (is_row(m))
        return n <= 64 ? NULL
                       : "exact knows at most 64 segments: take blocks:64 or "
                         "fewer";
    return n <= SIM_SUBSETS ? NULL
                            : "exact tries all subsets, of at most 16 "
                              "segments: take reinforce or greedy";
}

const struct sim_solver sim_solver_exact = {
    .name = "exact",
    .help = "try every legal choice",
    .best = best,
    .lacks = lacks,
};
