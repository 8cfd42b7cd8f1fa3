/*
 * store/rows.h - the rows of one import in memory (columns), and the state
 * that parse.c, rows.c and commit.c share.
 */
#ifndef STO_ROWS_H
#define STO_ROWS_H

#include "store/ids.h"
#include "store/import.h"

#define STO_NO_TIME INT64_MIN
/* Most memory that importing a row takes, its share of LMDB's changed pages
 * included (measured: 51 bytes with ratings and times). */
#define STO_ROW_BYTES 52.0
#define STO_BATCH 8192 /* rows whose ids are looked up together */

/* Rows that are read and not numbered yet: [0] people, [1] items. */
struct sto_batch {
    size_t n, text_n, text_room;
    char *text;
    size_t at[2][STO_BATCH];
    uint32_t len[2][STO_BATCH];
    float value[STO_BATCH];
    int64_t time[STO_BATCH];
};

struct sto_import {
    struct sto_import_opts opts;
    char *columns; /* own copy of opts.columns */
    struct sto_ids users, items;
    uint32_t *user, *item; /* [n] */
    float *value;          /* [n] */
    int64_t *time;         /* [n] */
    size_t n, user_room, item_room, value_room, time_room;
    uint64_t skipped;
    struct sto_listed *listed; /* catalogues and people, newest first */
    struct sto_batch batch;
};

/* Write the catalogues and people that were read; counts go into *out. */
ERR_CHECK
enum err sto_listed_write(const struct sto_listed *l, struct sto_txn *t,
                          struct sto_import_stats *out);
void sto_listed_free(struct sto_listed *l);

/* One more row.  ERR_NOMEM; ERR_FORMAT when two ids have one key. */
ERR_CHECK
enum err sto_rows_add(struct sto_import *im, const char *user, size_t user_len,
                      const char *item, size_t item_len, float value,
                      int64_t time);

/* Number the rows that wait: call it after the last sto_rows_add(). */
ERR_CHECK
enum err sto_rows_flush(struct sto_import *im);

#endif
