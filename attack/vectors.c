/* attack/vectors.c - vectors of items, learnt by the attacker. */
#include "attack/vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rec/data.h"
#include "rec/model.h"

static int ascending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

enum err atk_histories(struct rec_data *out, const struct atk_people *p,
                       const struct atk_items *t)
{
    *out = (struct rec_data){0};
    ERR_TRY(rec_data_copy_keys(out, p->key, p->n, t->key, t->n));
    out->user_ptr = mem_array(p->n + 1, sizeof(*out->user_ptr));
    out->item = mem_array(p->hist_ptr[p->n], sizeof(*out->item));
    if (out->user_ptr == NULL || out->item == NULL)
        return err_set(ERR_NOMEM, "no memory for histories");
    for (size_t u = 0; u < p->n; u++) {
        uint32_t *row = out->item + out->n_rows;
        const size_t n = p->hist_ptr[u + 1] - p->hist_ptr[u];
        size_t kept = 0;

        memcpy(row, p->hist + p->hist_ptr[u], n * sizeof(*row));
        qsort(row, n, sizeof(*row), ascending);
        for (size_t r = 0; r < n; r++) {
            if (kept == 0 || row[kept - 1] != row[r])
                row[kept++] = row[r];
        }
        out->n_rows += kept;
        out->user_ptr[u + 1] = out->n_rows;
    }
    return ERR_OK;
}

static enum err learn(struct rec_model *m, const struct rec_data *d,
                      struct atk_items *t)
{
    char dim[16];
    size_t got;

    (void)snprintf(dim, sizeof(dim), "%d", ATK_VECTOR_DIM);
    ERR_TRY(opt_assign(m->ops->opts, m->opts, "dim", dim));
    ERR_TRY(rec_model_fit(m, d, NULL));
    const float *v = m->ops->item_vectors(m, &got);

    t->dim = got;
    t->vec = mem_array(t->n * got, sizeof(*t->vec));
    t->known = mem_array(t->n, 1);
    if (t->vec == NULL || t->known == NULL)
        return err_set(ERR_NOMEM, "no memory for vectors of items");
    memcpy(t->vec, v, t->n * got * sizeof(*t->vec));
    for (size_t r = 0; r < d->n_rows; r++)
        t->known[d->item[r]] = 1;
    return ERR_OK;
}

enum err atk_items_learn(struct atk_items *t, const struct atk_people *p,
                         uint64_t seed)
{
    const struct rec_model_ops *ops;
    struct rec_model *m = NULL;
    struct rec_data d;
    enum err e = atk_histories(&d, p, t);

    if (e == ERR_OK)
        e = rec_model_find("ials", &ops);
    if (e == ERR_OK)
        e = rec_model_new(&m, ops);
    if (e == ERR_OK) {
        m->seed = seed;
        e = learn(m, &d, t);
    }
    rec_model_free(m);
    rec_data_free(&d);
    return e;
}
