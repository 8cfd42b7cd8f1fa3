/*
 * src/simulate_sweep.c - a policy file: many simulations, and what they say
 * together.
 *
 * A cell is one simulation.  Its file OUT/cells/HASH.json is written whole or
 * not at all, under a hash of everything that it depends on: a sweep that was
 * stopped goes on where it was, and comes to the same bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/key.h"
#include "base/log.h"
#include "base/mem.h"
#include "privacy_sim/study.h"
#include "rec/data.h"
#include "src/simulate.h"
#include "src/ui.h"

#define MOST 32  /* of each factor */
#define WORDS 40 /* of a line */
#define LINE 2000

/* A word of the file with settings behind it: key=value. */
struct choice {
    char *name, *what;         /* owned */
    char *key[16], *value[16]; /* owned */
    size_t n;
};

struct policy {
    const char *path;
    struct choice dataset[MOST], model[MOST], mechanism[MOST], taste[MOST];
    size_t n_datasets, n_models, n_mechanisms, n_tastes;
    uint64_t seed[MOST];
    size_t n_seeds;
    char *out;
    struct choice set; /* options for all cells */
};

static void choice_free(struct choice *c)
{
    free(c->name);
    free(c->what);
    for (size_t k = 0; k < c->n; k++) {
        free(c->key[k]);
        free(c->value[k]);
    }
}

static void policy_free(struct policy *p)
{
    for (size_t k = 0; k < MOST; k++) {
        choice_free(&p->dataset[k]);
        choice_free(&p->model[k]);
        choice_free(&p->mechanism[k]);
        choice_free(&p->taste[k]);
    }
    choice_free(&p->set);
    free(p->out);
}

/* --- reading ---------------------------------------------------------------
 */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for a policy file");
}

static enum err bad(const struct policy *p, size_t line, const char *what,
                    const char *word)
{
    return err_set(ERR_FORMAT, "%s:%zu: %s%s%s%s", p->path, line, what,
                   word != NULL ? " \"" : "", word != NULL ? word : "",
                   word != NULL ? "\"" : "");
}

static size_t split_words(char *line, char **word)
{
    static const char blank[] = " \t\r\n";
    size_t n = 0;

    for (char *p = line + strspn(line, blank); *p != '\0' && *p != '#';) {
        char *end = p + strcspn(p, blank);
        const bool last = *end == '\0';

        if (n < WORDS)
            word[n++] = p;
        *end = '\0';
        p = last ? end : end + 1 + strspn(end + 1, blank);
    }
    return n;
}

static enum err add_pair(struct choice *c, const char *key, size_t len,
                         const char *value)
{
    if (c->n == 16)
        return err_set(ERR_FORMAT, "more than 16 settings");
    c->key[c->n] = mem_array(len + 1, 1);
    c->value[c->n] = mem_text(value);
    if (c->key[c->n] == NULL || c->value[c->n] == NULL) {
        c->n++;
        return no_memory();
    }
    memcpy(c->key[c->n++], key, len);
    return ERR_OK;
}

/* NAME [WHAT] key=value...; with_what: two plain words. */
static enum err read_choice(const struct policy *p, size_t line,
                            struct choice *c, char **word, size_t n,
                            bool with_what)
{
    const size_t plain = with_what ? 2 : 1;

    if (n < plain)
        return bad(p, line, "a name is missing", NULL);
    c->name = mem_text(word[0]);
    c->what = mem_text(word[plain - 1]);
    if (c->name == NULL || c->what == NULL)
        return no_memory();
    for (size_t k = plain; k < n; k++) {
        const char *equals = strchr(word[k], '=');

        if (equals == NULL)
            return bad(p, line, "key=value was expected, not", word[k]);
        ERR_TRY(add_pair(c, word[k], (size_t)(equals - word[k]), equals + 1));
    }
    return ERR_OK;
}

static enum err read_seeds(struct policy *p, size_t line, char **word, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        char *end;
        const unsigned long long seed = strtoull(word[k], &end, 10);

        if (*end != '\0' || word[k][0] == '-' || seed > INT64_MAX)
            return bad(p, line, "not a seed:", word[k]);
        if (p->n_seeds == MOST)
            return bad(p, line, "more than 32 seeds", NULL);
        p->seed[p->n_seeds++] = seed;
    }
    return ERR_OK;
}

static enum err read_line(struct policy *p, size_t line, char **word, size_t n)
{
    const struct {
        const char *name;
        struct choice *list;
        size_t *n;
        bool what;
    } factor[] = {{"dataset", p->dataset, &p->n_datasets, true},
                  {"model", p->model, &p->n_models, false},
                  {"mechanism", p->mechanism, &p->n_mechanisms, true}};

    for (size_t f = 0; f < 3; f++) {
        if (strcmp(word[0], factor[f].name) != 0)
            continue;
        if (*factor[f].n == MOST)
            return bad(p, line, "more than 32 of", word[0]);
        return read_choice(p, line, &factor[f].list[(*factor[f].n)++], word + 1,
                           n - 1, factor[f].what);
    }
    if (strcmp(word[0], "seed") == 0)
        return read_seeds(p, line, word + 1, n - 1);
    if (strcmp(word[0], "sensitivity") == 0) {
        for (size_t k = 1; k < n; k++) {
            if (p->n_tastes == MOST)
                return bad(p, line, "more than 32 sensitivities", NULL);
            ERR_TRY(read_choice(p, line, &p->taste[p->n_tastes++], word + k, 1,
                                false));
        }
        return ERR_OK;
    }
    if (n != 2)
        return bad(p, line,
                   "a line is KEY VALUE; see `recd help simulate`:", word[0]);
    if (strcmp(word[0], "out") == 0) {
        free(p->out);
        p->out = mem_text(word[1]);
        return p->out == NULL ? no_memory() : ERR_OK;
    }
    return add_pair(&p->set, word[0], strlen(word[0]), word[1]);
}

/* Settings that do not fit are found before anything runs. */
static enum err apply(struct cmd_sim_values *v, const struct choice *c)
{
    for (size_t k = 0; k < c->n; k++) {
        if (strcmp(c->key[k], "people") == 0 || strcmp(c->key[k], "model") == 0)
            return err_set(ERR_ARG, "\"%s\" is not a setting of a sweep",
                           c->key[k]);
        ERR_TRY(opt_assign(cmd_sim_rows, v, c->key[k], c->value[k]));
    }
    return ERR_OK;
}

static enum err model_of(struct rec_model **out, const struct choice *c)
{
    const struct rec_model_ops *ops;

    *out = NULL;
    ERR_TRY(rec_model_find(c->what, &ops));
    ERR_TRY(rec_model_new(out, ops));
    for (size_t k = 0; k < c->n; k++)
        ERR_TRY(opt_assign(ops->opts, (*out)->opts, c->key[k], c->value[k]));
    return ERR_OK;
}

static enum err check(const struct policy *p)
{
    const struct choice *const all[] = {&p->set};
    struct cmd_sim_values v;

    if (p->n_datasets == 0 || p->n_models == 0 || p->n_mechanisms == 0 ||
        p->n_tastes == 0 || p->n_seeds == 0 || p->out == NULL)
        return err_set(ERR_FORMAT,
                       "%s: a sweep needs at least one dataset, model, "
                       "mechanism, sensitivity and seed, and an out folder",
                       p->path);
    opt_defaults(cmd_sim_rows, &v);
    ERR_TRY(apply(&v, all[0]));
    for (size_t k = 0; k < p->n_datasets; k++)
        ERR_TRY(apply(&v, &p->dataset[k]));
    for (size_t k = 0; k < p->n_mechanisms; k++)
        ERR_TRY(apply(&v, &p->mechanism[k]));
    for (size_t k = 0; k < p->n_models; k++) {
        struct rec_model *m;
        const enum err e = model_of(&m, &p->model[k]);

        rec_model_free(m);
        ERR_TRY(e);
    }
    return ERR_OK;
}

static enum err policy_read(struct policy *p, const char *path)
{
    char line[LINE], *word[WORDS];
    FILE *f = fopen(path, "r");
    enum err e = ERR_OK;

    *p = (struct policy){.path = path};
    if (f == NULL)
        return err_set(ERR_IO, "cannot read %s: %s", path, strerror(errno));
    for (size_t i = 1; e == ERR_OK && fgets(line, sizeof(line), f) != NULL;
         i++) {
        if (strlen(line) + 1 == sizeof(line)) {
            e = bad(p, i, "the line is too long", NULL);
            break;
        }
        const size_t n = split_words(line, word);

        if (n > 0)
            e = read_line(p, i, word, n);
    }
    if (e == ERR_OK && ferror(f))
        e = err_set(ERR_IO, "cannot read %s: %s", path, strerror(errno));
    (void)fclose(f);
    return e == ERR_OK ? check(p) : e;
}

/* --- cells -----------------------------------------------------------------
 */

struct cell {
    size_t dataset, model, mechanism, taste, seed;
};

static size_t n_cells(const struct policy *p)
{
    return p->n_datasets * p->n_models * p->n_mechanisms * p->n_tastes *
           p->n_seeds;
}

/* Seeds vary fastest, so that a setting is soon complete. */
static struct cell cell_of(const struct policy *p, size_t i)
{
    struct cell c;

    c.seed = i % p->n_seeds;
    i /= p->n_seeds;
    c.mechanism = i % p->n_mechanisms;
    i /= p->n_mechanisms;
    c.taste = i % p->n_tastes;
    i /= p->n_tastes;
    c.model = i % p->n_models;
    c.dataset = i / p->n_models;
    return c;
}

struct sweep {
    const struct policy *p;
    char data[MOST][2 * KEY_DIGEST_BYTES + 1]; /* digest of each dataset */
    json_t *cells;
    size_t reused;
};

static enum err digest_datasets(struct sweep *s)
{
    for (size_t k = 0; k < s->p->n_datasets; k++) {
        unsigned char digest[KEY_DIGEST_BYTES];
        struct rec_data d = {0};
        struct sto_view *v;
        struct sto *st;

        ERR_TRY(sto_open(&st, s->p->dataset[k].what, STO_READ));
        enum err e = sto_view_open(&v, st);

        if (e == ERR_OK) {
            e = rec_data_load(&d, v);
            sto_view_close(v);
        }
        sto_close(st);
        if (e == ERR_OK)
            rec_data_digest(&d, digest);
        rec_data_free(&d);
        ERR_TRY(e);
        key_hex(digest, sizeof(digest), s->data[k]);
    }
    return ERR_OK;
}

static enum err values_of(struct cmd_sim_values *v, const struct policy *p,
                          const struct cell *c)
{
    opt_defaults(cmd_sim_rows, v);
    ERR_TRY(apply(v, &p->set));
    ERR_TRY(apply(v, &p->dataset[c->dataset]));
    v->mechanism = p->mechanism[c->mechanism].what;
    ERR_TRY(apply(v, &p->mechanism[c->mechanism]));
    v->sensitivity = p->taste[c->taste].what;
    return ERR_OK;
}

/* "itemknn shrink=10": as the file has it. */
static void model_text(const struct choice *c, char *out, size_t room)
{
    size_t at = (size_t)snprintf(out, room, "%s", c->what);

    for (size_t k = 0; k < c->n && at < room; k++)
        at += (size_t)snprintf(out + at, room - at, " %s=%s", c->key[k],
                               c->value[k]);
}

/* A hash of all that the cell depends on. */
static enum err name_cell(const struct sweep *s, const struct cell *c,
                          const struct cmd_sim_values *v,
                          const struct rec_model *m, char hex[33])
{
    unsigned char digest[KEY_DIGEST_BYTES];
    char *options, *own, all[2 * KEY_DIGEST_BYTES + 1];
    struct key_digest d;

    ERR_TRY(rec_options_json(cmd_sim_rows, v, &options));
    const enum err e = rec_model_options_json(m, &own);

    if (e == ERR_OK) {
        key_digest_init(&d);
        key_digest_add(&d, PACKAGE_VERSION, sizeof(PACKAGE_VERSION));
        key_digest_add(&d, options, strlen(options) + 1);
        key_digest_add(&d, m->ops->name, strlen(m->ops->name) + 1);
        key_digest_add(&d, own, strlen(own) + 1);
        key_digest_add(&d, &s->p->seed[c->seed], sizeof(uint64_t));
        key_digest_add(&d, s->data[c->dataset], sizeof(s->data[0]));
        key_digest_end(&d, digest);
        key_hex(digest, sizeof(digest), all);
        (void)snprintf(hex, 33, "%.32s", all);
        free(own);
    }
    free(options);
    return e;
}

/* Seconds differ from run to run: they stay in the cell's file. */
static enum err keep(json_t *cell, const char *path)
{
    struct cmd_output out;

    ERR_TRY(cmd_ui_create(&out, path));
    const bool good = json_dumpf(cell, out.file, JSON_REAL_PRECISION(10)) == 0;

    return cmd_ui_finish(&out, good ? ERR_OK
                                    : err_set(ERR_IO, "cannot write %s", path));
}

static enum err run_cell(struct sweep *s, const struct cell *c)
{
    const struct policy *p = s->p;
    char hex[33], path[4400], model[400];
    struct cmd_sim_values v;
    struct rec_model *m = NULL;
    json_t *cell = NULL;
    enum err e = values_of(&v, p, c);

    if (e == ERR_OK)
        e = model_of(&m, &p->model[c->model]);
    if (e == ERR_OK)
        e = name_cell(s, c, &v, m, hex);
    if (e == ERR_OK) {
        (void)snprintf(path, sizeof(path), "%.4000s/cells/%s.json", p->out,
                       hex);
        cell = json_load_file(path, 0, NULL);
        s->reused += cell != NULL;
    }
    if (e == ERR_OK && cell == NULL) {
        e = cmd_sim_cell(&cell, &v, p->dataset[c->dataset].what, m,
                         p->seed[c->seed], true);
        if (e == ERR_OK)
            e = keep(cell, path);
        json_decref(cell); /* read back: the same bytes as after a stop */
        cell = e == ERR_OK ? json_load_file(path, 0, NULL) : NULL;
        if (e == ERR_OK && cell == NULL)
            e = err_set(ERR_IO, "cannot read %s", path);
    }
    rec_model_free(m);
    if (e != ERR_OK)
        return e;
    model_text(&p->model[c->model], model, sizeof(model));
    (void)json_object_update_new(
        cell, json_pack("{s:s, s:s, s:s, s:I}", "dataset",
                        p->dataset[c->dataset].name, "arm",
                        p->mechanism[c->mechanism].name, "model_text", model,
                        "seed", (json_int_t)p->seed[c->seed]));
    (void)json_array_append_new(s->cells, cell);
    return ERR_OK;
}

/* --- results ---------------------------------------------------------------
 */

static json_t *facts_of(const struct sweep *s)
{
    const struct policy *p = s->p;
    json_t *out = json_pack("{s:s}", "made by", "recd " PACKAGE_VERSION);
    char text[2000];
    size_t at = 0;

    for (size_t k = 0; k < p->n_datasets; k++) {
        char name[100];

        (void)snprintf(name, sizeof(name), "data: %.80s", p->dataset[k].name);
        (void)snprintf(text, sizeof(text), "digest of all rows %s", s->data[k]);
        (void)json_object_set_new(out, name, json_string(text));
    }
    for (size_t k = 0; k < p->n_mechanisms; k++) {
        char name[100];

        (void)snprintf(name, sizeof(name), "mechanism: %.80s",
                       p->mechanism[k].name);
        model_text(&p->mechanism[k], text, sizeof(text));
        (void)json_object_set_new(out, name, json_string(text));
    }
    text[0] = '\0';
    for (size_t k = 0; k < p->n_seeds && at < sizeof(text); k++)
        at +=
            (size_t)snprintf(text + at, sizeof(text) - at, "%s%llu",
                             k > 0 ? ", " : "", (unsigned long long)p->seed[k]);
    (void)json_object_set_new(out, "seeds", json_string(text));
    for (size_t k = 0; k < p->set.n; k++)
        (void)json_object_set_new(out, p->set.key[k],
                                  json_string(p->set.value[k]));
    return out;
}

enum result { CELLS, ROUNDS, GROUPS, SUMMARY, REPORT, RESULTS };

static enum err write_result(const struct sweep *s, enum result what,
                             json_t *summary)
{
    static const char *const name[] = {"cells.csv", "rounds.csv", "groups.csv",
                                       "summary.json", "report.html"};
    json_t *facts = facts_of(s);
    struct cmd_output out;
    char path[4400];

    (void)snprintf(path, sizeof(path), "%.4000s/%s", s->p->out, name[what]);
    enum err e = cmd_ui_create(&out, path);

    if (e == ERR_OK && what == CELLS)
        sim_study_cells_csv(s->cells, out.file);
    if (e == ERR_OK && what == ROUNDS)
        sim_study_rounds_csv(s->cells, out.file);
    if (e == ERR_OK && what == GROUPS)
        sim_study_groups_csv(s->cells, out.file);
    if (e == ERR_OK && what == SUMMARY) {
        (void)json_object_set(summary, "study", facts);
        (void)json_dumpf(summary, out.file, JSON_REAL_PRECISION(8));
        putc('\n', out.file);
    }
    if (e == ERR_OK && what == REPORT)
        sim_study_html(s->cells, summary, facts, out.file);
    if (e == ERR_OK)
        e = cmd_ui_finish(&out, ERR_OK);
    json_decref(facts);
    return e;
}

static enum err make_folder(const char *path)
{
    return mkdir(path, 0777) == 0 || errno == EEXIST
               ? ERR_OK
               : err_set(ERR_IO, "cannot make %s: %s", path, strerror(errno));
}

static enum err run_all(struct sweep *s)
{
    const size_t n = n_cells(s->p);
    char path[4400];

    (void)snprintf(path, sizeof(path), "%.4000s/cells", s->p->out);
    ERR_TRY(make_folder(s->p->out));
    ERR_TRY(make_folder(path));
    ERR_TRY(digest_datasets(s));
    for (size_t i = 0; i < n; i++) {
        const struct cell c = cell_of(s->p, i);

        log_info("cell %zu of %zu: %s, %s, %s, %s, seed %llu", i + 1, n,
                 s->p->dataset[c.dataset].name, s->p->model[c.model].name,
                 s->p->mechanism[c.mechanism].name, s->p->taste[c.taste].name,
                 (unsigned long long)s->p->seed[c.seed]);
        ERR_TRY(run_cell(s, &c));
    }
    json_t *summary = sim_study_summary(s->cells);
    enum err e = summary == NULL ? no_memory() : ERR_OK;

    for (int r = CELLS; r < RESULTS && e == ERR_OK; r++)
        e = write_result(s, (enum result)r, summary);
    json_decref(summary);
    return e;
}

/* --- before it runs --------------------------------------------------------
 */

/* One cell of each dataset and model, with two rounds, tells the time. */
static enum err estimate(const struct policy *p)
{
    double total = 0;

    for (size_t d = 0; d < p->n_datasets; d++) {
        for (size_t k = 0; k < p->n_models; k++) {
            for (size_t a = 0; a < p->n_mechanisms; a++) {
                const struct cell c = {d, k, a, 0, 0};
                struct cmd_sim_values v;
                struct rec_model *m;
                json_t *cell;

                ERR_TRY(values_of(&v, p, &c));
                const double rounds = (double)v.rounds;

                v.rounds = 2;
                enum err e = model_of(&m, &p->model[k]);
                const double start = cmd_ui_now();

                if (e == ERR_OK)
                    e = cmd_sim_cell(&cell, &v, p->dataset[d].what, m,
                                     p->seed[0], false);
                rec_model_free(m);
                ERR_TRY(e);
                json_decref(cell);
                const double each = (cmd_ui_now() - start) / 2;

                printf("%s, %s, %s: %.2f s a round, at most %.0f rounds\n",
                       p->dataset[d].name, p->model[k].name,
                       p->mechanism[a].name, each, rounds);
                total += each * rounds * (double)(p->n_tastes * p->n_seeds);
            }
        }
    }
    printf("%zu cells, at most %.0f s (they end when they are settled)\n",
           n_cells(p), total);
    return ERR_OK;
}

int cmd_sim_sweep(const struct cmd_common *c, const char *path, bool dry_run)
{
    struct policy *p = mem_array(1, sizeof(*p));
    struct sweep *s = mem_array(1, sizeof(*s));
    size_t unsettled = 0;
    enum err e = p == NULL || s == NULL ? no_memory() : policy_read(p, path);

    if (e == ERR_OK) {
        s->p = p;
        s->cells = json_array();
        e = dry_run ? estimate(p) : run_all(s);
    }
    for (size_t i = 0; e == ERR_OK && i < json_array_size(s->cells); i++)
        unsettled += json_is_false(
            json_object_get(json_array_get(s->cells, i), "settled"));
    if (e == ERR_OK && !dry_run && c->json)
        cmd_ui_json(json_pack("{s:I, s:I, s:I, s:s}", "cells",
                              (json_int_t)n_cells(p), "reused",
                              (json_int_t)s->reused, "unsettled",
                              (json_int_t)unsettled, "out", p->out));
    else if (e == ERR_OK && !dry_run)
        printf("%zu cells (%zu were there), %zu not settled: see "
               "%s/report.html\n",
               n_cells(p), s->reused, unsettled, p->out);
    if (p != NULL)
        policy_free(p);
    if (s != NULL)
        json_decref(s->cells);
    free(p);
    free(s);
    if (e != ERR_OK)
        return cmd_ui_exit(e);
    return unsettled > 0 ? CMD_NO : CMD_DONE;
}
