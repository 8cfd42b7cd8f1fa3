/* rec/rank_cuda.c - lists of models of inner products, made on the GPU. */
#include "rec/rank_cuda.h"

#include <string.h>

#include "base/device.h"
#include "base/mem.h"

#define PEOPLE ((size_t)4096) /* of a batch */

struct job {
    const struct rec_model *m;
    const struct rec_query *q;
    size_t k, d;
    bool hide_seen;
    void *items, *vec, *ptr, *idx, *id, *score; /* on the device */
    float *vector;                              /* [PEOPLE][d] */
    uint64_t *seen;                             /* [PEOPLE + 1] */
    float *got;                                 /* [PEOPLE][k] */
};

/* What the people first..first + n - 1 have met. */
static enum err put_seen(struct job *j, size_t first, size_t n)
{
    const size_t *ptr = j->q->ptr + first;

    for (size_t i = 0; i <= n; i++)
        j->seen[i] = ptr[i] - ptr[0];
    ERR_TRY(device_put(&j->ptr, j->seen, (n + 1) * sizeof(*j->seen)));
    return device_put(&j->idx, j->q->item + ptr[0],
                      (ptr[n] - ptr[0]) * sizeof(*j->q->item));
}

static enum err ask(struct job *j, size_t first, size_t n, uint32_t *item,
                    float *score)
{
    const struct rec_query part = {
        n,          j->q->user + first, j->q->ptr + first,
        j->q->item, j->q->value,        j->q->time};
    char why[KRN_CUDA_WHY] = "";

    ERR_TRY(j->m->ops->embed(j->m, &part, j->vector));
    ERR_TRY(device_put(&j->vec, j->vector, n * j->d * sizeof(float)));
    if (j->hide_seen)
        ERR_TRY(put_seen(j, first, n));
    ERR_TRY(device_put(&j->id, NULL, n * j->k * sizeof(*item)));
    ERR_TRY(device_put(&j->score, NULL, n * j->k * sizeof(float)));
    const struct krn_cuda_topk t = {
        .people = n,
        .items = j->m->n_items,
        .d = j->d,
        .k = j->k,
        .dev_vec = j->vec,
        .dev_item = j->items,
        .dev_seen_ptr = j->ptr,
        .dev_seen_idx = j->idx,
        .dev_id = j->id,
        .dev_score = j->score,
    };

    ERR_TRY(device_said(device_cuda()->topk(&t, why), why));
    ERR_TRY(device_get(item, j->id, n * j->k * sizeof(*item)));
    return device_get(score != NULL ? score : j->got, j->score,
                      n * j->k * sizeof(float));
}

static void drop_batch(struct job *j)
{
    void **const all[] = {&j->vec, &j->ptr, &j->idx, &j->id, &j->score};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        device_drop(*all[i]);
        *all[i] = NULL;
    }
}

enum err rec_rank_cuda(const struct rec_model *m, const struct rec_query *q,
                       size_t k, bool hide_seen, uint32_t *item, float *score)
{
    struct job j = {.m = m, .q = q, .k = k, .hide_seen = hide_seen};
    const float *items = m->ops->item_vectors(m, &j.d);
    struct mem_scratch s = {0};
    const size_t most = q->n < PEOPLE ? q->n : PEOPLE;

    if (k > KRN_CUDA_TOPK)
        return err_set(ERR_ARG, "--device cuda: lists of at most %d items",
                       KRN_CUDA_TOPK);
    j.vector = mem_take(&s, most, j.d, sizeof(float));
    j.seen = mem_take(&s, most + 1, 1, sizeof(*j.seen));
    j.got = mem_take(&s, most, k, sizeof(float));
    enum err e = s.failed ? err_set(ERR_NOMEM, "no memory for ranking")
                          : device_put(&j.items, items,
                                       m->n_items * j.d * sizeof(float));

    for (size_t first = 0; first < q->n && e == ERR_OK; first += PEOPLE) {
        const size_t n = q->n - first < PEOPLE ? q->n - first : PEOPLE;

        e = ask(&j, first, n, item + first * k,
                score != NULL ? score + first * k : NULL);
        drop_batch(&j);
    }
    device_drop(j.items);
    mem_drop(&s);
    return e;
}
