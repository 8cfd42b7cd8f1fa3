/* rec/lego_valid.c - what comes from a file is checked before it is used. */
#include <string.h>

#include "rec/lego.h"

#define D ((size_t)REC_ENCODING)

static uint64_t rows_of(const struct rec_model *m, const char *name)
{
    for (size_t i = 0; i < m->n_arrays; i++) {
        if (strcmp(m->array[i].name, name) == 0)
            return m->array[i].rows;
    }
    return 0;
}

/* Lists of indices below `limit`, one behind the other. */
static bool valid_lists(const uint64_t *ptr, uint64_t lists, uint64_t n,
                        const uint32_t *index, uint64_t limit)
{
    if (ptr[0] != 0 || ptr[lists] != n)
        return false;
    for (uint64_t i = 0; i < lists; i++) {
        if (ptr[i] > ptr[i + 1])
            return false;
    }
    for (uint64_t r = 0; r < n; r++) {
        if (index[r] >= limit)
            return false;
    }
    return true;
}

static bool valid_encoder(const struct rec_model *m, uint64_t adapters)
{
    return rec_model_has(m, "source", STO_U8, 1, KEY_DIGEST_BYTES) &&
           rec_model_has(m, "code", STO_F32, m->n_items, D) &&
           rec_model_has(m, "centre", STO_F32, 1, D) &&
           rec_model_has(m, "key", STO_F32, adapters, D);
}

static bool valid_heads(const struct rec_model *m, uint64_t adapters)
{
    const uint64_t n = rows_of(m, "head_item");

    return rec_model_has(m, "head_ptr", STO_U64, adapters + 1, 1) &&
           rec_model_has(m, "head_item", STO_U32, n, 1) &&
           rec_model_has(m, "head_weight", STO_F32, n, D + 1) &&
           valid_lists(rec_model_array(m, "head_ptr"), adapters, n,
                       rec_model_array(m, "head_item"), m->n_items);
}

bool rec_lego_valid(const struct rec_model *m)
{
    const struct rec_lego_opts *o = m->opts;
    const uint64_t active = rec_lego_active_of(o), n = rows_of(m, "item");

    if (!rec_model_has(m, "ptr", STO_U64, m->n_users + 1, 1) ||
        !rec_model_has(m, "item", STO_U32, n, 1) ||
        !rec_model_has(m, "active", STO_U32, m->n_users, active) ||
        !valid_lists(rec_model_array(m, "ptr"), m->n_users, n,
                     rec_model_array(m, "item"), m->n_items))
        return false;
    const uint32_t *who = rec_model_array(m, "active");

    for (uint64_t i = 0; i < m->n_users * active; i++) {
        if (who[i] >= (uint64_t)o->adapters)
            return false;
    }
    return (rec_lego_kind(o) == REC_SIGNS ||
            valid_encoder(m, (uint64_t)o->adapters)) &&
           (!rec_lego_learns(o) || valid_heads(m, (uint64_t)o->adapters));
}
