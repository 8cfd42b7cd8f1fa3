/* kernels/pick.h - putting a score where it belongs. */
#ifndef KRN_PICK_H
#define KRN_PICK_H

#include "kernels/ops.h"

/* A score above the floor, of an id above all that are held. */
static inline void krn_pick_put(struct krn_pick *t, int32_t score, uint32_t id)
{
    size_t at = t->n < t->k ? t->n++ : t->k - 1;

    for (; at > 0 && t->score[at - 1] < score; at--) {
        t->score[at] = t->score[at - 1];
        t->id[at] = t->id[at - 1];
    }
    t->score[at] = score;
    t->id[at] = id;
    if (t->n == t->k && t->score[t->k - 1] > t->floor)
        t->floor = t->score[t->k - 1];
}

#endif
