/* unlearn/forget.c - removal, repair, erasure, certificate. */
#include "unlearn/forget.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/key.h"
#include "base/mem.h"
#include "rec/data.h"
#include "store/forget.h"
#include "unlearn/cert.h"
#include "unlearn/correct.h"
#include "unlearn/journal.h"
#include "unlearn/mend.h"
#include "unlearn/removal.h"

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for a forget request");
}

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- one at a time -------------------------------------------------------- */

/* A lock on a file of the store's folder; the kernel gives it back when the
 * process ends, however it ends.  *fd < 0: held by another, and !wait. */
static enum err lock(const char *dir, bool wait, int *fd)
{
    char path[4200];

    (void)snprintf(path, sizeof(path), "%s/forget.lock", dir);
    *fd = open(path, O_RDWR | O_CREAT, 0666);
    if (*fd < 0)
        return err_set(ERR_IO, "cannot open %s: %s", path, strerror(errno));
    while (flock(*fd, LOCK_EX | (wait ? 0 : LOCK_NB)) != 0) {
        if (errno == EINTR)
            continue;
        close(*fd);
        *fd = -1;
        return errno == EWOULDBLOCK ? ERR_OK
                                    : err_set(ERR_IO, "cannot lock %s: %s",
                                              path, strerror(errno));
    }
    return ERR_OK;
}

/* --- 3. erasure ----------------------------------------------------------- */

/* Keys as LMDB and as arrays write them. */
static enum err search(struct sto *st, const json_t *keys, struct sto_scan *out)
{
    const size_t n = json_array_size(keys);
    struct mem_scratch m = {0};
    struct sto_pattern *p = mem_take(&m, 2 * n, 1, sizeof(*p));
    unsigned char(*bytes)[2][8] = mem_take(&m, n, 1, sizeof(*bytes));
    enum err e = m.failed ? no_memory() : ERR_OK;

    for (size_t i = 0; i < n && e == ERR_OK; i++) {
        const uint64_t key =
            strtoull(json_string_value(json_array_get(keys, i)), NULL, 16);

        for (size_t b = 0; b < 8; b++) {
            bytes[i][0][b] = (unsigned char)(key >> (56 - 8 * b));
            bytes[i][1][7 - b] = bytes[i][0][b];
        }
        p[2 * i] = (struct sto_pattern){bytes[i][0], 8};
        p[2 * i + 1] = (struct sto_pattern){bytes[i][1], 8};
    }
    if (e == ERR_OK)
        e = sto_scan_files(st, p, 2 * n, out);
    mem_drop(&m);
    return e;
}

static enum err no_trace(const struct sto_scan *c)
{
    return c->hits == 0
               ? ERR_OK
               : err_set(ERR_FORMAT,
                         "a trace of what was forgotten is still in %s: no "
                         "certificate was made; please report this as a bug "
                         "of recd",
                         c->where);
}

static json_t *erasure_json(const struct sto_scrubbed *s,
                            const struct sto_scan *c, size_t patterns)
{
    return json_pack(
        "{s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "free_pages",
        (json_int_t)s->free_pages, "gaps", (json_int_t)s->gaps, "rewritten",
        s->keys > 0, "tail_bytes", (json_int_t)s->tail_bytes, "old_files",
        (json_int_t)s->files, "searched_files", (json_int_t)c->files,
        "searched_bytes", (json_int_t)c->bytes, "searched_for",
        (json_int_t)patterns, "hits", (json_int_t)c->hits);
}

/* --- 4. certificate ------------------------------------------------------- */

struct ending {
    struct sto_view *v;
    const struct unl_keys *keys;
    json_t *body;
    const char *journal; /* to put instead of clearing, or NULL */
    uint64_t number;
};

static enum err end_work(void *arg, struct sto_txn *t)
{
    struct ending *e = arg;

    ERR_TRY(unl_cert_issue(t, e->v, e->keys, e->body, &e->number));
    return e->journal != NULL ? sto_journal_put(t, e->journal)
                              : sto_journal_clear(t);
}

static json_t *cert_body(const json_t *journal, json_t *models, json_t *erasure,
                         bool pending)
{
    json_t *note = json_object_get(journal, "note");
    json_t *body =
        json_pack("{s:O, s:O, s:O, s:O, s:I, s:O, s:b, s:s}", "requests",
                  json_object_get(journal, "requests"), "removed",
                  json_object_get(journal, "removed"), "models", models,
                  "erasure", erasure, "finished_at", (json_int_t)time(NULL),
                  "requested_at", json_object_get(journal, "requested_at"),
                  "pending", pending, "program", "recd " PACKAGE_VERSION);

    if (note != NULL && body != NULL)
        (void)json_object_set(body, "note", note);
    return body;
}

static enum err certify(struct sto *st, const json_t *journal, json_t *models,
                        json_t *erasure, bool pending, uint64_t *number)
{
    struct unl_keys keys;
    struct ending end = {.keys = &keys};
    json_t *later = NULL;
    char *text = NULL;
    enum err e = unl_keys_open(&keys, sto_dir(st));

    if (e != ERR_OK)
        return e;
    end.body = cert_body(journal, models, erasure, pending);
    if (pending) { /* the keys are erased now: nothing is left to search */
        later = json_deep_copy(journal);
        (void)json_object_set_new(later, "search", json_array());
        (void)json_object_set_new(later, "certified", json_true());
        text = json_dumps(later, JSON_COMPACT);
        end.journal = text;
    }
    if (end.body == NULL || (pending && text == NULL))
        e = no_memory();
    if (e == ERR_OK)
        e = sto_view_open(&end.v, st);
    if (e == ERR_OK) {
        e = sto_write(st, end_work, &end);
        sto_view_close(end.v);
    }
    json_decref(end.body);
    json_decref(later);
    free(text);
    unl_keys_close(&keys);
    *number = end.number;
    return e;
}

/* The journal had the keys too: its bytes go, and the files are searched once
 * more. */
static enum err erase_journal(const char *dir, const json_t *keys)
{
    struct sto_scrubbed scrubbed;
    struct sto_scan scan = {0};
    struct sto *st;

    ERR_TRY(sto_erase(dir, &scrubbed));
    ERR_TRY(sto_open(&st, dir, STO_READ));
    enum err e = search(st, keys, &scan);

    sto_close(st);
    return e == ERR_OK ? no_trace(&scan) : e;
}

/* --- the whole ------------------------------------------------------------ */

static json_t *report_json(const json_t *journal, json_t *models,
                           json_t *interim, uint64_t number, bool pending,
                           double seconds)
{
    json_t *removed = json_object_get(journal, "removed");
    const json_int_t rows =
        json_integer_value(json_object_get(removed, "train")) +
        json_integer_value(json_object_get(removed, "test"));
    json_t *out = json_pack("{s:O, s:I, s:O, s:O, s:b, s:I, s:f}", "users",
                            json_object_get(removed, "users"), "interactions",
                            rows, "items", json_object_get(removed, "items"),
                            "models", models, "erased", true, "certificate",
                            (json_int_t)number, "seconds", seconds);

    unl_journal_keys(journal, out);
    if (pending && out != NULL)
        (void)json_object_set_new(out, "pending", json_true());
    if (json_array_size(interim) > 0 && out != NULL)
        (void)json_object_set(out, "interim", interim);
    return out;
}

/* Step 2; *pending: the models wait, unless one of them cannot serve. */
static enum err mend(const char *dir, json_t *journal, bool *pending,
                     json_t *models)
{
    bool torn = false;
    enum err e;

    if (*pending)
        ERR_TRY(unl_correct_torn(dir, &torn));
    *pending = *pending && !torn;
    do { /* rows were removed while models trained: the rows of now count */
        (void)json_array_clear(models);
        e = unl_restore_models(dir, journal);
        if (e == ERR_OK)
            e = unl_mend_all(dir, *pending ? NULL : journal, models);
    } while (e == ERR_STALE);
    return e;
}

/* Steps 2 to 4.  interim: what was corrected at once, or NULL. */
static enum err go_on(const char *dir, json_t *journal, bool pending,
                      double start, json_t *interim, json_t **report)
{
    const json_t *keys = json_object_get(journal, "search");
    json_t *models = json_array(), *erasure = NULL;
    struct sto_scrubbed scrubbed = {0};
    struct sto_scan scan = {0};
    struct sto *st = NULL;
    uint64_t number = 0;
    enum err e = mend(dir, journal, &pending, models);

    if (e == ERR_OK)
        e = sto_erase(dir, &scrubbed);
    if (e == ERR_OK)
        e = sto_open(&st, dir, STO_WRITE);
    if (e == ERR_OK && !pending)
        e = search(st, keys, &scan);
    if (e == ERR_OK)
        e = no_trace(&scan);
    if (e == ERR_OK) {
        /* what waits for its repair may still hold the keys: no search yet */
        erasure = erasure_json(&scrubbed, &scan,
                               pending ? 0 : 2 * json_array_size(keys));
        unl_journal_keys(journal, erasure);
        e = certify(st, journal, models, erasure, pending, &number);
    }
    sto_close(st);
    if (e == ERR_OK)
        e = erase_journal(dir, pending ? NULL : keys);
    if (e == ERR_OK) {
        *report = report_json(journal, models, interim, number, pending,
                              now() - start);
        e = *report == NULL ? no_memory() : ERR_OK;
    }
    json_decref(models);
    json_decref(erasure);
    return e;
}

static enum err read_journal(const char *dir, json_t **journal)
{
    struct sto_view *v;
    char *text = NULL;
    struct sto *st;

    *journal = NULL;
    ERR_TRY(sto_open(&st, dir, STO_READ));
    enum err e = sto_view_open(&v, st);

    if (e == ERR_OK) {
        e = sto_journal_get(v, &text);
        sto_view_close(v);
    }
    sto_close(st);
    if (e == ERR_OK && text != NULL) {
        *journal = json_loads(text, 0, NULL);
        if (*journal == NULL)
            e = err_set(ERR_FORMAT, "the store's journal is damaged");
    }
    free(text);
    return e;
}

/* With the lock held. */
static enum err finish(const char *dir, bool deferred, json_t **report)
{
    json_t *journal = NULL;
    enum err e = read_journal(dir, &journal);

    if (e != ERR_OK || journal == NULL)
        return e;
    const bool waits = json_is_true(json_object_get(journal, "deferred"));
    const bool certified = json_object_get(journal, "certified") != NULL;

    if (!waits || deferred)
        e = go_on(dir, journal, false, now(), NULL, report);
    else if (!certified)
        e = go_on(dir, journal, true, now(), NULL, report);
    json_decref(journal);
    return e;
}

enum err unl_forget_finish(const char *dir, bool deferred, json_t **report)
{
    json_t *journal = NULL;
    int fd;

    *report = NULL;
    ERR_TRY(read_journal(dir, &journal));
    json_decref(journal);
    if (journal == NULL) /* nothing to be locked out of */
        return ERR_OK;
    ERR_TRY(lock(dir, deferred, &fd));
    if (fd < 0)
        return ERR_OK; /* another process is at it */
    const enum err e = finish(dir, deferred, report);

    close(fd);
    return e;
}

/* --- what would be done --------------------------------------------------- */

static enum err dry_run(struct sto_view *v, const struct unl_removal *m,
                        json_t **report)
{
    struct rec_data d = {0}, left = {0};
    json_t *models = json_array();
    uint64_t rows = 0;
    enum err e = rec_data_load(&d, v);
    uint8_t *keep = e == ERR_OK ? mem_array(d.n_rows, 1) : NULL;

    if (e == ERR_OK && keep == NULL)
        e = no_memory();
    for (size_t u = 0; u < d.n_users && e == ERR_OK; u++) {
        for (size_t r = d.user_ptr[u]; r < d.user_ptr[u + 1]; r++) {
            keep[r] =
                !unl_removal_asks(m, d.user_key[u], d.item_key[d.item[r]]);
            rows += !keep[r];
        }
    }
    if (e == ERR_OK && rows > 0)
        e = rec_data_subset(&left, &d, keep);
    if (e == ERR_OK && rows > 0)
        e = unl_mend_plan(v, &left, models);
    if (e == ERR_OK)
        *report = json_pack("{s:b, s:I, s:O}", "dry_run", true, "interactions",
                            (json_int_t)rows, "models", models);
    json_decref(models);
    free(keep);
    rec_data_free(&d);
    rec_data_free(&left);
    return e;
}

/* Before the removal: what will be corrected, and by which rows. */
static enum err prepare(struct unl_removal *m, struct sto_view *v)
{
    ERR_TRY(unl_correct_open(&m->correct, v));
    for (size_t i = 0; m->correct != NULL && i < m->n; i++) {
        const enum unl_what w = m->r[i].what;

        unl_correct_drop(m->correct, w != UNL_ITEM ? &m->key[i][0] : NULL,
                         w != UNL_USER ? &m->key[i][1] : NULL);
    }
    return ERR_OK;
}

/* After it: they serve corrected from here on. */
static enum err correct(struct unl_removal *m, struct sto *st, bool defer)
{
    struct sto_view *v;

    if (m->correct == NULL)
        return ERR_OK;
    m->interim = json_array();
    if (m->interim == NULL)
        return no_memory();
    ERR_TRY(sto_view_open(&v, st));
    const enum err e = unl_correct_apply(m->correct, v, defer, m->interim);

    sto_view_close(v);
    unl_correct_free(m->correct);
    m->correct = NULL;
    return e;
}

/* With the lock held and no journal. */
static enum err start(const char *dir, struct unl_removal *m, bool dry,
                      bool defer, json_t **report)
{
    const double began = now();
    struct unl_keys keys;
    struct sto_view *v;
    struct sto *st;

    ERR_TRY(unl_keys_open(&keys, dir));
    enum err e = sto_open(&st, dir, STO_WRITE);

    if (e != ERR_OK)
        return e;
    e = sto_view_open(&v, st);
    if (e == ERR_OK) {
        e = unl_keys_match(&keys, v);
        if (e == ERR_OK)
            e = unl_removal_find(m, v);
        if (e == ERR_OK && dry)
            e = dry_run(v, m, report);
        else if (e == ERR_OK)
            m->journal = unl_removal_journal(m, v, &keys, defer);
        if (e == ERR_OK && !dry)
            e = prepare(m, v);
        sto_view_close(v);
    }
    unl_keys_close(&keys);
    if (e == ERR_OK && !dry)
        e = unl_removal_commit(m, st);
    if (e == ERR_OK && !dry)
        e = correct(m, st, defer);
    sto_close(st);
    return e == ERR_OK && !dry
               ? go_on(dir, m->journal, defer, began, m->interim, report)
               : e;
}

enum err unl_forget(const char *dir, const struct unl_request *r, size_t n,
                    bool dry, bool defer, json_t **report)
{
    struct unl_removal m = {
        .r = r, .n = n, .key = mem_array(n, sizeof(*m.key))};
    struct sto *st;
    int fd = -1;
    enum err e = m.key == NULL ? no_memory() : ERR_OK;

    *report = NULL;
    if (e == ERR_OK) /* says so when there is no store */
        e = sto_open(&st, dir, STO_READ);
    if (e == ERR_OK) {
        sto_close(st);
        e = lock(dir, true, &fd);
    }
    if (e == ERR_OK) /* what a kill, or --defer, left behind */
        e = finish(dir, true, report);
    json_decref(*report);
    *report = NULL;
    if (e == ERR_OK)
        e = start(dir, &m, dry, defer, report);
    if (fd >= 0)
        close(fd);
    unl_correct_free(m.correct);
    json_decref(m.interim);
    json_decref(m.journal);
    free(m.key);
    return e;
}
