/* src/cmd_repair.c - finish what a deferred or killed forget left. */
#include <stddef.h>
#include <stdio.h>

#include "src/ui.h"
#include "unlearn/forget.h"
#include "unlearn/journal.h"

static struct values {
    bool restored;
} v;

static const struct opt rows[] = {
    {"restored", 0, OPT_BOOL, offsetof(struct values, restored), NULL, 0, 0,
     NULL,
     "a backup of an encrypted store was put back: take out of it whoever has "
     "no key any more"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

static int run(const struct cmd_common *c, int n_words, char **word)
{
    json_t *report = NULL;

    if (n_words > 0)
        return cmd_ui_exit(
            err_set(ERR_ARG, "\"%s\" is not an option of repair", word[0]));
    const enum err e =
        v.restored ? unl_restore(cmd_ui_store_dir(c), &report)
                   : unl_forget_finish(cmd_ui_store_dir(c), true, &report);

    if (e == ERR_OK && report == NULL && c->json)
        cmd_ui_json(json_pack("{s:[], s:b}", "models", "erased", true));
    else if (e == ERR_OK && report == NULL)
        puts("nothing waits to be repaired");
    else if (e == ERR_OK && c->json)
        cmd_ui_json(report);
    else if (e == ERR_OK) {
        cmd_forget_print(report);
        json_decref(report);
    }
    return cmd_ui_exit(e);
}

extern const struct cmd cmd_repair;
const struct cmd cmd_repair = {
    .name = "repair",
    .words = "[--restored]",
    .help = "repair the models that a deferred or interrupted forget left",
    .opts = rows,
    .values = &v,
    .on_device = true,
    .run = run,
};
