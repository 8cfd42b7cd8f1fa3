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
#include "src/simulate_policy.h"
#include "src/ui.h"

/* --- cells -----------------------------------------------------------------
 */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for a sweep");
}

struct sweep {
    const struct sweep_policy *p;
    /* Digests of each dataset: its rows; what is known of people and items. */
    char data[SWEEP_MOST][2 * KEY_DIGEST_BYTES + 1];
    unsigned char known[SWEEP_MOST][KEY_DIGEST_BYTES];
    unsigned char taste[SWEEP_MOST][KEY_DIGEST_BYTES]; /* of files, or 0 */
    json_t *cells;
    size_t reused;
};

static enum err add_entity(void *arg, const struct sto_entity *e)
{
    key_digest_add(arg, &e->key, sizeof(e->key));
    key_digest_add(arg, e->attributes, strlen(e->attributes) + 1);
    return ERR_OK;
}

static enum err digest_known(struct sto_view *v,
                             unsigned char out[KEY_DIGEST_BYTES])
{
    struct key_digest d;

    key_digest_init(&d);
    ERR_TRY(sto_each_entity(v, STO_USERS, add_entity, &d));
    ERR_TRY(sto_each_entity(v, STO_ITEMS, add_entity, &d));
    key_digest_end(&d, out);
    return ERR_OK;
}

static enum err digest_file(const char *path,
                            unsigned char out[KEY_DIGEST_BYTES])
{
    struct key_digest d;
    char block[4096];
    FILE *f = fopen(path, "rb");
    size_t n;

    if (f == NULL)
        return err_set(ERR_IO, "cannot read %s: %s", path, strerror(errno));
    key_digest_init(&d);
    while ((n = fread(block, 1, sizeof(block), f)) > 0)
        key_digest_add(&d, block, n);
    key_digest_end(&d, out);
    const bool failed = ferror(f) != 0;

    (void)fclose(f);
    return failed ? err_set(ERR_IO, "cannot read %s", path) : ERR_OK;
}

/* What cells depend on and options do not say. */
static enum err digest_inputs(struct sweep *s)
{
    for (size_t k = 0; k < s->p->n_tastes; k++) {
        if (strncmp(s->p->taste[k].what, "file:", 5) == 0)
            ERR_TRY(digest_file(s->p->taste[k].what + 5, s->taste[k]));
    }
    for (size_t k = 0; k < s->p->n_datasets; k++) {
        unsigned char digest[KEY_DIGEST_BYTES];
        struct rec_data d = {0};
        struct sto_view *v;
        struct sto *st;

        ERR_TRY(sto_open(&st, s->p->dataset[k].what, STO_READ));
        enum err e = sto_view_open(&v, st);

        if (e == ERR_OK) {
            e = rec_data_load(&d, v);
            if (e == ERR_OK)
                e = digest_known(v, s->known[k]);
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

/* "itemknn shrink=10": as the file has it. */
static void model_text(const struct sweep_choice *c, char *out, size_t room)
{
    size_t at = (size_t)snprintf(out, room, "%s", c->what);

    for (size_t k = 0; k < c->n && at < room; k++)
        at += (size_t)snprintf(out + at, room - at, " %s=%s", c->key[k],
                               c->value[k]);
}

/* A hash of all that the cell depends on. */
static enum err name_cell(const struct sweep *s, const struct sweep_cell *c,
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
        key_digest_add(&d, s->known[c->dataset], sizeof(s->known[0]));
        key_digest_add(&d, s->taste[c->taste], sizeof(s->taste[0]));
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

static enum err run_cell(struct sweep *s, const struct sweep_cell *c)
{
    const struct sweep_policy *p = s->p;
    char hex[33], path[4400], model[400];
    struct cmd_sim_values v;
    struct rec_model *m = NULL;
    json_t *cell = NULL;
    enum err e = cmd_sweep_values_of(&v, p, c);

    if (e == ERR_OK)
        e = cmd_sweep_model_of(&m, p, c->model);
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
    const struct sweep_policy *p = s->p;
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
    const size_t n = cmd_sweep_cells(s->p);
    char path[4400];

    (void)snprintf(path, sizeof(path), "%.4000s/cells", s->p->out);
    ERR_TRY(make_folder(s->p->out));
    ERR_TRY(make_folder(path));
    ERR_TRY(digest_inputs(s));
    for (size_t i = 0; i < n; i++) {
        const struct sweep_cell c = cmd_sweep_cell_of(s->p, i);

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
static enum err estimate(const struct sweep_policy *p)
{
    double total = 0;

    for (size_t d = 0; d < p->n_datasets; d++) {
        for (size_t k = 0; k < p->n_models; k++) {
            for (size_t a = 0; a < p->n_mechanisms; a++) {
                const struct sweep_cell c = {d, k, a, 0, 0};
                struct cmd_sim_values v;
                struct rec_model *m;
                json_t *cell;

                ERR_TRY(cmd_sweep_values_of(&v, p, &c));
                const double rounds = (double)v.rounds;

                v.rounds = 2;
                enum err e = cmd_sweep_model_of(&m, p, k);
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
           cmd_sweep_cells(p), total);
    return ERR_OK;
}

int cmd_sim_sweep(const struct cmd_common *c, const char *path, bool dry_run)
{
    struct sweep_policy *p = mem_array(1, sizeof(*p));
    struct sweep *s = mem_array(1, sizeof(*s));
    size_t unsettled = 0;
    enum err e =
        p == NULL || s == NULL ? no_memory() : cmd_sweep_policy_read(p, path);

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
                              (json_int_t)cmd_sweep_cells(p), "reused",
                              (json_int_t)s->reused, "unsettled",
                              (json_int_t)unsettled, "out", p->out));
    else if (e == ERR_OK && !dry_run)
        printf("%zu cells (%zu were there), %zu not settled: see "
               "%s/report.html\n",
               cmd_sweep_cells(p), s->reused, unsettled, p->out);
    if (p != NULL)
        cmd_sweep_policy_free(p);
    if (s != NULL)
        json_decref(s->cells);
    free(p);
    free(s);
    if (e != ERR_OK)
        return cmd_ui_exit(e);
    return unsettled > 0 ? CMD_NO : CMD_DONE;
}
