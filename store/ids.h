/*
 * store/ids.h - the distinct ids of one import, numbered as they come.
 *
 * The numbers live in memory only; what is stored are the keys.  Ids are
 * looked up many at a time: a single look-up is three cache misses, of which
 * a batch has dozens in flight.
 */
#ifndef STO_IDS_H
#define STO_IDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct sto_ids {
    uint64_t *key; /* [n] */
    size_t *text;  /* [n] offset of the NUL-ended id in arena */
    uint32_t *len; /* [n] */
    char *arena;
    size_t n, key_room, text_room, len_room, arena_n, arena_room;
    uint32_t *slot; /* [slots] open addressing, number + 1, or 0 */
    size_t slots;
};

/* Some ids of a batch: text + at[j], len[j] bytes each. */
struct sto_id_batch {
    const char *text;
    const size_t *at;    /* [n] */
    const uint32_t *len; /* [n] */
    size_t n;
};

/* Room for n more ids of `bytes` bytes together.  ERR_NOMEM, ERR_ARG beyond
 * four billion. */
ERR_CHECK
enum err sto_ids_reserve(struct sto_ids *t, size_t n, size_t bytes);

/*
 * number[j] = the number of id j, new or known; the room must be reserved.
 * Returns how many were numbered: fewer than b->n when id j of that index
 * and a known one have the same key (sto_ids_clash() then says so).
 */
size_t sto_ids_find(struct sto_ids *t, const struct sto_id_batch *b,
                    uint32_t *number);
/* The error for id j of b, at which sto_ids_find() stopped. */
ERR_CHECK
enum err sto_ids_clash(const struct sto_ids *t, const struct sto_id_batch *b,
                       size_t j);
void sto_ids_free(struct sto_ids *t);

#endif
