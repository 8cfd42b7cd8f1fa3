/* src/cmd_train.c - train one model on the stored rows and keep it. */
#include <stdio.h>
#include <string.h>

#include "base/device.h"
#include "base/par.h"
#include "src/model_words.h"
#include "src/ui.h"

static struct values {
    struct unl_plan plan;
    const char *model, *name;
} v;
static struct rec_model *model; /* made by more(), used by run() */

#define AT(field) offsetof(struct values, field)
#define PLAN(field) offsetof(struct values, plan.field)
static const struct opt rows[] = {
    {"model", 0, OPT_TEXT, AT(model), NULL, 0, 0, "MODEL",
     "what to train (`recd list models`)"},
    {"name", 0, OPT_TEXT, AT(name), NULL, 0, 0, "NAME",
     "what to call it (else the model's name)"},
    UNL_PLAN_OPTS(PLAN),
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

static enum err more(int argc, char **argv, struct opt_set *set)
{
    return cmd_model_more(&model, argc, argv, set);
}

static enum err train(const struct cmd_common *c, struct sto_model *info,
                      struct rec_train_result *result)
{
    struct rec_model *made = NULL;
    struct rec_data d = {0};
    enum err e = cmd_model_rows(c, &d, info);
    const double start = cmd_ui_now();

    if (e == ERR_OK)
        e = unl_plan_open(&v.plan, cmd_ui_store_dir(c));
    if (e == ERR_OK)
        e = unl_plan_secret(model, cmd_ui_store_dir(c));
    if (e == ERR_OK)
        e = unl_train(&made, model, &v.plan, &d, NULL, result);
    info->seconds = cmd_ui_now() - start;
    if (e == ERR_OK)
        e = cmd_model_keep(c, made, &v.plan, &d, info);
    if (made != model)
        rec_model_free(made);
    rec_data_free(&d);
    return e;
}

static void print(const struct sto_model *m, const struct cmd_common *c,
                  const struct rec_train_result *result)
{
    char hex[2 * KEY_DIGEST_BYTES + 1];

    key_hex(m->digest, KEY_DIGEST_BYTES, hex);
    if (c->json) {
        cmd_ui_json(json_pack(
            "{s:s, s:s, s:I, s:I, s:f, s:s, s:I, s:f, s:I}", "name", m->name,
            "model", m->model, "epochs", (json_int_t)m->epochs, "shards",
            (json_int_t)m->shards, "seconds", m->seconds, "digest", hex,
            "threads", (json_int_t)par_threads(), "validation", result->best,
            "best_epoch", (json_int_t)result->best_epoch));
        return;
    }
    printf("%s: trained in %.2f s", m->name, m->seconds);
    if (m->epochs > 0)
        printf(", %s epochs", cmd_ui_count(m->epochs));
    if (v.plan.train.validate > 0)
        printf(", %s %.4f on the held-out rows", v.plan.train.metric,
               result->best);
    printf("\ndigest %s\n", hex);
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    struct sto_model info = {0};
    struct rec_train_result result = {0};

    if (n_words > 0)
        return cmd_ui_exit(
            err_set(ERR_ARG, "\"%s\" is not an option of train", word[0]));
    if (model == NULL)
        return cmd_ui_exit(err_set(ERR_ARG, "say which with --model (`recd "
                                            "list models` names them)"));
    if (device_cuda() != NULL && !model->ops->on_device)
        return cmd_ui_exit(err_set(ERR_ARG,
                                   "--device cuda trains bpr, ials, lightgcn "
                                   "and wmf; %s is trained on the CPU",
                                   model->ops->name));
    model->seed = (uint64_t)c->seed;
    (void)snprintf(info.name, sizeof(info.name), "%s",
                   v.name != NULL ? v.name : model->ops->name);
    const enum err e = train(c, &info, &result);

    if (e == ERR_OK)
        print(&info, c, &result);
    sto_model_free(&info);
    rec_model_free(model);
    return cmd_ui_exit(e);
}

extern const struct cmd cmd_train;
const struct cmd cmd_train = {
    .name = "train",
    .words = "--model MODEL [--name NAME] [options]   (recd train --help "
             "--model MODEL shows a model's own)",
    .help = "train a model on the stored rows",
    .opts = rows,
    .values = &v,
    .more = more,
    .writes = true,
    .on_device = true,
    .run = run,
};
