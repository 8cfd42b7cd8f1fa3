/* src/rerank_job.c - lists in memory: learn from some, order the others. */
#include <string.h>
#include <time.h>

#include "src/rerank.h"

#define ASK ((size_t)64) /* lists that are ordered at once */

/* What rec_net_load() wants of a model, and no more. */
static enum err keep(struct cmd_rerank_job *j, struct rec_net *k)
{
    const struct rec_lessons *t = &j->learn.t;
    struct rec_array_spec spec[REC_SPARSE_MOST + REC_MEMBERS_MOST + 6] = {
        {"mean", STO_F32, t->features, 1}, {"unit", STO_F32, t->features, 1}};
    size_t zero = 0;
    uint64_t key = 0;
    uint32_t item = 0;
    const struct rec_data none = {
        .user_key = &key, .item_key = &key, .user_ptr = &zero, .item = &item};
    const bool kin = k->how->kin && j->d != NULL;

    ERR_TRY(rec_net_pack(k));
    size_t n = 2 + rec_net_arrays(k, spec + 2);

    if (kin)
        spec[n++] =
            (struct rec_array_spec){"kin", STO_F32, j->d->n_items, REC_KIN};
    ERR_TRY(rec_model_alloc(j->m, j->d != NULL ? j->d : &none, spec, n));
    rec_net_store(k, j->m);
    memcpy(rec_model_array(j->m, "mean"), t->mean, t->features * sizeof(float));
    memcpy(rec_model_array(j->m, "unit"), t->unit, t->features * sizeof(float));
    if (kin)
        memcpy(rec_model_array(j->m, "kin"), j->ask.t.kin,
               j->d->n_items * REC_KIN * sizeof(float));
    rec_model_digest(j->m, j->digest);
    return ERR_OK;
}

static double cpu_now(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

enum err cmd_rerank_learn(struct cmd_rerank_job *j)
{
    struct rec_net k = {.n = 0};
    const double start = cmd_ui_now(), cpu = cpu_now();
    enum err e = rec_net_learn(&k, j->m, &j->learn.t);

    j->seconds = cmd_ui_now() - start;
    j->cpu_s = cpu_now() - cpu;
    if (e == ERR_OK)
        e = keep(j, &k);
    rec_net_free(&k);
    return e;
}

enum err cmd_rerank_order(struct cmd_rerank_job *j)
{
    const struct rec_lessons *t = &j->ask.t;
    const size_t batch = t->n < ASK ? t->n : ASK;
    struct mem_scratch room = {0};
    struct rec_net k = {.n = 0};
    struct rec_step p = {.batch = 0};
    enum err e = rec_net_load(&k, j->m, t->features, batch);
    float *value = mem_take(&room, batch, t->list, sizeof(*value));

    if (j->score == NULL)
        j->score = mem_take(&j->s, t->n, t->list, sizeof(*j->score));
    if (e == ERR_OK && (j->s.failed || room.failed))
        e = err_set(ERR_NOMEM, "no memory to order lists");
    if (e == ERR_OK)
        e = rec_step_open(&p, batch, t);
    const double start = cmd_ui_now(), cpu = cpu_now();

    for (size_t first = 0; first < t->n && e == ERR_OK; first += batch) {
        const size_t n = t->n - first < batch ? t->n - first : batch;

        rec_step_set(&p, t, first);
        e = rec_net_order(&k, &p.asked, value);
        if (e == ERR_OK)
            memcpy(j->score + first * t->list, value,
                   n * t->list * sizeof(*value));
    }
    j->micros = (cmd_ui_now() - start) / (double)t->n * 1e6;
    j->cpu_us = (cpu_now() - cpu) / (double)t->n * 1e6;
    rec_step_close(&p);
    rec_net_free(&k);
    mem_drop(&room);
    return e;
}
