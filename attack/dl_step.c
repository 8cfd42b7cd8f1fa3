/* attack/dl_step.c - steps of the networks of DL-MIA as published. */
#include <math.h>
#include <string.h>

#include "attack/dl_net.h"
#include "base/rng.h"

#define RATE 0.01 /* of the judges alone */
#define MOMENTUM 0.9
#define NOT_THERE (-1e30) /* logarithm of a column's weight */

static bool is_there(const struct atk_dl_batch *b, size_t row)
{
    return row % ATK_DL_PAIRS < b->n;
}

static bool says_member(const struct nn_tape *t, const struct nn_tensor *both,
                        size_t row)
{
    return nn_tape_at(t, both, 2 * row + 1) > nn_tape_at(t, both, 2 * row);
}

/* --- moving what is not a table ------------------------------------------- */

/* Adam's step number `step` of all weights of that prefix. */
static void move(struct atk_dl_net *n, const char *prefix, uint32_t step)
{
    const struct krn_tape *k = nn_params_kernels(n->p);
    const struct krn_step now = atk_moving_rates(step);
    float *p = nn_params_values(n->p), *g = nn_params_grads(n->p);

    for (size_t i = 0; i < nn_params_count(n->p); i++) {
        const struct nn_param *q = nn_params_view(n->p, i);

        if (strncmp(q->name, prefix, strlen(prefix)) != 0)
            continue;
        k->adam(p + q->at, n->m + q->at, n->v + q->at, g + q->at, q->n, 1,
                &now);
        memset(g + q->at, 0, q->n * sizeof(*g));
    }
}

/* The judges have moved by descent before, which used their first moments. */
static void move_judges(struct atk_dl_net *n)
{
    for (size_t i = 0; n->judge_steps == 0 && i < nn_params_count(n->p); i++) {
        const struct nn_param *q = nn_params_view(n->p, i);

        if (strncmp(q->name, "judge/", 6) == 0)
            memset(n->m + q->at, 0, q->n * sizeof(*n->m));
    }
    move(n, "judge/", ++n->judge_steps);
}

enum err atk_dl_net_classify(struct atk_dl_net *n, const struct atk_dl_row *r,
                             const float *specific)
{
    const struct krn_tape *k = nn_params_kernels(n->p);
    const struct krn_step how = {.lr = RATE, .beta1 = MOMENTUM};
    float *p = nn_params_values(n->p), *g = nn_params_grads(n->p);
    const uint32_t label = r->member;

    nn_tape_set(n->classify.t, n->classify.x, r->x);
    nn_tape_set(n->classify.t, n->classify.specific, specific);
    ERR_TRY(nn_tape_set_ids(n->classify.t, n->classify.label, &label));
    ERR_TRY(nn_tape_forward(n->classify.t));
    ERR_TRY(nn_tape_backward(n->classify.t));
    for (size_t i = 0; i < nn_params_count(n->p); i++) {
        const struct nn_param *q = nn_params_view(n->p, i);

        if (strncmp(q->name, "judge/", 6) != 0)
            continue;
        k->sgd(p + q->at, n->m + q->at, g + q->at, q->n, 1, &how);
        memset(g + q->at, 0, q->n * sizeof(*g));
    }
    return ERR_OK;
}

/* --- words ---------------------------------------------------------------- */

/* What the words of count rows have become. */
static void put_words(struct atk_dl_net *n, struct nn_tape *t,
                      struct nn_tensor *to, const struct atk_moving *table,
                      const struct atk_dl_row *row, size_t r)
{
    const struct krn_tape *k = nn_params_kernels(n->p);

    for (size_t d = 0; d < n->dim; d++)
        nn_tape_put(t, to, r * n->dim + d,
                    row == NULL ? 0
                                : (double)*atk_moving_bring(
                                      table, k, row->word[d], n->steps));
}

static void put_numbers(const struct atk_dl_net *n, struct nn_tape *t,
                        struct nn_tensor *to, const struct atk_dl_row *row,
                        size_t r)
{
    for (size_t d = 0; d < n->dim; d++)
        nn_tape_put(t, to, r * n->dim + d, row == NULL ? 0 : (double)row->x[d]);
}

static void put_reader(struct atk_dl_net *n, struct nn_tape *t,
                       const struct atk_dl_reader *y,
                       const struct atk_dl_batch *b)
{
    for (size_t r = 0; r < ATK_DL_ROWS; r++) {
        const struct atk_dl_row *row = is_there(b, r) ? &b->row[r] : NULL;

        put_numbers(n, t, y->x, row, r);
        put_words(n, t, y->word, &n->y, row, r);
    }
}

/* A word may stand in several places: its gradients are added first. */
static void move_words(struct atk_dl_net *n, const struct nn_tape *t,
                       const struct nn_tensor *from,
                       const struct atk_moving *table,
                       const struct atk_dl_batch *b, size_t n_used)
{
    const struct krn_tape *k = nn_params_kernels(n->p);
    const struct krn_step now = atk_moving_rates(n->steps);
    double *sum = n->learn.grad;

    memset(sum, 0, n_used * sizeof(*sum));
    for (size_t i = 0; i < ATK_DL_ROWS * n->dim; i++) {
        if (is_there(b, i / n->dim))
            sum[n->column[b->row[i / n->dim].word[i % n->dim]]] +=
                nn_tape_grad_at(t, from, i);
    }
    for (size_t c = 0; c < n_used; c++) {
        const float grad = (float)sum[c];

        atk_moving_step(table, k, n->learn.used[c], &grad, n->steps, &now);
    }
}

/* Give a word a column in this step, unless it has one. */
static void use(struct atk_dl_net *n, uint32_t word, size_t *n_used)
{
    if (n->mark[word] == n->steps + 1)
        return;
    n->mark[word] = n->steps + 1;
    n->column[word] = (uint32_t)*n_used;
    n->learn.used[(*n_used)++] = word;
}

static size_t use_batch(struct atk_dl_net *n, const struct atk_dl_batch *b)
{
    size_t n_used = 0;

    for (size_t r = 0; r < ATK_DL_ROWS; r++) {
        for (size_t d = 0; d < n->dim && is_there(b, r); d++)
            use(n, b->row[r].word[d], &n_used);
    }
    return n_used;
}

/* Words beside those of the batch: all, or a sample without replacement.  The
 * step's end: ids below 2^32 words, each drawn with a chance of one in n_words,
 * most of which are not in use. */
static size_t use_others(struct atk_dl_net *n, size_t n_used)
{
    const uint64_t stream = rng_derive(n->seed, RNG_NEGATIVE, n->steps);
    const size_t rest = n->n_words - n_used;
    const bool all = rest <= ATK_DL_SAMPLED;
    const size_t first = n_used, last = n_used + (all ? rest : ATK_DL_SAMPLED);
    const double weight = all ? 0 : log((double)rest / (double)ATK_DL_SAMPLED);

    for (uint64_t i = 0; n_used < last; i++)
        use(n,
            (uint32_t)(all ? i
                           : rng_below(stream, RNG_NEGATIVE, i, n->n_words)),
            &n_used);
    for (size_t c = 0; c < n->learn.columns; c++)
        nn_tape_put(n->learn.t, n->learn.log_weight, c,
                    c < first    ? 0
                    : c < n_used ? weight
                                 : NOT_THERE);
    return n_used;
}

static enum err put_sentence(struct atk_dl_net *n, const struct atk_dl_batch *b)
{
    uint32_t said[ATK_DL_ROWS * (ATK_DL_LONGEST + 1)] = {0};

    for (size_t r = 0; r < ATK_DL_ROWS; r++) {
        for (size_t d = 0; d < n->dim + 1 && is_there(b, r); d++)
            said[r * (n->dim + 1) + d] =
                n->column[d < n->dim ? b->row[r].word[d] : ATK_DL_END];
    }
    return nn_tape_set_ids(n->learn.t, n->learn.said, said);
}

static void put_rows(struct atk_dl_net *n, size_t n_used)
{
    const struct krn_tape *k = nn_params_kernels(n->p);
    const size_t d = n->out.d;

    memset(n->learn.row, 0, n->learn.columns * d * sizeof(float));
    for (size_t c = 0; c < n_used; c++)
        memcpy(n->learn.row + c * d,
               atk_moving_bring(&n->out, k, n->learn.used[c], n->steps),
               d * sizeof(float));
    nn_tape_set(n->learn.t, n->learn.word, n->learn.row);
}

static void move_rows(struct atk_dl_net *n, size_t n_used)
{
    const struct krn_tape *k = nn_params_kernels(n->p);
    const struct krn_step now = atk_moving_rates(n->steps);
    const size_t d = n->out.d;

    for (size_t c = 0; c < n_used; c++) {
        float *grad = n->learn.row + c * d;

        for (size_t i = 0; i < d; i++)
            grad[i] =
                (float)nn_tape_grad_at(n->learn.t, n->learn.word, c * d + i);
        atk_moving_step(&n->out, k, n->learn.used[c], grad, n->steps, &now);
    }
}

/* --- learning ------------------------------------------------------------- */

/* Forward up to the opinions; then the labels: the truth of the shadow, and of
 * the target whether the opinion is right. */
static enum err put_labels(struct atk_dl_net *n, const struct atk_dl_batch *b,
                           bool judge)
{
    struct nn_tape *t = n->learn.t;
    uint32_t label[ATK_DL_ROWS] = {0};

    if (judge)
        ERR_TRY(nn_tape_forward_to(t, n->learn.y.both, false));
    for (size_t r = 0; judge && r < ATK_DL_ROWS; r++) {
        if (!is_there(b, r))
            continue;
        label[r] = r < ATK_DL_PAIRS ? b->row[r].member
                                    : says_member(t, n->learn.y.both, r) ==
                                          (b->row[r].member != 0);
    }
    return nn_tape_set_ids(t, n->learn.label, label);
}

static void put_weights(struct atk_dl_net *n, const struct atk_dl_batch *b,
                        double omega, bool judge)
{
    for (size_t r = 0; r < ATK_DL_ROWS; r++) {
        const double w = is_there(b, r) ? omega / (double)b->n : 0;

        nn_tape_put(n->learn.t, n->learn.weight, r, w);
        nn_tape_put(n->learn.t, n->learn.judge_weight, r, judge ? w / 2 : 0);
    }
}

enum err atk_dl_net_learn(struct atk_dl_net *n, const struct atk_dl_batch *b,
                          double omega, bool judge, double *loss)
{
    struct nn_tape *t = n->learn.t;
    size_t n_batch = use_batch(n, b), n_used = n_batch;

    use(n, ATK_DL_END, &n_used);
    n_used = use_others(n, n_used);
    ERR_TRY(put_sentence(n, b));
    put_rows(n, n_used);
    put_reader(n, t, &n->learn.y, b);
    for (size_t r = 0; r < ATK_DL_ROWS; r++)
        put_words(n, t, n->learn.z, &n->z, is_there(b, r) ? &b->row[r] : NULL,
                  r);
    put_weights(n, b, omega, judge);
    nn_tape_step(t, n->steps);
    ERR_TRY(nn_tape_forward_to(t, n->learn.y.draw.kappa, true));
    atk_vmf_draw_put(t, &n->learn.y.draw, n->seed, n->steps);
    ERR_TRY(put_labels(n, b, judge));
    ERR_TRY(nn_tape_forward_to(t, n->learn.loss, false));
    if (!isfinite(nn_tape_loss(t)))
        return err_set(ERR_NUM, "the loss of the published attack is not "
                                "finite");
    ERR_TRY(nn_tape_backward(t));
    if (loss != NULL)
        *loss += nn_tape_loss(t) / omega;
    n->steps++;
    move(n, "vae/", n->steps);
    if (judge)
        move_judges(n);
    move_words(n, t, n->learn.y.word, &n->y, b, n_batch);
    move_words(n, t, n->learn.z, &n->z, b, n_batch);
    move_rows(n, n_used);
    return ERR_OK;
}

/* --- truth scores --------------------------------------------------------- */

static void put_before(struct atk_dl_net *n, const struct atk_dl_before *o)
{
    struct nn_tape *t = n->weigh.t;

    for (size_t r = 0; r < ATK_DL_ROWS; r++) {
        const bool there = is_there(&o->b, r);

        put_numbers(n, t, n->weigh.x0, there ? &o->b.row[r] : NULL, r);
        for (size_t d = 0; d < ATK_DL_PART; d++)
            nn_tape_put(t, n->weigh.specific0, r * ATK_DL_PART + d,
                        there ? (double)o->specific[r][d] : 0);
    }
}

static void put_truth(struct atk_dl_net *n, const struct atk_dl_batch *b,
                      size_t at, const double lambda[2])
{
    const struct krn_tape *k = nn_params_kernels(n->p);
    struct nn_tape *t = n->weigh.t;

    for (size_t r = 0; r < ATK_DL_ROWS; r++) {
        const size_t side = r / ATK_DL_PAIRS;
        const size_t row = side * (n->truth.rows / 2) + at + r % ATK_DL_PAIRS;
        const bool there = is_there(b, r);

        for (size_t s = 0; s < 2; s++)
            nn_tape_put(t, n->weigh.share, s * ATK_DL_ROWS + r,
                        there && s == side ? 1 / (double)b->n : 0);
        nn_tape_put(t, n->weigh.lambda, r, there ? lambda[side] : 0);
        nn_tape_put(
            t, n->weigh.truth, r,
            there ? (double)*atk_moving_bring(&n->truth, k, row, n->truth_steps)
                  : 1);
    }
}

/* The truth of the shadow; of the target what is predicted. */
static enum err put_opinions(const struct atk_dl_batch *b, struct nn_tape *t,
                             const struct nn_tensor *both,
                             struct nn_tensor *label)
{
    uint32_t ids[ATK_DL_ROWS] = {0};

    for (size_t r = 0; r < ATK_DL_ROWS; r++) {
        if (is_there(b, r))
            ids[r] =
                r < ATK_DL_PAIRS ? b->row[r].member : says_member(t, both, r);
    }
    return nn_tape_set_ids(t, label, ids);
}

static void move_truth(struct atk_dl_net *n, const struct atk_dl_batch *b,
                       size_t at)
{
    const struct krn_tape *k = nn_params_kernels(n->p);

    const struct krn_step now = atk_moving_rates(++n->truth_steps);

    for (size_t r = 0; r < ATK_DL_ROWS; r++) {
        const float grad =
            (float)nn_tape_grad_at(n->weigh.t, n->weigh.truth, r);

        if (is_there(b, r))
            atk_moving_step(&n->truth, k,
                            r / ATK_DL_PAIRS * (n->truth.rows / 2) + at +
                                r % ATK_DL_PAIRS,
                            &grad, n->truth_steps, &now);
    }
}

enum err atk_dl_net_weigh(struct atk_dl_net *n, const struct atk_dl_batch *b,
                          const struct atk_dl_before *before, size_t at,
                          const double lambda[2])
{
    struct nn_tape *t = n->weigh.t;
    const size_t n_used = use_batch(n, b);

    put_reader(n, t, &n->weigh.y, b);
    put_before(n, before);
    put_truth(n, b, at, lambda);
    nn_tape_step(t, n->steps);
    ERR_TRY(nn_tape_forward_to(t, n->weigh.y.draw.kappa, true));
    atk_vmf_draw_put(t, &n->weigh.y.draw, n->seed, n->steps);
    ERR_TRY(nn_tape_forward_to(t, n->weigh.y.both, false));
    ERR_TRY(nn_tape_forward_to(t, n->weigh.both0, false));
    ERR_TRY(put_opinions(b, t, n->weigh.y.both, n->weigh.label));
    ERR_TRY(put_opinions(&before->b, t, n->weigh.both0, n->weigh.label0));
    ERR_TRY(nn_tape_forward_to(t, n->weigh.loss, false));
    if (!isfinite(nn_tape_loss(t)))
        return err_set(ERR_NUM, "the truth scores of the published attack are "
                                "not finite");
    ERR_TRY(nn_tape_backward(t));
    n->steps++;
    move(n, "vae/", n->steps); /* the decoder rests, and goes on by momentum */
    move_judges(n);
    move_words(n, t, n->weigh.y.word, &n->y, b, n_used);
    move_truth(n, b, at);
    return ERR_OK;
}

/* --- judging -------------------------------------------------------------- */

enum err atk_dl_net_serve(struct atk_dl_net *n, const struct atk_dl_row *r,
                          size_t count, uint64_t name, double *score,
                          float *specific)
{
    const struct atk_dl_reader *y = &n->serve.y;
    struct nn_tape *t = n->serve.t;

    for (size_t i = 0; i < ATK_DL_SERVE; i++) {
        const struct atk_dl_row *row = i < count ? &r[i] : NULL;

        put_numbers(n, t, y->x, row, i);
        put_words(n, t, y->word, &n->y, row, i);
    }
    ERR_TRY(nn_tape_forward_to(t, y->draw.kappa, true));
    atk_vmf_draw_put(t, &y->draw, n->seed, name);
    ERR_TRY(nn_tape_forward_to(t, y->both, false));
    for (size_t i = 0; i < count; i++)
        score[i] = log(nn_tape_at(t, y->both, 2 * i + 1) + 1e-30) -
                   log(nn_tape_at(t, y->both, 2 * i) + 1e-30);
    for (size_t i = 0; specific != NULL && i < count * ATK_DL_PART; i++)
        specific[i] = (float)nn_tape_at(t, y->specific, i);
    return ERR_OK;
}
