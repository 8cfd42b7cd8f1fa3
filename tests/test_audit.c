/*
 * tests/test_audit.c - attacks against cases whose answer is known: a sabotaged
 * forget is found, an exact one is not, and the same audit gives the same
 * bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attack/alike.h"
#include "attack/forgotten.h"
#include "attack/report.h"
#include "attack/serve.h"
#include "attack/vectors.h"
#include "attack/vmf.h"
#include "base/par.h"
#include "base/rng.h"
#include "nn/loss.h"

#define USERS 240
#define ITEMS 120
#define ROWS 15

/* --- people of two tastes, and one of their own ------------------------------
 */

static void make_data(struct rec_data *d, uint64_t seed)
{
    uint64_t user[USERS], item[ITEMS];

    *d = (struct rec_data){0};
    for (uint64_t u = 0; u < USERS; u++)
        user[u] = (u + 1) << 40 | rng_u32(seed, RNG_SYNTH, u);
    for (uint64_t i = 0; i < ITEMS; i++)
        item[i] = (i + 1) << 40;
    assert_int_equal(rec_data_copy_keys(d, user, USERS, item, ITEMS), ERR_OK);
    d->user_ptr = calloc(USERS + 1, sizeof(*d->user_ptr));
    d->item = calloc(USERS * ROWS, sizeof(*d->item));
    assert_true(d->user_ptr != NULL && d->item != NULL);
    for (size_t u = 0; u < USERS; u++) {
        size_t pick[ROWS];

        /* ten of the taste's half, five of anywhere in the other */
        rng_sample(seed + 1 + u, RNG_SYNTH, ITEMS / 2, 10, pick);
        rng_sample(seed + 9999 + u, RNG_SYNTH, ITEMS / 2, 5, pick + 10);
        for (size_t i = 0; i < ROWS; i++) {
            const bool second = (i >= 10) != (u % 2 == 1);

            pick[i] += second ? ITEMS / 2 : 0;
        }
        for (size_t i = 0; i < ROWS; i++) { /* ascending */
            size_t at = i;

            for (; at > 0 && d->item[d->n_rows + at - 1] > (uint32_t)pick[i];
                 at--)
                d->item[d->n_rows + at] = d->item[d->n_rows + at - 1];
            d->item[d->n_rows + at] = (uint32_t)pick[i];
        }
        d->n_rows += ROWS;
        d->user_ptr[u + 1] = d->n_rows;
    }
}

static enum err train_ials(void *arg, const struct rec_data *d, uint64_t seed,
                           struct rec_model **out)
{
    const struct rec_model_ops *ops;

    (void)arg;
    assert_int_equal(rec_model_find("ials", &ops), ERR_OK);
    assert_int_equal(rec_model_new(out, ops), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, (*out)->opts, "dim", "48"), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, (*out)->opts, "reg", "0.002"),
                     ERR_OK);
    (*out)->seed = seed;
    return rec_model_fit(*out, d, NULL);
}

enum setting { HONEST, PUBLISHED, RANDOMISED };

static void make_case(struct atk_case *c, const struct rec_data *d,
                      enum setting s)
{
    const struct atk_serving how = {train_ials,      NULL,  8, 20, s != HONEST,
                                    s == RANDOMISED, false, 7};
    struct atk_served info;

    assert_int_equal(atk_serve(c, d, &how, &info), ERR_OK);
    assert_int_equal(info.models, 9);
    for (size_t u = 0; u < c->target.n; u++) {
        c->target.id[u] = malloc(40);
        assert_non_null(c->target.id[u]);
        (void)snprintf(c->target.id[u], 40, "person \"%zu\" <&>", u);
    }
    assert_int_equal(atk_items_learn(&c->items, &c->shadow, 7), ERR_OK);
}

/* Everything that a report says, as one text. */
static char *audit(const struct rec_data *d, size_t threads)
{
    struct atk_case c, planted, canaries;
    struct atk_judged judged[32];
    struct atk_report r = {.c = &c, .judged = judged, .bound = 0.9};
    const struct atk_serving how = {train_ials, NULL,  4,     20,
                                    false,      false, false, 7};
    char *text = NULL;
    size_t size = 0;

    par_set_threads(threads);
    make_case(&c, d, HONEST);
    assert_int_equal(atk_plant_lists(&planted, &c), ERR_OK);
    assert_int_equal(atk_serve_canaries(&canaries, d, &how), ERR_OK);
    atk_report_fact(&r, "a fact", "with <markup> & \"quotes\"");
    for (size_t i = 0; atk_attacks[i] != NULL; i++, r.n++) {
        const bool scores = (atk_attacks[i]->needs & ATK_NEEDS_MODELS) != 0;

        if (strcmp(atk_attacks[i]->name, "dl-mia") == 0)
            assert_int_equal(
                atk_judge(atk_attacks[i], &c, NULL, true, &judged[i]), ERR_OK);
        else
            assert_int_equal(atk_judge(atk_attacks[i], &c,
                                       scores ? &canaries : &planted, true,
                                       &judged[i]),
                             ERR_OK);
        if (!judged[i].ran)
            fail_msg("%s did not run: %s", atk_attacks[i]->name, judged[i].why);
    }
    FILE *out = open_memstream(&text, &size);
    json_t *j = atk_report_json(&r);

    assert_true(out != NULL && j != NULL);
    atk_report_html(&r, out);
    assert_int_equal(fflush(out), 0);
    assert_null(strstr(text, "<markup>"));
    assert_null(strstr(text, "http"));
    assert_null(strstr(text, "<script"));
    atk_report_csv(&r, out);
    assert_int_equal(json_dumpf(j, out, JSON_SORT_KEYS), 0);
    assert_int_equal(fclose(out), 0);
    json_decref(j);
    for (size_t i = 0; i < r.n; i++)
        atk_judged_free(&judged[i]);
    atk_case_free(&c);
    atk_case_free(&planted);
    atk_case_free(&canaries);
    par_set_threads(0);
    return text;
}

static void the_same_audit_gives_the_same_bytes(void **state)
{
    static const size_t threads[] = {1, 2, 3};
    char *text[3];
    struct rec_data d;

    (void)state;
    make_data(&d, 3);
    for (size_t i = 0; i < 3; i++)
        text[i] = audit(&d, threads[i]);
    for (size_t i = 1; i < 3; i++)
        assert_string_equal(text[0], text[i]);
    for (size_t i = 0; i < 3; i++)
        free(text[i]);
    rec_data_free(&d);
}

/* Attacks find people whose models learnt them by heart, and do not find what
 * is not there. */
static void references_find_members(void **state)
{
    const struct atk_attack *lira;
    struct atk_judged j;
    struct rec_data d;
    struct atk_case c;

    (void)state;
    make_data(&d, 4);
    make_case(&c, &d, HONEST);
    assert_int_equal(atk_attack_find("lira", &lira), ERR_OK);
    assert_int_equal(atk_judge(lira, &c, NULL, true, &j), ERR_OK);
    assert_true(j.ran && j.area.lo > 0.6);
    assert_false(j.trusted); /* no positive control was run */
    const double area = j.area.value;

    atk_judged_free(&j);
    for (size_t u = 0; u < c.target.n; u++)
        c.target.member[u] = !c.target.member[u];
    c.target.n_members = c.target.n - c.target.n_members;
    assert_int_equal(atk_judge(lira, &c, NULL, true, &j), ERR_OK);
    assert_true(fabs(j.area.value + area - 1) < 1e-12);
    atk_judged_free(&j);
    atk_case_free(&c);
    rec_data_free(&d);
}

/* Scores come before labels: with every label turned round they are the same
 * bytes. */
static void no_attack_reads_the_labels(void **state)
{
    struct rec_data d;
    struct atk_case c;

    (void)state;
    make_data(&d, 8);
    make_case(&c, &d, HONEST);
    for (size_t i = 0; atk_attacks[i] != NULL; i++) {
        struct atk_judged j[2];

        for (int turn = 0; turn < 2; turn++) {
            assert_int_equal(
                atk_judge(atk_attacks[i], &c, NULL, true, &j[turn]), ERR_OK);
            assert_true(j[turn].ran);
            for (size_t u = 0; u < c.target.n; u++)
                c.target.member[u] = !c.target.member[u];
            c.target.n_members = c.target.n - c.target.n_members;
        }
        if (memcmp(j[0].scores.target, j[1].scores.target,
                   c.target.n * sizeof(double)) != 0)
            fail_msg("%s reads the labels", atk_attacks[i]->name);
        atk_judged_free(&j[0]);
        atk_judged_free(&j[1]);
    }
    atk_case_free(&c);
    rec_data_free(&d);
}

/* The papers' way of serving gives members away by itself. */
static void the_published_setting_is_easier(void **state)
{
    const struct atk_attack *a;
    double area[2];
    struct rec_data d;

    (void)state;
    make_data(&d, 5);
    assert_int_equal(atk_attack_find("popularity", &a), ERR_OK);
    for (int published = 0; published < 2; published++) {
        struct atk_judged j;
        struct atk_case c;

        make_case(&c, &d, published == 1 ? PUBLISHED : HONEST);
        assert_int_equal(atk_judge(a, &c, NULL, true, &j), ERR_OK);
        area[published] = j.area.value;
        atk_judged_free(&j);
        atk_case_free(&c);
    }
    assert_true(area[1] > 0.9 && area[0] < 0.7);
    rec_data_free(&d);
}

/* Served alike, nobody's list has what is in their history; as published, all
 * strangers have the same list. */
static void sides_are_counted(void **state)
{
    struct atk_alike a;
    struct rec_data d;

    (void)state;
    make_data(&d, 5);
    for (int published = 0; published < 2; published++) {
        struct atk_case c;
        char text[300];

        make_case(&c, &d, published == 1 ? PUBLISHED : HONEST);
        assert_int_equal(atk_alike(&a, &c.target, &c.shadow, c.items.n),
                         ERR_OK);
        assert_int_equal(a.target.people[1], c.target.n_members);
        assert_int_equal(a.shadow.people[0] + a.shadow.people[1], c.shadow.n);
        assert_true(a.people == 0 && a.both <= a.target.met);
        for (int m = 0; m < 2; m++)
            assert_true(a.target.history[m] == ROWS && a.shadow.list[m] == 20);
        assert_true(published == 1
                        ? a.target.own[1] > 0.1 && a.shadow.different[0] == 20
                        : a.target.own[1] + a.target.own[0] == 0 &&
                              a.shadow.different[0] > 40);
        atk_counted_say(&a.target, true, text, sizeof(text));
        assert_non_null(strstr(text, "15.0 and 15.0 items in a history"));
        assert_non_null(strstr(text, "lists of 20.0 and 20.0 items"));
        assert_int_equal(atk_alike(&a, &c.target, &c.target, c.items.n),
                         ERR_OK);
        assert_int_equal(a.people, c.target.n);
        assert_int_equal(a.both, a.shadow.met);
        atk_case_free(&c);
    }
    rec_data_free(&d);
}

/* Randomised, strangers get different lists, each item once; members' are as
 * before. */
static void randomised_lists_differ_from_each_other(void **state)
{
    struct atk_case c, before;
    size_t strangers = 0, alike = 0;
    struct rec_data d;

    (void)state;
    make_data(&d, 9);
    make_case(&before, &d, PUBLISHED);
    make_case(&c, &d, RANDOMISED);
    const struct atk_people *p = &c.target;
    const uint32_t *first = NULL;

    for (size_t u = 0; u < p->n; u++) {
        const uint32_t *list = p->list + p->list_ptr[u];
        const size_t n = p->list_ptr[u + 1] - p->list_ptr[u];

        assert_int_equal(n, 20);
        if (p->member[u]) {
            assert_memory_equal(list,
                                before.target.list + before.target.list_ptr[u],
                                n * sizeof(*list));
            continue;
        }
        for (size_t a = 0; a < n; a++) {
            for (size_t b = 0; b < a; b++)
                assert_int_not_equal(list[a], list[b]);
        }
        alike += first != NULL && memcmp(list, first, n * sizeof(*list)) == 0;
        first = first == NULL ? list : first;
        strangers++;
    }
    assert_true(strangers > 10 && alike == 0);
    atk_case_free(&c);
    atk_case_free(&before);
    rec_data_free(&d);
}

/* Single rows: who owns them stays in every model, and what an overtrained
 * model says of them tells; a coin that changes nothing is not seen. */
static void single_rows_can_be_in_question(void **state)
{
    const struct atk_serving how = {train_ials, NULL,  8,    20,
                                    false,      false, true, 7};
    const struct atk_attack *recps, *lists;
    struct atk_served info;
    struct atk_judged j;
    struct atk_case c;
    struct rec_data d;

    (void)state;
    make_data(&d, 10);
    assert_int_equal(atk_serve(&c, &d, &how, &info), ERR_OK);
    assert_true(c.no_lists && c.target.n > 50);
    for (size_t u = 0; u < c.target.n; u++) {
        const uint32_t at =
            rec_key_find(d.user_key, d.n_users, c.target.key[u]);

        /* the row in question is not in the history */
        assert_int_equal(c.target.hist_ptr[u + 1] - c.target.hist_ptr[u] + 1,
                         d.user_ptr[at + 1] - d.user_ptr[at]);
    }
    assert_int_equal(atk_attack_find("recps", &recps), ERR_OK);
    assert_int_equal(atk_attack_find("popularity", &lists), ERR_OK);
    assert_non_null(atk_attack_lacks(lists, &c));
    assert_int_equal(atk_judge(recps, &c, NULL, true, &j), ERR_OK);
    if (!(j.area.value > 0.6))
        fail_msg("area %.3f", j.area.value);
    atk_judged_free(&j);
    atk_case_free(&c);
    rec_data_free(&d);
}

/* --- forgotten ---------------------------------------------------------------
 */

static void without(struct rec_data *out, const struct rec_data *d,
                    const uint8_t *drop)
{
    uint8_t *keep = malloc(d->n_rows);

    assert_non_null(keep);
    for (size_t u = 0; u < d->n_users; u++)
        memset(keep + d->user_ptr[u], !drop[u],
               d->user_ptr[u + 1] - d->user_ptr[u]);
    assert_int_equal(rec_data_compact(out, d, keep), ERR_OK);
    free(keep);
}

enum forget { EXACT, SABOTAGED, HALF, RESEEDED };

static enum atk_verdict verdict_of(enum forget how, struct atk_forgotten *f)
{
    uint8_t control[USERS] = {0}, gone[USERS] = {0}, both[USERS] = {0},
            some[USERS] = {0};
    struct rec_data d, before, after, partly, left[4];
    struct rec_model *original, *retrained, *half, *reseeded, *ref[4];
    struct atk_traces forgotten, controls;

    make_data(&d, 6);
    for (size_t u = 0; u < USERS; u++) {
        control[u] = u % 5 == 0;
        gone[u] = u % 5 == 1;
        both[u] = control[u] || gone[u];
        some[u] = control[u] || u % 10 == 1;
    }
    without(&before, &d, control);
    without(&after, &d, both);
    without(&partly, &d, some);
    assert_int_equal(train_ials(NULL, &before, 1, &original), ERR_OK);
    assert_int_equal(train_ials(NULL, &after, 1, &retrained), ERR_OK);
    assert_int_equal(train_ials(NULL, &partly, 1, &half), ERR_OK);
    assert_int_equal(train_ials(NULL, &before, 9, &reseeded), ERR_OK);
    for (size_t r = 0; r < 4; r++) {
        uint8_t drop[USERS];

        for (size_t u = 0; u < after.n_users; u++)
            drop[u] = u % 10 == r;
        without(&left[r], &after, drop);
        assert_int_equal(train_ials(NULL, &left[r], 2 + r, &ref[r]), ERR_OK);
    }
    assert_int_equal(atk_traces_of(&forgotten, &d, gone), ERR_OK);
    assert_int_equal(atk_traces_of(&controls, &d, control), ERR_OK);
    const struct atk_forgotten_in in = {
        .model = {original,
                  how == EXACT       ? retrained
                  : how == SABOTAGED ? original
                  : how == HALF      ? half
                                     : reseeded,
                  retrained},
        .ref = (const struct rec_model *const *)ref,
        .n_refs = 4,
        .forgotten = &forgotten,
        .controls = &controls,
        .seed = 1,
    };

    assert_int_equal(atk_forgotten_judge(f, &in), ERR_OK);
    for (size_t r = 0; r < 4; r++) {
        rec_model_free(ref[r]);
        rec_data_free(&left[r]);
    }
    rec_model_free(original);
    rec_model_free(retrained);
    rec_model_free(half);
    rec_model_free(reseeded);
    atk_traces_free(&forgotten);
    atk_traces_free(&controls);
    rec_data_free(&d);
    rec_data_free(&before);
    rec_data_free(&after);
    rec_data_free(&partly);
    return f->verdict;
}

static void an_exact_forget_leaves_nothing(void **state)
{
    struct atk_forgotten f;

    (void)state;
    assert_int_equal(verdict_of(EXACT, &f), ATK_FORGOTTEN);
    assert_true(f.same_bits && f.left.value == 0 && f.shift.value == 0);
    assert_true(f.area[ATK_ORIGINAL].lo > 0.7); /* it can be seen at all */
    assert_true(f.share[ATK_REPAIRED] < 0.5);
    assert_int_equal(f.above, 0);
}

/* Records removed, model left alone; only every other person's; and trained
 * again with everybody, under another seed. */
static void a_sabotaged_forget_is_found(void **state)
{
    struct atk_forgotten f;

    (void)state;
    assert_int_equal(verdict_of(SABOTAGED, &f), ATK_STILL_THERE);
    assert_true(!f.same_bits && f.left.lo > 0.1 && f.above > 5);
    assert_true(fabs(f.share[ATK_REPAIRED] - 1) < 1e-12);
    assert_int_equal(verdict_of(HALF, &f), ATK_STILL_THERE);
    assert_int_equal(verdict_of(RESEEDED, &f), ATK_STILL_THERE);
}

/* --- von Mises and Fisher ----------------------------------------------------
 */

/* The mean of w is I_{m/2} / I_{m/2-1}; the slope is that of w. */
static void draws_of_von_mises_and_fisher(void **state)
{
    static const double kappa[] = {0.5, 5, 50, 500};

    (void)state;
    for (size_t k = 0; k < 4; k++) {
        const size_t m = 50, n = 20000;
        double mean = 0, square = 0, slope, other;

        for (size_t i = 0; i < n; i++) {
            const double w = atk_vmf_along(kappa[k], m, 1, i, &slope);

            assert_true(w > -1 && w < 1);
            mean += w / (double)n;
            square += w * w / (double)n;
        }
        const double error = sqrt((square - mean * mean) / (double)n);
        const double want = nn_loss_bessel_ratio((double)m / 2 - 1, kappa[k]);

        if (fabs(mean - want) > 4 * error)
            fail_msg("kappa %g: mean %.5f, not %.5f", kappa[k], mean, want);
        const double h = 1e-5 * kappa[k];
        const double up = atk_vmf_along(kappa[k] + h, m, 1, 3, &other);
        const double down = atk_vmf_along(kappa[k] - h, m, 1, 3, &other);

        (void)atk_vmf_along(kappa[k], m, 1, 3, &slope);
        assert_true(fabs((up - down) / (2 * h) - slope) < 1e-4 * (1 + slope));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_audit_gives_the_same_bytes),
        cmocka_unit_test(references_find_members),
        cmocka_unit_test(no_attack_reads_the_labels),
        cmocka_unit_test(the_published_setting_is_easier),
        cmocka_unit_test(sides_are_counted),
        cmocka_unit_test(randomised_lists_differ_from_each_other),
        cmocka_unit_test(single_rows_can_be_in_question),
        cmocka_unit_test(an_exact_forget_leaves_nothing),
        cmocka_unit_test(a_sabotaged_forget_is_found),
        cmocka_unit_test(draws_of_von_mises_and_fisher),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
