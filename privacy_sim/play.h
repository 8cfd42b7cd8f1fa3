/*
 * privacy_sim/play.h - a game while it is played: what game.c, game_train.c,
 * game_sum.c and game_own.c share.
 */
#ifndef SIM_PLAY_H
#define SIM_PLAY_H

#include "privacy_sim/game.h"
#include "privacy_sim/policy.h"
#include "rec/counts.h"

/* Streams of a game: rounds come before. */
#define STREAM_MOVE ((uint64_t)1 << 32)
#define STREAM_FIXED ((uint64_t)2 << 32)
#define STREAM_PAST ((uint64_t)3 << 32)
#define STREAM_RETRAIN ((uint64_t)4 << 32)
#define STREAM_FOLD ((uint64_t)5 << 32)
#define STREAM_POLICY ((uint64_t)6 << 32)

struct sim_play {
    const struct sim_world *w;
    const struct sim_game_opts *o;
    struct sim_result *out;
    char *options; /* of the model, as JSON */
    double *lambda;
    uint8_t *choice, *next;    /* [segments of all] */
    uint8_t *past;             /* the choice that stands for everybody's past */
    uint8_t *keep;             /* [rows] */
    uint32_t *list;            /* [n_users][SIM_LIST] */
    uint8_t *listed;           /* [n_items] */
    double *sort;              /* [n_users] */
    size_t choices;            /* of everybody, where beliefs shrink */
    float *quality;            /* [n_users][choices] */
    float *usual;              /* [n_groups][choices] */
    struct sim_policy *policy; /* of a shared solver, or NULL */
    uint8_t *learns;           /* [n_users] it learns from them */
    uint32_t *fold;            /* [n_users] */
    struct sim_rows rows[SIM_FOLDS];
    struct sim_eval *eval; /* [threads] */
    size_t round;
    /* Where the game came nearest to rest: its choices, and the residual by
     * utility. */
    uint8_t *nearest; /* [segments of all] */
    double nearest_share;
    struct rec_counts
        counts;       /* of the rows in `counted`; pair NULL: not kept */
    uint8_t *counted; /* [rows] */
};

/* --- the platform (game_train.c) -------------------------------------------
 */

/* Deal people into folds by a draw of each. */
void sim_deal(struct sim_play *g);

/* Keep counts where the model can be made from them and there is memory: a
 * round then costs what has changed, not what is there. */
ERR_CHECK
enum err sim_keep_counts(struct sim_play *g, struct mem_scratch *s);

/* Train on what everybody shows this round: g->rows of each fold, and the
 * digest of the result.  Errors of training. */
ERR_CHECK
enum err sim_train(struct sim_play *g);

/* The recommender of everybody's present choice but person u's, who makes the
 * choice in g->next. */
ERR_CHECK
enum err sim_train_changed(struct sim_play *g, size_t u, struct sim_rows *out);

/* --- figures (game_sum.c) --------------------------------------------------
 */
void sim_sum_up(struct sim_play *g, struct sim_round *r);

/* --- one's own effect on the recommender (game_own.c) ----------------------
 */
ERR_CHECK
enum err sim_retrain_some(struct sim_play *g);

#endif
