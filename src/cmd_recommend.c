/* src/cmd_recommend.c - lists for some people, or for everybody. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/csv.h"
#include "base/log.h"
#include "base/mem.h"
#include "rec/rank.h"
#include "src/rerank.h"

#define BATCH 4096

static struct values {
    const char *name, *rerank, *user, *output, *format;
    int64_t k, level;
    double trade;
    bool all, include_seen;
} v;

#define AT(field) offsetof(struct values, field)
static const struct opt rows[] = {
    {"user", 0, OPT_TEXT, AT(user), NULL, 0, 0, "ID",
     "one person; further ids may follow as words"},
    {"all", 0, OPT_BOOL, AT(all), NULL, 0, 0, NULL,
     "everybody whom the model knows"},
    {"k", 'k', OPT_INT, AT(k), "10", 1, 10000, "N", "length of a list"},
    {"name", 0, OPT_TEXT, AT(name), NULL, 0, 0, "NAME",
     "which model (else the only one)"},
    {"rerank", 0, OPT_TEXT, AT(rerank), NULL, 0, 0, "R",
     "a re-ranker (`recd rerank train --name R`), with its first stage"},
    {"trade", 0, OPT_REAL, AT(trade), "-1", -1, 1, "W",
     "re-rankers mmr, dpp and cmr: another weight of the score against being "
     "unlike than in training; -1 = the same"},
    {"level", 0, OPT_INT, AT(level), "0", 0, 64, "L",
     "of nested models (`train --levels`): 1 is the sparsest; 0 = everything"},
    {"include-seen", 0, OPT_BOOL, AT(include_seen), NULL, 0, 0, NULL,
     "do not leave out what the person has met already"},
    {"output", 'o', OPT_TEXT, AT(output), NULL, 0, 0, "FILE",
     "write there instead of stdout"},
    {"format", 0, OPT_CHOICE, AT(format), "text", 0, 0, "text|csv|json",
     "text, csv (user,rank,item,score) or json (one object a line)"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

struct lists {
    const struct cmd_opened *o;
    FILE *out;
    uint32_t *item; /* [n][k] */
    float *score;   /* [n][k] */
    size_t k;
    bool in_array; /* with --json: one object of all lists, streamed */
    size_t written;
};

/* The item's title or name, if its attributes have one; free() it. */
static char *title_of(const struct sto_entity *e)
{
    json_t *a = json_loads(e->attributes, 0, NULL);
    const char *title = json_string_value(json_object_get(a, "title"));

    if (title == NULL)
        title = json_string_value(json_object_get(a, "name"));
    char *copy = title != NULL ? mem_text(title) : NULL;

    json_decref(a);
    return copy;
}

static enum err put_json(struct lists *l, const char *user,
                         const uint32_t *item, const float *score)
{
    json_t *items = json_array();

    for (size_t r = 0; r < l->k && item[r] != REC_NOBODY; r++) {
        struct sto_entity e;
        const enum err err =
            sto_get_entity(l->o->v, STO_ITEMS, l->o->m->item_key[item[r]], &e);

        if (err != ERR_OK) {
            json_decref(items);
            return err;
        }
        (void)json_array_append_new(
            items,
            json_pack("{s:s, s:f}", "item", e.id, "score", (double)score[r]));
    }
    json_t *one = json_pack("{s:s, s:o}", "user", user, "items", items);

    if (l->in_array && l->written++ > 0)
        fputs(", ", l->out);
    const int bad =
        one == NULL || json_dumpf(one, l->out,
                                  JSON_REAL_PRECISION(7) |
                                      (l->in_array ? 0 : JSON_COMPACT)) != 0;

    if (!l->in_array)
        putc('\n', l->out);
    json_decref(one);
    return bad ? err_set(ERR_IO, "cannot write the list of %s", user) : ERR_OK;
}

static enum err put_list(struct lists *l, const char *user,
                         const uint32_t *item, const float *score)
{
    const bool csv = strcmp(v.format, "csv") == 0;

    if (l->in_array || strcmp(v.format, "json") == 0)
        return put_json(l, user, item, score);
    if (!csv)
        fprintf(l->out, "for %s:\n", user);
    for (size_t r = 0; r < l->k && item[r] != REC_NOBODY; r++) {
        struct sto_entity e;

        ERR_TRY(
            sto_get_entity(l->o->v, STO_ITEMS, l->o->m->item_key[item[r]], &e));
        if (csv) {
            csv_cell(l->out, user);
            fprintf(l->out, ",%zu,", r + 1);
            csv_cell(l->out, e.id);
            fprintf(l->out, ",%.7g\n", (double)score[r]);
        } else {
            char *title = title_of(&e);

            fprintf(l->out, "%4zu  %-12s %10.4f  %s\n", r + 1, e.id,
                    (double)score[r], title != NULL ? title : "");
            free(title);
        }
    }
    return ERR_OK;
}

/* One person by id: by the model's number, or by the history alone. */
static enum err one_person(struct lists *l, const char *id)
{
    const struct rec_model *m = l->o->m;
    struct sto_entity who;
    struct sto_history h;

    ERR_TRY(sto_find_entity(l->o->v, STO_USERS, id, &who));
    const uint64_t key = who.key;

    ERR_TRY(sto_get_history(l->o->v, STO_TRAIN, key, &h));
    uint32_t user = rec_key_find(m->user_key, m->n_users, key);
    struct mem_scratch tmp = {0};
    uint32_t *item = mem_take(&tmp, h.n, 1, sizeof(*item));
    float *value = mem_take(&tmp, h.n, 1, sizeof(*value));
    int64_t *time = mem_take(&tmp, h.n, 1, sizeof(*time));
    size_t ptr[2] = {0, 0};
    enum err e =
        tmp.failed ? err_set(ERR_NOMEM, "no memory for a history") : ERR_OK;

    for (size_t r = 0; r < h.n && e == ERR_OK; r++) {
        const uint32_t i = rec_key_find(m->item_key, m->n_items, h.item[r]);

        if (i == REC_NOBODY)
            continue;
        value[ptr[1]] = h.value != NULL ? h.value[r] : 1.0f;
        time[ptr[1]] = h.time != NULL ? h.time[r] : 0;
        item[ptr[1]++] = i;
    }
    const struct rec_query q = {1,
                                &user,
                                ptr,
                                item,
                                h.value != NULL ? value : NULL,
                                h.time != NULL ? time : NULL};

    if (e == ERR_OK)
        e = rec_rank(m, &q, l->k, !v.include_seen, l->item, l->score);
    mem_drop(&tmp);
    return e == ERR_OK ? put_list(l, id, l->item, l->score) : e;
}

static enum err everybody(struct lists *l)
{
    const struct rec_model *m = l->o->m;
    struct rec_data d = {0};
    enum err e = rec_data_load_in(&d, l->o->v, STO_TRAIN, m->user_key,
                                  m->n_users, m->item_key, m->n_items);

    for (size_t u = 0; u < m->n_users && e == ERR_OK; u += BATCH) {
        const size_t n = m->n_users - u < BATCH ? m->n_users - u : BATCH;

        e = rec_rank_users(m, &d, u, n, l->k, !v.include_seen, l->item,
                           l->score);
        for (size_t i = 0; i < n && e == ERR_OK; i++) {
            struct sto_entity who;

            /* Forgotten since the training: no list. */
            if (sto_get_entity(l->o->v, STO_USERS, m->user_key[u + i], &who) ==
                ERR_OK)
                e = put_list(l, who.id, l->item + i * l->k,
                             l->score + i * l->k);
        }
        log_tick("recommending", u + n, m->n_users, NULL);
        if (e == ERR_OK && log_stopping())
            e = err_set(ERR_STOPPED, "stopped: the output is incomplete");
    }
    rec_data_free(&d);
    return e;
}

static enum err put_lists(struct lists *l, int n_words, char **word)
{
    if (v.all)
        return everybody(l);
    if (v.user != NULL)
        ERR_TRY(one_person(l, v.user));
    for (int i = 0; i < n_words; i++)
        ERR_TRY(one_person(l, word[i]));
    return ERR_OK;
}

static enum err recommend(struct lists *l, int n_words, char **word)
{
    if (l->in_array)
        fprintf(l->out, "{\"name\": \"%s\", \"lists\": [", l->o->info.name);
    else if (strcmp(v.format, "csv") == 0)
        fputs("user,rank,item,score\n", l->out);
    ERR_TRY(put_lists(l, n_words, word));
    if (l->in_array)
        fputs("]}\n", l->out);
    return ERR_OK;
}

static enum err with_output(struct lists *l, int n_words, char **word)
{
    const size_t n = v.all ? BATCH : 1;
    struct mem_scratch tmp = {0};
    struct cmd_output out;

    l->k = (size_t)v.k;
    l->item = mem_take(&tmp, n, l->k, sizeof(*l->item));
    l->score = mem_take(&tmp, n, l->k, sizeof(*l->score));
    enum err e = tmp.failed ? err_set(ERR_NOMEM, "no memory for the lists")
                            : cmd_ui_create(&out, v.output);

    if (e == ERR_OK) {
        l->out = out.file;
        e = cmd_ui_finish(&out, recommend(l, n_words, word));
    }
    mem_drop(&tmp);
    return e;
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    struct cmd_opened o = {0};
    struct lists l = {.o = &o};

    if (!v.all && v.user == NULL && n_words == 0)
        return cmd_ui_exit(
            err_set(ERR_ARG, "say for whom: --user ID, or --all"));
    enum err e = cmd_rerank_open(&o, c, v.name, v.rerank, v.level, v.trade);

    if (e == ERR_OK) {
        l.in_array = c->json;
        e = with_output(&l, n_words, word);
    }
    cmd_ui_close(&o);
    return cmd_ui_exit(e);
}

extern const struct cmd cmd_recommend;
const struct cmd cmd_recommend = {
    .name = "recommend",
    .words = "(--user ID... | --all) [-k 10] [--name NAME] [options]",
    .help = "the best items for some people, or for everybody",
    .opts = rows,
    .values = &v,
    .on_device = true,
    .run = run,
};
