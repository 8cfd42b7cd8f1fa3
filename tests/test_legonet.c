/*
 * tests/test_legonet.c - adapters against plain EASE on their members, and the
 * proof of forgetting: what an adapter never saw does not move it.
 */
#include <math.h>
#include <string.h>

#include "rec/model.h"
#include "tests/rec_cases.h"

#define USERS 60
#define ITEMS 25
#define ADAPTERS 7
#define ACTIVE 2
#define REG 3.0

static struct rec_model *train(const struct rec_data *d)
{
    const struct rec_model_ops *ops;
    struct rec_model *m;

    assert_int_equal(rec_model_find("legonet", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "adapters", "7"), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "active", "2"), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "reg", "3"), ERR_OK);
    m->seed = 5;
    assert_int_equal(rec_model_fit(m, d, NULL), ERR_OK);
    return m;
}

static void scores_of(const struct rec_model *m, const struct rec_data *d,
                      size_t user, float *out)
{
    const uint32_t nobody = REC_NOBODY;
    const size_t ptr[2] = {0, d->user_ptr[user + 1] - d->user_ptr[user]};
    const struct rec_query q = {1, &nobody, ptr, d->item + d->user_ptr[user],
                                NULL};

    assert_int_equal(m->ops->score(m, &q, out), ERR_OK);
}

/* --- plain EASE in double ---------------------------------------------------
 */

/* Gauss and Jordan; a becomes its inverse. */
static void invert(double a[ITEMS][ITEMS])
{
    static double b[ITEMS][ITEMS];

    memset(b, 0, sizeof(b));
    for (size_t i = 0; i < ITEMS; i++)
        b[i][i] = 1;
    for (size_t i = 0; i < ITEMS; i++) {
        const double pivot = a[i][i];

        for (size_t k = 0; k < ITEMS; k++) {
            a[i][k] /= pivot;
            b[i][k] /= pivot;
        }
        for (size_t r = 0; r < ITEMS; r++) {
            const double f = a[r][i];

            for (size_t k = 0; k < ITEMS && r != i; k++) {
                a[r][k] -= f * a[i][k];
                b[r][k] -= f * b[i][k];
            }
        }
    }
    memcpy(a, b, sizeof(b));
}

static bool met(const struct rec_data *d, size_t u, size_t i)
{
    for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
        if (d->item[r] == i)
            return true;
    }
    return false;
}

static bool activates(const struct rec_model *m, size_t u, uint32_t adapter)
{
    const uint32_t *active = rec_model_array(m, "active");

    return active[u * ACTIVE] == adapter || active[u * ACTIVE + 1] == adapter;
}

static void add_adapter(const struct rec_model *m, const struct rec_data *d,
                        uint32_t adapter, size_t asker, double *out)
{
    static double g[ITEMS][ITEMS];
    double s[ITEMS], mean = 0, square = 0;

    memset(g, 0, sizeof(g));
    for (size_t u = 0; u < d->n_users; u++) {
        for (size_t i = 0; i < ITEMS && activates(m, u, adapter); i++) {
            for (size_t k = 0; k < ITEMS; k++)
                g[i][k] += met(d, u, i) && met(d, u, k);
        }
    }
    for (size_t i = 0; i < ITEMS; i++)
        g[i][i] += REG;
    invert(g);
    for (size_t i = 0; i < ITEMS; i++) {
        s[i] = 0;
        for (size_t k = 0; k < ITEMS; k++)
            s[i] += k != i && met(d, asker, k) ? -g[k][i] / g[i][i] : 0;
        mean += s[i] / ITEMS;
    }
    for (size_t i = 0; i < ITEMS; i++)
        square += (s[i] - mean) * (s[i] - mean) / ITEMS;
    for (size_t i = 0; i < ITEMS && square > 0; i++)
        out[i] += s[i] / sqrt(square) / ACTIVE;
}

static void adapters_are_ease_on_their_members(void **state)
{
    struct rec_data d = case_data(USERS, ITEMS, 0.3, false, 3);
    struct rec_model *m = train(&d);
    const uint32_t *active = rec_model_array(m, "active");

    (void)state;
    for (size_t u = 0; u < USERS; u += 3) {
        double want[ITEMS] = {0};
        float got[ITEMS];

        if (d.user_ptr[u] == d.user_ptr[u + 1])
            continue;
        scores_of(m, &d, u, got);
        for (size_t k = 0; k < ACTIVE; k++)
            add_adapter(m, &d, active[u * ACTIVE + k], u, want);
        for (size_t i = 0; i < ITEMS; i++) {
            if (fabs((double)got[i] - want[i]) > 2e-4 * (1 + fabs(want[i])))
                fail_msg("person %zu, item %zu: %.6f, not %.6f", u, i,
                         (double)got[i], want[i]);
        }
    }
    rec_model_free(m);
    rec_data_free(&d);
}

/* Taking one person out leaves everybody's adapters as they were, and leaves
 * the answers of those who share none with them, bit by bit. */
static void what_an_adapter_never_saw_does_not_move_it(void **state)
{
    struct rec_data d = case_data(USERS, ITEMS, 0.3, false, 4);
    struct rec_model *before = train(&d);
    const uint32_t *active = rec_model_array(before, "active");
    uint8_t keep[USERS * ITEMS];
    size_t untouched = 0, touched = 0;

    (void)state;
    for (size_t gone = 0; gone < USERS; gone += 7) {
        struct rec_data left;

        for (size_t r = 0; r < d.n_rows; r++)
            keep[r] = r < d.user_ptr[gone] || r >= d.user_ptr[gone + 1];
        if (d.user_ptr[gone] == d.user_ptr[gone + 1])
            continue;
        assert_int_equal(rec_data_subset(&left, &d, keep), ERR_OK);
        struct rec_model *after = train(&left);
        const uint32_t *now = rec_model_array(after, "active");

        for (size_t u = 0; u < USERS; u++) {
            float a[ITEMS], b[ITEMS];
            bool shared = false;

            if (u == gone || d.user_ptr[u] == d.user_ptr[u + 1])
                continue;
            assert_memory_equal(active + u * ACTIVE, now + u * ACTIVE,
                                ACTIVE * sizeof(*now));
            for (size_t k = 0; k < ACTIVE; k++)
                shared |= activates(before, gone, active[u * ACTIVE + k]);
            scores_of(before, &d, u, a);
            scores_of(after, &left, u, b);
            if (!shared) {
                assert_memory_equal(a, b, sizeof(a));
                untouched++;
            } else {
                touched += memcmp(a, b, sizeof(a)) != 0;
            }
        }
        rec_model_free(after);
        rec_data_free(&left);
    }
    if (untouched < 50 || touched < 50)
        fail_msg("%zu untouched, %zu touched", untouched, touched);
    rec_model_free(before);
    rec_data_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adapters_are_ease_on_their_members),
        cmocka_unit_test(what_an_adapter_never_saw_does_not_move_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
