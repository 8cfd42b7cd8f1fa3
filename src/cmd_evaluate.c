/* src/cmd_evaluate.c - how well a model ranks the test rows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rec/metrics.h"
#include "src/ui.h"

static struct values {
    const char *name, *k;
    int64_t level;
} v;

#define AT(field) offsetof(struct values, field)
static const struct opt rows[] = {
    {"name", 0, OPT_TEXT, AT(name), NULL, 0, 0, "NAME",
     "which model (else the only one)"},
    {"k", 'k', OPT_TEXT, AT(k), "10,20,50", 0, 0, "LIST",
     "lengths of the lists, ascending"},
    {"level", 0, OPT_INT, AT(level), "0", 0, 64, "L",
     "of nested models (`train --levels`): 1 is the sparsest; 0 = everything"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

static enum err parse_cuts(size_t cut[8], size_t *n)
{
    const char *p = v.k;

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
                   v.k);
}

static enum err evaluate(struct cmd_opened *o, const size_t *cut, size_t n,
                         struct rec_report *r)
{
    const struct rec_model *m = o->m;
    struct rec_data train = {0}, test = {0};
    enum err e = rec_data_load_in(&train, o->v, STO_TRAIN, m->user_key,
                                  m->n_users, m->item_key, m->n_items);

    if (e == ERR_OK)
        e = rec_data_load_in(&test, o->v, STO_TEST, m->user_key, m->n_users,
                             m->item_key, m->n_items);
    if (e == ERR_OK && test.n_rows == 0)
        e = err_set(ERR_NOTFOUND, "the store holds no test rows (make some "
                                  "with `recd split --test 0.2`, or `recd "
                                  "import --as test FILE`)");
    if (e == ERR_OK)
        e = rec_evaluate(m, &train, &test, cut, n, r);
    rec_data_free(&train);
    rec_data_free(&test);
    return e;
}

static void print(const struct rec_report *r, const size_t *cut,
                  const char *name, double seconds, bool as_json)
{
    json_t *metrics = json_object();

    if (!as_json)
        printf("%s: %s people with test rows, %.2f s\n%-12s", name,
               cmd_ui_count(r->n_users), seconds, "");
    for (size_t c = 0; c < r->n_cuts && !as_json; c++)
        printf("%9s%-3zu", "@", cut[c]);
    for (int k = 0; k < REC_METRICS; k++) {
        if (!as_json)
            printf("\n%-12s", rec_metric_name[k]);
        for (size_t c = 0; c < r->n_cuts; c++) {
            char key[32];

            (void)snprintf(key, sizeof(key), "%s@%zu", rec_metric_name[k],
                           cut[c]);
            (void)json_object_set_new(metrics, key, json_real(r->value[c][k]));
            if (!as_json)
                printf("%12.5f", r->value[c][k]);
        }
    }
    if (!as_json) {
        putchar('\n');
        json_decref(metrics);
        return;
    }
    cmd_ui_json(json_pack("{s:s, s:I, s:o, s:f}", "name", name, "users",
                          (json_int_t)r->n_users, "metrics", metrics, "seconds",
                          seconds));
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    struct cmd_opened o = {0};
    struct rec_report r = {0};
    size_t cut[8], n = 0;

    if (n_words > 0)
        return cmd_ui_exit(
            err_set(ERR_ARG, "\"%s\" is not an option of evaluate", word[0]));
    enum err e = parse_cuts(cut, &n);

    if (e == ERR_OK)
        e = cmd_ui_open_model(&o, c, v.name);
    if (e == ERR_OK)
        e = rec_model_set_level(o.m, (size_t)v.level);
    const double start = cmd_ui_now();

    if (e == ERR_OK)
        e = evaluate(&o, cut, n, &r);
    if (e == ERR_OK)
        print(&r, cut, o.info.name, cmd_ui_now() - start, c->json);
    cmd_ui_close(&o);
    return cmd_ui_exit(e);
}

extern const struct cmd cmd_evaluate;
const struct cmd cmd_evaluate = {
    .name = "evaluate",
    .words = "[--name NAME] [--k 10,20,50]",
    .help = "measure a model on the test rows",
    .opts = rows,
    .values = &v,
    .run = run,
};
