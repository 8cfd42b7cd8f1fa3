/* src/cmd_info.c - what the store holds. */
#include <stdio.h>
#include <string.h>

#include "src/ui.h"

static enum err add_json(void *arg, const struct sto_model *m)
{
    static const char *const state[] = {"whole", "torn", "interim"};
    char hex[2 * KEY_DIGEST_BYTES + 1];

    key_hex(m->digest, KEY_DIGEST_BYTES, hex);
    (void)json_array_append_new(
        arg,
        json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:I, s:f, s:I, s:s, s:s}",
                  "name", m->name, "model", m->model, "shards",
                  (json_int_t)m->shards, "partition", m->partition, "aggregate",
                  m->aggregate, "digest", hex, "trained_at",
                  (json_int_t)m->trained_at, "seconds", m->seconds, "seed",
                  (json_int_t)m->seed, "device", m->device, "state",
                  state[m->state]));
    return ERR_OK;
}

static enum err print_model(void *arg, const struct sto_model *m)
{
    char hex[2 * KEY_DIGEST_BYTES + 1];

    (void)arg;
    key_hex(m->digest, KEY_DIGEST_BYTES, hex);
    const bool elsewhere = strcmp(m->device, "cpu") != 0;

    printf("  %-16s %-10s %8.2f s  digest %.16s%s%s%s\n", m->name, m->model,
           m->seconds, hex, elsewhere ? "  " : "", elsewhere ? m->device : "",
           m->state == STO_INTERIM ? " (corrected since: `recd repair`)"
           : m->state == STO_TORN  ? " (torn: `recd repair`)"
                                   : "");
    return ERR_OK;
}

static enum err print_text(struct cmd_opened *o, const struct sto_counts *n)
{
    printf("store       %s (%s bytes%s)\n", sto_dir(o->st),
           cmd_ui_count(n->bytes), n->encrypted ? ", encrypted" : "");
    printf("people      %s", cmd_ui_count(n->users));
    if (n->open > 0)
        printf(" (%s public)", cmd_ui_count(n->open));
    printf("\nitems       %s\n", cmd_ui_count(n->items));
    printf("train rows  %s of %s people\n", cmd_ui_count(n->train),
           cmd_ui_count(n->train_users));
    printf("test rows   %s of %s people\n", cmd_ui_count(n->test),
           cmd_ui_count(n->test_users));
    printf("models      %s\n", cmd_ui_count(n->models));
    return sto_each_model(o->v, print_model, NULL);
}

static enum err print_json(struct cmd_opened *o, const struct sto_counts *n)
{
    json_t *models = json_array();
    const enum err e = sto_each_model(o->v, add_json, models);

    if (e != ERR_OK) {
        json_decref(models);
        return e;
    }
    cmd_ui_json(
        json_pack("{s:b, s:I, s:I, s:I, s:{s:I, s:I}, s:I, s:o, s:I}",
                  "encrypted", n->encrypted, "users", (json_int_t)n->users,
                  "public", (json_int_t)n->open, "items", (json_int_t)n->items,
                  "interactions", "train", (json_int_t)n->train, "test",
                  (json_int_t)n->test, "bytes", (json_int_t)n->bytes, "models",
                  models, "certificates", (json_int_t)n->certificates));
    return ERR_OK;
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    struct cmd_opened o = {0};
    struct sto_counts n;

    if (n_words > 0)
        return cmd_ui_exit(
            err_set(ERR_ARG, "\"%s\" is not an option of info", word[0]));
    enum err e = cmd_ui_open(&o, c);

    if (e == ERR_OK)
        e = sto_count(o.v, &n);
    if (e == ERR_OK)
        e = c->json ? print_json(&o, &n) : print_text(&o, &n);
    cmd_ui_close(&o);
    return cmd_ui_exit(e);
}

extern const struct cmd cmd_info;
const struct cmd cmd_info = {
    .name = "info",
    .words = "",
    .help = "what the store holds",
    .run = run,
};
