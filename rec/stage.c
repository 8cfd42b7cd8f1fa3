/* rec/stage.c - parameters from one stage of a training to the next. */
#include "rec/stage.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define KEYS 2 /* arrays of keys before the parts */

void rec_state_free(struct rec_state *s)
{
    if (s == NULL)
        return;
    free(s->array);
    free(s->block);
    *s = (struct rec_state){.n = 0};
}

static bool keys_valid(const struct sto_array *a, const char *name)
{
    const uint64_t *key = a->data;

    if (strcmp(a->name, name) != 0 || a->type != STO_U64 || a->cols != 1 ||
        a->rows >= REC_NOBODY)
        return false;
    for (uint64_t i = 1; i < a->rows; i++) {
        if (key[i - 1] >= key[i])
            return false;
    }
    return true;
}

bool rec_state_valid(const struct rec_state *s)
{
    return s->n > KEYS && keys_valid(&s->array[0], "user_key") &&
           keys_valid(&s->array[1], "item_key");
}

static size_t rows_of(const struct rec_data *d, enum rec_stage_of of)
{
    return of == REC_OF_USERS   ? d->n_users
           : of == REC_OF_ITEMS ? d->n_items
                                : 1;
}

/* Rows of `from` that go by a key of now take their places. */
static void carry(float *to, const uint64_t *key, size_t n,
                  const struct sto_array *from, const struct sto_array *keys)
{
    const size_t cols = (size_t)from->cols;

    for (size_t i = 0; i < n; i++) {
        const uint32_t at =
            rec_key_find(keys->data, (size_t)keys->rows, key[i]);

        if (at != REC_NOBODY)
            memcpy(to + i * cols, (const float *)from->data + at * cols,
                   cols * sizeof(*to));
    }
}

static const struct sto_array *find(const struct rec_state *s,
                                    const struct rec_stage_part *part)
{
    const struct sto_array *keys = &s->array[part->of == REC_OF_ITEMS];

    for (size_t i = KEYS; i < s->n; i++) {
        const struct sto_array *a = &s->array[i];

        if (strcmp(a->name, part->name) == 0)
            return a->type == STO_F32 && a->cols == part->cols &&
                           a->rows == (part->of == REC_OF_ALL ? 1 : keys->rows)
                       ? a
                       : NULL;
    }
    return NULL;
}

enum err rec_stage_begin(const struct rec_model *m, const struct rec_data *d,
                         const struct rec_stage_part *part, size_t n)
{
    const struct rec_state *s = m->stage != NULL ? m->stage->before : NULL;

    for (size_t i = 0; s != NULL && i < n; i++) {
        const struct sto_array *a = find(s, &part[i]);

        if (a == NULL)
            return err_set(ERR_FORMAT,
                           "a stage of training does not fit the model: train "
                           "it again");
        if (part[i].of == REC_OF_ALL)
            memcpy(part[i].data, a->data, part[i].cols * sizeof(float));
        else if (part[i].of == REC_OF_USERS)
            carry(part[i].data, d->user_key, d->n_users, a, &s->array[0]);
        else
            carry(part[i].data, d->item_key, d->n_items, a, &s->array[1]);
    }
    return ERR_OK;
}

/* --- the end of a stage -----------------------------------------------------
 */

static void describe(struct sto_array *a, const char *name, enum sto_type type,
                     size_t rows, size_t cols)
{
    assert(strlen(name) < 16);
    *a = (struct sto_array){.type = type, .rows = rows, .cols = cols};
    memcpy(a->name, name, strlen(name) + 1);
}

static size_t room_of(const struct sto_array *a)
{
    const size_t bytes = (size_t)(a->rows * a->cols) * sto_type_bytes(a->type);

    return (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
}

static enum err place(struct rec_state *s)
{
    size_t bytes = 0;
    char *at;

    for (size_t i = 0; i < s->n; i++)
        bytes += room_of(&s->array[i]);
    if ((at = s->block = mem_array(bytes, 1)) == NULL)
        return err_set(ERR_NOMEM, "no memory to keep a stage of training");
    for (size_t i = 0; i < s->n; i++) {
        s->array[i].data = at;
        at += room_of(&s->array[i]);
    }
    return ERR_OK;
}

enum err rec_stage_end(const struct rec_model *m, const struct rec_data *d,
                       const struct rec_stage_part *part, size_t n)
{
    struct rec_state *out = m->stage != NULL ? m->stage->after : NULL;
    struct rec_state s = {.n = KEYS + n};

    if (out == NULL)
        return ERR_OK;
    s.array = mem_array(s.n, sizeof(*s.array));
    if (s.array == NULL)
        return err_set(ERR_NOMEM, "no memory to keep a stage of training");
    describe(&s.array[0], "user_key", STO_U64, d->n_users, 1);
    describe(&s.array[1], "item_key", STO_U64, d->n_items, 1);
    for (size_t i = 0; i < n; i++)
        describe(&s.array[KEYS + i], part[i].name, STO_F32,
                 rows_of(d, part[i].of), part[i].cols);
    const enum err e = place(&s);

    if (e != ERR_OK) {
        rec_state_free(&s);
        return e;
    }
    memcpy(s.array[0].data, d->user_key, d->n_users * sizeof(uint64_t));
    memcpy(s.array[1].data, d->item_key, d->n_items * sizeof(uint64_t));
    for (size_t i = 0; i < n; i++)
        memcpy(s.array[KEYS + i].data, part[i].data,
               rows_of(d, part[i].of) * part[i].cols * sizeof(float));
    rec_state_free(out);
    *out = s;
    return ERR_OK;
}
