/*
 * attack/attack_dl_mia.c - difference vectors, taken apart and weighed.
 * Source: Wang et al., KDD 2022 (arXiv 2206.12401).
 *
 * A variational encoder splits a difference vector into a specific part (von
 * Mises-Fisher) and an invariant part (Gaussian), learnt from shadow and target
 * together; three networks judge the vector and its parts; then shadow and
 * target are learnt alternately, the target with its own predictions as labels,
 * each person weighed by how much nearer the model has come to them.
 *
 * What differs from the published program, and why, is in docs/audit.md:
 * numbers instead of a vocabulary of numbers; labels of the target are the
 * predictions (the program uses the truth by accident); weights belong to
 * people and have an effect; no choice of epoch by the target's labels; vectors
 * have the item's popularity as one coordinate more, and are standardised.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attack/attack.h"
#include "attack/dl_faithful.h"
#include "attack/features.h"
#include "attack/vmf.h"
#include "base/mem.h"
#include "base/par.h"
#include "nn/nn.h"

#define BATCH ((size_t)64)
#define PART ((size_t)50) /* numbers of the specific, and of the invariant */
#define HIDDEN ((size_t)100)
#define ENCODER_EPOCHS 60 /* alone */
#define SHADOW_EPOCHS 5   /* with the shadow's labels */
#define ROUNDS 10         /* of weighing, then learning from both */
#define ROUND_EPOCHS 10
#define KL_VMF 1e-4
#define KL_GAUSS 1e-3
#define SPECIFIC 0.3 /* weights of the second and third network */
#define INVARIANT 0.1
/* Weights of the standardised coordinates: those of a factor model mean another
 * thing for another recommender, popularity means the same everywhere. */
#define POPULARITY 3.0
#define VECTORS 0.003
#define SHADOW_WEIGHT 0.1f /* in the rounds */
/* --- vectors -------------------------------------------------------------- */

/* [p->n][dim + 1]: the difference, and the mean log-popularity of the list;
 * each column is standardised inside the set, then weighed. */
static enum err vectors_of(struct mem_scratch *m, const struct atk_people *p,
                           const struct atk_items *t, float **out)
{
    const size_t dim = t->dim + 1;
    float *diff = mem_take(m, p->n, t->dim, sizeof(*diff));
    float *x = mem_take(m, p->n, dim, sizeof(*x));
    double *log_count = mem_take(m, t->n, 1, sizeof(*log_count));
    double *column = mem_take(m, p->n, 1, sizeof(*column));

    if (m->failed)
        return err_set(ERR_NOMEM, "no memory for difference vectors");
    ERR_TRY(atk_difference(p, t, diff));
    atk_popularity(p, t->n, log_count);
    for (size_t d = 0; d < dim; d++) {
        if (d < t->dim) {
            for (size_t u = 0; u < p->n; u++)
                column[u] = (double)diff[u * t->dim + d];
        } else {
            atk_list_mean(p, log_count, column);
        }
        atk_standardise(column, p->n);
        for (size_t u = 0; u < p->n; u++)
            x[u * dim + d] =
                (float)(column[u] * (d < t->dim ? VECTORS : POPULARITY));
    }
    *out = x;
    return ERR_OK;
}

/* --- the network ---------------------------------------------------------- */

struct side {
    struct nn_tensor *x, *label, *weight; /* inputs */
    struct atk_vmf_draw draw;
    struct nn_tensor *ce[3]; /* [BATCH] of each network */
};

struct net {
    struct nn_params *p;
    struct nn_tape *learn, *apply;
    struct side shadow, target;
    struct nn_tensor *x, *out[3]; /* of apply */
    struct nn_optim *o;
    size_t dim;
    uint64_t seed;
};

struct parts {
    struct nn_tensor *mu, *kappa, *mean, *logvar;
};

static struct parts encode(struct nn_tape *t, struct nn_tensor *x)
{
    struct nn_tensor *y = nn_linear(t, x, "specific/in", HIDDEN, NN_RELU);
    struct nn_tensor *z = nn_linear(t, x, "invariant/in", HIDDEN, NN_RELU);

    return (struct parts){
        .mu = nn_norm_unit(t, nn_linear(t, y, "specific/mu", PART, NN_NONE)),
        .kappa = nn_map_scale(
            t, nn_linear(t, y, "specific/kappa", 1, NN_SOFTPLUS), 1, 1),
        .mean = nn_linear(t, z, "invariant/mean", PART, NN_NONE),
        .logvar = nn_linear(t, z, "invariant/logvar", PART, NN_NONE),
    };
}

static struct nn_tensor *judge(struct nn_tape *t, struct nn_tensor *x,
                               const char *const name[3])
{
    x = nn_linear(t, x, name[0], 32, NN_RELU);
    x = nn_linear(t, x, name[1], 8, NN_RELU);
    return nn_linear(t, x, name[2], 2, NN_NONE);
}

static void judges(struct nn_tape *t, struct nn_tensor *x,
                   const struct parts *f, struct nn_tensor *out[3])
{
    static const char *const name[3][3] = {
        {"whole/1", "whole/2", "whole/3"},
        {"spe/1", "spe/2", "spe/3"},
        {"inv/1", "inv/2", "inv/3"},
    };

    out[0] = judge(t, x, name[0]);
    out[1] = judge(t, f->mu, name[1]);
    out[2] = judge(t, f->mean, name[2]);
}

/* Loss of one side: reconstruction, both divergences, three judgements. */
static struct nn_tensor *side_loss(struct nn_tape *t, struct side *s,
                                   size_t dim, const char *noise)
{
    s->x = nn_tape_input(t, "x", 2, (size_t[]){BATCH, dim});
    s->label = nn_tape_ids(t, "label", 1, (size_t[]){BATCH});
    s->weight = nn_tape_input(t, "weight", 1, (size_t[]){BATCH});
    s->draw = (struct atk_vmf_draw){.rows = BATCH, .dim = PART};
    atk_vmf_draw_inputs(t, &s->draw);
    const struct parts f = encode(t, s->x);
    struct nn_tensor *out[3], *z[2];

    s->draw.kappa = f.kappa;
    z[0] = atk_vmf_draw_from(t, f.mu, &s->draw);
    z[1] = nn_map_sample(t, f.mean, f.logvar, noise, NULL);
    struct nn_tensor *back = nn_linear(
        t, nn_linear(t, nn_shape_concat(t, 2, z, 1), "back/1", HIDDEN, NN_RELU),
        "back/2", dim, NN_NONE);
    struct nn_tensor *loss = nn_map_scale(
        t, nn_reduce_mean(t, nn_loss_square(t, back, s->x), NULL), 0.5, 0);

    loss = nn_map_add(
        t, loss,
        nn_map_scale(t,
                     nn_reduce_mean(t, nn_loss_kl_vmf(t, f.kappa, PART), NULL),
                     KL_VMF, 0));
    loss = nn_map_add(
        t, loss,
        nn_map_scale(
            t, nn_reduce_mean(t, nn_loss_kl_gauss(t, f.mean, f.logvar), NULL),
            KL_GAUSS, 0));
    judges(t, s->x, &f, out);
    for (size_t k = 0; k < 3; k++) {
        static const double share[3] = {1 - SPECIFIC - INVARIANT, SPECIFIC,
                                        INVARIANT};

        s->ce[k] = nn_loss_ce(t, out[k], s->label);
        loss = nn_map_add(
            t, loss,
            nn_map_scale(
                t, nn_reduce_sum(t, nn_map_mul(t, s->ce[k], s->weight), NULL),
                share[k] / (double)BATCH, 0));
    }
    return loss;
}

static enum err build(struct net *n)
{
    const struct nn_optim_opt adam = {.kind = NN_ADAM, .lr = 1e-3, .clip = 5};

    ERR_TRY(nn_params_new(&n->p, NN_F32, n->seed));
    ERR_TRY(nn_tape_new(&n->learn, n->p));
    ERR_TRY(nn_tape_new(&n->apply, n->p));
    struct nn_tensor *loss = nn_map_add(
        n->learn, side_loss(n->learn, &n->shadow, n->dim, "shadow noise"),
        side_loss(n->learn, &n->target, n->dim, "target noise"));

    n->x = nn_tape_input(n->apply, "x", 2, (size_t[]){BATCH, n->dim});
    const struct parts f = encode(n->apply, n->x);

    judges(n->apply, n->x, &f, n->out);
    for (size_t k = 0; k < 3; k++)
        nn_tape_keep(n->apply, n->out[k]);
    ERR_TRY(nn_tape_plan(n->learn, loss));
    ERR_TRY(nn_tape_plan(n->apply, NULL));
    return nn_optim_new(&n->o, n->p, &adam);
}

/* --- judging everybody ---------------------------------------------------- */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* Log-odds of the weighted mean of the three networks' probabilities. */
static double log_odds(const struct net *n, size_t i)
{
    static const double share[3] = {1 - SPECIFIC - INVARIANT, SPECIFIC,
                                    INVARIANT};
    double yes = 0, no = 0;

    for (size_t k = 0; k < 3; k++) {
        const double d = nn_tape_at(n->apply, n->out[k], 2 * i + 1) -
                         nn_tape_at(n->apply, n->out[k], 2 * i);

        yes += share[k] * sigmoid(d);
        no += share[k] * sigmoid(-d);
    }
    return log(yes) - log(no);
}

static enum err apply(struct net *n, const float *x, size_t people, double *out)
{
    for (size_t first = 0; first < people; first += BATCH) {
        const size_t k = people - first < BATCH ? people - first : BATCH;

        for (size_t i = 0; i < BATCH * n->dim; i++)
            nn_tape_put(n->apply, n->x, i,
                        i < k * n->dim ? (double)x[first * n->dim + i] : 0);
        ERR_TRY(nn_tape_forward(n->apply));
        for (size_t i = 0; i < k; i++)
            out[first + i] = log_odds(n, i);
    }
    return ERR_OK;
}

/* --- learning ------------------------------------------------------------- */

struct people {
    const float *x;
    size_t n;
    uint8_t *label; /* [n] */
    float *weight;  /* [n] of the judgements; 0: the encoder alone learns */
    uint32_t *order;
    uint64_t *name;
};

static enum err put_batch(struct net *n, struct side *s, const struct people *p,
                          size_t first)
{
    uint32_t label[BATCH];

    for (size_t i = 0; i < BATCH; i++) {
        const uint32_t u = p->order[(first + i) % p->n];

        label[i] = p->label[u];
        nn_tape_put(n->learn, s->weight, i, (double)p->weight[u]);
        for (size_t d = 0; d < n->dim; d++)
            nn_tape_put(n->learn, s->x, i * n->dim + d,
                        (double)p->x[u * n->dim + d]);
    }
    return nn_tape_set_ids(n->learn, s->label, label);
}

static enum err one_step(struct net *n, const struct people *shadow,
                         const struct people *target, size_t first)
{
    const uint64_t name = 2 * nn_optim_steps(n->o);

    ERR_TRY(put_batch(n, &n->shadow, shadow, first));
    ERR_TRY(put_batch(n, &n->target, target, first));
    /* kappa first: the draw depends on it */
    ERR_TRY(nn_tape_forward_to(n->learn, n->shadow.draw.kappa, true));
    atk_vmf_draw_put(n->learn, &n->shadow.draw, n->seed, name);
    ERR_TRY(nn_tape_forward_to(n->learn, n->target.draw.kappa, false));
    atk_vmf_draw_put(n->learn, &n->target.draw, n->seed, name + 1);
    return nn_optim_train(n->o, n->learn, NULL);
}

static enum err epochs(struct net *n, struct people *shadow,
                       struct people *target, size_t from, size_t count)
{
    const size_t most = shadow->n > target->n ? shadow->n : target->n;

    for (size_t epoch = from; epoch < from + count; epoch++) {
        ERR_TRY(nn_order(shadow->order, shadow->name, shadow->n, n->seed,
                         2 * epoch));
        ERR_TRY(nn_order(target->order, target->name, target->n, n->seed,
                         2 * epoch + 1));
        for (size_t first = 0; first < most; first += BATCH)
            ERR_TRY(one_step(n, shadow, target, first));
    }
    return ERR_OK;
}

/* Cross-entropy of a label that is the prediction itself. */
static double surprise(double log_odds)
{
    return log1p(exp(-fabs(log_odds)));
}

/* The truth score that minimises (c0 / p - c1)^2 is c0 / c1: how much nearer
 * the model has come since only the shadow had taught it.  Its logistic, around
 * the mean, is the weight. */
static enum err weigh(struct people *p, const double *before, const double *now)
{
    double mean = 0, sum = 0, split[2];

    /* While shadow and target differ, 0 is not where the target's kinds part.
     */
    ERR_TRY(atk_cut(before, p->n, &split[0]));
    ERR_TRY(atk_cut(now, p->n, &split[1]));
    for (size_t u = 0; u < p->n; u++) {
        const double truth = fmin(10, (surprise(before[u] - split[0]) + 1e-3) /
                                          (surprise(now[u] - split[1]) + 1e-3));

        p->weight[u] = (float)truth;
        mean += truth / (double)p->n;
    }
    for (size_t u = 0; u < p->n; u++) {
        p->weight[u] = (float)sigmoid((double)p->weight[u] - mean);
        sum += (double)p->weight[u];
    }
    for (size_t u = 0; u < p->n; u++) {
        p->weight[u] *= (float)((double)p->n / sum);
        p->label[u] = now[u] > split[1];
    }
    return ERR_OK;
}

static enum err take(struct mem_scratch *m, struct people *p)
{
    p->label = mem_take(m, p->n, 1, 1);
    p->weight = mem_take(m, p->n, 1, sizeof(*p->weight));
    p->order = mem_take(m, p->n, 1, sizeof(*p->order));
    p->name = mem_take(m, p->n, 1, sizeof(*p->name));
    if (m->failed)
        return err_set(ERR_NOMEM, "no memory for an attack");
    for (size_t u = 0; u < p->n; u++)
        p->name[u] = u;
    return ERR_OK;
}

static enum err learn(struct net *n, struct people *shadow,
                      struct people *target, double *before, double *now)
{
    size_t epoch = ENCODER_EPOCHS;

    ERR_TRY(epochs(n, shadow, target, 0, ENCODER_EPOCHS));
    for (size_t u = 0; u < shadow->n; u++)
        shadow->weight[u] = 1;
    ERR_TRY(epochs(n, shadow, target, epoch, SHADOW_EPOCHS));
    epoch += SHADOW_EPOCHS;
    ERR_TRY(apply(n, target->x, target->n, before));
    for (size_t round = 0; round < ROUNDS; round++) {
        ERR_TRY(apply(n, target->x, target->n, now));
        ERR_TRY(weigh(target, before, now));
        for (size_t u = 0; u < shadow->n; u++)
            shadow->weight[u] = SHADOW_WEIGHT;
        ERR_TRY(epochs(n, shadow, target, epoch, ROUND_EPOCHS));
        epoch += ROUND_EPOCHS;
    }
    return ERR_OK;
}

static enum err attack(const struct atk_case *c, struct atk_scores *out,
                       struct mem_scratch *m, struct net *n)
{
    struct people shadow = {.n = c->shadow.n}, target = {.n = c->target.n};
    float *x;

    ERR_TRY(vectors_of(m, &c->shadow, &c->items, &x));
    shadow.x = x;
    ERR_TRY(vectors_of(m, &c->target, &c->items, &x));
    target.x = x;
    double *before = mem_take(m, target.n, 2, sizeof(*before));

    ERR_TRY(take(m, &shadow));
    ERR_TRY(take(m, &target));
    memcpy(shadow.label, c->shadow.member, shadow.n);
    ERR_TRY(build(n));
    ERR_TRY(learn(n, &shadow, &target, before, before + target.n));
    ERR_TRY(apply(n, shadow.x, shadow.n, out->shadow));
    return apply(n, target.x, target.n, out->target);
}

static enum err run(const struct atk_case *c, struct atk_scores *out)
{
    struct mem_scratch m = {0};
    struct net n = {.dim = c->items.dim + 1, .seed = c->seed};
    const size_t threads = par_threads();

    /* Layers of a hundred are too small to share: two threads wait for each
     * other longer than one computes (docs/audit.md has the seconds). */
    par_set_threads(1);
    const enum err e = attack(c, out, &m, &n);

    par_set_threads(threads);
    nn_optim_free(n.o);
    nn_tape_free(n.learn);
    nn_tape_free(n.apply);
    nn_params_free(n.p);
    mem_drop(&m);
    out->has_shadow = out->has_threshold = true;
    out->threshold = 0; /* the target's labels were cut: it is their 0 too */
    (void)snprintf(
        out->note, sizeof(out->note),
        "repaired: the target's labels are the attack's own "
        "predictions, weights learn and belong to people, the number "
        "of epochs is fixed; numbers are no words of a vocabulary "
        "(--faithful for the published form)");
    return e;
}

extern const struct atk_attack atk_attack_dl_mia;
const struct atk_attack atk_attack_dl_mia = {
    .name = "dl-mia",
    .help = "difference vectors taken apart by a variational encoder, weighed",
    .sees = "a person's history and list; people of known membership; vectors "
            "of items",
    .source = "Wang et al., KDD 2022",
    .needs = ATK_NEEDS_SHADOW | ATK_NEEDS_VECTORS,
    .run = run,
    .faithful = atk_dl_faithful,
};
