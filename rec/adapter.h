/*
 * rec/adapter.h - EASE on a few people, in its dual form.
 *
 * With X [members][items] binary, P = (X^T X + reg I)^-1 and
 * W = (X X^T + reg I)^-1, reg P = I - X^T W X: an inverse as large as the
 * members are many, whatever the number of items.  For a history h,
 *
 *     y = X^T W X h,    g_i = 1 - x_i^T W x_i,
 *     score_i = y_i / g_i where h_i = 0, and 1 - (1 - y_i) / g_i where h_i = 1.
 *
 * The counts in X X^T are integers, exactly.  Source: Steck, WWW 2019.
 */
#ifndef REC_ADAPTER_H
#define REC_ADAPTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct rec_adapter {
    size_t n;       /* members */
    uint32_t *user; /* [n] ascending */
    bool ready;     /* what follows is there */
    float *inverse; /* [n][n] W */
    float *gap;     /* [n_items] g */
    size_t *ptr;    /* [n_items + 1] */
    uint32_t *who;  /* [ptr[n_items]] members who met an item */
};

/* Fill everything but n and user, which say who the members are; ptr and item
 * are everybody's rows.  ERR_NOMEM; ERR_NUM: no inverse.  To be dropped after
 * an error, too.  Cost: n^3, and for each item the square of its members. */
ERR_CHECK
enum err rec_adapter_build(struct rec_adapter *a, const uint64_t *ptr,
                           const uint32_t *item, size_t n_items, float reg);
/* Give back what was built; the members stay. */
void rec_adapter_drop(struct rec_adapter *a);

#endif
