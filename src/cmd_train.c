/* src/cmd_train.c - train one model on the stored rows and keep it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/par.h"
#include "rec/train.h"
#include "src/ui.h"

static struct values {
    const char *model, *name;
    struct rec_train_opts train;
} v;
static struct rec_model *model; /* made by more(), used by run() */

#define AT(field) offsetof(struct values, field)
static const struct opt rows[] = {
    {"model", 0, OPT_TEXT, AT(model), NULL, 0, 0, "MODEL",
     "what to train (`recd list models`)"},
    {"name", 0, OPT_TEXT, AT(name), NULL, 0, 0, "NAME",
     "what to call it (else the model's name)"},
    {"validate", 0, OPT_REAL, AT(train.validate), "0", 0, .9, "F",
     "share of each person's rows to hold out for early stopping"},
    {"metric", 0, OPT_TEXT, AT(train.metric), "ndcg@20", 0, 0, "METRIC",
     "what early stopping watches"},
    {"every", 0, OPT_INT, AT(train.every), "1", 1, 1e6, "N",
     "epochs between two looks"},
    {"patience", 0, OPT_INT, AT(train.patience), "5", 1, 1e6, "N",
     "looks without a better value before the end"},
    {"refit", 0, OPT_BOOL, AT(train.refit), NULL, 0, 0, NULL,
     "train again on all rows for the best number of epochs"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

/* The word after --model, before anything is parsed. */
static const char *model_word(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--model=", 8) == 0)
            return argv[i] + 8;
        if (strcmp(argv[i], "--model") == 0 && i + 1 < argc)
            return argv[i + 1];
    }
    return NULL;
}

static enum err more(int argc, char **argv, struct opt_set *set)
{
    const struct rec_model_ops *ops;
    const char *word = model_word(argc, argv);

    if (word == NULL)
        return ERR_OK;
    ERR_TRY(rec_model_find(word, &ops));
    ERR_TRY(rec_model_new(&model, ops));
    *set = (struct opt_set){ops->opts, model->opts, "options of this model"};
    return ERR_OK;
}

static enum err train(const struct cmd_common *c, struct sto_model *info,
                      struct rec_train_result *result)
{
    struct rec_data d = {0};
    struct sto_view *view;
    struct sto *st;

    ERR_TRY(sto_open(&st, cmd_ui_store_dir(c), STO_READ));
    enum err e = sto_view_open(&view, st);

    if (e == ERR_OK) {
        e = rec_data_load(&d, view);
        sto_view_close(view);
    }
    sto_close(st);
    const double start = cmd_ui_now();

    if (e == ERR_OK)
        e = rec_train(model, &d, &v.train, result);
    info->seconds = cmd_ui_now() - start;
    rec_data_free(&d);
    if (e != ERR_OK)
        return e;
    ERR_TRY(sto_open(&st, cmd_ui_store_dir(c), STO_WRITE));
    info->trained_at = (int64_t)time(NULL);
    info->shards = 1;
    e = rec_model_save(model, st, info);
    sto_close(st);
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
    if (v.train.validate > 0)
        printf(", %s %.4f on the held-out rows", v.train.metric, result->best);
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
    .run = run,
};
