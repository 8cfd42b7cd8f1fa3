/*
 * rec/ease.h - inside EASE: its correction when rows leave
 * (rec/ease_correct.c).
 */
#ifndef REC_EASE_H
#define REC_EASE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/model.h"

struct rec_ease_opts {
    double reg, user_exponent;
};

/* What the pairs of a person of so many rows weigh, in units of
 * rec_ease_unit(): whole numbers, that rows may come and go without a trace. */
#define REC_EASE_ONE 1048576.0 /* 2^20 */
uint64_t rec_ease_weight(const struct rec_ease_opts *o, size_t n_rows);
double rec_ease_unit(const struct rec_ease_opts *o);

/* Most columns of a correction: beyond, fitting again costs about as much. */
#define REC_EASE_RANK_MAX 256

/*
 * ops->correct of ease: m's arrays "weights" and "diagonal" (of P) become those
 * of the kept rows, up to rounding, as long as --reg is given; without, the
 * ridge stays what the rows before made it (docs/unlearning.md has figures).
 * Cost: one pass over the weights, and n^2 multiply-adds for each column: one
 * for a person who left, two for one who keeps some rows, one for an item.
 * ERR_ARG: more columns than REC_EASE_RANK_MAX; ERR_NOMEM; ERR_NUM.
 */
ERR_CHECK
enum err rec_ease_correct(struct rec_model *m, const struct rec_data *d,
                          const uint8_t *keep, const uint8_t *gone);

#endif
