/* rec/part.c - models that are made of models. */
#include "rec/part.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define CORE 3    /* keys and popularity: the whole has its own */
#define ARRAYS 16 /* most of a part */
#define MORE 24   /* arrays of the whole itself, at most */

enum err rec_part_gather(struct rec_model *whole, const struct rec_data *d,
                         const struct rec_part *part, size_t n,
                         const struct rec_array_spec *more, size_t n_more)
{
    enum { MOST = REC_PARTS_MOST * ARRAYS };
    struct rec_array_spec spec[MOST + MORE];
    char name[MOST][sizeof(whole->array[0].name)];
    const struct sto_array *from[MOST];
    size_t k = 0;

    assert(n <= REC_PARTS_MOST && n_more <= MORE);
    for (size_t w = 0; w < n; w++) {
        for (size_t i = CORE; i < part[w].model->n_arrays; i++, k++) {
            assert(k < MOST);
            from[k] = &part[w].model->array[i];
            (void)snprintf(name[k], sizeof(name[k]), "%.10s.%.12s",
                           part[w].prefix, from[k]->name);
            spec[k] = (struct rec_array_spec){name[k], from[k]->type,
                                              (size_t)from[k]->rows,
                                              (size_t)from[k]->cols};
        }
    }
    for (size_t i = 0; i < n_more; i++)
        spec[k + i] = more[i];
    ERR_TRY(rec_model_alloc(whole, d, spec, k + n_more));
    for (size_t a = 0; a < k; a++)
        memcpy(rec_model_array(whole, name[a]), from[a]->data,
               spec[a].rows * spec[a].cols * sto_type_bytes(spec[a].type));
    return ERR_OK;
}

enum err rec_part_view(const struct rec_model *whole, const char *prefix,
                       struct rec_model *part)
{
    const size_t len = strlen(prefix);

    part->array = mem_array(whole->n_arrays, sizeof(*part->array));
    if (part->array == NULL)
        return err_set(ERR_NOMEM, "no memory to look at a part of a model");
    part->n_users = whole->n_users;
    part->n_items = whole->n_items;
    part->user_key = whole->user_key;
    part->item_key = whole->item_key;
    part->popularity = whole->popularity;
    for (size_t i = 0; i < whole->n_arrays; i++) {
        struct sto_array *to = &part->array[part->n_arrays];

        if (strncmp(whole->array[i].name, prefix, len) != 0 ||
            whole->array[i].name[len] != '.')
            continue;
        *to = whole->array[i];
        memmove(to->name, to->name + len + 1, sizeof(to->name) - len - 1);
        part->n_arrays++;
    }
    if (part->ops->valid != NULL && !part->ops->valid(part))
        return err_set(ERR_FORMAT, "the part \"%s\" of the model is damaged",
                       prefix);
    return part->ops->ready != NULL ? part->ops->ready(part) : ERR_OK;
}
