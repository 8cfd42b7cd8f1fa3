/* rec/boost.c - gradient-boosted regression trees. */
#include "rec/boost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"

#define BINS 256
#define LEAF UINT32_MAX
#define NODE_WORDS 4  /* feature or LEAF, threshold, left child, value */
#define CUT_ROWS 8192 /* rows that bins are made from, at most */

struct cell {
    double g, h;
    size_t n;
};

struct split {
    double gain;
    size_t feature, bin; /* bins up to it go left */
};

/* A leaf while a tree grows: rows[first..first + n-1]. */
struct leaf {
    size_t first, n, node;
    double g, h;
    struct split best;
    struct cell *cells; /* [w][BINS] */
};

struct grower {
    const float *x;
    size_t n, w;
    const struct rec_boost_opt *opt;
    float *cut;      /* [w][BINS] upper ends of bins */
    size_t *n_cuts;  /* [w] bins less one */
    uint8_t *bin;    /* [w][n] */
    float *g, *h;    /* [n] */
    uint32_t *rows;  /* [n], leaf by leaf */
    uint32_t *aside; /* [n] */
    struct leaf *leaf;
    size_t n_leaves;
    uint32_t *tree; /* nodes of the tree that grows */
    size_t n_nodes;
    const struct leaf *asked; /* by the tasks below */
    struct split *found;      /* [w] */
};

static uint32_t bits_of(float x)
{
    uint32_t b;

    memcpy(&b, &x, sizeof(b));
    return b;
}

static float float_of(uint32_t b)
{
    float x;

    memcpy(&x, &b, sizeof(x));
    return x;
}

/* --- bins ------------------------------------------------------------------
 */

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* Cuts of feature f: between different values, about equally many rows apart.
 * value[m]: every so many rows, sorted. */
static size_t make_cuts(const float *value, size_t m, float *cut)
{
    size_t n = 0, since = 0;
    const size_t share = (m + BINS - 2) / (BINS - 1);

    for (size_t k = 0; k + 1 < m && n < BINS - 1; k++) {
        since++;
        if (!(value[k] < value[k + 1]) || since < share)
            continue;
        cut[n++] = value[k] + (value[k + 1] - value[k]) / 2;
        since = 0;
    }
    return n;
}

static uint8_t bin_of(const float *cut, size_t n, float x)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;

        if (x > cut[mid])
            lo = mid + 1;
        else
            hi = mid;
    }
    return (uint8_t)lo;
}

struct binner {
    struct grower *w;
    float *value; /* [threads][CUT_ROWS] */
};

static void bin_task(void *arg, size_t f, size_t thread)
{
    const struct binner *b = arg;
    struct grower *w = b->w;
    float *value = b->value + thread * CUT_ROWS;
    const size_t m = w->n < CUT_ROWS ? w->n : CUT_ROWS;

    for (size_t k = 0; k < m; k++)
        value[k] = w->x[k * w->n / m * w->w + f];
    qsort(value, m, sizeof(*value), by_value);
    w->n_cuts[f] = make_cuts(value, m, w->cut + f * BINS);
    for (size_t r = 0; r < w->n; r++)
        w->bin[f * w->n + r] =
            bin_of(w->cut + f * BINS, w->n_cuts[f], w->x[r * w->w + f]);
}

/* --- splits ----------------------------------------------------------------
 */

static double worth(const struct grower *w, double g, double h)
{
    return g * g / (h + w->opt->l2);
}

static void count_task(void *arg, size_t f, size_t thread)
{
    struct grower *w = arg;
    const struct leaf *l = w->asked;
    struct cell *c = l->cells + f * BINS;
    const uint8_t *bin = w->bin + f * w->n;

    (void)thread;
    memset(c, 0, BINS * sizeof(*c));
    for (size_t k = 0; k < l->n; k++) {
        const uint32_t r = w->rows[l->first + k];
        struct cell *to = &c[bin[r]];

        to->g += (double)w->g[r];
        to->h += (double)w->h[r];
        to->n++;
    }
}

static void split_task(void *arg, size_t f, size_t thread)
{
    struct grower *w = arg;
    const struct leaf *l = w->asked;
    const struct cell *c = l->cells + f * BINS;
    const double whole = worth(w, l->g, l->h);
    struct split best = {.gain = 0};
    struct cell left = {0};

    (void)thread;
    for (size_t b = 0; b < w->n_cuts[f]; b++) {
        left.g += c[b].g;
        left.h += c[b].h;
        left.n += c[b].n;
        if (left.n < w->opt->least || l->n - left.n < w->opt->least)
            continue;
        const double gain = worth(w, left.g, left.h) +
                            worth(w, l->g - left.g, l->h - left.h) - whole;

        if (gain > best.gain)
            best = (struct split){gain, f, b};
    }
    w->found[f] = best;
}

/* The best split of a leaf whose cells are counted. */
static void look(struct grower *w, struct leaf *l)
{
    w->asked = l;
    par_for(w->w, split_task, w);
    l->best = (struct split){.gain = 0};
    for (size_t f = 0; f < w->w; f++) {
        if (w->found[f].gain > l->best.gain)
            l->best = w->found[f];
    }
}

static void count(struct grower *w, struct leaf *l)
{
    w->asked = l;
    par_for(w->w, count_task, w);
}

/* Cells of the larger part: what the smaller one leaves of the whole. */
static void take_away(const struct grower *w, struct cell *from,
                      const struct cell *what)
{
    for (size_t k = 0; k < w->w * BINS; k++) {
        from[k].g -= what[k].g;
        from[k].h -= what[k].h;
        from[k].n -= what[k].n;
    }
}

/* --- a tree ----------------------------------------------------------------
 */

static uint32_t *node_at(struct grower *w, size_t node)
{
    return w->tree + node * NODE_WORDS;
}

static void sum_leaf(const struct grower *w, struct leaf *l)
{
    l->g = 0;
    l->h = 0;
    for (size_t k = 0; k < l->n; k++) {
        l->g += (double)w->g[w->rows[l->first + k]];
        l->h += (double)w->h[w->rows[l->first + k]];
    }
}

/* Cut leaf l in two; its place is taken by the left part. */
static void cut_leaf(struct grower *w, struct leaf *l)
{
    const struct split s = l->best;
    const uint8_t *bin = w->bin + s.feature * w->n;
    struct leaf *r = &w->leaf[w->n_leaves++];
    uint32_t *node = node_at(w, l->node), *rows = w->rows + l->first;
    size_t left = 0, right = 0;

    for (size_t k = 0; k < l->n; k++) {
        if (bin[rows[k]] <= s.bin)
            rows[left++] = rows[k];
        else
            w->aside[right++] = rows[k];
    }
    memcpy(rows + left, w->aside, right * sizeof(*rows));
    node[0] = (uint32_t)s.feature;
    node[1] = bits_of(w->cut[s.feature * BINS + s.bin]);
    node[2] = (uint32_t)w->n_nodes;
    r->first = l->first + left;
    r->n = right;
    r->node = w->n_nodes + 1;
    l->n = left;
    l->node = w->n_nodes;
    w->n_nodes += 2;
    sum_leaf(w, l);
    sum_leaf(w, r);
    /* count the smaller, derive the larger; cells of the whole are l's */
    struct leaf *small = l->n < r->n ? l : r;
    struct cell *whole = l->cells;

    if (small == l) {
        l->cells = r->cells;
        r->cells = whole;
    }
    count(w, small);
    take_away(w, whole, small->cells);
    look(w, l);
    look(w, r);
}

static void start_tree(struct grower *w)
{
    struct leaf *l = &w->leaf[0];

    for (size_t r = 0; r < w->n; r++)
        w->rows[r] = (uint32_t)r;
    w->n_leaves = 1;
    w->n_nodes = 1;
    l->first = 0;
    l->n = w->n;
    l->node = 0;
    sum_leaf(w, l);
    count(w, l);
    look(w, l);
}

static void grow(struct grower *w, double *score)
{
    start_tree(w);
    while (w->n_leaves < w->opt->leaves) {
        struct leaf *best = &w->leaf[0];

        for (size_t k = 1; k < w->n_leaves; k++) {
            if (w->leaf[k].best.gain > best->best.gain)
                best = &w->leaf[k];
        }
        if (!(best->best.gain > 1e-9))
            break;
        cut_leaf(w, best);
    }
    for (size_t k = 0; k < w->n_leaves; k++) {
        const struct leaf *l = &w->leaf[k];
        uint32_t *node = node_at(w, l->node);
        const float value = (float)(-w->opt->rate * l->g / (l->h + w->opt->l2));

        node[0] = LEAF;
        node[1] = 0;
        node[2] = 0;
        node[3] = bits_of(value);
        for (size_t r = 0; r < l->n; r++)
            score[w->rows[l->first + r]] += (double)value;
    }
}

/* --- all trees -------------------------------------------------------------
 */

static enum err append(struct rec_boost *b, const struct grower *w)
{
    const size_t more = 1 + w->n_nodes * NODE_WORDS;
    uint32_t *words =
        realloc(b->words, (b->n_words + more) * sizeof(*b->words));

    if (words == NULL)
        return err_set(ERR_NOMEM, "no memory for trees");
    b->words = words;
    words[b->n_words] = (uint32_t)w->n_nodes;
    memcpy(words + b->n_words + 1, w->tree,
           w->n_nodes * NODE_WORDS * sizeof(*words));
    b->n_words += more;
    b->words[0]++;
    return ERR_OK;
}

static enum err open_grower(struct grower *w, struct mem_scratch *s)
{
    const size_t leaves = w->opt->leaves;
    struct cell *cells = mem_take_raw(s, leaves * w->w, BINS, sizeof(*cells));

    w->cut = mem_take(s, w->w, BINS, sizeof(*w->cut));
    w->n_cuts = mem_take(s, w->w, 1, sizeof(*w->n_cuts));
    w->bin = mem_take_raw(s, w->w, w->n, 1);
    w->g = mem_take(s, w->n, 1, sizeof(*w->g));
    w->h = mem_take(s, w->n, 1, sizeof(*w->h));
    w->rows = mem_take_raw(s, w->n, 1, sizeof(*w->rows));
    w->aside = mem_take_raw(s, w->n, 1, sizeof(*w->aside));
    w->leaf = mem_take(s, leaves, 1, sizeof(*w->leaf));
    w->tree = mem_take(s, 2 * leaves, NODE_WORDS, sizeof(*w->tree));
    w->found = mem_take(s, w->w, 1, sizeof(*w->found));
    struct binner b = {w,
                       mem_take_raw(s, par_threads(), CUT_ROWS, sizeof(float))};

    if (s->failed)
        return err_set(ERR_NOMEM, "no memory for trees");
    for (size_t k = 0; k < leaves; k++)
        w->leaf[k].cells = cells + k * w->w * BINS;
    par_for(w->w, bin_task, &b);
    return ERR_OK;
}

enum err rec_boost_fit(struct rec_boost *b, const float *x, size_t n, size_t w,
                       const struct rec_boost_opt *opt,
                       const struct rec_boost_loss *loss)
{
    struct mem_scratch s = {0};
    struct grower k = {.x = x, .n = n, .w = w, .opt = opt};
    double *score = mem_take(&s, n, 1, sizeof(*score));
    enum err e = open_grower(&k, &s);

    *b = (struct rec_boost){.words = mem_array(2, sizeof(*b->words)),
                            .n_words = 2};
    if (e == ERR_OK && b->words == NULL)
        e = err_set(ERR_NOMEM, "no memory for trees");
    if (e == ERR_OK)
        b->words[1] = (uint32_t)w;
    for (size_t t = 0; t < opt->trees && e == ERR_OK; t++) {
        if (log_stopping()) {
            e = err_set(ERR_STOPPED, "stopped");
            break;
        }
        loss->slope(loss->arg, score, k.g, k.h);
        grow(&k, score);
        e = append(b, &k);
        log_tick("growing trees", t + 1, opt->trees, "");
    }
    mem_drop(&s);
    if (e != ERR_OK)
        rec_boost_free(b);
    return e;
}

void rec_boost_free(struct rec_boost *b)
{
    free(b->words);
    *b = (struct rec_boost){.n_words = 0};
}

/* Children stand behind their parent, so that every walk ends. */
static bool valid_tree(const uint32_t *node, size_t n, size_t w)
{
    for (size_t k = 0; k < n; k++) {
        const uint32_t *at = node + k * NODE_WORDS;

        if (at[0] == LEAF)
            continue;
        if (at[0] >= w || at[2] <= k || at[2] + (size_t)1 >= n)
            return false;
    }
    return n > 0;
}

bool rec_boost_valid(const uint32_t *words, size_t n_words, size_t w)
{
    size_t at = 2;

    if (words == NULL || n_words < 2 || words[1] != w)
        return false;
    for (size_t t = 0; t < words[0]; t++) {
        const size_t left = n_words - at;

        if (left == 0 || words[at] > (left - 1) / NODE_WORDS ||
            !valid_tree(words + at + 1, words[at], w))
            return false;
        at += 1 + (size_t)words[at] * NODE_WORDS;
    }
    return at == n_words;
}

double rec_boost_score(const struct rec_boost *b, const float *row)
{
    const uint32_t *p = b->words + 2;
    double sum = 0;

    for (size_t t = 0; t < b->words[0]; t++) {
        const uint32_t *node = p + 1, *at = node;

        while (at[0] != LEAF)
            at = node +
                 (size_t)NODE_WORDS * (at[2] + (row[at[0]] > float_of(at[1])));
        sum += (double)float_of(at[3]);
        p += 1 + (size_t)p[0] * NODE_WORDS;
    }
    return sum;
}
