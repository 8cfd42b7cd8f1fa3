/* src/cmd_certificate.c - list, show and export certificates. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/key.h"
#include "src/ui.h"
#include "store/forget.h"
#include "unlearn/cert.h"

static struct values {
    const char *output;
} v;

static const struct opt rows[] = {
    {"output", 'o', OPT_TEXT, offsetof(struct values, output), NULL, 0, 0,
     "FILE", "export: write there instead of stdout"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

static enum err read_one(struct sto_view *view, uint64_t n, json_t **out)
{
    char *text;

    ERR_TRY(sto_cert_get(view, n, &text));
    *out = json_loads(text, 0, NULL);
    free(text);
    return *out != NULL ? ERR_OK
                        : err_set(ERR_FORMAT, "certificate %llu is damaged",
                                  (unsigned long long)n);
}

static void print_line(const json_t *c)
{
    const json_t *removed = json_object_get(c, "removed");

    printf(
        "%4lld  %s people, %s rows, %zu models%s\n",
        (long long)json_integer_value(json_object_get(c, "number")),
        cmd_ui_count(
            (uint64_t)json_integer_value(json_object_get(removed, "users"))),
        cmd_ui_count(
            (uint64_t)(json_integer_value(json_object_get(removed, "train")) +
                       json_integer_value(json_object_get(removed, "test")))),
        json_array_size(json_object_get(c, "models")),
        json_is_true(json_object_get(c, "pending")) ? ", models pending" : "");
}

static enum err list(struct sto_view *view, bool as_json)
{
    json_t *all = json_array();
    uint64_t n = 0;
    enum err e = sto_cert_count(view, &n);

    for (uint64_t i = 1; i <= n && e == ERR_OK; i++) {
        json_t *c = NULL;

        e = read_one(view, i, &c);
        if (e == ERR_OK && !as_json)
            print_line(c);
        if (e == ERR_OK)
            (void)json_array_append_new(all, c);
    }
    if (e == ERR_OK && as_json)
        cmd_ui_json(json_pack("{s:O}", "certificates", all));
    json_decref(all);
    return e;
}

static enum err show(struct sto_view *view, uint64_t n, bool as_json)
{
    json_t *c = NULL;

    ERR_TRY(read_one(view, n, &c));
    if (as_json) {
        cmd_ui_json(c);
        return ERR_OK;
    }
    (void)json_dumpf(c, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
    putchar('\n');
    json_decref(c);
    return ERR_OK;
}

/* Onto stdout, or to the named file: whole, or (on an error) not there. */
static enum err write_chain(struct sto_view *view, uint64_t n)
{
    char *text = NULL;
    enum err e = unl_cert_export(view, n, &text);

    if (e != ERR_OK)
        return e;
    FILE *f = v.output != NULL ? fopen(v.output, "w") : stdout;

    if (f == NULL) {
        e = err_set(ERR_IO, "cannot write %s: %s", v.output, strerror(errno));
    } else {
        struct stat what = {0};

        (void)fstat(fileno(f), &what);
        const bool put = fputs(text, f) >= 0 && fflush(f) == 0;
        const bool shut = f == stdout || fclose(f) == 0;

        if (!put || !shut)
            e = err_set(ERR_IO, "cannot write %s: %s",
                        v.output != NULL ? v.output : "to stdout",
                        strerror(errno));
        if (e != ERR_OK && f != stdout && S_ISREG(what.st_mode))
            (void)unlink(v.output); /* but never a device */
    }
    free(text);
    return e;
}

static enum err show_key(const struct cmd_common *c)
{
    struct unl_keys keys;
    char hex[UNL_KEY_HEX];

    ERR_TRY(unl_keys_open(&keys, cmd_ui_store_dir(c)));
    key_hex(keys.public_key, sizeof(keys.public_key), hex);
    unl_keys_close(&keys);
    if (c->json)
        cmd_ui_json(json_pack("{s:s}", "key", hex));
    else
        puts(hex);
    return ERR_OK;
}

/* A certificate's number; 0 when the word is none. */
static uint64_t number_of(const char *word)
{
    char *end;
    const uint64_t n = strtoull(word, &end, 10);

    return *end == '\0' && word[0] >= '1' && word[0] <= '9' ? n : 0;
}

static enum err dispatch(const struct cmd_common *c, struct sto_view *view,
                         int n_words, char **word)
{
    const uint64_t n = n_words == 2 ? number_of(word[1]) : 0;

    if (n_words == 1 && strcmp(word[0], "list") == 0)
        return list(view, c->json);
    if (n_words == 1 && strcmp(word[0], "key") == 0)
        return show_key(c);
    if (n > 0 && strcmp(word[0], "show") == 0)
        return show(view, n, c->json);
    if (n > 0 && strcmp(word[0], "export") == 0)
        return write_chain(view, n);
    return err_set(ERR_ARG, "say which: list, show N, export N (numbers start "
                            "at 1), or key");
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    struct cmd_opened o = {0};
    enum err e = cmd_ui_open(&o, c);

    if (e == ERR_OK)
        e = dispatch(c, o.v, n_words, word);
    cmd_ui_close(&o);
    return cmd_ui_exit(e);
}

extern const struct cmd cmd_certificate;
const struct cmd cmd_certificate = {
    .name = "certificate",
    .words = "list | show N | export N [--output FILE] | key",
    .help = "what was forgotten, signed",
    .opts = rows,
    .values = &v,
    .run = run,
};
