/* attack/report.c - what an audit found: facts, verdict, JSON, CSV. */
#include "attack/report.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "base/csv.h"

void atk_report_fact(struct atk_report *r, const char *name, const char *fmt,
                     ...)
{
    va_list ap;

    assert(r->n_facts < ATK_FACTS);
    struct atk_fact *f = &r->fact[r->n_facts++];

    f->name = name;
    va_start(ap, fmt);
    (void)vsnprintf(f->text, sizeof(f->text), fmt, ap);
    va_end(ap);
}

const struct atk_judged *atk_report_strongest(const struct atk_report *r)
{
    const struct atk_judged *best = NULL;

    for (size_t i = 0; i < r->n; i++) {
        const struct atk_judged *j = &r->judged[i];

        if (j->ran && (best == NULL || j->area.value > best->area.value))
            best = j;
    }
    return best;
}

const char *atk_report_verdict(const struct atk_report *r)
{
    bool ran = false, trusted = true, leaks = false, below = true;

    for (size_t i = 0; i < r->n; i++) {
        const struct atk_judged *j = &r->judged[i];

        if (!j->ran)
            continue;
        ran = true;
        trusted = trusted && j->trusted;
        leaks = leaks || (j->area.lo > r->bound && !j->scores.sees_labels);
        below = below && j->area.hi <= r->bound;
    }
    if (ran && r->bound > 0 && leaks)
        return "leaks";
    if (!ran || !trusted)
        return "not judged";
    if (r->bound <= 0)
        return "no bound";
    return below ? "passed" : "undecided";
}

/* --- JSON ----------------------------------------------------------------- */

static json_t *pair(double lo, double hi)
{
    return json_pack("[f, f]", lo, hi);
}

static json_t *rates(const struct atk_judged *j)
{
    json_t *out = json_object();

    for (size_t i = 0; i < 3; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "%g", j->at[i].fpr);
        (void)json_object_set_new(
            out, name,
            j->at[i].resolvable ? json_real(j->at[i].tpr.value) : json_null());
    }
    return out;
}

static json_t *rate_details(const struct atk_judged *j)
{
    json_t *out = json_array();

    for (size_t i = 0; i < 3; i++) {
        const struct atk_at *a = &j->at[i];

        (void)json_array_append_new(
            out,
            json_pack("{s:f, s:b, s:I, s:I, s:o}", "fpr", a->fpr, "resolvable",
                      a->resolvable, "true_positives", (json_int_t)a->tp,
                      "false_positives", (json_int_t)a->fp, "tpr_ci",
                      pair(a->tpr.lo, a->tpr.hi)));
    }
    return out;
}

static json_t *slices(const struct atk_judged *j)
{
    json_t *out = json_array();

    for (size_t i = 0; i < ATK_SLICES; i++) {
        const struct atk_slice *s = &j->slice[i];
        json_t *row = json_pack("{s:s, s:I, s:I}", "slice", s->name, "members",
                                (json_int_t)s->n_member, "nonmembers",
                                (json_int_t)s->n_other);

        if (s->judged) {
            (void)json_object_set_new(row, "auc", json_real(s->area.value));
            (void)json_object_set_new(row, "auc_ci",
                                      pair(s->area.lo, s->area.hi));
        }
        (void)json_array_append_new(out, row);
    }
    return out;
}

static void add_threshold(json_t *out, const struct atk_judged *j)
{
    (void)json_object_set_new(out, "accuracy",
                              j->has_threshold ? json_real(j->accuracy)
                                               : json_null());
    if (j->has_threshold) {
        (void)json_object_set_new(out, "threshold", json_real(j->threshold));
        (void)json_object_set_new(out, "epsilon",
                                  json_pack("{s:f, s:f, s:f, s:f}", "rates",
                                            j->eps_rates, "gaussian",
                                            j->eps_gauss, "delta", ATK_DELTA,
                                            "confidence", 1 - ATK_ALPHA));
    }
    if (j->has_one_run)
        (void)json_object_set_new(out, "epsilon_one_run",
                                  json_pack("{s:I, s:I, s:f}", "guesses",
                                            (json_int_t)j->guesses, "right",
                                            (json_int_t)j->right, "epsilon",
                                            j->eps_one_run));
}

static json_t *judged_json(const struct atk_report *r,
                           const struct atk_judged *j)
{
    const struct atk_people *p = &r->c->target;
    json_t *out =
        json_pack("{s:s, s:b}", "attack", j->attack->name, "ran", j->ran);

    if (!j->ran) {
        (void)json_object_set_new(out, "why", json_string(j->why));
        return out;
    }
    (void)json_object_update_missing_new(
        out, json_pack("{s:I, s:I, s:f, s:o, s:f, s:f, s:o, s:o, s:o}",
                       "members", (json_int_t)p->n_members, "nonmembers",
                       (json_int_t)(p->n - p->n_members), "auc", j->area.value,
                       "auc_ci", pair(j->area.lo, j->area.hi), "advantage",
                       j->advantage, "best_accuracy", j->best_accuracy,
                       "tpr_at_fpr", rates(j), "tpr_details", rate_details(j),
                       "slices", slices(j)));
    add_threshold(out, j);
    (void)json_object_set_new(
        out, "controls",
        json_pack("{s:i, s:i, s:i, s:b}", "shuffles", ATK_SHUFFLES,
                  "shuffles_that_cover_one_half", (int)j->shuffles_cover,
                  "shuffles_with_epsilon", (int)j->shuffles_eps, "trusted",
                  j->trusted));
    if (j->scores.sees_labels)
        (void)json_object_set_new(out, "sees_labels", json_true());
    if (j->has_positive)
        (void)json_object_set_new(json_object_get(out, "controls"),
                                  "planted_auc", json_real(j->positive.value));
    if (j->scores.note[0] != '\0')
        (void)json_object_set_new(out, "note", json_string(j->scores.note));
    return out;
}

json_t *atk_report_json(const struct atk_report *r)
{
    json_t *facts = json_object(), *attacks = json_array();
    json_t *out = json_pack("{s:s}", "verdict", atk_report_verdict(r));

    for (size_t i = 0; i < r->n_facts; i++)
        (void)json_object_set_new(facts, r->fact[i].name,
                                  json_string(r->fact[i].text));
    for (size_t i = 0; i < r->n; i++)
        (void)json_array_append_new(attacks, judged_json(r, &r->judged[i]));
    if (r->bound > 0)
        (void)json_object_set_new(out, "bound", json_real(r->bound));
    (void)json_object_set_new(out, "audit", facts);
    (void)json_object_set_new(out, "attacks", attacks);
    if (r->rows.n > 0)
        (void)json_object_set_new(
            out, "rows",
            json_pack("{s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "rows",
                      (json_int_t)r->rows.n, "models",
                      (json_int_t)r->rows.models, "mean", r->rows.mean,
                      "median", r->rows.median, "tenth", r->rows.tenth,
                      "by_chance", r->rows.chance, "most", r->rows.most));
    return out;
}

/* --- CSV ------------------------------------------------------------------ */

void atk_report_csv(const struct atk_report *r, FILE *out)
{
    const struct atk_people *p = &r->c->target;

    fputs("person,member", out);
    for (size_t i = 0; i < r->n; i++) {
        if (r->judged[i].ran)
            fprintf(out, ",%s", r->judged[i].attack->name);
    }
    if (r->rows.n > 0)
        fputs(",row_score", out);
    putc('\n', out);
    for (size_t u = 0; u < p->n; u++) {
        csv_cell(out, p->id[u]);
        fprintf(out, ",%d", p->member[u]);
        for (size_t i = 0; i < r->n; i++) {
            if (r->judged[i].ran)
                fprintf(out, ",%.17g", r->judged[i].scores.target[u]);
        }
        if (r->rows.n > 0)
            fprintf(out, ",%.17g", r->rows.score[u]);
        putc('\n', out);
    }
}
