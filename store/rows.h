/*
 * store/rows.h - the rows of one import in memory (columns), and the state
 * that parse.c and import.c share.
 */
#ifndef STO_ROWS_H
#define STO_ROWS_H

#include "store/ids.h"
#include "store/import.h"

#define STO_NO_TIME INT64_MIN

struct sto_import {
    struct sto_import_opts opts;
    char *columns; /* own copy of opts.columns */
    struct sto_ids users, items;
    uint32_t *user, *item; /* [n] */
    float *value;          /* [n] */
    int64_t *time;         /* [n] */
    size_t n, user_room, item_room, value_room, time_room;
    bool any_value, any_time;
    uint64_t skipped;
};

/* One more row; ids become numbers. */
ERR_CHECK
enum err sto_rows_add(struct sto_import *im, const char *user, size_t user_len,
                      const char *item, size_t item_len, float value,
                      int64_t time);

#endif
