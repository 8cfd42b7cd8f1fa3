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

/* The recommender of the rows in g->keep; digest may be NULL. */
static enum err learn(const struct sim_play *g, struct sim_rows *out,
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
        e = rec_model_fit(m, &d, NULL);
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
