/* src/cmd_synth.c - a made-up data set. */
#include <stdio.h>

#include "src/ui.h"
#include "store/synth.h"

static struct values {
    int64_t users, items, interactions;
    const char *output;
} v;

#define AT(field) offsetof(struct values, field)
static const struct opt rows[] = {
    {"users", 0, OPT_INT, AT(users), "6000", 1, 2147483647.0, "N", "people"},
    {"items", 0, OPT_INT, AT(items), "3000", 20, 2147483647.0, "N", "items"},
    {"interactions", 0, OPT_INT, AT(interactions), "500000", 1, 1e13, "N",
     "rows"},
    {"output", 'o', OPT_TEXT, AT(output), "-", 0, 0, "FILE",
     "where to; - is stdout, a name in .gz is compressed"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

static int run(const struct cmd_common *c, int n_words, char **word)
{
    const struct sto_synth_opts o = {(uint64_t)v.users, (uint64_t)v.items,
                                     (uint64_t)v.interactions,
                                     (uint64_t)c->seed, v.output};
    const double start = cmd_ui_now();

    if (n_words > 0)
        return cmd_ui_exit(
            err_set(ERR_ARG, "\"%s\" is not an option of synth", word[0]));
    const enum err e = sto_synth(&o);

    if (e == ERR_OK && !(v.output[0] == '-' && v.output[1] == '\0')) {
        const double s = cmd_ui_now() - start;

        if (c->json)
            cmd_ui_json(json_pack("{s:I, s:s, s:f}", "interactions",
                                  (json_int_t)v.interactions, "output",
                                  v.output, "seconds", s));
        else
            printf("%s rows in %s, %.2f s\n",
                   cmd_ui_count((uint64_t)v.interactions), v.output, s);
    }
    return cmd_ui_exit(e);
}

extern const struct cmd cmd_synth;
const struct cmd cmd_synth = {
    .name = "synth",
    .words = "[--users N] [--items N] [--interactions N] --output FILE",
    .help = "a made-up data set that looks like a real one",
    .opts = rows,
    .values = &v,
    .run = run,
};
