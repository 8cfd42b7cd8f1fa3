/* privacy_sim/game_train.c - the platform: it trains on what is disclosed. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "privacy_sim/play.h"

/* Rows of what `choice` shows, without the people of a fold. */
static void show(const struct sim_play *g, const uint8_t *choice, size_t fold)
{
    const struct sim_world *w = g->w;

    for (size_t u = 0; u < w->all.n_users; u++) {
        const bool in = g->o->folds < 2 || g->fold[u] != fold;

        for (size_t r = w->all.user_ptr[u]; r < w->all.user_ptr[u + 1]; r++)
            g->keep[r] = in && choice[w->seg_ptr[u] + w->segment[r]];
    }
}

static enum err rows_of_nothing(struct sim_rows *out, size_t n)
{
    *out = (struct sim_rows){
        .n_items = n,
        .ptr = mem_array(n + 1, sizeof(*out->ptr)),
        .popular = mem_array(n, sizeof(*out->popular)),
    };
    return out->ptr == NULL || out->popular == NULL
               ? err_set(ERR_NOMEM, "no memory for a recommender")
               : ERR_OK;
}

/* --- counts ----------------------------------------------------------------
 */

enum err sim_keep_counts(struct sim_play *g, struct mem_scratch *s)
{
    const struct rec_model_ops *ops = g->o->like->ops;

    if (ops->fit_counts == NULL || g->o->folds > 1 ||
        rec_counts_new(&g->counts, g->w->all.n_items) != ERR_OK)
        return ERR_OK; /* trained from rows each time */
    g->counted = mem_take(s, g->w->all.n_rows, 1, 1);
    return s->failed ? err_set(ERR_NOMEM, "no memory for a simulation")
                     : ERR_OK;
}

/* The items of person u among the rows of `which`, into item[]. */
static size_t items_of(const struct sim_play *g, size_t u, const uint8_t *which,
                       uint32_t *item)
{
    const struct rec_data *d = &g->w->all;
    size_t n = 0;

    for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
        if (which[r])
            item[n++] = d->item[r];
    }
    return n;
}

/* Move the counts from the rows in g->counted to those in g->keep: who changed
 * is taken away as they were and added as they are. */
static enum err update_counts(struct sim_play *g)
{
    const struct rec_data *d = &g->w->all;
    const struct rec_model *like = g->o->like;
    struct mem_scratch s = {0};
    uint32_t *item = mem_take_raw(&s, 2, d->n_rows, sizeof(*item));
    struct rec_count_change *list =
        mem_take_raw(&s, 2, d->n_users, sizeof(*list));
    size_t n = 0, at = 0;

    for (size_t u = 0; u < d->n_users && !s.failed; u++) {
        const size_t first = d->user_ptr[u], rows = d->user_ptr[u + 1] - first;

        if (memcmp(g->counted + first, g->keep + first, rows) == 0)
            continue;
        for (int after = 0; after < 2; after++) {
            const size_t some =
                items_of(g, u, after ? g->keep : g->counted, item + at);
            const uint64_t w = like->ops->pair_weight(like->opts, some);

            list[n++] =
                (struct rec_count_change){item + at, some, after ? w : 0 - w};
            at += some;
        }
    }
    if (!s.failed) {
        rec_counts_change(&g->counts, list, n);
        memcpy(g->counted, g->keep, d->n_rows);
    }
    const bool failed = s.failed;

    mem_drop(&s);
    return failed ? err_set(ERR_NOMEM, "no memory to count pairs") : ERR_OK;
}

/* --- training --------------------------------------------------------------
 */

static enum err fit(struct sim_play *g, struct rec_model *m,
                    const struct rec_data *d)
{
    if (g->counts.pair == NULL)
        return rec_model_fit(m, d, NULL);
    ERR_TRY(update_counts(g));
    return rec_model_fit_counts(m, d, &g->counts);
}

/* The recommender of the rows in g->keep; digest may be NULL. */
static enum err learn(struct sim_play *g, struct sim_rows *out,
                      unsigned char *digest)
{
    struct rec_model *m = NULL;
    struct rec_data d = {0};
    enum err e = rec_data_same_items(&d, &g->w->all, g->keep);

    if (digest != NULL) /* of nothing */
        memset(digest, 0, KEY_DIGEST_BYTES);
    if (e == ERR_OK && d.n_rows == 0) {
        rec_data_free(&d);
        return rows_of_nothing(out, g->w->all.n_items);
    }
    if (e == ERR_OK)
        e = rec_model_new(&m, g->o->like->ops);
    if (e == ERR_OK)
        e = rec_model_options_parse(m, g->options);
    if (e == ERR_OK) {
        m->seed = g->o->seed;
        log_quiet_thread(true);
        e = fit(g, m, &d);
        log_quiet_thread(false);
    }
    if (e == ERR_OK)
        e = sim_rows_of(out, m, &d);
    if (e == ERR_OK && digest != NULL)
        rec_model_digest(m, digest);
    rec_model_free(m);
    rec_data_free(&d);
    return e;
}

static size_t n_folds(const struct sim_play *g)
{
    return g->o->folds < 2 ? 1 : g->o->folds;
}

/* What everybody shows to the platform this round: their present choice, or
 * one of their past ones by a draw: number i with the chance 1 / round. */
static const uint8_t *shown_now(struct sim_play *g)
{
    const struct sim_world *w = g->w;

    if (!g->o->fictitious)
        return g->choice;
    for (size_t u = 0; u < w->all.n_users; u++) {
        const struct krn_u32x4 x =
            rng_pair(rng_derive(g->o->seed, RNG_DISCLOSE, STREAM_PAST),
                     RNG_DISCLOSE, w->all.user_key[u], g->round);
        const uint64_t bits = (uint64_t)x.v[1] << 32 | x.v[0];

        if (rng_scale(bits, g->round + 1) == 0)
            memcpy(g->past + w->seg_ptr[u], g->choice + w->seg_ptr[u],
                   sim_segments(w, u));
    }
    return g->past;
}

enum err sim_train(struct sim_play *g)
{
    const uint8_t *shown = shown_now(g);

    for (size_t f = 0; f < n_folds(g); f++) {
        sim_rows_free(&g->rows[f]);
        show(g, shown, f);
        ERR_TRY(learn(g, &g->rows[f], g->out->digest));
    }
    return ERR_OK;
}

enum err sim_train_changed(struct sim_play *g, size_t u, struct sim_rows *out)
{
    const struct sim_world *w = g->w;

    show(g, g->choice, SIM_FOLDS);
    for (size_t r = w->all.user_ptr[u]; r < w->all.user_ptr[u + 1]; r++)
        g->keep[r] = g->next[w->seg_ptr[u] + w->segment[r]];
    return learn(g, out, NULL);
}

void sim_deal(struct sim_play *g)
{
    const uint64_t stream = rng_derive(g->o->seed, RNG_DISCLOSE, STREAM_FOLD);

    for (size_t u = 0; u < g->w->all.n_users && g->o->folds > 1; u++)
        g->fold[u] = (uint32_t)rng_scale(
            rng_derive(stream, RNG_DISCLOSE, g->w->all.user_key[u]),
            g->o->folds);
}
