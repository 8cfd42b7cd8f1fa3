/* rec/model_file.c - a model's life in the store. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rec/model.h"

enum err rec_model_save(struct rec_model *m, struct sto *st,
                        struct sto_model *info)
{
    char *options = NULL;

    assert(strlen(m->ops->name) < sizeof(info->model));
    ERR_TRY(rec_model_options_json(m, &options));
    free(info->options);
    info->options = options;
    memcpy(info->model, m->ops->name, strlen(m->ops->name) + 1);
    info->seed = m->seed;
    info->epochs = m->epochs;
    _Static_assert(sizeof(info->device) >= DEVICE_WORD, "room for a device");
    rec_model_device(m->ops, info->device);
    rec_model_digest(m, info->digest);
    return sto_model_put(st, info, m->array, m->n_arrays);
}

/* --- opening ----------------------------------------------------------------
 */

static enum err open_bad(const char *name)
{
    return err_set(ERR_FORMAT,
                   "the weights of model %s do not have the shape "
                   "that its kind needs: train it again",
                   name);
}

/* Ascending, as every search relies on. */
static bool keys_good(const uint64_t *key, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (key[i - 1] >= key[i])
            return false;
    }
    return true;
}

enum err rec_model_adopt(struct rec_model *m, const char *name)
{
    const struct sto_array *a = m->array;

    if (m->n_arrays < 3 || a[0].rows >= REC_NOBODY || a[1].rows >= REC_NOBODY ||
        !rec_model_has(m, "user_key", STO_U64, a[0].rows, 1) ||
        !rec_model_has(m, "item_key", STO_U64, a[1].rows, 1) ||
        !rec_model_has(m, "popularity", STO_U32, a[1].rows, 1) ||
        strcmp(a[0].name, "user_key") != 0 ||
        strcmp(a[1].name, "item_key") != 0)
        return open_bad(name);
    m->n_users = (size_t)a[0].rows;
    m->n_items = (size_t)a[1].rows;
    m->user_key = a[0].data;
    m->item_key = a[1].data;
    m->popularity = rec_model_array(m, "popularity");
    if (!keys_good(m->user_key, m->n_users) ||
        !keys_good(m->item_key, m->n_items) ||
        (m->ops->valid != NULL && !m->ops->valid(m)))
        return open_bad(name);
    return m->ops->ready != NULL ? m->ops->ready(m) : ERR_OK;
}

static enum err load(struct rec_model *m, struct sto_view *v,
                     const struct sto_model *info, bool edit)
{
    ERR_TRY(edit ? sto_weights_edit(v, info->name, &m->saved)
                 : sto_weights_open(v, info->name, &m->saved));
    if (m->saved.n > REC_ARRAYS_MAX)
        return open_bad(info->name);
    m->array = mem_array(m->saved.n, sizeof(*m->array));
    if (m->array == NULL)
        return err_set(ERR_NOMEM, "no memory to open model %s", info->name);
    m->n_arrays = m->saved.n;
    if (m->saved.n > 0)
        memcpy(m->array, m->saved.array, m->saved.n * sizeof(*m->array));
    m->seed = info->seed;
    m->epochs = info->epochs;
    return rec_model_adopt(m, info->name);
}

enum err rec_model_load(struct rec_model *m, struct sto_view *v,
                        const struct sto_model *info)
{
    return load(m, v, info, false);
}

static enum err open_found(struct rec_model **out, struct sto_view *v,
                           const struct sto_model *info, bool edit)
{
    const struct rec_model_ops *ops = NULL;
    struct rec_model *m = NULL;
    enum err e = rec_model_find(info->model, &ops);

    if (e == ERR_OK)
        e = rec_model_new(&m, ops);
    if (e == ERR_OK)
        e = rec_model_options_parse(m, info->options);
    if (e == ERR_OK)
        e = load(m, v, info, edit);
    if (e != ERR_OK)
        rec_model_free(m);
    else
        *out = m;
    return e;
}

static enum err open_named(struct rec_model **out, struct sto_view *v,
                           const char *name, struct sto_model *info, bool edit)
{
    struct sto_model found = {0};
    enum err e;

    ERR_TRY(sto_model_get(v, name, &found));
    e = open_found(out, v, &found, edit);
    if (e == ERR_OK && info != NULL) {
        *info = found;
        return ERR_OK;
    }
    sto_model_free(&found);
    return e;
}

enum err rec_model_open(struct rec_model **out, struct sto_view *v,
                        const char *name, struct sto_model *info)
{
    return open_named(out, v, name, info, false);
}

enum err rec_model_open_edit(struct rec_model **out, struct sto_view *v,
                             const char *name)
{
    return open_named(out, v, name, NULL, true);
}
