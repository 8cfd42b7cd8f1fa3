/*
 * nn/chex.c - channels that go and come back.
 *
 * Weights of channels that are not there are zero: such a channel gives nothing
 * and gets no gradient.  What they were last stands in `last`.
 */
#include "nn/chex.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kernels/eig.h"
#include "kernels/power.h"
#include "nn/chex_parts.h"
#include "nn/optim.h"

#define EXPLORE 0.7 /* of the epochs, in which channels move */
#define FIRST 0.3   /* share of the multiply-adds that comes back at first */
#define STEP 8      /* layers keep multiples of it */
#define WIDEST 1024 /* channels of a set that are compared by eigenvectors */
#define LN2 0.69314718055994531

/* --- what a channel is ------------------------------------------------------
 */

/* Columns of the matrix that channel j of a set reads with: one, or those of a
 * query and its key. */
static size_t columns_of(const struct nn_chex_layer *k, size_t set, size_t j,
                         size_t col[2])
{
    const size_t width = k->heads * k->channels;

    if (k->heads == 0) {
        col[0] = j;
        return 1;
    }
    if (set < k->heads) {
        col[0] = set * k->channels + j;
        col[1] = width + col[0];
        return 2;
    }
    col[0] = 2 * width + (set - k->heads) * k->channels + j;
    return 1;
}

/* The row of the next matrix, or NN_CHEX_NONE: queries and keys have none. */
static size_t row_of(const struct nn_chex_layer *k, size_t set, size_t j)
{
    if (k->heads == 0)
        return j;
    return set < k->heads ? NN_CHEX_NONE : (set - k->heads) * k->channels + j;
}

/* Numbers of a channel, as it was last. */
static size_t length_of(const struct nn_chex *c, const struct nn_chex_layer *k,
                        size_t set)
{
    size_t col[2];
    const size_t n = columns_of(k, set, 0, col) * (c->side[k->in].rows + 1);

    return row_of(k, set, 0) == NN_CHEX_NONE ? n : n + c->side[k->out].cols;
}

static double number_of(const struct nn_chex *c, const struct nn_chex_layer *k,
                        size_t set, size_t j, size_t i)
{
    const size_t in = c->side[k->in].rows, cols = c->side[k->in].cols;
    const float *w = c->last + nn_params_view(c->params, k->in)->at;
    size_t col[2];
    const size_t n = columns_of(k, set, j, col);

    if (i < n * in)
        return (double)w[i % in * cols + col[i / in]];
    i -= n * in;
    if (i < n)
        return k->bias == NN_CHEX_NONE
                   ? 0
                   : (double)c->last[nn_params_view(c->params, k->bias)->at +
                                     col[i]];
    i -= n;
    return (double)c->last[nn_params_view(c->params, k->out)->at +
                           row_of(k, set, j) * c->side[k->out].cols + i];
}

/* --- start -----------------------------------------------------------------
 */

static size_t at_share(const struct nn_chex *c, double share)
{
    return (size_t)(share * (double)c->o.epochs + 0.5);
}

static bool take_sides(struct nn_chex *c)
{
    c->side =
        mem_take(&c->room, nn_params_count(c->params), 1, sizeof(*c->side));
    for (size_t i = 0; i < nn_params_count(c->params) && !c->room.failed; i++) {
        const struct nn_param *x = nn_params_view(c->params, i);

        c->side[i].cols = x->dim[x->n_dims - 1];
        c->side[i].rows = c->side[i].cols > 0 ? x->n / c->side[i].cols : 0;
    }
    for (size_t l = 0; l < c->plan.n && !c->room.failed; l++) {
        struct nn_chex_layer *k = &c->plan.layer[l];

        k->there = mem_take(&c->room, k->sets, k->channels, 1);
        c->side[k->in].col = mem_take(&c->room, c->side[k->in].cols, 1, 1);
        c->side[k->out].row = mem_take(&c->room, c->side[k->out].rows, 1, 1);
        if (k->bias != NN_CHEX_NONE)
            c->side[k->bias].col = c->side[k->in].col;
    }
    return !c->room.failed;
}

static bool take_room(struct nn_chex *c)
{
    size_t most = 0, longest = 0;

    for (size_t l = 0; l < c->plan.n; l++) {
        const struct nn_chex_layer *k = &c->plan.layer[l];

        most = k->channels > most ? k->channels : most;
        for (size_t s = 0; s < k->sets; s++)
            longest =
                length_of(c, k, s) > longest ? length_of(c, k, s) : longest;
    }
    c->last = mem_take(&c->room, nn_params_size(c->params), 1, sizeof(float));
    c->gram = mem_take(&c->room, most, most, sizeof(double));
    c->basis = mem_take(&c->room, most, most, sizeof(double));
    c->value = mem_take(&c->room, 3, most, sizeof(double));
    c->score = mem_take(&c->room, most, 1, sizeof(double));
    c->x = mem_take(&c->room, most, longest, sizeof(double));
    return !c->room.failed;
}

/* Multiply-adds when layers keep so many channels. */
static double cost_of(const struct nn_chex *c, const size_t *keep)
{
    double sum = 0;

    for (size_t i = 0; i < c->plan.n_costs; i++) {
        const struct nn_chex_cost *x = &c->plan.cost[i];
        double in, out;

        if (x->layer != NN_CHEX_NONE) {
            sum += x->rows * (double)keep[x->layer];
            continue;
        }
        in = (double)c->side[x->weight].rows;
        out = (double)c->side[x->weight].cols;
        for (size_t l = 0; l < c->plan.n; l++) {
            const struct nn_chex_layer *k = &c->plan.layer[l];
            const double share = (double)keep[l] / (double)k->channels;

            in *= k->out == x->weight ? share : 1;
            out *= k->in == x->weight ? share : 1;
        }
        sum += x->rows * in * out;
    }
    return sum;
}

/* What every layer must keep, whatever its gates are. */
static size_t least_of(const struct nn_chex_layer *k)
{
    return k->channels < 2 * STEP ? k->channels : STEP;
}

static enum err check(struct nn_chex *c)
{
    size_t all[NN_CHEX_LAYERS], least[NN_CHEX_LAYERS];

    for (size_t l = 0; l < c->plan.n; l++) {
        all[l] = c->plan.layer[l].channels;
        least[l] = least_of(&c->plan.layer[l]);
        c->plan.layer[l].keep = all[l];
    }
    c->whole = cost_of(c, all);
    if (cost_of(c, least) > (1 - c->o.share) * c->whole)
        return err_set(ERR_ARG,
                       "a sparsity of %g leaves fewer multiply-adds than the "
                       "narrowest layers need (%.2f of all): lower it",
                       c->o.share, cost_of(c, least) / c->whole);
    return ERR_OK;
}

enum err nn_chex_new(struct nn_chex **out, struct nn_tape *t,
                     const struct nn_chex_opt *o)
{
    struct nn_chex *c = mem_array(1, sizeof(*c));
    enum err e = ERR_OK;

    if (c == NULL)
        return err_set(ERR_NOMEM, "no memory to explore channels");
    c->params = t->params;
    c->o = *o;
    nn_chex_find(&c->plan, t);
    if (!(o->share > 0 && o->share < 1))
        e = err_set(ERR_ARG, "--sparsity %g is not between 0 and 1", o->share);
    else if (c->plan.n == 0)
        e = err_set(ERR_ARG, "this network has no channels to take away (at "
                             "least 16 outputs that one layer reads)");
    else if (!take_sides(c) || !take_room(c))
        e = err_set(ERR_NOMEM, "no memory to explore channels");
    if (e == ERR_OK)
        e = check(c);
    if (e != ERR_OK) {
        nn_chex_free(c);
        return e;
    }
    for (size_t l = 0; l < c->plan.n; l++)
        memset(c->plan.layer[l].there, 1,
               c->plan.layer[l].sets * c->plan.layer[l].channels);
    *out = c;
    return ERR_OK;
}

void nn_chex_free(struct nn_chex *c)
{
    if (c != NULL)
        mem_drop(&c->room);
    free(c);
}

/* --- masks -------------------------------------------------------------------
 */

/* Rows and columns of the matrices from what is there of the channels. */
static void spread_masks(struct nn_chex *c)
{
    for (size_t l = 0; l < c->plan.n; l++) {
        const struct nn_chex_layer *k = &c->plan.layer[l];

        for (size_t s = 0; s < k->sets; s++) {
            for (size_t j = 0; j < k->channels; j++) {
                const uint8_t there = k->there[s * k->channels + j];
                const size_t row = row_of(k, s, j);
                size_t col[2];

                for (size_t n = columns_of(k, s, j, col); n-- > 0;)
                    c->side[k->in].col[col[n]] = there;
                if (row != NN_CHEX_NONE)
                    c->side[k->out].row[row] = there;
            }
        }
    }
}

/* What happens to the elements of a matrix: those that are there and others. */
enum deed { CLEAR, REMEMBER, RESTORE };

static void do_to(const struct nn_chex *c, enum deed deed)
{
    for (size_t i = 0; i < nn_params_count(c->params); i++) {
        const struct nn_chex_sides *s = &c->side[i];
        float *w = nn_chex_block(c, i);
        float *last = c->last + nn_params_view(c->params, i)->at;

        if (s->row == NULL && s->col == NULL)
            continue;
        for (size_t e = 0; e < s->rows * s->cols; e++) {
            const bool there = (s->row == NULL || s->row[e / s->cols]) &&
                               (s->col == NULL || s->col[e % s->cols]);

            if (deed == REMEMBER && there)
                last[e] = w[e];
            else if (deed == RESTORE && there)
                w[e] = last[e];
            else if (deed != REMEMBER && !there)
                w[e] = 0;
        }
    }
}

/* --- how many channels a layer keeps --------------------------------------
 */

/* Gates of a set's channels, over their mean, into gate[]. */
static void gates_of(const struct nn_chex *c, const struct nn_chex_layer *k,
                     size_t set, double *gate)
{
    const size_t n = length_of(c, k, set), in = c->side[k->in].rows;
    size_t col[2];
    const size_t cols = columns_of(k, set, 0, col);
    const bool pair = row_of(k, set, 0) == NN_CHEX_NONE;
    double mean = 0;

    for (size_t j = 0; j < k->channels; j++) {
        double part[2] = {0, 0}; /* the query and the key; in and out */

        for (size_t i = 0; i < n; i++) {
            const double x = number_of(c, k, set, j, i);
            const bool second = pair ? (i < cols * in ? i / in : i - cols * in)
                                     : i >= cols * (in + 1);

            part[second] += x * x;
        }
        gate[j] = sqrt(part[0]) * sqrt(part[1]);
        mean += gate[j] / (double)k->channels;
    }
    for (size_t j = 0; j < k->channels; j++)
        gate[j] = mean > 0 ? gate[j] / mean : 1;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Channels of each layer whose gates are above `least`. */
static void keep_above(const struct nn_chex *c, const double *gate,
                       double least, size_t *keep)
{
    for (size_t l = 0; l < c->plan.n; l++) {
        const struct nn_chex_layer *k = &c->plan.layer[l];
        const size_t n = k->sets * k->channels;
        size_t above = 0;

        for (size_t j = 0; j < n; j++)
            above += gate[j] > least;
        gate += n;
        keep[l] = (above / k->sets + STEP / 2) / STEP * STEP;
        if (keep[l] < least_of(k))
            keep[l] = least_of(k);
        if (keep[l] > k->channels)
            keep[l] = k->channels;
    }
}

/* The most channels that cost no more than `share` of all multiply-adds. */
static enum err allocate(const struct nn_chex *c, double share, size_t *keep)
{
    struct mem_scratch s = {0};
    size_t n = 0, low = 0;

    for (size_t l = 0; l < c->plan.n; l++)
        n += c->plan.layer[l].sets * c->plan.layer[l].channels;
    double *gate = mem_take(&s, n, 1, sizeof(*gate));
    double *order = mem_take(&s, n, 1, sizeof(*order));

    if (s.failed) {
        mem_drop(&s);
        return err_set(ERR_NOMEM, "no memory to explore channels");
    }
    n = 0;
    for (size_t l = 0; l < c->plan.n; l++) {
        const struct nn_chex_layer *k = &c->plan.layer[l];

        for (size_t set = 0; set < k->sets; set++, n += k->channels)
            gates_of(c, k, set, gate + n);
    }
    memcpy(order, gate, n * sizeof(*order));
    qsort(order, n, sizeof(*order), ascending);
    for (size_t high = n - 1;
         low < high;) { /* the first that is cheap enough */
        const size_t mid = (low + high) / 2;

        keep_above(c, gate, order[mid], keep);
        if (cost_of(c, keep) <= share * c->whole)
            high = mid;
        else
            low = mid + 1;
    }
    keep_above(c, gate, order[low], keep);
    mem_drop(&s);
    return ERR_OK;
}

/* --- which ones ------------------------------------------------------------
 */

/* Take the best of score[n] that `taken` does not have yet, `most` of them;
 * ties: the first. */
static void take_best(const double *score, size_t n, size_t most,
                      uint8_t *taken)
{
    for (size_t t = 0; t < most; t++) {
        size_t best = n;

        for (size_t j = 0; j < n; j++) {
            if (!taken[j] && (best == n || score[j] > score[best]))
                best = j;
        }
        if (best < n)
            taken[best] = 1;
    }
}

static void fill_gram(struct nn_chex *c, const struct nn_chex_layer *k,
                      size_t set)
{
    const size_t n = k->channels, len = length_of(c, k, set);

    for (size_t i = 0; i < n * len; i++)
        c->x[i] = number_of(c, k, set, i / len, i % len);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;

            for (size_t e = 0; e < len; e++)
                sum += c->x[i * len + e] * c->x[j * len + e];
            c->gram[i * n + j] = c->gram[j * n + i] = sum;
        }
    }
}

/* How much of the first `keep` eigenvectors is in each channel. */
static enum err leverage(struct nn_chex *c, size_t n, size_t keep)
{
    memcpy(c->basis, c->gram, n * n * sizeof(double));
    if (!krn_eig_sym_f64(c->basis, c->value, c->value + n, n))
        return err_set(ERR_NUM, "the weights of a layer are no numbers any "
                                "more: lower the learning rate");
    for (size_t j = 0; j < n; j++) {
        c->score[j] = 0;
        for (size_t v = 0; v < keep; v++)
            c->score[j] += c->basis[v * n + j] * c->basis[v * n + j];
    }
    return ERR_OK;
}

/* |x_j - P x_j| for all channels, P onto those that are there: by elimination
 * of these, one after the other, from the Gram matrix (what is left on its
 * diagonal are the squares). */
static void residuals(struct nn_chex *c, size_t n, const uint8_t *there)
{
    double *g = c->basis, most = 0;

    memcpy(g, c->gram, n * n * sizeof(double));
    for (size_t j = 0; j < n; j++)
        most = g[j * n + j] > most ? g[j * n + j] : most;
    for (size_t p = 0; p < n; p++) {
        if (!there[p] || g[p * n + p] <= 1e-12 * most)
            continue;
        for (size_t i = 0; i < n; i++) {
            const double f = i == p ? 0 : g[i * n + p] / g[p * n + p];

            for (size_t j = 0; j < n && (f > 0 || f < 0); j++)
                g[i * n + j] -= f * g[p * n + j];
        }
        for (size_t i = 0; i < n; i++)
            g[i * n + p] = i == p ? g[i * n + p] : 0;
    }
    for (size_t j = 0; j < n; j++)
        c->score[j] = g[j * n + j] > 0 ? sqrt(g[j * n + j]) : 0;
}

/* The largest of score + Gumbel noise are a sample without replacement with
 * probability softmax(score). */
static void draw(struct nn_chex *c, size_t layer, size_t set, size_t epoch,
                 size_t n)
{
    const char *name = nn_chex_name(c, layer);
    const uint64_t own =
        rng_derive(rng_derive(c->o.seed, RNG_PRUNE, key_of(name, strlen(name))),
                   RNG_PRUNE, epoch * 4096 + set);

    for (size_t j = 0; j < n; j++) {
        const double u = rng_f64(own, RNG_PRUNE, j) + 0x1p-54;

        c->score[j] -= LN2 * krn_log2_f64(-LN2 * krn_log2_f64(u));
    }
}

/* `keep` channels of a set, and `more` that come back. */
static enum err choose(struct nn_chex *c, size_t layer, size_t set,
                       size_t epoch, size_t keep, size_t more)
{
    const struct nn_chex_layer *k = &c->plan.layer[layer];
    const size_t n = k->channels;
    uint8_t *there = k->there + set * n;

    fill_gram(c, k, set);
    if (epoch == 0 || n > WIDEST) { /* by length */
        for (size_t j = 0; j < n; j++)
            c->score[j] = c->gram[j * n + j];
    } else {
        ERR_TRY(leverage(c, n, keep));
    }
    memset(there, 0, n);
    take_best(c->score, n, epoch == 0 ? keep + more : keep, there);
    if (epoch == 0 || more == 0)
        return ERR_OK;
    residuals(c, n, there);
    draw(c, layer, set, epoch, n);
    take_best(c->score, n, more, there);
    return ERR_OK;
}

/* --- epochs ----------------------------------------------------------------
 */

/* Channels go, and for `back` of the multiply-adds others come. */
static enum err explore(struct nn_chex *c, size_t epoch, double back)
{
    size_t keep[NN_CHEX_LAYERS], with[NN_CHEX_LAYERS];

    do_to(c, REMEMBER);
    ERR_TRY(allocate(c, 1 - c->o.share, keep));
    ERR_TRY(allocate(c, 1 - c->o.share + back, with));
    for (size_t l = 0; l < c->plan.n; l++) {
        struct nn_chex_layer *k = &c->plan.layer[l];

        k->keep = with[l] > keep[l] ? with[l] : keep[l];
        for (size_t s = 0; s < k->sets; s++)
            ERR_TRY(choose(c, l, s, epoch, keep[l], k->keep - keep[l]));
    }
    spread_masks(c);
    do_to(c, RESTORE);
    c->settled = !(back > 0);
    return ERR_OK;
}

enum err nn_chex_epoch(struct nn_chex *c, size_t epoch)
{
    const size_t last = at_share(c, EXPLORE);
    const struct nn_optim_opt back = {.lr = c->o.share < FIRST ? c->o.share
                                                               : FIRST,
                                      .rate = NN_RATE_COSINE,
                                      .period = last > 0 ? last : 1};

    if (epoch == 0)
        memcpy(c->last, nn_params_values(c->params),
               nn_params_size(c->params) * sizeof(*c->last));
    if (epoch > last)
        return ERR_OK;
    return explore(c, epoch, epoch < last ? nn_optim_lr(&back, epoch) : 0);
}

void nn_chex_step(const struct nn_chex *c)
{
    do_to(c, CLEAR);
}

enum err nn_chex_end(struct nn_chex *c)
{
    return c->settled ? ERR_OK : explore(c, c->o.epochs, 0);
}

double nn_chex_share(const struct nn_chex *c)
{
    size_t keep[NN_CHEX_LAYERS];

    for (size_t l = 0; l < c->plan.n; l++)
        keep[l] = c->plan.layer[l].keep;
    return cost_of(c, keep) / c->whole;
}
