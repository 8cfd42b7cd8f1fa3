/*
 * store/ids.h - the distinct ids of one import, numbered as they come.
 *
 * The numbers live in memory only; what is stored are the keys.
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

/* The number of id[0..len), new or known.  ERR_NOMEM; ERR_FORMAT when two
 * ids have one key. */
ERR_CHECK
enum err sto_ids_find(struct sto_ids *t, const char *id, size_t len,
                      uint32_t *out);
void sto_ids_free(struct sto_ids *t);

#endif
