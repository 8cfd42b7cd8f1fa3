/* attack/attack_overlap.c - whose list repeats their history. */
#include "attack/attack.h"
#include "attack/features.h"

static enum err run(const struct atk_case *c, struct atk_scores *out)
{
    out->has_shadow = c->shadow.n > 0;
    if (out->has_shadow)
        ERR_TRY(atk_overlap(&c->shadow, c->items.n, out->shadow));
    return atk_overlap(&c->target, c->items.n, out->target);
}

extern const struct atk_attack atk_attack_overlap;
const struct atk_attack atk_attack_overlap = {
    .name = "overlap",
    .help = "members' lists repeat items of their history",
    .sees = "a person's history and list",
    .source = "docs/audit.md",
    .run = run,
};
