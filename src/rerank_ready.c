/* src/rerank_ready.c - `recd rerank train --lists`: without a first stage. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "base/par.h"
#include "rec/ready.h"
#include "src/rerank.h"

struct job {
    const struct cmd_rerank_values *v;
    struct cmd_rerank_job r;
    struct rec_ready train, test;
    struct rec_ready_report before, after, ceiling;
    size_t cut[8], n_cuts;
};

static enum err read_lists(struct job *j)
{
    const struct rec_ready_how how = {.score = (size_t)j->v->score,
                                      .category = (size_t)j->v->category,
                                      .seed = j->r.m->seed};

    ERR_TRY(rec_ready_read(&j->train, j->v->lists));
    ERR_TRY(rec_ready_read(&j->test, j->v->test));
    const size_t most =
        j->train.most > j->test.most ? j->train.most : j->test.most;
    char list[24];

    (void)snprintf(list, sizeof(list), "%zu", most > 2 ? most : 2);
    ERR_TRY(opt_assign(j->r.m->ops->opts, j->r.m->opts, "candidates", list));
    if ((size_t)j->v->score > j->train.features ||
        (size_t)j->v->category > j->train.features)
        return err_set(ERR_ARG, "%s has features 1 to %zu", j->v->lists,
                       j->train.features);
    ERR_TRY(mem_budget(4.0 * (double)most * ((double)j->train.features + 8) *
                           ((double)j->train.n + (double)j->test.n),
                       "lists in memory"));
    ERR_TRY(rec_ready_take(&j->r.learn, &j->r.s, &j->train, &how, most,
                           j->train.features, NULL));
    return rec_ready_take(&j->r.ask, &j->r.s, &j->test, &how, most,
                          j->train.features, &j->r.learn.t);
}

static enum err measure(struct job *j)
{
    ERR_TRY(rec_ready_measure(&j->test, &j->r.ask, NULL, &j->r.learn, j->cut,
                              j->n_cuts, &j->before));
    ERR_TRY(rec_ready_measure(&j->test, &j->r.ask, j->r.score, &j->r.learn,
                              j->cut, j->n_cuts, &j->after));
    return rec_ready_measure(&j->test, &j->r.ask, j->r.ask.t.label, &j->r.learn,
                             j->cut, j->n_cuts, &j->ceiling);
}

static json_t *report_json(const struct job *j,
                           const struct rec_ready_report *r)
{
    json_t *o = json_object();
    char key[32];

    for (size_t c = 0; c < j->n_cuts; c++) {
        for (int k = 0; k < REC_READY_METRICS; k++) {
            (void)snprintf(key, sizeof(key), "%s@%zu", rec_ready_metric_name[k],
                           j->cut[c]);
            if (!isnan(r->value[c][k]))
                (void)json_object_set_new(o, key, json_real(r->value[c][k]));
        }
    }
    if (!isnan(r->expected))
        (void)json_object_set_new(o, "expected_clicks", json_real(r->expected));
    if (!isnan(r->best))
        (void)json_object_set_new(o, "best_expected_clicks",
                                  json_real(r->best));
    return o;
}

static void print(const struct job *j, bool as_json)
{
    const struct rec_rerank_opts *o = j->r.m->opts;
    char hex[2 * KEY_DIGEST_BYTES + 1];

    key_hex(j->r.digest, KEY_DIGEST_BYTES, hex);
    if (as_json) {
        cmd_ui_json(json_pack(
            "{s:s, s:s, s:s, s:I, s:{s:o, s:o, s:o}, s:f, s:f, s:I, s:s}",
            "name", j->v->lists, "model", o->ranker, "base", "lists", "lists",
            (json_int_t)j->r.learn.t.n, "metrics", "before",
            report_json(j, &j->before), "after", report_json(j, &j->after),
            "ceiling", report_json(j, &j->ceiling), "seconds", j->r.seconds,
            "microseconds_a_list", j->r.micros, "threads",
            (json_int_t)par_threads(), "digest", hex));
        return;
    }
    printf("%s: %s lists to learn from, %.2f s; %s lists ordered, %.0f us "
           "each\n%-14s%12s%12s%12s\n",
           o->ranker, cmd_ui_count(j->r.learn.t.n), j->r.seconds,
           cmd_ui_count(j->r.ask.t.n), j->r.micros, "", "before", "after",
           "ceiling");
    for (int k = 0; k < REC_READY_METRICS; k++) {
        for (size_t c = 0; c < j->n_cuts; c++) {
            if (!isnan(j->before.value[c][k]))
                printf("%8s@%-5zu%12.5f%12.5f%12.5f\n",
                       rec_ready_metric_name[k], j->cut[c],
                       j->before.value[c][k], j->after.value[c][k],
                       j->ceiling.value[c][k]);
        }
    }
    if (!isnan(j->before.expected))
        printf("%-14s%12.5f%12.5f   (the best order: %.5f)\n", "true clicks",
               j->before.expected, j->after.expected, j->before.best);
    printf("digest %s\n", hex);
}

/* Where the scores of the test lists go: by line of the file. */
static enum err write_scores(const struct job *j)
{
    const struct rec_lessons *t = &j->r.ask.t;
    float *by_row = mem_array(j->test.n_rows, sizeof(*by_row));
    struct cmd_output out;

    if (by_row == NULL)
        return err_set(ERR_NOMEM, "no memory for scores");
    for (size_t at = 0; at < t->n * t->list; at++) {
        if (j->r.ask.row[at] != SIZE_MAX)
            by_row[j->r.ask.row[at]] = j->r.score[at];
    }
    enum err e = cmd_ui_create(&out, j->v->output);

    if (e == ERR_OK) {
        for (size_t r = 0; r < j->test.n_rows; r++)
            fprintf(out.file, "%.7g\n", (double)by_row[r]);
        e = cmd_ui_finish(&out, ERR_OK);
    }
    free(by_row);
    return e;
}

enum err cmd_rerank_ready(const struct cmd_rerank_values *v,
                          struct rec_model *m, const struct cmd_common *c)
{
    struct job j = {.v = v, .r = {.m = m}};
    enum err e = cmd_cuts(v->k, j.cut, &j.n_cuts);

    if (e == ERR_OK && v->test == NULL)
        e = err_set(ERR_ARG, "--lists wants --test too: lists to measure on");
    if (e == ERR_OK)
        e = rec_rerank_check(m);
    if (e == ERR_OK)
        e = read_lists(&j);
    if (e == ERR_OK)
        e = cmd_rerank_learn(&j.r);
    if (e == ERR_OK)
        e = cmd_rerank_order(&j.r);
    if (e == ERR_OK)
        e = measure(&j);
    if (e == ERR_OK && v->output != NULL)
        e = write_scores(&j);
    if (e == ERR_OK)
        print(&j, c->json);
    rec_ready_free(&j.train);
    rec_ready_free(&j.test);
    mem_drop(&j.r.s);
    return e;
}
