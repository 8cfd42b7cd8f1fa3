/* src/model_words.c - the model that a command line names, and its options. */
#include "src/model_words.h"

#include <string.h>
#include <time.h>

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

enum err cmd_model_more(struct rec_model **out, int argc, char **argv,
                        struct opt_set *set)
{
    const struct rec_model_ops *ops;
    const char *word = model_word(argc, argv);

    if (word == NULL)
        return ERR_OK;
    ERR_TRY(rec_model_find(word, &ops));
    ERR_TRY(rec_model_new(out, ops));
    *set = (struct opt_set){ops->opts, (*out)->opts, "options of this model"};
    return ERR_OK;
}

enum err cmd_model_rows(const struct cmd_common *c, struct rec_data *d,
                        struct sto_model *info)
{
    struct cmd_opened o = {0};
    uint64_t removals = 0;
    enum err e = cmd_ui_open(&o, c);

    if (e == ERR_OK)
        e = sto_removals(o.v, &removals);
    if (e == ERR_OK)
        e = rec_data_load(d, o.v);
    info->removals = removals + 1;
    cmd_ui_close(&o);
    return e;
}

enum err cmd_model_keep(const struct cmd_common *c, struct rec_model *m,
                        const struct unl_plan *plan, const struct rec_data *d,
                        struct sto_model *info)
{
    struct sto *st;

    ERR_TRY(sto_open(&st, cmd_ui_store_dir(c), STO_WRITE));
    info->trained_at = (int64_t)time(NULL);
    const enum err e = unl_save(m, plan, d, st, info);

    sto_close(st);
    return e;
}
