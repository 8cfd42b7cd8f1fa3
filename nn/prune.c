/* nn/prune.c - training that ends in sparse weights. */
#include "nn/prune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/opt.h"
#include "base/rng.h"

#define LEAST 16 /* inputs, and outputs, of what is pruned */
#define MOST 256 /* matrices */

struct matrix {
    size_t number; /* of the parameter */
    size_t in, out;
    uint8_t *mask;   /* [out][in] */
    uint32_t *order; /* rows of groups */
    bool whole;      /* nothing is masked now */
    uint8_t *level; /* [out][in] level in which a kept weight came; NULL: one */
};

struct nn_prune {
    struct nn_params *params;
    struct nn_prune_opt o;
    struct matrix m[MOST];
    size_t n;
    struct mem_scratch room;
    size_t level;
    float *frozen; /* the block as the level before left it, or NULL */
    /* of workers, weights and state of the optimiser: at the beginning of the
     * round, and what they gave together so far */
    float *start, *joint;
    size_t room_state; /* floats of the state that there is room for */
    bool joined;       /* the last round has ended */
};

enum err nn_prune_parse(enum nn_schedule *out, const char *text)
{
    static const char *const name[] = {"once", "gradual", "gap", "gap-parallel",
                                       NULL};

    for (int i = 0; name[i] != NULL; i++) {
        if (strcmp(name[i], text) == 0) {
            *out = (enum nn_schedule)i;
            return ERR_OK;
        }
    }
    return opt_unknown("schedule", text, name,
                       "once, gradual, gap, gap-parallel");
}

size_t nn_prune_list(const struct nn_params *p, size_t *number, size_t room)
{
    static const char end[] = "/weight";
    size_t n = 0;

    for (size_t i = 0; i < nn_params_count(p); i++) {
        const struct nn_param *x = nn_params_view(p, i);
        const size_t len = strlen(x->name);

        if (x->n_dims != 2 || x->dim[0] < LEAST || x->dim[1] < LEAST ||
            x->looked_up || len < sizeof(end) - 1 ||
            strcmp(x->name + len - (sizeof(end) - 1), end) != 0)
            continue;
        if (n < room)
            number[n] = i;
        n++;
    }
    return n;
}

static enum err check(const struct nn_prune_opt *o)
{
    const double fixed = nn_pattern_density(&o->pattern);

    if (!(o->sparsity > 0 && o->sparsity < 1))
        return err_set(ERR_ARG, "--sparsity %g is not between 0 and 1",
                       o->sparsity);
    if (o->levels > NN_LEVELS || !nn_pattern_has_levels(&o->pattern, o->levels))
        return err_set(ERR_ARG,
                       "levels halve the weights: up to %d, of nm:N:M as often "
                       "as N is even, of nm-both not at all",
                       NN_LEVELS);
    if (fixed > 0 && fabs(o->sparsity - (1 - fixed)) > 1e-6)
        return err_set(ERR_ARG,
                       "this pattern keeps %g of the weights: say --sparsity "
                       "%g",
                       fixed, 1 - fixed);
    return ERR_OK;
}

static enum err take_room(struct nn_prune *p)
{
    size_t number[MOST];
    const size_t n = nn_prune_list(p->params, number, MOST);

    if (n == 0 || n > MOST)
        return err_set(ERR_ARG, "this network has no layer to prune (at least "
                                "16 inputs and 16 outputs)");
    p->n = n;
    for (size_t i = 0; i < n; i++) {
        const struct nn_param *x = nn_params_view(p->params, number[i]);
        struct matrix *m = &p->m[i];
        const size_t places =
            nn_pattern_groups(&p->o.pattern, x->dim[1]) * p->o.pattern.v;

        *m = (struct matrix){.number = number[i],
                             .in = x->dim[0],
                             .out = x->dim[1],
                             .whole = true};
        m->mask = mem_take(&p->room, m->out, m->in, 1);
        m->order = mem_take(&p->room, places, 1, sizeof(*m->order));
        if (p->o.levels > 1)
            m->level = mem_take(&p->room, m->out, m->in, 1);
    }
    if (p->o.levels > 1)
        p->frozen =
            mem_take(&p->room, nn_params_size(p->params), 1, sizeof(float));
    return p->room.failed ? err_set(ERR_NOMEM, "no memory to prune") : ERR_OK;
}

enum err nn_prune_new(struct nn_prune **out, struct nn_params *params,
                      const struct nn_prune_opt *o)
{
    struct nn_prune *p;
    enum err e;

    *out = NULL;
    ERR_TRY(check(o));
    p = mem_array(1, sizeof(*p));
    if (p == NULL)
        return err_set(ERR_NOMEM, "no memory to prune");
    p->params = params;
    p->o = *o;
    e = take_room(p);
    if (e != ERR_OK) {
        nn_prune_free(p);
        return e;
    }
    if (p->o.parts == 0)
        p->o.parts = 2;
    if (p->o.parts > p->n)
        p->o.parts = p->n;
    *out = p;
    return ERR_OK;
}

void nn_prune_free(struct nn_prune *p)
{
    if (p != NULL)
        mem_drop(&p->room);
    free(p);
}

static float *values_of(const struct nn_prune *p, const struct matrix *m)
{
    const struct nn_param *x = nn_params_view(p->params, m->number);

    return (float *)nn_params_values(p->params) + x->at;
}

/* Rows are outputs: W^T as the layer has it. */
static struct nn_matrix view_of(const struct matrix *m, const float *values)
{
    return (struct nn_matrix){values, m->out, m->in, 1, m->out};
}

static void clear_masked(const struct nn_prune *p, const struct matrix *m)
{
    float *w = values_of(p, m);

    for (size_t c = 0; c < m->in && !m->whole; c++) {
        for (size_t r = 0; r < m->out; r++) {
            if (!m->mask[r * m->in + c])
                w[c * m->out + r] = 0;
        }
    }
}

/* Whether a weight belongs to a level that is done. */
static bool is_done(const struct nn_prune *p, const struct matrix *m, size_t at)
{
    return p->level > 0 && m->level[at] < p->level;
}

/* What is done stays as it was: all of the network but new weights. */
static void restore(const struct nn_prune *p)
{
    float *block = nn_params_values(p->params);
    size_t next = 0;

    for (size_t i = 0; i < nn_params_count(p->params); i++) {
        const struct nn_param *x = nn_params_view(p->params, i);
        const struct matrix *m = &p->m[next];

        if (next == p->n || m->number != i) {
            memcpy(block + x->at, p->frozen + x->at, x->n * sizeof(*block));
            continue;
        }
        next++;
        for (size_t k = 0; k < x->n; k++) {
            if (is_done(p, m, k % m->out * m->in + k / m->out))
                block[x->at + k] = p->frozen[x->at + k];
        }
    }
}

/* Share of the weights that the present level keeps. */
static double density_of(const struct nn_prune *p)
{
    double share = 1 - p->o.sparsity;

    for (size_t l = p->level + 1; l < p->o.levels; l++)
        share /= 2;
    return share;
}

/* The pattern of the present level: of N:M it has fewer. */
static struct nn_pattern pattern_of(const struct nn_prune *p)
{
    struct nn_pattern own = p->o.pattern;

    if (own.kind == NN_NM && p->o.levels > 1)
        own.n >>= p->o.levels - 1 - p->level;
    return own;
}

/* Keep what is done, and the best of the rest.  Packs hold weights of one
 * level: those of the new one are found among the rest alone. */
static enum err project_around(struct nn_prune *p, struct matrix *m)
{
    const bool packs = p->o.pattern.kind == NN_GS;
    const struct nn_pattern pattern = pattern_of(p);
    const float *w = values_of(p, m);
    float *values = mem_array(m->in * m->out, sizeof(*values));
    enum err e;

    if (values == NULL)
        return err_set(ERR_NOMEM, "no memory to prune");
    for (size_t k = 0; k < m->in * m->out; k++)
        values[k] = is_done(p, m, k % m->out * m->in + k / m->out)
                        ? (packs ? 0 : 1e30f)
                        : w[k];
    const struct nn_matrix view = view_of(m, values);

    e = nn_pattern_project(&pattern, &view, density_of(p) / (packs ? 2 : 1),
                           m->order, m->mask, m->order);
    for (size_t k = 0; k < m->in * m->out && e == ERR_OK; k++)
        m->mask[k] = m->mask[k] || is_done(p, m, k);
    m->whole = false;
    if (e == ERR_OK)
        clear_masked(p, m);
    free(values);
    return e;
}

/* Keep the best `density` of the weights, which may be other ones (values). */
static enum err project(struct nn_prune *p, struct matrix *m, double density,
                        const float *values)
{
    const struct nn_matrix w =
        view_of(m, values != NULL ? values : values_of(p, m));
    const struct nn_pattern pattern = pattern_of(p);

    ERR_TRY(nn_pattern_project(&pattern, &w, density, NULL, m->mask, m->order));
    m->whole = false;
    clear_masked(p, m);
    return ERR_OK;
}

static enum err project_all(struct nn_prune *p, double density)
{
    for (size_t i = 0; i < p->n; i++)
        ERR_TRY(project(p, &p->m[i], density, NULL));
    return ERR_OK;
}

/* A random mask of the pattern. */
static enum err project_random(struct nn_prune *p, struct matrix *m)
{
    const size_t n = m->in * m->out;
    const uint64_t stream = rng_derive(p->o.seed, RNG_PRUNE, m->number);
    float *values = mem_array(n, sizeof(*values));
    enum err e;

    if (values == NULL)
        return err_set(ERR_NOMEM, "no memory to prune");
    for (size_t i = 0; i < n; i++)
        values[i] = rng_f32(stream, RNG_PRUNE, i);
    e = project(p, m, density_of(p), values);
    free(values);
    return e;
}

/* --- schedules -------------------------------------------------------------
 */

/* Of the epochs; at least one is left before and after. */
static size_t at_share(const struct nn_prune *p, double share)
{
    return (size_t)(share * (double)p->o.epochs + 0.5);
}

static enum err gradual(struct nn_prune *p, size_t epoch)
{
    const size_t first = at_share(p, 0.1), last = at_share(p, 0.7);
    const double part = last > first ? ((double)epoch + 1 - (double)first) /
                                           (double)(last - first)
                                     : 1;
    const double left = part < 1 ? (1 - part) * (1 - part) * (1 - part) : 0;

    if (epoch < first || epoch > last ||
        (left > 0 && nn_pattern_density(&p->o.pattern) > 0))
        return ERR_OK; /* N of M has nothing between */
    return project_all(p, 1 - (1 - density_of(p)) * (1 - left));
}

/* The part that matrix i is in. */
static size_t part_of(const struct nn_prune *p, size_t i)
{
    return i * p->o.parts / p->n;
}

/* Part `part` grows, the one before is pruned back; at the end all are. */
static enum err cyclic(struct nn_prune *p, size_t epoch)
{
    const size_t grown = at_share(p, 0.7);
    const size_t each =
        grown / (2 * p->o.parts) > 0 ? grown / (2 * p->o.parts) : 1;
    const size_t step = epoch / each;

    if (epoch == 0) {
        for (size_t i = 0; i < p->n; i++)
            ERR_TRY(project_random(p, &p->m[i]));
    }
    if (epoch > grown || (epoch < grown && epoch % each != 0))
        return ERR_OK;
    for (size_t i = 0; i < p->n; i++) {
        struct matrix *m = &p->m[i];

        if (m->whole)
            ERR_TRY(project(p, m, density_of(p), NULL));
        m->whole = epoch < grown && part_of(p, i) == step % p->o.parts;
    }
    return ERR_OK;
}

/* --- workers side by side ----------------------------------------------------
 */

#define ROUNDS 2

struct rounds {
    size_t n, each; /* rounds; epochs of one */
};

static struct rounds rounds_of(const struct nn_prune *p)
{
    const size_t grown = at_share(p, 0.7);

    return grown >= ROUNDS ? (struct rounds){ROUNDS, grown / ROUNDS}
                           : (struct rounds){1, 1};
}

static size_t state_size(const struct nn_optim *optim)
{
    return optim != NULL ? nn_optim_state_size(optim) : 0;
}

/* Weights, and behind them the optimiser's state. */
static void look_at(const struct nn_prune *p, const struct nn_optim *optim,
                    float *out)
{
    memcpy(out, nn_params_values(p->params),
           nn_params_size(p->params) * sizeof(*out));
    if (optim != NULL)
        nn_optim_state(optim, out + nn_params_size(p->params));
}

static void put_back(const struct nn_prune *p, struct nn_optim *optim,
                     const float *from)
{
    memcpy(nn_params_values(p->params), from,
           nn_params_size(p->params) * sizeof(*from));
    if (optim != NULL)
        nn_optim_restore(optim, from + nn_params_size(p->params));
}

/* The worker that parameter number `number` is taken from; parts: from all. */
static size_t worker_of(const struct nn_prune *p, size_t number)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->m[i].number == number)
            return part_of(p, i);
    }
    return p->o.parts;
}

/* Add one worker's block to what they give together. */
static void join_block(const struct nn_prune *p, size_t worker,
                       const float *from, float *to)
{
    for (size_t i = 0; i < nn_params_count(p->params); i++) {
        const struct nn_param *x = nn_params_view(p->params, i);
        const size_t own = worker_of(p, i);
        const float share = own == worker       ? 1
                            : own == p->o.parts ? 1 / (float)p->o.parts
                                                : 0;

        for (size_t e = x->at; e < x->at + x->n; e++)
            to[e] += share * from[e];
    }
}

/* Add what worker `worker` has learnt. */
static void join(struct nn_prune *p, size_t worker, struct nn_optim *optim)
{
    const size_t block = nn_params_size(p->params);
    const size_t state = state_size(optim);
    float *now = p->joint + block + p->room_state;

    look_at(p, optim, now);
    if (worker == 0)
        memset(p->joint, 0, (block + state) * sizeof(*p->joint));
    join_block(p, worker, now, p->joint);
    if (state == 0)
        return;
    /* two floats that count steps, the same ones for all */
    memcpy(p->joint + block, now + block, 2 * sizeof(*now));
    for (size_t at = block + 2; at + block <= block + state; at += block)
        join_block(p, worker, now + at, p->joint + at);
}

static enum err take_workers(struct nn_prune *p, const struct nn_optim *optim)
{
    const size_t n = nn_params_size(p->params) + state_size(optim);

    p->room_state = state_size(optim);
    p->start = mem_take(&p->room, n, 1, sizeof(*p->start));
    p->joint = mem_take(&p->room, n, 2, sizeof(*p->joint));
    return p->room.failed ? err_set(ERR_NOMEM, "no memory to prune") : ERR_OK;
}

/* A round ends: each part as its worker left it, and pruned. */
static enum err end_round(struct nn_prune *p, struct nn_optim *optim)
{
    put_back(p, optim, p->joint);
    for (size_t i = 0; i < p->n; i++)
        ERR_TRY(project(p, &p->m[i], density_of(p), NULL));
    p->joined = true;
    return ERR_OK;
}

static enum err parallel(struct nn_prune *p, size_t pass,
                         struct nn_optim *optim)
{
    const struct rounds r = rounds_of(p);
    const size_t k = p->o.parts, worker = pass / r.each % k;
    const size_t round = pass / (r.each * k);

    if (pass == 0) {
        ERR_TRY(take_workers(p, optim));
        for (size_t i = 0; i < p->n; i++)
            ERR_TRY(project_random(p, &p->m[i]));
    }
    if (pass > r.n * r.each * k || pass % r.each != 0)
        return ERR_OK;
    if (pass > 0)
        join(p, (worker + k - 1) % k, optim);
    if (worker == 0 && round > 0)
        ERR_TRY(end_round(p, optim));
    if (round == r.n)
        return ERR_OK;
    if (worker == 0)
        look_at(p, optim, p->start);
    else
        put_back(p, optim, p->start);
    p->joined = false;
    for (size_t i = 0; i < p->n; i++)
        p->m[i].whole = part_of(p, i) == worker;
    return ERR_OK;
}

/* --- epochs ------------------------------------------------------------------
 */

/* A level around others: dense for half of its epochs, then its own share. */
static enum err around(struct nn_prune *p, size_t epoch)
{
    for (size_t i = 0; i < p->n && epoch == at_share(p, 0.5); i++)
        ERR_TRY(project_around(p, &p->m[i]));
    return ERR_OK;
}

size_t nn_prune_passes(const struct nn_prune *p)
{
    const struct rounds r = rounds_of(p);

    return p->o.schedule == NN_PRUNE_PARALLEL
               ? r.n * r.each * p->o.parts + p->o.epochs - r.n * r.each
               : p->o.epochs;
}

enum err nn_prune_epoch(struct nn_prune *p, size_t epoch,
                        struct nn_optim *optim)
{
    if (p->level > 0)
        return around(p, epoch);
    switch (p->o.schedule) {
    case NN_PRUNE_PARALLEL:
        return parallel(p, epoch, optim);
    case NN_PRUNE_ONCE:
        return epoch == at_share(p, 0.5) ? project_all(p, density_of(p))
                                         : ERR_OK;
    case NN_PRUNE_GRADUAL:
        return gradual(p, epoch);
    case NN_PRUNE_GAP:
        return cyclic(p, epoch);
    }
    return ERR_OK;
}

void nn_prune_step(const struct nn_prune *p)
{
    for (size_t i = 0; i < p->n; i++)
        clear_masked(p, &p->m[i]);
    if (p->level > 0)
        restore(p);
}

enum err nn_prune_end(struct nn_prune *p)
{
    if (p->joint != NULL && !p->joined) { /* there were no epochs to tune */
        join(p, p->o.parts - 1, NULL);
        ERR_TRY(end_round(p, NULL));
    }
    for (size_t i = 0; i < p->n; i++) {
        struct matrix *m = &p->m[i];

        if (m->whole)
            ERR_TRY(p->level > 0 ? project_around(p, m)
                                 : project(p, m, density_of(p), NULL));
        for (size_t k = 0; k < m->in * m->out && m->level != NULL; k++) {
            if (!is_done(p, m, k)) /* new, or not there: for later levels */
                m->level[k] = (uint8_t)(p->level + !m->mask[k]);
        }
    }
    return ERR_OK;
}

void nn_prune_level(struct nn_prune *p, size_t level)
{
    p->level = level;
    for (size_t i = 0; i < p->n && level > 0; i++)
        p->m[i].whole = true;
    if (level > 0)
        memcpy(p->frozen, nn_params_values(p->params),
               nn_params_size(p->params) * sizeof(*p->frozen));
}

/* --- results ---------------------------------------------------------------
 */

size_t nn_prune_count(const struct nn_prune *p)
{
    return p->n;
}

size_t nn_prune_number(const struct nn_prune *p, size_t i)
{
    return p->m[i].number;
}

enum err nn_prune_pack(const struct nn_prune *p, size_t i,
                       struct nn_sparse *out)
{
    const struct matrix *m = &p->m[i];
    const struct nn_matrix w = view_of(m, values_of(p, m));

    return nn_sparse_pack(out, &p->o.pattern, &w, m->mask, m->order, m->level,
                          p->o.levels);
}

double nn_prune_sparsity(const struct nn_prune *p)
{
    size_t zero = 0, all = 0;

    for (size_t i = 0; i < p->n; i++) {
        for (size_t k = 0; k < p->m[i].in * p->m[i].out; k++) {
            zero += !p->m[i].whole && !p->m[i].mask[k];
            all++;
        }
    }
    return (double)zero / (double)all;
}
