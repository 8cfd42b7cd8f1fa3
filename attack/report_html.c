/*
 * attack/report_html.c - the report as one page: no script, no network,
 * readable on a telephone and on paper.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attack/report.h"
#include "base/html.h"
#include "base/mem.h"

#define W 340 /* of a drawing, in its own units */
#define H 260
#define LEFT 46
#define BOTTOM 36
#define TOP 12
#define RIGHT 10
#define BINS 40

static const char style[] =
    ".leaks{border-color:#c0262d}.passed{border-color:#1a7f37}\n"
    ".roc{stroke:var(--in);stroke-width:1.8;fill:none}.chance{stroke:var(--soft);"
    "stroke-dasharray:3 3;fill:none}.bin{fill:var(--in);fill-opacity:.55}"
    ".bout{fill:var(--out);fill-opacity:.55}\n";

/* --- drawings ------------------------------------------------------------- */

static double place_x(double part)
{
    return LEFT + part * (W - LEFT - RIGHT);
}

static double place_y(double part)
{
    return H - BOTTOM - part * (H - BOTTOM - TOP);
}

static void open_svg(FILE *out, const char *what)
{
    fprintf(out,
            "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">"
            "<title>%s</title>",
            W, H, what, what);
}

static void put_axes(FILE *out, const char *below, const char *beside)
{
    fprintf(out,
            "<path class=\"axis\" d=\"M%d %d V%d H%d\"/>"
            "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>"
            "<text x=\"11\" y=\"%d\" text-anchor=\"middle\" "
            "transform=\"rotate(-90 11 %d)\">%s</text>",
            LEFT, TOP, H - BOTTOM, W - RIGHT, (W + LEFT) / 2, H - 6, below,
            (H - BOTTOM) / 2, (H - BOTTOM) / 2, beside);
}

static void put_tick(FILE *out, double part, const char *label, bool below)
{
    const double x = place_x(part), y = place_y(part);

    if (below)
        fprintf(out,
                "<path class=\"grid\" d=\"M%.1f %d V%d\"/><text x=\"%.1f\" "
                "y=\"%d\" text-anchor=\"middle\">%s</text>",
                x, TOP, H - BOTTOM, x, H - BOTTOM + 13, label);
    else
        fprintf(out,
                "<path class=\"grid\" d=\"M%d %.1f H%d\"/><text x=\"%d\" "
                "y=\"%.1f\" text-anchor=\"end\">%s</text>",
                LEFT, y, W - RIGHT, LEFT - 4, y + 3, label);
}

/* Where a rate stands on an axis: linear, or logarithmic from `least`. */
static double part_of(double rate, double least)
{
    if (least <= 0)
        return rate;
    return rate <= least ? 0 : log(rate / least) / -log(least);
}

static void put_curve(FILE *out, const struct atk_roc *r, double least)
{
    double last_x = -1, last_y = -1;

    fputs("<path class=\"roc\" d=\"", out);
    for (size_t i = 0; i < r->n; i++) {
        const double x = place_x(
            part_of((double)r->false_pos[i] / (double)r->n_other, least));
        const double y = place_y(
            part_of((double)r->true_pos[i] / (double)r->n_member, least));

        /* what cannot be seen is left out */
        if (i > 0 && i + 1 < r->n && fabs(x - last_x) + fabs(y - last_y) < 0.7)
            continue;
        fprintf(out, "%s%.1f %.1f", i == 0 ? "M" : "L", x, y);
        last_x = x;
        last_y = y;
    }
    fputs("\"/>", out);
}

static void put_roc(FILE *out, const struct atk_roc *r, bool logarithmic)
{
    const size_t most = r->n_member > r->n_other ? r->n_member : r->n_other;
    const double least =
        logarithmic ? pow(10, floor(log10(1 / (double)(most + 1)))) : 0;

    open_svg(out,
             logarithmic ? "ROC curve, both axes logarithmic" : "ROC curve");
    for (int k = 0; k <= 4 && !logarithmic; k++) {
        char label[16];

        (void)snprintf(label, sizeof(label), "%.2f", k / 4.0);
        put_tick(out, k / 4.0, label, true);
        put_tick(out, k / 4.0, label, false);
    }
    for (double f = 1; logarithmic && f >= least * 0.99; f /= 10) {
        char label[16];

        (void)snprintf(label, sizeof(label), "%g", f);
        put_tick(out, part_of(f, least), label, true);
        put_tick(out, part_of(f, least), label, false);
    }
    put_axes(out, "non-members called members (FPR)", "members found (TPR)");
    fprintf(out, "<path class=\"chance\" d=\"M%.1f %.1f L%.1f %.1f\"/>",
            place_x(0), place_y(0), place_x(1), place_y(1));
    put_curve(out, r, least);
    fputs("</svg>\n", out);
}

/* Counts of scores by label between the 0.5 % and 99.5 % quantiles. */
struct histogram {
    double lo, hi;
    size_t count[2][BINS];
};

static bool fill_histogram(struct histogram *h, const struct atk_judged *j,
                           const struct atk_people *p)
{
    const struct atk_roc *r = &j->roc;
    size_t hi = 1, lo = r->n - 1;

    *h = (struct histogram){0};
    while (hi + 1 < r->n && (r->true_pos[hi] + r->false_pos[hi]) * 200 < p->n)
        hi++;
    while (lo > hi &&
           (p->n - r->true_pos[lo - 1] - r->false_pos[lo - 1]) * 200 < p->n)
        lo--;
    h->lo = r->score[lo];
    h->hi = r->score[hi];
    if (!isfinite(h->lo) || !isfinite(h->hi) || !(h->hi > h->lo))
        return false;
    for (size_t u = 0; u < p->n; u++) {
        const double part =
            (j->scores.target[u] - h->lo) / (h->hi - h->lo) * BINS;
        const size_t bin = !(part > 0)        ? 0
                           : part >= BINS - 1 ? BINS - 1
                                              : (size_t)part;

        h->count[p->member[u]][bin]++;
    }
    return true;
}

static void put_histogram(FILE *out, const struct atk_judged *j,
                          const struct atk_people *p)
{
    struct histogram h;
    size_t most = 1;
    char label[32];

    if (!fill_histogram(&h, j, p))
        return;
    for (size_t b = 0; b < BINS; b++) {
        for (size_t k = 0; k < 2; k++)
            most = h.count[k][b] > most ? h.count[k][b] : most;
    }
    open_svg(out, "scores of members and non-members");
    put_axes(out, "score of the attack", "people");
    for (size_t k = 0; k < 2; k++) {
        for (size_t b = 0; b < BINS; b++) {
            const double y = place_y((double)h.count[k][b] / (double)most);

            if (h.count[k][b] > 0)
                fprintf(out,
                        "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" "
                        "width=\"%.1f\" height=\"%.1f\"/>",
                        k == 1 ? "bin" : "bout", place_x((double)b / BINS), y,
                        (W - LEFT - RIGHT) / (double)BINS, H - BOTTOM - y);
        }
    }
    (void)snprintf(label, sizeof(label), "%.3g", h.lo);
    fprintf(out, "<text x=\"%d\" y=\"%d\">%s</text>", LEFT, H - BOTTOM + 13,
            label);
    (void)snprintf(label, sizeof(label), "%.3g", h.hi);
    fprintf(out,
            "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>"
            "<rect class=\"bin\" x=\"%d\" y=\"16\" width=\"9\" height=\"9\"/>"
            "<text x=\"%d\" y=\"24\">members</text>"
            "<rect class=\"bout\" x=\"%d\" y=\"30\" width=\"9\" height=\"9\"/>"
            "<text x=\"%d\" y=\"38\">non-members</text></svg>\n",
            W - RIGHT, H - BOTTOM + 13, label, W - 92, W - 79, W - 92, W - 79);
}

/* --- parts ---------------------------------------------------------------- */

static void put_verdict(FILE *out, const struct atk_report *r)
{
    const char *verdict = atk_report_verdict(r);
    const struct atk_judged *best = atk_report_strongest(r);

    fprintf(out, "<p class=\"verdict %s\">", verdict);
    if (best == NULL) {
        fputs("<b>Not judged.</b> No attack could run.</p>\n", out);
        return;
    }
    if (strcmp(verdict, "leaks") == 0)
        fprintf(out, "<b>Leaks.</b> The bound of %.3f is passed. ", r->bound);
    else if (strcmp(verdict, "passed") == 0)
        fprintf(out,
                "<b>Passed.</b> Every attack's interval lies below the bound "
                "of %.3f, and the controls came out as they must. ",
                r->bound);
    else if (strcmp(verdict, "undecided") == 0)
        fprintf(out,
                "<b>Undecided.</b> An attack's interval includes the bound of "
                "%.3f: more people would tell. ",
                r->bound);
    else if (strcmp(verdict, "not judged") == 0)
        fputs("<b>Not judged.</b> A control is missing or came out wrong; the "
              "figures below stand, a verdict would not. ",
              out);
    else
        fputs("<b>Measured.</b> No bound was given, so there is no verdict. ",
              out);
    fprintf(out,
            "The strongest attack is <b>%s</b>: given a member and a "
            "non-member, it picks the member %.1f times in a hundred (95 %% "
            "interval %.1f to %.1f); a coin does so 50 times.</p>\n",
            best->attack->name, 100 * best->area.value, 100 * best->area.lo,
            100 * best->area.hi);
}

static void put_facts(FILE *out, const struct atk_report *r)
{
    fputs("<h2>What was audited</h2><dl>\n", out);
    for (size_t i = 0; i < r->n_facts; i++) {
        fputs("<dt>", out);
        html_text(out, r->fact[i].name);
        fputs("</dt><dd>", out);
        html_text(out, r->fact[i].text);
        fputs("</dd>\n", out);
    }
    fputs("</dl>\n", out);
}

static void put_rate(FILE *out, const struct atk_at *a)
{
    if (a->resolvable)
        fprintf(out, "<td class=\"n\">%.3f</td>", a->tpr.value);
    else
        fputs("<td class=\"n\">not resolvable</td>", out);
}

static void put_row(FILE *out, const struct atk_judged *j)
{
    fprintf(out, "<tr><td><a href=\"#%s\">%s</a></td>", j->attack->name,
            j->attack->name);
    if (!j->ran) {
        fputs("<td colspan=\"8\">did not run: ", out);
        html_text(out, j->why);
        fputs("</td></tr>\n", out);
        return;
    }
    fprintf(out, "<td class=\"n\">%.4f</td><td class=\"n\">%.4f to %.4f</td>",
            j->area.value, j->area.lo, j->area.hi);
    if (j->has_threshold)
        fprintf(out, "<td class=\"n\">%.4f</td>", j->accuracy);
    else
        fputs("<td class=\"n\">-</td>", out);
    for (size_t i = 0; i < 3; i++)
        put_rate(out, &j->at[i]);
    if (j->has_threshold)
        fprintf(out, "<td class=\"n\">%.3f</td>", j->eps_rates);
    else
        fputs("<td class=\"n\">-</td>", out);
    fprintf(out, "<td>%s</td></tr>\n", j->trusted ? "good" : "not good");
}

static void put_table(FILE *out, const struct atk_report *r)
{
    fputs("<h2>All attacks</h2><div class=\"wide\"><table><tr><th>attack</th>"
          "<th class=\"n\">area</th><th class=\"n\">95 % interval</th><th "
          "class=\"n\">accuracy</th><th class=\"n\">TPR at 10 % FPR</th><th "
          "class=\"n\">at 1 %</th><th class=\"n\">at 0.1 %</th><th "
          "class=\"n\">epsilon &ge;</th><th>controls</th></tr>\n",
          out);
    for (size_t i = 0; i < r->n; i++)
        put_row(out, &r->judged[i]);
    fputs("</table></div>\n", out);
}

static void put_reading(FILE *out)
{
    fputs(
        "<h2>How to read the numbers</h2><ul>\n"
        "<li><b>Area</b> (under the ROC curve): how often the attack scores a "
        "member above a non-member; .5 is guessing, 1 is certainty. It does "
        "not say how sure the attack can be of one single person.</li>\n"
        "<li><b>95 % interval</b>: with other people drawn from the same "
        "population, such an interval covers the true area 95 times in a hundred. It does not cover "
        "another training run.</li>\n"
        "<li><b>Accuracy</b>: right answers at a threshold that was fixed "
        "before the target was seen, members and non-members counting half "
        "each; .5 is guessing. A threshold chosen on the answers would look "
        "better and mean less.</li>\n"
        "<li><b>TPR at 1 % FPR</b>: share of members that the attack finds "
        "while it wrongly accuses one non-member in a hundred. This is what an "
        "adversary who wants certainty gets. \"Not resolvable\" means that "
        "there are too few non-members to measure it.</li>\n"
        "<li><b>Epsilon &ge;</b>: a model with differential privacy of a "
        "smaller epsilon would almost never (once in twenty) let this attack do "
        "so well. 0 proves nothing, and is no guarantee.</li>\n"
        "<li><b>Controls</b>: with labels shuffled the attack must find "
        "nothing, and where membership was planted it must find it. Where one "
        "of them fails, the row proves nothing.</li></ul>\n",
        out);
}

static void put_slices(FILE *out, const struct atk_judged *j)
{
    fputs("<h3>Who is exposed</h3><div class=\"wide\"><table><tr><th>people "
          "with</th><th class=\"n\">members</th><th class=\"n\">non-members"
          "</th><th class=\"n\">area</th><th class=\"n\">95 % interval</th>"
          "</tr>\n",
          out);
    for (size_t i = 0; i < ATK_SLICES; i++) {
        const struct atk_slice *s = &j->slice[i];

        fprintf(out,
                "<tr><td>%s</td><td class=\"n\">%zu</td><td "
                "class=\"n\">%zu</td>",
                s->name, s->n_member, s->n_other);
        if (s->judged)
            fprintf(out,
                    "<td class=\"n\">%.3f</td><td class=\"n\">%.3f to "
                    "%.3f</td></tr>\n",
                    s->area.value, s->area.lo, s->area.hi);
        else
            fputs("<td colspan=\"2\">fewer than 30 of a kind: not shown</td>"
                  "</tr>\n",
                  out);
    }
    fputs("</table></div>\n", out);
}

struct ranked {
    double risk;
    size_t user;
};

static int by_risk(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->risk != y->risk)
        return x->risk < y->risk ? 1 : -1;
    return (x->user > y->user) - (x->user < y->user);
}

/* The ten people who come first in r. */
static void put_most(FILE *out, const double *value, const char *head,
                     const struct atk_people *p, const struct ranked *r)
{
    fprintf(out,
            "<div class=\"wide\"><table><tr><th>most exposed</th><th "
            "class=\"n\">%s</th><th>was</th><th class=\"n\">length of "
            "history</th></tr>\n",
            head);
    for (size_t i = 0; i < 10 && i < p->n; i++) {
        const size_t u = r[i].user;

        fputs("<tr><td>", out);
        html_text(out, p->id[u]);
        fprintf(out,
                "</td><td class=\"n\">%.3f</td><td>%s</td><td "
                "class=\"n\">%zu</td></tr>\n",
                value[u], p->member[u] ? "a member" : "no member",
                p->hist_ptr[u + 1] - p->hist_ptr[u]);
    }
    fputs("</table></div>\n", out);
}

/* People by falling value, or NULL; free() it. */
static struct ranked *rank_people(const double *value, size_t n)
{
    struct ranked *r = value == NULL ? NULL : mem_array(n, sizeof(*r));

    for (size_t u = 0; u < n && r != NULL; u++)
        r[u] = (struct ranked){value[u], u};
    if (r != NULL)
        qsort(r, n, sizeof(*r), by_risk);
    return r;
}

static void put_risk(FILE *out, const struct atk_judged *j,
                     const struct atk_people *p)
{
    struct ranked *r = rank_people(j->risk, p->n);

    if (r == NULL)
        return;
    fprintf(out,
            "<h3>Single people</h3><p class=\"note\">Chance of membership that "
            "this attack assigns, calibrated on the attacker's own people, if "
            "one in two were a member: median %.2f; the surest tenth are above "
            "%.2f. It is the attacker's belief, not the truth.</p>\n",
            r[p->n / 2].risk, r[p->n / 10].risk);
    put_most(out, j->risk, "chance", p, r);
    free(r);
}

static void put_rows(FILE *out, const struct atk_row_scores *s,
                     const struct atk_people *p)
{
    struct ranked *r = rank_people(s->score, s->n);

    if (r == NULL)
        return;
    fprintf(out,
            "<h2 id=\"rows\">Single rows</h2><p>How well %zu other models tell "
            "by their fit whether they learnt from a row: its privacy score is "
            "ln of the ratio of right to wrong answers at the row's best "
            "threshold (Li et al., RecSys 2025), which differential privacy of "
            "epsilon would keep below epsilon.</p>\n<p class=\"note\">Mean "
            "%.3f, median %.3f; one row in ten is above %.3f. Rows that give "
            "nothing away have %.3f in the mean with so few models, since "
            "their thresholds are chosen on them; rows that are told wholly "
            "have %.3f in the mean. It speaks of the recipe, not of the model "
            "that was attacked, and is an estimate without a bound.</p>\n",
            s->models, s->mean, s->median, s->tenth, s->chance, s->most);
    put_most(out, s->score, "score", p, r);
    free(r);
}

static void put_details(FILE *out, const struct atk_judged *j)
{
    fprintf(out,
            "<p class=\"note\">At the best threshold, chosen on the answers "
            "and so too good: advantage %.4f, accuracy %.4f.",
            j->advantage, j->best_accuracy);
    for (size_t i = 0; i < 3; i++) {
        const struct atk_at *a = &j->at[i];

        if (a->resolvable)
            fprintf(out,
                    " At %g FPR: %llu members and %llu non-members, TPR %.4f "
                    "(%.4f to %.4f).",
                    a->fpr, (unsigned long long)a->tp,
                    (unsigned long long)a->fp, a->tpr.value, a->tpr.lo,
                    a->tpr.hi);
    }
    if (j->has_threshold)
        fprintf(
            out,
            " At the fixed threshold %.4g: %llu of %llu members and %llu of "
            "%llu non-members are called members; epsilon at least %.3f "
            "from the rates, %.3f if the trade-off is Gaussian (delta %g, "
            "95 %%).",
            j->threshold, (unsigned long long)j->counts.tp,
            (unsigned long long)j->counts.p, (unsigned long long)j->counts.fp,
            (unsigned long long)j->counts.q, j->eps_rates, j->eps_gauss,
            ATK_DELTA);
    if (j->has_one_run)
        fprintf(out,
                " The surest %llu guesses: %llu right; from one run, epsilon "
                "at least %.3f.",
                (unsigned long long)j->guesses, (unsigned long long)j->right,
                j->eps_one_run);
    fprintf(out,
            " Controls: %u of %d intervals of shuffled labels cover one half, "
            "%u bounds of epsilon are above 0",
            j->shuffles_cover, ATK_SHUFFLES, j->shuffles_eps);
    if (j->has_positive)
        fprintf(out, "; planted membership is found with area %.4f",
                j->positive.value);
    fputs(".</p>\n", out);
}

static void put_attack(FILE *out, const struct atk_report *r,
                       const struct atk_judged *j)
{
    fprintf(out, "<h2 id=\"%s\">%s</h2>\n<p>", j->attack->name,
            j->attack->name);
    html_text(out, j->attack->help);
    fputs(". The attacker sees ", out);
    html_text(out, j->attack->sees);
    fputs(". Source: ", out);
    html_text(out, j->attack->source);
    fputs(".</p>\n", out);
    if (!j->ran) {
        fputs("<p class=\"note\">It did not run: ", out);
        html_text(out, j->why);
        fputs(".</p>\n", out);
        return;
    }
    if (j->scores.note[0] != '\0') {
        fputs("<p class=\"note\">", out);
        html_text(out, j->scores.note);
        fputs(".</p>\n", out);
    }
    fputs("<div class=\"plots\">\n", out);
    put_roc(out, &j->roc, false);
    put_roc(out, &j->roc, true);
    put_histogram(out, j, &r->c->target);
    fputs("</div>\n", out);
    put_details(out, j);
    put_slices(out, j);
    put_risk(out, j, &r->c->target);
}

void atk_report_html(const struct atk_report *r, FILE *out)
{
    html_head(out, "Membership audit", style);
    fputs("<h1>Membership audit</h1>\n", out);
    put_verdict(out, r);
    put_facts(out, r);
    put_table(out, r);
    put_reading(out);
    for (size_t i = 0; i < r->n; i++)
        put_attack(out, r, &r->judged[i]);
    put_rows(out, &r->rows, &r->c->target);
    fputs(
        "<h2>Limits</h2><p class=\"note\">A low figure says that these "
        "attacks failed on these people, not that the data is safe. The audit "
        "speaks of one training run; what choosing options on private data "
        "gives away is not covered.</p>\n</body></html>\n",
        out);
}
