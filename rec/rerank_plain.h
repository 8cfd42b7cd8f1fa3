/*
 * rec/rerank_plain.h - for re-rankers that learn nothing.
 */
#ifndef REC_RERANK_PLAIN_H
#define REC_RERANK_PLAIN_H

#include "rec/rerank_learn.h"

/* A list for them: the score of the first stage between 0 (the least of the
 * list) and 1, and how alike two items are: the cosine of their kinship, or of
 * their features where lists come without items. */
struct rec_plain {
    size_t n;
    float score[REC_LIST_MOST];
    float *alike; /* [n][n] */
    double trade; /* option --trade */
};

/* Write the items of a list into order[l->n], the best first. */
typedef void rec_plain_order(const struct rec_plain *l, uint32_t *order);

/* alike[n][n]: cosines of the rows of x[n][w]; 1 with itself. */
void rec_plain_alike(const float *x, size_t w, size_t n, float *alike);

ERR_CHECK
enum err rec_plain_open(struct rec_net *k, const struct rec_model *m,
                        bool training);
void rec_plain_close(struct rec_net *k);
/* Lists in the order that `how` writes. */
ERR_CHECK
enum err rec_plain_run(struct rec_net *k, const struct rec_asked *a,
                       rec_plain_order *how, float *value);

/* The re-ranker NAME: lists in the order that `how` writes. */
#define REC_PLAIN_RERANKER(word, what, how, kinship, options)                  \
    static enum err order(struct rec_net *k, const struct rec_asked *a,        \
                          float *value)                                        \
    {                                                                          \
        return rec_plain_run(k, a, how, value);                                \
    }                                                                          \
    static const struct rec_reranker_ways ways = {                             \
        .open = rec_plain_open,                                                \
        .order = order,                                                        \
        .close = rec_plain_close,                                              \
    };                                                                         \
    extern const struct rec_reranker rec_reranker_##word;                      \
    const struct rec_reranker rec_reranker_##word = {                          \
        .name = #word,                                                         \
        .help = what,                                                          \
        .ways = &ways,                                                         \
        .kin = kinship,                                                        \
        .reads = options,                                                      \
    };

#endif
