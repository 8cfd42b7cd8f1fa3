/* store/ids.c - open addressing on the ids' keys. */
#include "store/ids.h"

#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "base/mem.h"

static enum err grow_slots(struct sto_ids *t)
{
    const size_t slots = t->slots == 0 ? 1024 : t->slots * 2;
    uint32_t *slot = mem_array(slots, sizeof(*slot));

    if (slot == NULL)
        return err_set(ERR_NOMEM, "no memory for %zu ids", t->n);
    for (size_t i = 0; i < t->n; i++) {
        size_t s = t->key[i] & (slots - 1);

        while (slot[s] != 0)
            s = (s + 1) & (slots - 1);
        slot[s] = (uint32_t)i + 1;
    }
    free(t->slot);
    t->slot = slot;
    t->slots = slots;
    return ERR_OK;
}

static enum err append(struct sto_ids *t, uint64_t key, const char *id,
                       size_t len)
{
    if (t->n >= UINT32_MAX - 2)
        return err_set(ERR_ARG, "more than four billion distinct ids");
    ERR_TRY(mem_grow(&t->key, &t->key_room, t->n + 1, sizeof(*t->key)));
    ERR_TRY(mem_grow(&t->text, &t->text_room, t->n + 1, sizeof(*t->text)));
    ERR_TRY(mem_grow(&t->len, &t->len_room, t->n + 1, sizeof(*t->len)));
    ERR_TRY(mem_grow(&t->arena, &t->arena_room, t->arena_n + len + 1, 1));
    t->key[t->n] = key;
    t->text[t->n] = t->arena_n;
    t->len[t->n] = (uint32_t)len;
    memcpy(t->arena + t->arena_n, id, len);
    t->arena[t->arena_n + len] = '\0';
    t->arena_n += len + 1;
    t->n++;
    return ERR_OK;
}

enum err sto_ids_find(struct sto_ids *t, const char *id, size_t len,
                      uint32_t *out)
{
    const uint64_t key = key_of(id, len);

    if (t->n * 2 >= t->slots)
        ERR_TRY(grow_slots(t));
    size_t s = key & (t->slots - 1);

    for (; t->slot[s] != 0; s = (s + 1) & (t->slots - 1)) {
        const uint32_t i = t->slot[s] - 1;

        if (t->key[i] != key)
            continue;
        if (t->len[i] != len || memcmp(t->arena + t->text[i], id, len) != 0)
            return err_set(ERR_FORMAT,
                           "the ids \"%s\" and \"%.*s\" have the same key: "
                           "rename one of them",
                           t->arena + t->text[i], (int)len, id);
        *out = i;
        return ERR_OK;
    }
    ERR_TRY(append(t, key, id, len));
    t->slot[s] = (uint32_t)t->n;
    *out = (uint32_t)t->n - 1;
    return ERR_OK;
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
