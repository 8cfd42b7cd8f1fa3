/*
 * attack/serve_pool.h - what attack/serve.c and attack/serve_canaries.c share:
 * people (or rows) whose coins decide what models learn from.
 */
#ifndef ATK_SERVE_POOL_H
#define ATK_SERVE_POOL_H

#include "attack/serve.h"
#include "base/mem.h"

enum atk_role { ATK_NOBODYS, ATK_ATTACKED, ATK_ATTACKERS };

/* People and what is decided about them. */
struct atk_pool {
    const struct rec_data *d;
    uint64_t *coin; /* [n_users] whose coin decides: copies share one */
    uint8_t *role;  /* [n_users] */
    uint32_t *target, *shadow; /* numbers of the two sides */
    size_t n_target, n_shadow;
    /* Rows, not people, are members: the row of each person that a coin leaves
     * out, as its place in d->item, or SIZE_MAX: none; NULL: people are. */
    const size_t *row;
};

/* Room for d's people, all of nobody's side.  ERR_NOMEM. */
ERR_CHECK
enum err atk_pool_open(struct atk_pool *p, struct mem_scratch *m,
                       const struct rec_data *d);
/* Fill target and shadow by the roles. */
void atk_pool_sides(struct atk_pool *p);

/* Train n_refs + 1 models on coins, and fill the case; `what` for progress. */
ERR_CHECK
enum err atk_pool_serve(struct atk_case *c, const struct atk_pool *p,
                        const struct atk_serving *how, struct atk_served *info,
                        const char *what);

#endif
