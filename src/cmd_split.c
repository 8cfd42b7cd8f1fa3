/* src/cmd_split.c - move rows from train to test, per person. */
#include <stdio.h>
#include <string.h>

#include "src/ui.h"
#include "store/import.h"

static struct values {
    double test;
    const char *by;
} v;

#define AT(field) offsetof(struct values, field)
static const struct opt rows[] = {
    {"test", 0, OPT_REAL, AT(test), "0.2", 1e-6, 1e6, "F",
     "share of each person's rows that moves; from 1 on, so many rows"},
    {"by", 0, OPT_CHOICE, AT(by), "random", 0, 0, "random|last",
     "which rows: drawn with --seed, or the latest"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

static int run(const struct cmd_common *c, int n_words, char **word)
{
    struct sto *st = NULL;
    uint64_t moved = 0;

    if (n_words > 0)
        return cmd_ui_exit(
            err_set(ERR_ARG, "\"%s\" is not an option of split", word[0]));
    enum err e = sto_open(&st, cmd_ui_store_dir(c), STO_READ);

    sto_close(st); /* only to say that there is none, instead of making one */
    st = NULL;
    if (e == ERR_OK)
        e = sto_open(&st, cmd_ui_store_dir(c), STO_WRITE);
    if (e == ERR_OK)
        e = sto_split_rows(st, v.test, strcmp(v.by, "last") == 0,
                           (uint64_t)c->seed, &moved);
    sto_close(st);
    if (e != ERR_OK)
        return cmd_ui_exit(e);
    if (c->json)
        cmd_ui_json(json_pack("{s:I}", "moved", (json_int_t)moved));
    else
        printf("%s rows moved from train to test\n", cmd_ui_count(moved));
    return CMD_DONE;
}

extern const struct cmd cmd_split;
const struct cmd cmd_split = {
    .name = "split",
    .words =
        "[--test 0.2] [--by random|last]   (--test 1 --by last: leave one out)",
    .help = "move rows from train to test, per person",
    .opts = rows,
    .values = &v,
    .writes = true,
    .run = run,
};
