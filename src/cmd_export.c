/* src/cmd_export.c - the rows, with the ids that they came with. */
#include <stdio.h>
#include <string.h>

#include "base/csv.h"
#include "src/ui.h"

static struct values {
    const char *as, *format, *output;
} v;

#define AT(field) offsetof(struct values, field)
static const struct opt rows[] = {
    {"as", 0, OPT_CHOICE, AT(as), "train", 0, 0, "train|test", "which rows"},
    {"format", 0, OPT_CHOICE, AT(format), "csv", 0, 0, "csv|recbole",
     "the layout"},
    {"output", 'o', OPT_TEXT, AT(output), NULL, 0, 0, "FILE",
     "write there instead of stdout"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

struct job {
    struct sto_view *v;
    FILE *out;
    char separator;
};

/* One cell; RecBole has no quotes: TABs turn into blanks. */
static void put_cell(const struct job *j, const char *text)
{
    if (j->separator == ',') {
        csv_cell(j->out, text);
        return;
    }
    for (; *text != '\0'; text++)
        putc(*text == '\t' ? ' ' : *text, j->out);
}

static enum err put_history(void *arg, const struct sto_history *h)
{
    const struct job *j = arg;
    struct sto_entity who, what;

    ERR_TRY(sto_get_entity(j->v, STO_USERS, h->user, &who));
    for (size_t r = 0; r < h->n; r++) {
        ERR_TRY(sto_get_entity(j->v, STO_ITEMS, h->item[r], &what));
        put_cell(j, who.id);
        putc(j->separator, j->out);
        put_cell(j, what.id);
        putc(j->separator, j->out);
        if (h->value != NULL)
            fprintf(j->out, "%.9g", (double)h->value[r]);
        else
            putc('1', j->out);
        putc(j->separator, j->out);
        if (h->time != NULL && h->time[r] != INT64_MIN)
            fprintf(j->out, "%lld", (long long)h->time[r]);
        putc('\n', j->out);
    }
    return ERR_OK;
}

static enum err export_rows(struct cmd_opened *o)
{
    const bool csv = strcmp(v.format, "csv") == 0;
    struct job j = {.v = o->v, .separator = csv ? ',' : '\t'};
    struct cmd_output out;

    ERR_TRY(cmd_ui_create(&out, v.output));
    j.out = out.file;
    fputs(csv ? "user,item,rating,timestamp\n"
              : "user_id:token\titem_id:token\trating:float\ttimestamp:float\n",
          j.out);
    return cmd_ui_finish(
        &out,
        sto_each_history(o->v, strcmp(v.as, "test") == 0 ? STO_TEST : STO_TRAIN,
                         put_history, &j));
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    struct cmd_opened o = {0};

    if (n_words > 0)
        return cmd_ui_exit(
            err_set(ERR_ARG, "\"%s\" is not an option of export", word[0]));
    enum err e = cmd_ui_open(&o, c);

    if (e == ERR_OK)
        e = export_rows(&o);
    cmd_ui_close(&o);
    return cmd_ui_exit(e);
}

extern const struct cmd cmd_export;
const struct cmd cmd_export = {
    .name = "export",
    .words = "[--as train|test] [--format csv|recbole] [--output FILE]",
    .help = "write the rows to a file",
    .opts = rows,
    .values = &v,
    .run = run,
};
