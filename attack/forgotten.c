/* attack/forgotten.c - forgotten people against people who were never there. */
#include "attack/forgotten.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attack/judge.h"
#include "attack/signal.h"
#include "base/mem.h"

#define MARGIN 0.02 /* of areas that count as equal */
#define LEAST 20    /* people, for an interval that means something */
#define SEEN                                                                   \
    0.55 /* least area of the original, else there is nothing to say           \
          */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for an audit of what was forgotten");
}

/* --- signals ---------------------------------------------------------------
 */

/* Histories in the numbers of a model; items that it never saw are left out. */
static enum err signal_of(const struct rec_model *m, const struct atk_traces *t,
                          uint64_t seed, double *phi)
{
    struct mem_scratch s = {0};
    uint32_t *user = mem_take(&s, t->n, 1, sizeof(*user));
    size_t *ptr = mem_take(&s, t->n + 1, 1, sizeof(*ptr));
    uint32_t *item = mem_take(&s, t->ptr[t->n], 1, sizeof(*item));
    float *value = mem_take(&s, t->ptr[t->n], 1, sizeof(*value));
    int64_t *time = mem_take(&s, t->ptr[t->n], 1, sizeof(*time));
    size_t at = 0;
    enum err e = s.failed ? no_memory() : ERR_OK;

    for (size_t u = 0; u < t->n && e == ERR_OK; u++) {
        user[u] = REC_NOBODY;
        for (size_t r = t->ptr[u]; r < t->ptr[u + 1]; r++) {
            const uint32_t i =
                rec_key_find(m->item_key, m->n_items, t->item[r]);

            if (i == REC_NOBODY)
                continue;
            item[at] = i;
            time[at] = t->time != NULL ? t->time[r] : 0;
            value[at++] = t->value != NULL ? t->value[r] : 1;
        }
        ptr[u + 1] = at;
    }
    if (e == ERR_OK) {
        const struct rec_query q = {t->n,
                                    user,
                                    ptr,
                                    item,
                                    t->value != NULL ? value : NULL,
                                    t->time != NULL ? time : NULL};

        e = atk_signal(m, &q, NULL, t->key, seed, phi);
    }
    mem_drop(&s);
    return e;
}

/* phi under m minus the mean of phi under the references. */
static enum err score_of(const struct atk_forgotten_in *in,
                         const struct rec_model *m, const struct atk_traces *t,
                         const double *usual, double *out)
{
    ERR_TRY(signal_of(m, t, in->seed, out));
    for (size_t u = 0; u < t->n; u++)
        out[u] -= usual[u];
    return ERR_OK;
}

static enum err usual_of(const struct atk_forgotten_in *in,
                         const struct atk_traces *t, double *room,
                         double *usual)
{
    for (size_t r = 0; r < in->n_refs; r++) {
        ERR_TRY(signal_of(in->ref[r], t, in->seed, room));
        for (size_t u = 0; u < t->n; u++)
            usual[u] += room[u] / (double)in->n_refs;
    }
    return ERR_OK;
}

/* --- figures ---------------------------------------------------------------
 */

struct scores {
    double *forgotten[ATK_KINDS], *controls[ATK_KINDS];
};

static struct atk_sample sample(const struct scores *s, enum atk_kind k,
                                const struct atk_forgotten *f)
{
    return (struct atk_sample){s->forgotten[k], s->controls[k], f->n_forgotten,
                               f->n_controls};
}

static enum err find_tpr(const struct scores *s, struct atk_forgotten *f)
{
    for (int k = 0; k < ATK_KINDS; k++) {
        const struct atk_sample x = sample(s, (enum atk_kind)k, f);
        struct atk_roc roc;

        ERR_TRY(atk_roc_build(&roc, &x));
        f->tpr[k] = atk_rate(roc.true_pos[atk_roc_at(&roc, 0.01)],
                             f->n_forgotten, 0.025);
        atk_roc_free(&roc);
    }
    f->resolvable = f->n_controls >= 100;
    return ERR_OK;
}

/* DUCI: the share of people called members, between what it is for controls
 * and for the original.  Source: Tong, Ye, Zarifzadeh & Shokri, 2025. */
static enum err find_share(const struct scores *s, struct atk_forgotten *f)
{
    const struct atk_sample x = sample(s, ATK_ORIGINAL, f);
    struct atk_roc roc;

    ERR_TRY(atk_roc_build(&roc, &x));
    const size_t best = atk_roc_best(&roc);
    const double threshold = roc.score[best];
    const double tpr = (double)roc.true_pos[best] / (double)f->n_forgotten;
    const double fpr = (double)roc.false_pos[best] / (double)f->n_controls;

    atk_roc_free(&roc);
    for (int k = 0; k < ATK_KINDS; k++) {
        double called = 0;

        for (size_t u = 0; u < f->n_forgotten; u++)
            called += s->forgotten[k][u] >= threshold;
        f->share[k] =
            tpr > fpr ? (called / (double)f->n_forgotten - fpr) / (tpr - fpr)
                      : 0;
    }
    return ERR_OK;
}

static void find_shift(const struct scores *s, struct atk_forgotten *f)
{
    const double n = (double)f->n_forgotten;
    double mean = 0, square = 0;

    for (size_t u = 0; u < f->n_forgotten; u++)
        mean +=
            (s->forgotten[ATK_REPAIRED][u] - s->forgotten[ATK_RETRAINED][u]) /
            n;
    for (size_t u = 0; u < f->n_forgotten; u++) {
        const double d = s->forgotten[ATK_REPAIRED][u] -
                         s->forgotten[ATK_RETRAINED][u] - mean;

        square += d * d;
    }
    const double half = n > 1 ? 1.96 * sqrt(square / (n - 1) / n) : 0;

    f->shift = (struct atk_interval){mean, mean - half, mean + half};
}

static enum err find_above(const struct scores *s, struct atk_forgotten *f)
{
    const size_t n = f->n_forgotten, m = f->n_controls;
    double *x = mem_array(n + m, sizeof(*x));
    uint8_t *member = mem_array(n + m, 1);
    struct atk_logistic fit;

    if (x == NULL || member == NULL) {
        free(x);
        free(member);
        return no_memory();
    }
    memcpy(x, s->forgotten[ATK_ORIGINAL], n * sizeof(*x));
    memcpy(x + n, s->controls[ATK_ORIGINAL], m * sizeof(*x));
    memset(member, 1, n);
    fit = atk_logistic_fit(x, member, n + m, n);
    for (size_t u = 0; u < n; u++)
        f->above += atk_logistic_at(&fit, s->forgotten[ATK_REPAIRED][u]) >
                    atk_logistic_at(&fit, s->forgotten[ATK_RETRAINED][u]) + 0.1;
    free(x);
    free(member);
    return ERR_OK;
}

static enum atk_verdict verdict_of(const struct atk_forgotten *f)
{
    if (f->same_bits)
        return ATK_FORGOTTEN;
    if (f->area[ATK_ORIGINAL].lo < SEEN || f->n_forgotten < LEAST)
        return ATK_CANNOT_TELL;
    if (f->left.hi < -MARGIN)
        return ATK_OVER_FORGOTTEN;
    if (f->left.lo < -MARGIN || f->left.hi > MARGIN ||
        f->tpr[ATK_REPAIRED].lo > f->tpr[ATK_RETRAINED].hi)
        return ATK_STILL_THERE;
    return ATK_FORGOTTEN;
}

static enum err find_figures(const struct atk_forgotten_in *in,
                             const struct scores *s, struct atk_forgotten *f)
{
    unsigned char a[KEY_DIGEST_BYTES], b[KEY_DIGEST_BYTES];
    struct atk_sample x[ATK_KINDS];

    for (int k = 0; k < ATK_KINDS; k++) {
        x[k] = sample(s, (enum atk_kind)k, f);
        ERR_TRY(atk_area(&x[k], &f->area[k]));
    }
    ERR_TRY(atk_area_difference(&x[ATK_REPAIRED], &x[ATK_RETRAINED], &f->left));
    ERR_TRY(
        atk_area_difference(&x[ATK_ORIGINAL], &x[ATK_REPAIRED], &f->gained));
    ERR_TRY(find_tpr(s, f));
    ERR_TRY(find_share(s, f));
    find_shift(s, f);
    ERR_TRY(find_above(s, f));
    rec_model_digest(in->model[ATK_REPAIRED], a);
    rec_model_digest(in->model[ATK_RETRAINED], b);
    f->same_bits = memcmp(a, b, sizeof(a)) == 0;
    f->verdict = verdict_of(f);
    return ERR_OK;
}

enum err atk_forgotten_judge(struct atk_forgotten *out,
                             const struct atk_forgotten_in *in)
{
    const size_t n = in->forgotten->n, c = in->controls->n;
    const size_t most = n > c ? n : c;
    struct mem_scratch m = {0};
    double *room = mem_take(&m, most, 1, sizeof(*room));
    double *usual = mem_take(&m, n, 1, sizeof(*usual));
    double *usual_c = mem_take(&m, c, 1, sizeof(*usual_c));
    struct scores s;
    enum err e;

    for (int k = 0; k < ATK_KINDS; k++) {
        s.forgotten[k] = mem_take(&m, n, 1, sizeof(double));
        s.controls[k] = mem_take(&m, c, 1, sizeof(double));
    }
    *out = (struct atk_forgotten){
        .n_forgotten = n, .n_controls = c, .n_refs = in->n_refs};
    if (n == 0 || c == 0 || in->n_refs == 0)
        e = err_set(ERR_ARG, "an audit of what was forgotten needs people who "
                             "were, controls who never were there, and "
                             "references");
    else
        e = m.failed ? no_memory() : ERR_OK;
    if (e == ERR_OK)
        e = usual_of(in, in->forgotten, room, usual);
    if (e == ERR_OK)
        e = usual_of(in, in->controls, room, usual_c);
    for (int k = 0; k < ATK_KINDS && e == ERR_OK; k++) {
        e = score_of(in, in->model[k], in->forgotten, usual, s.forgotten[k]);
        if (e == ERR_OK)
            e = score_of(in, in->never != NULL ? in->never : in->model[k],
                         in->controls, usual_c, s.controls[k]);
    }
    if (e == ERR_OK)
        e = find_figures(in, &s, out);
    mem_drop(&m);
    return e;
}

/* --- saying so --------------------------------------------------------------
 */

const char *atk_verdict_name(enum atk_verdict v)
{
    static const char *const name[] = {"forgotten", "still there",
                                       "over-forgotten", "cannot tell"};

    return name[v];
}

static json_t *interval(const struct atk_interval *x)
{
    return json_pack("[f, f, f]", x->value, x->lo, x->hi);
}

json_t *atk_forgotten_json(const struct atk_forgotten *f)
{
    static const char *const kind[ATK_KINDS] = {"original", "repaired",
                                                "retrained"};
    json_t *models = json_object();

    for (int k = 0; k < ATK_KINDS; k++)
        (void)json_object_set_new(
            models, kind[k],
            json_pack("{s:o, s:o, s:f}", "auc", interval(&f->area[k]),
                      "tpr_at_0.01",
                      f->resolvable ? interval(&f->tpr[k]) : json_null(),
                      "share_present", f->share[k]));
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:b, s:o, s:o, s:o, s:o, s:I}", "verdict",
        atk_verdict_name(f->verdict), "forgotten", (json_int_t)f->n_forgotten,
        "controls", (json_int_t)f->n_controls, "references",
        (json_int_t)f->n_refs, "same_bits", f->same_bits, "models", models,
        "repaired_minus_retrained", interval(&f->left),
        "original_minus_repaired", interval(&f->gained), "mean_shift",
        interval(&f->shift), "people_above", (json_int_t)f->above);
}
