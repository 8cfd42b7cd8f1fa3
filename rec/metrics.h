/*
 * rec/metrics.h - how good a list is.
 *
 * Source: the definitions of NGCF (Wang et al., SIGIR 2019) and LightGCN (He
 * et al., SIGIR 2020), as in their code: every item that the person has not
 * met in train is a candidate; recall@k = hits / |test items|; ndcg@k has
 * binary gains and an ideal list of min(k, |test items|); means over people
 * with at least one test item.
 */
#ifndef REC_METRICS_H
#define REC_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/data.h"
#include "rec/model.h"

enum rec_metric {
    REC_RECALL,    /* hits / |test| */
    REC_NDCG,      /* sum of 1/log2(1 + rank) over hits / ideal */
    REC_HIT,       /* 1 if any hit */
    REC_PRECISION, /* hits / k */
    REC_MAP,       /* sum of precision at each hit / min(k, |test|) */
    REC_MRR,       /* 1 / rank of the first hit */
    REC_COVERAGE,  /* distinct items in all lists / |items| */
    REC_METRICS,   /* how many there are */
};
extern const char *const rec_metric_name[REC_METRICS];

struct rec_report {
    size_t n_users; /* people with a test item */
    size_t n_cuts;
    double value[8][REC_METRICS]; /* [cut][metric] */
};

/*
 * Rank for everybody with a row in `test` (same universe as train; rows whose
 * item is outside count in |test|) and average.  cuts[n_cuts] ascending,
 * n_cuts <= 8.
 */
ERR_CHECK
enum err rec_evaluate(const struct rec_model *m, const struct rec_data *train,
                      const struct rec_data *test, const size_t *cuts,
                      size_t n_cuts, struct rec_report *out);

/* What the best order of the first `among` items of m's lists would reach:
 * the ceiling of re-ranking them.  `among` is at least the longest cut. */
ERR_CHECK
enum err rec_evaluate_ceiling(const struct rec_model *m,
                              const struct rec_data *train,
                              const struct rec_data *test, size_t among,
                              const size_t *cuts, size_t n_cuts,
                              struct rec_report *out);

/* One person's metrics from a ranked list; relevant[] ascending.  n_lost test
 * items are unreachable and count only in |test|. */
void rec_metrics_one(const uint32_t *list, size_t len, const uint32_t *relevant,
                     size_t n_relevant, size_t n_lost, size_t k,
                     double out[REC_METRICS]);

/* "recall@20" -> metric and cut.  ERR_ARG says what is known. */
ERR_CHECK
enum err rec_metric_parse(const char *text, enum rec_metric *metric,
                          size_t *cut);

#endif
