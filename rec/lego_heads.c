/* rec/lego_heads.c - the learnt heads of all adapters, or of those that a
 * request touched. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "rec/head.h"
#include "rec/lego.h"

#define D ((size_t)REC_ENCODING)

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for learnt adapters");
}

void rec_lego_heads_free(struct rec_lego_heads *h)
{
    free(h->ptr);
    free(h->item);
    free(h->weight);
    *h = (struct rec_lego_heads){NULL, NULL, NULL};
}

struct job {
    const struct rec_lego *l;
    const struct rec_lego_opts *o;
    const struct rec_data *d;
    const uint64_t *ptr; /* d->user_ptr, as the lessons want it */
    uint64_t seed;
    float *z; /* [n_users][D] */
    struct rec_lego_heads *h;
    const uint32_t *todo;
    enum err *result; /* [todo] */
};

static void encode_task(void *arg, size_t u, size_t thread)
{
    const struct job *j = arg;
    const size_t first = j->d->user_ptr[u];

    (void)thread;
    rec_lego_unit(j->l, j->d->item + first, j->d->user_ptr[u + 1] - first,
                  j->z + u * D);
}

static struct rec_head_lesson lesson_of(const struct job *j, size_t a)
{
    return (struct rec_head_lesson){j->l->adapter[a].n,
                                    j->d->n_items,
                                    j->l->adapter[a].user,
                                    j->d->user_key,
                                    j->ptr,
                                    j->d->item,
                                    j->z};
}

static void train_task(void *arg, size_t task, size_t thread)
{
    const struct job *j = arg;
    const size_t a = j->todo[task];
    const uint64_t at = j->h->ptr[a];
    const struct rec_head_lesson l = lesson_of(j, a);
    const struct rec_head_opts o = {(size_t)j->o->epochs, j->o->lr, j->o->decay,
                                    rng_derive(j->seed, RNG_SHARD, a + 1)};

    (void)thread;
    j->result[task] =
        rec_head_train(&l, &o, j->h->item + at, (size_t)(j->h->ptr[a + 1] - at),
                       j->h->weight + at * (D + 1));
}

/* The items of every adapter, one list behind the other. */
static enum err list_items(const struct job *j)
{
    uint8_t *met = mem_array(j->d->n_items, 1);
    size_t room = 0;

    if (met == NULL)
        return no_memory();
    for (size_t a = 0; a < j->l->n; a++) {
        const struct rec_head_lesson l = lesson_of(j, a);
        uint64_t at = j->h->ptr[a];

        j->h->ptr[a + 1] = at + rec_head_items(&l, met);
        if (mem_grow(&j->h->item, &room, (size_t)j->h->ptr[a + 1],
                     sizeof(*j->h->item)) != ERR_OK) {
            free(met);
            return no_memory();
        }
        for (size_t i = 0; i < j->d->n_items; i++) {
            if (met[i])
                j->h->item[at++] = (uint32_t)i;
        }
    }
    free(met);
    return ERR_OK;
}

/* Weights of an adapter that nothing touched. */
static void copy_head(const struct job *j, const struct rec_model *before,
                      size_t a)
{
    const struct rec_lego *old = before->parts;
    const uint64_t at = j->h->ptr[a], n = j->h->ptr[a + 1] - at;

    memcpy(j->h->weight + at * (D + 1),
           old->head_weight + old->head_ptr[a] * (D + 1),
           (size_t)n * (D + 1) * sizeof(float));
}

static enum err train_all(struct job *j, const struct rec_model *before,
                          const uint8_t *train)
{
    struct mem_scratch s = {0};
    uint32_t *todo = mem_take(&s, j->l->n, 1, sizeof(*todo));
    size_t n = 0;

    j->result = mem_take(&s, j->l->n, 1, sizeof(*j->result));
    j->z = mem_take(&s, j->d->n_users, D, sizeof(*j->z));
    uint64_t *ptr = mem_take(&s, j->d->n_users + 1, 1, sizeof(*ptr));
    enum err e = s.failed ? no_memory() : ERR_OK;

    for (size_t u = 0; u <= j->d->n_users && e == ERR_OK; u++)
        ptr[u] = j->d->user_ptr[u];
    j->ptr = ptr;
    j->todo = todo;
    if (e == ERR_OK) {
        par_for(j->d->n_users, encode_task, j);
        e = list_items(j);
    }
    if (e == ERR_OK) {
        j->h->weight = mem_array((size_t)j->h->ptr[j->l->n] * (D + 1),
                                 sizeof(*j->h->weight));
        e = j->h->weight == NULL ? no_memory() : ERR_OK;
    }
    for (size_t a = 0; a < j->l->n && e == ERR_OK; a++) {
        if (train == NULL || train[a])
            todo[n++] = (uint32_t)a;
        else
            copy_head(j, before, a);
    }
    if (e == ERR_OK)
        par_for(n, train_task, j);
    for (size_t i = 0; i < n && e == ERR_OK; i++)
        e = j->result[i];
    mem_drop(&s);
    /* notes of other threads are theirs */
    return e == ERR_NOMEM ? no_memory()
           : e != ERR_OK  ? err_set(e, "a learnt adapter diverged: lower --lr")
                          : ERR_OK;
}

enum err rec_lego_heads_make(struct rec_lego_heads *h, const struct rec_lego *l,
                             const struct rec_lego_opts *o, uint64_t seed,
                             const struct rec_data *d,
                             const struct rec_model *before,
                             const uint8_t *train)
{
    struct job j = {.l = l, .o = o, .d = d, .seed = seed, .h = h};

    *h = (struct rec_lego_heads){.ptr = mem_array(l->n + 1, sizeof(*h->ptr))};
    const enum err e =
        h->ptr == NULL ? no_memory() : train_all(&j, before, train);

    if (e != ERR_OK)
        rec_lego_heads_free(h);
    return e;
}
