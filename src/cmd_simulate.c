/* src/cmd_simulate.c - people who choose what to disclose. */
#include <stdio.h>
#include <string.h>

#include "privacy_sim/mechanism.h"
#include "privacy_sim/study.h"
#include "src/model_words.h"
#include "src/simulate.h"
#include "src/ui.h"

static struct cmd_sim_values v;
static struct rec_model *model; /* made by more(), used by run() */

static enum err more(int argc, char **argv, struct opt_set *set)
{
    return cmd_model_more(&model, argc, argv, set);
}

static double field(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

static void say(const json_t *o)
{
    const json_t *seconds = json_object_get(o, "seconds_of");
    const double users = field(o, "users"), rounds = field(o, "rounds");

    printf("%s people, %s items; %.0f people had too few rows\n",
           cmd_ui_count((uint64_t)users),
           cmd_ui_count((uint64_t)field(o, "items")), field(o, "left_out"));
    printf("disclosed        %.1f %% of the data; %.1f %% of people show "
           "nothing, %.1f %% a part, %.1f %% all\n",
           100 * field(o, "disclosed"), 100 * field(o, "none"),
           100 * field(o, "part"), 100 * field(o, "all"));
    printf("list quality     %.4f (anticipated %.4f); of who shows nothing "
           "%.4f\n",
           field(o, "quality"), field(o, "anticipated"),
           field(o, "quality_of_undisclosed"));
    printf("people's utility %.4f (anticipated %.4f)\n", field(o, "utility"),
           field(o, "utility_anticipated"));
    printf("platform         recall@10 %.4f, recall@20 %.4f, ndcg@20 %.4f, "
           "coverage %.3f\n",
           field(o, "recall@10"), field(o, "recall@20"), field(o, "ndcg@20"),
           field(o, "coverage"));
    printf("residual         mean %.5f, 95 %% below %.4f; %s after %.0f "
           "rounds\n",
           field(o, "residual"), field(o, "residual_p95"),
           json_is_true(json_object_get(o, "settled")) ? "settled"
                                                       : "not settled",
           rounds);
    if (field(o, "retrained") > 0)
        printf("                 of %.0f people: mean %.5f, trained again for "
               "each %.5f, most %.4f; own effect %+.5f (size %.5f)\n",
               field(o, "retrained"), field(o, "retrained_before"),
               field(o, "retrained_residual"), field(o, "retrained_max"),
               field(o, "own_effect"), field(o, "own_effect_size"));
    printf(
        "time             %.2f s training, %.2f s choosing: %s people a "
        "second\n",
        field(seconds, "training"), field(seconds, "choosing"),
        cmd_ui_count((uint64_t)(users * rounds / field(seconds, "choosing"))));
}

/* --- what an option is for -------------------------------------------------
 */

enum mode { GAME = 1, ENV = 2, SWEEP = 4 };
/* Of a single game, what its solver, mechanism and other options make of use:
 * the same table, with these as modes. */
enum part { LEARNS = 1, SHARES = 2, CATEGORIES = 4, OWNS = 8, WEIGHS = 16 };

static const struct opt_use for_mode[] = {
    {"dry-run", SWEEP},    {"people", GAME},    {"report", GAME},
    {"retrain", GAME},     {"solver", GAME},    {"samples", GAME},
    {"learners", GAME},    {"rate", GAME},      {"inertia", GAME},
    {"shrink", GAME},      {"threshold", GAME}, {"bound", GAME},
    {"temperature", GAME}, {"data-cost", GAME}, {NULL, 0},
};
static const struct opt_use for_part[] = {
    {"samples", LEARNS | SHARES | WEIGHS},
    {"rate", LEARNS},
    {"learners", SHARES},
    {"category", CATEGORIES},
    {"attribute-cost", OWNS},
    {NULL, 0},
};

static enum err check_parts(void)
{
    struct sim_mechanism m;
    unsigned parts = v.attributes[0] != '\0' ? OWNS : 0;

    ERR_TRY(sim_mechanism_parse(&m, v.mechanism));
    parts |= strcmp(v.solver, "reinforce") == 0 ? LEARNS : 0;
    parts |= strcmp(v.solver, "policy") == 0 ? SHARES : 0;
    parts |= strcmp(v.solver, "hedge") == 0 ? WEIGHS : 0;
    parts |= m.split == SIM_CATEGORY ? CATEGORIES : 0;
    return opt_check_use(cmd_sim_rows, &v, for_part, parts,
                         "this solver, mechanism and these attributes");
}

/* A policy file says everything itself. */
static enum err check_sweep(const struct cmd_common *c)
{
    if (model != NULL)
        return err_set(ERR_ARG, "--model means nothing beside a policy file: "
                                "its lines name models");
    if (c->store != NULL)
        return err_set(ERR_ARG, "--store means nothing beside a policy file: "
                                "its lines name stores");
    for (const struct opt *row = cmd_common_rows; row->name != NULL; row++) {
        if (strcmp(row->name, "seed") == 0 && opt_is_given(row, c))
            return err_set(ERR_ARG, "--seed means nothing beside a policy "
                                    "file: write it there, as \"seed N...\"");
    }
    for (const struct opt *row = cmd_sim_rows; row->name != NULL; row++) {
        if (strcmp(row->name, "dry-run") != 0 && opt_is_given(row, &v))
            return err_set(ERR_ARG,
                           "--%s means nothing beside a policy file: write it "
                           "there, as a line \"%s VALUE\"",
                           row->name, row->name);
    }
    return ERR_OK;
}

static enum err check_options(const struct cmd_common *c, enum mode mode)
{
    if (mode == SWEEP)
        return check_sweep(c);
    if (model == NULL)
        return err_set(ERR_ARG, "say with --model what the platform trains: "
                                "itemknn, ease, bpr, wmf, gfcf or lightgcn");
    ERR_TRY(opt_check_use(cmd_sim_rows, &v, for_mode, mode,
                          mode == ENV ? "`recd simulate env`"
                                      : "`recd simulate disclosure`"));
    return check_parts();
}

/* --- one game --------------------------------------------------------------
 */

/* The game as a study of one cell. */
static enum err write_report(json_t *game, const struct cmd_common *c)
{
    json_t *cells = json_array(), *cell = json_copy(game), *summary;
    struct cmd_output out;
    enum err e;

    (void)json_object_update_new(
        cell, json_pack("{s:s, s:s, s:s, s:I}", "dataset", cmd_ui_store_dir(c),
                        "arm", v.mechanism, "model_text", model->ops->name,
                        "seed", (json_int_t)c->seed));
    (void)json_array_append_new(cells, cell);
    summary = sim_study_summary(cells);
    json_t *facts =
        json_pack("{s:s, s:O}", "made by", "recd " PACKAGE_VERSION,
                  "data: digest of all rows", json_object_get(game, "data"));
    e = summary == NULL || facts == NULL
            ? err_set(ERR_NOMEM, "no memory for a report")
            : cmd_ui_create(&out, v.report);
    if (e == ERR_OK) {
        sim_study_html(cells, summary, facts, out.file);
        e = cmd_ui_finish(&out, ERR_OK);
    }
    json_decref(facts);
    json_decref(summary);
    json_decref(cells);
    return e;
}

static int simulate(const struct cmd_common *c)
{
    const double start = cmd_ui_now();
    json_t *out = NULL;
    enum err e;

    e = cmd_sim_cell(&out, &v, cmd_ui_store_dir(c), model, (uint64_t)c->seed,
                     v.report != NULL);
    if (e == ERR_OK && v.report != NULL) {
        e = write_report(out, c);
        (void)json_object_del(out, "draws");
    }
    if (e != ERR_OK) {
        json_decref(out);
        return cmd_ui_exit(e);
    }
    const bool settled = json_is_true(json_object_get(out, "settled"));

    if (!c->json) {
        say(out);
        json_decref(out);
    } else {
        (void)json_object_set_new(out, "seconds",
                                  json_real(cmd_ui_now() - start));
        cmd_ui_json(out);
    }
    return settled ? CMD_DONE : CMD_NO;
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    const char *what = n_words == 1 ? word[0] : "";
    const enum mode mode = strcmp(what, "disclosure") == 0 ? GAME
                           : strcmp(what, "env") == 0      ? ENV
                                                           : SWEEP;
    int status;

    enum err e = n_words == 1
                     ? check_options(c, mode)
                     : err_set(ERR_ARG, "say what to simulate: `recd simulate "
                                        "disclosure`, or name a policy file");
    if (e != ERR_OK)
        status = cmd_ui_exit(e);
    else if (mode == GAME)
        status = simulate(c);
    else if (mode == ENV)
        status = cmd_sim_env(c, &v, model);
    else
        status = cmd_sim_sweep(c, what, v.dry_run);
    rec_model_free(model);
    return status;
}

extern const struct cmd cmd_simulate;
const struct cmd cmd_simulate = {
    .name = "simulate",
    .words =
        "disclosure|env --model MODEL --mechanism SPLIT+RULE [options], or "
        "POLICY-FILE [--dry-run]",
    .help = "simulate people who choose what to disclose",
    .opts = cmd_sim_rows,
    .values = &v,
    .more = more,
    .run = run,
};
