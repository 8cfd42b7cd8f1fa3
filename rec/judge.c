/* rec/judge.c - how likely each item of an ordered list is to be taken. */
#include "rec/judge.h"

#include "rec/faithful.h"

#include <stdlib.h>
#include <string.h>

/* --- networks --------------------------------------------------------------
 */

/* Two layers on what is known of each place. */
static struct nn_tensor *head(struct nn_tape *t, const struct rec_lists *l,
                              struct nn_tensor *h)
{
    if (l->learning != NULL)
        h = rec_faithful_norm(t, l, h, "judge/norm");
    h = nn_linear(t, h, "judge/first", 2 * l->dim, NN_RELU);
    h = nn_map_drop(t, h, "judge/drop", l->drop, l->keys);
    h = nn_linear(t, h, "judge/second", l->dim, NN_RELU);
    return rec_lists_flat(t, l, nn_linear(t, h, "judge/out", 1, NN_NONE));
}

struct nn_tensor *rec_judge_gru(struct nn_tape *t, const struct rec_lists *l)
{
    const struct nn_gru how = {.mask = l->mask};
    struct nn_tensor *both[2] = {l->x,
                                 nn_gru(t, l->x, "judge/gru", l->dim, &how)};

    return head(t, l, nn_shape_concat(t, 2, both, 2));
}

static void both_ways(struct nn_tape *t, const struct rec_lists *l,
                      struct nn_tensor *out[2])
{
    const struct nn_lstm down = {.mask = l->mask};
    const struct nn_lstm up = {.mask = l->mask, .reverse = true};

    out[0] = nn_lstm(t, l->x, "judge/down", l->dim / 2, &down);
    out[1] = nn_lstm(t, l->x, "judge/up", l->dim / 2, &up);
}

struct nn_tensor *rec_judge_both_ways(struct nn_tape *t,
                                      const struct rec_lists *l)
{
    struct nn_tensor *all[3] = {l->x};

    both_ways(t, l, all + 1);
    return head(t, l, nn_shape_concat(t, 3, all, 2));
}

struct nn_tensor *rec_judge_attending(struct nn_tape *t,
                                      const struct rec_lists *l)
{
    const struct nn_attend how = {.heads = 2, .mask = l->mask};
    struct nn_tensor *in = nn_linear(t, l->x, "judge/in", l->dim, NN_NONE);
    struct nn_tensor *all[4] = {l->x};

    both_ways(t, l, all + 1);
    all[3] = nn_attend_self(t, in, "judge/attend", l->dim, &how);
    return head(t, l, nn_shape_concat(t, 4, all, 2));
}

/* What a list says as a whole, beside each of its places. */
static struct nn_tensor *spread(struct nn_tape *t, const struct rec_lists *l,
                                struct nn_tensor *whole)
{
    return nn_shape_repeat(t, whole, 1, l->n);
}

struct nn_tensor *rec_judge_channels(struct nn_tape *t,
                                     const struct rec_lists *l)
{
    const struct nn_attend all = {.heads = 4, .mask = l->mask};
    const struct nn_gru read = {.mask = l->mask};
    struct nn_tensor *in = nn_linear(t, l->x, "judge/in", l->dim, NN_NONE);
    struct nn_tensor *own = nn_linear(t, l->x, "judge/own", 16, NN_RELU);
    struct nn_tensor *met = nn_linear_product(t, in, in, true);
    struct nn_tensor *channel[6];

    met = nn_linear(t, met, "judge/met", l->dim, NN_RELU);
    channel[0] = l->x;
    channel[1] = spread(t, l, rec_lists_mean(t, l, in));
    channel[2] = own;
    channel[3] = nn_attend_self(t, in, "judge/attend", l->dim, &all);
    channel[4] = nn_gru(t, l->x, "judge/gru", l->dim, &read);
    channel[5] = met;
    return head(t, l,
                nn_norm(t, nn_shape_concat(t, 6, channel, 2), "judge/norm"));
}

struct nn_tensor *rec_judge_omni(struct nn_tape *t, const struct rec_lists *l)
{
    const struct nn_attend how = {.heads = 2, .mask = l->mask};
    const size_t shape[2] = {l->n, l->dim};
    const struct nn_init small = {.kind = NN_INIT_NORMAL, .scale = 0.02};
    struct nn_tensor *in = nn_linear(t, l->x, "judge/item", l->dim, NN_SWISH);
    struct nn_tensor *h;

    in = nn_linear(t, in, "judge/in", l->dim, NN_NONE);
    in = nn_map_add(t, in,
                    nn_linear_param(t, "judge/position", 2, shape, small));
    h = nn_attend_self(t, in, "judge/attend", l->dim, &how);
    h = nn_linear(t, nn_map_add(t, in, h), "judge/mix", l->dim, NN_SWISH);
    struct nn_tensor *both[2] = {l->x, h};

    return head(t, l, nn_shape_concat(t, 2, both, 2));
}

/* --- learning and asking ---------------------------------------------------
 */

enum err rec_judge_open(struct rec_judge *j, struct nn_params *params,
                        rec_judge_build *how, const struct rec_rerank_opts *o,
                        size_t batch, size_t n, size_t features, bool training)
{
    const size_t list[2] = {batch, n};
    struct nn_tensor *logit, *loss = NULL;

    *j = (struct rec_judge){.params = params,
                            .batch = batch,
                            .n = n,
                            .features = features,
                            .faithful = o->faithful};
    j->lists = mem_take(&j->s, batch * n, features, sizeof(*j->lists));
    j->there = mem_take(&j->s, batch, n, sizeof(*j->there));
    if (j->s.failed)
        return err_set(ERR_NOMEM, "no memory to judge lists");
    ERR_TRY(nn_tape_new(&j->tape, params));
    j->x = nn_tape_input(j->tape, "x", 3, (size_t[]){batch, n, features});
    j->mask = nn_tape_input(j->tape, "mask", 2, list);
    j->keys = nn_tape_keys(j->tape, "people", batch);
    if (o->faithful)
        j->learning = nn_tape_input(j->tape, "learning", 1, (size_t[]){1});
    const struct rec_lists l = {.x = j->x,
                                .mask = j->mask,
                                .keys = j->keys,
                                .learning = j->learning,
                                .batch = batch,
                                .n = n,
                                .features = features,
                                .dim = (size_t)o->dim,
                                .drop = o->drop};

    logit = how(j->tape, &l);
    j->p = nn_map(j->tape, logit, NN_SIGMOID);
    nn_tape_keep(j->tape, j->p);
    if (training) {
        j->label = nn_tape_input(j->tape, "label", 2, list);
        loss = nn_reduce_mean(j->tape, nn_loss_bce(j->tape, logit, j->label),
                              j->mask);
    }
    return nn_tape_plan(j->tape, loss);
}

void rec_judge_close(struct rec_judge *j)
{
    nn_tape_free(j->tape);
    mem_drop(&j->s);
    *j = (struct rec_judge){.n = 0};
}

/* Copy places of lists of `of` items into lists of j->n. */
static void set_lists(struct rec_judge *j, const float *x, const float *mask,
                      const uint64_t *key, size_t of, const uint32_t *order)
{
    const size_t w = j->features;

    for (size_t b = 0; b < j->batch; b++) {
        for (size_t k = 0; k < j->n; k++) {
            const size_t at = order != NULL ? order[b * of + k] : k;
            const float *from = x + (b * of + at) * w;

            memcpy(j->lists + (b * j->n + k) * w, from, w * sizeof(*from));
            j->there[b * j->n + k] = mask[b * of + at];
        }
    }
    nn_tape_set(j->tape, j->x, j->lists);
    nn_tape_set(j->tape, j->mask, j->there);
    nn_tape_set_keys(j->tape, j->keys, key);
}

static enum err step(void *arg, struct rec_step *p, struct nn_optim *optim,
                     double *loss)
{
    struct rec_judge *j = arg;
    const size_t of = p->list;

    set_lists(j, p->x, p->mask, p->key, of, NULL);
    for (size_t b = 0; b < j->batch; b++) {
        for (size_t k = 0; k < j->n; k++)
            nn_tape_put(j->tape, j->label, b * j->n + k,
                        p->label[b * of + k] > 0);
    }
    if (j->learning != NULL)
        nn_tape_fill(j->tape, j->learning, 1);
    return nn_optim_train(optim, j->tape, loss);
}

/* Of the items in the first j->n places. */
static double share_taken(const struct rec_judge *j,
                          const struct rec_lessons *t)
{
    double there = 0, taken = 0;

    for (size_t l = 0; l < t->n; l++) {
        for (size_t k = 0; k < j->n; k++) {
            const size_t at = l * t->list + k;

            there += t->mask[at] > 0;
            taken += t->mask[at] > 0 && t->label[at] > 0;
        }
    }
    return there > 0 ? taken / there : 0;
}

enum err rec_judge_learn(struct rec_judge *j, const struct rec_model *m,
                         const struct rec_lessons *t)
{
    ERR_TRY(rec_lessons_learn(j->params, m, t, j->batch,
                              "learning to judge lists", step, j));
    nn_tape_training(j->tape, false);
    j->taken = share_taken(j, t);
    return ERR_OK;
}

enum err rec_judge_ask(struct rec_judge *j, const struct rec_asked *a,
                       size_t of, const uint32_t *order, float *out)
{
    set_lists(j, a->x, a->mask, a->key, of, order);
    if (j->learning != NULL)
        nn_tape_fill(j->tape, j->learning, 0);
    ERR_TRY(nn_tape_forward(j->tape));
    nn_tape_get(j->tape, j->p, out);
    return ERR_OK;
}

void rec_judge_rewards(const struct rec_judge *j, size_t n, size_t places,
                       const float *p, float *out)
{
    const float later = j->faithful ? 0.01F : 1;

    for (size_t b = 0; b < j->batch; b++) {
        float next = 0;

        for (size_t k = places; k-- > 0;) {
            next = p[b * n + k] + later * next;
            out[b * places + k] = next;
        }
    }
}
