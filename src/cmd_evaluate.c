/* src/cmd_evaluate.c - how well a model ranks the test rows. */
#include <stdio.h>
#include <string.h>

#include "rec/metrics.h"
#include "src/rerank.h"

static struct values {
    const char *name, *rerank, *k, *category;
    int64_t level;
    double trade;
} v;

#define AT(field) offsetof(struct values, field)
static const struct opt rows[] = {
    {"name", 0, OPT_TEXT, AT(name), NULL, 0, 0, "NAME",
     "which model (else the only one)"},
    {"rerank", 0, OPT_TEXT, AT(rerank), NULL, 0, 0, "R",
     "a re-ranker (`recd rerank train --name R`): before, after and the "
     "ceiling"},
    {"k", 'k', OPT_TEXT, AT(k), "10,20,50", 0, 0, "LIST",
     "lengths of the lists, ascending"},
    {"category", 0, OPT_TEXT, AT(category), NULL, 0, 0, "NAME",
     "re-rankers: an attribute of the catalogue by whose first value lists are "
     "diverse (ilad, err_ia)"},
    {"trade", 0, OPT_REAL, AT(trade), "-1", -1, 1, "W",
     "re-rankers mmr, dpp and cmr: another weight of the score against being "
     "unlike than in training; -1 = the same"},
    {"level", 0, OPT_INT, AT(level), "0", 0, 64, "L",
     "of nested models (`train --levels`): 1 is the sparsest; 0 = everything"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

static void print(const struct rec_report *r, const size_t *cut,
                  const char *name, double seconds, bool as_json)
{
    if (as_json) {
        cmd_ui_json(json_pack("{s:s, s:I, s:o, s:f}", "name", name, "users",
                              (json_int_t)r->n_users, "metrics",
                              cmd_report_json(r, cut), "seconds", seconds));
        return;
    }
    printf("%s: %s people with test rows, %.2f s\n%-12s", name,
           cmd_ui_count(r->n_users), seconds, "");
    for (size_t c = 0; c < r->n_cuts; c++)
        printf("%9s%-3zu", "@", cut[c]);
    for (int k = 0; k < REC_METRICS; k++) {
        printf("\n%-12s", rec_metric_name[k]);
        for (size_t c = 0; c < r->n_cuts; c++)
            printf("%12.5f", r->value[c][k]);
    }
    putchar('\n');
}

/* JSON of a re-ranker: as ever, and before and ceiling beside it. */
static void print_reranker(const struct cmd_rerank_reports *r,
                           const size_t *cut, const char *name, double seconds,
                           bool as_json)
{
    if (as_json) {
        cmd_ui_json(
            json_pack("{s:s, s:I, s:o, s:o, s:o, s:f}", "name", name, "users",
                      (json_int_t)r->after.n_users, "metrics",
                      cmd_rerank_json(&r->after, &r->list[1], cut), "before",
                      cmd_rerank_json(&r->before, &r->list[0], cut), "ceiling",
                      cmd_rerank_json(&r->ceiling, &r->list[2], cut), "seconds",
                      seconds));
        return;
    }
    printf("%s: %s people with test rows, %.2f s\n", name,
           cmd_ui_count(r->after.n_users), seconds);
    cmd_rerank_print(r, cut);
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    struct cmd_opened o = {0};
    struct cmd_rerank_reports r = {.after = {0}};
    size_t cut[8], n = 0;
    bool both = false;

    if (n_words > 0)
        return cmd_ui_exit(
            err_set(ERR_ARG, "\"%s\" is not an option of evaluate", word[0]));
    enum err e = cmd_cuts(v.k, cut, &n);

    if (e == ERR_OK)
        e = cmd_rerank_open(&o, c, v.name, v.rerank, v.level, v.trade);
    const double start = cmd_ui_now();

    if (e == ERR_OK)
        e = cmd_rerank_evaluate(o.m, o.v, v.category, cut, n, &r, &both);
    const double seconds = cmd_ui_now() - start;

    if (e == ERR_OK && both)
        print_reranker(&r, cut, o.info.name, seconds, c->json);
    else if (e == ERR_OK)
        print(&r.after, cut, o.info.name, seconds, c->json);
    cmd_ui_close(&o);
    return cmd_ui_exit(e);
}

extern const struct cmd cmd_evaluate;
const struct cmd cmd_evaluate = {
    .name = "evaluate",
    .words = "[--name NAME] [--rerank R] [--k 10,20,50]",
    .help = "measure a model on the test rows",
    .opts = rows,
    .values = &v,
    .on_device = true,
    .run = run,
};
