/* rec/rerank_logistic.c - a weight for each feature: what networks must beat.
 */
#include "rec/rerank.h"

static struct nn_tensor *build(struct nn_tape *t, const struct rec_lists *l)
{
    return rec_lists_flat(t, l, nn_linear(t, l->x, "net/out", 1, NN_NONE));
}

extern const struct rec_reranker rec_reranker_logistic;
const struct rec_reranker rec_reranker_logistic = {
    .name = "logistic",
    .help = "one weight a feature",
    .build = build,
};
