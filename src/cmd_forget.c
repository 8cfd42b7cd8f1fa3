/* src/cmd_forget.c - people, rows, items leave the store and its models. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "src/ui.h"
#include "unlearn/forget.h"

static struct values {
    const char *from;
    bool dry_run, defer;
} v;

#define AT(field) offsetof(struct values, field)
static const struct opt rows[] = {
    {"from", 0, OPT_TEXT, AT(from), NULL, 0, 0, "FILE",
     "one request a line, the same words; all in one batch (-: stdin)"},
    {"dry-run", 0, OPT_BOOL, AT(dry_run), NULL, 0, 0, NULL,
     "say what would be retrained and about how long it takes"},
    {"defer", 0, OPT_BOOL, AT(defer), NULL, 0, 0, NULL,
     "erase the records now, leave the models to `recd repair`"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

struct list {
    struct unl_request *r;
    size_t n, room;
    char **line; /* of the file, whose words the requests borrow */
    size_t n_lines, line_room;
};

static void list_free(struct list *l)
{
    for (size_t i = 0; i < l->n_lines; i++)
        free(l->line[i]);
    free(l->line);
    free(l->r);
}

static enum err add(struct list *l, const struct unl_request *r)
{
    ERR_TRY(mem_grow(&l->r, &l->room, l->n + 1, sizeof(*l->r)));
    l->r[l->n++] = *r;
    return ERR_OK;
}

static enum err bad_words(size_t line)
{
    static const char how[] = "user ID..., interaction USER ITEM, or item "
                              "ID...";

    return line == 0 ? err_set(ERR_ARG, "say what to forget: %s", how)
                     : err_set(ERR_ARG,
                               "%s:%zu: a request is %s (nothing was "
                               "forgotten)",
                               v.from, line, how);
}

/* word[0] is the kind; the others are ids. */
static enum err add_words(struct list *l, char **word, size_t n, size_t line)
{
    if (n >= 3 && strcmp(word[0], "interaction") == 0 && n == 3)
        return add(
            l, &(struct unl_request){UNL_INTERACTION, word[1], word[2], line});
    const bool user = n > 0 && strcmp(word[0], "user") == 0;

    if (n < 2 || (!user && strcmp(word[0], "item") != 0))
        return bad_words(line);
    for (size_t i = 1; i < n; i++) {
        const struct unl_request r = {user ? UNL_USER : UNL_ITEM,
                                      user ? word[i] : NULL,
                                      user ? NULL : word[i], line};

        ERR_TRY(add(l, &r));
    }
    return ERR_OK;
}

/* Words are divided by blanks and tabs. */
static enum err add_line(struct list *l, char *text, size_t line)
{
    char *word[64], *save = NULL;
    size_t n = 0;

    for (char *w = strtok_r(text, " \t\r\n", &save); w != NULL && n < 64;
         w = strtok_r(NULL, " \t\r\n", &save))
        word[n++] = w;
    if (n == 0 || word[0][0] == '#')
        return ERR_OK;
    return n == 64 ? bad_words(line) : add_words(l, word, n, line);
}

static enum err read_from(struct list *l)
{
    FILE *f = strcmp(v.from, "-") == 0 ? stdin : fopen(v.from, "r");
    enum err e = ERR_OK;

    if (f == NULL)
        return err_set(ERR_IO, "cannot read %s: %s", v.from, strerror(errno));
    for (size_t line = 1; e == ERR_OK; line++) {
        char *text = NULL;
        size_t room = 0;

        if (getline(&text, &room, f) < 0) {
            free(text);
            break;
        }
        e = mem_grow(&l->line, &l->line_room, l->n_lines + 1, sizeof(*l->line));
        if (e != ERR_OK) {
            free(text);
            break;
        }
        l->line[l->n_lines++] = text;
        e = add_line(l, text, line);
    }
    if (e == ERR_OK && ferror(f))
        e = err_set(ERR_IO, "cannot read %s to its end", v.from);
    if (f != stdin)
        fclose(f);
    if (e == ERR_OK && l->n == 0)
        e = err_set(ERR_ARG, "%s holds no request", v.from);
    return e;
}

/* Of one shard: the slice that its repair begins with. */
static void print_slice(const json_t *m)
{
    const json_t *slices = json_object_get(m, "slices");

    if (json_array_size(slices) == 1)
        printf(" from slice %lld of %lld",
               (long long)json_integer_value(json_array_get(slices, 0)),
               (long long)json_integer_value(json_object_get(m, "of_slices")));
}

static void print_model(const json_t *m, bool dry)
{
    const json_int_t n = json_integer_value(json_object_get(m, "retrained"));
    const json_int_t of = json_integer_value(json_object_get(m, "of_shards"));

    printf("  %-16s ", json_string_value(json_object_get(m, "name")));
    if (of > 1)
        printf("%lld of %lld shards", (long long)n, (long long)of);
    else
        printf("%s", dry ? "the whole model: it has no shards" : "retrained");
    print_slice(m);
    printf(", %s%.2f s, %s\n", dry ? "about " : "",
           json_real_value(json_object_get(m, "seconds")),
           json_string_value(json_object_get(m, "exactness")));
}

/* Of an encrypted store. */
static void print_keys(const json_t *report)
{
    const json_t *gone = json_object_get(report, "keys_destroyed");
    const json_t *fresh = json_object_get(report, "keys_renewed");

    if (gone != NULL && fresh != NULL)
        printf("keys destroyed: %s, replaced: %s; backups of the records tell "
               "nothing of them\n",
               cmd_ui_count((uint64_t)json_integer_value(gone)),
               cmd_ui_count((uint64_t)json_integer_value(fresh)));
}

void cmd_forget_print(const json_t *report)
{
    const json_t *models = json_object_get(report, "models"), *m;
    const json_t *interim = json_object_get(report, "interim");
    const bool dry = json_is_true(json_object_get(report, "dry_run"));
    const json_int_t n_rows =
        json_integer_value(json_object_get(report, "interactions"));
    size_t i;

    if (dry)
        printf("would forget %s training rows; models to repair: %zu\n",
               cmd_ui_count((uint64_t)n_rows), json_array_size(models));
    else
        printf("forgotten: %s people, %s rows, %s items; %s: %zu\n",
               cmd_ui_count((uint64_t)json_integer_value(
                   json_object_get(report, "users"))),
               cmd_ui_count((uint64_t)n_rows),
               cmd_ui_count((uint64_t)json_integer_value(
                   json_object_get(report, "items"))),
               json_is_true(json_object_get(report, "pending"))
                   ? "models that wait for `recd repair`"
                   : "models repaired",
               json_array_size(models));
    json_array_foreach(models, i, m) print_model(m, dry);
    json_array_foreach(interim, i, m)
        printf("  %-16s served corrected after %.0f ms\n",
               json_string_value(json_object_get(m, "name")),
               1e3 * json_real_value(json_object_get(m, "seconds")));
    print_keys(report);
    if (!dry)
        printf("erased from the disk; certificate %lld, %.2f s\n",
               (long long)json_integer_value(
                   json_object_get(report, "certificate")),
               json_real_value(json_object_get(report, "seconds")));
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    struct list l = {0};
    json_t *report = NULL;
    enum err e;

    if (v.from != NULL && n_words > 0)
        return cmd_ui_exit(err_set(ERR_ARG, "give --from FILE or words, not "
                                            "both"));
    e = v.from != NULL ? read_from(&l)
                       : add_words(&l, word, (size_t)n_words, 0);
    if (e == ERR_OK)
        e = unl_forget(cmd_ui_store_dir(c), l.r, l.n, v.dry_run, v.defer,
                       &report);
    if (e == ERR_OK && c->json)
        cmd_ui_json(report);
    else if (e == ERR_OK) {
        cmd_forget_print(report);
        json_decref(report);
    }
    list_free(&l);
    return cmd_ui_exit(e);
}

extern const struct cmd cmd_forget;
const struct cmd cmd_forget = {
    .name = "forget",
    .words = "user ID... | interaction USER ITEM | item ID... | --from FILE",
    .help = "take people out of records, models and disk; certify it",
    .opts = rows,
    .values = &v,
    .on_device = true,
    .run = run,
};
