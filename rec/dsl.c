/* rec/dsl.c - masks: found, applied, moved. */
#include "rec/dsl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/device.h"
#include "nn/optim.h"
#include "rec/turn.h"

#define DIGIT 16 /* bits that a pass of a selection looks at */

enum { GONE, THERE, GOING, COMING };

enum err rec_dsl_check(const struct rec_dsl_opts *o, const struct rec_model *m)
{
    if (o->sparsity <= 0)
        return strcmp(o->schedule, "dsl") == 0
                   ? ERR_OK
                   : err_set(ERR_ARG,
                             "--schedule means nothing without --sparsity");
    if (device_cuda() != NULL)
        return err_set(ERR_ARG,
                       "%s is trained with --sparsity on the CPU "
                       "alone: leave --device out",
                       m->ops->name);
    if (m->stage != NULL)
        return err_set(ERR_ARG,
                       "%s is not trained with --sparsity slice by "
                       "slice: leave --slices out",
                       m->ops->name);
    return ERR_OK;
}

double rec_dsl_bytes(const struct rec_dsl_opts *o, double rows, double dim)
{
    return o->sparsity > 0 ? 5 * rows * dim : 0;
}

enum err rec_dsl_init(struct rec_dsl *t, const struct rec_dsl_opts *o,
                      uint64_t steps, size_t rows, size_t dim,
                      struct mem_scratch *s)
{
    const double cells = (double)rows * (double)dim;

    *t = (struct rec_dsl){.rows = rows, .dim = dim, .steps = steps};
    if (o->sparsity <= 0)
        return ERR_OK;
    t->once = strcmp(o->schedule, "once") == 0;
    t->budget = (size_t)((1 - o->sparsity) * cells + 0.5);
    t->mask = mem_take(s, rows, dim, 1);
    t->sum = mem_take(s, rows, dim, sizeof(*t->sum));
    t->count = mem_take(s, (size_t)1 << DIGIT, 1, sizeof(*t->count));
    t->row = mem_take(s, rows, 1, sizeof(*t->row));
    t->column = mem_take(s, dim, 1, sizeof(*t->column));
    if (s->failed)
        return err_set(ERR_NOMEM, "no memory for the masks of vectors");
    memset(t->mask, THERE, rows * dim);
    for (size_t r = 0; r < rows; r++)
        t->row[r] = 1;
    for (size_t k = 0; k < dim; k++)
        t->column[k] = 1;
    return ERR_OK;
}

void rec_dsl_take(const struct rec_dsl *t, size_t first, size_t n, float *g)
{
    if (t->mask == NULL || n == 0)
        return;
    const uint8_t *mask = t->mask + first * t->dim;
    float *sum = t->sum + first * t->dim;

    for (size_t i = 0; i < n * t->dim; i++) {
        sum[i] += g[i];
        g[i] = mask[i] ? g[i] : 0;
    }
}

void rec_dsl_keep(const struct rec_dsl *t, size_t r, float *x)
{
    const uint8_t *mask = t->mask + r * t->dim;

    for (size_t k = 0; k < t->dim; k++)
        x[k] = mask[k] ? x[k] : 0;
}

/* --- moves -------------------------------------------------------------------
 */

/* What entries are chosen by: |x| times what its row and column count. */
struct order {
    const float *x;
    bool weighed, largest; /* whether row and column count; the largest first */
};

/* A number of 31 bits, the less the sooner entry k of row r is chosen. */
static uint32_t place_of(const struct rec_dsl *t, const struct order *o,
                         size_t r, size_t k)
{
    const float x = o->x[r * t->dim + k];
    const float worth = o->weighed ? x * (t->row[r] * t->column[k]) : x;
    uint32_t bits;

    memcpy(&bits, &worth, sizeof(bits));
    bits &= 0x7fffffff;
    return o->largest ? 0x7fffffff - bits : bits;
}

/* One pass of find(): t->count[] of the digits of the entries in state `from`;
 * of the lower ones, those whose higher one is `high`. */
static void count_digits(struct rec_dsl *t, const struct order *o, uint8_t from,
                         bool lower, uint32_t high)
{
    const size_t digits = (size_t)1 << DIGIT;

    memset(t->count, 0, digits * sizeof(*t->count));
    for (size_t r = 0; r < t->rows; r++) {
        for (size_t k = 0; k < t->dim; k++) {
            if (t->mask[r * t->dim + k] != from)
                continue;
            const uint32_t place = place_of(t, o, r, k);

            if (!lower)
                t->count[place >> DIGIT]++;
            else if (place >> DIGIT == high)
                t->count[place & (digits - 1)]++;
        }
    }
}

/* The `most`-th place among the entries in state `from`; *ties: how many of
 * those that share it belong to them.  Digit by digit, as in a radix sort. */
static uint32_t find(struct rec_dsl *t, const struct order *o, uint8_t from,
                     size_t most, size_t *ties)
{
    uint32_t digit[2] = {0, 0};

    for (int pass = 0; pass < 2; pass++) {
        count_digits(t, o, from, pass > 0, digit[0]);
        while (digit[pass] + 1 < 1U << DIGIT && t->count[digit[pass]] < most)
            most -= t->count[digit[pass]++];
    }
    *ties = most;
    return digit[0] << DIGIT | digit[1];
}

/* Of the entries in state `from`, the `most` first ones get the state `to`;
 * ties: by row and coordinate. */
static void choose(struct rec_dsl *t, const struct order *o, uint8_t from,
                   uint8_t to, size_t most)
{
    size_t ties = 0;
    const uint32_t last = find(t, o, from, most, &ties);

    for (size_t r = 0; r < t->rows; r++) {
        for (size_t k = 0; k < t->dim; k++) {
            uint8_t *mask = t->mask + r * t->dim + k;
            const uint32_t place = *mask == from ? place_of(t, o, r, k) : 0;

            if (*mask != from || place > last || (place == last && ties == 0))
                continue;
            ties -= place == last;
            *mask = to;
        }
    }
}

/* Squared gradients of what comes: as those that its row has.  With none, an
 * optimiser that divides by their root would make it leap. */
static void give_squares(const struct rec_dsl *t, float *m2)
{
    for (size_t r = 0; r < t->rows; r++) {
        const uint8_t *mask = t->mask + r * t->dim;
        float *own = m2 + r * t->dim;
        double sum = 0;
        size_t there = 0;

        for (size_t k = 0; k < t->dim; k++) {
            sum += mask[k] == THERE ? (double)own[k] : 0;
            there += mask[k] == THERE;
        }
        for (size_t k = 0; k < t->dim; k++)
            own[k] = mask[k] != COMING ? own[k]
                     : there > 0       ? (float)(sum / (double)there)
                                       : 0;
    }
}

/* `gone` weights go and `come` others come. */
static void move(struct rec_dsl *t, size_t gone, size_t come,
                 const struct rec_dsl_side *side)
{
    float *x = side->x, *m1 = side->m1, *m2 = side->m2;

    if (gone > 0)
        choose(t, &(struct order){x, true, false}, THERE, GOING, gone);
    if (come > 0)
        choose(t, &(struct order){t->sum, false, true}, GONE, COMING, come);
    if (come > 0 && m2 != NULL)
        give_squares(t, m2);
    for (size_t i = 0; i < t->rows * t->dim; i++) {
        if (t->mask[i] == GOING) {
            x[i] = 0;
            if (m1 != NULL)
                m1[i] = 0;
            if (m2 != NULL)
                m2[i] = 0;
        }
        t->mask[i] = t->mask[i] == THERE || t->mask[i] == COMING;
    }
    memset(t->sum, 0, t->rows * t->dim * sizeof(*t->sum));
}

/* The last step that moves any. */
static uint64_t last_of(const struct rec_dsl *t)
{
    return (uint64_t)(REC_DSL_END * (double)t->steps) + 1;
}

/* Weights that are there behind a step: all of them at first, then fewer with
 * the cube of time, as many as the budget has in the end. */
static size_t allowed(const struct rec_dsl *t)
{
    const double first = REC_DSL_BEGIN * (double)t->steps;
    const double last = REC_DSL_END * (double)t->steps;
    const double part = ((double)t->step - first) / (last - first);
    const double left = part < 0   ? 1
                        : part < 1 ? (1 - part) * (1 - part) * (1 - part)
                                   : 0;
    const size_t more = t->rows * t->dim - t->budget;

    return t->budget + (size_t)(left * (double)more);
}

/* Whether weights move behind the step that was the last. */
static bool is_time(const struct rec_dsl *t)
{
    const uint64_t last = last_of(t);
    const uint64_t every =
        t->steps / REC_DSL_MOVES > 0 ? t->steps / REC_DSL_MOVES : 1;

    if (t->mask == NULL)
        return false;
    if (t->once)
        return t->step == (t->steps + 1) / 2;
    return t->step <= last && (t->step == last || t->step % every == 0) &&
           allowed(t) < t->rows * t->dim;
}

static void move_now(struct rec_dsl *t, const struct rec_dsl_side *side)
{
    const size_t all = t->rows * t->dim;
    const struct nn_optim_opt share = {
        .lr = REC_DSL_FIRST, .rate = NN_RATE_COSINE, .period = last_of(t)};
    size_t there = 0;

    for (size_t i = 0; i < all; i++)
        there += t->mask[i];
    const size_t wanted =
        (size_t)(nn_optim_lr(&share, t->step) * (double)there);
    const size_t n = wanted < all - there ? wanted : all - there;

    if (t->once)
        move(t, all - t->budget, 0, side);
    else
        move(t, there - allowed(t) + n, n, side);
    t->begun = true;
}

void rec_dsl_step(struct rec_dsl *t, const struct rec_dsl_side *side)
{
    t->step++;
    if (is_time(t))
        move_now(t, side);
}

/* --- people and items ----------------------------------------------------
 */

static void begin_anew(const struct rec_dsl *t, const struct rec_dsl_side *side)
{
    const size_t dim = t->dim;

    if (side->m1 != NULL)
        memset(side->m1, 0, t->rows * dim * sizeof(float));
    for (size_t r = 0; r < t->rows && side->m2 != NULL; r++) {
        float *own = side->m2 + r * dim;
        double sum = 0;

        for (size_t k = 0; k < dim; k++)
            sum += (double)own[k];
        for (size_t k = 0; k < dim; k++)
            own[k] = (float)(sum / (double)dim);
    }
}

/* As many of the numbers as can be are small then. */
static enum err turn(const struct rec_dsl t[2],
                     const struct rec_dsl_side side[2])
{
    const size_t dim = t[0].dim;
    enum err e = ERR_OK;

    if (t[0].axes == REC_DSL_STAY)
        return ERR_OK;
    if (t[0].axes == REC_DSL_ALIKE) {
        e = rec_turn_alike(side[0].x, t[0].rows, side[1].x, t[1].rows, dim);
    } else {
        float *gram = mem_array(dim, sizeof(*gram));

        e = gram == NULL ? err_set(ERR_NOMEM, "no memory to turn vectors")
                         : rec_turn_axes(side[1].x, t[1].rows, side[0].x,
                                         t[0].rows, dim, gram);
        free(gram);
    }
    for (size_t k = 0; k < 2 && e == ERR_OK; k++)
        begin_anew(&t[k], &side[k]);
    return e;
}

/* A coordinate counts what it does in scores: its size on the other side. */
static void weigh_columns(struct rec_dsl *t, const struct rec_dsl *other,
                          const float *y)
{
    for (size_t k = 0; k < t->dim; k++) {
        double sum = 0;

        for (size_t r = 0; r < other->rows; r++) {
            const double v = (double)y[r * t->dim + k];

            sum += v * v;
        }
        t->column[k] = (float)sqrt(sum / (double)other->rows);
    }
}

enum err rec_dsl_steps(struct rec_dsl t[2], const struct rec_dsl_side side[2])
{
    t[0].step++;
    t[1].step++;
    if (!is_time(&t[0]))
        return ERR_OK;
    if (!t[0].begun)
        ERR_TRY(turn(t, side));
    weigh_columns(&t[0], &t[1], side[1].x);
    weigh_columns(&t[1], &t[0], side[0].x);
    move_now(&t[0], &side[0]);
    move_now(&t[1], &side[1]);
    return ERR_OK;
}

enum err rec_dsl_init_both(struct rec_dsl t[2], const struct rec_dsl_opts *o,
                           enum rec_dsl_axes axes, uint64_t steps,
                           const struct rec_data *d, size_t dim,
                           struct mem_scratch *s)
{
    ERR_TRY(rec_dsl_init(&t[0], o, steps, d->n_users, dim, s));
    ERR_TRY(rec_dsl_init(&t[1], o, steps, d->n_items, dim, s));
    if (t[1].mask == NULL)
        return ERR_OK;
    t[0].axes = axes;
    /* what many met stands in more lists: the fourth root of its rows counts */
    for (size_t r = 0; r < d->n_rows; r++)
        t[1].row[d->item[r]]++;
    for (size_t i = 0; i < d->n_items; i++)
        t[1].row[i] = sqrtf(sqrtf(t[1].row[i]));
    return ERR_OK;
}

void rec_dsl_take_both(const struct rec_dsl t[2], size_t first, size_t n,
                       float *g)
{
    const size_t border = t[0].rows, end = first + n;
    const size_t mid = border < first ? first : border < end ? border : end;

    rec_dsl_take(&t[0], first, mid - first, g);
    rec_dsl_take(&t[1], mid - border, end - mid, g + (mid - first) * t[0].dim);
}

enum err rec_dsl_step_both(struct rec_dsl t[2], float *x, float *m1, float *m2)
{
    const size_t items = t[0].rows * t[0].dim;

    return rec_dsl_steps(
        t, (const struct rec_dsl_side[2]){{x, m1, m2},
                                          {x + items, m1 + items, m2 + items}});
}
