/* src/rerank.h - the parts of `recd rerank`. */
#ifndef SRC_RERANK_H
#define SRC_RERANK_H

#include "rec/metrics.h"
#include "rec/model.h"
#include "rec/ready.h"
#include "src/ui.h"

/* Parse "10,20,50": up to 8 ascending numbers from 1 to 10000.  ERR_ARG. */
ERR_CHECK
enum err cmd_cuts(const char *text, size_t cut[8], size_t *n);

/* For evaluate and recommend: the model called `name`, or the re-ranker called
 * `rerank`; level and trade (below 0: none) are set. */
ERR_CHECK
enum err cmd_rerank_open(struct cmd_opened *o, const struct cmd_common *c,
                         const char *name, const char *rerank, int64_t level,
                         double trade);

/* A re-ranker, what it starts from, and the ceiling. */
struct cmd_rerank_reports {
    struct rec_report before, after, ceiling;
    struct rec_ready_report list[3]; /* the same of the candidates alone, by
                                        LibRerank's definitions */
};
/* m on the store's test rows; all but `after` only for a re-ranker (*both
 * says). category: an attribute of items by which lists are diverse, or NULL.
 */
ERR_CHECK
enum err cmd_rerank_evaluate(const struct rec_model *m, struct sto_view *v,
                             const char *category, const size_t *cut, size_t n,
                             struct cmd_rerank_reports *out, bool *both);
/* Fill list[] (before, after, ceiling). */
ERR_CHECK
enum err cmd_rerank_lists(const struct rec_model *m, struct sto_view *v,
                          const char *category, const struct rec_data *train,
                          const struct rec_data *test, const size_t *cut,
                          size_t n_cuts, struct rec_ready_report out[3]);
/* cmd_report_json() and what list[which] adds to it. */
json_t *cmd_rerank_json(const struct rec_report *r,
                        const struct rec_ready_report *list, const size_t *cut);
void cmd_rerank_print(const struct cmd_rerank_reports *r, const size_t *cut);
/* {"recall@20": ...} */
json_t *cmd_report_json(const struct rec_report *r, const size_t *cut);

/* Lists to learn from and lists to order, wherever they come from. */
struct cmd_rerank_job {
    struct rec_model *m;
    const struct rec_data *d; /* whose items the lists hold, or NULL: ids mean
                                 nothing */
    struct mem_scratch s;
    struct rec_ready_lists learn, ask;
    float *score; /* [lists to order][list], made by cmd_rerank_order()
                   */
    double seconds, micros; /* of learning; of ordering, a list */
    double cpu_s, cpu_us;   /* the same in time of all cores, which other work
                               on the machine does not move */
    unsigned char digest[KEY_DIGEST_BYTES];
};

/* Learn j->m by its options and keep the network in it; its digest is that of
 * the network alone. */
ERR_CHECK
enum err cmd_rerank_learn(struct cmd_rerank_job *j);
/* Order the lists with what the model keeps. */
ERR_CHECK
enum err cmd_rerank_order(struct cmd_rerank_job *j);

struct cmd_rerank_values {
    const char *models;
    int64_t seeds;
    const char *model, *name, *lists, *test, *output, *format, *query, *k;
    int64_t score, category, count, length, part;
};

/* Whether an option of the re-ranker says how lists come about. */
bool cmd_rerank_makes_lists(const char *option);

/* Say that a file of lists was written. */
void cmd_rerank_made(const struct cmd_common *c, const char *path, size_t lists,
                     size_t items);

/* Train on ready-made lists and measure. */
ERR_CHECK
enum err cmd_rerank_ready(const struct cmd_rerank_values *v,
                          struct rec_model *m, const struct cmd_common *c);
/* Several re-rankers over one first stage and the same lists. */
ERR_CHECK
enum err cmd_rerank_compare(const struct cmd_rerank_values *v,
                            const struct rec_model *m,
                            const struct cmd_common *c);
/* Lists of other programs as ready-made ones. */
ERR_CHECK
enum err cmd_rerank_import(const struct cmd_rerank_values *v, const char *path,
                           const struct cmd_common *c);

#endif
