/* rec/rerank_identity.c - the first stage's order: what others are seen beside.
 */
#include "rec/rerank_plain.h"

static void choose(const struct rec_plain *l, uint32_t *order)
{
    for (size_t k = 0; k < l->n; k++)
        order[k] = (uint32_t)k;
}

static enum err order(struct rec_net *k, const struct rec_asked *a,
                      float *value)
{
    return rec_plain_run(k, a, choose, value);
}

static const struct rec_reranker_ways ways = {
    .open = rec_plain_open,
    .order = order,
    .close = rec_plain_close,
};

extern const struct rec_reranker rec_reranker_identity;
const struct rec_reranker rec_reranker_identity = {
    .name = "identity",
    .help = "the first stage's order",
    .ways = &ways,
    .kin = false,
    .reads = "",
};
