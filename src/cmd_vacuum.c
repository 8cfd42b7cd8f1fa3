/* src/cmd_vacuum.c - write the data file anew from its records. */
#include <stddef.h>
#include <stdio.h>

#include "src/ui.h"
#include "store/vacuum.h"

static struct values {
    bool encrypt;
} v;

static const struct opt rows[] = {
    {"encrypt", 0, OPT_BOOL, offsetof(struct values, encrypt), NULL, 0, 0, NULL,
     "from now on each person's rows lie under a key of their own "
     "(docs/erasure.md)"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

static void print(const struct sto_vacuumed *n, const struct cmd_common *c)
{
    if (c->json) {
        cmd_ui_json(json_pack("{s:I, s:I, s:I}", "bytes_before",
                              (json_int_t)n->before, "bytes_after",
                              (json_int_t)n->after, "files_erased",
                              (json_int_t)n->files));
        return;
    }
    printf("rewritten: %s bytes, now %s; the old file is overwritten and "
           "gone\n",
           cmd_ui_count(n->before), cmd_ui_count(n->after));
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    struct sto_vacuumed n = {0, 0, 0};
    struct cmd_opened o = {0};
    struct sto *st = NULL;

    if (n_words > 0)
        return cmd_ui_exit(
            err_set(ERR_ARG, "\"%s\" is not an option of vacuum", word[0]));
    /* a store that is not there is not made */
    enum err e = cmd_ui_open(&o, c);

    cmd_ui_close(&o);
    if (e == ERR_OK)
        e = sto_open(&st, cmd_ui_store_dir(c), STO_WRITE);
    if (e == ERR_OK)
        e = v.encrypt ? sto_vacuum_encrypt(st, &n) : sto_vacuum(st, &n);
    sto_close(st);
    if (e == ERR_OK)
        print(&n, c);
    return cmd_ui_exit(e);
}

extern const struct cmd cmd_vacuum;
const struct cmd cmd_vacuum = {
    .name = "vacuum",
    .words = "[--encrypt]",
    .help = "write the data file anew from its records, overwrite the old one",
    .opts = rows,
    .values = &v,
    .writes = true,
    .run = run,
};
