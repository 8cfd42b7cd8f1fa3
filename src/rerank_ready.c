/* src/rerank_ready.c - `recd rerank train --lists`: without a first stage. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "base/par.h"
#include "rec/ready.h"
#include "src/rerank.h"

#define ASK ((size_t)64) /* lists that are ordered at once */

struct job {
    const struct cmd_rerank_values *v;
    struct rec_model *m;
    struct mem_scratch s;
    struct rec_ready train, test;
    struct rec_ready_lists learn, ask;
    struct rec_ready_report before, after, ceiling;
    float *score; /* [test lists][list] */
    size_t cut[8], n_cuts;
    double seconds, micros; /* of learning; of ordering, a list */
    unsigned char digest[KEY_DIGEST_BYTES];
};

static enum err read_lists(struct job *j)
{
    const struct rec_ready_how how = {.score = (size_t)j->v->score,
                                      .category = (size_t)j->v->category,
                                      .seed = j->m->seed};

    ERR_TRY(rec_ready_read(&j->train, j->v->lists));
    ERR_TRY(rec_ready_read(&j->test, j->v->test));
    const size_t most =
        j->train.most > j->test.most ? j->train.most : j->test.most;
    char list[24];

    (void)snprintf(list, sizeof(list), "%zu", most > 2 ? most : 2);
    ERR_TRY(opt_assign(j->m->ops->opts, j->m->opts, "candidates", list));
    if ((size_t)j->v->score > j->train.features ||
        (size_t)j->v->category > j->train.features)
        return err_set(ERR_ARG, "%s has features 1 to %zu", j->v->lists,
                       j->train.features);
    ERR_TRY(mem_budget(4.0 * (double)most * ((double)j->train.features + 8) *
                           ((double)j->train.n + (double)j->test.n),
                       "lists in memory"));
    ERR_TRY(rec_ready_take(&j->learn, &j->s, &j->train, &how, most,
                           j->train.features, NULL));
    return rec_ready_take(&j->ask, &j->s, &j->test, &how, most,
                          j->train.features, &j->learn.t);
}

/* The digest of the network alone: there is no data of a store in it. */
static enum err take_digest(struct job *j, struct rec_net *k)
{
    struct rec_array_spec spec[REC_SPARSE_MOST + 5] = {
        {"mean", STO_F32, j->learn.t.features, 1},
        {"unit", STO_F32, j->learn.t.features, 1}};
    size_t zero = 0;
    uint64_t key = 0;
    uint32_t item = 0;
    const struct rec_data none = {
        .user_key = &key, .item_key = &key, .user_ptr = &zero, .item = &item};

    ERR_TRY(rec_net_pack(k));
    const size_t n = 2 + rec_net_arrays(k, spec + 2);

    ERR_TRY(rec_model_alloc(j->m, &none, spec, n));
    rec_net_store(k, j->m);
    memcpy(rec_model_array(j->m, "mean"), j->learn.t.mean,
           j->learn.t.features * sizeof(float));
    memcpy(rec_model_array(j->m, "unit"), j->learn.t.unit,
           j->learn.t.features * sizeof(float));
    rec_model_digest(j->m, j->digest);
    return ERR_OK;
}

/* Order the lists of the test file with what the model keeps. */
static enum err order_lists(struct job *j)
{
    const struct rec_lessons *t = &j->ask.t;
    const size_t batch = t->n < ASK ? t->n : ASK;
    struct rec_net k = {.n = 0};
    struct rec_step p = {.batch = 0};
    enum err e = rec_net_load(&k, j->m, t->features, batch);
    float *value = mem_take(&j->s, batch, t->list, sizeof(*value));

    j->score = mem_take(&j->s, t->n, t->list, sizeof(*j->score));
    if (e == ERR_OK && j->s.failed)
        e = err_set(ERR_NOMEM, "no memory to order lists");
    if (e == ERR_OK)
        e = rec_step_open(&p, batch, t);
    const double start = cmd_ui_now();

    for (size_t first = 0; first < t->n && e == ERR_OK; first += batch) {
        const size_t n = t->n - first < batch ? t->n - first : batch;

        rec_step_set(&p, t, first);
        e = rec_net_order(&k, &p.asked, value);
        if (e == ERR_OK)
            memcpy(j->score + first * t->list, value,
                   n * t->list * sizeof(*value));
    }
    j->micros = (cmd_ui_now() - start) / (double)t->n * 1e6;
    rec_step_close(&p);
    rec_net_free(&k);
    return e;
}

static enum err measure(struct job *j)
{
    ERR_TRY(rec_ready_measure(&j->test, &j->ask, NULL, &j->learn, j->cut,
                              j->n_cuts, &j->before));
    ERR_TRY(rec_ready_measure(&j->test, &j->ask, j->score, &j->learn, j->cut,
                              j->n_cuts, &j->after));
    return rec_ready_measure(&j->test, &j->ask, j->ask.t.label, &j->learn,
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
    const struct rec_rerank_opts *o = j->m->opts;
    char hex[2 * KEY_DIGEST_BYTES + 1];

    key_hex(j->digest, KEY_DIGEST_BYTES, hex);
    if (as_json) {
        cmd_ui_json(json_pack(
            "{s:s, s:s, s:s, s:I, s:{s:o, s:o, s:o}, s:f, s:f, s:I, s:s}",
            "name", j->v->lists, "model", o->ranker, "base", "lists", "lists",
            (json_int_t)j->learn.t.n, "metrics", "before",
            report_json(j, &j->before), "after", report_json(j, &j->after),
            "ceiling", report_json(j, &j->ceiling), "seconds", j->seconds,
            "microseconds_a_list", j->micros, "threads",
            (json_int_t)par_threads(), "digest", hex));
        return;
    }
    printf("%s: %s lists to learn from, %.2f s; %s lists ordered, %.0f us "
           "each\n%-14s%12s%12s%12s\n",
           o->ranker, cmd_ui_count(j->learn.t.n), j->seconds,
           cmd_ui_count(j->ask.t.n), j->micros, "", "before", "after",
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

static enum err learn(struct job *j)
{
    struct rec_net k = {.n = 0};
    const double start = cmd_ui_now();
    enum err e = rec_net_learn(&k, j->m, &j->learn.t);

    j->seconds = cmd_ui_now() - start;
    if (e == ERR_OK)
        e = take_digest(j, &k);
    rec_net_free(&k);
    return e;
}

/* Where the scores of the test lists go: by line of the file. */
static enum err write_scores(const struct job *j)
{
    const struct rec_lessons *t = &j->ask.t;
    float *by_row = mem_array(j->test.n_rows, sizeof(*by_row));
    struct cmd_output out;

    if (by_row == NULL)
        return err_set(ERR_NOMEM, "no memory for scores");
    for (size_t at = 0; at < t->n * t->list; at++) {
        if (j->ask.row[at] != SIZE_MAX)
            by_row[j->ask.row[at]] = j->score[at];
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
    struct job j = {.v = v, .m = m};
    enum err e = cmd_cuts(v->k, j.cut, &j.n_cuts);

    if (e == ERR_OK && v->test == NULL)
        e = err_set(ERR_ARG, "--lists wants --test too: lists to measure on");
    if (e == ERR_OK)
        e = rec_rerank_check(m);
    if (e == ERR_OK)
        e = read_lists(&j);
    if (e == ERR_OK)
        e = learn(&j);
    if (e == ERR_OK)
        e = order_lists(&j);
    if (e == ERR_OK)
        e = measure(&j);
    if (e == ERR_OK && v->output != NULL)
        e = write_scores(&j);
    if (e == ERR_OK)
        print(&j, c->json);
    rec_ready_free(&j.train);
    rec_ready_free(&j.test);
    mem_drop(&j.s);
    return e;
}
