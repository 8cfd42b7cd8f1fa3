/* store/ids.c - open addressing on the ids' keys. */
#include "store/ids.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "base/mem.h"

#define AHEAD 32 /* ids looked up together */

static void place(struct sto_ids *t, uint32_t i)
{
    size_t s = t->key[i] & (t->slots - 1);

    while (t->slot[s] != 0)
        s = (s + 1) & (t->slots - 1);
    t->slot[s] = i + 1;
}

static enum err grow_slots(struct sto_ids *t, size_t n)
{
    size_t slots = t->slots == 0 ? 1024 : t->slots;

    while (slots / 2 < n)
        slots *= 2;
    if (slots == t->slots)
        return ERR_OK;
    uint32_t *slot = mem_array(slots, sizeof(*slot));

    if (slot == NULL)
        return err_set(ERR_NOMEM, "no memory for %zu ids", n);
    free(t->slot);
    t->slot = slot;
    t->slots = slots;
    for (size_t i = 0; i < t->n; i++)
        place(t, (uint32_t)i);
    return ERR_OK;
}

enum err sto_ids_reserve(struct sto_ids *t, size_t n, size_t bytes)
{
    const size_t all = t->n + n;

    if (all >= UINT32_MAX - 2)
        return err_set(ERR_ARG, "more than four billion distinct ids");
    ERR_TRY(mem_grow(&t->key, &t->key_room, all, sizeof(*t->key)));
    ERR_TRY(mem_grow(&t->text, &t->text_room, all, sizeof(*t->text)));
    ERR_TRY(mem_grow(&t->len, &t->len_room, all, sizeof(*t->len)));
    ERR_TRY(mem_grow(&t->arena, &t->arena_room, t->arena_n + bytes + n, 1));
    return grow_slots(t, all);
}

static uint32_t append(struct sto_ids *t, uint64_t key, const char *id,
                       uint32_t len)
{
    const uint32_t i = (uint32_t)t->n++;

    t->key[i] = key;
    t->text[i] = t->arena_n;
    t->len[i] = len;
    memcpy(t->arena + t->arena_n, id, len);
    t->arena[t->arena_n + len] = '\0';
    t->arena_n += len + 1;
    return i;
}

static bool same(const struct sto_ids *t, uint32_t i, const char *id,
                 uint32_t len)
{
    return t->len[i] == len && memcmp(t->arena + t->text[i], id, len) == 0;
}

/* The number under key, UINT32_MAX when there is none. */
static uint32_t known(const struct sto_ids *t, uint64_t key)
{
    size_t s = key & (t->slots - 1);

    for (; t->slot[s] != 0; s = (s + 1) & (t->slots - 1))
        if (t->key[t->slot[s] - 1] == key)
            return t->slot[s] - 1;
    return UINT32_MAX;
}

/* Ask for what the look-ups of these keys will touch, a level at a time. */
static void fetch_ahead(const struct sto_ids *t, const uint64_t *key, size_t n)
{
    uint32_t at[AHEAD];

    for (size_t j = 0; j < n; j++)
        __builtin_prefetch(&t->slot[key[j] & (t->slots - 1)]);
    for (size_t j = 0; j < n; j++) {
        at[j] = t->slot[key[j] & (t->slots - 1)];
        if (at[j] == 0)
            continue;
        __builtin_prefetch(&t->key[at[j] - 1]);
        __builtin_prefetch(&t->len[at[j] - 1]);
        __builtin_prefetch(&t->text[at[j] - 1]);
    }
    for (size_t j = 0; j < n; j++)
        if (at[j] != 0)
            __builtin_prefetch(t->arena + t->text[at[j] - 1]);
}

size_t sto_ids_find(struct sto_ids *t, const struct sto_id_batch *b,
                    uint32_t *number)
{
    uint64_t key[AHEAD];

    for (size_t first = 0; first < b->n; first += AHEAD) {
        const size_t n = b->n - first < AHEAD ? b->n - first : AHEAD;

        /* rows of one person stand together: their id is in the batch once */
        for (size_t j = 0; j < n; j++)
            key[j] =
                j > 0 && b->at[first + j] == b->at[first + j - 1]
                    ? key[j - 1]
                    : key_of(b->text + b->at[first + j], b->len[first + j]);
        fetch_ahead(t, key, n);
        for (size_t j = 0; j < n; j++) {
            const char *id = b->text + b->at[first + j];
            const uint32_t len = b->len[first + j];
            uint32_t i = known(t, key[j]);

            if (i == UINT32_MAX) {
                i = append(t, key[j], id, len);
                place(t, i);
            } else if (!same(t, i, id, len)) {
                return first + j;
            }
            number[first + j] = i;
        }
    }
    return b->n;
}

enum err sto_ids_clash(const struct sto_ids *t, const struct sto_id_batch *b,
                       size_t j)
{
    const char *id = b->text + b->at[j];
    const uint32_t i = known(t, key_of(id, b->len[j]));

    return err_set(ERR_FORMAT,
                   "the ids \"%s\" and \"%.*s\" have the same key: rename one "
                   "of them",
                   t->arena + t->text[i], (int)b->len[j], id);
}

void sto_ids_free(struct sto_ids *t)
{
    free(t->key);
    free(t->text);
    free(t->len);
    free(t->arena);
    free(t->slot);
    *t = (struct sto_ids){0};
}
