/* src/simulate_cell.c - one simulation, from options to figures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/csv.h"
#include "base/mem.h"
#include "base/par.h"
#include "privacy_sim/figures.h"
#include "privacy_sim/game.h"
#include "rec/metrics.h"
#include "src/simulate.h"
#include "src/ui.h"
#include "store/lines.h"

#define AT(field) offsetof(struct cmd_sim_values, field)
const struct opt cmd_sim_rows[] = {
    {"model", 0, OPT_TEXT, AT(model), NULL, 0, 0, "MODEL",
     "the platform's recommender: itemknn, ease, bpr, wmf, gfcf or lightgcn"},
    {"mechanism", 0, OPT_TEXT, AT(mechanism), "blocks:8+free", 0, 0,
     "SPLIT+RULE",
     "whole, type, blocks:K, category, item; binary, prefix, free, atleast:M, "
     "fixed:Q"},
    {"sensitivity", 0, OPT_TEXT, AT(sensitivity), "lognormal:0.05", 0, 0,
     "SPEC",
     "what disclosing all costs: const:L, uniform:A,B, lognormal:L[,S], "
     "westin:U,P,F, bimodal:L1,L2,PI, file:PATH (lines PERSON,LAMBDA)"},
    {"group-factors", 0, OPT_TEXT, AT(factors), "", 0, 0, "G=X,...",
     "multiply the sensitivity of groups (see --group)"},
    {"solver", 0, OPT_TEXT, AT(solver), "exact", 0, 0, "SOLVER",
     "how people find a choice: exact, reinforce, policy, greedy or hedge"},
    {"samples", 0, OPT_INT, AT(samples), "100", 1, 1e6, "N",
     "tries of a learning solver"},
    {"learners", 0, OPT_REAL, AT(learners), "1", 0, 1, "X",
     "share of the people whom a policy learns from; it decides for all"},
    {"rate", 0, OPT_REAL, AT(rate), "0", 0, 10, "X",
     "its rate of learning; 0 = .3 up to 200 samples, else .1"},
    {"rounds", 0, OPT_INT, AT(rounds), "50", 1, 1e4, "N",
     "at most so many trainings of the platform"},
    {"folds", 0, OPT_INT, AT(folds), "0", 0, SIM_FOLDS, "F",
     "serve people by recommenders that learnt from the other F - 1 parts of "
     "them"},
    {"inertia", 0, OPT_REAL, AT(inertia), "0.9", 0, 1, "Q",
     "chance to reconsider in the first round; it falls later"},
    {"shrink", 0, OPT_REAL, AT(shrink), "-1", -1, 1e9, "N",
     "people trust n decision items of their own n / (n + N), and else what "
     "is usual in their group; -1 = 500 with exact and segments that mean the "
     "same for all, else 0"},
    {"threshold", 0, OPT_REAL, AT(threshold), "0", 0, 1, "X",
     "gain that is too small to move for"},
    {"bound", 0, OPT_REAL, AT(bound), "0.01", 0, 1, "X",
     "settled when the mean residual is this share of mean utility; else "
     "status 3"},
    {"exclude", 0, OPT_CHOICE, AT(exclude), "disclosed", 0, 0, "disclosed|all",
     "items left out of lists: what the platform knows, or all that a person "
     "has (their device knows)"},
    {"utility", 0, OPT_TEXT, AT(utility), "ndcg@10", 0, 0, "METRIC",
     "what people want of a list: ndcg@K or recall@K"},
    {"cost-power", 0, OPT_REAL, AT(power), "1", 0.1, 10, "P",
     "cost grows like the disclosed share to this power"},
    {"attributes", 0, OPT_TEXT, AT(attributes), "", 0, 0, "A,B",
     "attributes of people that can be disclosed (`recd import --users`)"},
    {"attribute-cost", 0, OPT_REAL, AT(attribute_cost), "0.05", 0, 10, "X",
     "of each attribute, as a share of a person's items"},
    {"category", 0, OPT_TEXT, AT(category), "genres", 0, 0, "NAME",
     "the catalogue's column of categories, for category+RULE"},
    {"group", 0, OPT_TEXT, AT(group), "activity", 0, 0, "NAME",
     "results by this attribute of people, or by activity"},
    {"min-rows", 0, OPT_INT, AT(min_rows), "10", 5, 1e6, "N",
     "people with fewer rows are left out"},
    {"min-people", 0, OPT_INT, AT(min_people), "1", 1, 1e6, "N",
     "items with fewer people are left out"},
    {"start", 0, OPT_CHOICE, AT(start), "all", 0, 0, "all|none",
     "what everybody discloses before the first round"},
    {"fictitious", 0, OPT_BOOL, AT(fictitious), NULL, 0, 0, NULL,
     "train on draws from people's past choices"},
    {"temperature", 0, OPT_REAL, AT(temperature), "0", 0, 10, "T",
     "choose by chance, like exp(utility / T); 0 = the best (exact only)"},
    {"effort", 0, OPT_REAL, AT(effort), "0", 0, 1, "X",
     "cost of each segment that differs from the default"},
    {"stickiness", 0, OPT_REAL, AT(stickiness), "0", 0, 1, "X",
     "bonus for staying with the default"},
    {"default", 0, OPT_CHOICE, AT(usual), "all", 0, 0, "all|none",
     "the default that effort and stickiness speak of"},
    {"present-bias", 0, OPT_REAL, AT(present), "1", 0, 1, "B",
     "when deciding, privacy weighs only this share"},
    {"retrain", 0, OPT_INT, AT(retrain), "0", 0, 1e6, "N",
     "people whose residual is also found by training again"},
    {"data-cost", 0, OPT_REAL, AT(data_cost), "0", 0, 1e6, "X",
     "what a disclosed row costs the platform, in its revenue"},
    {"dry-run", 0, OPT_BOOL, AT(dry_run), NULL, 0, 0, NULL,
     "of a policy file: say how many cells there are, and how long they take"},
    {"people", 0, OPT_TEXT, AT(people), NULL, 0, 0, "FILE",
     "write each person's choice there, as CSV (personal data)"},
    {"report", 0, OPT_TEXT, AT(report), NULL, 0, 0, "FILE.html",
     "write one page for people to read (a policy file always makes one)"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

/* --- what was asked --------------------------------------------------------
 */

static enum err wants_of(struct sim_wants *out, const struct cmd_sim_values *v)
{
    enum rec_metric metric;
    size_t cut;

    ERR_TRY(rec_metric_parse(v->utility, &metric, &cut));
    if ((metric != REC_NDCG && metric != REC_RECALL) || cut < 1 || cut > 100)
        return err_set(ERR_ARG,
                       "--utility %s: people want ndcg@K or recall@K, K up to "
                       "100",
                       v->utility);
    *out = (struct sim_wants){
        .quality = metric == REC_NDCG ? SIM_NDCG : SIM_RECALL,
        .cut = cut,
        .power = v->power,
        .exclude_all = strcmp(v->exclude, "all") == 0,
        .effort = v->effort,
        .stickiness = v->stickiness,
        .present = v->present,
        .default_on = strcmp(v->usual, "all") == 0,
    };
    return ERR_OK;
}

/* Beliefs that shrink need exact's tables, comparable between people. */
static double shrink_of(const struct cmd_sim_values *v,
                        const struct sim_game_opts *o)
{
    if (v->shrink >= 0)
        return v->shrink;
    return o->solver == &sim_solver_exact && o->m.split != SIM_CATEGORY &&
                   o->m.split != SIM_ITEM
               ? 500
               : 0;
}

enum err cmd_sim_game(struct sim_game_opts *out, const struct cmd_sim_values *v,
                      const struct rec_model *model, uint64_t seed)
{
    *out = (struct sim_game_opts){
        .samples = (size_t)v->samples,
        .rate = v->rate,
        .learners = v->learners,
        .temperature = v->temperature,
        .like = model,
        .folds = (size_t)v->folds,
        .rounds = (size_t)v->rounds,
        .inertia = v->inertia,
        .threshold = v->threshold,
        .settled = v->bound,
        .cold = strcmp(v->start, "none") == 0,
        .fictitious = v->fictitious,
        .retrain = (size_t)v->retrain,
        .seed = seed,
    };
    ERR_TRY(sim_mechanism_parse(&out->m, v->mechanism));
    if (strncmp(v->sensitivity, "file:", 5) != 0)
        ERR_TRY(sim_tastes_parse(&out->tastes, v->sensitivity));
    ERR_TRY(sim_solver_find(v->solver, &out->solver));
    out->shrink = shrink_of(v, out);
    if (v->temperature > 0 && out->solver != &sim_solver_exact)
        return err_set(ERR_ARG, "--temperature goes with --solver exact");
    return wants_of(&out->wants, v);
}

enum err cmd_sim_world(struct sim_world *w, const struct cmd_sim_values *v,
                       const struct sim_mechanism *m, const char *store,
                       uint64_t seed)
{
    const struct sim_world_opts o = {
        .split = m->split,
        .blocks = m->blocks,
        .attributes = v->attributes,
        .category = v->category,
        .min_rows = (size_t)v->min_rows,
        .min_people = (size_t)v->min_people,
        .attribute_cost = v->attribute_cost,
        .seed = seed,
    };
    struct sto_view *view;
    struct sto *st;

    ERR_TRY(sto_open(&st, store, STO_READ));
    enum err e = sto_view_open(&view, st);

    if (e == ERR_OK) {
        e = sim_world_load(w, view, &o, v->group);
        sto_view_close(view);
    }
    sto_close(st);
    return e;
}

/* --- sensitivities ---------------------------------------------------------
 */

/* A line "PERSON,LAMBDA" for each; people of the world who are not named are
 * an error, others are passed over.  A first line without a number is a head.
 */
static enum err read_lambda(double *lambda, const struct sim_world *w,
                            const char *path)
{
    struct sto_lines in;
    size_t named = 0;
    char *line;
    size_t len;

    for (size_t u = 0; u < w->all.n_users; u++)
        lambda[u] = -1;
    ERR_TRY(sto_lines_open(&in, path));
    enum err e = ERR_OK;

    while ((e = sto_lines_next(&in, &line, &len)) == ERR_OK && line != NULL) {
        const char *comma = memchr(line, ',', len);
        char *end = NULL;
        const double x = comma != NULL ? strtod(comma + 1, &end) : -1;

        if (comma == NULL || end == comma + 1 || !(x >= 0 && x < 1e9)) {
            if (in.number == 1)
                continue;
            e = err_set(ERR_FORMAT, "%s:%llu: PERSON,LAMBDA was expected", path,
                        (unsigned long long)in.number);
            break;
        }
        const uint32_t u = rec_key_find(w->all.user_key, w->all.n_users,
                                        key_of(line, (size_t)(comma - line)));

        if (u == REC_NOBODY)
            continue;
        named += lambda[u] < 0;
        lambda[u] = x;
    }
    sto_lines_close(&in);
    if (e == ERR_OK && named < w->all.n_users)
        e = err_set(ERR_FORMAT,
                    "%s: it has no sensitivity for %zu of %zu people", path,
                    w->all.n_users - named, w->all.n_users);
    return e;
}

/* "VALUE=FACTOR,...": lambda of the people of a group is multiplied. */
static enum err apply_factors(double *lambda, const struct sim_world *w,
                              const char *text)
{
    for (const char *p = text; *p != '\0';) {
        const size_t len = strcspn(p, ",");
        const char *equals = memchr(p, '=', len);
        size_t group = 0;
        char *end = NULL;
        const double x = equals != NULL ? strtod(equals + 1, &end) : -1;

        if (equals == NULL || end != p + len || !(x >= 0 && x < 1e9))
            return err_set(ERR_ARG,
                           "--group-factors %s: GROUP=FACTOR,... was expected",
                           text);
        while (group < w->n_groups &&
               (strncmp(w->group_name[group], p, (size_t)(equals - p)) != 0 ||
                w->group_name[group][equals - p] != '\0'))
            group++;
        if (group == w->n_groups)
            return err_set(ERR_ARG,
                           "--group-factors: nobody is of the group \"%.*s\" "
                           "(--group says which attribute groups people)",
                           (int)(equals - p), p);
        for (size_t u = 0; u < w->all.n_users; u++)
            lambda[u] *= w->group[u] == group ? x : 1;
        p += len + (p[len] == ',');
    }
    return ERR_OK;
}

enum err cmd_sim_lambda(double **out, const struct cmd_sim_values *v,
                        const struct sim_world *w,
                        const struct sim_game_opts *o)
{
    double *lambda = mem_array(w->all.n_users, sizeof(*lambda));
    enum err e = ERR_OK;

    *out = lambda;
    if (lambda == NULL)
        return err_set(ERR_NOMEM, "no memory for sensitivities");
    if (strncmp(v->sensitivity, "file:", 5) == 0)
        e = read_lambda(lambda, w, v->sensitivity + 5);
    else
        for (size_t u = 0; u < w->all.n_users; u++)
            lambda[u] = sim_taste_of(&o->tastes, o->seed, w->all.user_key[u]);
    return e == ERR_OK ? apply_factors(lambda, w, v->factors) : e;
}

/* --- what came of it -------------------------------------------------------
 */

static json_t *rounds_json(const struct sim_result *r)
{
    json_t *out = json_array();

    for (size_t k = 0; k < r->n_rounds; k++)
        (void)json_array_append_new(out, sim_round_json(&r->round[k]));
    return out;
}

static json_t *draws_json(const struct sim_result *r, uint64_t seed)
{
    static double mean[SIM_COMPARED][SIM_DRAWS];
    json_t *out = json_object();

    sim_bootstrap(r, seed, mean);
    for (int k = 0; k < SIM_COMPARED; k++) {
        json_t *list = json_array();

        for (size_t d = 0; d < SIM_DRAWS; d++)
            (void)json_array_append_new(list, json_real(mean[k][d]));
        (void)json_object_set_new(out, sim_compared_name[k], list);
    }
    return out;
}

static double rows_of(const struct sim_world *w)
{
    return (double)w->all.n_rows;
}

/* Revenue: what the lists are worth, less what keeping the data costs. */
static double revenue(const struct cmd_sim_values *v, const struct sim_world *w,
                      const struct sim_round *x)
{
    return (double)w->all.n_users * x->quality -
           v->data_cost * x->disclosed * rows_of(w);
}

static json_t *cell_json(const struct cmd_sim_values *v,
                         const struct rec_model *model,
                         const struct sim_world *w, const struct sim_result *r)
{
    const struct sim_round *x = &r->round[r->n_rounds - 1];
    unsigned char rows[KEY_DIGEST_BYTES];
    char hex[2 * KEY_DIGEST_BYTES + 1], data[2 * KEY_DIGEST_BYTES + 1];
    json_t *out = sim_round_json(x);
    double lambda = 0;

    for (size_t u = 0; u < r->n_users; u++)
        lambda += r->person[u].lambda / (double)r->n_users;
    rec_data_digest(&w->all, rows);
    key_hex(r->digest, KEY_DIGEST_BYTES, hex);
    key_hex(rows, KEY_DIGEST_BYTES, data);
    (void)json_object_update_new(
        out,
        json_pack("{s:s, s:s, s:s, s:f, s:I, s:I, s:I, s:I, s:f, s:b}",
                  "mechanism", v->mechanism, "model", model->ops->name,
                  "sensitivity", v->sensitivity, "lambda_mean", lambda, "users",
                  (json_int_t)r->n_users, "left_out", (json_int_t)w->n_left_out,
                  "items", (json_int_t)w->all.n_items, "rounds",
                  (json_int_t)r->n_rounds, "revenue", revenue(v, w, x),
                  "settled", r->settled));
    (void)json_object_update_new(
        out,
        json_pack("{s:f, s:f, s:{s:f, s:f, s:f}, s:I, s:f, s:f, s:f, s:f, s:f, "
                  "s:s, s:s}",
                  "user_utility", x->utility, "nash_residual", x->residual,
                  "platform", "recall@20", x->recall20, "ndcg@20", x->ndcg20,
                  "revenue", revenue(v, w, x), "retrained",
                  (json_int_t)r->n_retrained, "retrained_before",
                  r->retrained_before, "retrained_residual",
                  r->retrained_residual, "own_effect", r->own_effect,
                  "own_effect_size", r->own_effect_size, "retrained_max",
                  r->retrained_max, "digest", hex, "data", data));
    (void)json_object_set_new(out, "trajectory", rounds_json(r));
    (void)json_object_set_new(out, "groups", sim_groups_json(w, r));
    return out;
}

/* --- people, where they are asked for --------------------------------------
 */

static enum err write_people(const char *path, const struct sim_world *w,
                             const struct sim_result *r, const char *store)
{
    struct cmd_output file;
    struct sto_view *v;
    struct sto *st;

    ERR_TRY(cmd_ui_create(&file, path));
    enum err e = sto_open(&st, store, STO_READ);

    if (e != ERR_OK)
        return cmd_ui_finish(&file, e);
    e = sto_view_open(&v, st);
    fputs("person,lambda,shown,segments,disclosed,quality,anticipated,utility,"
          "residual,choice\n",
          file.file);
    for (size_t u = 0; u < r->n_users && e == ERR_OK; u++) {
        const struct sim_person *p = &r->person[u];
        struct sto_entity who;

        e = sto_get_entity(v, STO_USERS, w->all.user_key[u], &who);
        if (e != ERR_OK)
            break;
        csv_cell(file.file, who.id);
        fprintf(file.file, ",%.10g,%u,%u,%.10g,%.10g,%.10g,%.10g,%.10g,",
                p->lambda, p->shown, p->segments, p->disclosed, p->quality,
                p->anticipated, p->utility, p->residual);
        for (size_t k = w->seg_ptr[u]; k < w->seg_ptr[u + 1]; k++)
            putc(r->choice[k] ? '1' : '0', file.file);
        putc('\n', file.file);
    }
    sto_view_close(v);
    sto_close(st);
    return cmd_ui_finish(&file, e);
}

enum err cmd_sim_cell(json_t **out, const struct cmd_sim_values *v,
                      const char *store, const struct rec_model *model,
                      uint64_t seed, bool draws)
{
    struct sim_result r = {.n_users = 0};
    struct sim_world w = {.n_groups = 0};
    struct sim_game_opts o;
    double *lambda = NULL;

    *out = NULL;
    ERR_TRY(cmd_sim_game(&o, v, model, seed));
    ERR_TRY(cmd_sim_world(&w, v, &o.m, store, seed));
    enum err e = cmd_sim_lambda(&lambda, v, &w, &o);

    o.lambda = lambda;
    if (e == ERR_OK)
        e = sim_play(&r, &w, &o);
    if (e == ERR_OK)
        *out = cell_json(v, model, &w, &r);
    if (e == ERR_OK && draws)
        (void)json_object_set_new(*out, "draws", draws_json(&r, seed));
    if (e == ERR_OK)
        (void)json_object_update_new(
            *out, json_pack("{s:{s:f, s:f}}", "seconds_of", "choosing",
                            r.solve_seconds, "training", r.train_seconds));
    if (e == ERR_OK && v->people != NULL)
        e = write_people(v->people, &w, &r, store);
    if (e != ERR_OK) {
        json_decref(*out);
        *out = NULL;
    }
    free(lambda);
    sim_result_free(&r);
    sim_world_free(&w);
    return e;
}
