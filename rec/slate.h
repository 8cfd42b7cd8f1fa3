/*
 * rec/slate.h - networks that make a list item after item: generators.
 *
 * Items are encoded once; a recurrent state knows what was placed (it is fed
 * the item placed last, in training and when serving); each place chooses among
 * the items that are left.  All places stand on one tape, so that what was
 * chosen can be learnt from with nothing computed twice.  The first stage's
 * score is added to every choice, with a weight of its own.
 */
#ifndef REC_SLATE_H
#define REC_SLATE_H

#include "rec/judge.h"

enum rec_slate_loss {
    REC_SLATE_LABELS, /* cross entropy with what was taken, among what is left
                       */
    REC_SLATE_PPO,    /* clipped at .1, entropy .001 */
};

struct rec_slate_kind {
    bool lstm;    /* else GRU */
    bool pointer; /* additive attention scores items; else one layer more */
    bool pooled;  /* the state begins with what the list is like */
    bool steered; /* the last layer hangs on a preference in 0..1 */
    enum rec_slate_loss loss;
};

struct rec_slate {
    const struct rec_slate_kind *kind;
    struct nn_tape *tape;
    struct nn_tensor *x, *mask, *keys, *wish;
    struct nn_tensor *before[REC_PLACES_MOST]; /* ids [batch][1] placed last */
    struct nn_tensor *shut[REC_PLACES_MOST];   /* [batch][n] 0, or very low */
    struct nn_tensor *logit[REC_PLACES_MOST];  /* [batch][n] */
    /* for learning: */
    struct nn_tensor *placed[REC_PLACES_MOST];   /* ids [batch] */
    struct nn_tensor *open_now[REC_PLACES_MOST]; /* [batch][n] */
    struct nn_tensor *label;                     /* [batch][n] */
    struct nn_tensor *untaken;                   /* [batch][n]: without one */
    struct nn_tensor *worth; /* [places][batch]: weights, rewards, advantages */
    struct nn_tensor *cost;  /* [places][batch]: -ln p of what was placed */
    struct nn_tensor *old;   /* [places][batch]: ln p when it was placed */
    struct nn_tensor *loss;
    size_t batch, n, features, places;
    bool faithful; /* the public code's defects: while it follows an order, the
                      state reads the list as it was given; no first stage */
    bool even;     /* draws are even, whatever the scores say */
    struct mem_scratch s;
    float *open, *value; /* [batch][n] */
    uint32_t *last;      /* [batch] */
};

/* places: at most n are used.  Parameters "gen/..." and "net/out".  Must be
 * closed whatever comes back. */
ERR_CHECK
enum err rec_slate_open(struct rec_slate *g, struct nn_params *params,
                        const struct rec_slate_kind *kind,
                        const struct rec_rerank_opts *o, size_t batch, size_t n,
                        size_t features, bool training);
void rec_slate_close(struct rec_slate *g);

/* The preferences that a steered generator follows: wish[batch] in 0..1. */
void rec_slate_steer(struct rec_slate *g, const double *wish);

/*
 * order[batch][n]: chosen one after the other, the best each time, or (draw
 * not 0) drawn by their probabilities with random numbers of that name; behind
 * the last place the others as they were scored last.  Behind a list's items
 * come the places that are empty.
 */
ERR_CHECK
enum err rec_slate_choose(struct rec_slate *g, const struct rec_asked *a,
                          uint64_t draw, uint32_t *order);

/* Follow a given order, up to the loss, of which everything else is set.
 * label[batch][n]: for REC_SLATE_LABELS; NULL otherwise. */
ERR_CHECK
enum err rec_slate_follow(struct rec_slate *g, const struct rec_asked *a,
                          const uint32_t *order, const float *label);

/* value[batch][n] whose descending order is `order`. */
void rec_slate_values(const struct rec_slate *g, const uint32_t *order,
                      float *value);

/* Lists that were made, and which of their places to reward. */
struct rec_tried {
    const uint32_t *order; /* [batch][n] */
    size_t n, places;
    size_t first, end;  /* places first..end-1 */
    const double *wish; /* [batch]: see rec_slate_steer() */
};

/* Rewards of those places (and perhaps of others), reward[batch][places], each
 * with what it does to the places below it; by a judge that has learnt (and
 * whatever else there is in `a`). */
typedef enum err rec_slate_reward(struct rec_judge *j,
                                  const struct rec_asked *a,
                                  const struct rec_tried *t, float *reward);

/* A generator as a re-ranker: what its file says. */
struct rec_slate_maker {
    struct rec_slate_kind kind;
    rec_judge_build *judge; /* NULL: labels are enough */
    rec_slate_reward *reward;
};

ERR_CHECK
enum err rec_slate_ways_open(struct rec_net *k, const struct rec_model *m,
                             bool training, const struct rec_slate_maker *how);
ERR_CHECK
enum err rec_slate_ways_learn(struct rec_net *k, const struct rec_model *m,
                              const struct rec_lessons *t,
                              const struct rec_slate_maker *how);
ERR_CHECK
enum err rec_slate_ways_order(struct rec_net *k, const struct rec_asked *a,
                              float *value);
void rec_slate_ways_close(struct rec_net *k);

/* The re-ranker NAME: a generator as `maker` says. */
#define REC_SLATE_RERANKER(word, what, maker, kinship, reads_more)             \
    static enum err open_net(struct rec_net *k, const struct rec_model *m,     \
                             bool training)                                    \
    {                                                                          \
        return rec_slate_ways_open(k, m, training, &(maker));                  \
    }                                                                          \
    static enum err learn(struct rec_net *k, const struct rec_model *m,        \
                          const struct rec_lessons *t)                         \
    {                                                                          \
        return rec_slate_ways_learn(k, m, t, &(maker));                        \
    }                                                                          \
    static const struct rec_reranker_ways ways = {                             \
        .open = open_net,                                                      \
        .learn = learn,                                                        \
        .order = rec_slate_ways_order,                                         \
        .close = rec_slate_ways_close,                                         \
    };                                                                         \
    extern const struct rec_reranker rec_reranker_##word;                      \
    const struct rec_reranker rec_reranker_##word = {                          \
        .name = #word,                                                         \
        .help = what,                                                          \
        .ways = &ways,                                                         \
        .kin = kinship,                                                        \
        .reads = "epochs dim batch rate drop decay places " REC_READ_BY_THIN   \
            reads_more,                                                        \
    };

#endif
