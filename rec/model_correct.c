/* rec/model_correct.c - a model whose rows left, until it is fitted again. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rec/model.h"

static void count_popularity(uint32_t *popularity, const struct rec_data *d,
                             const uint8_t *keep)
{
    for (size_t r = 0; r < d->n_rows; r++)
        popularity[d->item[r]] -= !keep[r];
}

/* Take array[i] out where gone[i], in place; how many are left. */
static size_t squeeze_u64(uint64_t *array, size_t n, const uint8_t *gone)
{
    size_t left = 0;

    for (size_t i = 0; i < n; i++) {
        if (!gone[i])
            array[left++] = array[i];
    }
    return left;
}

static size_t squeeze_u32(uint32_t *array, size_t n, const uint8_t *gone)
{
    size_t left = 0;

    for (size_t i = 0; i < n; i++) {
        if (!gone[i])
            array[left++] = array[i];
    }
    return left;
}

static void find_empty(const struct rec_data *d, const uint8_t *keep,
                       uint8_t *empty)
{
    for (size_t u = 0; u < d->n_users; u++) {
        empty[u] = 1;
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++)
            empty[u] = empty[u] && !keep[r];
    }
}

/* Keys and popularity, whose shapes say what m holds. */
static void correct_keys(struct rec_model *m, const struct rec_data *d,
                         const uint8_t *keep, const uint8_t *gone,
                         const uint8_t *empty)
{
    uint32_t *popularity = rec_model_array(m, "popularity");

    count_popularity(popularity, d, keep);
    (void)squeeze_u32(popularity, d->n_items, gone);
    m->n_users = squeeze_u64(rec_model_array(m, "user_key"), d->n_users, empty);
    m->n_items = squeeze_u64(rec_model_array(m, "item_key"), d->n_items, gone);
    m->array[0].rows = m->n_users;
    m->array[1].rows = m->array[2].rows = m->n_items;
}

enum err rec_model_correct(struct rec_model *m, const struct rec_data *d,
                           const uint8_t *keep, const uint8_t *gone)
{
    uint8_t *empty;

    if (m->n_users != d->n_users || m->n_items != d->n_items)
        return err_set(ERR_ARG, "these rows are not those of the model");
    if ((empty = mem_array(d->n_users, 1)) == NULL)
        return err_set(ERR_NOMEM, "no memory to correct a model");
    find_empty(d, keep, empty);
    enum err e = sto_weights_begin(&m->saved);

    if (e == ERR_OK) {
        e = m->ops->correct(m, d, keep, gone);
        if (e == ERR_OK)
            correct_keys(m, d, keep, gone, empty);
        const enum err end = sto_weights_end(
            &m->saved, m->array, e == ERR_OK ? STO_INTERIM : STO_WHOLE);

        e = e == ERR_OK ? end : e;
    }
    free(empty);
    return e;
}
