/* attack/mlp.c - a small network that tells members from non-members. */
#include "attack/mlp.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "nn/nn.h"

#define BATCH 64 /* people of a pass without learning */

struct net {
    struct nn_params *p;
    struct nn_tape *learn, *apply;
    struct nn_tensor *x, *label, *x_many, *out_many;
    struct nn_optim *o;
};

#define FIRST 32 /* outputs of the layers */
#define SECOND 8

static struct nn_tensor *layers(struct nn_tape *t, struct nn_tensor *x)
{
    x = nn_linear(t, x, "first", FIRST, NN_RELU);
    x = nn_linear(t, x, "second", SECOND, NN_RELU);
    return nn_linear(t, x, "third", 2, NN_NONE);
}

/* As PyTorch draws the first values of a layer of so many inputs: what the
 * network comes to hangs on them. */
static enum err draw(struct nn_params *p, const char *weight, const char *bias,
                     size_t in)
{
    const struct nn_init how = {NN_INIT_UNIFORM, 1 / sqrt((double)in), in, 0};

    ERR_TRY(nn_params_draw(p, weight, how));
    return nn_params_draw(p, bias, how);
}

static enum err build(struct net *n, const struct atk_mlp *how)
{
    const struct nn_optim_opt sgd = {
        .kind = NN_SGD, .lr = how->lr, .beta1 = how->momentum};

    ERR_TRY(nn_params_new(&n->p, NN_F32, how->seed));
    ERR_TRY(nn_tape_new(&n->learn, n->p));
    ERR_TRY(nn_tape_new(&n->apply, n->p));
    n->x = nn_tape_input(n->learn, "x", 2, (size_t[]){1, how->dim});
    n->label = nn_tape_ids(n->learn, "member", 1, (size_t[]){1});
    struct nn_tensor *out = layers(n->learn, n->x);

    if (how->soft_twice)
        out = nn_reduce_softmax(n->learn, out, NULL);
    out = nn_reduce_mean(n->learn, nn_loss_ce(n->learn, out, n->label), NULL);
    n->x_many = nn_tape_input(n->apply, "x", 2, (size_t[]){BATCH, how->dim});
    n->out_many = layers(n->apply, n->x_many);
    ERR_TRY(nn_tape_plan(n->learn, out));
    ERR_TRY(nn_tape_plan(n->apply, NULL));
    if (how->as_pytorch) {
        ERR_TRY(draw(n->p, "first/weight", "first/bias", how->dim));
        ERR_TRY(draw(n->p, "second/weight", "second/bias", FIRST));
        ERR_TRY(draw(n->p, "third/weight", "third/bias", SECOND));
    }
    return nn_optim_new(&n->o, n->p, &sgd);
}

static void put_members_first(uint32_t *order, const uint8_t *member,
                              size_t people)
{
    size_t n = 0;

    for (size_t k = 0; k < 2; k++) {
        for (size_t u = 0; u < people; u++) {
            if ((member[u] != 0) == (k == 0))
                order[n++] = (uint32_t)u;
        }
    }
}

static enum err learn(struct net *n, const struct atk_mlp *how, const float *x,
                      const uint8_t *member, size_t people)
{
    struct mem_scratch m = {0};
    uint32_t *order = mem_take(&m, people, 1, sizeof(*order));
    uint64_t *name = mem_take(&m, people, 1, sizeof(*name));
    enum err e =
        m.failed ? err_set(ERR_NOMEM, "no memory for an attack") : ERR_OK;

    for (size_t u = 0; u < people && e == ERR_OK; u++)
        name[u] = u;
    if (e == ERR_OK)
        put_members_first(order, member, people);
    for (size_t epoch = 0; epoch < how->epochs && e == ERR_OK; epoch++) {
        if (!how->members_first)
            e = nn_order(order, name, people, how->seed, epoch);
        for (size_t i = 0; i < people && e == ERR_OK; i++) {
            const uint32_t label = member[order[i]];

            nn_tape_set(n->learn, n->x, x + order[i] * how->dim);
            e = nn_tape_set_ids(n->learn, n->label, &label);
            if (e == ERR_OK)
                e = nn_optim_train(n->o, n->learn, NULL);
        }
    }
    mem_drop(&m);
    return e;
}

static enum err apply(struct net *n, size_t dim, const float *x, size_t people,
                      double *out)
{
    for (size_t first = 0; first < people; first += BATCH) {
        const size_t k = people - first < BATCH ? people - first : BATCH;

        for (size_t i = 0; i < BATCH * dim; i++)
            nn_tape_put(n->apply, n->x_many, i,
                        i < k * dim ? (double)x[first * dim + i] : 0);
        ERR_TRY(nn_tape_forward(n->apply));
        for (size_t i = 0; i < k; i++)
            out[first + i] = nn_tape_at(n->apply, n->out_many, 2 * i + 1) -
                             nn_tape_at(n->apply, n->out_many, 2 * i);
    }
    return ERR_OK;
}

enum err atk_mlp_scores(const struct atk_mlp *how, const float *x,
                        const uint8_t *member, size_t n, const float *z,
                        size_t n_z, double *of_x, double *of_z)
{
    struct net net = {0};
    enum err e = build(&net, how);

    if (e == ERR_OK)
        e = learn(&net, how, x, member, n);
    if (e == ERR_OK)
        e = apply(&net, how->dim, x, n, of_x);
    if (e == ERR_OK)
        e = apply(&net, how->dim, z, n_z, of_z);
    nn_optim_free(net.o);
    nn_tape_free(net.learn);
    nn_tape_free(net.apply);
    nn_params_free(net.p);
    return e;
}
