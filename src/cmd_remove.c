/* src/cmd_remove.c - delete a model. */
#include <stdio.h>

#include "src/ui.h"

static int run(const struct cmd_common *c, int n_words, char **word)
{
    struct sto *st = NULL;

    if (n_words != 1)
        return cmd_ui_exit(err_set(ERR_ARG, "name one model to delete"));
    enum err e = sto_open(&st, cmd_ui_store_dir(c), STO_READ);

    sto_close(st);
    st = NULL;
    if (e == ERR_OK)
        e = sto_open(&st, cmd_ui_store_dir(c), STO_WRITE);
    if (e == ERR_OK)
        e = sto_model_remove(st, word[0]);
    sto_close(st);
    if (e == ERR_OK && c->json)
        cmd_ui_json(json_pack("{s:s}", "removed", word[0]));
    else if (e == ERR_OK)
        printf("%s removed\n", word[0]);
    return cmd_ui_exit(e);
}

extern const struct cmd cmd_remove;
const struct cmd cmd_remove = {
    .name = "remove",
    .words = "NAME",
    .help = "delete a model",
    .writes = true,
    .run = run,
};
