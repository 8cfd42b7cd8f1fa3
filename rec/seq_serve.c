/* rec/seq_serve.c - what the latest rows of people ask for. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rec/seq.h"

#define SERVE ((size_t)64) /* people of a tape that serves */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for sequences");
}

/* The rows of person q that are read, in order; returns how many.  One who is
 * asked with something hidden at the end has one place less. */
static size_t recent(const struct rec_seq_work *w, const struct rec_query *q,
                     size_t i, struct rec_seq_event *room, uint32_t *out)
{
    const size_t from = q->ptr[i], n = q->ptr[i + 1] - from;
    const bool hidden = w->net->how == REC_SEQ_MASKED && n > 0;
    const size_t most = w->tape[0].in.length - hidden;

    rec_seq_sort(q->item + from, q->time != NULL ? q->time + from : NULL, n,
                 room, out);
    if (n > most)
        memmove(out, out + n - most, most * sizeof(*out));
    const size_t used = n < most ? n : most;

    if (hidden)
        out[used] = (uint32_t)w->n_items;
    return used + hidden;
}

struct asking {
    struct rec_seq_work w;
    struct rec_seq_event *room;
    uint32_t *recent, *ids, *place;
    float *there, *state;
    uint64_t *key;
    uint32_t *who; /* of the batch */
    size_t n;
};

static enum err answer(struct asking *a, const struct rec_seq_tape *p,
                       float *vec)
{
    const size_t dim = (size_t)a->w.o->dim, length = p->in.length;

    for (size_t i = a->n * length; i < p->in.batch * length; i++) {
        a->ids[i] = NN_PAD;
        a->there[i] = 0;
    }
    for (size_t i = 0; i < p->in.batch * length; i++)
        a->place[i] = (uint32_t)(length - 1 - i % length);
    ERR_TRY(nn_tape_set_ids(p->tape, p->in.ids, a->ids));
    ERR_TRY(nn_tape_set_ids(p->tape, p->in.place, a->place));
    nn_tape_set(p->tape, p->in.there, a->there);
    nn_tape_set_keys(p->tape, p->in.keys, a->key);
    ERR_TRY(nn_tape_forward(p->tape));
    nn_tape_get(p->tape, p->state, a->state);
    for (size_t i = 0; i < a->n; i++)
        memcpy(vec + a->who[i] * dim, a->state + i * dim, dim * sizeof(*vec));
    a->n = 0;
    return ERR_OK;
}

/* Everybody whose rows fit tape t best. */
static enum err ask_tape(struct asking *a, const struct rec_query *q, size_t t,
                         float *vec)
{
    const struct rec_seq_tape *p = &a->w.tape[t];
    const size_t length = p->in.length;

    for (size_t i = 0; i < q->n; i++) {
        const size_t n = recent(&a->w, q, i, a->room, a->recent);

        if (rec_seq_tape_of(&a->w, n) != t)
            continue;
        for (size_t j = 0; j < length; j++) {
            const bool is = j + n >= length;

            a->ids[a->n * length + j] = is ? a->recent[j + n - length] : NN_PAD;
            a->there[a->n * length + j] = is;
        }
        a->who[a->n++] = (uint32_t)i;
        if (a->n == p->in.batch)
            ERR_TRY(answer(a, p, vec));
    }
    return a->n > 0 ? answer(a, p, vec) : ERR_OK;
}

enum err rec_seq_embed(const struct rec_model *m, const struct rec_query *q,
                       float *vec, const struct rec_seq_net *net)
{
    const struct rec_seq_opts *o = m->opts;
    const size_t batch = q->n < SERVE ? q->n : SERVE;
    const size_t cells = batch * (size_t)o->length;
    struct mem_scratch s = {0};
    struct asking a = {.n = 0};
    size_t most = 1;

    for (size_t i = 0; i < q->n; i++)
        most =
            q->ptr[i + 1] - q->ptr[i] > most ? q->ptr[i + 1] - q->ptr[i] : most;
    a.room = mem_take(&s, most, 1, sizeof(*a.room));
    a.recent = mem_take(&s, most + 1, 1, sizeof(*a.recent));
    a.ids = mem_take(&s, cells, 1, sizeof(*a.ids));
    a.place = mem_take(&s, cells, 1, sizeof(*a.place));
    a.there = mem_take(&s, cells, 1, sizeof(*a.there));
    a.state = mem_take(&s, batch, (size_t)o->dim, sizeof(*a.state));
    a.key = mem_take(&s, batch, 1, sizeof(*a.key));
    a.who = mem_take(&s, batch, 1, sizeof(*a.who));
    enum err e = s.failed ? no_memory() : ERR_OK;

    if (e == ERR_OK && q->n > 0)
        e = rec_seq_open(&a.w, net, m, m->item_key, m->n_items, batch, false,
                         NULL);
    if (e == ERR_OK && q->n > 0)
        e = rec_seq_load(&a.w, m);
    for (size_t t = 0; t < a.w.n_tapes && e == ERR_OK; t++)
        e = ask_tape(&a, q, t, vec);
    rec_seq_close(&a.w);
    mem_drop(&s);
    return e;
}

bool rec_seq_valid(const struct rec_model *m, const struct rec_seq_net *net)
{
    struct rec_seq_work w;
    bool same = false;

    if (m->n_items == 0)
        return false;
    same = rec_seq_open(&w, net, m, m->item_key, m->n_items, 1, false, NULL) ==
               ERR_OK &&
           rec_seq_load(&w, m) == ERR_OK;
    rec_seq_close(&w);
    return same;
}

size_t rec_seq_levels(const struct rec_model *m)
{
    return (size_t)((const struct rec_seq_opts *)m->opts)->thin.levels;
}

const float *rec_seq_items(const struct rec_model *m, size_t *d)
{
    *d = rec_model_cols(m, "items");
    return rec_model_array(m, "items");
}
