/* privacy_sim/study_html.c - a study as one page: no script, no network. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/html.h"
#include "privacy_sim/study.h"

#define W 340 /* of a drawing, in its own units */
#define H 250
#define LEFT 46
#define BOTTOM 34
#define TOP 12
#define RIGHT 10
#define ARMS 32 /* as many as a policy file may have */
#define COLOURS 16
#define POINTS 64

/* Arms beyond the last colour are drawn with its first ones, dashed. */
static const char *const colour[COLOURS] = {
    "#c2410c", "#0f6fb5", "#1a7f37", "#8250df", "#d6336c", "#5c5f66",
    "#0b7285", "#b35900", "#e8590c", "#4dabf7", "#69db7c", "#b197fc",
    "#faa2c1", "#adb5bd", "#3bc9db", "#f2c14e"};

static const char style[] =
    ".key{display:flex;flex-wrap:wrap;gap:.3rem 1rem;font-size:.85rem;"
    "margin:.4rem 0}.key i{display:inline-block;width:.8rem;height:.8rem;"
    "border-radius:50%;margin-right:.3rem}\n";

static const char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));

    return text != NULL ? text : "";
}

static double number_of(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

/* --- drawings --------------------------------------------------------------
 */

/* Points of one arm; lo and hi: an interval of y, or NAN. */
struct series {
    const char *name;
    size_t n;
    double x[POINTS], y[POINTS], lo[POINTS], hi[POINTS];
};

struct frame {
    double x0, x1, y0, y1;
};

static void widen(double *a, double *b)
{
    const double room = *b > *a ? 0.06 * (*b - *a) : 0.05;

    *a -= room;
    *b += room;
}

static struct frame frame_of(const struct series *s, size_t n)
{
    struct frame f = {INFINITY, -INFINITY, INFINITY, -INFINITY};

    for (size_t a = 0; a < n; a++) {
        for (size_t k = 0; k < s[a].n; k++) {
            const double lo = isnan(s[a].lo[k]) ? s[a].y[k] : s[a].lo[k];
            const double hi = isnan(s[a].hi[k]) ? s[a].y[k] : s[a].hi[k];

            f.x0 = fmin(f.x0, s[a].x[k]);
            f.x1 = fmax(f.x1, s[a].x[k]);
            f.y0 = fmin(f.y0, lo);
            f.y1 = fmax(f.y1, hi);
        }
    }
    widen(&f.x0, &f.x1);
    widen(&f.y0, &f.y1);
    return f;
}

static double place_x(const struct frame *f, double x)
{
    return LEFT + (x - f->x0) / (f->x1 - f->x0) * (W - LEFT - RIGHT);
}

static double place_y(const struct frame *f, double y)
{
    return H - BOTTOM - (y - f->y0) / (f->y1 - f->y0) * (H - BOTTOM - TOP);
}

/* A step of 1, 2 or 5 times a power of ten: four to nine ticks. */
static double step_of(double range)
{
    const double raw = range / 5, ten = pow(10, floor(log10(raw)));
    const double part = raw / ten;

    return ten * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static void put_axes(FILE *out, const struct frame *f, const char *below,
                     const char *beside)
{
    const double dx = step_of(f->x1 - f->x0), dy = step_of(f->y1 - f->y0);

    for (double x = ceil(f->x0 / dx) * dx; x <= f->x1; x += dx)
        fprintf(out,
                "<path class=\"grid\" d=\"M%.1f %d V%d\"/><text x=\"%.1f\" "
                "y=\"%d\" text-anchor=\"middle\">%.3g</text>",
                place_x(f, x), TOP, H - BOTTOM, place_x(f, x), H - BOTTOM + 13,
                fabs(x) < dx / 2 ? 0 : x);
    for (double y = ceil(f->y0 / dy) * dy; y <= f->y1; y += dy)
        fprintf(out,
                "<path class=\"grid\" d=\"M%d %.1f H%d\"/><text x=\"%d\" "
                "y=\"%.1f\" text-anchor=\"end\">%.3g</text>",
                LEFT, place_y(f, y), W - RIGHT, LEFT - 4, place_y(f, y) + 3,
                fabs(y) < dy / 2 ? 0 : y);
    fprintf(out,
            "<path class=\"axis\" d=\"M%d %d V%d H%d\"/><text x=\"%d\" "
            "y=\"%d\" text-anchor=\"middle\">%s</text><text x=\"11\" y=\"%d\" "
            "text-anchor=\"middle\" transform=\"rotate(-90 11 %d)\">%s</text>",
            LEFT, TOP, H - BOTTOM, W - RIGHT, (W + LEFT) / 2, H - 5, below,
            (H - BOTTOM) / 2, (H - BOTTOM) / 2, beside);
}

static void put_series(FILE *out, const struct frame *f, const struct series *s,
                       size_t arm)
{
    const char *ink = colour[arm % COLOURS];

    fprintf(out,
            "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"%s d=\"",
            ink, arm >= COLOURS ? " stroke-dasharray=\"4 3\"" : "");
    for (size_t k = 0; k < s->n; k++)
        fprintf(out, "%c%.1f %.1f", k == 0 ? 'M' : 'L', place_x(f, s->x[k]),
                place_y(f, s->y[k]));
    fputs("\"/>", out);
    for (size_t k = 0; k < s->n; k++) {
        const double x = place_x(f, s->x[k]);

        if (!isnan(s->lo[k]))
            fprintf(out, "<path stroke=\"%s\" d=\"M%.1f %.1f V%.1f\"/>", ink, x,
                    place_y(f, s->lo[k]), place_y(f, s->hi[k]));
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\" fill=\"%s\"/>",
                x, place_y(f, s->y[k]), ink);
    }
}

static void put_plot(FILE *out, const char *what, const struct series *s,
                     size_t n, const char *below, const char *beside)
{
    const struct frame f = frame_of(s, n);

    if (!(f.x1 > f.x0) || !(f.y1 > f.y0))
        return;
    fprintf(out,
            "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">"
            "<title>%s</title>",
            W, H, what, what);
    put_axes(out, &f, below, beside);
    for (size_t a = 0; a < n; a++)
        put_series(out, &f, &s[a], a);
    fputs("</svg>\n", out);
}

/* --- one dataset and model -------------------------------------------------
 */

static bool same_case(const json_t *a, const json_t *b)
{
    return strcmp(text_of(a, "dataset"), text_of(b, "dataset")) == 0 &&
           strcmp(text_of(a, "model"), text_of(b, "model")) == 0;
}

/* The arms of a case in the order of its first setting. */
static size_t arms_of(const json_t *first, struct series *s)
{
    const json_t *arms = json_object_get(first, "arms");
    size_t n = json_array_size(arms);

    n = n < ARMS ? n : ARMS;
    for (size_t a = 0; a < n; a++)
        s[a] = (struct series){.name = text_of(json_array_get(arms, a), "arm")};
    return n;
}

static void add_point(struct series *s, const json_t *arm, const char *x,
                      const char *y)
{
    char ci[64];

    /* where everybody shows something, nobody is badly served for nothing */
    const bool nobody = strcmp(y, "quality_of_undisclosed") == 0 &&
                        !(number_of(arm, "none") > 0);

    if (s->n == POINTS || nobody)
        return;
    (void)snprintf(ci, sizeof(ci), "%s_ci", y);
    const json_t *range = json_object_get(arm, ci);

    s->x[s->n] = number_of(arm, x);
    s->y[s->n] = number_of(arm, y);
    s->lo[s->n] =
        range != NULL ? json_number_value(json_array_get(range, 1)) : NAN;
    s->hi[s->n++] =
        range != NULL ? json_number_value(json_array_get(range, 2)) : NAN;
}

/* y over x, a point for each sensitivity. */
static void put_curves(FILE *out, const json_t *settings, const json_t *first,
                       const char *what, const char *x, const char *y,
                       const char *below, const char *beside)
{
    static struct series s[ARMS];
    const size_t n = arms_of(first, s);

    for (size_t i = 0; i < json_array_size(settings); i++) {
        const json_t *one = json_array_get(settings, i);
        const json_t *arms = json_object_get(one, "arms");

        if (!same_case(one, first))
            continue;
        for (size_t a = 0; a < json_array_size(arms); a++) {
            const json_t *arm = json_array_get(arms, a);

            for (size_t k = 0; k < n; k++) {
                if (strcmp(s[k].name, text_of(arm, "arm")) == 0)
                    add_point(&s[k], arm, x, y);
            }
        }
    }
    put_plot(out, what, s, n, below, beside);
}

/* Residuals over rounds, of the first seed and the first sensitivity. */
static void put_residuals(FILE *out, const json_t *cells, const json_t *first)
{
    static struct series s[ARMS];
    const size_t n = arms_of(first, s);

    for (size_t i = 0; i < json_array_size(cells); i++) {
        const json_t *c = json_array_get(cells, i);
        const json_t *rounds = json_object_get(c, "trajectory");

        if (strcmp(text_of(c, "dataset"), text_of(first, "dataset")) != 0 ||
            strcmp(text_of(c, "model_text"), text_of(first, "model")) != 0 ||
            strcmp(text_of(c, "sensitivity"), text_of(first, "sensitivity")) !=
                0)
            continue;
        for (size_t k = 0; k < n; k++) {
            if (strcmp(s[k].name, text_of(c, "arm")) != 0 || s[k].n > 0)
                continue;
            for (size_t r = 0; r < json_array_size(rounds) && r < POINTS; r++) {
                s[k].x[r] = (double)r;
                s[k].y[r] = number_of(json_array_get(rounds, r), "residual");
                s[k].lo[r] = s[k].hi[r] = NAN;
                s[k].n = r + 1;
            }
        }
    }
    put_plot(out, "Residual over rounds", s, n, "round", "mean residual");
}

static void put_key(FILE *out, const json_t *first)
{
    static struct series s[ARMS];
    const size_t n = arms_of(first, s);

    fputs("<p class=\"key\">", out);
    for (size_t a = 0; a < n; a++) {
        fprintf(out, "<span><i style=\"background:%s%s\"></i>",
                colour[a % COLOURS], a >= COLOURS ? ";opacity:.5" : "");
        html_text(out, s[a].name);
        fputs("</span>", out);
    }
    fputs("</p>\n", out);
}

static void put_interval(FILE *out, const json_t *x)
{
    fprintf(out, "<td class=\"n\">%.4f (%.4f to %.4f)</td>",
            json_number_value(json_array_get(x, 0)),
            json_number_value(json_array_get(x, 1)),
            json_number_value(json_array_get(x, 2)));
}

static void put_arms(FILE *out, const json_t *setting)
{
    const json_t *arms = json_object_get(setting, "arms");

    fputs("<div class=\"wide\"><table><tr><th>mechanism</th><th "
          "class=\"n\">utility on report items</th><th "
          "class=\"n\">anticipated</th><th class=\"n\">quality of "
          "lists</th><th class=\"n\">disclosed</th><th class=\"n\">show "
          "nothing</th><th class=\"n\">residual / utility</th><th "
          "class=\"n\">settled</th></tr>\n",
          out);
    for (size_t a = 0; a < json_array_size(arms); a++) {
        const json_t *x = json_array_get(arms, a);

        fputs("<tr><td>", out);
        html_text(out, text_of(x, "arm"));
        fputs("</td>", out);
        put_interval(out, json_object_get(x, "utility_ci"));
        fprintf(out, "<td class=\"n\">%.4f</td>",
                number_of(x, "utility_anticipated"));
        put_interval(out, json_object_get(x, "quality_ci"));
        put_interval(out, json_object_get(x, "disclosed_ci"));
        fprintf(out,
                "<td class=\"n\">%.3f</td><td class=\"n\">%.4f</td><td "
                "class=\"n\">%.0f %%</td></tr>\n",
                number_of(x, "none"),
                number_of(x, "residual") /
                    fmax(1e-12, fabs(number_of(x, "utility_anticipated"))),
                100 * number_of(x, "settled"));
    }
    fputs("</table></div>\n", out);
}

static void put_contrasts(FILE *out, const json_t *setting)
{
    const json_t *list = json_object_get(setting, "contrasts");

    fputs("<details><summary>Differences between mechanisms</summary><div "
          "class=\"wide\"><table><tr><th>figure</th><th>of</th><th>against</th>"
          "<th class=\"n\">difference</th><th class=\"n\">p, "
          "corrected</th><th>verdict</th></tr>\n",
          out);
    for (size_t k = 0; k < json_array_size(list); k++) {
        static const char *const name[] = {"figure", "of", "against"};
        const json_t *x = json_array_get(list, k);

        fputs("<tr>", out);
        for (size_t c = 0; c < 3; c++) {
            fputs("<td>", out);
            html_text(out, text_of(x, name[c]));
            fputs("</td>", out);
        }
        put_interval(out, json_object_get(x, "difference"));
        fprintf(out, "<td class=\"n\">%.3f</td><td>%s</td></tr>\n",
                number_of(x, "p_holm"), text_of(x, "verdict"));
    }
    fputs("</table></div></details>\n", out);
}

static void put_groups(FILE *out, const json_t *cells, const json_t *setting)
{
    const json_t *arms = json_object_get(setting, "arms");

    fputs("<details><summary>By group (first seed)</summary><div "
          "class=\"wide\"><table><tr><th>mechanism</th><th>group</th><th "
          "class=\"n\">people</th><th class=\"n\">disclosed</th><th "
          "class=\"n\">quality</th><th class=\"n\">utility</th></tr>\n",
          out);
    for (size_t a = 0; a < json_array_size(arms); a++) {
        const char *arm = text_of(json_array_get(arms, a), "arm");
        const json_t *groups = NULL;

        for (size_t i = 0; i < json_array_size(cells) && groups == NULL; i++) {
            const json_t *c = json_array_get(cells, i);

            if (strcmp(text_of(c, "arm"), arm) == 0 &&
                strcmp(text_of(c, "dataset"), text_of(setting, "dataset")) ==
                    0 &&
                strcmp(text_of(c, "model_text"), text_of(setting, "model")) ==
                    0 &&
                strcmp(text_of(c, "sensitivity"),
                       text_of(setting, "sensitivity")) == 0)
                groups = json_object_get(c, "groups");
        }
        for (size_t g = 0; g < json_array_size(groups); g++) {
            const json_t *x = json_array_get(groups, g);

            fputs("<tr><td>", out);
            html_text(out, arm);
            fputs("</td><td>", out);
            html_text(out, text_of(x, "group"));
            if (!json_is_number(json_object_get(x, "people"))) {
                fputs("</td><td class=\"n\" colspan=\"4\">fewer than 10: not "
                      "shown</td></tr>\n",
                      out);
                continue;
            }
            fprintf(
                out,
                "</td><td class=\"n\">%.0f</td><td class=\"n\">%.3f</td><td "
                "class=\"n\">%.4f</td><td class=\"n\">%.4f</td></tr>\n",
                number_of(x, "people"), number_of(x, "disclosed"),
                number_of(x, "quality"), number_of(x, "utility"));
        }
    }
    fputs("</table></div></details>\n", out);
}

/* --- the whole -------------------------------------------------------------
 */

static void put_facts(FILE *out, json_t *facts)
{
    const char *name;
    json_t *text;

    fputs("<dl>", out);
    json_object_foreach(facts, name, text)
    {
        fputs("<dt>", out);
        html_text(out, name);
        fputs("</dt><dd>", out);
        html_text(out, json_string_value(text));
        fputs("</dd>", out);
    }
    fputs("</dl>\n", out);
}

static void put_limits(FILE *out)
{
    fputs(
        "<h2>How to read this</h2><ul>\n"
        "<li>People are modelled: they weigh the quality of their list, as they "
        "expect it, against a cost of disclosing. Real people do not reckon "
        "like that; what they would do has to be asked or observed.</li>\n"
        "<li>Utility = quality of the list on items that neither the "
        "recommender nor the decision saw (\"report items\"), minus "
        "sensitivity times the share of data disclosed. \"Anticipated\" is the "
        "same on the items that the decision was made on: it flatters every "
        "choice, and freer choices most.</li>\n"
        "<li>The recommender is trained on what is disclosed, again each "
        "round. Residual: what people would still gain by another choice; "
        "where it is not small beside utility, the cell is no equilibrium and "
        "its figures are a moment of a movement.</li>\n"
        "<li>Intervals: 95 %, bootstrap over people within seeds. \"No "
        "difference shown\" does not mean \"equal\".</li>\n"
        "<li>Groups with fewer than 10 people are not shown.</li></ul>\n",
        out);
}

void sim_study_html(const json_t *cells, const json_t *summary, json_t *facts,
                    FILE *out)
{
    const json_t *settings = json_object_get(summary, "settings");

    html_head(out, "Disclosure study", style);
    fputs("<h1>Who discloses what, and who loses</h1>\n", out);
    put_facts(out, facts);
    for (size_t i = 0; i < json_array_size(settings); i++) {
        const json_t *x = json_array_get(settings, i);
        bool fresh = true;

        for (size_t k = 0; k < i; k++)
            fresh = fresh && !same_case(json_array_get(settings, k), x);
        if (fresh) {
            fputs("<h2>", out);
            html_text(out, text_of(x, "dataset"));
            fputs(", ", out);
            html_text(out, text_of(x, "model"));
            fputs("</h2>\n", out);
            put_key(out, x);
            fputs("<div class=\"plots\">", out);
            put_curves(out, settings, x, "Utility over disclosure", "disclosed",
                       "utility", "share of data disclosed", "utility");
            put_curves(out, settings, x, "Disclosure over sensitivity",
                       "lambda_mean", "disclosed", "mean sensitivity",
                       "share of data disclosed");
            put_curves(out, settings, x, "People and platform", "quality",
                       "utility", "quality of lists (platform)",
                       "utility (people)");
            put_curves(out, settings, x, "Lists of who discloses nothing",
                       "disclosed", "quality_of_undisclosed",
                       "share of data disclosed by all",
                       "quality for who shows nothing");
            put_residuals(out, cells, x);
            fputs("</div>\n", out);
        }
        fputs("<h3>Sensitivity ", out);
        html_text(out, text_of(x, "sensitivity"));
        fputs("</h3>\n", out);
        put_arms(out, x);
        put_contrasts(out, x);
        put_groups(out, cells, x);
    }
    put_limits(out);
    fputs("</body></html>\n", out);
}
