/* unlearn/correct.c - models are corrected for rows that left. */
#include "unlearn/correct.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "rec/data.h"
#include "rec/model.h"

struct one {
    char name[STO_NAME_BYTES];
    struct rec_model *m; /* its file locked */
};

struct unl_correct {
    struct rec_data d;
    unsigned char rows[KEY_DIGEST_BYTES]; /* of d */
    uint8_t *keep;                        /* [d.n_rows] */
    uint8_t *gone;                        /* [d.n_items] */
    struct one *one;
    size_t n, room;
};

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory to correct models");
}

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- which models -----------------------------------------------------------
 */

static bool is_able(const struct sto_model *m)
{
    const struct rec_model_ops *ops;

    return m->shards == 1 && m->state == STO_WHOLE &&
           rec_model_find(m->model, &ops) == ERR_OK && ops->correct != NULL;
}

static enum err add_able(void *arg, const struct sto_model *m)
{
    struct unl_correct *c = arg;

    if (!is_able(m))
        return ERR_OK;
    ERR_TRY(mem_grow(&c->one, &c->room, c->n + 1, sizeof(*c->one)));
    c->one[c->n] = (struct one){.m = NULL};
    memcpy(c->one[c->n++].name, m->name, sizeof(m->name));
    return ERR_OK;
}

static enum err read_rows(struct unl_correct *c, struct sto_view *v)
{
    ERR_TRY(rec_data_load(&c->d, v));
    rec_data_digest(&c->d, c->rows);
    c->keep = mem_array(c->d.n_rows, 1);
    c->gone = mem_array(c->d.n_items, 1);
    if (c->keep == NULL || c->gone == NULL)
        return no_memory();
    memset(c->keep, 1, c->d.n_rows);
    return ERR_OK;
}

/* Open and lock those that learnt from just these rows; the others drop out. */
static enum err lock_models(struct unl_correct *c, struct sto_view *v)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n; i++) {
        struct sto_model info = {0};
        struct one *to = &c->one[n];

        if (to != &c->one[i])
            *to = c->one[i];
        ERR_TRY(sto_model_get(v, to->name, &info));
        const bool same = memcmp(info.rows, c->rows, sizeof(c->rows)) == 0;

        sto_model_free(&info);
        if (!same)
            continue;
        if (rec_model_open_edit(&to->m, v, to->name) == ERR_OK)
            n++;
        else
            log_info("%s is not corrected at once: %s", to->name, err_note());
    }
    c->n = n;
    return ERR_OK;
}

enum err unl_correct_open(struct unl_correct **out, struct sto_view *v)
{
    struct unl_correct *c = mem_array(1, sizeof(*c));
    enum err e = c == NULL ? no_memory() : sto_each_model(v, add_able, c);

    if (e == ERR_OK && c->n > 0)
        e = read_rows(c, v);
    if (e == ERR_OK && c->n > 0)
        e = lock_models(c, v);
    *out = NULL;
    if (e != ERR_OK || c->n == 0)
        unl_correct_free(c);
    else
        *out = c;
    return e;
}

void unl_correct_free(struct unl_correct *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n; i++)
        rec_model_free(c->one[i].m);
    free(c->one);
    free(c->keep);
    free(c->gone);
    rec_data_free(&c->d);
    free(c);
}

/* --- which rows -------------------------------------------------------------
 */

static void drop_where(struct unl_correct *c, size_t first, size_t end,
                       const uint32_t *item)
{
    for (size_t r = first; r < end; r++) {
        if (item == NULL || c->d.item[r] == *item)
            c->keep[r] = 0;
    }
}

void unl_correct_drop(struct unl_correct *c, const uint64_t *user,
                      const uint64_t *item)
{
    const struct rec_data *d = &c->d;
    uint32_t u = 0, i = 0;

    if (user != NULL)
        u = rec_key_find(d->user_key, d->n_users, *user);
    if (item != NULL)
        i = rec_key_find(d->item_key, d->n_items, *item);
    if (u == REC_NOBODY || i == REC_NOBODY)
        return; /* of the test rows */
    drop_where(c, user != NULL ? d->user_ptr[u] : 0,
               user != NULL ? d->user_ptr[u + 1] : d->n_rows,
               item != NULL ? &i : NULL);
}

/* Items without a row leave, unless a catalogue lists them; how many rows are
 * left. */
static enum err find_gone(struct unl_correct *c, struct sto_view *v,
                          size_t *left)
{
    const struct rec_data *d = &c->d;

    *left = 0;
    memset(c->gone, 1, d->n_items);
    for (size_t r = 0; r < d->n_rows; r++) {
        if (c->keep[r]) {
            c->gone[d->item[r]] = 0;
            ++*left;
        }
    }
    for (size_t i = 0; i < d->n_items; i++) {
        struct sto_entity e;

        if (!c->gone[i])
            continue;
        const enum err x = sto_get_entity(v, STO_ITEMS, d->item_key[i], &e);

        if (x == ERR_OK && e.listed)
            c->gone[i] = 0;
        else if (x != ERR_OK && x != ERR_NOTFOUND)
            return x;
    }
    return ERR_OK;
}

/* --- the correction ---------------------------------------------------------
 */

static enum err correct_one(struct unl_correct *c, struct one *one, bool waits,
                            double start, json_t *done)
{
    enum err e = rec_model_correct(one->m, &c->d, c->keep, c->gone);
    const double seconds = now() - start; /* it serves */

    if (e != ERR_OK)
        log_info("%s is not corrected at once: %s", one->name, err_note());
    else if (json_array_append_new(done,
                                   json_pack("{s:s, s:f}", "name", one->name,
                                             "seconds", seconds)) != 0)
        return no_memory();
    e = e == ERR_OK && waits ? sto_weights_sync(&one->m->saved) : ERR_OK;
    rec_model_free(one->m);
    one->m = NULL;
    return e;
}

enum err unl_correct_apply(struct unl_correct *c, struct sto_view *v,
                           bool waits, json_t *done)
{
    const double start = now();
    size_t left;

    ERR_TRY(find_gone(c, v, &left));
    if (left == c->d.n_rows || left == 0)
        return ERR_OK; /* no row of theirs, or no model of the rows */
    for (size_t i = 0; i < c->n; i++)
        ERR_TRY(correct_one(c, &c->one[i], waits, start, done));
    return ERR_OK;
}

/* --- afterwards -------------------------------------------------------------
 */

static enum err see_torn(void *arg, const struct sto_model *m)
{
    bool *torn = arg;

    *torn = *torn || m->state == STO_TORN;
    return ERR_OK;
}

enum err unl_correct_torn(const char *dir, bool *torn)
{
    struct sto_view *v;
    struct sto *st;

    *torn = false;
    ERR_TRY(sto_open(&st, dir, STO_READ));
    enum err e = sto_view_open(&v, st);

    if (e == ERR_OK) {
        e = sto_each_model(v, see_torn, torn);
        sto_view_close(v);
    }
    sto_close(st);
    return e;
}
