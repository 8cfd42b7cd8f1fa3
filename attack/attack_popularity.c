/* attack/attack_popularity.c - who is shown what everybody is shown. */
#include <stdlib.h>

#include "attack/attack.h"
#include "attack/features.h"
#include "base/mem.h"

static void score(const struct atk_people *p, const double *log_count,
                  double *out)
{
    atk_list_mean(p, log_count, out);
    for (size_t u = 0; u < p->n; u++)
        out[u] = -out[u];
}

/* Counts come from the attacker's own people where there are some, so that the
 * threshold can come from them too; else from the histories under attack. */
static enum err run(const struct atk_case *c, struct atk_scores *out)
{
    const bool own = c->shadow.n > 0;
    double *log_count = mem_array(c->items.n, sizeof(*log_count));

    if (log_count == NULL)
        return err_set(ERR_NOMEM, "no memory for the popularity of items");
    atk_popularity(own ? &c->shadow : &c->target, c->items.n, log_count);
    score(&c->target, log_count, out->target);
    if (own)
        score(&c->shadow, log_count, out->shadow);
    out->has_shadow = own;
    free(log_count);
    return ERR_OK;
}

extern const struct atk_attack atk_attack_popularity;
const struct atk_attack atk_attack_popularity = {
    .name = "popularity",
    .help = "members get less popular lists: minus the mean log-popularity",
    .sees = "a person's list",
    .source = "docs/audit.md",
    .run = run,
};
