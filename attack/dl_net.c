/* attack/dl_net.c - the networks of DL-MIA as published: building, judging. */
#include "attack/dl_net.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

#define ENCODER ((size_t)50) /* each way */
#define KL_VMF 1e-4
#define KL_GAUSS 1e-3

/* --- layers --------------------------------------------------------------- */

/* [rows][dim][1] -> [rows][2 ENCODER]: the mean over the sentence. */
static struct nn_tensor *read_both_ways(struct nn_tape *t, struct nn_tensor *x,
                                        const char *on, const char *back)
{
    struct nn_tensor *way[2] = {
        nn_reduce_axis_mean(t, nn_lstm(t, x, on, ENCODER, NULL), 1),
        nn_reduce_axis_mean(
            t, nn_lstm(t, x, back, ENCODER, &(struct nn_lstm){.reverse = true}),
            1)};

    return nn_shape_concat(t, 2, way, 1);
}

static struct nn_tensor *judge(struct nn_tape *t, struct nn_tensor *x,
                               const char *const name[3])
{
    x = nn_linear(t, x, name[0], 32, NN_RELU);
    x = nn_linear(t, x, name[1], 8, NN_RELU);
    return nn_reduce_softmax(t, nn_linear(t, x, name[2], 2, NN_NONE), NULL);
}

static struct nn_tensor *judge_whole(struct nn_tape *t, struct nn_tensor *x)
{
    return judge(t, x,
                 (const char *const[]){"judge/whole/1", "judge/whole/2",
                                       "judge/whole/3"});
}

static struct nn_tensor *judge_part(struct nn_tape *t, struct nn_tensor *x)
{
    return judge(
        t, x,
        (const char *const[]){"judge/spe/1", "judge/spe/2", "judge/spe/3"});
}

static struct nn_tensor *weighed(struct nn_tape *t, struct nn_tensor *whole,
                                 struct nn_tensor *part)
{
    return nn_map_add(t, nn_map_scale(t, whole, 1 - ATK_DL_SPECIFIC, 0),
                      nn_map_scale(t, part, ATK_DL_SPECIFIC, 0));
}

/* The specific encoder, a draw from it, and the judges. */
static void read_specific(struct nn_tape *t, struct atk_dl_reader *r,
                          size_t rows, size_t dim, bool learns)
{
    const size_t shape[3] = {rows, dim, 1};

    r->x = nn_tape_input(t, "x", 2, shape);
    r->word = learns ? nn_tape_leaf(t, "word", 3, shape)
                     : nn_tape_input(t, "word", 3, shape);
    r->draw = (struct atk_vmf_draw){.rows = rows, .dim = ATK_DL_PART};
    atk_vmf_draw_inputs(t, &r->draw);
    struct nn_tensor *y = read_both_ways(t, r->word, "vae/y/on", "vae/y/back");
    struct nn_tensor *mu =
        nn_norm_unit(t, nn_linear(t, y, "vae/y/mu", ATK_DL_PART, NN_NONE));

    r->draw.kappa =
        nn_map_scale(t, nn_linear(t, y, "vae/y/kappa", 1, NN_SOFTPLUS), 1, 1);
    r->specific = atk_vmf_draw_from(t, mu, &r->draw);
    r->whole = judge_whole(t, r->x);
    r->spe = judge_part(t, r->specific);
    r->both = weighed(t, r->whole, r->spe);
}

/* --- encoders and decoder ------------------------------------------------- */

/* -> [rows]: minus the log-likelihood of the sentence and its end, a word. */
static struct nn_tensor *say_again(struct atk_dl_net *n, struct nn_tensor *z)
{
    struct nn_tape *t = n->learn.t;
    const size_t steps = n->dim + 1, all = ATK_DL_ROWS * steps;
    float one[ATK_DL_ROWS * (ATK_DL_LONGEST + 1)];
    struct nn_tensor *h[2] = {
        nn_lstm(t, nn_shape_repeat(t, z, 1, steps), "vae/say", ATK_DL_HIDDEN,
                NULL),
        nn_shape_repeat(t, n->learn.y.specific, 1, steps)};
    struct nn_tensor *x = nn_shape_concat(t, 2, h, 2);

    for (size_t i = 0; i < all; i++)
        one[i] = 1;
    x = nn_linear(t, x, "vae/say/1", ATK_DL_HIDDEN, NN_RELU);
    x = nn_linear(t, x, "vae/say/2", ATK_DL_HIDDEN, NN_RELU);
    x = nn_linear(t, x, "vae/say/3", ATK_DL_HIDDEN, NN_RELU);
    h[0] = nn_shape_as(t, x, 2, (size_t[]){all, ATK_DL_HIDDEN});
    h[1] = nn_tape_constant(t, "one", 2, (size_t[]){all, 1}, one);
    n->learn.word = nn_tape_leaf(
        t, "row", 2, (size_t[]){n->learn.columns, ATK_DL_HIDDEN + 1});
    n->learn.log_weight =
        nn_tape_input(t, "log weight", 1, (size_t[]){n->learn.columns});
    n->learn.said = nn_tape_ids(t, "said", 1, (size_t[]){all});
    x = nn_linear_product(t, nn_shape_concat(t, 2, h, 1), n->learn.word, true);
    x = nn_loss_ce(t, nn_map_add(t, x, n->learn.log_weight), n->learn.said);
    return nn_reduce_axis_mean(
        t, nn_shape_as(t, x, 2, (size_t[]){ATK_DL_ROWS, steps}), 1);
}

static struct nn_tensor *surprise(struct nn_tape *t, struct nn_tensor *odds,
                                  struct nn_tensor *label, double share)
{
    return nn_map_scale(t, nn_loss_ce(t, odds, label), share, 0);
}

/* In the order in which a step needs it: kappa, opinions, the rest. */
static void build_learn(struct atk_dl_net *n)
{
    struct nn_tape *t = n->learn.t;
    const size_t rows[1] = {ATK_DL_ROWS};

    read_specific(t, &n->learn.y, ATK_DL_ROWS, n->dim, true);
    n->learn.label = nn_tape_ids(t, "label", 1, rows);
    n->learn.weight = nn_tape_input(t, "weight", 1, rows);
    n->learn.judge_weight = nn_tape_input(t, "judge weight", 1, rows);
    n->learn.z = nn_tape_leaf(t, "z", 3, (size_t[]){ATK_DL_ROWS, n->dim, 1});
    struct nn_tensor *z =
        read_both_ways(t, n->learn.z, "vae/z/on", "vae/z/back");
    struct nn_tensor *mean =
        nn_linear(t, z, "vae/z/mean", ATK_DL_PART, NN_NONE);
    struct nn_tensor *logvar =
        nn_linear(t, z, "vae/z/logvar", ATK_DL_PART, NN_NONE);
    struct nn_tensor *rec =
        say_again(n, nn_map_sample(t, mean, logvar, "z noise", NULL));
    struct nn_tensor *kl_vmf = nn_shape_as(
        t, nn_loss_kl_vmf(t, n->learn.y.draw.kappa, ATK_DL_PART), 1, rows);
    struct nn_tensor *vae = nn_map_add(
        t, nn_map_add(t, rec, nn_map_scale(t, kl_vmf, KL_VMF, 0)),
        nn_map_scale(t, nn_loss_kl_gauss(t, mean, logvar), KL_GAUSS, 0));
    struct nn_tensor *ce = nn_map_add(
        t, surprise(t, n->learn.y.whole, n->learn.label, 1 - ATK_DL_SPECIFIC),
        surprise(t, n->learn.y.spe, n->learn.label, ATK_DL_SPECIFIC));

    n->learn.loss = nn_map_add(
        t, nn_reduce_sum(t, nn_map_mul(t, vae, n->learn.weight), NULL),
        nn_reduce_sum(t, nn_map_mul(t, ce, n->learn.judge_weight), NULL));
}

/* --- truth scores --------------------------------------------------------- */

/* Mean surprise of shadows and of targets, for each row: [rows] -> [rows]. */
static struct nn_tensor *means_of(struct nn_tape *t, struct nn_tensor *ce,
                                  struct nn_tensor *share)
{
    struct nn_tensor *both = nn_shape_repeat(t, ce, 0, 2);

    both = nn_reduce_axis_sum(t, nn_map_mul(t, both, share), 1); /* [2] */
    return nn_shape_as(t, nn_shape_repeat(t, both, 1, ATK_DL_PAIRS), 1,
                       (size_t[]){ATK_DL_ROWS});
}

static void build_weigh(struct atk_dl_net *n)
{
    struct nn_tape *t = n->weigh.t;
    const size_t rows[1] = {ATK_DL_ROWS};

    read_specific(t, &n->weigh.y, ATK_DL_ROWS, n->dim, true);
    n->weigh.x0 = nn_tape_input(t, "x0", 2, (size_t[]){ATK_DL_ROWS, n->dim});
    n->weigh.specific0 =
        nn_tape_input(t, "specific0", 2, (size_t[]){ATK_DL_ROWS, ATK_DL_PART});
    n->weigh.both0 = weighed(t, judge_whole(t, n->weigh.x0),
                             judge_part(t, n->weigh.specific0));
    n->weigh.label = nn_tape_ids(t, "label", 1, rows);
    n->weigh.label0 = nn_tape_ids(t, "label0", 1, rows);
    n->weigh.share = nn_tape_input(t, "share", 2, (size_t[]){2, ATK_DL_ROWS});
    n->weigh.lambda = nn_tape_input(t, "lambda", 1, rows);
    n->weigh.truth = nn_tape_leaf(t, "truth", 1, rows);
    struct nn_tensor *c0 = means_of(
        t, nn_loss_ce(t, n->weigh.both0, n->weigh.label0), n->weigh.share);
    struct nn_tensor *c1 = means_of(
        t, nn_loss_ce(t, n->weigh.y.both, n->weigh.label), n->weigh.share);
    struct nn_tensor *left =
        nn_map_sub(t, nn_map_div(t, c0, n->weigh.truth), c1);

    n->weigh.loss = nn_map_scale(
        t,
        nn_reduce_sum(
            t, nn_map_mul(t, nn_map(t, left, NN_SQUARE), n->weigh.lambda),
            NULL),
        0.5, 0);
}

static void build_classify(struct atk_dl_net *n)
{
    struct nn_tape *t = n->classify.t;

    n->classify.x = nn_tape_input(t, "x", 2, (size_t[]){1, n->dim});
    n->classify.specific =
        nn_tape_input(t, "specific", 2, (size_t[]){1, ATK_DL_PART});
    n->classify.label = nn_tape_ids(t, "label", 1, (size_t[]){1});
    n->classify.loss = nn_reduce_sum(
        t,
        nn_map_add(t,
                   surprise(t, judge_whole(t, n->classify.x), n->classify.label,
                            1 - ATK_DL_SPECIFIC),
                   surprise(t, judge_part(t, n->classify.specific),
                            n->classify.label, ATK_DL_SPECIFIC)),
        NULL);
}

/* --- first values --------------------------------------------------------- */

/* As PyTorch draws them: uniform, within 1 / sqrt(inputs), or of an LSTM
 * within 1 / sqrt(width). */
static enum err draw_params(struct atk_dl_net *n)
{
    for (size_t i = 0; i < nn_params_count(n->p); i++) {
        const struct nn_param *q = nn_params_view(n->p, i);
        const char *leaf = strrchr(q->name, '/');
        char name[64];
        size_t in = 0;

        if (leaf == NULL || q->n_dims != 2 ||
            strcmp(leaf, "/input_weight") == 0)
            continue;
        in = q->dim[0];
        const struct nn_init how = {NN_INIT_UNIFORM, 1 / sqrt((double)in), in,
                                    q->dim[1]};

        ERR_TRY(nn_params_draw(n->p, q->name, how));
        (void)snprintf(name, sizeof(name), "%.*s/bias", (int)(leaf - q->name),
                       q->name);
        ERR_TRY(nn_params_draw(n->p, name, how));
        if (strcmp(leaf, "/state_weight") != 0)
            continue;
        (void)snprintf(name, sizeof(name), "%.*s/input_weight",
                       (int)(leaf - q->name), q->name);
        ERR_TRY(nn_params_draw(n->p, name, how));
    }
    return ERR_OK;
}

static void draw_tables(struct atk_dl_net *n, const float *value)
{
    const float wide = (float)(1 / sqrt((double)ATK_DL_HIDDEN));

    memcpy(n->y.value, value, n->n_words * sizeof(*value));
    memcpy(n->z.value, value, n->n_words * sizeof(*value));
    for (size_t i = 0; i < n->out.rows * n->out.d; i++)
        n->out.value[i] = wide * (2 * rng_f32(n->seed, RNG_INIT, i) - 1);
    for (size_t i = 0; i < n->truth.rows; i++)
        n->truth.value[i] = (rng_f32(n->seed, RNG_NOISE, i) + 0x1p-25f);
}

/* --- the whole ------------------------------------------------------------ */

static enum err take_tables(struct atk_dl_net *n, struct mem_scratch *m,
                            size_t n_pairs)
{
    n->learn.columns = ATK_DL_ROWS * n->dim + 1 + ATK_DL_SAMPLED;
    atk_moving_take(m, &n->y, n->n_words, 1);
    atk_moving_take(m, &n->z, n->n_words, 1);
    atk_moving_take(m, &n->out, n->n_words, ATK_DL_HIDDEN + 1);
    atk_moving_take(m, &n->truth, 2 * n_pairs, 1);
    n->mark = mem_take(m, n->n_words, 1, sizeof(*n->mark));
    n->column = mem_take(m, n->n_words, 1, sizeof(*n->column));
    n->learn.used = mem_take(m, n->learn.columns, 1, sizeof(*n->learn.used));
    n->learn.row = mem_take(m, n->learn.columns, n->out.d, sizeof(float));
    n->learn.grad = mem_take(m, n->learn.columns, 1, sizeof(double));
    return m->failed ? err_set(ERR_NOMEM,
                               "no memory for %zu words of the "
                               "published attack",
                               n->n_words)
                     : ERR_OK;
}

enum err atk_dl_net_build(struct atk_dl_net *n, struct mem_scratch *m,
                          const float *value, size_t n_pairs)
{
    if (n->dim > ATK_DL_LONGEST)
        return err_set(ERR_ARG,
                       "the published attack reads vectors of up to %zu "
                       "numbers: these have %zu",
                       ATK_DL_LONGEST, n->dim);
    ERR_TRY(take_tables(n, m, n_pairs));
    ERR_TRY(nn_params_new(&n->p, NN_F32, n->seed));
    ERR_TRY(nn_tape_new(&n->learn.t, n->p));
    ERR_TRY(nn_tape_new(&n->weigh.t, n->p));
    ERR_TRY(nn_tape_new(&n->serve.t, n->p));
    ERR_TRY(nn_tape_new(&n->classify.t, n->p));
    build_learn(n);
    build_weigh(n);
    build_classify(n);
    read_specific(n->serve.t, &n->serve.y, ATK_DL_SERVE, n->dim, false);
    nn_tape_keep(n->serve.t, n->serve.y.draw.kappa);
    nn_tape_keep(n->serve.t, n->serve.y.specific);
    nn_tape_keep(n->serve.t, n->serve.y.both);
    ERR_TRY(nn_tape_plan(n->learn.t, n->learn.loss));
    ERR_TRY(nn_tape_plan(n->weigh.t, n->weigh.loss));
    ERR_TRY(nn_tape_plan(n->classify.t, n->classify.loss));
    ERR_TRY(nn_tape_plan(n->serve.t, NULL));
    n->m = mem_take(m, nn_params_size(n->p), 1, sizeof(float));
    n->v = mem_take(m, nn_params_size(n->p), 1, sizeof(float));
    if (m->failed)
        return err_set(ERR_NOMEM, "no memory for the published attack");
    ERR_TRY(draw_params(n));
    draw_tables(n, value);
    return ERR_OK;
}

void atk_dl_net_free(struct atk_dl_net *n)
{
    nn_tape_free(n->learn.t);
    nn_tape_free(n->weigh.t);
    nn_tape_free(n->serve.t);
    nn_tape_free(n->classify.t);
    nn_params_free(n->p);
}
