/* attack/attack_table.c - the table of attacks, generated from ATK_ATTACKS. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "attack/attack.h"
#include "base/opt.h"

#define X(name) extern const struct atk_attack atk_attack_##name;
#include "attack/attacks.def"
#undef X

const struct atk_attack *const atk_attacks[] = {
#define X(name) &atk_attack_##name,
#include "attack/attacks.def"
#undef X
    NULL,
};

enum err atk_attack_find(const char *name, const struct atk_attack **out)
{
    const char *names[64] = {NULL};

    for (size_t i = 0; atk_attacks[i] != NULL; i++) {
        if (strcmp(atk_attacks[i]->name, name) == 0) {
            *out = atk_attacks[i];
            return ERR_OK;
        }
        if (i + 1 < 64)
            names[i] = atk_attacks[i]->name;
    }
    return opt_unknown("attack", name, names, "`recd list attacks` names them");
}

enum err atk_attack_run(const struct atk_attack *a, const struct atk_case *c,
                        struct atk_scores *out)
{
    if (!c->faithful)
        return a->run(c, out);
    assert(a->faithful != NULL); /* the command refuses */
    return a->faithful(c, out);
}

const char *atk_attack_lacks(const struct atk_attack *a,
                             const struct atk_case *c)
{
    if ((a->needs & ATK_NEEDS_MODELS) == 0 && c->no_lists)
        return "lists (single rows are in question, which only scores tell)";
    if ((a->needs & ATK_NEEDS_MODELS) != 0 && c->of_target.phi == NULL)
        return "scores of the model (lists alone were given)";
    if ((a->needs & ATK_NEEDS_SHADOW) != 0 && c->shadow.n == 0)
        return "a shadow: people whose membership the attacker knows";
    if ((a->needs & ATK_NEEDS_VECTORS) != 0 && c->items.vec == NULL)
        return "vectors of items";
    return NULL;
}

static void free_signals(struct atk_signals *s)
{
    free(s->phi);
    free(s->ref);
    free(s->in);
    *s = (struct atk_signals){0};
}

void atk_case_free(struct atk_case *c)
{
    atk_items_free(&c->items);
    atk_people_free(&c->target);
    atk_people_free(&c->shadow);
    free_signals(&c->of_target);
    free_signals(&c->of_shadow);
    free_signals(&c->of_population);
    free(c->population_in);
    c->population_in = NULL;
}
