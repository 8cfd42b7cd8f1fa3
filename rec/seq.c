/* rec/seq.c - rows in the order of time: learning from them. */
#include "rec/seq.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for sequences");
}

/* --- a batch ----------------------------------------------------------------
 */

struct batch {
    uint32_t *ids, *place, *pick, *target, *negative;
    float *there, *weight;
    uint64_t *key;
    /* cells of the clash that are set, to be cleared again */
    size_t *clash;
    size_t n_clash;
    uint32_t *drawn; /* [n_items] 1 + place among the negatives, or 0 */
};

struct teaching {
    struct rec_seq_work w;
    struct rec_model *m;
    const struct rec_data *d;
    uint32_t *item; /* [n_rows] d's, each person's in order of time */
    /* what is learnt from: a person, and the row that a sequence ends at */
    uint32_t *who, *end;
    uint64_t *name;                  /* of samples, for the order of batches */
    size_t first[REC_SEQ_TAPES + 1]; /* samples of tape i: first[i].. */
    uint32_t *order;                 /* in which they are taken */
    uint64_t *turn_key;
    uint32_t *turn; /* of batches */
    size_t n_turns;
    struct nn_optim *optim;
    struct rec_thin thin;
    struct batch b;
    uint64_t step;
};

/* Input and targets of row `at` of a tape: the rows before `end` of a person
 * who has n. */
static void put_rows(const struct teaching *k, const struct rec_seq_tape *p,
                     size_t at, const uint32_t *item, size_t n)
{
    const size_t length = p->in.length, used = n < length ? n : length;
    const size_t blank = length - used;
    struct batch b = k->b;

    for (size_t j = 0; j < length; j++) {
        const bool is = j >= blank;

        b.place[at * length + j] = (uint32_t)(length - 1 - j);
        b.there[at * length + j] = is;
        b.ids[at * length + j] = is ? item[n - used + j - blank] : NN_PAD;
    }
}

static void put_each(const struct teaching *k, const struct rec_seq_tape *p,
                     size_t at, const uint32_t *item, size_t end)
{
    const size_t length = p->in.length;

    for (size_t j = 0; j < length; j++) {
        const bool is = k->b.there[at * length + j] > 0;

        k->b.weight[at * length + j] = is;
        k->b.target[at * length + j] = is ? item[end - length + j + 1] : NN_PAD;
    }
}

static void put_last(const struct teaching *k, const struct rec_seq_tape *p,
                     size_t at, const uint32_t *item, size_t end, size_t rows)
{
    for (size_t j = 0; j < p->targets; j++) {
        const bool is = end + j < rows;

        k->b.weight[at * p->targets + j] = is;
        k->b.target[at * p->targets + j] = is ? item[end + j] : NN_PAD;
    }
}

/* Hide rows: each with probability o->mask, by names; every fourth time, and
 * where that hides none, the last one alone, as in serving. */
static void put_masked(const struct teaching *k, const struct rec_seq_tape *p,
                       size_t at, uint64_t name, uint64_t epoch)
{
    const uint64_t seed = rng_derive(rng_derive(k->m->seed, RNG_DROPOUT, epoch),
                                     RNG_DROPOUT, name);
    const bool last = rng_f32(seed, RNG_DROPOUT, 0) < 0.25f;
    const size_t length = p->in.length;
    uint32_t *ids = k->b.ids + at * length;
    size_t n = 0;

    for (size_t j = 0; j < length && n < p->targets; j++) {
        const uint32_t item = ids[j];
        const bool end = j + 1 == length;

        if (item == NN_PAD ||
            !(end ? last || n == 0
                  : !last && (double)rng_f32(rng_derive(seed, RNG_DROPOUT,
                                                        k->w.item_key[item]),
                                             RNG_DROPOUT, 1) < k->w.o->mask))
            continue;
        k->b.pick[at * p->targets + n] = (uint32_t)j;
        k->b.target[at * p->targets + n] = item;
        k->b.weight[at * p->targets + n++] = 1;
        ids[j] = (uint32_t)k->w.n_items;
    }
    for (; n < p->targets; n++) {
        k->b.pick[at * p->targets + n] = NN_PAD;
        k->b.target[at * p->targets + n] = NN_PAD;
        k->b.weight[at * p->targets + n] = 0;
    }
}

/* A row of the batch that nobody fills. */
static void put_nobody(const struct teaching *k, const struct rec_seq_tape *p,
                       size_t at)
{
    put_rows(k, p, at, NULL, 0);
    k->b.key[at] = 0;
    for (size_t j = 0; j < p->targets; j++) {
        k->b.weight[at * p->targets + j] = 0;
        k->b.target[at * p->targets + j] = NN_PAD;
        if (p->pick != NULL)
            k->b.pick[at * p->targets + j] = NN_PAD;
    }
}

static void put_sample(const struct teaching *k, const struct rec_seq_tape *p,
                       size_t at, size_t sample, uint64_t epoch)
{
    const uint32_t u = k->who[sample];
    const size_t from = k->d->user_ptr[u], end = k->end[sample];
    const uint32_t *item = k->item + from;

    put_rows(k, p, at, item, end);
    k->b.key[at] = k->name[sample];
    switch (k->w.net->how) {
    case REC_SEQ_EACH:
        put_each(k, p, at, item, end);
        break;
    case REC_SEQ_LAST:
        put_last(k, p, at, item, end, k->d->user_ptr[u + 1] - from);
        break;
    case REC_SEQ_MASKED:
        put_masked(k, p, at, k->name[sample], epoch);
        break;
    }
}

/* Different items, drawn for this step; a target's own column is closed. */
static void draw_negatives(struct teaching *k, const struct rec_seq_tape *p)
{
    const size_t n = k->w.n_negatives, targets = p->in.batch * p->targets;
    struct batch *b = &k->b;
    uint64_t i = 0;

    for (size_t s = 0; s < n; i++) {
        const uint32_t item =
            (uint32_t)rng_below(rng_derive(k->m->seed, RNG_NEGATIVE, k->step),
                                RNG_NEGATIVE, i, k->w.n_items);

        if (b->drawn[item] != 0)
            continue;
        b->negative[s++] = item;
        b->drawn[item] = (uint32_t)s;
    }
    for (size_t t = 0; t < targets; t++) {
        const uint32_t at = b->target[t] == NN_PAD ? 0 : b->drawn[b->target[t]];

        if (at > 0)
            b->clash[b->n_clash++] = t * n + at - 1;
    }
    for (size_t s = 0; s < n; s++)
        b->drawn[b->negative[s]] = 0;
}

static enum err feed(struct teaching *k, struct rec_seq_tape *p)
{
    struct batch *b = &k->b;

    ERR_TRY(nn_tape_set_ids(p->tape, p->in.ids, b->ids));
    ERR_TRY(nn_tape_set_ids(p->tape, p->in.place, b->place));
    nn_tape_set(p->tape, p->in.there, b->there);
    nn_tape_set_keys(p->tape, p->in.keys, b->key);
    if (p->pick != NULL)
        ERR_TRY(nn_tape_set_ids(p->tape, p->pick, b->pick));
    ERR_TRY(nn_tape_set_ids(p->tape, p->target, b->target));
    nn_tape_set(p->tape, p->weight, b->weight);
    if (p->negative == NULL)
        return ERR_OK;
    draw_negatives(k, p);
    for (size_t i = 0; i < b->n_clash; i++)
        nn_tape_put(p->tape, p->clash, b->clash[i], -1e4);
    return nn_tape_set_ids(p->tape, p->negative, b->negative);
}

static enum err train_batch(struct teaching *k, size_t tape, size_t first,
                            uint64_t epoch)
{
    struct rec_seq_tape *p = &k->w.tape[tape];

    for (size_t i = 0; i < p->in.batch; i++) {
        if (first + i < k->first[tape + 1])
            put_sample(k, p, i, k->order[first + i], epoch);
        else
            put_nobody(k, p, i);
    }
    enum err e = feed(k, p);

    if (e == ERR_OK)
        e = nn_optim_train(k->optim, p->tape, NULL);
    rec_thin_step(&k->thin);
    for (size_t i = 0; i < k->b.n_clash; i++)
        nn_tape_put(p->tape, p->clash, k->b.clash[i], 0);
    k->b.n_clash = 0;
    k->step++;
    return e;
}

/* --- samples -----------------------------------------------------------------
 */

/* Where the samples of a person who has n rows end: how many, and the i-th.  A
 * target is the row after one that is read (EACH), or one of those (MASKED). */
static size_t ends_of(const struct teaching *k, size_t n)
{
    const size_t each = k->w.net->how == REC_SEQ_EACH;
    const size_t length = k->w.tape[0].in.length;

    if (k->w.net->how == REC_SEQ_LAST)
        return n > 1 ? n - 1 : 0;
    if (n <= each)
        return 0;
    return k->w.o->older ? (n - each + length - 1) / length : 1;
}

static size_t end_of(const struct teaching *k, size_t n, size_t i)
{
    const size_t each = k->w.net->how == REC_SEQ_EACH;

    if (k->w.net->how == REC_SEQ_LAST)
        return i + 1;
    return n - each - i * k->w.tape[0].in.length;
}

/* Samples by tape; called twice, to count and to fill. */
static void list_samples(struct teaching *k, bool fill)
{
    size_t at[REC_SEQ_TAPES] = {0};

    for (size_t t = 0; t < k->w.n_tapes && fill; t++)
        at[t] = k->first[t];
    for (size_t u = 0; u < k->d->n_users; u++) {
        const size_t n = k->d->user_ptr[u + 1] - k->d->user_ptr[u];

        for (size_t i = 0; i < ends_of(k, n); i++) {
            const size_t end = end_of(k, n, i), t = rec_seq_tape_of(&k->w, end);

            if (fill) {
                k->who[at[t]] = (uint32_t)u;
                k->end[at[t]] = (uint32_t)end;
                k->name[at[t]] = k->d->user_key[u] + i;
            }
            at[t]++;
        }
    }
    for (size_t t = 0; t < k->w.n_tapes && !fill; t++)
        k->first[t + 1] = k->first[t] + at[t];
}

static enum err sort_rows(struct teaching *k)
{
    const struct rec_data *d = k->d;
    struct rec_seq_event *room =
        mem_array(rec_data_most_rows(d), sizeof(*room));

    if (room == NULL)
        return no_memory();
    for (size_t u = 0; u < d->n_users; u++) {
        const size_t from = d->user_ptr[u];

        rec_seq_sort(d->item + from, d->time != NULL ? d->time + from : NULL,
                     d->user_ptr[u + 1] - from, room, k->item + from);
    }
    free(room);
    return ERR_OK;
}

static enum err batch_room(struct teaching *k, struct mem_scratch *s)
{
    const size_t batch = (size_t)k->w.o->batch;
    const size_t cells = batch * k->w.tape[0].in.length;
    const size_t targets = batch * k->w.tape[0].targets;
    struct batch *b = &k->b;

    b->ids = mem_take(s, cells, 1, sizeof(*b->ids));
    b->place = mem_take(s, cells, 1, sizeof(*b->place));
    b->there = mem_take(s, cells, 1, sizeof(*b->there));
    b->pick = mem_take(s, targets, 1, sizeof(*b->pick));
    b->target = mem_take(s, targets, 1, sizeof(*b->target));
    b->weight = mem_take(s, targets, 1, sizeof(*b->weight));
    b->key = mem_take(s, batch, 1, sizeof(*b->key));
    b->clash = mem_take(s, targets, 1, sizeof(*b->clash));
    b->negative = mem_take(s, k->w.n_negatives + 1, 1, sizeof(*b->negative));
    b->drawn = mem_take(s, k->w.n_items, 1, sizeof(*b->drawn));
    return s->failed ? no_memory() : ERR_OK;
}

static enum err sample_room(struct teaching *k, struct mem_scratch *s)
{
    const size_t batch = (size_t)k->w.o->batch;

    list_samples(k, false);
    const size_t n = k->first[k->w.n_tapes];

    for (size_t t = 0; t < k->w.n_tapes; t++)
        k->n_turns += (k->first[t + 1] - k->first[t] + batch - 1) / batch;
    k->who = mem_take(s, n, 1, sizeof(*k->who));
    k->end = mem_take(s, n, 1, sizeof(*k->end));
    k->name = mem_take(s, n, 1, sizeof(*k->name));
    k->order = mem_take(s, n, 1, sizeof(*k->order));
    k->turn = mem_take(s, k->n_turns, 1, sizeof(*k->turn));
    k->turn_key = mem_take(s, k->n_turns, 1, sizeof(*k->turn_key));
    if (s->failed)
        return no_memory();
    list_samples(k, true);
    for (size_t t = 0; t < k->n_turns; t++)
        k->turn_key[t] = t;
    return ERR_OK;
}

/* --- training ------------------------------------------------------------
 */

static enum err train_turn(struct teaching *k, size_t turn, uint64_t epoch)
{
    const size_t batch = (size_t)k->w.o->batch;

    for (size_t t = 0; t < k->w.n_tapes; t++) {
        const size_t n = k->first[t + 1] - k->first[t];
        const size_t turns = (n + batch - 1) / batch;

        if (turn < turns)
            return train_batch(k, t, k->first[t] + turn * batch, epoch);
        turn -= turns;
    }
    return ERR_OK;
}

static enum err train_epoch(struct teaching *k, uint64_t epoch)
{
    for (size_t t = 0; t < k->w.n_tapes; t++) {
        const size_t from = k->first[t], n = k->first[t + 1] - from;

        ERR_TRY(
            nn_order(k->order + from, k->name + from, n, k->m->seed, epoch));
        for (size_t i = 0; i < n; i++)
            k->order[from + i] += (uint32_t)from;
    }
    ERR_TRY(nn_order(k->turn, k->turn_key, k->n_turns, k->m->seed, epoch));
    for (size_t i = 0; i < k->n_turns; i++) {
        ERR_TRY(train_turn(k, k->turn[i], epoch));
        log_tick("training", (epoch * k->n_turns + i),
                 (uint64_t)k->w.o->epochs * k->n_turns, NULL);
        if (log_stopping())
            return err_set(ERR_STOPPED, "stopped while training");
    }
    return ERR_OK;
}

/* The packed twin of parameter i, or NULL. */
static const struct nn_sparse *packed_of(const struct rec_thin *thin, size_t i)
{
    for (size_t k = 0; k < thin->n_packed; k++) {
        if (nn_prune_number(thin->prune, k) == i)
            return &thin->packed[k];
    }
    return NULL;
}

/* The parameters as arrays of the model, by their names; those that are packed
 * as images. */
static enum err alloc(struct rec_model *m, const struct rec_data *d,
                      const struct nn_params *params,
                      const struct rec_thin *thin)
{
    struct rec_array_spec spec[512]; /* 32 blocks have 384 */
    const size_t n = nn_params_count(params);

    assert(n <= sizeof(spec) / sizeof(spec[0]));
    for (size_t i = 0; i < n; i++) {
        const struct nn_param *v = nn_params_view(params, i);
        const struct nn_sparse *s = packed_of(thin, i);
        const size_t rows = v->n_dims > 1 ? v->dim[0] : 1;

        spec[i] =
            s != NULL
                ? (struct rec_array_spec){v->name, STO_U32,
                                          nn_sparse_save_bytes(s) / 4, 1}
                : (struct rec_array_spec){v->name, STO_F32, rows, v->n / rows};
    }
    ERR_TRY(rec_model_alloc(m, d, spec, n));
    for (size_t i = 0; i < n; i++) {
        const struct nn_sparse *s = packed_of(thin, i);

        if (s != NULL)
            nn_sparse_save(s, rec_model_array(m, spec[i].name));
    }
    rec_seq_copy(m, params);
    return ERR_OK;
}

/* What was trained, as it will serve: packed, narrow, or as it is. */
static enum err keep(struct teaching *k, const struct rec_seq_net *net)
{
    const struct rec_thin none = {.prune = NULL};
    struct rec_seq_work small;

    if (k->thin.chex == NULL) {
        ERR_TRY(rec_thin_pack(&k->thin));
        return alloc(k->m, k->d, k->w.params, &k->thin);
    }
    enum err e = rec_seq_open(&small, net, k->m, k->d->item_key, k->d->n_items,
                              1, false, k->thin.chex);

    if (e == ERR_OK) {
        nn_chex_copy(k->thin.chex, small.params);
        e = alloc(k->m, k->d, small.params, &none);
    }
    rec_seq_close(&small);
    return e;
}

static enum err teach(struct teaching *k, const struct rec_watch *watch)
{
    const uint64_t passes = rec_thin_passes(&k->thin, (size_t)k->w.o->epochs);
    bool stop = false;

    for (uint64_t e = 0; e < passes && !stop; e++) {
        ERR_TRY(rec_thin_epoch(&k->thin, e, k->optim));
        ERR_TRY(train_epoch(k, e));
        k->m->epochs = e < (uint64_t)k->w.o->epochs ? e + 1 : k->m->epochs;
        if (watch == NULL)
            continue;
        rec_seq_copy(k->m, k->w.params);
        ERR_TRY(watch->epoch(watch->arg, k->m, e + 1, &stop));
    }
    return rec_thin_end(&k->thin);
}

static enum err open_optim(struct teaching *k)
{
    const struct nn_optim_opt adam = {
        .kind = NN_ADAM,
        .lr = k->w.o->lr,
        .beta2 = 0.98,
        .decay = k->w.o->decay,
        .spare_tables = true,
        .clip = 5,
        .rate = NN_RATE_COSINE,
        .period = (uint64_t)k->w.o->epochs * (k->n_turns > 0 ? k->n_turns : 1),
        .factor = 0.05,
    };

    return nn_optim_new(&k->optim, k->w.params, &adam);
}

/* Learn; of a network with levels, one after the other. */
static enum err teach_all(struct teaching *k, const struct rec_watch *watch)
{
    const struct rec_seq_opts *o = k->w.o;

    ERR_TRY(rec_thin_open(&k->thin, &o->thin, (size_t)o->epochs, k->m->seed,
                          k->w.params, k->w.tape[0].tape));
    if (o->thin.sparsity > 0) /* a schedule ends where its epochs end */
        watch = NULL;
    for (size_t l = 0; l < (size_t)o->thin.levels; l++) {
        if (k->thin.prune != NULL)
            nn_prune_level(k->thin.prune, l);
        nn_optim_free(k->optim);
        k->optim = NULL;
        ERR_TRY(open_optim(k));
        ERR_TRY(teach(k, watch));
    }
    return ERR_OK;
}

enum err rec_seq_fit(struct rec_model *m, const struct rec_data *d,
                     const struct rec_watch *watch,
                     const struct rec_seq_net *net)
{
    const struct rec_seq_opts *o = m->opts;
    struct teaching k = {.m = m, .d = d};
    struct mem_scratch s = {0};

    if (d->time == NULL)
        log_warn("the rows have no times: they are read in the order of their "
                 "items' keys (recd import --format sequences, or times)");
    if (net->check != NULL)
        ERR_TRY(net->check(o));
    ERR_TRY(rec_thin_check(&o->thin, m->ops->opts, o));
    k.item = mem_take(&s, d->n_rows, 1, sizeof(*k.item));
    enum err e = s.failed ? no_memory()
                          : rec_seq_open(&k.w, net, m, d->item_key, d->n_items,
                                         (size_t)o->batch, true, NULL);

    if (e == ERR_OK)
        e = sort_rows(&k);
    if (e == ERR_OK)
        e = sample_room(&k, &s);
    if (e == ERR_OK)
        e = batch_room(&k, &s);
    if (e == ERR_OK)
        e = alloc(m, d, k.w.params, &k.thin);
    if (e == ERR_OK)
        e = teach_all(&k, watch);
    if (e == ERR_OK)
        e = keep(&k, net);
    rec_thin_close(&k.thin);
    nn_optim_free(k.optim);
    rec_seq_close(&k.w);
    mem_drop(&s);
    return e;
}

/* Weights, gradients and two moments; tapes of length, length / 2, ...: about
 * 60 numbers a coordinate of a state, and scores against the negatives five
 * times over (measured: 455 MB of 459 for sasrec's defaults). */
double rec_seq_bytes(const struct rec_data *d, const void *opts)
{
    const struct rec_seq_opts *o = opts;
    const double cells = 2 * (double)o->batch * (double)o->length;
    const bool some = o->negatives > 0 && (size_t)o->negatives < d->n_items / 2;
    const double against = some ? (double)o->negatives : (double)d->n_items;

    return 20 * (double)d->n_items * (double)o->dim +
           4 * cells * (60 * (double)o->dim + 5 * against) +
           24 * (double)d->n_rows;
}
