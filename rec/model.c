/* rec/model.c - what all models share: life, arrays, training, digest. */
#include "rec/model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/mem.h"

#define CORE_ARRAYS 3 /* user_key, item_key, popularity */

enum err rec_model_find(const char *name, const struct rec_model_ops **out)
{
    const char *names[64] = {NULL};

    for (size_t i = 0; rec_models[i] != NULL && i < 63; i++) {
        if (strcmp(rec_models[i]->name, name) == 0) {
            *out = rec_models[i];
            return ERR_OK;
        }
        names[i] = rec_models[i]->name;
    }
    return opt_unknown("model", name, names, "`recd list models` names them");
}

enum err rec_model_new(struct rec_model **out, const struct rec_model_ops *ops)
{
    struct rec_model *m = mem_array(1, sizeof(*m));
    void *opts = mem_array(1, ops->opts_bytes > 0 ? ops->opts_bytes : 1);

    if (m == NULL || opts == NULL) {
        free(m);
        free(opts);
        return err_set(ERR_NOMEM, "no memory for a model");
    }
    m->ops = ops;
    m->opts = opts;
    if (ops->opts != NULL)
        opt_defaults(ops->opts, m->opts);
    *out = m;
    return ERR_OK;
}

void rec_model_free(struct rec_model *m)
{
    if (m == NULL)
        return;
    if (m->saved.map != NULL || m->saved.array != NULL)
        sto_weights_close(&m->saved);
    if (m->parts_free != NULL)
        m->parts_free(m->parts);
    json_decref(m->texts);
    free(m->array);
    free(m->block);
    free(m->opts);
    free(m);
}

/* --- arrays -----------------------------------------------------------------
 */

/* Describe array `at`; false when its size is not representable. */
static bool array_describe(struct sto_array *a, const struct rec_array_spec *s,
                           size_t *bytes)
{
    size_t n;

    assert(strlen(s->name) < sizeof(a->name));
    memcpy(a->name, s->name, strlen(s->name) + 1);
    a->type = s->type;
    a->rows = s->rows;
    a->cols = s->cols;
    if (__builtin_mul_overflow(s->rows, s->cols, &n) ||
        __builtin_mul_overflow(n, sto_type_bytes(s->type), &n) ||
        n > SIZE_MAX / 2 - MEM_ALIGN)
        return false;
    n = (n + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
    return !__builtin_add_overflow(*bytes, n, bytes);
}

/* Give each array its place in the block. */
static void arrays_place(struct sto_array *array, size_t n, char *block)
{
    for (size_t i = 0; i < n; i++) {
        const size_t bytes = (size_t)(array[i].rows * array[i].cols) *
                             sto_type_bytes(array[i].type);

        array[i].data = block;
        block += (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
    }
}

static void core_fill(struct rec_model *m, const struct rec_data *d)
{
    uint32_t *popularity = m->array[2].data;

    m->n_users = d->n_users;
    m->n_items = d->n_items;
    if (d->n_users > 0)
        memcpy(m->array[0].data, d->user_key, d->n_users * sizeof(uint64_t));
    if (d->n_items > 0)
        memcpy(m->array[1].data, d->item_key, d->n_items * sizeof(uint64_t));
    for (size_t r = 0; r < d->n_rows; r++)
        popularity[d->item[r]]++;
    m->user_key = m->array[0].data;
    m->item_key = m->array[1].data;
    m->popularity = popularity;
}

enum err rec_model_alloc(struct rec_model *m, const struct rec_data *d,
                         const struct rec_array_spec *spec, size_t n)
{
    const struct rec_array_spec core[CORE_ARRAYS] = {
        {"user_key", STO_U64, d->n_users, 1},
        {"item_key", STO_U64, d->n_items, 1},
        {"popularity", STO_U32, d->n_items, 1},
    };
    struct sto_array *array = mem_array(n + CORE_ARRAYS, sizeof(*array));
    size_t bytes = 0;
    bool fits = array != NULL;
    char *block;

    assert(n + CORE_ARRAYS <= REC_ARRAYS_MAX);
    n += CORE_ARRAYS;
    for (size_t i = 0; i < n && fits; i++)
        fits = array_describe(
            &array[i], i < CORE_ARRAYS ? &core[i] : &spec[i - CORE_ARRAYS],
            &bytes);
    block = fits ? mem_array(bytes, 1) : NULL;
    if (block == NULL) {
        free(array);
        return err_set(ERR_NOMEM, "no memory for the arrays of model %s",
                       m->ops->name);
    }
    arrays_place(array, n, block);
    free(m->block);
    free(m->array);
    m->block = block;
    m->array = array;
    m->n_arrays = n;
    core_fill(m, d);
    return ERR_OK;
}

static const struct sto_array *array_find(const struct rec_model *m,
                                          const char *name)
{
    for (size_t i = 0; i < m->n_arrays; i++) {
        if (strcmp(m->array[i].name, name) == 0)
            return &m->array[i];
    }
    return NULL;
}

void *rec_model_array(const struct rec_model *m, const char *name)
{
    const struct sto_array *a = array_find(m, name);

    assert(a != NULL);
    return a->data;
}

size_t rec_model_cols(const struct rec_model *m, const char *name)
{
    const struct sto_array *a = array_find(m, name);

    return a != NULL ? (size_t)a->cols : 0;
}

bool rec_model_has(const struct rec_model *m, const char *name,
                   enum sto_type type, uint64_t rows, uint64_t cols)
{
    const struct sto_array *a = array_find(m, name);

    return a != NULL && a->type == type && a->rows == rows && a->cols == cols;
}

/* --- training ---------------------------------------------------------------
 */

/* x - x is 0 for numbers and NaN for what is not one. */
static bool array_finite(const struct sto_array *a)
{
    const size_t n = (size_t)(a->rows * a->cols);
    float bad = 0;
    double worse = 0;

    if (a->type == STO_F32) {
        for (size_t i = 0; i < n; i++) {
            const float x = ((const float *)a->data)[i];

            bad += x - x;
        }
    }
    if (a->type == STO_F64) {
        for (size_t i = 0; i < n; i++) {
            const double x = ((const double *)a->data)[i];

            worse += x - x;
        }
    }
    return bad == 0 && worse == 0;
}

enum err rec_model_set_level(struct rec_model *m, size_t level)
{
    const size_t n = m->ops->levels != NULL ? m->ops->levels(m) : 1;

    if (level > n)
        return err_set(
            ERR_ARG, "--level %zu: the model has %zu (train it with --levels)",
            level, n);
    m->level = level;
    return ERR_OK;
}

static enum err check_finite(const struct rec_model *m)
{
    for (size_t i = 0; i < m->n_arrays; i++) {
        if (!array_finite(&m->array[i]))
            return err_set(ERR_NUM,
                           "training %s diverged: %s holds a value that is no "
                           "number (lower --lr or raise --reg)",
                           m->ops->name, m->array[i].name);
    }
    return ERR_OK;
}

void rec_model_device(const struct rec_model_ops *ops, char word[DEVICE_WORD])
{
    if (!ops->on_device)
        device_pause();
    device_word(word);
    if (!ops->on_device)
        device_resume();
}

enum err rec_model_fit(struct rec_model *m, const struct rec_data *d,
                       const struct rec_watch *watch)
{
    if (d->n_rows == 0)
        return err_set(ERR_ARG, "there are no training interactions: import "
                                "some first");
    if (m->ops->fit_bytes != NULL)
        ERR_TRY(mem_budget(m->ops->fit_bytes(d, m->opts), m->ops->name));
    if (!m->ops->on_device)
        device_pause();
    const enum err e = m->ops->fit(m, d, watch);

    if (!m->ops->on_device)
        device_resume();
    return e == ERR_OK ? check_finite(m) : e;
}

enum err rec_model_refit(struct rec_model *m, const struct rec_data *d,
                         const struct rec_model *before)
{
    if (m->ops->refit == NULL || d->n_rows == 0)
        return rec_model_fit(m, d, NULL);
    ERR_TRY(mem_budget(m->ops->fit_bytes(d, m->opts), m->ops->name));
    ERR_TRY(m->ops->refit(m, d, before));
    return check_finite(m);
}

enum err rec_model_fit_counts(struct rec_model *m, const struct rec_data *d,
                              const struct rec_counts *c)
{
    if (d->n_items != c->n_items || d->n_rows == 0)
        return err_set(ERR_ARG, "these counts are not of this data");
    ERR_TRY(mem_budget(m->ops->fit_bytes(d, m->opts), m->ops->name));
    ERR_TRY(m->ops->fit_counts(m, d, c));
    return check_finite(m);
}

void rec_model_digest(const struct rec_model *m,
                      unsigned char digest[KEY_DIGEST_BYTES])
{
    sto_arrays_digest(m->array, m->n_arrays, digest);
}
