/* unlearn/slices.c - stages of a shard: training, packing, opening. */
#include "unlearn/slices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/device.h"
#include "base/mem.h"
#include "base/rng.h"

static const unsigned char none[KEY_DIGEST_BYTES];

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for the slices of a shard");
}

void unl_slices_free(struct unl_slices *s)
{
    if (s == NULL)
        return;
    for (size_t k = 0; s->state != NULL && k + 1 < s->n; k++)
        rec_state_free(&s->state[k]);
    free(s->state);
    free(s->rows);
    *s = (struct unl_slices){.n = 0};
}

static enum err take(struct unl_slices *s, size_t n)
{
    *s = (struct unl_slices){.n = n,
                             .rows = mem_array(n, sizeof(*s->rows)),
                             .state = mem_array(n - 1, sizeof(*s->state)),
                             .began = n + 1};
    if (s->rows != NULL && s->state != NULL)
        return ERR_OK;
    unl_slices_free(s);
    return no_memory();
}

/* --- training ---------------------------------------------------------------
 */

/* Of the model's option "epochs", 2 E / (R + 1) for each of k stages. */
static uint64_t epochs_until(const struct rec_model *m, size_t k, size_t n)
{
    uint64_t epochs = 1;

    for (const struct opt *o = m->ops->opts; o->name != NULL; o++) {
        if (strcmp(o->name, "epochs") == 0)
            epochs = (uint64_t) *
                     (const int64_t *)((const char *)m->opts + o->offset);
    }
    return 2 * epochs * k / (n + 1);
}

struct run {
    struct unl_slices *out;
    struct rec_model *m; /* or NULL: ask only */
    const struct rec_data *rows;
    const struct unl_slices *before;
    uint8_t *slice; /* [rows->n_users] */
    uint8_t *keep;  /* [rows->n_rows] */
    bool same;      /* no stage until now has other rows than before */
};

static enum err train_stage(struct run *r, size_t k, const struct rec_data *d)
{
    struct unl_slices *out = r->out;
    const struct rec_state *last =
        k > 1 && out->state[k - 2].array != NULL ? &out->state[k - 2] : NULL;
    struct rec_stage stage = {
        .first = epochs_until(r->m, k - 1, out->n),
        .all = epochs_until(r->m, out->n, out->n),
        .before = last,
        .after = k < out->n ? &out->state[k - 1] : NULL,
    };

    stage.epochs = epochs_until(r->m, k, out->n) - stage.first;
    r->m->stage = &stage;
    const enum err e = rec_model_fit(r->m, d, NULL);

    r->m->stage = NULL;
    return e;
}

/* The same state, whose arrays stay those of before. */
static enum err keep_state(struct rec_state *to, const struct rec_state *from)
{
    struct sto_array *array = mem_array(from->n, sizeof(*array));

    if (array == NULL)
        return no_memory();
    if (from->n > 0)
        memcpy(array, from->array, from->n * sizeof(*array));
    *to = (struct rec_state){.array = array, .n = from->n};
    return ERR_OK;
}

/* Whether stage k had these rows, and what it ended with is there. */
static bool was_same(const struct run *r, size_t k)
{
    const struct unl_slices *b = r->before;
    const size_t n = r->out->n;

    if (b == NULL || b->n != n ||
        memcmp(b->rows[k - 1], r->out->rows[k - 1], KEY_DIGEST_BYTES) != 0)
        return false;
    return k == n || b->state[k - 1].array != NULL ||
           memcmp(b->rows[k - 1], none, KEY_DIGEST_BYTES) == 0;
}

static enum err stage(struct run *r, size_t k)
{
    struct rec_data d = {0};
    struct unl_slices *out = r->out;
    enum err e = ERR_OK;

    for (size_t u = 0; u < r->rows->n_users; u++) {
        for (size_t at = r->rows->user_ptr[u]; at < r->rows->user_ptr[u + 1];
             at++)
            r->keep[at] = r->slice[u] < k;
    }
    ERR_TRY(rec_data_compact(&d, r->rows, r->keep));
    if (d.n_rows > 0)
        rec_data_digest(&d, out->rows[k - 1]);
    r->same = r->same && was_same(r, k);
    if (r->same && k < out->n && r->before->state[k - 1].array != NULL)
        e = keep_state(&out->state[k - 1], &r->before->state[k - 1]);
    if (!r->same) {
        out->began = k < out->began ? k : out->began;
        if (d.n_rows > 0 && r->m != NULL)
            e = train_stage(r, k, &d);
    }
    rec_data_free(&d);
    return e;
}

enum err unl_slices_train(struct unl_slices *out, struct rec_model *m,
                          const struct rec_data *rows, size_t n, uint64_t seed,
                          const struct unl_slices *before)
{
    struct run r = {.m = m, .rows = rows, .before = before, .same = true};
    enum err e = take(out, n);

    if (e != ERR_OK)
        return e;
    r.out = out;
    r.slice = mem_array(rows->n_users, 1);
    r.keep = mem_array(rows->n_rows, 1);
    if (r.slice == NULL || r.keep == NULL)
        e = no_memory();
    for (size_t u = 0; u < rows->n_users && e == ERR_OK; u++)
        r.slice[u] = (uint8_t)rng_scale(
            rng_derive(seed, RNG_SLICE, rows->user_key[u]), n);
    for (size_t k = 1; k <= n && e == ERR_OK; k++)
        e = stage(&r, k);
    free(r.slice);
    free(r.keep);
    return e;
}

/* --- arrays -----------------------------------------------------------------
 */

enum err unl_slices_check(const struct unl_plan *plan,
                          const struct rec_model_ops *ops)
{
    if (plan->slices == 1)
        return ERR_OK;
    if (plan->shards == 1)
        return err_set(ERR_ARG,
                       "--slices cuts shards: say how many with --shards");
    if (!ops->stages)
        return err_set(
            ERR_ARG,
            "--slices needs a model that goes on where it ended, and "
            "%s %s: take bpr, ials, lfm, lightgcn or wmf",
            ops->name, ops->iterates ? "cannot" : "is made in one piece");
    if (plan->train.validate > 0)
        return err_set(ERR_ARG, "--slices have their epochs fixed: leave "
                                "--validate out");
    if (device_cuda() != NULL)
        return err_set(ERR_ARG, "--slices are made on the CPU alone: leave "
                                "--device out");
    if (plan->shards * plan->slices > UNL_SLICES_MOST)
        return err_set(ERR_ARG, "--shards times --slices is at most %d",
                       UNL_SLICES_MOST);
    return ERR_OK;
}

size_t unl_slices_count(const struct unl_slices *s)
{
    size_t n = 0;

    for (size_t k = 0; k + 1 < s->n; k++)
        n += s->state[k].n;
    return n;
}

size_t unl_slices_specs(const struct unl_slices *s, size_t shard,
                        struct rec_array_spec *spec, char (*name)[48])
{
    size_t n = 0;

    for (size_t k = 0; k + 1 < s->n; k++) {
        for (size_t i = 0; i < s->state[k].n; i++, n++) {
            const struct sto_array *a = &s->state[k].array[i];

            (void)snprintf(name[n], sizeof(name[n]), "c%03zu.%02zu.%.15s",
                           shard % 1000, (k + 1) % 100, a->name);
            spec[n] = (struct rec_array_spec){name[n], a->type, (size_t)a->rows,
                                              (size_t)a->cols};
        }
    }
    return n;
}

struct sto_array *unl_slices_fill(const struct unl_slices *s,
                                  struct sto_array *to)
{
    for (size_t k = 0; k + 1 < s->n; k++) {
        for (size_t i = 0; i < s->state[k].n; i++, to++)
            memcpy(to->data, s->state[k].array[i].data,
                   (size_t)(to->rows * to->cols) * sto_type_bytes(to->type));
    }
    return to;
}

static enum err open_state(struct rec_state *to, const struct rec_model *m,
                           const char *prefix)
{
    const size_t len = strlen(prefix);
    struct rec_state s = {.n = 0};

    for (size_t i = 0; i < m->n_arrays; i++)
        s.n += strncmp(m->array[i].name, prefix, len) == 0;
    if (s.n == 0)
        return ERR_OK;
    if ((s.array = mem_array(s.n, sizeof(*s.array))) == NULL)
        return no_memory();
    s.n = 0;
    for (size_t i = 0; i < m->n_arrays; i++) {
        if (strncmp(m->array[i].name, prefix, len) != 0)
            continue;
        struct sto_array *a = &s.array[s.n++];

        *a = m->array[i];
        memset(a->name, 0, sizeof(a->name));
        memcpy(a->name, m->array[i].name + len, sizeof(a->name) - len);
    }
    if (rec_state_valid(&s))
        *to = s;
    else
        rec_state_free(&s);
    return ERR_OK;
}

enum err unl_slices_open(struct unl_slices *out, const struct rec_model *m,
                         size_t shard, size_t n)
{
    const unsigned char *rows = NULL;
    struct unl_slices s;
    enum err e = take(&s, n);

    if (e != ERR_OK)
        return e;
    for (size_t i = 0; i < m->n_arrays; i++) {
        const struct sto_array *a = &m->array[i];

        if (strcmp(a->name, "slices") == 0 && a->type == STO_U8 &&
            a->cols == KEY_DIGEST_BYTES && a->rows >= (shard + 1) * n)
            rows = a->data;
    }
    if (rows != NULL)
        memcpy(s.rows, rows + shard * n * KEY_DIGEST_BYTES,
               n * KEY_DIGEST_BYTES);
    for (size_t k = 0; k + 1 < n && e == ERR_OK && rows != NULL; k++) {
        char prefix[24];

        (void)snprintf(prefix, sizeof(prefix), "c%03zu.%02zu.", shard % 1000,
                       (k + 1) % 100);
        e = open_state(&s.state[k], m, prefix);
    }
    if (e == ERR_OK)
        *out = s;
    else
        unl_slices_free(&s);
    return e;
}
