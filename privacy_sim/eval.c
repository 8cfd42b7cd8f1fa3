/* privacy_sim/eval.c - what a choice is worth to a person. */
#include "privacy_sim/eval.h"

#include <string.h>

#include "base/cpu.h"
#include "kernels/power.h"

enum { DECIDES = 1, REPORTS = 2 };

static size_t most_segments(const struct sim_world *w)
{
    size_t most = 1;

    for (size_t u = 0; u < w->all.n_users; u++) {
        if (sim_segments(w, u) > most)
            most = sim_segments(w, u);
    }
    return most;
}

void sim_eval_open(struct sim_eval *e, struct mem_scratch *m,
                   const struct sim_world *w, const struct sim_rows *r,
                   const struct sim_wants *how)
{
    const size_t n = w->all.n_items, segments = most_segments(w);
    const size_t kept = segments < SIM_KEPT ? segments : SIM_KEPT;

    *e = (struct sim_eval){
        .w = w,
        .r = r,
        .how = how,
        .kept = mem_take(m, kept, n, sizeof(int32_t)),
        .sum = mem_take(m, n, 1, sizeof(int32_t)),
        .bare = mem_take(m, n, 1, sizeof(int32_t)),
        .role = mem_take(m, n, 1, 1),
        .on = mem_take(m, segments, 1, 1),
        .order = mem_take(m, rec_data_most_rows(&w->all), 1, sizeof(uint32_t)),
        .first = mem_take(m, segments + 2, 1, sizeof(size_t)),
        .kept_choice = mem_take(m, 2 * segments, 1, 1),
        .theta = mem_take(m, 3 * segments + 4, 1, sizeof(double)),
    };
    /* people with few segments have tables of all subsets beside others */
    e->table = mem_take_raw(
        m,
        ((size_t)1 << (segments < SIM_SUBSETS ? segments : SIM_SUBSETS)) +
            segments + 1,
        1, sizeof(float));
    for (size_t k = 0; k < KRN_PICK_MOST; k++) {
        e->gain[k] = 1 / krn_log2_f64((double)k + 2);
        e->ideal[k + 1] = e->ideal[k] + e->gain[k];
    }
}

/* --- lists -----------------------------------------------------------------
 */

/* step may be NULL.  The last list's items give a floor that at least as many
 * are above. */
static void make_list(struct sim_eval *e, int32_t *sum, const int32_t *step,
                      int32_t sign)
{
    struct krn_pick *t = &e->top;
    int32_t floor = INT32_MAX;

    for (size_t k = 0; k < t->n; k++) {
        const uint32_t i = t->id[k];
        const int32_t x = sum[i] + (step != NULL ? sign * step[i] : 0);

        floor = x < floor ? x : floor;
    }
    if (t->n < t->k || floor < -SIM_SCORE)
        floor = -SIM_SCORE; /* what is barred lies below that */
    t->n = 0;
    t->floor = floor - 1;
    cpu_ops()->pick_i32(sum, step, sign, e->w->all.n_items, t);
}

static void bar(struct sim_eval *e, int32_t *sum, int32_t sign)
{
    const struct rec_data *d = &e->w->all;

    for (size_t r = d->user_ptr[e->user]; r < d->user_ptr[e->user + 1]; r++) {
        if (!e->w->is_attribute[d->item[r]])
            sum[d->item[r]] -= sign * SIM_BARRED;
    }
}

static void bar_attributes(const struct sim_eval *e, int32_t *sum)
{
    for (size_t i = 0; i < e->w->all.n_items; i++) {
        if (e->w->is_attribute[i])
            sum[i] = -SIM_BARRED;
    }
}

/* Nothing is shown: the most popular items. */
static void make_bare_list(struct sim_eval *e)
{
    const size_t n = e->w->all.n_items;

    memcpy(e->bare, e->r->popular, n * sizeof(*e->bare));
    bar_attributes(e, e->bare);
    if (e->how->exclude_all)
        bar(e, e->bare, 1);
    make_list(e, e->bare, NULL, 1);
}

/* --- segments --------------------------------------------------------------
 */

static void sort_rows(struct sim_eval *e)
{
    const struct rec_data *d = &e->w->all;
    const size_t from = d->user_ptr[e->user], to = d->user_ptr[e->user + 1];

    memset(e->first, 0, (e->n + 2) * sizeof(*e->first));
    for (size_t r = from; r < to; r++)
        e->first[e->w->segment[r] + 2]++;
    for (size_t k = 2; k <= e->n + 1; k++)
        e->first[k] += e->first[k - 1];
    for (size_t r = from; r < to; r++)
        e->order[e->first[e->w->segment[r] + 1]++] = d->item[r];
}

/* The row of an item, which also bars it while it is shown. */
static void add_row(struct sim_eval *e, uint32_t i, int32_t sign, int32_t *to)
{
    sim_rows_add(e->r, i, sign, to);
    if (!e->how->exclude_all && !e->w->is_attribute[i])
        to[i] -= sign * SIM_BARRED;
}

static void keep_segment(struct sim_eval *e, size_t k)
{
    int32_t *to = e->kept + k * e->w->all.n_items;

    memset(to, 0, e->w->all.n_items * sizeof(*to));
    for (size_t r = e->first[k]; r < e->first[k + 1]; r++)
        add_row(e, e->order[r], 1, to);
}

static void mark(struct sim_eval *e, bool set)
{
    const struct sim_world *w = e->w;

    for (size_t r = w->decide_ptr[e->user]; r < w->decide_ptr[e->user + 1]; r++)
        e->role[w->decide_item[r]] = set ? DECIDES : 0;
    for (size_t r = w->report_ptr[e->user]; r < w->report_ptr[e->user + 1]; r++)
        e->role[w->report_item[r]] = set ? REPORTS : 0;
}

void sim_eval_stand(struct sim_eval *e, size_t user, double lambda)
{
    const struct sim_world *w = e->w;

    e->user = user;
    e->n = sim_segments(w, user);
    e->lambda = lambda;
    e->shown = 0;
    e->price = e->total = 0;
    for (size_t k = 0; k < e->n; k++)
        e->total += w->weight[w->seg_ptr[user] + k];
}

void sim_eval_user(struct sim_eval *e, size_t user, double lambda)
{
    const struct sim_world *w = e->w;

    sim_eval_stand(e, user, lambda);
    memset(e->on, 0, e->n);
    memset(e->sum, 0, w->all.n_items * sizeof(*e->sum));
    bar_attributes(e, e->sum);
    sort_rows(e);
    if (e->how->exclude_all)
        bar(e, e->sum, 1);
    for (size_t k = 0; k < e->n && e->n <= SIM_KEPT; k++)
        keep_segment(e, k);
    mark(e, true);
    e->top.n = 0;
    e->top.k = e->how->cut > 20 ? e->how->cut : 20;
    make_bare_list(e);
}

void sim_eval_length(struct sim_eval *e, size_t length)
{
    e->top.k = length;
    e->top.n = e->top.n < length ? e->top.n : length;
}

void sim_eval_leave(struct sim_eval *e)
{
    mark(e, false);
}

/* Without the list, unless told. */
static void switch_segment(struct sim_eval *e, size_t k, bool list)
{
    const size_t n = e->w->all.n_items;
    const int32_t sign = e->on[k] ? -1 : 1;
    const int64_t weight = e->w->weight[e->w->seg_ptr[e->user] + k];
    struct krn_pick none = {.k = 1, .floor = INT32_MAX};
    const size_t rows = e->first[k + 1] - e->first[k];

    e->on[k] = !e->on[k];
    e->shown = sign > 0 ? e->shown + rows : e->shown - rows;
    e->price += sign * weight;
    if (e->n > SIM_KEPT) {
        for (size_t r = e->first[k]; r < e->first[k + 1]; r++)
            add_row(e, e->order[r], sign, e->sum);
        if (list && e->shown > 0)
            make_list(e, e->sum, NULL, 1);
    } else if (list && e->shown > 0) {
        make_list(e, e->sum, e->kept + k * n, sign);
    } else {
        cpu_ops()->pick_i32(e->sum, e->kept + k * n, sign, n, &none);
    }
    if (list && e->shown == 0)
        make_bare_list(e);
}

void sim_eval_toggle(struct sim_eval *e, size_t k)
{
    switch_segment(e, k, true);
}

void sim_eval_choose(struct sim_eval *e, const uint8_t *on)
{
    size_t last = e->n;

    for (size_t k = 0; k < e->n; k++) {
        if ((on[k] != 0) != (e->on[k] != 0))
            last = k;
    }
    for (size_t k = 0; k < e->n && k <= last && last < e->n; k++) {
        if ((on[k] != 0) != (e->on[k] != 0))
            switch_segment(e, k, k == last);
    }
}

/* --- figures ---------------------------------------------------------------
 */

static size_t wanted(const struct sim_eval *e, bool report)
{
    const size_t *ptr = report ? e->w->report_ptr : e->w->decide_ptr;

    return ptr[e->user + 1] - ptr[e->user];
}

static double recall(const struct sim_eval *e, bool report, size_t cut)
{
    const uint8_t role = report ? REPORTS : DECIDES;
    const size_t n = wanted(e, report);
    double hits = 0;

    for (size_t k = 0; k < e->top.n && k < cut; k++)
        hits += e->role[e->top.id[k]] == role;
    return n > 0 ? hits / (double)n : 0;
}

static double ndcg(const struct sim_eval *e, bool report, size_t cut)
{
    const uint8_t role = report ? REPORTS : DECIDES;
    const size_t n = wanted(e, report);
    double sum = 0;

    for (size_t k = 0; k < e->top.n && k < cut; k++) {
        if (e->role[e->top.id[k]] == role)
            sum += e->gain[k];
    }
    return n > 0 ? sum / e->ideal[n < cut ? n : cut] : 0;
}

double sim_eval_quality(const struct sim_eval *e, bool report)
{
    return e->how->quality == SIM_RECALL ? recall(e, report, e->how->cut)
                                         : ndcg(e, report, e->how->cut);
}

double sim_eval_recall(const struct sim_eval *e, size_t cut)
{
    return recall(e, true, cut);
}

double sim_eval_ndcg(const struct sim_eval *e, size_t cut)
{
    return ndcg(e, true, cut);
}

static double cost_of(const struct sim_eval *e, int64_t price)
{
    if (price == 0 || e->total == 0)
        return 0;
    const double share = (double)price / (double)e->total;

    /* p = 1 is exact: no rounding stands between a cost and its share */
    return e->how->power > 1 || e->how->power < 1
               ? krn_power_f64(share, e->how->power)
               : share;
}

double sim_eval_cost(const struct sim_eval *e)
{
    return cost_of(e, e->price);
}

double sim_eval_felt(const struct sim_eval *e, double quality, int64_t price,
                     size_t on)
{
    const struct sim_wants *h = e->how;
    const size_t moved = h->default_on ? e->n - on : on;

    return quality - h->present * e->lambda * cost_of(e, price) -
           h->effort * (double)moved + (moved == 0 ? h->stickiness : 0);
}

double sim_eval_anticipated(const struct sim_eval *e)
{
    size_t on = 0;

    for (size_t k = 0; k < e->n; k++)
        on += e->on[k];
    /* rounded as in the tables of exact, so that equal choices are equal */
    return sim_eval_felt(e, (double)(float)sim_eval_quality(e, false), e->price,
                         on);
}

double sim_eval_realised(const struct sim_eval *e)
{
    return sim_eval_quality(e, true) - e->lambda * sim_eval_cost(e);
}
