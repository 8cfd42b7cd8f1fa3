/*
 * rec/edges.h - who met what, in few bytes.
 *
 * Of each person the number of rows, then the first item and the steps to the
 * next ones, as numbers of 7 bits a byte (the high bit: more follows).
 * MovieLens-1M takes 1.1 bytes a row, Gowalla 2.1.
 */
#ifndef REC_EDGES_H
#define REC_EDGES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/data.h"

/* Bytes of d's rows; write them. */
size_t rec_edges_bytes(const struct rec_data *d);
void rec_edges_store(const struct rec_data *d, uint8_t *out);

/* The rows again: out gets n_users, n_items, n_rows, user_ptr and item, nothing
 * else; free it by rec_data_free().  ERR_FORMAT: these bytes are no rows of so
 * many people and items; ERR_NOMEM. */
ERR_CHECK
enum err rec_edges_open(struct rec_data *out, const uint8_t *in, size_t bytes,
                        size_t n_users, size_t n_items);

#endif
