/*
 * rec/rerank_prs.c - several lists by beam search, the best of them by an
 * evaluator that reads them whole.
 *
 * First stage: two networks say of each item by itself how likely it is taken
 * when it is looked at (c) and, when it was, that people go on (m), so that
 * they go on with probability d = 1 - c (1 - m).  The search keeps the BEAMS
 * lists of the largest sum of c times the d of what stands above, the items
 * that are left taken in the order of d.  Second stage: two LSTMs read each
 * list; the one with the most expected clicks is shown.
 *
 * Source: Feng et al., Revisit recommender system in the permutation
 * prospective (PRS), arXiv 2102.12057.  Differs: the parts learn together;
 * logs do not say who went on, so that c and m are the likeliest of the
 * dependent click model (rec/clicks.h); the first stage's own list is always
 * among those compared.
 */
#include <stdlib.h>
#include <string.h>

#include "rec/judge.h"

#define BEAMS ((size_t)6)

struct own {
    struct nn_tape *tape;
    struct nn_tensor *x, *mask, *keys, *ctr, *next, *p;
    /* of the lists that are learnt from, [batch][n] each: clicks; passed over
     * above the last click (everywhere without one); clicks but the last; the
     * last; below it */
    struct nn_tensor *click, *passed, *went, *last, *below;
    struct mem_scratch s;
    size_t batch, n, features, places;
    float *lists, *there;   /* [batch][n][features], [batch][n] as asked */
    float *c, *d, *value;   /* [batch][n] */
    double *best;           /* [batch] */
    uint32_t *beam, *shown; /* [batch][BEAMS][n], [batch][n] */
};

/* --- the network -----------------------------------------------------------
 */

static struct nn_tensor *point(struct own *w, const struct rec_lists *l,
                               const char *first, const char *drop,
                               const char *last)
{
    struct nn_tensor *h = nn_linear(w->tape, w->x, first, l->dim, NN_RELU);

    h = nn_map_drop(w->tape, h, drop, l->drop, l->keys);
    return rec_lists_flat(w->tape, l, nn_linear(w->tape, h, last, 1, NN_NONE));
}

/* sum over a list of weight times ln sigmoid(sign logit), [batch]. */
static struct nn_tensor *log_of(struct own *w, struct nn_tensor *logit,
                                double sign, struct nn_tensor *weight)
{
    struct nn_tensor *x = nn_map_scale(w->tape, logit, -sign, 0);

    x = nn_map_mul(w->tape, nn_map(w->tape, x, NN_SOFTPLUS), weight);
    return nn_map_scale(w->tape, nn_reduce_axis_sum(w->tape, x, 1), -1, 0);
}

/* Less the logarithm of how likely the clicks of a list are by the dependent
 * click model: what was passed over, what was clicked, that people went on
 * after a click, and that after the last one they left or clicked no more. */
static struct nn_tensor *unlikely(struct own *w, struct nn_tensor *c,
                                  struct nn_tensor *m)
{
    struct nn_tensor *none = nn_map(w->tape, log_of(w, c, -1, w->below),
                                    NN_EXP); /* no click below */
    struct nn_tensor *on = nn_reduce_axis_sum(
        w->tape, nn_map_mul(w->tape, nn_map(w->tape, m, NN_SIGMOID), w->last),
        1);
    struct nn_tensor *end = nn_map_mul(
        w->tape, on, nn_map_scale(w->tape, none, -1, 1)); /* on, and clicks */

    end = nn_map(w->tape, nn_map_scale(w->tape, end, -1, 1 + 1e-6), NN_LOG);
    end = nn_map_add(w->tape, end, log_of(w, c, 1, w->click));
    end = nn_map_add(w->tape, end, log_of(w, c, -1, w->passed));
    end = nn_map_add(w->tape, end, log_of(w, m, 1, w->went));
    return nn_map_scale(w->tape, nn_reduce_mean(w->tape, end, NULL), -1, 0);
}

static enum err build(struct own *w, const struct rec_rerank_opts *o,
                      bool training)
{
    const size_t list[2] = {w->batch, w->n};
    struct nn_tensor *logit[3], *loss = NULL;

    w->x =
        nn_tape_input(w->tape, "x", 3, (size_t[]){w->batch, w->n, w->features});
    w->mask = nn_tape_input(w->tape, "mask", 2, list);
    w->keys = nn_tape_keys(w->tape, "people", w->batch);
    const struct rec_lists l = {.x = w->x,
                                .mask = w->mask,
                                .keys = w->keys,
                                .batch = w->batch,
                                .n = w->n,
                                .features = w->features,
                                .dim = (size_t)o->dim,
                                .drop = o->drop};

    logit[0] = point(w, &l, "net/click", "net/drop1", "net/click_last");
    logit[1] = point(w, &l, "net/more", "net/drop2", "net/more_last");
    logit[2] = rec_judge_both_ways(w->tape, &l);
    w->ctr = nn_map(w->tape, logit[0], NN_SIGMOID);
    w->next = nn_map(w->tape, logit[1], NN_SIGMOID);
    w->p = nn_map(w->tape, logit[2], NN_SIGMOID);
    nn_tape_keep(w->tape, w->ctr);
    nn_tape_keep(w->tape, w->next);
    nn_tape_keep(w->tape, w->p);
    if (training) {
        w->click = nn_tape_input(w->tape, "click", 2, list);
        w->passed = nn_tape_input(w->tape, "passed", 2, list);
        w->went = nn_tape_input(w->tape, "went", 2, list);
        w->last = nn_tape_input(w->tape, "last", 2, list);
        w->below = nn_tape_input(w->tape, "below", 2, list);
        loss = nn_map_add(
            w->tape, unlikely(w, logit[0], logit[1]),
            nn_reduce_mean(w->tape, nn_loss_bce(w->tape, logit[2], w->click),
                           w->mask));
    }
    return nn_tape_plan(w->tape, loss);
}

static enum err open_lists(struct rec_net *k, const struct rec_model *m,
                           bool training)
{
    const struct rec_rerank_opts *o = m->opts;
    struct own *w = mem_array(1, sizeof(*w));

    k->own = w;
    if (w == NULL)
        return err_set(ERR_NOMEM, "no memory to search lists");
    *w = (struct own){.batch = k->batch, .n = k->n, .features = k->features};
    w->places = (size_t)o->places < k->n ? (size_t)o->places : k->n;
    w->lists = mem_take(&w->s, k->batch * k->n, k->features, sizeof(float));
    w->there = mem_take(&w->s, k->batch, k->n, sizeof(float));
    w->c = mem_take(&w->s, k->batch, k->n, sizeof(float));
    w->d = mem_take(&w->s, k->batch, k->n, sizeof(float));
    w->value = mem_take(&w->s, k->batch, k->n, sizeof(float));
    w->best = mem_take(&w->s, k->batch, 1, sizeof(double));
    w->beam = mem_take(&w->s, k->batch * BEAMS, k->n, sizeof(uint32_t));
    w->shown = mem_take(&w->s, k->batch, k->n, sizeof(uint32_t));
    if (w->s.failed)
        return err_set(ERR_NOMEM, "no memory to search lists");
    ERR_TRY(nn_tape_new(&w->tape, k->params));
    return build(w, o, training);
}

static void close_lists(struct rec_net *k)
{
    struct own *w = k->own;

    if (w == NULL)
        return;
    nn_tape_free(w->tape);
    mem_drop(&w->s);
    free(w);
}

/* --- learning --------------------------------------------------------------
 */

static void set_clicks(struct own *w, size_t b, const float *label,
                       const float *mask)
{
    size_t last = w->n; /* place of the last click; n: there is none */

    for (size_t k = 0; k < w->n; k++)
        last = label[k] > 0 ? k : last;
    for (size_t k = 0; k < w->n; k++) {
        const size_t at = b * w->n + k;
        const bool click = label[k] > 0, there = mask[k] > 0;

        nn_tape_put(w->tape, w->click, at, click);
        nn_tape_put(w->tape, w->passed, at, there && !click && k < last);
        nn_tape_put(w->tape, w->went, at, click && k < last);
        nn_tape_put(w->tape, w->last, at, k == last);
        nn_tape_put(w->tape, w->below, at, there && k > last);
    }
}

static enum err step(void *arg, struct rec_step *p, struct nn_optim *optim,
                     double *loss)
{
    struct own *w = arg;

    nn_tape_set(w->tape, w->x, p->x);
    nn_tape_set(w->tape, w->mask, p->mask);
    nn_tape_set_keys(w->tape, w->keys, p->key);
    for (size_t b = 0; b < w->batch; b++)
        set_clicks(w, b, p->label + b * w->n, p->mask + b * w->n);
    return nn_optim_train(optim, w->tape, loss);
}

static enum err learn(struct rec_net *k, const struct rec_model *m,
                      const struct rec_lessons *t)
{
    struct own *w = k->own;

    return rec_net_teach(k, m, t, w->tape, 1, "learning to judge lists", step,
                         w);
}

/* --- search ----------------------------------------------------------------
 */

struct beam {
    double there, clicks; /* so far */
    double worth;         /* with what is left in the order of d */
    size_t from, item;    /* the beam it continues, and with what */
    uint32_t order[REC_PLACES_MOST];
    bool used[REC_LIST_MOST];
};

/* What is known of a list's items, and they themselves in the order of d. */
struct items {
    const float *c, *d;
    size_t n, places;
    struct rec_placed by_d[REC_LIST_MOST];
};

/* Clicks of the places that are left, when item i stands too. */
static double rest(const struct items *t, const struct beam *b, size_t i,
                   size_t left)
{
    double there = 1, sum = 0;

    for (size_t r = 0; r < t->n && left > 0; r++) {
        const uint32_t at = t->by_d[r].at;

        if (b->used[at] || at == i)
            continue;
        sum += there * (double)t->c[at];
        there *= (double)t->d[at];
        left--;
    }
    return sum;
}

/* Put a candidate among the best, equal ones in order of arrival. */
static size_t put(struct beam *best, size_t n, const struct beam *x)
{
    size_t at = n;

    while (at > 0 && x->worth > best[at - 1].worth)
        at--;
    if (at >= BEAMS)
        return n;
    const size_t kept = n < BEAMS ? n : BEAMS - 1;

    for (size_t k = kept; k > at; k--) {
        best[k].there = best[k - 1].there;
        best[k].clicks = best[k - 1].clicks;
        best[k].worth = best[k - 1].worth;
        best[k].from = best[k - 1].from;
        best[k].item = best[k - 1].item;
    }
    best[at].there = x->there;
    best[at].clicks = x->clicks;
    best[at].worth = x->worth;
    best[at].from = x->from;
    best[at].item = x->item;
    return kept + 1;
}

/* One place more: the best continuations of all beams. */
static size_t widen(const struct items *t, const struct beam *now, size_t n,
                    struct beam *next, size_t place)
{
    size_t found = 0;

    for (size_t b = 0; b < n; b++) {
        for (size_t i = 0; i < t->n; i++) {
            struct beam x;

            if (now[b].used[i])
                continue;
            x.there = now[b].there * (double)t->d[i];
            x.clicks = now[b].clicks + now[b].there * (double)t->c[i];
            x.worth =
                x.clicks + x.there * rest(t, &now[b], i, t->places - place - 1);
            x.from = b;
            x.item = i;
            found = put(next, found, &x);
        }
    }
    for (size_t b = 0; b < found; b++) {
        memcpy(next[b].order, now[next[b].from].order, sizeof(next[b].order));
        memcpy(next[b].used, now[next[b].from].used, sizeof(next[b].used));
        next[b].order[place] = (uint32_t)next[b].item;
        next[b].used[next[b].item] = true;
    }
    return found;
}

/* Lists of one person into beam[BEAMS][n]; the last is the list as it is. */
static void search(const struct own *w, size_t person, size_t len,
                   struct beam *room)
{
    struct items t = {
        .c = w->c + person * w->n, .d = w->d + person * w->n, .n = len};
    uint32_t *out = w->beam + person * BEAMS * w->n;
    const size_t places = w->places < len ? w->places : len;
    struct beam *now = room, *next = room + BEAMS;
    size_t n = 1;

    t.places = places;
    for (size_t i = 0; i < len; i++)
        t.by_d[i] = (struct rec_placed){t.d[i], (uint32_t)i};
    qsort(t.by_d, len, sizeof(*t.by_d), rec_by_place);
    memset(&now[0], 0, sizeof(now[0]));
    now[0].there = 1;
    for (size_t k = 0; k < places; k++) {
        struct beam *swap = now;

        n = widen(&t, now, n, next, k);
        now = next;
        next = swap;
    }
    for (size_t b = 0; b < BEAMS; b++) {
        const struct beam *from = &now[b < n ? b : 0];
        uint32_t *to = out + b * w->n;
        const bool plain = b == BEAMS - 1;
        size_t at = 0;

        for (; at < places && !plain; at++)
            to[at] = from->order[at];
        for (size_t i = 0; i < w->n; i++) {
            if (plain || i >= len || !from->used[i])
                to[at++] = (uint32_t)i;
        }
    }
}

/* Expected clicks of beam number b of everybody; the best so far is kept. */
static enum err compare(struct own *w, const struct rec_asked *a, size_t b)
{
    for (size_t p = 0; p < w->batch; p++) {
        const uint32_t *order = w->beam + (p * BEAMS + b) * w->n;

        for (size_t k = 0; k < w->n; k++) {
            memcpy(w->lists + (p * w->n + k) * w->features,
                   a->x + (p * w->n + order[k]) * w->features,
                   w->features * sizeof(float));
            w->there[p * w->n + k] = a->mask[p * w->n + order[k]];
        }
    }
    nn_tape_set(w->tape, w->x, w->lists);
    nn_tape_set(w->tape, w->mask, w->there);
    ERR_TRY(nn_tape_forward(w->tape));
    nn_tape_get(w->tape, w->p, w->value);
    for (size_t p = 0; p < w->batch; p++) {
        double sum = 0;

        for (size_t k = 0; k < w->n; k++)
            sum += (double)(w->value[p * w->n + k] * w->there[p * w->n + k]);
        if (b > 0 && !(sum > w->best[p]))
            continue;
        w->best[p] = sum;
        memcpy(w->shown + p * w->n, w->beam + (p * BEAMS + b) * w->n,
               w->n * sizeof(uint32_t));
    }
    return ERR_OK;
}

static enum err order(struct rec_net *k, const struct rec_asked *a,
                      float *value)
{
    struct own *w = k->own;
    struct beam *room = mem_array(2 * BEAMS, sizeof(*room));

    if (room == NULL)
        return err_set(ERR_NOMEM, "no memory to search lists");
    nn_tape_set(w->tape, w->x, a->x);
    nn_tape_set(w->tape, w->mask, a->mask);
    nn_tape_set_keys(w->tape, w->keys, a->key);
    enum err e = nn_tape_forward(w->tape);

    nn_tape_get(w->tape, w->ctr, w->c);
    nn_tape_get(w->tape, w->next, w->d);
    for (size_t at = 0; at < w->batch * w->n; at++)
        w->d[at] = 1 - w->c[at] * (1 - w->d[at]);
    for (size_t p = 0; p < w->batch && e == ERR_OK; p++) {
        size_t len = 0;

        while (len < w->n && a->mask[p * w->n + len] > 0)
            len++;
        search(w, p, len, room);
    }
    for (size_t b = 0; b < BEAMS && e == ERR_OK; b++)
        e = compare(w, a, b);
    for (size_t at = 0; at < w->batch * w->n && e == ERR_OK; at++)
        value[at / w->n * w->n + w->shown[at]] = -(float)(at % w->n);
    free(room);
    return e;
}

static const struct rec_reranker_ways ways = {
    .open = open_lists,
    .learn = learn,
    .order = order,
    .close = close_lists,
};

extern const struct rec_reranker rec_reranker_prs;
const struct rec_reranker rec_reranker_prs = {
    .name = "prs",
    .help = "several lists by beam search, the best by an evaluator",
    .ways = &ways,
    .reads = "epochs dim batch rate drop decay places " REC_READ_BY_THIN,
};
