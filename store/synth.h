/*
 * store/synth.h - made-up data that behaves like real data.
 *
 * Items have a popularity that falls like 1 / (rank + 20) and belong to one
 * of 24 taste groups; each person likes two groups and takes three quarters
 * of their items there; activity is uneven.  So popularity beats chance, and
 * personal models beat popularity.  Rows of one person are distinct.
 */
#ifndef STO_SYNTH_H
#define STO_SYNTH_H

#include <stdint.h>

#include "base/err.h"

struct sto_synth_opts {
    uint64_t users, items; /* 1..2^31; items >= 20 */
    uint64_t interactions; /* at most users * items / 2 */
    uint64_t seed;
    const char *output; /* "-" = stdout; a name in .gz is compressed */
};

/*
 * Write a CSV (user,item,rating,timestamp with a header).  A function of the
 * options alone.  ERR_ARG out of range, ERR_IO, ERR_NOMEM.
 */
ERR_CHECK
enum err sto_synth(const struct sto_synth_opts *o);

#endif
