/* rec/rerank_identity.c - the first stage's order: what others are seen beside.
 */
#include "rec/rerank_plain.h"

static void choose(const struct rec_plain *l, uint32_t *order)
{
    for (size_t k = 0; k < l->n; k++)
        order[k] = (uint32_t)k;
}

REC_PLAIN_RERANKER(identity, "the first stage's order", choose, false, "")
