/* src/cmd_simulate.c - people who choose what to disclose. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/csv.h"
#include "base/par.h"
#include "privacy_sim/game.h"
#include "rec/metrics.h"
#include "src/model_words.h"
#include "src/ui.h"

static struct values {
    const char *model, *mechanism, *sensitivity, *solver, *exclude, *utility,
        *attributes, *category, *group, *start, *usual, *people;
    int64_t samples, folds, rounds, min_rows, min_people, retrain;
    double rate, inertia, threshold, bound, power, attribute_cost, temperature,
        effort, stickiness, present, shrink;
    bool fictitious;
} v;
static struct rec_model *model; /* made by more(), used by run() */

#define AT(field) offsetof(struct values, field)
static const struct opt rows[] = {
    {"model", 0, OPT_TEXT, AT(model), NULL, 0, 0, "MODEL",
     "the platform's recommender: itemknn, ease, bpr or lightgcn"},
    {"mechanism", 0, OPT_TEXT, AT(mechanism), "blocks:8+free", 0, 0,
     "SPLIT+RULE",
     "whole, type, blocks:K, category, item; binary, prefix, free, atleast:M, "
     "fixed:Q"},
    {"sensitivity", 0, OPT_TEXT, AT(sensitivity), "lognormal:0.05", 0, 0,
     "SPEC",
     "what disclosing all costs: const:L, uniform:A,B, lognormal:L[,S], "
     "westin:U,P,F, bimodal:L1,L2,PI"},
    {"solver", 0, OPT_TEXT, AT(solver), "exact", 0, 0, "SOLVER",
     "how people find a choice: exact, reinforce or greedy"},
    {"samples", 0, OPT_INT, AT(samples), "100", 1, 1e6, "N",
     "tries of a learning solver"},
    {"rate", 0, OPT_REAL, AT(rate), "0", 0, 10, "X",
     "its rate of learning; 0 = .3 up to 200 samples, else .1"},
    {"rounds", 0, OPT_INT, AT(rounds), "50", 1, 1e4, "N",
     "at most so many trainings of the platform"},
    {"folds", 0, OPT_INT, AT(folds), "0", 0, SIM_FOLDS, "F",
     "serve people by recommenders that learnt from the other F - 1 parts of "
     "them"},
    {"inertia", 0, OPT_REAL, AT(inertia), "0.3", 0, 1, "Q",
     "chance to reconsider in the first round; it falls later"},
    {"shrink", 0, OPT_REAL, AT(shrink), "500", 0, 1e9, "N",
     "people trust n decision items of their own n / (n + N), and else what "
     "is usual in their group; 0 = themselves alone"},
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
    {"people", 0, OPT_TEXT, AT(people), NULL, 0, 0, "FILE",
     "write each person's choice there, as CSV (personal data)"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

static enum err more(int argc, char **argv, struct opt_set *set)
{
    return cmd_model_more(&model, argc, argv, set);
}

/* --- what was asked --------------------------------------------------------
 */

static enum err wants_of(struct sim_wants *out)
{
    enum rec_metric metric;
    size_t cut;

    ERR_TRY(rec_metric_parse(v.utility, &metric, &cut));
    if ((metric != REC_NDCG && metric != REC_RECALL) || cut < 1 || cut > 100)
        return err_set(ERR_ARG,
                       "--utility %s: people want ndcg@K or recall@K, K up to "
                       "100",
                       v.utility);
    *out = (struct sim_wants){
        .quality = metric == REC_NDCG ? SIM_NDCG : SIM_RECALL,
        .cut = cut,
        .power = v.power,
        .exclude_all = strcmp(v.exclude, "all") == 0,
        .effort = v.effort,
        .stickiness = v.stickiness,
        .present = v.present,
        .default_on = strcmp(v.usual, "all") == 0,
    };
    return ERR_OK;
}

static enum err game_of(const struct cmd_common *c, struct sim_game_opts *out)
{
    *out = (struct sim_game_opts){
        .samples = (size_t)v.samples,
        .rate = v.rate,
        .temperature = v.temperature,
        .like = model,
        .folds = (size_t)v.folds,
        .rounds = (size_t)v.rounds,
        .inertia = v.inertia,
        .shrink = v.shrink,
        .threshold = v.threshold,
        .settled = v.bound,
        .cold = strcmp(v.start, "none") == 0,
        .fictitious = v.fictitious,
        .retrain = (size_t)v.retrain,
        .seed = (uint64_t)c->seed,
    };
    if (model == NULL)
        return err_set(ERR_ARG, "say with --model what the platform trains: "
                                "itemknn, ease, bpr or lightgcn");
    ERR_TRY(sim_mechanism_parse(&out->m, v.mechanism));
    ERR_TRY(sim_tastes_parse(&out->tastes, v.sensitivity));
    ERR_TRY(sim_solver_find(v.solver, &out->solver));
    if (v.temperature > 0 && out->solver != &sim_solver_exact)
        return err_set(ERR_ARG, "--temperature goes with --solver exact");
    return wants_of(&out->wants);
}

static enum err world_of(const struct cmd_common *c, struct sim_world *w,
                         const struct sim_mechanism *m)
{
    const struct sim_world_opts o = {
        .split = m->split,
        .blocks = m->blocks,
        .attributes = v.attributes,
        .category = v.category,
        .min_rows = (size_t)v.min_rows,
        .min_people = (size_t)v.min_people,
        .attribute_cost = v.attribute_cost,
        .seed = (uint64_t)c->seed,
    };
    struct cmd_opened opened = {0};
    enum err e = cmd_ui_open(&opened, c);

    if (e == ERR_OK)
        e = sim_world_load(w, opened.v, &o, v.group);
    cmd_ui_close(&opened);
    return e;
}

/* --- what came of it -------------------------------------------------------
 */

static void say(const struct sim_world *w, const struct sim_result *r)
{
    const struct sim_round *x = &r->round[r->n_rounds - 1];

    printf("%s people, %s items; %zu people had too few rows\n",
           cmd_ui_count(w->all.n_users), cmd_ui_count(w->all.n_items),
           w->n_left_out);
    printf("disclosed        %.1f %% of the data; %.1f %% of people show "
           "nothing, %.1f %% a part, %.1f %% all\n",
           100 * x->disclosed, 100 * x->none, 100 * x->part, 100 * x->all);
    printf("list quality     %.4f (anticipated %.4f); of who shows nothing "
           "%.4f\n",
           x->quality, x->anticipated, x->quality_none);
    printf("people's utility %.4f (anticipated %.4f)\n", x->utility,
           x->utility_anticipated);
    printf("platform         recall@10 %.4f, recall@20 %.4f, ndcg@20 %.4f, "
           "coverage %.3f\n",
           x->recall10, x->recall20, x->ndcg20, x->coverage);
    printf("residual         mean %.5f, 95 %% below %.4f; %s after %zu "
           "rounds\n",
           x->residual, x->residual_p95, r->settled ? "settled" : "not settled",
           r->n_rounds);
    if (r->n_retrained > 0)
        printf("                 trained again for each of %zu people: mean "
               "%.5f, most %.4f\n",
               r->n_retrained, r->retrained_residual, r->retrained_max);
    printf("time             %.2f s training, %.2f s choosing: %s people a "
           "second\n",
           r->train_seconds, r->solve_seconds,
           cmd_ui_count((uint64_t)((double)(w->all.n_users * r->n_rounds) /
                                   r->solve_seconds)));
}

static json_t *round_json(const struct sim_round *x)
{
    return json_pack(
        "{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "round",
        (json_int_t)x->round, "disclosed", x->disclosed, "none", x->none,
        "part", x->part, "all", x->all, "quality", x->quality, "anticipated",
        x->anticipated, "utility", x->utility, "utility_anticipated",
        x->utility_anticipated, "residual", x->residual, "residual_p95",
        x->residual_p95, "moved", x->moved);
}

static void say_json(const struct sim_world *w, const struct sim_result *r,
                     double seconds)
{
    const struct sim_round *x = &r->round[r->n_rounds - 1];
    json_t *rounds = json_array();
    char hex[2 * KEY_DIGEST_BYTES + 1];

    key_hex(r->digest, KEY_DIGEST_BYTES, hex);
    for (size_t k = 0; k < r->n_rounds; k++)
        (void)json_array_append_new(rounds, round_json(&r->round[k]));
    json_t *out = round_json(x);

    (void)json_object_update_new(
        out,
        json_pack("{s:s, s:s, s:I, s:I, s:f, s:{s:f, s:f, s:f, s:f, s:f}, s:f, "
                  "s:f, s:f, s:f, s:f, s:b, s:s, s:I, s:f, s:f, s:f}",
                  "mechanism", v.mechanism, "model", model->ops->name, "users",
                  (json_int_t)w->all.n_users, "rounds", (json_int_t)r->n_rounds,
                  "user_utility", x->utility, "platform", "recall@10",
                  x->recall10, "recall@20", x->recall20, "ndcg@20", x->ndcg20,
                  "coverage", x->coverage, "quality_of_undisclosed",
                  x->quality_none, "nash_residual", x->residual, "utility_p10",
                  x->utility_p10, "utility_median", x->utility_median,
                  "utility_gini", x->utility_gini, "cost", x->cost, "settled",
                  r->settled, "digest", hex, "retrained",
                  (json_int_t)r->n_retrained, "retrained_residual",
                  r->retrained_residual, "solve_seconds", r->solve_seconds,
                  "train_seconds", r->train_seconds));
    (void)json_object_set_new(out, "trajectory", rounds);
    (void)json_object_set_new(out, "seconds", json_real(seconds));
    cmd_ui_json(out);
}

static int simulate(const struct cmd_common *c)
{
    const double start = cmd_ui_now();
    struct sim_result r = {.n_users = 0};
    struct sim_world w = {.n_groups = 0};
    struct sim_game_opts o;
    enum err e = game_of(c, &o);
    int status = CMD_DONE;

    if (e == ERR_OK)
        e = world_of(c, &w, &o.m);
    if (e == ERR_OK)
        e = sim_play(&r, &w, &o);
    if (e == ERR_OK && c->json)
        say_json(&w, &r, cmd_ui_now() - start);
    else if (e == ERR_OK)
        say(&w, &r);
    if (e == ERR_OK && !r.settled)
        status = CMD_NO;
    sim_result_free(&r);
    sim_world_free(&w);
    return e == ERR_OK ? status : cmd_ui_exit(e);
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    int status;

    if (n_words == 1 && strcmp(word[0], "disclosure") == 0)
        status = simulate(c);
    else
        status =
            cmd_ui_exit(err_set(ERR_ARG, "say what to simulate: `recd simulate "
                                         "disclosure`"));
    rec_model_free(model);
    return status;
}

extern const struct cmd cmd_simulate;
const struct cmd cmd_simulate = {
    .name = "simulate",
    .words = "disclosure --model MODEL --mechanism SPLIT+RULE [options]",
    .help = "simulate people who choose what to disclose",
    .opts = rows,
    .values = &v,
    .more = more,
    .run = run,
};
