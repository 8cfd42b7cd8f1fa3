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
};

struct nn_prune {
    struct nn_params *params;
    struct nn_prune_opt o;
    struct matrix m[MOST];
    size_t n;
    struct mem_scratch room;
};

enum err nn_prune_parse(enum nn_schedule *out, const char *text)
{
    static const char *const name[] = {"once", "gradual", "gap", NULL};

    for (int i = 0; name[i] != NULL; i++) {
        if (strcmp(name[i], text) == 0) {
            *out = (enum nn_schedule)i;
            return ERR_OK;
        }
    }
    return opt_unknown("schedule", text, name, "once, gradual, gap");
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
    }
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

/* Keep the best `density` of the weights, which may be other ones (values). */
static enum err project(struct nn_prune *p, struct matrix *m, double density,
                        const float *values)
{
    const struct nn_matrix w =
        view_of(m, values != NULL ? values : values_of(p, m));

    ERR_TRY(nn_pattern_project(&p->o.pattern, &w, density, NULL, m->mask,
                               m->order));
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
    e = project(p, m, 1 - p->o.sparsity, values);
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
    return project_all(p, 1 - p->o.sparsity * (1 - left));
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
            ERR_TRY(project(p, m, 1 - p->o.sparsity, NULL));
        m->whole = epoch < grown && i * p->o.parts / p->n == step % p->o.parts;
    }
    return ERR_OK;
}

enum err nn_prune_epoch(struct nn_prune *p, size_t epoch)
{
    switch (p->o.schedule) {
    case NN_PRUNE_ONCE:
        return epoch == at_share(p, 0.5) ? project_all(p, 1 - p->o.sparsity)
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
}

enum err nn_prune_end(struct nn_prune *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->m[i].whole)
            ERR_TRY(project(p, &p->m[i], 1 - p->o.sparsity, NULL));
    }
    return ERR_OK;
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

    return nn_sparse_pack(out, &p->o.pattern, &w, m->mask, m->order, NULL, 1);
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
