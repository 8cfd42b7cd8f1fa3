/* store/split.c - rows move from train to test, person by person. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "store/import.h"
#include "store/records.h"

struct pick {
    uint64_t draw; /* smallest move */
    uint64_t item;
    size_t row;
};

static int pick_order(const void *va, const void *vb)
{
    const struct pick *a = va, *b = vb;

    if (a->draw != b->draw)
        return a->draw < b->draw ? -1 : 1;
    return (a->item > b->item) - (a->item < b->item);
}

struct split_job {
    double share;
    bool by_last;
    uint64_t seed, moved;
};

/* A row's own number: it depends on no other row. */
static uint64_t draw_of(uint64_t seed, uint64_t user, uint64_t item)
{
    const struct krn_u32x4 d = rng_pair(seed, RNG_SPLIT, user, item);

    return (uint64_t)d.v[1] << 32 | d.v[0];
}

/* Order rows: the first ones of pick[] are those that move. */
static void rank_rows(const struct split_job *job, const struct sto_history *h,
                      struct pick *pick)
{
    for (size_t r = 0; r < h->n; r++) {
        pick[r].row = r;
        pick[r].item = h->item[r];
        if (job->by_last) /* latest first: flip the order of times */
            pick[r].draw = h->time != NULL
                               ? ~((uint64_t)h->time[r] ^ ((uint64_t)1 << 63))
                               : ~h->item[r];
        else
            pick[r].draw = draw_of(job->seed, h->user, h->item[r]);
    }
    qsort(pick, h->n, sizeof(*pick), pick_order);
}

/* Write the rows with keep[r] == want into db under the person's key. */
static enum err put_part(struct sto_txn *t, enum sto_db db,
                         const struct sto_history *h, const uint8_t *moves,
                         uint8_t want, size_t n)
{
    struct mem_scratch tmp = {0};
    uint64_t *item = mem_take(&tmp, n, 1, sizeof(*item));
    int64_t *time = mem_take(&tmp, n, 1, sizeof(*time));
    float *value = mem_take(&tmp, n, 1, sizeof(*value));
    unsigned char *bytes = mem_take(&tmp, n + 1, 20, 1);
    enum err e = ERR_OK;

    if (tmp.failed) {
        e = err_set(ERR_NOMEM, "no memory to split a history");
    } else {
        struct sto_history part = {.n = 0,
                                   .item = item,
                                   .value = h->value != NULL ? value : NULL,
                                   .time = h->time != NULL ? time : NULL};

        for (size_t r = 0; r < h->n; r++) {
            if (moves[r] != want)
                continue;
            item[part.n] = h->item[r];
            if (h->time != NULL)
                time[part.n] = h->time[r];
            if (h->value != NULL)
                value[part.n] = h->value[r];
            part.n++;
        }
        sto_history_encode(&part, bytes);
        e = sto_record_put(
            t, db, h->user, bytes,
            sto_history_bytes(part.n, h->value != NULL, h->time != NULL));
    }
    mem_drop(&tmp);
    return e;
}

static enum err split_person(struct split_job *job, struct sto_txn *t,
                             const struct sto_history *h)
{
    size_t move =
        (size_t)(job->share < 1 ? job->share * (double)h->n + 0.5 : job->share);
    struct mem_scratch tmp = {0};
    struct pick *pick = mem_take(&tmp, h->n, 1, sizeof(*pick));
    uint8_t *moves = mem_take(&tmp, h->n, 1, 1);

    if (move >= h->n)
        move = h->n - 1;
    enum err e = tmp.failed ? err_set(ERR_NOMEM, "no memory to split") : ERR_OK;

    if (e == ERR_OK && move > 0) {
        rank_rows(job, h, pick);
        for (size_t i = 0; i < move; i++)
            moves[pick[i].row] = 1;
        e = put_part(t, STO_DB_TEST, h, moves, 1, move);
        if (e == ERR_OK)
            e = put_part(t, STO_DB_TRAIN, h, moves, 0, h->n - move);
        job->moved += move;
    }
    mem_drop(&tmp);
    return e;
}

/* A person's history, copied: its own record is about to be written. */
static enum err copy_person(const struct sto_at *at, uint64_t user,
                            struct sto_buffer *copy, struct sto_history *h)
{
    MDB_val val;

    ERR_TRY(sto_record_get(at, STO_DB_TRAIN, user, copy, &val));
    if (val.mv_data != copy->data) {
        ERR_TRY(mem_grow(&copy->data, &copy->room, val.mv_size, 1));
        memcpy(copy->data, val.mv_data, val.mv_size);
        val.mv_data = copy->data; /* malloc()ed, hence aligned */
    }
    return sto_history_decode(h, user, &val, NULL);
}

/* One person after the other by key, so that no cursor stands on what is
 * being written. */
static enum err split_all(void *arg, struct sto_txn *t)
{
    const struct sto_at at = sto_at_change(t);
    struct split_job *job = arg;
    MDB_stat stat = {0};
    struct sto_buffer copy = {0};
    uint64_t user = 0;
    bool found = true;
    enum err e = ERR_OK;

    job->moved = 0;
    (void)mdb_stat(t->txn, t->st->dbi[STO_DB_TEST], &stat);
    if (stat.ms_entries > 0)
        return err_set(ERR_ARG, "the store holds test rows already: a second "
                                "split would mix two tests");
    while (e == ERR_OK && found) {
        struct sto_history h;

        e = sto_record_next(&at, STO_DB_TRAIN, &user, &found);
        if (e == ERR_OK && found)
            e = copy_person(&at, user, &copy, &h);
        if (e == ERR_OK && found)
            e = split_person(job, t, &h);
        if (user++ == UINT64_MAX)
            break;
    }
    free(copy.data);
    return e;
}

enum err sto_split_rows(struct sto *st, double share, bool by_last,
                        uint64_t seed, uint64_t *moved)
{
    struct split_job job = {.share = share, .by_last = by_last, .seed = seed};

    if (!(share > 0) || (share > 1 && share != floor(share)))
        return err_set(ERR_ARG, "--test is a share between 0 and 1, or a "
                                "number of rows");
    ERR_TRY(sto_write(st, split_all, &job));
    *moved = job.moved;
    return ERR_OK;
}
