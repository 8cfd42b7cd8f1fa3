/* rec/score.c - the scores of all items, whichever way a model has. */
#include "rec/score.h"

#include "base/la.h"

size_t rec_scores_room(const struct rec_model *m)
{
    size_t dim = 1;

    if (m->ops->score == NULL)
        (void)m->ops->item_vectors(m, &dim);
    return dim;
}

enum err rec_scores(const struct rec_model *m, const struct rec_query *q,
                    float *scores, float *vec)
{
    size_t dim = 0;

    if (m->ops->score != NULL)
        return m->ops->score(m, q, scores);
    const float *items = m->ops->item_vectors(m, &dim);

    ERR_TRY(m->ops->embed(m, q, vec));
    return la_gemm(&(struct krn_gemm){.tb = true,
                                      .m = q->n,
                                      .n = m->n_items,
                                      .k = dim,
                                      .a = vec,
                                      .lda = dim,
                                      .b = items,
                                      .ldb = dim,
                                      .c = scores,
                                      .ldc = m->n_items});
}
