/* src/cmd_import.c - files of rows, catalogues and people into the store. */
#include <stdio.h>
#include <string.h>

#include "src/ui.h"
#include "store/import.h"

static struct values {
    const char *format, *as, *columns, *min_rating, *catalogue, *users;
    bool skip_bad, open, encrypt;
} v;

#define AT(field) offsetof(struct values, field)
static const struct opt rows[] = {
    {"format", 0, OPT_TEXT, AT(format), "auto", 0, 0, "FORMAT",
     "auto, csv, tsv, ml-100k, ml-1m, adjacency, recbole or sequences"},
    {"as", 0, OPT_CHOICE, AT(as), "train", 0, 0, "train|test",
     "what the rows are for"},
    {"columns", 0, OPT_TEXT, AT(columns), NULL, 0, 0, "LIST",
     "columns in order, from user,item,rating,timestamp; - skips one"},
    {"min-rating", 0, OPT_TEXT, AT(min_rating), NULL, 0, 0, "X",
     "leave out rows rated lower"},
    {"skip-bad", 0, OPT_BOOL, AT(skip_bad), NULL, 0, 0, NULL,
     "leave out rows that cannot be read, and count them"},
    {"public", 0, OPT_BOOL, AT(open), NULL, 0, 0, NULL,
     "the people of these rows are public: `legonet` may build on them"},
    {"encrypt", 0, OPT_BOOL, AT(encrypt), NULL, 0, 0, NULL,
     "a store that holds nobody yet keeps each person's rows under a key of "
     "their own (docs/erasure.md)"},
    {"catalogue", 0, OPT_TEXT, AT(catalogue), NULL, 0, 0, "FILE",
     "items that exist whoever interacts, with attributes"},
    {"users", 0, OPT_TEXT, AT(users), NULL, 0, 0, "FILE",
     "people's attributes"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

static enum err options(struct sto_import_opts *o)
{
    char *end;

    *o = (struct sto_import_opts){
        .columns = v.columns,
        .skip_bad = v.skip_bad,
        .open = v.open,
        .encrypt = v.encrypt,
        .split = strcmp(v.as, "test") == 0 ? STO_TEST : STO_TRAIN};
    if (v.open && o->split == STO_TEST)
        return err_set(ERR_ARG, "--public is said of training rows: held-out "
                                "rows teach nothing");
    ERR_TRY(sto_format_parse(v.format, &o->format));
    if (v.min_rating == NULL)
        return ERR_OK;
    o->has_min_rating = true;
    o->min_rating = strtod(v.min_rating, &end);
    return end != v.min_rating && *end == '\0'
               ? ERR_OK
               : err_set(ERR_ARG, "--min-rating \"%s\" is not a number",
                         v.min_rating);
}

static enum err read_all(struct sto_import *im, int n, char **file)
{
    if (v.catalogue != NULL)
        ERR_TRY(sto_import_entities(im, STO_ITEMS, v.catalogue));
    if (v.users != NULL)
        ERR_TRY(sto_import_entities(im, STO_USERS, v.users));
    for (int i = 0; i < n; i++)
        ERR_TRY(sto_import_read(im, file[i]));
    return ERR_OK;
}

/* A store that cannot be opened is said before the files are read. */
static enum err check_store(const char *dir)
{
    struct sto *st = NULL;
    const enum err e = sto_open(&st, dir, STO_READ);

    sto_close(st);
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* Everything is read before a store is made or changed. */
static enum err import_all(const char *dir, int n, char **file,
                           struct sto_import_stats *s)
{
    struct sto_import_opts o;
    struct sto_import *im;
    struct sto *st = NULL;

    ERR_TRY(options(&o));
    ERR_TRY(check_store(dir));
    ERR_TRY(sto_import_new(&im, &o));
    enum err e = read_all(im, n, file);

    if (e == ERR_OK)
        e = sto_open(&st, dir, STO_WRITE);
    if (e == ERR_OK)
        e = sto_import_commit(im, st, s);
    sto_close(st);
    sto_import_free(im);
    return e;
}

static void print(const struct sto_import_stats *s, const struct cmd_common *c)
{
    if (c->json) {
        cmd_ui_json(
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "read",
                      (json_int_t)s->read, "stored", (json_int_t)s->stored,
                      "duplicates", (json_int_t)s->duplicates, "skipped",
                      (json_int_t)s->skipped, "users", (json_int_t)s->users,
                      "items", (json_int_t)s->items, "seconds", s->seconds));
        return;
    }
    printf("%s rows read, %s new", cmd_ui_count(s->read),
           cmd_ui_count(s->stored));
    if (s->duplicates > 0)
        printf(", %s duplicates", cmd_ui_count(s->duplicates));
    if (s->skipped > 0)
        printf(", %s left out", cmd_ui_count(s->skipped));
    printf("; %s people, ", cmd_ui_count(s->users));
    printf("%s items, %.2f s\n", cmd_ui_count(s->items), s->seconds);
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    struct sto_import_stats s = {0};
    const double start = cmd_ui_now();

    if (n_words == 0 && v.catalogue == NULL && v.users == NULL)
        return cmd_ui_exit(err_set(ERR_ARG, "name a file to import"));
    if (n_words == 0 && v.open)
        return cmd_ui_exit(err_set(ERR_ARG, "--public is said of rows: name "
                                            "the file that has them"));
    const enum err e = import_all(cmd_ui_store_dir(c), n_words, word, &s);

    s.seconds = cmd_ui_now() - start;
    if (e == ERR_OK)
        print(&s, c);
    return cmd_ui_exit(e);
}

extern const struct cmd cmd_import;
const struct cmd cmd_import = {
    .name = "import",
    .words = "FILE... [options]   (- is stdin; gz is read as it is)",
    .help = "read interactions, a catalogue or people's attributes",
    .opts = rows,
    .values = &v,
    .writes = true,
    .run = run,
};
