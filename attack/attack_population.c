/* attack/attack_population.c - whose history fits the scores. Source: Ye et
 * al., CCS 2022 (attack P); Yeom et al., CSF 2018. */
#include <string.h>

#include "attack/attack.h"

static enum err run(const struct atk_case *c, struct atk_scores *out)
{
    memcpy(out->target, c->of_target.phi, c->target.n * sizeof(*out->target));
    memcpy(out->shadow, c->of_shadow.phi, c->shadow.n * sizeof(*out->shadow));
    out->has_shadow = true;
    return ERR_OK;
}

extern const struct atk_attack atk_attack_population;
const struct atk_attack atk_attack_population = {
    .name = "population",
    .help = "whose history fits the model's scores, compared with strangers'",
    .sees = "a person's history and the model's scores of all items",
    .source = "Ye et al., CCS 2022 (attack P)",
    .needs = ATK_NEEDS_MODELS,
    .run = run,
};
