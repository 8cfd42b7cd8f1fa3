/* src/cmd_verify.c - check a certificate's file, with no store at hand. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "src/ui.h"
#include "unlearn/cert.h"

static struct values {
    const char *key;
} v;

static const struct opt rows[] = {
    {"key", 0, OPT_TEXT, offsetof(struct values, key), NULL, 0, 0, "HEX",
     "public key that must have signed (else the one in the file)"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

static enum err read_file(const char *path, char **text, size_t *n)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    size_t room = 0, got = 1;
    enum err e = ERR_OK;

    *text = NULL;
    *n = 0;
    if (f == NULL)
        return err_set(ERR_IO, "cannot read %s: %s", path, strerror(errno));
    while (e == ERR_OK && got > 0) {
        e = mem_grow(text, &room, *n + 65536, 1);
        if (e == ERR_OK) {
            got = fread(*text + *n, 1, 65536, f);
            *n += got;
        }
    }
    if (e == ERR_OK && ferror(f))
        e = err_set(ERR_IO, "cannot read %s: %s", path, strerror(errno));
    if (f != stdin)
        fclose(f);
    return e;
}

static int say(const struct cmd_common *c, const struct unl_verdict *r)
{
    if (c->json)
        cmd_ui_json(json_pack("{s:b, s:I, s:s, s:s}", "valid", r->good,
                              "certificates", (json_int_t)r->number, "key",
                              r->key, "reason", r->reason));
    else if (r->good)
        printf("valid: %llu certificate%s, signed by %s%s\n",
               (unsigned long long)r->number, r->number == 1 ? "" : "s", r->key,
               v.key == NULL ? " (compare with `recd certificate key`)" : "");
    else
        printf("NOT valid: %s\n", r->reason);
    return r->good ? CMD_DONE : CMD_NO;
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    struct unl_verdict r;
    char *text = NULL;
    size_t n = 0;
    enum err e;

    if (n_words != 1)
        return cmd_ui_exit(err_set(ERR_ARG, "say which file to verify"));
    e = read_file(word[0], &text, &n);
    if (e == ERR_OK)
        e = unl_cert_verify(text, n, v.key, &r);
    free(text);
    return e == ERR_OK ? say(c, &r) : cmd_ui_exit(e);
}

extern const struct cmd cmd_verify;
const struct cmd cmd_verify = {
    .name = "verify",
    .words = "FILE [--key HEX]",
    .help = "check a certificate's signature and chain",
    .opts = rows,
    .values = &v,
    .run = run,
};
