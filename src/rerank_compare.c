/*
 * src/rerank_compare.c - `recd rerank compare`: several re-rankers over one
 * first stage.
 *
 * For each seed the first stage, the other generators and the lists are made
 * once; every re-ranker learns from them and orders the lists of the people who
 * have test rows.  Nothing is kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/par.h"
#include "src/rerank.h"

#define MODELS_MOST 40
#define SEEDS_MOST 20

enum { RECALL, NDCG, FIGURES };
static const char *const figure_name[FIGURES] = {"recall", "ndcg"};

/* Of one order of everybody's lists. */
struct order {
    double value[8][FIGURES];
    double seconds, micros; /* of all cores */
};

struct compared {
    const struct cmd_rerank_values *v;
    const struct cmd_common *c;
    struct rec_data train, test;
    struct cmd_rerank_job job; /* of the seed at hand; m NULL between */
    char *text;                /* --models, cut into pieces */
    struct rec_model *like[MODELS_MOST]; /* options of each */
    size_t n_models, n_seeds, n_people;
    size_t cut[8], n_cuts;
    struct order before[SEEDS_MOST], ceiling[SEEDS_MOST];
    struct order after[MODELS_MOST][SEEDS_MOST];
    double seconds[SEEDS_MOST]; /* of first stages and lists */
};

/* --- options ---------------------------------------------------------------
 */

/* RANKER, or RANKER:OPTION=VALUE:...; the options of `all` for the rest. */
static enum err add_model(struct compared *w, const struct rec_model *all,
                          char *text)
{
    const struct opt *rows = all->ops->opts;
    char *rest, *word = strtok_r(text, ":", &rest);
    struct rec_model *m;

    if (word == NULL || w->n_models == MODELS_MOST)
        return err_set(ERR_ARG, "--models wants up to %d names of re-rankers",
                       MODELS_MOST);
    ERR_TRY(rec_model_new(&m, all->ops));
    w->like[w->n_models++] = m;
    memcpy(m->opts, all->opts, all->ops->opts_bytes);
    ERR_TRY(opt_assign(rows, m->opts, "ranker", word));
    while ((word = strtok_r(NULL, ":", &rest)) != NULL) {
        char *value = strchr(word, '=');

        if (value == NULL)
            return err_set(ERR_ARG, "\"%s\" in --models is not OPTION=VALUE",
                           word);
        *value++ = '\0';
        ERR_TRY(opt_assign(rows, m->opts, word, value));
        if (cmd_rerank_makes_lists(word))
            return err_set(ERR_ARG,
                           "--models: all re-rankers of a comparison have the "
                           "same lists: give --%s %s instead",
                           word, value);
    }
    return rec_rerank_check(m);
}

static enum err read_models(struct compared *w, const struct rec_model *all)
{
    char *rest;

    if (w->v->models == NULL)
        return err_set(ERR_ARG, "compare wants --models, like "
                                "logistic:rate=0.01,prm,imsab:epochs=4");
    w->text = mem_text(w->v->models);
    if (w->text == NULL)
        return err_set(ERR_NOMEM, "no memory to compare");
    for (char *p = strtok_r(w->text, ",", &rest); p != NULL;
         p = strtok_r(NULL, ",", &rest))
        ERR_TRY(add_model(w, all, p));
    return w->n_models > 0 ? ERR_OK : add_model(w, all, w->text);
}

/* --- figures ---------------------------------------------------------------
 */

/* The list of person u by score (NULL: the first stage's own); returns its
 * length. */
static size_t list_of(const struct rec_lessons *t, const float *score, size_t u,
                      uint32_t *list)
{
    struct rec_placed placed[REC_LIST_MOST];
    const uint32_t *item = t->item + u * t->list;
    size_t n = 0;

    if (score == NULL && t->before != NULL) {
        for (; n < t->list && t->before[u * t->list + n] != REC_NOBODY; n++)
            list[n] = t->before[u * t->list + n];
        return n;
    }
    for (; n < t->list && t->mask[u * t->list + n] > 0; n++)
        placed[n] = (struct rec_placed){
            score != NULL ? score[u * t->list + n] : -(float)n, (uint32_t)n};
    qsort(placed, n, sizeof(*placed), rec_by_place);
    for (size_t k = 0; k < n; k++)
        list[k] = item[placed[k].at];
    return n;
}

/* Mean figures of everybody's lists by score (NULL: the first stage's own). */
static void measure(const struct compared *w, const float *score,
                    struct order *out)
{
    const struct rec_lessons *t = &w->job.ask.t;
    const struct rec_data *test = &w->test;
    uint32_t list[REC_LIST_MOST];
    double one[REC_METRICS];

    memset(out->value, 0, sizeof(out->value));
    for (size_t u = 0; u < test->n_users; u++) {
        const size_t from = test->user_ptr[u], rows = test->user_ptr[u + 1];
        const size_t lost = test->lost != NULL ? test->lost[u] : 0;

        if (rows - from + lost == 0)
            continue;
        const size_t n = list_of(t, score, u, list);

        for (size_t c = 0; c < w->n_cuts; c++) {
            rec_metrics_one(list, n, test->item + from, rows - from, lost,
                            w->cut[c], one);
            out->value[c][RECALL] += one[REC_RECALL] / (double)w->n_people;
            out->value[c][NDCG] += one[REC_NDCG] / (double)w->n_people;
        }
    }
}

static enum err compare_one(struct compared *w, size_t model, size_t s)
{
    const struct rec_model *like = w->like[model];
    struct order *out = &w->after[model][s];
    struct cmd_rerank_job *j = &w->job;

    ERR_TRY(rec_model_new(&j->m, like->ops));
    memcpy(j->m->opts, like->opts, like->ops->opts_bytes);
    j->m->seed = (uint64_t)w->c->seed + s;
    enum err e = cmd_rerank_learn(j);

    if (e == ERR_OK)
        e = cmd_rerank_order(j);
    if (e == ERR_OK)
        measure(w, j->score, out);
    out->seconds = j->cpu_s;
    out->micros = j->cpu_us;
    rec_model_free(j->m);
    j->m = NULL;
    return e;
}

static enum err compare_seed(struct compared *w, size_t s)
{
    struct rec_model *first = w->like[0];
    const clock_t start = clock();

    w->job = (struct cmd_rerank_job){.d = &w->train};
    first->seed = (uint64_t)w->c->seed + s;
    enum err e = rec_rerank_lists(first, &w->train, &w->test, &w->job.learn.t,
                                  &w->job.ask.t, &w->job.s);

    w->seconds[s] = (double)(clock() - start) / CLOCKS_PER_SEC;
    if (e == ERR_OK) {
        measure(w, NULL, &w->before[s]);
        measure(w, w->job.ask.t.label, &w->ceiling[s]);
    }
    for (size_t k = 0; k < w->n_models && e == ERR_OK; k++)
        e = compare_one(w, k, s);
    mem_drop(&w->job.s);
    return e;
}

/* --- what is said ----------------------------------------------------------
 */

/* Mean and half the range of n numbers that stand `stride` bytes apart. */
static void spread(const double *x, size_t n, size_t stride, double out[2])
{
    double low = *x, high = *x, sum = 0;

    for (size_t k = 0; k < n; k++) {
        const double v = *(const double *)((const char *)x + k * stride);

        low = v < low ? v : low;
        high = v > high ? v : high;
        sum += v / (double)n;
    }
    out[0] = sum;
    out[1] = (high - low) / 2;
}

/* Gains of ndcg at the last cut, in percent, seed by seed. */
static void gains(const struct compared *w, size_t model, double out[2])
{
    const size_t last = w->n_cuts - 1;
    double x[SEEDS_MOST] = {0};

    for (size_t s = 0; s < w->n_seeds; s++)
        x[s] = 100 * (w->after[model][s].value[last][NDCG] /
                          w->before[s].value[last][NDCG] -
                      1);
    spread(x, w->n_seeds, sizeof(*x), out);
}

static void print_order(const struct compared *w, const char *name,
                        const struct order *o)
{
    double x[2];

    printf("| %s ", name);
    for (size_t c = 0; c < w->n_cuts; c++) {
        for (int k = 0; k < FIGURES; k++) {
            spread(&o[0].value[c][k], w->n_seeds, sizeof(*o), x);
            printf("| %.4f +- %.4f ", x[0], x[1]);
        }
    }
}

static void print(const struct compared *w)
{
    double x[2];

    spread(w->seconds, w->n_seeds, sizeof(double), x);
    printf(
        "%s people with test rows, lists of %zu, %zu seeds; first stages and "
        "lists: %.0f CPU s a seed\n\n|  ",
        cmd_ui_count(w->n_people), w->job.ask.t.list, w->n_seeds, x[0]);
    for (size_t c = 0; c < w->n_cuts; c++) {
        for (int k = 0; k < FIGURES; k++)
            printf("| %s@%zu ", figure_name[k], w->cut[c]);
    }
    printf("| gain, %% | learning, CPU s | us a list |\n|");
    for (size_t c = 0; c < FIGURES * w->n_cuts + 4; c++)
        printf("---|");
    printf("\n");
    print_order(w, "first stage", w->before);
    printf("| | | |\n");
    print_order(w, "ceiling", w->ceiling);
    printf("| | | |\n");
    for (size_t k = 0; k < w->n_models; k++) {
        const struct rec_rerank_opts *o = w->like[k]->opts;

        print_order(w, o->ranker, w->after[k]);
        gains(w, k, x);
        printf("| %+.2f +- %.2f ", x[0], x[1]);
        spread(&w->after[k][0].seconds, w->n_seeds, sizeof(struct order), x);
        printf("| %.1f ", x[0]);
        spread(&w->after[k][0].micros, w->n_seeds, sizeof(struct order), x);
        printf("| %.0f |\n", x[0]);
    }
}

static json_t *order_json(const struct compared *w, const struct order *o)
{
    json_t *all = json_array();

    for (size_t s = 0; s < w->n_seeds; s++) {
        json_t *one = json_object();
        char key[32];

        for (size_t c = 0; c < w->n_cuts; c++) {
            for (int k = 0; k < FIGURES; k++) {
                (void)snprintf(key, sizeof(key), "%s@%zu", figure_name[k],
                               w->cut[c]);
                (void)json_object_set_new(one, key,
                                          json_real(o[s].value[c][k]));
            }
        }
        if (o[s].seconds > 0) {
            (void)json_object_set_new(one, "cpu_seconds",
                                      json_real(o[s].seconds));
            (void)json_object_set_new(one, "cpu_microseconds_a_list",
                                      json_real(o[s].micros));
        }
        (void)json_array_append_new(all, one);
    }
    return all;
}

static void say(const struct compared *w)
{
    if (!w->c->json) {
        print(w);
        return;
    }
    json_t *after = json_array();

    for (size_t k = 0; k < w->n_models; k++) {
        const struct rec_rerank_opts *o = w->like[k]->opts;

        (void)json_array_append_new(
            after, json_pack("{s:s, s:o}", "model", o->ranker, "seeds",
                             order_json(w, w->after[k])));
    }
    cmd_ui_json(json_pack(
        "{s:I, s:I, s:o, s:o, s:o, s:I}", "people", (json_int_t)w->n_people,
        "list", (json_int_t)w->job.ask.t.list, "before",
        order_json(w, w->before), "ceiling", order_json(w, w->ceiling), "after",
        after, "threads", (json_int_t)par_threads()));
}

/* --- all of it -------------------------------------------------------------
 */

static enum err load(struct compared *w)
{
    struct cmd_opened o = {0};
    enum err e = cmd_ui_open(&o, w->c);

    if (e == ERR_OK)
        e = rec_data_load(&w->train, o.v);
    if (e == ERR_OK)
        e = rec_data_load_in(&w->test, o.v, STO_TEST, w->train.user_key,
                             w->train.n_users, w->train.item_key,
                             w->train.n_items);
    if (e == ERR_OK && w->test.n_rows == 0)
        e = err_set(ERR_NOTFOUND, "compare wants test rows (`recd split --test "
                                  "0.2`, or `recd import --as test FILE`)");
    for (size_t u = 0; u < w->test.n_users && e == ERR_OK; u++)
        w->n_people += w->test.user_ptr[u + 1] > w->test.user_ptr[u] ||
                       (w->test.lost != NULL && w->test.lost[u] > 0);
    cmd_ui_close(&o);
    return e;
}

static enum err cuts(struct compared *w, const struct rec_model *all)
{
    const struct rec_rerank_opts *o = all->opts;

    ERR_TRY(cmd_cuts(w->v->k, w->cut, &w->n_cuts));
    return (int64_t)w->cut[w->n_cuts - 1] <= o->candidates
               ? ERR_OK
               : err_set(ERR_ARG,
                         "--k %zu is longer than the lists that are "
                         "compared: --candidates %lld",
                         w->cut[w->n_cuts - 1], (long long)o->candidates);
}

enum err cmd_rerank_compare(const struct cmd_rerank_values *v,
                            const struct rec_model *all,
                            const struct cmd_common *c)
{
    struct compared *w = mem_array(1, sizeof(*w));

    if (w == NULL)
        return err_set(ERR_NOMEM, "no memory to compare");
    w->v = v;
    w->c = c;
    w->n_seeds = (size_t)v->seeds;
    enum err e = cuts(w, all);

    if (e == ERR_OK)
        e = read_models(w, all);
    if (e == ERR_OK)
        e = load(w);
    for (size_t s = 0; s < w->n_seeds && e == ERR_OK; s++)
        e = compare_seed(w, s);
    if (e == ERR_OK)
        say(w);
    for (size_t k = 0; k < w->n_models; k++)
        rec_model_free(w->like[k]);
    rec_data_free(&w->train);
    rec_data_free(&w->test);
    free(w->text);
    free(w);
    return e;
}
