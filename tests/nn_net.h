/* tests/nn_net.h - a small network to try training on. */
#ifndef TESTS_NN_NET_H
#define TESTS_NN_NET_H

#include <math.h>

#include "nn/nn.h"
#include "tests/kern.h"

enum { BATCH = 24, STEPS = 6, ITEMS = 40, WIDTH = 16 };

struct net {
    struct nn_params *p;
    struct nn_tape *t;
    struct nn_tensor *items, *target, *keys, *score, *loss;
};

static inline struct nn_tensor *net_body(struct net *n, double drop)
{
    struct nn_tape *t = n->t;

    n->items = nn_tape_ids(t, "items", 2, (size_t[]){BATCH, STEPS});
    n->target = nn_tape_input(t, "target", 1, (size_t[]){BATCH});
    n->keys = nn_tape_keys(t, "keys", BATCH);
    struct nn_tensor *x = nn_embed(t, n->items, "item", ITEMS, WIDTH, 0.3);

    x = nn_map_drop(t, x, "drop", drop, n->keys);
    x = nn_attend_self(t, x, "attend", WIDTH,
                       &(struct nn_attend){.heads = 2, .causal = true});
    x = nn_gru(t, nn_norm(t, x, "norm"), "gru", WIDTH, NULL);
    x = nn_shape_slice(t, x, 1, STEPS - 1, STEPS);
    x = nn_linear(t, x, "last", 1, NN_NONE);
    n->score = nn_shape_as(t, x, 1, (size_t[]){BATCH});
    return n->score;
}

static inline enum err net_open(struct net *n, uint64_t seed)
{
    *n = (struct net){0};
    ERR_TRY(nn_params_new(&n->p, NN_F32, seed));
    ERR_TRY(nn_tape_new(&n->t, n->p));
    struct nn_tensor *x = net_body(n, 0.1);

    n->loss = nn_reduce_mean(n->t, nn_loss_bce(n->t, x, n->target), NULL);
    return nn_tape_plan(n->t, n->loss);
}

static inline void net_close(struct net *n)
{
    nn_tape_free(n->t);
    nn_params_free(n->p);
}

/* A batch whose answer can be learnt: is the first item above the last? */
static inline void net_fill(struct net *n, uint64_t step)
{
    uint32_t items[BATCH * STEPS];
    float target[BATCH];
    uint64_t keys[BATCH];

    for (size_t b = 0; b < BATCH; b++) {
        for (size_t i = 0; i < STEPS; i++)
            items[b * STEPS + i] =
                (uint32_t)((float)(ITEMS / 2) *
                           rng_f32(step, RNG_SYNTH, b * STEPS + i));
        target[b] = items[b * STEPS] > items[b * STEPS + STEPS - 1] ? 1 : 0;
        keys[b] = step * BATCH + b;
    }
    assert_int_equal(nn_tape_set_ids(n->t, n->items, items), ERR_OK);
    nn_tape_set(n->t, n->target, target);
    nn_tape_set_keys(n->t, n->keys, keys);
    nn_tape_step(n->t, step);
}

static inline double net_step(struct net *n, struct nn_optim *o, uint64_t step)
{
    net_fill(n, step);
    assert_int_equal(nn_tape_forward(n->t), ERR_OK);
    assert_int_equal(nn_tape_backward(n->t), ERR_OK);
    assert_int_equal(nn_optim_step(o), ERR_OK);
    return nn_tape_at(n->t, n->loss, 0);
}

static const struct nn_optim_opt adam = {
    .kind = NN_ADAM, .lr = 0.01, .clip = 1, .warm_up = 5};

#endif /* TESTS_NN_NET_H */
