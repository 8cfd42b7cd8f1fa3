/* src/cmd_simulate.c - people who choose what to disclose. */
#include <stdio.h>
#include <string.h>

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
        printf("                 trained again for each of %.0f people: mean "
               "gain %.5f (losses as nought: %.5f), most %.4f\n",
               field(o, "retrained"), field(o, "retrained_mean"),
               field(o, "retrained_residual"), field(o, "retrained_max"));
    printf(
        "time             %.2f s training, %.2f s choosing: %s people a "
        "second\n",
        field(seconds, "training"), field(seconds, "choosing"),
        cmd_ui_count((uint64_t)(users * rounds / field(seconds, "choosing"))));
}

static enum err no_model(void)
{
    return err_set(ERR_ARG, "say with --model what the platform trains: "
                            "itemknn, ease, bpr or lightgcn");
}

static int simulate(const struct cmd_common *c)
{
    const double start = cmd_ui_now();
    json_t *out = NULL;
    enum err e;

    if (model == NULL)
        e = no_model();
    else
        e = cmd_sim_cell(&out, &v, cmd_ui_store_dir(c), model,
                         (uint64_t)c->seed, false);
    if (e != ERR_OK)
        return cmd_ui_exit(e);
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
    int status;

    if (n_words == 1 && strcmp(word[0], "disclosure") == 0)
        status = simulate(c);
    else if (n_words == 1 && strcmp(word[0], "env") == 0)
        status =
            model == NULL ? cmd_ui_exit(no_model()) : cmd_sim_env(c, &v, model);
    else if (n_words == 1)
        status = cmd_sim_sweep(c, word[0], v.dry_run);
    else
        status =
            cmd_ui_exit(err_set(ERR_ARG, "say what to simulate: `recd simulate "
                                         "disclosure`, or name a policy file"));
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
