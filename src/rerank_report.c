/* src/rerank_report.c - before, after, and the ceiling. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rec/rerank.h"
#include "src/rerank.h"

enum err cmd_cuts(const char *text, size_t cut[8], size_t *n)
{
    const char *p = text;

    for (*n = 0; *n < 8; p++) {
        char *end;
        const long k = strtol(p, &end, 10);

        if (end == p || k < 1 || k > 10000 ||
            (*n > 0 && (size_t)k <= cut[*n - 1]))
            break;
        cut[(*n)++] = (size_t)k;
        if (*end == '\0')
            return ERR_OK;
        if (*end != ',')
            break;
        p = end;
    }
    return err_set(ERR_ARG,
                   "--k \"%s\": up to 8 ascending numbers from 1 to "
                   "10000, like 10,20,50",
                   text);
}

enum err cmd_rerank_evaluate(const struct rec_model *m, struct sto_view *v,
                             const char *category, const size_t *cut, size_t n,
                             struct cmd_rerank_reports *out, bool *both)
{
    struct rec_data train = {0}, test = {0};
    size_t among = 0;
    bool merged = false;
    const struct rec_model *base = rec_rerank_base(m, &among, &merged);
    enum err e = rec_data_load_in(&train, v, STO_TRAIN, m->user_key, m->n_users,
                                  m->item_key, m->n_items);

    if (e == ERR_OK)
        e = rec_data_load_in(&test, v, STO_TEST, m->user_key, m->n_users,
                             m->item_key, m->n_items);
    if (e == ERR_OK && test.n_rows == 0)
        e = err_set(ERR_NOTFOUND, "the store holds no test rows (make some "
                                  "with `recd split --test 0.2`, or `recd "
                                  "import --as test FILE`)");
    if (e == ERR_OK)
        e = rec_evaluate(m, &train, &test, cut, n, &out->after);
    *both = base != NULL;
    if (e == ERR_OK && base != NULL)
        e = rec_evaluate(base, &train, &test, cut, n, &out->before);
    if (e == ERR_OK && base != NULL)
        e = rec_evaluate_ceiling(merged ? m : base, &train, &test, among, cut,
                                 n, &out->ceiling);
    if (e == ERR_OK && base != NULL)
        e = cmd_rerank_lists(m, v, category, &train, &test, cut, n, out->list);
    else if (e == ERR_OK && category != NULL)
        e = err_set(ERR_ARG, "--category is for re-rankers");
    rec_data_free(&train);
    rec_data_free(&test);
    return e;
}

json_t *cmd_report_json(const struct rec_report *r, const size_t *cut)
{
    json_t *o = json_object();
    char key[32];

    for (int k = 0; k < REC_METRICS; k++) {
        for (size_t c = 0; c < r->n_cuts; c++) {
            (void)snprintf(key, sizeof(key), "%s@%zu", rec_metric_name[k],
                           cut[c]);
            (void)json_object_set_new(o, key, json_real(r->value[c][k]));
        }
    }
    return o;
}

/* What the candidates' figures add: those that have no name in the first table.
 */
static const struct {
    enum rec_ready_metric metric;
    const char *name;
} added[] = {{REC_READY_CLICKS, "clicks"},
             {REC_READY_UTILITY, "utility"},
             {REC_READY_MAP, "map_of_hits"},
             {REC_READY_ILAD, "ilad"},
             {REC_READY_ERR_IA, "err_ia"}};
#define ADDED (sizeof(added) / sizeof(*added))

json_t *cmd_rerank_json(const struct rec_report *r,
                        const struct rec_ready_report *list, const size_t *cut)
{
    json_t *o = cmd_report_json(r, cut);
    char key[32];

    for (size_t k = 0; k < ADDED; k++) {
        for (size_t c = 0; c < r->n_cuts; c++) {
            const double x = list->value[c][added[k].metric];

            (void)snprintf(key, sizeof(key), "%s@%zu", added[k].name, cut[c]);
            if (!isnan(x))
                (void)json_object_set_new(o, key, json_real(x));
        }
    }
    return o;
}

void cmd_rerank_print(const struct cmd_rerank_reports *r, const size_t *cut)
{
    printf("%-14s%12s%12s%12s\n", "", "before", "after", "ceiling");
    for (int k = 0; k < REC_METRICS; k++) {
        for (size_t c = 0; c < r->after.n_cuts; c++)
            printf("%9s@%-4zu%12.5f%12.5f%12.5f\n", rec_metric_name[k], cut[c],
                   r->before.value[c][k], r->after.value[c][k],
                   r->ceiling.value[c][k]);
    }
    for (size_t k = 0; k < ADDED; k++) {
        for (size_t c = 0; c < r->after.n_cuts; c++) {
            const int at = (int)added[k].metric;

            if (!isnan(r->list[0].value[c][at]))
                printf("%11s@%-4zu%10.5f%12.5f%12.5f\n", added[k].name, cut[c],
                       r->list[0].value[c][at], r->list[1].value[c][at],
                       r->list[2].value[c][at]);
        }
    }
}

enum err cmd_rerank_open(struct cmd_opened *o, const struct cmd_common *c,
                         const char *name, const char *rerank, int64_t level,
                         double trade)
{
    if (name != NULL && rerank != NULL)
        return err_set(ERR_ARG, "--rerank R is a model with its first stage in "
                                "it: --name has no place beside it");
    ERR_TRY(cmd_ui_open_model(o, c, rerank != NULL ? rerank : name));
    if (rerank != NULL && strcmp(o->info.model, "rerank") != 0)
        return err_set(ERR_ARG, "\"%s\" is no re-ranker", rerank);
    if (trade >= 0)
        ERR_TRY(rec_rerank_steer(o->m, trade));
    return rec_model_set_level(o->m, (size_t)level);
}

void cmd_rerank_made(const struct cmd_common *c, const char *path, size_t lists,
                     size_t items)
{
    if (c->json)
        cmd_ui_json(json_pack("{s:I, s:I, s:s}", "lists", (json_int_t)lists,
                              "items", (json_int_t)items, "output", path));
    else
        printf("%s lists, %s items, in %s\n", cmd_ui_count(lists),
               cmd_ui_count(items), path);
}
