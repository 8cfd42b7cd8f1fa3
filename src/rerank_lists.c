/*
 * src/rerank_lists.c - what LibRerank's evaluation says of a first stage's
 * lists and of their new order: hits, and how different neighbours are.
 *
 * Only the candidates are looked at, so that these figures can be compared with
 * those of ready-made lists (rec/ready.h).  Merged candidates are the first of
 * the re-ranker's own lists; the first stage's scores say how it has them.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "rec/rank.h"
#include "rec/ready.h"
#include "rec/score.h"
#include "src/rerank.h"

#define ASK ((size_t)64) /* people whose scores are held at once */

struct listed {
    struct mem_scratch s;
    struct rec_ready_lists l;
    float *score;        /* [lists][list] of the new order */
    uint32_t *old, *new; /* [people][list] */
    uint32_t *place;     /* [n_items] of an item in the new order, from 1 */
};

/* --- categories ------------------------------------------------------------
 */

struct categories {
    const struct rec_model *m;
    const char *name;
    uint32_t *of; /* [n_items], 0: has none */
    size_t found;
};

/* The first value of the attribute. */
static enum err take_category(void *arg, const struct sto_entity *e)
{
    struct categories *c = arg;
    const uint32_t i = rec_key_find(c->m->item_key, c->m->n_items, e->key);
    json_t *all, *value;

    if (i == REC_NOBODY || e->attributes[0] == '\0')
        return ERR_OK;
    all = json_loads(e->attributes, 0, NULL);
    value = json_object_get(all, c->name);
    if (json_is_array(value))
        value = json_array_get(value, 0);
    if (json_is_string(value)) {
        const uint64_t key =
            key_of(json_string_value(value), json_string_length(value));

        c->of[i] = (uint32_t)(key >> 33) + 1;
        c->found++;
    }
    json_decref(all);
    return ERR_OK;
}

static enum err find_categories(struct listed *w, const struct rec_model *m,
                                struct sto_view *v, const char *name,
                                uint32_t **out)
{
    struct categories c = {.m = m, .name = name};

    c.of = mem_take(&w->s, m->n_items, 1, sizeof(*c.of));
    if (w->s.failed)
        return err_set(ERR_NOMEM, "no memory for categories");
    ERR_TRY(sto_each_entity(v, STO_ITEMS, take_category, &c));
    *out = c.of;
    return c.found > 0 ? ERR_OK
                       : err_set(ERR_ARG,
                                 "--category %s: no item has that attribute "
                                 "(recd import --catalogue FILE)",
                                 name);
}

/* --- lists -----------------------------------------------------------------
 */

static enum err open_lists(struct listed *w, const struct rec_data *test,
                           size_t list, size_t n_items)
{
    const size_t n = test->n_users;
    struct rec_lessons *t = &w->l.t;

    t->list = list;
    t->label = mem_take(&w->s, n, list, sizeof(*t->label));
    t->mask = mem_take(&w->s, n, list, sizeof(*t->mask));
    w->score = mem_take(&w->s, n, list, sizeof(*w->score));
    w->old = mem_take_raw(&w->s, n, list, sizeof(*w->old));
    w->new = mem_take_raw(&w->s, n, list, sizeof(*w->new));
    w->place = mem_take(&w->s, n_items, 1, sizeof(*w->place));
    return w->s.failed ? err_set(ERR_NOMEM, "no memory for lists to measure")
                       : ERR_OK;
}

/* The list of person u, who has test rows: labels, and scores by which it has
 * the new order. */
static void add_list(struct listed *w, const struct rec_data *test, size_t u,
                     const uint32_t *category)
{
    struct rec_lessons *t = &w->l.t;
    const size_t list = t->list, at = t->n++ * list;
    const uint32_t *old = w->old + u * list, *now = w->new + u *list;

    for (size_t k = 0; k < list && now[k] != REC_NOBODY; k++)
        w->place[now[k]] = (uint32_t)k + 1;
    for (size_t k = 0; k < list && old[k] != REC_NOBODY; k++) {
        t->mask[at + k] = 1;
        t->label[at + k] = rec_data_has(test, u, old[k]);
        w->score[at + k] = -(float)w->place[old[k]];
        if (category != NULL)
            w->l.category[at + k] = category[old[k]];
    }
    for (size_t k = 0; k < list && now[k] != REC_NOBODY; k++)
        w->place[now[k]] = 0;
}

/* The items of a list by score, equal ones by number (rec/rank.h). */
static void sort_by(const float *score, const uint32_t *item, size_t list,
                    uint32_t *out)
{
    struct rec_placed order[REC_LIST_MOST];
    size_t n = 0;

    for (; n < list && item[n] != REC_NOBODY; n++)
        order[n] = (struct rec_placed){score[item[n]], item[n]};
    qsort(order, n, sizeof(*order), rec_by_place);
    for (size_t k = 0; k < list; k++)
        out[k] = k < n ? order[k].at : REC_NOBODY;
}

/* The new lists in the first stage's order. */
static enum err order_by_base(struct listed *w, const struct rec_model *base,
                              const struct rec_data *train)
{
    const size_t list = w->l.t.list;
    struct mem_scratch s = {0};
    float *score = mem_take_raw(&s, ASK, base->n_items, sizeof(*score));
    float *vec = mem_take(&s, ASK, rec_scores_room(base), sizeof(*vec));
    enum err e = s.failed ? err_set(ERR_NOMEM, "no memory for lists to measure")
                          : ERR_OK;

    for (size_t first = 0; first < train->n_users && e == ERR_OK;
         first += ASK) {
        const size_t left = train->n_users - first, n = left < ASK ? left : ASK;
        uint32_t user[ASK];

        for (size_t p = 0; p < n; p++)
            user[p] = (uint32_t)(first + p);
        e = rec_scores(base,
                       &(struct rec_query){n, user, train->user_ptr + first,
                                           train->item, train->value,
                                           train->time},
                       score, vec);
        for (size_t p = 0; p < n && e == ERR_OK; p++) {
            const size_t u = first + p, at = u * list;

            if (train->user_ptr[u] == train->user_ptr[u + 1])
                memcpy(w->old + at, w->new + at, list * sizeof(*w->old));
            else
                sort_by(score + p * base->n_items, w->new + at, list,
                        w->old + at);
        }
    }
    mem_drop(&s);
    return e;
}

static enum err make_lists(struct listed *w, const struct rec_model *m,
                           const struct rec_model *base, bool merged,
                           const struct rec_data *train,
                           const struct rec_data *test,
                           const uint32_t *category)
{
    const size_t list = w->l.t.list, n = test->n_users;

    if (category != NULL)
        w->l.category = mem_take(&w->s, n, list, sizeof(*w->l.category));
    if (w->s.failed)
        return err_set(ERR_NOMEM, "no memory for lists to measure");
    ERR_TRY(rec_rank_users(m, train, 0, n, list, true, w->new, NULL));
    ERR_TRY(merged
                ? order_by_base(w, base, train)
                : rec_rank_users(base, train, 0, n, list, true, w->old, NULL));
    for (size_t u = 0; u < n; u++) {
        if (test->user_ptr[u + 1] > test->user_ptr[u] ||
            (test->lost != NULL && test->lost[u] > 0))
            add_list(w, test, u, category);
    }
    return ERR_OK;
}

enum err cmd_rerank_lists(const struct rec_model *m, struct sto_view *v,
                          const char *category, const struct rec_data *train,
                          const struct rec_data *test, const size_t *cut,
                          size_t n_cuts, struct rec_ready_report out[3])
{
    const struct rec_ready none = {.n = 0};
    struct listed w = {.score = NULL};
    uint32_t *of = NULL;
    size_t among;
    bool merged = false;
    const struct rec_model *base = rec_rerank_base(m, &among, &merged);
    enum err e = open_lists(&w, test, among, m->n_items);

    if (e == ERR_OK && category != NULL)
        e = find_categories(&w, m, v, category, &of);
    if (e == ERR_OK)
        e = make_lists(&w, m, base, merged, train, test, of);
    if (e == ERR_OK)
        e = rec_ready_measure(&none, &w.l, NULL, &w.l, cut, n_cuts, &out[0]);
    if (e == ERR_OK)
        e = rec_ready_measure(&none, &w.l, w.score, &w.l, cut, n_cuts, &out[1]);
    if (e == ERR_OK)
        e = rec_ready_measure(&none, &w.l, w.l.t.label, &w.l, cut, n_cuts,
                              &out[2]);
    mem_drop(&w.s);
    return e;
}
