/*
 * rec/rerank.h - networks that read a whole list and order it anew.
 *
 * A re-ranker is a file rec/rerank_NAME.c that defines rec_reranker_NAME, and
 * that file under RERANKERS in Makefile.am.  It is given the features of a
 * batch of lists and makes scores; lists, features, labels, training and
 * serving are rec/model_rerank.c's.
 */
#ifndef REC_RERANK_H
#define REC_RERANK_H

#include <stddef.h>

#include "base/err.h"
#include "nn/nn.h"

/* A batch of lists on a tape. */
struct rec_lists {
    struct nn_tensor *x;    /* [batch][n][features], standardised */
    struct nn_tensor *mask; /* [batch][n], 0 where a list is shorter */
    struct nn_tensor *keys; /* [batch] names of the people, for dropout */
    size_t batch, n, features;
    size_t dim;  /* width of the network */
    double drop; /* dropout */
};

struct rec_reranker {
    const char *name; /* as typed after --ranker */
    const char *help;
    /* Scores [batch][n]; parameters are named from "net/" on, the last layer
     * "net/out". */
    struct nn_tensor *(*build)(struct nn_tape *t, const struct rec_lists *l);
};

/* In Makefile.am order, ending with NULL. */
extern const struct rec_reranker *const rec_rerankers[];
ERR_CHECK
enum err rec_reranker_find(const char *name, const struct rec_reranker **out);

/* [batch][n][1] -> [batch][n]. */
struct nn_tensor *rec_lists_flat(struct nn_tape *t, const struct rec_lists *l,
                                 struct nn_tensor *scores);
/* One block of self-attention and of two layers, each added to what it reads
 * and normalised (Vaswani et al., 2017); x [batch][n][l->dim].  The parameters
 * are NAME/... */
struct nn_tensor *rec_lists_block(struct nn_tape *t, const struct rec_lists *l,
                                  struct nn_tensor *x, const char *name,
                                  size_t heads);

#endif
