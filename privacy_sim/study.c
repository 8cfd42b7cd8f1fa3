/* privacy_sim/study.c - means, intervals and comparisons of many cells. */
#include "privacy_sim/study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/csv.h"
#include "base/rng.h"
#include "privacy_sim/figures.h"

#define ARMS 64
#define SEEDS 64
#define PAIRS (ARMS * (ARMS - 1) / 2)
#define LEVEL 0.05

static const char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));

    return text != NULL ? text : "";
}

static double number_of(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

/* --- cells of a setting ----------------------------------------------------
 */

static bool same_text(const json_t *a, const json_t *b, const char *name)
{
    return strcmp(text_of(a, name), text_of(b, name)) == 0;
}

static bool same_setting(const json_t *a, const json_t *b)
{
    return same_text(a, b, "dataset") && same_text(a, b, "model_text") &&
           same_text(a, b, "sensitivity");
}

struct arm {
    const char *name;
    const json_t *cell[SEEDS];
    size_t n;
};

struct setting {
    const json_t *first;
    struct arm arm[ARMS];
    size_t n;
};

static void gather(struct setting *s, const json_t *cells, const json_t *first)
{
    *s = (struct setting){.first = first};
    for (size_t i = 0; i < json_array_size(cells); i++) {
        const json_t *c = json_array_get(cells, i);
        size_t a = 0;

        if (!same_setting(c, first))
            continue;
        while (a < s->n && strcmp(s->arm[a].name, text_of(c, "arm")) != 0)
            a++;
        if (a == ARMS)
            continue;
        if (a == s->n)
            s->arm[s->n++].name = text_of(c, "arm");
        if (s->arm[a].n < SEEDS)
            s->arm[a].cell[s->arm[a].n++] = c;
    }
}

/* --- draws -----------------------------------------------------------------
 */

static double draw_of(const json_t *cell, enum sim_compared what, size_t draw)
{
    const json_t *list = json_object_get(json_object_get(cell, "draws"),
                                         sim_compared_name[what]);

    return json_number_value(json_array_get(list, draw));
}

static double mean_of(const struct arm *a, const char *figure)
{
    double sum = 0;

    for (size_t k = 0; k < a->n; k++)
        sum += number_of(a->cell[k], figure);
    return a->n > 0 ? sum / (double)a->n : 0;
}

/* Means of the draws, seeds drawn with replacement too: the same seeds for
 * all arms, which have them in the same order. */
static void draw_all(const struct arm *a, enum sim_compared what, double *out)
{
    for (size_t d = 0; d < SIM_DRAWS; d++) {
        out[d] = 0;
        for (size_t k = 0; k < a->n; k++)
            out[d] +=
                draw_of(a->cell[rng_below(d, RNG_BOOT, k, a->n)], what, d) /
                (double)a->n;
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static json_t *interval(double value, const double *draws)
{
    double sorted[SIM_DRAWS];

    memcpy(sorted, draws, sizeof(sorted));
    qsort(sorted, SIM_DRAWS, sizeof(*sorted), by_value);
    return json_pack("[f, f, f]", value, sorted[SIM_DRAWS * 25 / 1000],
                     sorted[SIM_DRAWS * 975 / 1000 - 1]);
}

static json_t *arm_json(const struct arm *a)
{
    json_t *out =
        json_pack("{s:s, s:s, s:I}", "arm", a->name, "mechanism",
                  text_of(a->cell[0], "mechanism"), "seeds", (json_int_t)a->n);
    double draws[SIM_DRAWS], settled = 0;

    for (size_t f = 0; sim_figures[f].name != NULL; f++)
        (void)json_object_set_new(out, sim_figures[f].name,
                                  json_real(mean_of(a, sim_figures[f].name)));
    for (int w = 0; w < SIM_COMPARED; w++) {
        char name[64];

        draw_all(a, (enum sim_compared)w, draws);
        (void)snprintf(name, sizeof(name), "%s_ci", sim_compared_name[w]);
        (void)json_object_set_new(
            out, name, interval(mean_of(a, sim_compared_name[w]), draws));
    }
    for (size_t k = 0; k < a->n; k++)
        settled += json_is_true(json_object_get(a->cell[k], "settled"));
    (void)json_object_update_new(
        out, json_pack("{s:f, s:f, s:f, s:f}", "settled",
                       settled / (double)a->n, "revenue", mean_of(a, "revenue"),
                       "lambda_mean", mean_of(a, "lambda_mean"),
                       "retrained_residual", mean_of(a, "retrained_residual")));
    return out;
}

/* --- comparisons -----------------------------------------------------------
 */

struct contrast {
    size_t a, b;
    double value, p, adjusted;
    double draws[SIM_DRAWS];
};

static bool same_seeds(const struct arm *a, const struct arm *b)
{
    if (a->n != b->n)
        return false;
    for (size_t k = 0; k < a->n; k++) {
        if (json_integer_value(json_object_get(a->cell[k], "seed")) !=
            json_integer_value(json_object_get(b->cell[k], "seed")))
            return false;
    }
    return true;
}

/* Two-sided, of a normal difference with the draws' deviation: with many
 * pairs, counts among a thousand draws would be too coarse to be corrected.
 * Tail: Abramowitz & Stegun, Handbook of mathematical functions, 7.1.26, whose
 * error of 1.5e-7 is added, so that no p is below it. */
static double chance_of(double value, const double *draws)
{
    double mean = 0, square = 0;

    for (size_t d = 0; d < SIM_DRAWS; d++)
        mean += draws[d] / SIM_DRAWS;
    for (size_t d = 0; d < SIM_DRAWS; d++)
        square += (draws[d] - mean) * (draws[d] - mean) / (SIM_DRAWS - 1);
    if (!(square > 0))
        return fabs(value) > 0 ? 1.5e-7 : 1;
    const double z = fabs(value) / sqrt(square);
    const double x = z < 40 ? z * 0.70710678118654752 : 28;
    const double t = 1 / (1 + 0.3275911 * x);
    const double tail =
        t *
        (0.254829592 +
         t * (-0.284496736 +
              t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) *
        sim_exp(-x * x);

    return tail + 1.5e-7 < 1 ? tail + 1.5e-7 : 1;
}

static int by_p(const void *a, const void *b)
{
    const struct contrast *x = a, *y = b;

    if (x->p < y->p || x->p > y->p)
        return x->p < y->p ? -1 : 1;
    return x->a != y->a ? (x->a > y->a) - (x->a < y->a)
                        : (x->b > y->b) - (x->b < y->b);
}

/* Holm: the k-th smallest of n times n - k, and never below the one before. */
static void correct(struct contrast *c, size_t n)
{
    double floor = 0;

    qsort(c, n, sizeof(*c), by_p);
    for (size_t k = 0; k < n; k++) {
        const double p = c[k].p * (double)(n - k);

        floor = p > floor ? p : floor;
        c[k].adjusted = floor < 1 ? floor : 1;
    }
}

static void add_contrasts(json_t *list, const struct setting *s,
                          enum sim_compared what)
{
    struct contrast *c = calloc(PAIRS, sizeof(*c));
    size_t n = 0;

    if (c == NULL)
        return;
    for (size_t a = 0; a < s->n; a++) {
        for (size_t b = a + 1; b < s->n; b++) {
            double draws[SIM_DRAWS];

            if (!same_seeds(&s->arm[a], &s->arm[b]))
                continue;
            c[n] = (struct contrast){.a = a, .b = b};
            c[n].value = mean_of(&s->arm[b], sim_compared_name[what]) -
                         mean_of(&s->arm[a], sim_compared_name[what]);
            draw_all(&s->arm[b], what, c[n].draws);
            draw_all(&s->arm[a], what, draws);
            for (size_t d = 0; d < SIM_DRAWS; d++)
                c[n].draws[d] -= draws[d];
            c[n].p = chance_of(c[n].value, c[n].draws);
            n++;
        }
    }
    correct(c, n);
    for (size_t k = 0; k < n; k++) {
        json_t *ci = interval(c[k].value, c[k].draws);
        const double lo = json_number_value(json_array_get(ci, 1));
        const double hi = json_number_value(json_array_get(ci, 2));
        const bool shown = c[k].adjusted <= LEVEL && (lo > 0 || hi < 0);

        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:o, s:f, s:s}", "figure",
                            sim_compared_name[what], "of", s->arm[c[k].b].name,
                            "against", s->arm[c[k].a].name, "difference", ci,
                            "p_holm", c[k].adjusted, "verdict",
                            !shown   ? "no difference shown"
                            : lo > 0 ? "more"
                                     : "less"));
    }
    free(c);
}

static json_t *setting_json(const struct setting *s)
{
    json_t *arms = json_array(), *contrasts = json_array();

    for (size_t a = 0; a < s->n; a++)
        (void)json_array_append_new(arms, arm_json(&s->arm[a]));
    for (int w = 0; w < SIM_COMPARED; w++)
        add_contrasts(contrasts, s, (enum sim_compared)w);
    return json_pack("{s:s, s:s, s:s, s:I, s:o, s:o}", "dataset",
                     text_of(s->first, "dataset"), "model",
                     text_of(s->first, "model_text"), "sensitivity",
                     text_of(s->first, "sensitivity"), "users",
                     (json_int_t)number_of(s->first, "users"), "arms", arms,
                     "contrasts", contrasts);
}

json_t *sim_study_summary(const json_t *cells)
{
    struct setting *s = malloc(sizeof(*s));
    json_t *list = json_array();

    for (size_t i = 0; i < json_array_size(cells) && s != NULL; i++) {
        const json_t *c = json_array_get(cells, i);
        bool seen = false;

        for (size_t k = 0; k < i && !seen; k++)
            seen = same_setting(json_array_get(cells, k), c);
        if (seen)
            continue;
        gather(s, cells, c);
        (void)json_array_append_new(list, setting_json(s));
    }
    free(s);
    return json_pack("{s:o}", "settings", list);
}

/* --- tables ----------------------------------------------------------------
 */

static void put_name(const json_t *c, FILE *out)
{
    static const char *const name[] = {"dataset", "model_text", "arm",
                                       "mechanism", "sensitivity"};

    for (size_t k = 0; k < sizeof(name) / sizeof(name[0]); k++) {
        csv_cell(out, text_of(c, name[k]));
        putc(',', out);
    }
    fprintf(out, "%lld",
            (long long)json_integer_value(json_object_get(c, "seed")));
}

void sim_study_cells_csv(const json_t *cells, FILE *out)
{
    static const char *const more[] = {"users", "rounds", "lambda_mean",
                                       "revenue", "retrained_residual"};

    fputs("dataset,model,arm,mechanism,sensitivity,seed,settled", out);
    for (size_t k = 0; k < 5; k++)
        fprintf(out, ",%s", more[k]);
    for (size_t f = 0; sim_figures[f].name != NULL; f++)
        fprintf(out, ",%s", sim_figures[f].name);
    putc('\n', out);
    for (size_t i = 0; i < json_array_size(cells); i++) {
        const json_t *c = json_array_get(cells, i);

        put_name(c, out);
        fprintf(out, ",%d", json_is_true(json_object_get(c, "settled")));
        for (size_t k = 0; k < 5; k++)
            fprintf(out, ",%.10g", number_of(c, more[k]));
        for (size_t f = 0; sim_figures[f].name != NULL; f++)
            fprintf(out, ",%.10g", number_of(c, sim_figures[f].name));
        putc('\n', out);
    }
}

void sim_study_rounds_csv(const json_t *cells, FILE *out)
{
    fputs("dataset,model,arm,mechanism,sensitivity,seed,round", out);
    for (size_t f = 0; sim_figures[f].name != NULL; f++)
        fprintf(out, ",%s", sim_figures[f].name);
    putc('\n', out);
    for (size_t i = 0; i < json_array_size(cells); i++) {
        const json_t *c = json_array_get(cells, i);
        const json_t *rounds = json_object_get(c, "trajectory");

        for (size_t r = 0; r < json_array_size(rounds); r++) {
            const json_t *x = json_array_get(rounds, r);

            put_name(c, out);
            fprintf(out, ",%zu", r);
            for (size_t f = 0; sim_figures[f].name != NULL; f++)
                fprintf(out, ",%.10g", number_of(x, sim_figures[f].name));
            putc('\n', out);
        }
    }
}

void sim_study_groups_csv(const json_t *cells, FILE *out)
{
    static const char *const figure[] = {"people", "disclosed", "none",
                                         "quality", "utility"};

    fputs("dataset,model,arm,mechanism,sensitivity,seed,group,people,disclosed,"
          "none,quality,utility\n",
          out);
    for (size_t i = 0; i < json_array_size(cells); i++) {
        const json_t *c = json_array_get(cells, i);
        const json_t *groups = json_object_get(c, "groups");

        for (size_t g = 0; g < json_array_size(groups); g++) {
            const json_t *x = json_array_get(groups, g);

            put_name(c, out);
            putc(',', out);
            csv_cell(out, text_of(x, "group"));
            for (size_t k = 0; k < 5; k++) {
                if (json_is_number(json_object_get(x, figure[k])))
                    fprintf(out, ",%.10g", number_of(x, figure[k]));
                else
                    fputs(k == 0 ? ",<10" : ",", out);
            }
            putc('\n', out);
        }
    }
}
