/*
 * attack/attack_st_mia.c - a network on difference vectors, learnt from a
 * shadow ("Biased" in the tables of DL-MIA).  Source: Zhang et al., CCS 2021;
 * with the rates of the program of DL-MIA for lists of sequences.
 */
#include <stdlib.h>

#include "attack/attack.h"
#include "attack/features.h"
#include "attack/mlp.h"
#include "base/mem.h"

typedef enum err difference(const struct atk_people *p,
                            const struct atk_items *t, float *out);

static enum err learn(const struct atk_case *c, const struct atk_mlp *how,
                      difference *of, struct atk_scores *out)
{
    struct mem_scratch m = {0};
    float *x = mem_take(&m, c->shadow.n, how->dim, sizeof(*x));
    float *z = mem_take(&m, c->target.n, how->dim, sizeof(*z));
    enum err e = m.failed ? err_set(ERR_NOMEM, "no memory for an attack")
                          : of(&c->shadow, &c->items, x);

    if (e == ERR_OK)
        e = of(&c->target, &c->items, z);
    if (e == ERR_OK)
        e = atk_mlp_scores(how, x, c->shadow.member, c->shadow.n, z,
                           c->target.n, out->shadow, out->target);
    mem_drop(&m);
    out->has_shadow = out->has_threshold = true;
    out->threshold = 0;
    return e;
}

static enum err run(const struct atk_case *c, struct atk_scores *out)
{
    const struct atk_mlp how = {
        .dim = c->items.dim,
        .epochs = 15,
        .lr = 0.01,
        .momentum = 0.7,
        .soft_twice = true,
        .as_pytorch = true,
        .seed = c->seed,
    };

    return learn(c, &how, atk_difference, out);
}

/* All members first, then the others, in every epoch: as its files are.  First
 * values are nn/'s: with PyTorch's the network dies in most cases
 * (docs/audit.md). */
static enum err faithful(const struct atk_case *c, struct atk_scores *out)
{
    const struct atk_mlp how = {
        .dim = c->items.dim,
        .epochs = 20,
        .lr = 0.01,
        .momentum = 0.9,
        .members_first = true,
        .soft_twice = true,
        .seed = c->seed,
    };

    (void)snprintf(out->note, sizeof(out->note),
                   "as published: lists weighed by rank; in each of 20 epochs "
                   "all members first, at momentum .9");
    return learn(c, &how, atk_difference_ranked, out);
}

extern const struct atk_attack atk_attack_st_mia;
const struct atk_attack atk_attack_st_mia = {
    .name = "st-mia",
    .help = "a network on history minus list, learnt from a shadow",
    .sees = "a person's history and list; people of known membership; vectors "
            "of items",
    .source = "Zhang et al., CCS 2021",
    .needs = ATK_NEEDS_SHADOW | ATK_NEEDS_VECTORS,
    .run = run,
    .faithful = faithful,
};
