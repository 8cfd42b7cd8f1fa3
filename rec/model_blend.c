/*
 * rec/model_blend.c - gfcf and lightgcn together.
 *
 * Both are trained on all rows.  A person's two rows of scores are divided by
 * their standard deviations over the items and added, lightgcn's `weight`
 * times (3: chosen on the validation split of Gowalla).  What a spectral filter
 * sees without training and what is learnt from comparisons differ enough that
 * the sum ranks better than either.
 *
 * The arrays are those of the parts, "PART.NAME".
 */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/la.h"
#include "base/mem.h"
#include "base/par.h"
#include "rec/model.h"
#include "rec/part.h"

struct blend_opts {
    int64_t dim, epochs, vectors;
    double reg, weight;
};

#define AT(f) offsetof(struct blend_opts, f)
static const struct opt rows[] = {
    {"dim", 0, OPT_INT, AT(dim), "64", 1, 4096, "N",
     "length of lightgcn's vectors"},
    {"epochs", 0, OPT_INT, AT(epochs), "20", 1, 1e6, "N",
     "lightgcn's passes over the rows"},
    {"reg", 0, OPT_REAL, AT(reg), "0.02", 0, 1e6, "L", "lightgcn's penalty"},
    {"vectors", 0, OPT_INT, AT(vectors), "256", 1, 4096, "N",
     "singular vectors that gfcf keeps"},
    {"weight", 0, OPT_REAL, AT(weight), "3", 0, 1e6, "W",
     "of lightgcn's scores; gfcf's weigh 1"},
    {.name = NULL},
};

enum { FILTER, VECTORS, PARTS };
static const char *const part_name[PARTS] = {"gfcf", "lightgcn"};

/* An empty model of that kind with the blend's options and seed. */
static enum err part_new(const struct rec_model *m, size_t which,
                         struct rec_model **out)
{
    static const struct {
        const char *from, *to;
    } pass[PARTS][4] = {{{"vectors", "dim"}},
                        {{"dim", "dim"}, {"epochs", "epochs"}, {"reg", "reg"}}};
    const struct rec_model_ops *ops = NULL;
    struct rec_model *p = NULL;
    enum err e = rec_model_find(part_name[which], &ops);

    if (e == ERR_OK)
        e = rec_model_new(&p, ops);
    for (size_t i = 0; e == ERR_OK && pass[which][i].from != NULL; i++) {
        for (const struct opt *r = rows; r->name != NULL; r++) {
            char text[64];

            if (strcmp(r->name, pass[which][i].from) != 0)
                continue;
            opt_value_text(r, m->opts, text, sizeof(text));
            e = opt_assign(ops->opts, p->opts, pass[which][i].to, text);
        }
    }
    if (e != ERR_OK) {
        rec_model_free(p);
        return e;
    }
    p->seed = m->seed;
    *out = p;
    return ERR_OK;
}

/* m's arrays of that part, as a model whose arrays they are. */
static enum err part_view(const struct rec_model *m, size_t which,
                          struct rec_model **out)
{
    ERR_TRY(part_new(m, which, out));
    return rec_part_view(m, part_name[which], *out);
}

static void parts_free(struct rec_model *part[PARTS])
{
    for (size_t w = 0; w < PARTS; w++)
        rec_model_free(part[w]);
}

/* --- training ---------------------------------------------------------------
 */

/* The parts' own estimates are looked at once more when they are trained. */
static double fit_bytes(const struct rec_data *d, const void *opts)
{
    const struct blend_opts *o = opts;
    const double n = (double)(d->n_users + d->n_items);
    const double filter = 4 * n * (double)o->vectors;
    const double vectors = 4 * n * (double)o->dim;

    return 5 * filter + 10 * vectors + 64 * n + 60 * (double)d->n_rows;
}

static enum err fit(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch)
{
    struct rec_model *part[PARTS] = {NULL};
    enum err e = ERR_OK;

    (void)watch;
    for (size_t w = 0; w < PARTS && e == ERR_OK; w++) {
        e = part_new(m, w, &part[w]);
        if (e == ERR_OK)
            e = rec_model_fit(part[w], d, NULL);
    }
    if (e == ERR_OK)
        e = rec_part_gather(m, d,
                            (struct rec_part[]){{part_name[0], part[0]},
                                                {part_name[1], part[1]}},
                            PARTS, NULL, 0);
    parts_free(part);
    return e;
}

/* --- scoring ----------------------------------------------------------------
 */

struct mixing {
    size_t n_items;
    float weight;
    float *scores;      /* [n][n_items] of gfcf, then of both */
    const float *other; /* [n][n_items] */
};

/* 1 / the standard deviation, or 0 where all are equal. */
static float unit(const float *x, size_t n)
{
    double sum = 0, square = 0;

    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i];
        square += (double)x[i] * (double)x[i];
    }
    const double variance =
        square / (double)n - sum * sum / ((double)n * (double)n);

    return variance > 1e-30 ? (float)(1 / sqrt(variance)) : 0;
}

static void mix_task(void *arg, size_t p, size_t thread)
{
    const struct mixing *w = arg;
    float *to = w->scores + p * w->n_items;
    const float *other = w->other + p * w->n_items;
    const float a = unit(to, w->n_items);
    const float b = w->weight * unit(other, w->n_items);

    (void)thread;
    for (size_t i = 0; i < w->n_items; i++)
        to[i] = a * to[i] + b * other[i];
}

static enum err mix(struct rec_model *const part[PARTS],
                    const struct rec_query *q, float weight, float *scores,
                    float *vec, float *other)
{
    struct mixing w = {part[0]->n_items, weight, scores, other};
    size_t dim = 0;
    const float *items = part[VECTORS]->ops->item_vectors(part[VECTORS], &dim);

    ERR_TRY(part[FILTER]->ops->score(part[FILTER], q, scores));
    ERR_TRY(part[VECTORS]->ops->embed(part[VECTORS], q, vec));
    ERR_TRY(la_gemm(&(struct krn_gemm){.tb = true,
                                       .m = q->n,
                                       .n = w.n_items,
                                       .k = dim,
                                       .a = vec,
                                       .lda = dim,
                                       .b = items,
                                       .ldb = dim,
                                       .c = other,
                                       .ldc = w.n_items}));
    par_for(q->n, mix_task, &w);
    return ERR_OK;
}

static enum err score(const struct rec_model *m, const struct rec_query *q,
                      float *scores)
{
    const struct blend_opts *o = m->opts;
    struct rec_model *part[PARTS] = {NULL};
    struct mem_scratch s = {0};
    float *vec = mem_take(&s, q->n, (size_t)o->dim, sizeof(float));
    float *other = mem_take(&s, q->n, m->n_items, sizeof(float));
    enum err e = ERR_OK;

    if (s.failed)
        e = err_set(ERR_NOMEM, "no memory to score people with blend");
    for (size_t w = 0; w < PARTS && e == ERR_OK; w++)
        e = part_view(m, w, &part[w]);
    if (e == ERR_OK)
        e = mix(part, q, (float)o->weight, scores, vec, other);
    parts_free(part);
    mem_drop(&s);
    return e;
}

static bool valid(const struct rec_model *m)
{
    struct rec_model *part[PARTS] = {NULL};
    bool good = true;

    for (size_t w = 0; w < PARTS && good; w++)
        good = part_view(m, w, &part[w]) == ERR_OK;
    parts_free(part);
    return good;
}

extern const struct rec_model_ops rec_model_blend;
const struct rec_model_ops rec_model_blend = {
    .name = "blend",
    .help = "the scores of gfcf and lightgcn, added",
    .opts = rows,
    .opts_bytes = sizeof(struct blend_opts),
    .fit_bytes = fit_bytes,
    .fit = fit,
    .score = score,
    .valid = valid,
};
