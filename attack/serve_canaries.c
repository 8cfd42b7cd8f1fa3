/*
 * attack/serve_canaries.c - the positive control: made-up people, fifty copies
 * each, whom attacks on scores must find.
 */
#include <stdlib.h>
#include <string.h>

#include "attack/serve_pool.h"
#include "base/rng.h"

#define CANARIES 100
#define COPIES 50
#define CANARY_REFS 4
#define FIRST_CANARY ((uint64_t)1 << 40) /* of streams: models come before */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for an audit");
}

/* Key of copy k of canary c: a hash, like those of people. */
static uint64_t canary_key(uint64_t seed, size_t c, size_t k)
{
    return rng_derive(rng_derive(seed, RNG_AUDIT, FIRST_CANARY + c), RNG_AUDIT,
                      k + 1);
}

struct keyed {
    uint64_t key;
    uint32_t from; /* number of a person, or n_users + canary * COPIES + copy */
};

static int by_key(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;

    return (x->key > y->key) - (x->key < y->key);
}

static size_t median_length(const struct rec_data *d)
{
    /* the mean would do as well: what matters is the order of magnitude */
    const size_t mean = d->n_rows / (d->n_users > 0 ? d->n_users : 1);

    return mean < 2 ? 2 : mean > 50 ? 50 : mean;
}

/* Who is public (no canary is), and what the catalogue says. */
static enum err copy_extras(struct rec_data *out, const struct rec_data *d,
                            const struct keyed *list)
{
    if (d->open != NULL && (out->open = mem_array(out->n_users, 1)) == NULL)
        return no_memory();
    for (size_t u = 0; u < out->n_users && d->open != NULL; u++)
        out->open[u] = list[u].from < d->n_users && d->open[list[u].from];
    return rec_data_copy_traits(out, d);
}

/* The people of d and the copies of canaries, in the order of keys. */
static enum err with_canaries(struct rec_data *out, const struct rec_data *d,
                              uint64_t seed, struct keyed *list)
{
    const size_t n = d->n_users + CANARIES * COPIES;
    const size_t len =
        median_length(d) < d->n_items ? median_length(d) : d->n_items;
    uint64_t *key = mem_array(n, sizeof(*key));
    size_t *choice = mem_array(len, sizeof(*choice));

    *out = (struct rec_data){0};
    if (key == NULL || choice == NULL) {
        free(key);
        free(choice);
        return no_memory();
    }
    for (size_t u = 0; u < n; u++) {
        const size_t c = u - d->n_users;

        list[u].from = (uint32_t)u;
        list[u].key = u < d->n_users ? d->user_key[u]
                                     : canary_key(seed, c / COPIES, c % COPIES);
    }
    qsort(list, n, sizeof(*list), by_key);
    for (size_t u = 0; u < n; u++)
        key[u] = list[u].key;
    enum err e = rec_data_copy_keys(out, key, n, d->item_key, d->n_items);

    out->user_ptr = mem_array(n + 1, sizeof(*out->user_ptr));
    out->item =
        mem_array(d->n_rows + CANARIES * COPIES * len, sizeof(*out->item));
    if (e == ERR_OK && (out->user_ptr == NULL || out->item == NULL))
        e = no_memory();
    if (e == ERR_OK)
        e = copy_extras(out, d, list);
    for (size_t u = 0; u < n && e == ERR_OK; u++) {
        uint32_t *to = out->item + out->n_rows;
        const uint32_t from = list[u].from;
        size_t rows = len;

        if (from < d->n_users) {
            rows = d->user_ptr[from + 1] - d->user_ptr[from];
            memcpy(to, d->item + d->user_ptr[from], rows * sizeof(*to));
        } else {
            rng_sample(rng_derive(seed, RNG_AUDIT,
                                  FIRST_CANARY + (from - d->n_users) / COPIES),
                       RNG_AUDIT, d->n_items, len, choice);
            for (size_t i = 0; i < len; i++)
                to[i] = (uint32_t)choice[i];
        }
        out->n_rows += rows;
        out->user_ptr[u + 1] = out->n_rows;
    }
    free(key);
    free(choice);
    return e;
}

enum err atk_serve_canaries(struct atk_case *out, const struct rec_data *d,
                            const struct atk_serving *how)
{
    struct atk_serving few = *how;
    struct mem_scratch m = {0};
    struct rec_data all = {0};
    struct atk_pool p = {0};
    struct keyed *list =
        mem_take(&m, d->n_users + CANARIES * COPIES, 1, sizeof(*list));
    enum err e =
        m.failed ? no_memory() : with_canaries(&all, d, how->seed, list);

    *out = (struct atk_case){0};
    few.n_refs = CANARY_REFS;
    few.published = few.rows = false;
    if (e == ERR_OK)
        e = atk_pool_open(&p, &m, &all);
    for (size_t u = 0; u < all.n_users && e == ERR_OK; u++) {
        const bool person = list[u].from < d->n_users;
        const size_t c = person ? 0 : list[u].from - d->n_users;

        p.coin[u] = person ? list[u].key : canary_key(how->seed, c / COPIES, 0);
        p.role[u] = person            ? ATK_ATTACKERS
                    : c % COPIES == 0 ? ATK_ATTACKED
                                      : ATK_NOBODYS;
    }
    if (e == ERR_OK) {
        atk_pool_sides(&p);
        e = atk_pool_serve(out, &p, &few, NULL, "training on canaries");
    }
    rec_data_free(&all);
    mem_drop(&m);
    return e;
}
