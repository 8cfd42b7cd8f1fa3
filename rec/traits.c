/* rec/traits.c - counting what groups meet and what people like. */
#include "rec/traits.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/power.h"
#include "nn/nn.h"

#define LN2 0.69314718055994531
#define DRAW_GROUP 5.0 /* rows as expected, added to both sides */
#define DRAW_KIND 2.0

/* --- which attributes are common -------------------------------------------
 */

struct common {
    uint64_t key;
    size_t n;
};

static int by_key(const void *a, const void *b)
{
    const struct common *x = a, *y = b;

    return (x->key > y->key) - (x->key < y->key);
}

static int by_number(const void *a, const void *b)
{
    const struct common *x = a, *y = b;

    return x->n != y->n ? (x->n < y->n) - (x->n > y->n) : by_key(a, b);
}

/* The attributes that `least` owners have, at most `most`, the commonest first
 * (number 0); returns how many.  c[ptr[n]] is room. */
static size_t find_common(struct common *c, const size_t *ptr,
                          const uint64_t *key, size_t n, size_t least,
                          size_t most)
{
    size_t all = ptr != NULL ? ptr[n] : 0, found = 0, last = 0;

    for (size_t k = 0; k < all; k++)
        c[k] = (struct common){key[k], 1};
    if (all > 0)
        qsort(c, all, sizeof(*c), by_key);
    for (size_t k = 1; k <= all; k++) {
        if (k < all && c[k].key == c[last].key)
            continue;
        if (k - last >= least)
            c[found++] = (struct common){c[last].key, k - last};
        last = k;
    }
    if (found > 0)
        qsort(c, found, sizeof(*c), by_number);
    return found < most ? found : most;
}

/* Numbers of what each owner has, the commonest first. */
static void name_common(const struct common *c, size_t n_common,
                        const size_t *ptr, const uint64_t *key, size_t n,
                        uint32_t *out)
{
    for (size_t e = 0; e < n * REC_TRAITS; e++)
        out[e] = NN_PAD;
    for (size_t e = 0; e < n && n_common > 0; e++) {
        size_t at = 0;

        for (size_t k = 0; k < n_common && at < REC_TRAITS; k++) {
            bool has = false;

            for (size_t r = ptr[e]; r < ptr[e + 1]; r++)
                has = has || key[r] == c[k].key;
            if (has)
                out[e * REC_TRAITS + at++] = (uint32_t)k;
        }
    }
}

static double ln(double x)
{
    return LN2 * krn_log2_f64(x);
}

/* --- counting --------------------------------------------------------------
 */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for attributes");
}

/* lift[n_groups][n_items]: first the rows of the group's people. */
static void count_groups(const struct rec_traits *t, const struct rec_data *d,
                         const float *met, double *rows, float *lift)
{
    for (size_t u = 0; u < d->n_users; u++) {
        const uint32_t *who = t->who + u * REC_TRAITS;

        for (size_t k = 0; k < REC_TRAITS && who[k] != NN_PAD; k++) {
            for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++)
                lift[who[k] * d->n_items + d->item[r]]++;
            rows[who[k]] += (double)(d->user_ptr[u + 1] - d->user_ptr[u]);
        }
    }
    for (size_t g = 0; g < t->n_groups; g++) {
        const double part = d->n_rows > 0 ? rows[g] / (double)d->n_rows : 0;

        for (size_t i = 0; i < d->n_items; i++) {
            float *x = lift + g * d->n_items + i;
            const double expected = part * (double)met[i];

            *x = (float)ln(((double)*x + DRAW_GROUP) / (expected + DRAW_GROUP));
        }
    }
}

static void count_kinds(const struct rec_traits *t, const struct rec_data *d,
                        const float *met, float *share)
{
    for (size_t i = 0; i < d->n_items && d->n_rows > 0; i++) {
        const uint32_t *what = t->what + i * REC_TRAITS;

        for (size_t k = 0; k < REC_TRAITS && what[k] != NN_PAD; k++)
            share[what[k]] += met[i] / (float)d->n_rows;
    }
}

enum err rec_traits_make(struct rec_traits *t, struct mem_scratch *s,
                         const struct rec_data *d)
{
    const size_t owners[2] = {d->n_users, d->n_items};
    const size_t *ptr[2] = {d->group_ptr, d->trait_ptr};
    const size_t all[2] = {ptr[0] != NULL ? ptr[0][owners[0]] : 0,
                           ptr[1] != NULL ? ptr[1][owners[1]] : 0};
    struct common *c =
        mem_take(s, (all[0] > all[1] ? all[0] : all[1]) + 1, 1, sizeof(*c));
    uint32_t *who = mem_take(s, d->n_users, REC_TRAITS, sizeof(*who));
    uint32_t *what = mem_take(s, d->n_items, REC_TRAITS, sizeof(*what));
    float *met = mem_take(s, d->n_items, 1, sizeof(*met));

    if (s->failed)
        return no_memory();
    *t = (struct rec_traits){.who = who, .what = what};
    t->n_groups = find_common(c, ptr[0], d->group, owners[0], REC_GROUP_LEAST,
                              REC_GROUPS_MOST);
    name_common(c, t->n_groups, ptr[0], d->group, owners[0], who);
    t->n_kinds = find_common(c, ptr[1], d->trait, owners[1], REC_KIND_LEAST,
                             REC_KINDS_MOST);
    name_common(c, t->n_kinds, ptr[1], d->trait, owners[1], what);
    if (t->n_groups + t->n_kinds == 0)
        return err_set(ERR_ARG,
                       "--attributes: the store knows no attribute that %d "
                       "people or %d items share (recd import --users FILE, "
                       "--catalogue FILE)",
                       REC_GROUP_LEAST, REC_KIND_LEAST);
    float *lift = mem_take(s, t->n_groups, d->n_items, sizeof(*lift));
    float *share = mem_take(s, t->n_kinds, 1, sizeof(*share));
    double *rows = mem_take(s, t->n_groups, 1, sizeof(*rows));

    if (s->failed)
        return no_memory();
    for (size_t r = 0; r < d->n_rows; r++)
        met[d->item[r]]++;
    count_groups(t, d, met, rows, lift);
    count_kinds(t, d, met, share);
    t->lift = lift;
    t->share = share;
    return ERR_OK;
}

/* --- in a model ------------------------------------------------------------
 */

size_t rec_traits_arrays(const struct rec_traits *t, const struct rec_data *d,
                         struct rec_array_spec spec[4])
{
    spec[0] = (struct rec_array_spec){"who", STO_U32, d->n_users, REC_TRAITS};
    spec[1] = (struct rec_array_spec){"lift", STO_F32, t->n_groups, d->n_items};
    spec[2] = (struct rec_array_spec){"what", STO_U32, d->n_items, REC_TRAITS};
    spec[3] = (struct rec_array_spec){"share", STO_F32, t->n_kinds, 1};
    return 4;
}

void rec_traits_store(const struct rec_traits *t, struct rec_model *m)
{
    const size_t n = m->n_items, wide = REC_TRAITS * sizeof(uint32_t);

    memcpy(rec_model_array(m, "who"), t->who, m->n_users * wide);
    memcpy(rec_model_array(m, "what"), t->what, n * wide);
    if (t->n_groups > 0)
        memcpy(rec_model_array(m, "lift"), t->lift,
               t->n_groups * n * sizeof(float));
    if (t->n_kinds > 0)
        memcpy(rec_model_array(m, "share"), t->share,
               t->n_kinds * sizeof(float));
}

static bool numbers_below(const uint32_t *x, size_t n, size_t below)
{
    for (size_t k = 0; k < n; k++) {
        if (x[k] != NN_PAD && x[k] >= below)
            return false;
    }
    return true;
}

enum err rec_traits_view(struct rec_traits *t, const struct rec_model *m)
{
    struct rec_traits v = {0};

    for (size_t a = 0; a < m->n_arrays; a++) {
        if (strcmp(m->array[a].name, "lift") == 0)
            v.n_groups = m->array[a].rows;
        if (strcmp(m->array[a].name, "share") == 0)
            v.n_kinds = m->array[a].rows;
    }
    if (!rec_model_has(m, "who", STO_U32, m->n_users, REC_TRAITS) ||
        !rec_model_has(m, "what", STO_U32, m->n_items, REC_TRAITS) ||
        !rec_model_has(m, "lift", STO_F32, v.n_groups, m->n_items) ||
        !rec_model_has(m, "share", STO_F32, v.n_kinds, 1) ||
        v.n_kinds > REC_KINDS_MOST)
        return err_set(ERR_FORMAT, "the re-ranker's attributes are damaged");
    v.who = rec_model_array(m, "who");
    v.what = rec_model_array(m, "what");
    v.lift = rec_model_array(m, "lift");
    v.share = rec_model_array(m, "share");
    if (!numbers_below(v.who, m->n_users * REC_TRAITS, v.n_groups) ||
        !numbers_below(v.what, m->n_items * REC_TRAITS, v.n_kinds))
        return err_set(ERR_FORMAT, "the re-ranker's attributes are damaged");
    *t = v;
    return ERR_OK;
}

/* --- features --------------------------------------------------------------
 */

void rec_traits_taste(const struct rec_traits *t, const uint32_t *history,
                      size_t n, float *taste)
{
    memset(taste, 0, t->n_kinds * sizeof(*taste));
    for (size_t r = 0; r < n; r++) {
        const uint32_t *what = t->what + history[r] * (size_t)REC_TRAITS;

        for (size_t k = 0; k < REC_TRAITS && what[k] != NN_PAD; k++)
            taste[what[k]]++;
    }
    for (size_t k = 0; k < t->n_kinds; k++) {
        const double expected = (double)n * (double)t->share[k];

        taste[k] =
            (float)ln(((double)taste[k] + DRAW_KIND) / (expected + DRAW_KIND));
    }
}

/* Sum and largest of values[number[..] * stride], 0 and 0 without any. */
static void sum_up(const uint32_t *number, const float *values, size_t stride,
                   float out[2])
{
    out[0] = out[1] = 0;
    for (size_t k = 0; k < REC_TRAITS && number[k] != NN_PAD; k++) {
        const float x = values[number[k] * stride];

        out[0] += x;
        out[1] = k == 0 || x > out[1] ? x : out[1];
    }
}

void rec_traits_features(const struct rec_traits *t, uint32_t user,
                         const float *taste, size_t n_items, uint32_t item,
                         float out[REC_TRAIT_FEATURES])
{
    static const uint32_t none[REC_TRAITS] = {NN_PAD};
    const uint32_t *who =
        user != REC_NOBODY ? t->who + user * (size_t)REC_TRAITS : none;

    sum_up(who, t->n_groups > 0 ? t->lift + item : NULL, n_items, out);
    sum_up(t->what + item * (size_t)REC_TRAITS, taste, 1, out + 2);
}
