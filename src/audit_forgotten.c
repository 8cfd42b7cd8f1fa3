/*
 * src/audit_forgotten.c - is a forgotten person as invisible as one who was
 * never there?
 *
 * With --certificate and --histories: of the store as it is; the requester's
 * rows come from their own copy, since the store has none.  Else a rehearsal:
 * some people of the store are forgotten from a copy of it, by the same code
 * that `recd forget` runs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attack/forgotten.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "src/audit.h"
#include "src/ui.h"
#include "store/forget.h"
#include "store/import.h"
#include "store/wipe.h"
#include "unlearn/cert.h"
#include "unlearn/forget.h"
#include "unlearn/shards.h"

#define REFS_MOST 64
#define LEFT_OUT 0.1 /* of the people, differently for each reference */

/* What both ways of asking gather. */
struct work {
    const struct cmd_common *c;
    const struct cmd_audit_forgotten *how;
    struct cmd_audited a;
    const char *dir; /* of the store whose secret shares people out */
    struct atk_traces forgotten, controls;
    struct rec_model *model[ATK_KINDS], *never, *ref[REFS_MOST];
    size_t n_refs;
    struct atk_forgotten found;
};

static void work_free(struct work *w)
{
    cmd_audit_free(&w->a);
    atk_traces_free(&w->forgotten);
    atk_traces_free(&w->controls);
    for (int k = 0; k < ATK_KINDS; k++)
        rec_model_free(w->model[k]);
    rec_model_free(w->never);
    for (size_t r = 0; r < w->n_refs; r++)
        rec_model_free(w->ref[r]);
}

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for an audit");
}

static enum err train(const struct work *w, const struct rec_data *d,
                      uint64_t seed, struct rec_model **out)
{
    log_quiet_thread(true);
    const enum err e = unl_train_like(out, &w->a.info, w->dir, d, seed);

    log_quiet_thread(false);
    return e;
}

static enum err judge(struct work *w)
{
    const struct atk_forgotten_in in = {
        .model = {w->model[0], w->model[1], w->model[2]},
        .never = w->never,
        .ref = (const struct rec_model *const *)w->ref,
        .n_refs = w->n_refs,
        .forgotten = &w->forgotten,
        .controls = &w->controls,
        .seed = (uint64_t)w->c->seed,
    };

    return atk_forgotten_judge(&w->found, &in);
}

/* --- people ----------------------------------------------------------------
 */

/* pick[u] = 1 for n people with the smallest draws among those whose skip is
 * 0 (NULL: all). */
struct drawn {
    uint64_t draw;
    uint32_t user;
};

static int by_draw(const void *a, const void *b)
{
    const struct drawn *x = a, *y = b;

    return (x->draw > y->draw) - (x->draw < y->draw);
}

static enum err draw_people(const struct rec_data *d, uint64_t seed,
                            uint64_t name, size_t n, const uint8_t *skip,
                            uint8_t *pick)
{
    const uint64_t stream = rng_derive(seed, RNG_AUDIT, name);
    struct drawn *x = mem_array(d->n_users, sizeof(*x));
    size_t m = 0;

    if (x == NULL)
        return no_memory();
    for (size_t u = 0; u < d->n_users; u++) {
        if (skip == NULL || !skip[u])
            x[m++] = (struct drawn){
                rng_derive(stream, RNG_AUDIT, d->user_key[u]), (uint32_t)u};
    }
    qsort(x, m, sizeof(*x), by_draw);
    memset(pick, 0, d->n_users);
    for (size_t i = 0; i < n && i < m; i++)
        pick[x[i].user] = 1;
    free(x);
    return ERR_OK;
}

/* d without the people of drop: whole people, and items that nobody has and the
 * catalogue says nothing about. */
static enum err without(struct rec_data *out, const struct rec_data *d,
                        const uint8_t *drop)
{
    uint8_t *keep = mem_array(d->n_rows, 1);
    enum err e = keep == NULL ? no_memory() : ERR_OK;

    for (size_t u = 0; u < d->n_users && e == ERR_OK; u++)
        memset(keep + d->user_ptr[u], !drop[u],
               d->user_ptr[u + 1] - d->user_ptr[u]);
    if (e == ERR_OK)
        e = rec_data_compact_listed(out, d, keep);
    free(keep);
    return e;
}

/* References: other seeds, and each lacks another tenth of the people. */
static enum err train_references(struct work *w, const struct rec_data *d)
{
    uint8_t *drop = mem_array(d->n_users, 1);
    enum err e = drop == NULL ? no_memory() : ERR_OK;
    const size_t n = (size_t)w->how->references;

    for (size_t r = 0; r < n && e == ERR_OK; r++) {
        struct rec_data some = {0};

        log_tick("training references", r, n, NULL);
        e = draw_people(d, (uint64_t)w->c->seed, 100 + r,
                        (size_t)(LEFT_OUT * (double)d->n_users), NULL, drop);
        if (e == ERR_OK)
            e = without(&some, d, drop);
        if (e == ERR_OK)
            e = train(w, &some, w->a.info.seed + 1 + r, &w->ref[w->n_refs]);
        w->n_refs += e == ERR_OK;
        rec_data_free(&some);
    }
    log_tick("training references", n, n, NULL);
    free(drop);
    return e;
}

/* --- the store as it is -----------------------------------------------------
 */

static bool is_named(const json_t *requests, const char *pseudonym)
{
    for (size_t i = 0; i < json_array_size(requests); i++) {
        const char *person = json_string_value(
            json_object_get(json_array_get(requests, i), "person"));

        if (person != NULL && strcmp(person, pseudonym) == 0)
            return true;
    }
    return false;
}

/* Whether the people of the file are those of the certificate. */
static enum err check_names(const struct work *w, struct sto_view *v, char **id)
{
    const json_int_t number = w->how->certificate;
    char pseudonym[UNL_PSEUDONYM_HEX];
    struct unl_keys keys;
    char *text = NULL;

    ERR_TRY(sto_cert_get(v, (uint64_t)number, &text));
    json_t *cert = json_loads(text, 0, NULL);
    enum err e = unl_keys_open(&keys, w->dir);

    free(text);
    for (size_t u = 0; u < w->forgotten.n && e == ERR_OK; u++) {
        unl_keys_pseudonym(&keys, "user", id[u], pseudonym);
        if (!is_named(json_object_get(cert, "requests"), pseudonym))
            e = err_set(ERR_ARG,
                        "%s: \"%s\" is not among the people of certificate "
                        "%lld",
                        w->how->histories, id[u], (long long)number);
    }
    unl_keys_close(&keys);
    json_decref(cert);
    return e;
}

static enum err read_forgotten(struct work *w)
{
    struct cmd_opened o = {0};
    char **id = NULL;
    enum err e = atk_traces_read(&w->forgotten, &id, w->how->histories);

    if (e == ERR_OK)
        e = cmd_ui_open(&o, w->c);
    if (e == ERR_OK)
        e = check_names(w, o.v, id);
    cmd_ui_close(&o);
    for (size_t u = 0; id != NULL && u < w->forgotten.n; u++)
        free(id[u]);
    free(id);
    return e;
}

static enum err open_at(struct rec_model **out, const char *dir,
                        const char *name)
{
    struct sto_view *v;
    struct sto *st;

    ERR_TRY(sto_open(&st, dir, STO_READ));
    enum err e = sto_view_open(&v, st);

    if (e == ERR_OK) {
        e = unl_open(out, v, name, NULL);
        sto_view_close(v);
    }
    sto_close(st);
    return e;
}

/* The stored model, opened last: nothing is held while the others train. */
static enum err open_repaired(struct work *w)
{
    unsigned char now[KEY_DIGEST_BYTES];

    ERR_TRY(open_at(&w->model[ATK_REPAIRED], w->dir, w->a.info.name));
    rec_model_digest(w->model[ATK_REPAIRED], now);
    return memcmp(now, w->a.digest, sizeof(now)) == 0
               ? ERR_OK
               : err_set(ERR_STALE,
                         "the model \"%s\" was changed while it was audited: "
                         "audit it again",
                         w->a.info.name);
}

static enum err of_store(struct work *w)
{
    const struct rec_data *rows = &w->a.rows;
    struct rec_data before = {0}, fewer = {0};
    uint8_t *drop = mem_array(rows->n_users, 1);
    enum err e = drop == NULL ? no_memory() : read_forgotten(w);

    if (e == ERR_OK)
        e = atk_traces_join(&before, rows, &w->forgotten);
    if (e == ERR_OK)
        e = train(w, &before, w->a.info.seed, &w->model[ATK_ORIGINAL]);
    if (e == ERR_OK)
        e = train(w, rows, w->a.info.seed, &w->model[ATK_RETRAINED]);
    if (e == ERR_OK) /* controls: as many, and never fewer than a hundred */
        e = draw_people(rows, (uint64_t)w->c->seed, 1,
                        w->forgotten.n > 100 ? w->forgotten.n : 100, NULL,
                        drop);
    if (e == ERR_OK)
        e = atk_traces_of(&w->controls, rows, drop);
    if (e == ERR_OK)
        e = without(&fewer, rows, drop);
    if (e == ERR_OK)
        e = train(w, &fewer, w->a.info.seed, &w->never);
    if (e == ERR_OK)
        e = train_references(w, &fewer);
    if (e == ERR_OK)
        e = open_repaired(w);
    if (e == ERR_OK)
        e = judge(w);
    free(drop);
    rec_data_free(&before);
    rec_data_free(&fewer);
    return e;
}

/* --- a rehearsal -------------------------------------------------------------
 */

/* What the catalogue says of items. */
static enum err list_items(struct sto_import *im, const struct cmd_audited *a)
{
    for (size_t i = 0; i < a->rows.n_items; i++) {
        if (a->about[i][0] != '\0')
            ERR_TRY(sto_import_entity(
                im, STO_ITEMS, a->name[a->rows.n_users + i], a->about[i]));
    }
    return ERR_OK;
}

/* Rows into a store at dir, with the catalogue: of everybody but the controls,
 * or of those of them who are public. */
static enum err copy_some(const char *dir, const struct cmd_audited *a,
                          const uint8_t *control, bool open)
{
    const struct sto_import_opts opts = {
        .format = STO_AUTO, .open = open, .encrypt = a->encrypted};
    const struct rec_data *d = &a->rows;
    struct sto_row *row = mem_array(d->n_rows, sizeof(*row));
    struct sto_import *im = NULL;
    struct sto_import_stats stats;
    struct sto *st = NULL;
    size_t n = 0;
    enum err e = row == NULL ? no_memory() : sto_import_new(&im, &opts);

    for (size_t u = 0; u < d->n_users && e == ERR_OK; u++) {
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
            if (control[u] || (open && !d->open[u]))
                continue;
            row[n++] = (struct sto_row){
                .user = a->name[u],
                .item = a->name[d->n_users + d->item[r]],
                .value = d->value != NULL ? d->value[r] : 1,
                .time = d->time != NULL ? d->time[r] : INT64_MIN};
        }
    }
    if (e == ERR_OK)
        e = list_items(im, a);
    if (e == ERR_OK)
        e = sto_import_rows(im, row, n);
    if (e == ERR_OK)
        e = sto_open(&st, dir, STO_WRITE);
    if (e == ERR_OK)
        e = sto_import_commit(im, st, &stats);
    sto_close(st);
    sto_import_free(im);
    free(row);
    return e;
}

static enum err copy_rows(const char *dir, const struct cmd_audited *a,
                          const uint8_t *control)
{
    ERR_TRY(copy_some(dir, a, control, false));
    return a->rows.open != NULL ? copy_some(dir, a, control, true) : ERR_OK;
}

static enum err forget_there(const char *dir, const struct rec_data *d,
                             char *const *name, const uint8_t *pick)
{
    struct unl_request *r = mem_array(d->n_users, sizeof(*r));
    json_t *report = NULL;
    size_t n = 0;

    if (r == NULL)
        return no_memory();
    for (size_t u = 0; u < d->n_users; u++) {
        if (pick[u])
            r[n++] = (struct unl_request){.what = UNL_USER, .user = name[u]};
    }
    const enum err e = unl_forget(dir, r, n, false, false, &report);

    json_decref(report);
    free(r);
    return e;
}

static enum err rehearse_in(struct work *w, const uint8_t *control,
                            const uint8_t *pick)
{
    const struct rec_data *d = &w->a.rows;
    struct rec_data before = {0}, left = {0};
    uint8_t *both = mem_array(d->n_users, 1);
    enum err e = both == NULL ? no_memory() : ERR_OK;

    if (e == ERR_OK)
        e = without(&before, d, control);
    if (e == ERR_OK)
        e = copy_rows(w->dir, &w->a, control);
    if (e == ERR_OK)
        e = unl_train_into(w->dir, &w->a.info);
    if (e == ERR_OK)
        e = train(w, &before, w->a.info.seed, &w->model[ATK_ORIGINAL]);
    if (e == ERR_OK)
        e = forget_there(w->dir, d, w->a.name, pick);
    if (e == ERR_OK)
        e = open_at(&w->model[ATK_REPAIRED], w->dir, w->a.info.name);
    for (size_t u = 0; u < d->n_users && e == ERR_OK; u++)
        both[u] = control[u] || pick[u];
    if (e == ERR_OK)
        e = without(&left, d, both);
    if (e == ERR_OK)
        e = train(w, &left, w->a.info.seed, &w->model[ATK_RETRAINED]);
    if (e == ERR_OK)
        e = train_references(w, &left);
    free(both);
    rec_data_free(&before);
    rec_data_free(&left);
    return e;
}

static enum err draw_both(struct work *w, uint8_t *control, uint8_t *pick)
{
    const struct rec_data *d = &w->a.rows;
    const size_t n = (size_t)w->how->people;
    const uint64_t seed = (uint64_t)w->c->seed;

    if (d->n_users < 4 * n)
        return err_set(ERR_ARG,
                       "a rehearsal with %zu people and as many controls needs "
                       "a store of %zu (--people takes fewer)",
                       n, 4 * n);
    ERR_TRY(draw_people(d, seed, 1, n, NULL, control));
    ERR_TRY(draw_people(d, seed, 2, n, control, pick));
    ERR_TRY(atk_traces_of(&w->controls, d, control));
    return atk_traces_of(&w->forgotten, d, pick);
}

static enum err rehearse(struct work *w)
{
    const char *tmp = getenv("TMPDIR");
    const size_t n_users = w->a.rows.n_users;
    struct mem_scratch m = {0};
    uint8_t *control = mem_take(&m, n_users, 1, 1);
    uint8_t *pick = mem_take(&m, n_users, 1, 1);
    char dir[4096];
    enum err e = m.failed ? no_memory() : draw_both(w, control, pick);

    (void)snprintf(dir, sizeof(dir), "%.4000s/recd-rehearsal-XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    if (e == ERR_OK && mkdtemp(dir) == NULL)
        e = err_set(ERR_IO, "cannot make a folder for the rehearsal (%s): %s",
                    dir, strerror(errno));
    else if (e == ERR_OK) {
        w->dir = dir;
        e = rehearse_in(w, control, pick);
        if (e == ERR_OK)
            e = judge(w);
        rec_model_free(w->model[ATK_REPAIRED]); /* its file is wiped now */
        w->model[ATK_REPAIRED] = NULL;
        sto_wipe_folder(dir);
        w->dir = cmd_ui_store_dir(w->c);
    }
    mem_drop(&m);
    return e;
}

/* --- the whole ---------------------------------------------------------------
 */

static void say(const struct atk_forgotten *f)
{
    static const char *const kind[ATK_KINDS] = {
        "the original, trained with them", "the repaired model",
        "one retrained without them"};

    printf("%zu forgotten people against %zu who were never there, %zu "
           "references\n",
           f->n_forgotten, f->n_controls, f->n_refs);
    for (int k = 0; k < ATK_KINDS; k++)
        printf("  %-32s area %.4f (%.4f to %.4f), %.0f %% of them seem "
               "present\n",
               kind[k], f->area[k].value, f->area[k].lo, f->area[k].hi,
               100 * f->share[k]);
    printf("  repaired minus retrained         %+.4f (%+.4f to %+.4f)%s\n",
           f->left.value, f->left.lo, f->left.hi,
           f->same_bits ? ": the two are equal, bit by bit" : "");
    printf("verdict: %s\n", atk_verdict_name(f->verdict));
}

int cmd_audit_forgotten(const struct cmd_common *c,
                        const struct cmd_audit_forgotten *how)
{
    struct work w = {.c = c, .how = how, .dir = cmd_ui_store_dir(c)};
    enum err e = ERR_OK;

    if ((how->certificate > 0) != (how->histories != NULL))
        e = err_set(ERR_ARG, "--certificate N goes with --histories FILE: the "
                             "rows of the forgotten people, from their own "
                             "copy (without both, a rehearsal)");
    else if (how->references > REFS_MOST)
        e = err_set(ERR_ARG,
                    "--references %lld: `recd audit forgotten` keeps them all "
                    "in memory, %d at most",
                    (long long)how->references, REFS_MOST);
    if (e == ERR_OK)
        e = cmd_audit_load(&w.a, c, how->name);
    if (e == ERR_OK)
        e = how->histories != NULL ? of_store(&w) : rehearse(&w);
    work_free(&w);
    if (e != ERR_OK)
        return cmd_ui_exit(e);
    if (c->json)
        cmd_ui_json(atk_forgotten_json(&w.found));
    else
        say(&w.found);
    return w.found.verdict == ATK_FORGOTTEN ? CMD_DONE : CMD_NO;
}
